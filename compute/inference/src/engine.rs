//! The engine: many requests at once on one model, on a thread of its own.
//!
//! - **Admission**: a bounded queue; what can never fit is refused at once, with the limit.
//! - **Steps**: each step computes one position of every sequence that generates, and shares the rest of its rows
//!   evenly among the prompts, so that neither a long prompt nor a crowd makes others stand still.
//! - **Memory**: pages are taken as they are filled. When none is left, the youngest sequence gives its pages up, and is
//!   computed again when there is room: the oldest always goes on, and to compute again gives the same bits.
//! - **Ends**: a stop token, a limit, the grammar; a dropped receiver; [`shutdown`](Engine::shutdown). If the engine's
//!   thread breaks, every stream ends with an error.

mod plan;
mod results;
mod scheduler;
mod sequence;
mod verify;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use freeway_kernels::served::PAGE_POSITIONS;
use freeway_requests::{Invalid, MAX_TOP_LOGPROBS, Problem};
use tokio::sync::{mpsc, oneshot};

use crate::cache::Cache;
use crate::constraint::Guarded;
use crate::model::Model;
use crate::request::{Pending, Refused, Request, Running, ScoreRequest, Scores, check_tokens};
use scheduler::Scheduler;
use sequence::{Job, Task};

/// The most sequences an engine can be told to run at once.
pub const MAX_SEQUENCES: usize = 1024;
/// The most requests an engine can be told to let wait.
pub const MAX_WAITING: usize = 1 << 16;
/// The most rows an engine can be told to compute in a step.
pub const MAX_ROWS_PER_STEP: usize = 4096;

/// How an engine behaves under load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Room for keys and values; memory is taken as it is needed.
    pub cache_bytes: u64,
    /// The most sequences that are computed at once; 1 to [`MAX_SEQUENCES`].
    pub max_sequences: usize,
    /// The most requests that wait; 1 to [`MAX_WAITING`].
    pub max_waiting: usize,
    /// The most rows (positions) of a step; `max_sequences` to [`MAX_ROWS_PER_STEP`]. More make long prompts faster, and
    /// generation beside them less even.
    pub rows_per_step: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { cache_bytes: 2 << 30, max_sequences: 64, max_waiting: 256, rows_per_step: 256 }
    }
}

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A number is out of its range.
    #[error("{name} is {value}, must be from {least} to {most}")]
    Option {
        /// Which of the options.
        name: &'static str,
        /// What it is.
        value: usize,
        /// The least it may be.
        least: usize,
        /// The most it may be.
        most: usize,
    },
    /// Not even one page of keys and values has room.
    #[error(
        "room for keys and values is {bytes} bytes and one page of this model takes {page}; give it more"
    )]
    NoRoom {
        /// The room.
        bytes: u64,
        /// A page.
        page: usize,
    },
    /// The system gave no thread.
    #[error("the system started no thread for the engine: {0}")]
    Thread(#[from] std::io::Error),
}

/// How an engine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shutdown {
    /// What was taken is finished.
    Drain,
    /// After the step at hand, all requests fail.
    Abort,
}

/// What an engine did since it started, and what it does now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests that wait.
    pub waiting: usize,
    /// Sequences that are computed.
    pub running: usize,
    /// Sequences that gave up their pages and wait for room.
    pub paused: usize,
    /// Tokens of prompts of requests that began.
    pub prompt_tokens: u64,
    /// Those of them that were found computed.
    pub cached_tokens: u64,
    /// Tokens generated.
    pub generated_tokens: u64,
    /// Requests that came to their end.
    pub finished: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests whose receiver went away.
    pub cancelled: u64,
    /// How often a sequence gave up its pages.
    pub preemptions: u64,
    /// Steps.
    pub steps: u64,
    /// Rows computed.
    pub rows: u64,
    /// Time spent in steps.
    pub busy: Duration,
    /// Pages there may be.
    pub pages_total: usize,
    /// Pages some sequence has.
    pub pages_in_use: usize,
    /// Pages kept for prompts to come, some of them in use.
    pub pages_cached: usize,
    /// Size of a page.
    pub page_bytes: usize,
}

