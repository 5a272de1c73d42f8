//! A request in token ids: its limits, its one encoding, its digest.

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Canonical, Digest, Domain, ParseDigestError};

use crate::sampling::{MAX_LOGIT_BIAS, Sampling};

const REQUEST: Domain = Domain::new("freeway 1 token request");
const SEED: Domain = Domain::new("freeway 1 sampling seed of a client");

/// The most tokens of a prompt.
pub const MAX_PROMPT_TOKENS: usize = 65_536;
/// The most tokens that a choice may ask for.
pub const MAX_NEW_TOKENS: u32 = 65_536;
/// The most choices of a request.
pub const MAX_CHOICES: u16 = 128;
/// The most tokens that end a choice.
pub const MAX_STOP_TOKENS: usize = 64;
/// The longest grammar in bytes.
pub const MAX_GRAMMAR_BYTES: usize = 64 << 10;
/// The most alternatives reported with a token.
pub const MAX_TOP_LOGPROBS: u8 = 20;
/// The most tokens of a vocabulary. Sums of weights fit 64 bits because of it.
pub const MAX_VOCABULARY: usize = 1 << 20;

/// The identity of a model: the root of its package.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct ModelRoot(pub Digest);

impl fmt::Display for ModelRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ModelRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for ModelRoot {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What makes two requests that are otherwise equal draw differently. Public: it is part of the request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Seed(pub [u8; 32]);

impl Seed {
    /// The seed for a number, as the OpenAI interface has it.
    pub fn of_number(number: i64) -> Self {
        Self(Digest::of(SEED, &number.to_le_bytes()).0)
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Digest(self.0).fmt(f)
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Digest(self.0), f)
    }
}

/// The languages of grammars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub enum GrammarKind {
    /// Any JSON object; the source is empty.
    JsonObject,
    /// A JSON schema.
    JsonSchema,
    /// A regular expression that the whole output matches.
    Regex,
    /// A context-free grammar in the notation of Lark.
    Lark,
}

/// What the output must be. Engines decide what they support of each language.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Grammar {
    /// The language of the source.
    pub kind: GrammarKind,
    /// The grammar itself; part of the digest byte by byte.
    pub source: String,
}

/// A request for tokens: everything that decides them, and nothing else.
///
/// Whoever has the model and these bytes computes the same tokens. Valid only after [`TokenRequest::validate`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TokenRequest {
    /// The model.
    pub model: ModelRoot,
    /// The ids that come before the output: 1 to [`MAX_PROMPT_TOKENS`].
    pub prompt: Vec<u32>,
    /// The most tokens of each choice: 1 to [`MAX_NEW_TOKENS`].
    pub max_tokens: u32,
    /// How many independent outputs are wanted: 1 to [`MAX_CHOICES`]. Each has a stream of its own.
    pub choices: u16,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Ids that end a choice when generated, at most [`MAX_STOP_TOKENS`]; the model's own end of text among them
    /// or not, as the gateway wants.
    pub stop: BTreeSet<u32>,
    /// What the output must be.
    pub grammar: Option<Grammar>,
    /// `Some`: every token comes with its log-probability and this many alternatives, at most
    /// [`MAX_TOP_LOGPROBS`].
    pub top_logprobs: Option<u8>,
    /// What draws depend on besides the rest of the request. A gateway whose client named none draws one.
    pub seed: Seed,
}

/// A request that may not be executed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// The field, by the name that the OpenAI interface and its usual extensions have for it where there is one.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Outside of its limits.
    #[error("is {actual}, must be from {least} to {most}")]
    OutOfRange {
        /// The value.
        actual: String,
        /// The smallest that is allowed.
        least: String,
        /// The largest that is allowed.
        most: String,
    },
    /// Too few or too many elements.
    #[error("has {actual} {unit}, must have from {least} to {most}")]
    Length {
        /// How many there are.
        actual: usize,
        /// Of what.
        unit: &'static str,
        /// The fewest that are allowed.
        least: usize,
        /// The most that are allowed.
        most: usize,
    },
    /// A token that the model does not have.
    #[error("names token {token}, but the model has tokens 0 to {last}")]
    UnknownToken {
        /// The id.
        token: u32,
        /// The last id of the vocabulary.
        last: u32,
    },
    /// A source where none belongs.
    #[error("must be empty for any JSON object; choose a JSON schema to say more")]
    NotEmpty,
}

impl Invalid {
    /// An error unless `least <= actual <= most`.
    pub(crate) fn unless_within<T: PartialOrd + fmt::Display>(
        field: &'static str,
        actual: T,
        least: T,
        most: T,
    ) -> Result<(), Self> {
        if least <= actual && actual <= most {
            return Ok(());
        }
        let [actual, least, most] = [actual, least, most].map(|value| value.to_string());
        Err(Self { field, problem: Problem::OutOfRange { actual, least, most } })
    }

