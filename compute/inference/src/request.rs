//! What is asked of an engine, and what it answers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use freeway_primitives::Digest;
use freeway_requests::{Invalid, MAX_PROMPT_TOKENS, Problem, Scored, TokenRequest};
use tokio::sync::{mpsc, oneshot};

use crate::constraint::{Constraint, ConstraintError};

/// A generation.
pub struct Request {
    /// What is computed. The same request gives the same tokens and trace roots on every machine.
    pub tokens: Arc<TokenRequest>,
    /// The request's grammar, made ready; it is forked once for each choice. Needed if, and only if, the request has
    /// a grammar.
    pub constraint: Option<Box<dyn Constraint>>,
    /// Whether trace roots are wanted. Without, a few per cent of the time of long prompts are saved, and the pages
    /// are not kept for other requests.
    pub trace: bool,
}

/// A scoring: how likely each token of a text was, given those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoreRequest {
    /// The tokens that come first, at least one.
    pub prompt: Vec<u32>,
    /// The tokens to be scored, at least one.
    pub continuation: Vec<u32>,
    /// How many of the most likely tokens are told for each; at most
    /// [`MAX_TOP_LOGPROBS`](freeway_requests::MAX_TOP_LOGPROBS).
    pub top: u8,
}

/// The answer to a [`ScoreRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scores {
    /// One for each token of the continuation.
    pub tokens: Vec<Scored>,
    /// The root that a generation of the continuation had (see [`trace`](crate::trace)).
    pub trace: Digest,
    /// Tokens of the prompt that were found computed.
    pub cached_tokens: u32,
}

/// A verification: whether this is what comes of a request.
pub struct VerifyRequest {
    /// What was asked.
    pub tokens: Arc<TokenRequest>,
    /// The request's grammar, made ready, as for the generation.
    pub constraint: Option<Box<dyn Constraint>>,
    /// What is claimed: the tokens of each choice, a stop token among them. Anything is taken; what no generation
    /// could give differs.
    pub output: Vec<Vec<u32>>,
}

/// The answer to a [`VerifyRequest`]. It does not depend on load or machine, but for `cached_tokens`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// The first difference, as choice and position in its completion: another token comes there, or none where one
    /// is claimed, or one where none is. `None` if all is right.
    pub differs: Option<(u16, u32)>,
    /// The trace roots of the choices before that one, in order; of all where nothing differs.
    pub traces: Vec<Digest>,
    /// Tokens of the prompt that were found computed.
    pub cached_tokens: u32,
}

/// Why a request was not taken. Nothing was computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The queue is full.
    #[error("the engine is busy: {waiting} requests wait and {limit} may; try again in a moment")]
    Busy {
        /// Requests that wait.
        waiting: usize,
        /// The most that may wait.
        limit: usize,
    },
    /// It does not fit the context of the model, or the engine's room for keys and values.
    #[error(
        "{tokens} tokens are asked for and {limit} are possible; shorten the prompt or ask for fewer tokens"
    )]
    TooLong {
        /// The tokens of the prompt, or of prompt and completion where the room of the engine is too small.
        tokens: usize,
        /// The most there may be.
        limit: usize,
    },
    /// The request breaks a rule of its own.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// It is for another model.
    #[error("this engine serves another model; send the request to one that serves the model it names")]
    WrongModel,
    /// A request with a grammar came without a constraint, or the other way round.
    #[error(
        "the request's grammar and constraint do not belong together; build the constraint from the grammar"
    )]
    NoConstraint,
    /// The constraint could not be copied for each choice.
    #[error(transparent)]
    Constraint(#[from] ConstraintError),
    /// The engine takes no more requests.
    #[error("the engine is stopping; send the request to another")]
    Stopping,
}

/// Why a request that was taken came to no end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The engine stopped: it was told to, or broke.
    #[error("the engine stopped before the end; send the request again")]
    Stopped,
    /// The grammar could not go on.
    #[error(transparent)]
    Constraint(#[from] ConstraintError),
    /// No token could be chosen.
    #[error("no token could be chosen: {0}")]
    Sampling(String),
}

