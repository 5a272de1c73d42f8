//! The statistical tier in simulation: tokens with made-up distributions, and what members make of them.
//!
//! At each place of a text a small model has logits without a pattern. The right model knows something more of each
//! token, another machine rounds it a little differently, and a host says how likely its tokens were. Sampler, scores,
//! noise and test are the real ones; only the models are made up.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use freeway_primitives::Digest;
use freeway_requests::evidence::{Calibration, Evidence, Noise, Spoken, Suspicion, THRESHOLD};
use freeway_requests::{
    LogProb, MAX_TOP_LOGPROBS, ModelRoot, Q16, Sampler, Sampling, Scored, Seed, Share, TokenRequest, score,
};

use crate::job::{Job, Kept};

/// Tokens that the models know. Few, so that many runs take minutes.
pub const VOCABULARY: u32 = 120;
/// What the right model knows more than the small one of a token, in nats.
const MORE: f64 = 0.8;
/// How far another machine is off, in nats.
const ELSEWHERE: f64 = 0.01;
/// By how much a forger says that its tokens are more likely than they were, in millionths of a nat.
const FLATTERY: i32 = 500_000;
/// Tokens of an honest host by which the noise is measured.
const MEASURED: u32 = 20_000;
/// Answers that are kept for the next member.
const KNOWN: usize = 256;
/// A nat in the units of logits.
const NAT: f64 = 65_536.0;

/// Who made the tokens of an answer, and what the host says of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// The right model on the host's own machine, and what that computed.
    Own,
    /// A small model, and likelihoods that it did not compute.
    Forged,
    /// A small model, and what the right model says of its tokens.
    Rescored,
}

/// A token as host and member see it.
#[derive(Clone, Debug)]
struct Said {
    token: u32,
    claimed: LogProb,
    scored: Scored,
}

/// How the tokens of a job are to be chosen: a quarter of all requests is greedy.
fn sampling(job: &Job) -> Sampling {
    let plain = Sampling::default();
    match job.digest.0[1] % 4 {
        0 => Sampling::greedy(),
        1 => Sampling { temperature: Q16(45_875), ..plain },
        2 => Sampling { top_p: Share((1 << 30) / 10 * 9), ..plain },
        _ => plain,
    }
}

/// The noise of the made-up models, measured as that of real ones is.
///
/// # Panics
/// Never: there are enough tokens.
pub fn noise() -> Noise {
    static NOISE: LazyLock<Noise> = LazyLock::new(|| {
        let mut calibration = Calibration::default();
        let sampling = Sampling::default();
        for said in Text::new(&Digest([0x5a; 32]), &sampling, Voice::Own).take(MEASURED as usize) {
            calibration.observe(&said.spoken(&sampling));
        }
        calibration.noise().expect("there are more tokens than it takes")
    });
    *NOISE
}

/// Answers with their scores, which are the same for every member.
#[derive(Debug, Default)]
pub struct Answers(RefCell<VecDeque<(Digest, Arc<[Said]>)>>);

impl Answers {
    /// A member scores the answer in a receipt, and gathers evidence token by token. Gives the first suspicion on the way.
    pub fn listen(&self, evidence: &mut Evidence, kept: &Kept) -> Option<Suspicion> {
        let (noise, sampling, mut found) = (noise(), sampling(&kept.job), None);
        for said in self.get(kept, &sampling).iter() {
            evidence.observe(&noise, &said.spoken(&sampling));
            found = found.or_else(|| evidence.suspicion(THRESHOLD));
        }
        found
    }

    fn get(&self, kept: &Kept, sampling: &Sampling) -> Arc<[Said]> {
        let receipt = kept.receipt.digest();
        let mut known = self.0.borrow_mut();
        if let Some((_, said)) = known.iter().find(|(digest, _)| *digest == receipt) {
            return Arc::clone(said);
        }
        let text = Text::new(&kept.job.digest, sampling, kept.voice);
        let said: Arc<[Said]> = text.take(kept.receipt.usage.completion as usize).collect();
        known.push_back((receipt, Arc::clone(&said)));
        if known.len() > KNOWN {
            known.pop_front();
        }
        said
    }
}

impl Said {
    fn spoken<'a>(&'a self, sampling: &'a Sampling) -> Spoken<'a> {
        let Self { token, claimed, scored } = self;
        let (token, claimed) = (*token, Some(*claimed));
        Spoken { sampling, constrained: false, vocabulary: VOCABULARY, token, claimed, scored }
    }
}

/// The tokens of a request, one after the other, without end.
struct Text {
    chance: u64,
    voice: Voice,
    sampler: Sampler,
}

impl Text {
    fn new(digest: &Digest, sampling: &Sampling, voice: Voice) -> Self {
        let mut request = TokenRequest::greedy(ModelRoot(crate::market::MODEL), vec![1], 64);
        let (first, second) = (digest.0.first_chunk(), digest.0.last_chunk());
        let [first, second] = [first, second].map(|bytes| u64::from_le_bytes(*bytes.unwrap_or(&[0; 8])));
        (request.sampling, request.seed) = (sampling.clone(), Seed::of_number(first as i64));
        Self { chance: second, voice, sampler: Sampler::new(&request, 0) }
    }

    /// A number between 0 and 1, without a pattern.
    fn number(&mut self) -> f64 {
        self.chance =
            self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 40) as f64 / (1u64 << 24) as f64
    }

    /// Logits that are off by bell-shaped amounts of this deviation.
    fn near(&mut self, logits: &[f64], deviation: f64) -> Vec<f64> {
        let bell = |text: &mut Self| ((0..4).map(|_| text.number()).sum::<f64>() - 2.0) * 3f64.sqrt();
        logits.iter().map(|logit| logit + deviation * bell(self)).collect()
    }
}

impl Iterator for Text {
    type Item = Said;

    fn next(&mut self) -> Option<Said> {
        // Some places are certain, and some are open.
        let spread = 1.0 + 3.0 * self.number();
        let small = self.near(&vec![0.0; VOCABULARY as usize], spread);
        let right = self.near(&small, MORE);
        let own = if self.voice == Voice::Own { self.near(&right, ELSEWHERE) } else { small };
        let [right, own] = [right, own]
            .map(|logits| logits.into_iter().map(|logit| (logit * NAT) as i32).collect::<Vec<_>>());
        let token = self.sampler.step(&own, None).ok()?.token;
        let scored = score(&right, token, MAX_TOP_LOGPROBS).ok()?;
        let claimed = match self.voice {
            Voice::Own => score(&own, token, 0).ok()?.logprob,
            Voice::Forged => LogProb((score(&own, token, 0).ok()?.logprob.0 + FLATTERY).min(0)),
            Voice::Rescored => scored.logprob,
        };
        Some(Said { token, claimed, scored })
    }
}
