//! What the exact engine says when it does not answer, in the words of the trait.

use core::time::Duration;

use freeway_inference::{Failure, Refused};
use freeway_requests::Invalid;

use crate::{EngineError, ErrorKind, grammar};

/// When to try again if the queue is full.
const BUSY_RETRY: Duration = Duration::from_secs(1);

/// A request breaks a rule of its own. The parameter is the field of the token request.
pub(super) fn of_invalid(invalid: &Invalid) -> EngineError {
    EngineError::new(ErrorKind::Invalid, invalid.to_string()).with_param(invalid.field)
}

/// A request was not taken.
pub(super) fn of_refused(refused: Refused) -> EngineError {
    let message = refused.to_string();
    match refused {
        Refused::Busy { .. } => EngineError::new(ErrorKind::Busy, message).with_retry_after(BUSY_RETRY),
        Refused::TooLong { .. } => EngineError::new(ErrorKind::TooLong, message),
        Refused::Invalid(invalid) => of_invalid(&invalid),
        Refused::WrongModel => EngineError::new(ErrorKind::Invalid, message).with_param("model"),
        Refused::Constraint(error) => grammar::invalid(error),
        Refused::NoConstraint => EngineError::new(ErrorKind::Internal, message),
        Refused::Stopping => EngineError::new(ErrorKind::Unavailable, message),
    }
}

/// A request came to no end.
pub(super) fn of_failure(failure: &Failure) -> EngineError {
    match failure {
        Failure::Stopped => EngineError::new(ErrorKind::Unavailable, failure.to_string()),
        Failure::Constraint(error) => grammar::invalid(error),
        Failure::Sampling(_) => EngineError::new(ErrorKind::Internal, failure.to_string()),
    }
}
