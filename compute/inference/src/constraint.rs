//! Constraints: what may come next, decided by a grammar that this crate knows nothing about.

use std::panic::{AssertUnwindSafe, catch_unwind};

use freeway_requests::Mask;

/// Restricts the tokens of one choice, one token after the other.
///
/// It is called on the engine's thread between two tokens, so it should be quick. If it panics, its own stream ends
/// with an error and all others go on.
pub trait Constraint: Send {
    /// The tokens that may come next; `None` if all may.
    ///
    /// # Errors
    /// If nothing can follow, or a limit of the grammar is exceeded.
    fn mask(&mut self) -> Result<Option<Mask>, ConstraintError>;

    /// Takes the chosen token. Gives whether the text is complete, so that nothing may follow.
    ///
    /// # Errors
    /// If the token was not allowed, or a limit of the grammar is exceeded.
    fn accept(&mut self, token: u32) -> Result<bool, ConstraintError>;

    /// An independent copy in the state of now: each choice of a request has its own.
    fn fork(&self) -> Box<dyn Constraint>;
}

/// Why a constraint cannot go on. It ends the stream it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the grammar cannot go on: {0}")]
pub struct ConstraintError(pub String);

/// The constraint of one choice, if any, with a wall against its panics.
pub(crate) struct Guarded(Option<Box<dyn Constraint>>);

impl Guarded {
    /// Guards `constraint`.
    pub(crate) fn new(constraint: Option<Box<dyn Constraint>>) -> Self {
        Self(constraint)
    }

    /// See [`Constraint::mask`].
    pub(crate) fn mask(&mut self) -> Result<Option<Mask>, ConstraintError> {
        let Some(inner) = &mut self.0 else { return Ok(None) };
        guard(|| inner.mask())?
    }

    /// See [`Constraint::accept`].
    pub(crate) fn accept(&mut self, token: u32) -> Result<bool, ConstraintError> {
        let Some(inner) = &mut self.0 else { return Ok(false) };
        guard(|| inner.accept(token))?
    }

    /// See [`Constraint::fork`].
    pub(crate) fn fork(&self) -> Result<Self, ConstraintError> {
        let Some(inner) = &self.0 else { return Ok(Self(None)) };
        guard(|| inner.fork()).map(|copy| Self(Some(copy)))
    }
}

/// Runs `body`, a panic becoming an error. What panicked is not used again: its stream ends.
fn guard<T>(body: impl FnOnce() -> T) -> Result<T, ConstraintError> {
    catch_unwind(AssertUnwindSafe(body))
        .map_err(|_| ConstraintError("it broke inside; try a simpler grammar".to_owned()))
}