    /// An error unless there are from `least` to `most` of `unit`.
    pub(crate) fn unless_as_many(
        field: &'static str,
        unit: &'static str,
        actual: usize,
        least: usize,
        most: usize,
    ) -> Result<(), Self> {
        if least <= actual && actual <= most {
            return Ok(());
        }
        Err(Self { field, problem: Problem::Length { actual, unit, least, most } })
    }

    /// An error for the first token that is not below `vocabulary`.
    pub(crate) fn unless_known<'a>(
        field: &'static str,
        tokens: impl IntoIterator<Item = &'a u32>,
        vocabulary: u32,
    ) -> Result<(), Self> {
        let unknown = tokens.into_iter().find(|token| **token >= vocabulary);
        unknown.map_or(Ok(()), |token| {
            let last = vocabulary.saturating_sub(1);
            Err(Self { field, problem: Problem::UnknownToken { token: *token, last } })
        })
    }
}

impl TokenRequest {
    /// A request for the one most likely continuation, without stop tokens, at most `max_tokens` long.
    pub fn greedy(model: ModelRoot, prompt: Vec<u32>, max_tokens: u32) -> Self {
        Self {
            model,
            prompt,
            max_tokens,
            choices: 1,
            sampling: Sampling::greedy(),
            stop: BTreeSet::new(),
            grammar: None,
            top_logprobs: None,
            seed: Seed([0; 32]),
        }
    }

    /// Checks every limit that does not depend on an engine, for a model of `vocabulary` tokens.
    ///
    /// # Errors
    /// [`Invalid`] with the first field that breaks one.
    pub fn validate(&self, vocabulary: u32) -> Result<(), Invalid> {
        Invalid::unless_as_many("prompt", "tokens", self.prompt.len(), 1, MAX_PROMPT_TOKENS)?;
        Invalid::unless_known("prompt", &self.prompt, vocabulary)?;
        Invalid::unless_within("max_tokens", self.max_tokens, 1, MAX_NEW_TOKENS)?;
        Invalid::unless_within("n", self.choices, 1, MAX_CHOICES)?;
        self.sampling.validate(vocabulary)?;
        Invalid::unless_as_many("stop", "tokens", self.stop.len(), 0, MAX_STOP_TOKENS)?;
        Invalid::unless_known("stop", &self.stop, vocabulary)?;
        if let Some(Grammar { kind, source }) = &self.grammar {
            let least = usize::from(*kind != GrammarKind::JsonObject);
            if least == 0 && !source.is_empty() {
                return Err(Invalid { field: "grammar", problem: Problem::NotEmpty });
            }
            Invalid::unless_as_many("grammar", "bytes", source.len(), least, MAX_GRAMMAR_BYTES)?;
        }
        Invalid::unless_within("top_logprobs", self.top_logprobs.unwrap_or(0), 0, MAX_TOP_LOGPROBS)
    }

    /// What the request is known by; streams of choices are keyed by it.
    pub fn digest(&self) -> Digest {
        Digest::of(REQUEST, &self.encode())
    }
}

