//! How tokens are chosen: the parameters in fixed point.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::request::{Invalid, MAX_VOCABULARY};
use crate::{Q16, Share};

/// The most tokens with a bias.
pub const MAX_LOGIT_BIAS: usize = 1_024;

const MIN_REPETITION_PENALTY: Q16 = Q16(Q16::ONE.0 / 16);
const MAX_REPETITION_PENALTY: Q16 = Q16::from_integer(16);
/// Of frequency and presence penalties, either way.
const MAX_PENALTY: i16 = 2;
/// Either way.
const MAX_BIAS: i16 = 100;

/// How the next token is chosen. The order of the operations is that of the crate's manual.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Sampling {
    /// Divides the logits: 0 to 100. At 0 the most likely token is taken.
    pub temperature: Q16,
    /// How many of the most likely tokens stay; 0 for all.
    pub top_k: u32,
    /// The share of probability that the most likely tokens which stay must reach together; [`Share::ONE`] for all.
    pub top_p: Share,
    /// Tokens stay that are at least this likely compared with the most likely one; [`Share::ZERO`] for all.
    pub min_p: Share,
    /// Divides positive logits of tokens in prompt or output and multiplies others: 1/16 to 16, 1 for no change.
    pub repetition_penalty: Q16,
    /// Subtracted from the logit of a token once for every time that it was generated: -2 to 2.
    pub frequency_penalty: Q16,
    /// Subtracted from the logit of every token that was generated: -2 to 2.
    pub presence_penalty: Q16,
    /// Added to the logits of single tokens: -100 to 100 each, at most [`MAX_LOGIT_BIAS`].
    pub logit_bias: BTreeMap<u32, Q16>,
}

impl Default for Sampling {
    /// The defaults of the OpenAI interface: temperature 1, and nothing else.
    fn default() -> Self {
        Self {
            temperature: Q16::ONE,
            top_k: 0,
            top_p: Share::ONE,
            min_p: Share::ZERO,
            repetition_penalty: Q16::ONE,
            frequency_penalty: Q16::ZERO,
            presence_penalty: Q16::ZERO,
            logit_bias: BTreeMap::new(),
        }
    }
}

impl Sampling {
    /// Weights reach far enough for no more: an excluded token must have no weight.
    pub(crate) const MAX_TEMPERATURE: Q16 = Q16::from_integer(100);

    /// Always the most likely token.
    pub fn greedy() -> Self {
        Self { temperature: Q16::ZERO, ..Self::default() }
    }

    /// Whether nothing is drawn. Bias, penalties and grammars count nevertheless.
    pub fn is_greedy(&self) -> bool {
        self.temperature <= Q16::ZERO
    }

    /// Whether logits change with what was said before.
    pub(crate) fn has_penalties(&self) -> bool {
        self.repetition_penalty != Q16::ONE
            || self.frequency_penalty != Q16::ZERO
            || self.presence_penalty != Q16::ZERO
    }

    /// Checks every limit, for a model of `vocabulary` tokens.
    pub(crate) fn validate(&self, vocabulary: u32) -> Result<(), Invalid> {
        let within = |field, value: Q16, most: i16| {
            Invalid::unless_within(field, value, Q16::from_integer(-most), Q16::from_integer(most))
        };
        Invalid::unless_within("temperature", self.temperature, Q16::ZERO, Self::MAX_TEMPERATURE)?;
        // 2^20 fits.
        Invalid::unless_within("top_k", self.top_k, 0, MAX_VOCABULARY as u32)?;
        Invalid::unless_within("top_p", self.top_p, Share::ZERO, Share::ONE)?;
        Invalid::unless_within("min_p", self.min_p, Share::ZERO, Share::ONE)?;
        Invalid::unless_within(
            "repetition_penalty",
            self.repetition_penalty,
            MIN_REPETITION_PENALTY,
            MAX_REPETITION_PENALTY,
        )?;
        within("frequency_penalty", self.frequency_penalty, MAX_PENALTY)?;
        within("presence_penalty", self.presence_penalty, MAX_PENALTY)?;
        Invalid::unless_as_many("logit_bias", "entries", self.logit_bias.len(), 0, MAX_LOGIT_BIAS)?;
        Invalid::unless_known("logit_bias", self.logit_bias.keys(), vocabulary)?;
        self.logit_bias.values().try_for_each(|bias| within("logit_bias", *bias, MAX_BIAS))
    }
}