/// What the engine's handle and its thread share.
struct Shared {
    queue: Mutex<Queue>,
    /// Something changed in the queue.
    changed: Condvar,
    stats: Mutex<Stats>,
}

/// The requests that wait, and the way to the end.
struct Queue {
    waiting: VecDeque<Job>,
    limit: usize,
    /// Requests that nobody waited for any more.
    cancelled: u64,
    shutdown: Option<Shutdown>,
    /// The thread computes no more.
    ended: bool,
    /// Makes the thread break at its next step.
    #[cfg(test)]
    sabotage: bool,
}

impl Queue {
    /// Drops what nobody waits for.
    fn sweep(&mut self) {
        let before = self.waiting.len();
        self.waiting.retain(|job| !job.task.is_cancelled());
        self.cancelled += (before - self.waiting.len()) as u64;
    }
}

impl Shared {
    /// The queue; it is kept in order also when somebody broke while holding it.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stats(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves one model. See the [module](self). Dropping it aborts, and waits for the step at hand.
pub struct Engine {
    model: Arc<Model>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Positions for which there is room.
    room: usize,
}

impl Engine {
    /// Starts an engine for `model`.
    ///
    /// # Errors
    /// If an option is out of range, there is no room for a page, or the system gives no thread.
    pub fn start(model: Arc<Model>, options: &EngineOptions) -> Result<Self, StartError> {
        let ranges = [
            ("max_sequences", options.max_sequences, 1, MAX_SEQUENCES),
            ("max_waiting", options.max_waiting, 1, MAX_WAITING),
            ("rows_per_step", options.rows_per_step, options.max_sequences, MAX_ROWS_PER_STEP),
        ];
        for (name, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(StartError::Option { name, value, least, most });
            }
        }
        let page = model.page_bytes();
        let pages = usize::try_from(options.cache_bytes / page as u64).unwrap_or(usize::MAX);
        if pages == 0 {
            return Err(StartError::NoRoom { bytes: options.cache_bytes, page });
        }
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                limit: options.max_waiting,
                cancelled: 0,
                shutdown: None,
                ended: false,
                #[cfg(test)]
                sabotage: false,
            }),
            changed: Condvar::new(),
            stats: Mutex::new(Stats { pages_total: pages, page_bytes: page, ..Stats::default() }),
        });
        let cache = {
            let model = Arc::clone(&model);
            Cache::new(pages, move || model.page())
        };
        let scheduler = Scheduler::new(Arc::clone(&model), Arc::clone(&shared), cache, options);
        let thread = thread::Builder::new().name("engine".to_owned()).spawn(move || work(scheduler))?;
        Ok(Self { model, shared, thread: Some(thread), room: pages.saturating_mul(PAGE_POSITIONS) })
    }

    /// The model it serves.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Takes a generation. Never waits.
    ///
    /// # Errors
    /// If the request is wrong, does not fit, or the queue is full.
    pub fn submit(&self, request: Request) -> Result<Running, Refused> {
        let Request { tokens, constraint, trace } = request;
        if tokens.model != self.model.root() {
            return Err(Refused::WrongModel);
        }
        tokens.validate(self.model.config().vocabulary)?;
        if tokens.grammar.is_some() != constraint.is_some() {
            return Err(Refused::NoConstraint);
        }
        self.check_room(tokens.prompt.len(), tokens.max_tokens as usize)?;
        let (sender, receiver) = mpsc::unbounded_channel();
        let choices = tokens.choices;
        // Copies are made here, so that the engine's thread has less to do and nothing to fear.
        let first = Guarded::new(constraint);
        let others = (1..choices).map(|_| first.fork()).collect::<Result<Vec<_>, _>>()?;
        self.enqueue(Job::generate(tokens, first, others, trace, sender))?;
        Ok(Running::new(receiver, choices))
    }

    /// Takes a scoring. Never waits.
    ///
    /// # Errors
    /// If the request is wrong, does not fit, or the queue is full.
    pub fn score(&self, request: ScoreRequest) -> Result<Pending<Scores>, Refused> {
        let ScoreRequest { prompt, continuation, top } = request;
        if top > MAX_TOP_LOGPROBS {
            let [actual, least, most] = [top, 0, MAX_TOP_LOGPROBS].map(|value| value.to_string());
            let problem = Problem::OutOfRange { actual, least, most };
            return Err(Invalid { field: "top_logprobs", problem }.into());
        }
        let vocabulary = self.model.config().vocabulary;
        check_tokens("prompt", &prompt, vocabulary)?;
        check_tokens("continuation", &continuation, vocabulary)?;
        self.check_room(prompt.len() + continuation.len() - 1, 1)?;
        let (sender, receiver) = oneshot::channel();
        let task = Task::score(prompt.len(), top, sender);
        self.enqueue(Job::new(task, [prompt, continuation].concat()))?;
        Ok(Pending(receiver))
    }

    /// Takes an embedding: the mean over all positions of the states after the final norm, as many as the model is
    /// wide. Never waits.
    ///
    /// # Errors
    /// If there are no tokens, they do not fit, or the queue is full.
    pub fn embed(&self, tokens: Vec<u32>) -> Result<Pending<Vec<f32>>, Refused> {
        check_tokens("input", &tokens, self.model.config().vocabulary)?;
        self.check_room(tokens.len(), 1)?;
        let (sender, receiver) = oneshot::channel();
        self.enqueue(Job::new(Task::embed(self.model.config().width(), sender), tokens))?;
        Ok(Pending(receiver))
    }

    /// What it did and does.
    pub fn stats(&self) -> Stats {
        let queue = self.shared.queue();
        let (waiting, cancelled) = (queue.waiting.len(), queue.cancelled);
        drop(queue);
        let stats = *self.shared.stats();
        Stats { waiting, cancelled: cancelled + stats.cancelled, ..stats }
    }

    /// Begins to end; returns at once. From now on requests are refused. To abort what is being drained is possible,
    /// the other way round it is not.
    pub fn shutdown(&self, how: Shutdown) {
        let mut queue = self.shared.queue();
        queue.shutdown = queue.shutdown.max(Some(how));
        self.shared.changed.notify_all();
    }

    /// Waits until it has ended, after [`shutdown`](Self::shutdown).
    pub fn join(&self) {
        let mut queue = self.shared.queue();
        while !queue.ended {
            queue = self.shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn enqueue(&self, job: Job) -> Result<(), Refused> {
        let mut queue = self.shared.queue();
        if queue.ended || queue.shutdown.is_some() {
            return Err(Refused::Stopping);
        }
        if queue.waiting.len() >= queue.limit {
            queue.sweep();
        }
        let (waiting, limit) = (queue.waiting.len(), queue.limit);
        if waiting >= limit {
            return Err(Refused::Busy { waiting, limit });
        }
        queue.waiting.push_back(job);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Checks that `prompt` tokens fit the context, and that the pages for one sequence that goes on for `more` (at
    /// least one, of which the last is not computed) exist.
    fn check_room(&self, prompt: usize, more: usize) -> Result<(), Refused> {
        let context = self.model.config().context();
        if prompt > context {
            return Err(Refused::TooLong { tokens: prompt, limit: context });
        }
        let positions = (prompt + more - 1).min(context);
        if positions > self.room {
            return Err(Refused::TooLong { tokens: positions, limit: self.room });
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shutdown(Shutdown::Abort);
        if let Some(thread) = self.thread.take() {
            // It catches its panics, so there is nothing to learn from the result.
            let _ = thread.join();
        }
    }
}

/// The engine's thread.
fn work(mut scheduler: Scheduler) {
    let ended = catch_unwind(AssertUnwindSafe(|| scheduler.run()));
    if ended.is_err() {
        tracing::error!("the engine broke; its requests fail");
    }
    scheduler.end();
}