/// A token was generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Which of the choices it belongs to.
    pub choice: u16,
    /// The token.
    pub id: u32,
    /// How likely it was, if the request asked.
    pub scored: Option<Scored>,
}

/// Why a choice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// This stop token was generated.
    Stop(u32),
    /// The grammar allows nothing more.
    Constraint,
    /// The request's limit or the end of the context was reached.
    Length,
}

/// A choice has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Which of the choices.
    pub choice: u16,
    /// Why.
    pub reason: FinishReason,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Those of them that were found computed.
    pub cached_tokens: u32,
    /// Tokens of the completion, a stop token among them.
    pub completion_tokens: u32,
    /// The root of the trace, if the request asked for it (see [`trace`](crate::trace)).
    pub trace: Option<Digest>,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It left the queue. Comes first, and once.
    Started {
        /// Tokens of the prompt that were found computed.
        cached_tokens: u32,
    },
    /// A choice has one more token.
    Token(Token),
    /// A choice has ended. After all of them nothing follows.
    Finished(Finished),
    /// The request has ended, with all its choices. Nothing follows.
    Failed(Failure),
}

/// The events of one request. Dropping it cancels the request.
#[derive(Debug)]
pub struct Running {
    events: mpsc::UnboundedReceiver<Event>,
    /// Choices that have not ended.
    left: u16,
}

impl Running {
    /// The events of a request with `choices` choices. Their number is bounded by the request, so the channel need
    /// not be, and a slow reader holds nobody up.
    pub(crate) fn new(events: mpsc::UnboundedReceiver<Event>, choices: u16) -> Self {
        Self { events, left: choices }
    }

    /// The next event; `None` after the last.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// The next event, for those who are not asynchronous.
    ///
    /// # Panics
    /// In a task of an asynchronous runtime, which must not block.
    pub fn blocking_next(&mut self) -> Option<Event> {
        if self.left == 0 {
            return None;
        }
        let event = self.events.blocking_recv();
        self.passed(event)
    }

    /// The next event, for streams.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.events.poll_recv(context).map(|event| self.passed(event))
    }

    /// Counts the choices down. If the engine is gone without a word, that is told.
    fn passed(&mut self, event: Option<Event>) -> Option<Event> {
        let event = event.unwrap_or(Event::Failed(Failure::Stopped));
        match event {
            Event::Finished(_) => self.left -= 1,
            Event::Failed(_) => self.left = 0,
            Event::Started { .. } | Event::Token(_) => {}
        }
        Some(event)
    }
}

/// An answer to come. Dropping it cancels the request.
#[derive(Debug)]
pub struct Pending<T>(pub(crate) oneshot::Receiver<Result<T, Failure>>);

impl<T> Pending<T> {
    /// Waits for the answer.
    ///
    /// # Errors
    /// If the engine stopped before.
    ///
    /// # Panics
    /// In a task of an asynchronous runtime, which must not block.
    pub fn wait(self) -> Result<T, Failure> {
        self.0.blocking_recv().unwrap_or(Err(Failure::Stopped))
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(Failure::Stopped)))
    }
}

/// Checks that there are tokens, not too many, and all of them in the vocabulary.
pub(crate) fn check_tokens(field: &'static str, tokens: &[u32], vocabulary: u32) -> Result<(), Invalid> {
    let (actual, least, most) = (tokens.len(), 1, MAX_PROMPT_TOKENS);
    if !(least..=most).contains(&actual) {
        return Err(Invalid { field, problem: Problem::Length { actual, unit: "tokens", least, most } });
    }
    match tokens.iter().find(|token| **token >= vocabulary) {
        Some(token) => {
            let last = vocabulary.saturating_sub(1);
            Err(Invalid { field, problem: Problem::UnknownToken { token: *token, last } })
        }
        None => Ok(()),
    }
}
