//! Token requests and the sampling contract: what is signed and re-executed, in integers alone.
//!
//! | module | concern |
//! |---|---|
//! | `request` | [`TokenRequest`]: its limits, its one encoding, its digest |
//! | `sampling` | [`Sampling`]: the parameters in fixed point, and their limits |
//! | `fixed` | [`Q16`] and [`Share`]: fixed-point numbers, read from decimal text |
//! | `mask` | [`Mask`]: the tokens that a grammar allows next |
//! | `sampler` | [`Sampler`]: one choice of a request, token by token |
//! | `scores` | [`score`]: log-probability, rank and the most likely tokens |
//! | `draw` | which tokens stay, and which of them is drawn |
//! | `select` | the order of tokens, and the largest of them without sorting all |
//! | `exponential` | powers of two and binary logarithms of fixed-point numbers |
//! | `stream` | the numbers that decide draws |
//! | [`evidence`] | whether tokens came from their model, where no bit can be computed again |
//!
//! Text stays outside: templates, tokenizers, tools and stop strings belong to the gateway. What is left is a
//! function from logits to tokens that gives the same answer on every machine.
//!
//! # The contract
//! Logits are `i32` in units of 2^-16 nat, clamped to ±2^30. Tokens are ordered by logit, descending; equal
//! logits by id, ascending. For the token at position `i` of choice `c` (both from 0):
//!
//! 1. **Bias**: the entries of `logit_bias` are added.
//! 2. **Repetition penalty** `r`, for every distinct token of prompt and output: a positive logit becomes `l / r`,
//!    another one `l * r`.
//! 3. **Frequency and presence penalties** `f` and `p`, for every token that was generated `n > 0` times:
//!    `l - n * f - p`.
//! 4. **Mask**: tokens outside are excluded; it is an error if none is left.
//! 5. **Greedy** (temperature 0): the first in order. Otherwise `d = largest - l` and the weight of a token is
//!    `2^43 * e^(-d / temperature)`, rounded, by the tables of `exponential`.
//! 6. **Top-k**: the first `top_k` in order stay.
//! 7. **Top-p**: of those, the shortest beginning in order stays whose weight is at least `top_p` of their total;
//!    at least one token.
//! 8. **Min-p**: of those, the tokens stay whose weight is at least `min_p` of 2^43, the weight of the most likely.
//! 9. **Draw**: with the number `w` (64 bits) of position `i` in the stream of choice `c` and the total `z` of what
//!    is left, the first token in order of ids at which the running sum of weights exceeds `floor(w * z / 2^64)`.
//!
//! Every division and every change of scale in steps 1 to 3 rounds half to even, and each step clamps to ±2^30.
//! The stream is keyed by the digest of the request and the choice: the same request gives the same tokens. A
//! seed is part of every request; a gateway whose client names none draws one.
//!
//! **Log-probabilities** are those of the model: of the logits as they came, before all of the steps.
//!
//! The crate has no floats, I/O, clock or randomness of its own, and nothing panics on any input. Encodings,
//! tables and choices are frozen by the golden vectors in `tests/golden/vectors.txt`.

pub mod evidence;

mod draw;
mod exponential;
mod fixed;
mod mask;
mod request;
mod sampler;
mod sampling;
mod scores;
mod select;
mod stream;

pub use fixed::{DecimalError, Q16, Share};
pub use mask::Mask;
pub use request::{
    Grammar, GrammarKind, Invalid, MAX_CHOICES, MAX_GRAMMAR_BYTES, MAX_NEW_TOKENS, MAX_PROMPT_TOKENS,
    MAX_STOP_TOKENS, MAX_TOP_LOGPROBS, MAX_VOCABULARY, ModelRoot, Problem, Seed, TokenRequest,
};
pub use sampler::{Choice, SampleError, Sampler};
pub use sampling::{MAX_LOGIT_BIAS, Sampling};
pub use scores::{LogProb, Scored, score};
