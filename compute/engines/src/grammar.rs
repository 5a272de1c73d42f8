//! Grammars: which tokens may come next, so that an answer keeps to a schema, a regular expression or a Lark grammar.
//!
//! The rule is a function of three things alone, so that every machine that computes a request again has the same
//! masks: the request's [`Grammar`], the bytes of the model's tokens (from its package), and the constants of this
//! module. **A token is allowed if the text so far, continued by the token's bytes, can still become a text of the
//! grammar**; tokens that end a text are allowed when the text so far is complete. No particular split of a text
//! into tokens is preferred, and every choice has its own copy of the parser in its first state, so that neither
//! neighbours nor caches can reach a limit earlier in one run than in another.
//!
//! What comes from outside is bounded before the compiler sees it ([`limits`]), the compiler runs on threads of its
//! own with a large stack, few at a time, and what it made is kept for the next request with the same grammar.

mod compile;
mod constraint;
pub(crate) mod limits;
mod vocabulary;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use freeway_requests::Grammar;
use llguidance::{Matcher, ParserFactory};
use tokio::sync::{Semaphore, oneshot};

use crate::{EngineError, ErrorKind};
pub(crate) use constraint::GrammarConstraint;
pub use limits::check_grammar;
pub use vocabulary::VocabularyError;
pub(crate) use vocabulary::{MARK, token_bytes, token_bytes_exist};

/// Compiled grammars that are kept.
const MAX_KEPT: usize = 32;
/// Grammars that are compiled at a time, for one model.
const MAX_COMPILING: usize = 2;
/// How long a request waits for its grammar.
const COMPILE_TIMEOUT: Duration = Duration::from_secs(10);
/// The stack of a compiler: references may be nested as deeply as there are references.
const COMPILE_STACK_BYTES: usize = 64 << 20;
/// When to try again if all compilers are busy.
const BUSY_RETRY: Duration = Duration::from_secs(2);

/// The parameter of requests that grammars come from.
pub(crate) const PARAM: &str = "response_format";

/// The grammars of one model.
pub struct Grammars {
    shared: Arc<Shared>,
    /// Tokens that end a text besides those of the model, if the request names them: control tokens.
    specials: BTreeSet<u32>,
    eos: Vec<u32>,
}

struct Shared {
    factory: ParserFactory,
    vocabulary: u32,
    compilers: Arc<Semaphore>,
    /// The last used first.
    kept: Mutex<Vec<(Grammar, Matcher)>>,
}

impl Grammars {
    /// Prepares a model with this tokenizer, `vocabulary` tokens and these ends of text. Takes up to a second for
    /// large vocabularies.
    ///
    /// # Errors
    /// If the bytes of the tokens cannot be told from the tokenizer.
    pub fn new(tokenizer_json: &[u8], vocabulary: u32, eos: &[u32]) -> Result<Self, VocabularyError> {
        Self::with_slices(tokenizer_json, vocabulary, eos, &compile::slices())
    }

    fn with_slices(
        tokenizer_json: &[u8],
        vocabulary: u32,
        eos: &[u32],
        slices: &[String],
    ) -> Result<Self, VocabularyError> {
        let words = vocabulary::token_bytes(tokenizer_json, vocabulary, eos)?;
        let specials = vocabulary::specials(&words);
        let factory = compile::factory(&words, eos, slices)?;
        let shared = Shared {
            factory,
            vocabulary,
            compilers: Arc::new(Semaphore::new(MAX_COMPILING)),
            kept: Mutex::new(Vec::new()),
        };
        Ok(Self { shared: Arc::new(shared), specials, eos: eos.to_vec() })
    }

    /// The constraint of a request with `grammar` and these stop tokens.
    ///
    /// # Errors
    /// If the grammar is wrong, not supported, too large or too slow to compile, or too many are being compiled.
    pub(crate) async fn constraint(
        &self,
        grammar: &Grammar,
        stop: &BTreeSet<u32>,
    ) -> Result<GrammarConstraint, EngineError> {
        let matcher = match self.shared.find(grammar) {
            Some(matcher) => matcher,
            None => self.compile(grammar).await?,
        };
        let ends = stop.iter().copied().filter(|id| self.specials.contains(id));
        let ends: BTreeSet<u32> = ends.chain(self.eos.iter().copied()).collect();
        Ok(GrammarConstraint::new(matcher, ends.into_iter().collect(), self.shared.vocabulary))
    }

    async fn compile(&self, grammar: &Grammar) -> Result<Matcher, EngineError> {
        let source = limits::prepare(grammar)?;
        let permit =
            tokio::time::timeout(COMPILE_TIMEOUT, Arc::clone(&self.shared.compilers).acquire_owned());
        let Ok(Ok(permit)) = permit.await else {
            let message = "too many grammars are being compiled; try again in a moment";
            return Err(EngineError::new(ErrorKind::Busy, message).with_retry_after(BUSY_RETRY));
        };
        let (sender, receiver) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        let key = grammar.clone();
        let spawned = std::thread::Builder::new()
            .name("grammar".to_owned())
            .stack_size(COMPILE_STACK_BYTES)
            .spawn(move || {
                let made = compile::compile(&shared.factory, source);
                let copy = made.map(|matcher| {
                    let copy = matcher.deep_clone();
                    shared.keep(key, matcher);
                    copy
                });
                drop(permit);
                // Nobody may be waiting any more; the grammar is kept all the same.
                let _ = sender.send(copy);
            });
        if spawned.is_err() {
            let message = "no thread could be started for the grammar; try again in a moment";
            return Err(EngineError::new(ErrorKind::Busy, message).with_retry_after(BUSY_RETRY));
        }
        match tokio::time::timeout(COMPILE_TIMEOUT, receiver).await {
            Ok(Ok(made)) => made,
            Ok(Err(_)) => Err(invalid("it could not be compiled; simplify it")),
            Err(_) => Err(invalid("it takes too long to compile; simplify it")),
        }
    }
}

impl Shared {
    /// A fresh copy of a kept grammar.
    fn find(&self, grammar: &Grammar) -> Option<Matcher> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(key, _)| key == grammar)?;
        let entry = kept.remove(at);
        let copy = entry.1.deep_clone();
        kept.insert(0, entry);
        Some(copy)
    }

    fn keep(&self, grammar: Grammar, matcher: Matcher) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.iter().all(|(key, _)| *key != grammar) {
            kept.insert(0, (grammar, matcher));
            kept.truncate(MAX_KEPT);
        }
    }
}

impl core::fmt::Debug for Grammars {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Grammars").field("vocabulary", &self.shared.vocabulary).finish_non_exhaustive()
    }
}

/// The grammar of a request is wrong.
pub(crate) fn invalid(message: impl core::fmt::Display) -> EngineError {
    EngineError::new(ErrorKind::Invalid, format!("the grammar cannot be used: {message}"))
        .with_param(PARAM)
        .with_code("invalid_grammar")
}

#[cfg(test)]
mod tests;
