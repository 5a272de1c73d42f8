//! One choice of a request, token by token.

use crate::draw::{Rules, Scratch};
use crate::fixed::divide_even;
use crate::request::MAX_VOCABULARY;
use crate::scores::{Scored, scored, within_contract};
use crate::select::{EXCLUDED, Key, MAX_LOGIT, first};
use crate::stream::Stream;
use crate::{Mask, Q16, Sampling, TokenRequest};

/// Why no token could be chosen or scored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// There is nothing to choose from.
    #[error("no logits: the model must give one per token of its vocabulary")]
    NoLogits,
    /// More than any vocabulary may have.
    #[error("{actual} logits, but a vocabulary has at most {MAX_VOCABULARY} tokens")]
    TooManyLogits {
        /// How many there are.
        actual: usize,
    },
    /// The mask excludes every token.
    #[error("the grammar allows no token of the vocabulary here: end the choice")]
    NothingAllowed,
    /// A token without a logit.
    #[error("token {token} is not in a vocabulary of {vocabulary}")]
    UnknownToken {
        /// The id.
        token: u32,
        /// How many tokens there are.
        vocabulary: usize,
    },
}

/// A token that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its id.
    pub token: u32,
    /// What the model thought of it, if the request asks for log-probabilities.
    pub scored: Option<Scored>,
}

/// Chooses the tokens of one choice of a request, by the contract in the crate's manual.
///
/// It knows only how many tokens there were, and how often each if that counts; it stops at nothing.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    rules: Rules,
    top_logprobs: Option<u8>,
    stream: Stream,
    position: u64,
    /// The tokens that penalties are about, by id, and how often each was generated: those of the output, and with
    /// a repetition penalty those of the prompt.
    seen: Vec<(u32, u32)>,
    adjusted: Vec<i32>,
    scratch: Scratch,
}

impl Sampler {
    /// For choice number `choice` of a request, from 0. The request should be valid; if it is not, the nearest
    /// values that can be computed with are used.
    pub fn new(request: &TokenRequest, choice: u16) -> Self {
        let mut sampling = request.sampling.clone();
        sampling.temperature = sampling.temperature.min(Sampling::MAX_TEMPERATURE);
        sampling.repetition_penalty = sampling.repetition_penalty.max(Q16(1));
        let mut seen = Vec::new();
        if sampling.repetition_penalty != Q16::ONE {
            seen.extend(request.prompt.iter().map(|token| (*token, 0)));
            seen.sort_unstable();
            seen.dedup();
        }
        Self {
            rules: Rules::new(&sampling),
            sampling,
            top_logprobs: request.top_logprobs,
            stream: Stream::new(&request.digest(), choice),
            position: 0,
            seen,
            adjusted: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// How many tokens were generated so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Chooses the next token from the logits of the whole vocabulary, in units of 2^-16 nat, and records it.
    /// With a mask, only from the tokens that it allows.
    ///
    /// # Errors
    /// [`SampleError`] if there are no logits or too many, or if the mask allows none of their tokens. Nothing is
    /// recorded then.
    pub fn step(&mut self, logits: &[i32], mask: Option<&Mask>) -> Result<Choice, SampleError> {
        let logits = within_contract(logits)?;
        let token = self.choose(&logits, mask)?;
        let scored = self.top_logprobs.map(|top| scored(&logits, token, top)).transpose()?;
        self.force(token);
        Ok(Choice { token, scored })
    }

    /// The token that [`Sampler::step`] would choose. Nothing is recorded, and nothing scored.
    ///
    /// # Errors
    /// As [`Sampler::step`].
    pub fn pick(&mut self, logits: &[i32], mask: Option<&Mask>) -> Result<u32, SampleError> {
        self.choose(&within_contract(logits)?, mask)
    }

    /// Records a token that was decided elsewhere, as if [`Sampler::step`] had chosen it: one that a grammar
    /// leaves no choice about, or those of a choice that is taken up again.
    pub fn force(&mut self, token: u32) {
        self.position += 1;
        if !self.sampling.has_penalties() {
            return;
        }
        match self.seen.binary_search_by_key(&token, |(seen, _)| *seen) {
            Ok(at) => self.seen[at].1 = self.seen[at].1.saturating_add(1),
            Err(at) => self.seen.insert(at, (token, 1)),
        }
    }

    fn choose(&mut self, logits: &[i32], mask: Option<&Mask>) -> Result<u32, SampleError> {
        let unchanged = mask.is_none() && self.seen.is_empty() && self.sampling.logit_bias.is_empty();
        if !unchanged {
            self.adjust(logits, mask);
        }
        let logits = if unchanged { logits } else { &self.adjusted };
        let first: Key = first(logits).ok_or(SampleError::NothingAllowed)?;
        if self.sampling.is_greedy() {
            return Ok(first.token());
        }
        let word = self.stream.word(self.position);
        Ok(self.rules.draw(logits, first, word, &mut self.scratch))
    }

    /// Steps 1 to 4 of the contract.
    fn adjust(&mut self, logits: &[i32], mask: Option<&Mask>) {
        self.adjusted.clear();
        self.adjusted.extend_from_slice(logits);
        for (token, bias) in &self.sampling.logit_bias {
            if let Some(logit) = self.adjusted.get_mut(*token as usize) {
                *logit = clamp(i64::from(*logit) + i64::from(bias.0));
            }
        }
        for (token, count) in &self.seen {
            if let Some(logit) = self.adjusted.get_mut(*token as usize) {
                *logit = penalised(*logit, *count, &self.sampling);
            }
        }
        if let Some(mask) = mask {
            mask.apply(&mut self.adjusted, EXCLUDED);
        }
    }
}

/// A logit after the penalties for a token that was generated `count` times.
fn penalised(logit: i32, count: u32, sampling: &Sampling) -> i32 {
    let mut logit = logit;
    let penalty = sampling.repetition_penalty;
    if penalty != Q16::ONE {
        let (one, penalty) = (i128::from(Q16::ONE.0), i128::from(penalty.0));
        let (factor, divisor) = if logit > 0 { (one, penalty) } else { (penalty, one) };
        let changed = divide_even(i128::from(logit) * factor, divisor);
        // A logit of 31 bits by a factor of 31 bits.
        logit = clamp(changed as i64);
    }
    if count == 0 {
        return logit;
    }
    let (frequency, presence) =
        (i64::from(sampling.frequency_penalty.0), i64::from(sampling.presence_penalty.0));
    clamp(i64::from(logit).saturating_sub((i64::from(count) * frequency).saturating_add(presence)))
}

fn clamp(logit: i64) -> i32 {
    let most = i64::from(MAX_LOGIT);
    // Between them it fits.
    logit.clamp(-most, most) as i32
}
