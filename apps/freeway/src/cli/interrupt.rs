//! Ctrl-C: ends a command at once, but never a prompt in the middle.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use crate::hints::Problem;

/// Runs a command until it ends or somebody presses Ctrl-C.
///
/// The handler is in place before the command begins. Without one, Ctrl-C at a passphrase prompt would end the
/// process while the terminal's echo is off; with it, the prompt puts the terminal in order and returns an
/// error, which comes first here as the command is asked first.
pub(super) async fn unless_interrupted(
    command: impl Future<Output = Result<(), Problem>>,
) -> Result<(), Problem> {
    let mut interrupt = pin!(tokio::signal::ctrl_c());
    // Being polled once installs the handler. If that fails, there is none, and Ctrl-C does what it always does.
    let installed = poll_fn(|task| Poll::Ready(interrupt.as_mut().poll(task).is_pending())).await;
    tokio::select! {
        biased;
        result = command => result,
        _ = interrupt, if installed => Err(Problem::interrupted()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_ends_with_its_own_result() {
        assert_eq!(unless_interrupted(async { Ok(()) }).await, Ok(()));
        let problem = Problem::new("x", "y");
        assert_eq!(unless_interrupted(async { Err(problem.clone()) }).await, Err(problem));
    }
}
