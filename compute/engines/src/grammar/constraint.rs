//! A compiled grammar as the engine's constraint.

use std::sync::Arc;

use freeway_inference::{Constraint, ConstraintError};
use freeway_requests::Mask;
use llguidance::Matcher;

use super::compile::told;

/// The grammar of one choice.
pub(crate) struct GrammarConstraint {
    matcher: Matcher,
    /// Tokens that end the text, sorted.
    ends: Arc<[u32]>,
    vocabulary: u32,
}

impl GrammarConstraint {
    /// A constraint in the state of `matcher`.
    pub(super) fn new(matcher: Matcher, ends: Arc<[u32]>, vocabulary: u32) -> Self {
        Self { matcher, ends, vocabulary }
    }
}

impl Constraint for GrammarConstraint {
    fn mask(&mut self) -> Result<Option<Mask>, ConstraintError> {
        let allowed = self.matcher.compute_mask().map_err(|error| failed(&error.to_string()))?;
        let mut words = Vec::from(allowed);
        let len = self.vocabulary as usize;
        // The set may have room for one token more than there are.
        words.truncate(len.div_ceil(32));
        let mut mask = Mask::from_words(words, len);
        if self.matcher.is_accepting().map_err(|error| failed(&error.to_string()))? {
            for &id in self.ends.iter() {
                mask.allow(id);
            }
        }
        Ok(Some(mask))
    }

    fn accept(&mut self, token: u32) -> Result<bool, ConstraintError> {
        if self.ends.binary_search(&token).is_ok() {
            return match self.matcher.is_accepting() {
                Ok(true) => Ok(true),
                Ok(false) => Err(failed("the text ended before it was complete")),
                Err(error) => Err(failed(&error.to_string())),
            };
        }
        self.matcher.consume_token(token).map_err(|error| failed(&error.to_string()))?;
        if !self.matcher.stop_reason().is_ok() {
            return Err(failed(&self.matcher.stop_reason().to_string()));
        }
        Ok(self.matcher.is_stopped())
    }

    fn fork(&self) -> Box<dyn Constraint> {
        let matcher = self.matcher.deep_clone();
        Box::new(Self { matcher, ends: Arc::clone(&self.ends), vocabulary: self.vocabulary })
    }
}

fn failed(message: &str) -> ConstraintError {
    ConstraintError(told(message))
}