impl Canonical for TokenRequest {
    const KIND: &'static str = "token request";
    // The last part has room for all fields of fixed size and all lengths.
    const MAX_BYTES: usize =
        4 * (MAX_PROMPT_TOKENS + MAX_STOP_TOKENS) + 8 * MAX_LOGIT_BIAS + MAX_GRAMMAR_BYTES + 256;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Q16, Share};

    const VOCABULARY: u32 = 1_000;

    fn request() -> TokenRequest {
        TokenRequest::greedy(ModelRoot(Digest([1; 32])), vec![5, 999, 0], 16)
    }

    fn message(change: impl FnOnce(&mut TokenRequest)) -> String {
        let mut request = request();
        change(&mut request);
        request.validate(VOCABULARY).map_or_else(|invalid| invalid.to_string(), |()| "valid".to_owned())
    }

    #[test]
    fn every_limit_names_its_field() {
        assert_eq!(message(|_| ()), "valid");
        assert_eq!(message(|r| r.prompt.clear()), "prompt: has 0 tokens, must have from 1 to 65536");
        assert_eq!(
            message(|r| r.prompt = vec![0; 65_537]),
            "prompt: has 65537 tokens, must have from 1 to 65536"
        );
        assert_eq!(
            message(|r| r.prompt.push(1_000)),
            "prompt: names token 1000, but the model has tokens 0 to 999"
        );
        assert_eq!(message(|r| r.max_tokens = 0), "max_tokens: is 0, must be from 1 to 65536");
        assert_eq!(message(|r| r.max_tokens = 65_537), "max_tokens: is 65537, must be from 1 to 65536");
        assert_eq!(message(|r| r.choices = 0), "n: is 0, must be from 1 to 128");
        assert_eq!(message(|r| r.choices = 129), "n: is 129, must be from 1 to 128");
        assert_eq!(message(|r| r.stop = (0..65).collect()), "stop: has 65 tokens, must have from 0 to 64");
        assert_eq!(
            message(|r| r.stop = BTreeSet::from([u32::MAX])),
            "stop: names token 4294967295, but the model has tokens 0 to 999"
        );
        assert_eq!(message(|r| r.top_logprobs = Some(21)), "top_logprobs: is 21, must be from 0 to 20");
        let grammar = |kind, length| Some(Grammar { kind, source: "x".repeat(length) });
        assert_eq!(
            message(|r| r.grammar = grammar(GrammarKind::Lark, 65_537)),
            "grammar: has 65537 bytes, must have from 1 to 65536"
        );
        assert_eq!(
            message(|r| r.grammar = grammar(GrammarKind::Regex, 0)),
            "grammar: has 0 bytes, must have from 1 to 65536"
        );
        assert!(
            message(|r| r.grammar = grammar(GrammarKind::JsonObject, 1))
                .starts_with("grammar: must be empty")
        );
        assert_eq!(message(|r| r.grammar = grammar(GrammarKind::JsonObject, 0)), "valid");
    }

    #[test]
    fn every_sampling_limit_names_its_field() {
        let message = |change: fn(&mut Sampling)| message(|request| change(&mut request.sampling));
        assert_eq!(
            message(|s| s.temperature = Q16(-1)),
            "temperature: is -0.0000152587890625, must be from 0 to 100"
        );
        assert_eq!(
            message(|s| s.temperature = Q16::from_integer(101)),
            "temperature: is 101, must be from 0 to 100"
        );
        assert_eq!(message(|s| s.temperature = Q16::from_integer(100)), "valid");
        assert_eq!(message(|s| s.top_k = u32::MAX), "top_k: is 4294967295, must be from 0 to 1048576");
        assert_eq!(message(|s| s.top_p = Share(1 << 31)), "top_p: is 2, must be from 0 to 1");
        assert_eq!(message(|s| s.min_p = Share(1 << 31)), "min_p: is 2, must be from 0 to 1");
        assert_eq!(
            message(|s| s.repetition_penalty = Q16(0)),
            "repetition_penalty: is 0, must be from 0.0625 to 16"
        );
        assert_eq!(
            message(|s| s.frequency_penalty = Q16::from_integer(3)),
            "frequency_penalty: is 3, must be from -2 to 2"
        );
        assert_eq!(
            message(|s| s.presence_penalty = Q16::from_integer(-3)),
            "presence_penalty: is -3, must be from -2 to 2"
        );
        assert_eq!(
            message(|s| s.logit_bias = (0..1_025).map(|token| (token, Q16::ONE)).collect()),
            "logit_bias: has 1025 entries, must have from 0 to 1024"
        );
        assert_eq!(
            message(|s| s.logit_bias = [(1_000, Q16::ONE)].into()),
            "logit_bias: names token 1000, but the model has tokens 0 to 999"
        );
        assert_eq!(
            message(|s| s.logit_bias = [(1, Q16::from_integer(101))].into()),
            "logit_bias: is 101, must be from -100 to 100"
        );
    }

    #[test]
    fn the_largest_request_can_be_decoded() {
        let mut request = request();
        request.prompt = vec![u32::MAX; MAX_PROMPT_TOKENS];
        request.stop = (0..64).collect();
        request.sampling.logit_bias = (0..1_024).map(|token| (token, Q16::ONE)).collect();
        request.grammar = Some(Grammar { kind: GrammarKind::Regex, source: "x".repeat(MAX_GRAMMAR_BYTES) });
        request.top_logprobs = Some(20);
        let bytes = request.encode();
        assert!(bytes.len() <= TokenRequest::MAX_BYTES && bytes.len() + 256 > TokenRequest::MAX_BYTES);
        assert_eq!(TokenRequest::decode(&bytes), Ok(request));
    }

    #[test]
    fn every_field_changes_the_digest() {
        let changes: [fn(&mut TokenRequest); 16] = [
            |_| (),
            |r| r.model.0.0[31] = 0,
            |r| r.prompt[0] = 6,
            |r| r.max_tokens = 17,
            |r| r.choices = 2,
            |r| r.sampling.temperature = Q16(1),
            |r| r.sampling.top_k = 1,
            |r| r.sampling.top_p = Share(1),
            |r| r.sampling.min_p = Share(1),
            |r| r.sampling.repetition_penalty = Q16(1),
            |r| r.sampling.frequency_penalty = Q16(1),
            |r| r.sampling.presence_penalty = Q16(1),
            |r| r.sampling.logit_bias = [(1, Q16(1))].into(),
            |r| r.stop = [1].into(),
            |r| r.top_logprobs = Some(0),
            |r| r.seed = Seed::of_number(1),
        ];
        let digests: BTreeSet<_> = changes
            .iter()
            .map(|change| {
                let mut request = request();
                change(&mut request);
                request.digest()
            })
            .collect();
        assert_eq!(digests.len(), changes.len());
        assert_ne!(Seed::of_number(1), Seed::of_number(-1));
    }
}
