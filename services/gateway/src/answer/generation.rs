//! The generations of one request: one for each prompt, each with its choices.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use freeway_engines::{Event, EventStream, Paid};
use freeway_primitives::Digest;
use freeway_requests::TokenRequest;
use futures::StreamExt;
use tokio::time::Sleep;

use super::cancels::Cancels;
use super::choice::{Choice, Delta, Settings};
use super::meter::Meter;
use crate::error::ApiError;
use crate::wire::answers::{Proof, ProofOfChoice, Usage};

/// What happens.
#[derive(Debug)]
pub(crate) enum Update {
    /// A choice has something new.
    Delta(usize, Delta),
    /// Nothing follows.
    Failed(ApiError),
}

/// How long an answer that a stop string has ended waits for its receipt. The engine knows no stop strings: it goes
/// on to its own end, and may take long.
const GRACE: Duration = Duration::from_secs(2);

/// A prompt and the engine's answer to it.
pub(crate) struct Task {
    pub(crate) request: Arc<TokenRequest>,
    pub(crate) events: EventStream,
    /// Where the engine pays for it: how often that may be left undone.
    pub(crate) pays: Option<Arc<Cancels>>,
    /// Whether the answer can be computed again.
    pub(crate) exact: bool,
}

/// A task under way.
struct Running {
    request: Arc<TokenRequest>,
    events: Option<EventStream>,
    pays: Option<Arc<Cancels>>,
    exact: bool,
    /// Choices that the engine has ended.
    finished: usize,
    paid: Option<Paid>,
    /// Ends of choices, which wait for the receipt.
    held: Vec<Update>,
}

/// All generations of one request. Dropping it cancels them, or lets them end where work must be paid for.
pub(crate) struct Generation {
    tasks: Vec<Running>,
    /// Those of the first task, then those of the second, and so on.
    choices: Vec<Choice>,
    traces: Vec<Option<Digest>>,
    per_task: usize,
    queue: VecDeque<Update>,
    /// While only receipts are waited for.
    grace: Option<Pin<Box<Sleep>>>,
    over: bool,
    /// There until it is handed on when this is dropped.
    meter: Option<Meter>,
}

impl Generation {
    pub(crate) fn new(tasks: Vec<Task>, settings: &Settings, meter: Meter) -> Self {
        let per_task = tasks.first().map_or(1, |task| usize::from(task.request.choices)).max(1);
        let count = tasks.len() * per_task;
        let running = |task: Task| Running {
            request: task.request,
            events: Some(task.events),
            pays: task.pays,
            exact: task.exact,
            finished: 0,
            paid: None,
            held: Vec::new(),
        };
        Self {
            tasks: tasks.into_iter().map(running).collect(),
            choices: (0..count).map(|_| Choice::new(settings)).collect(),
            traces: vec![None; count],
            per_task,
            queue: VecDeque::new(),
            grace: None,
            over: false,
            meter: Some(meter),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.choices.len()
    }

    /// What happens next; `None` after the end. Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Option<Update> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Update>> {
        loop {
            if let Some(update) = self.queue.pop_front() {
                return Poll::Ready(Some(update));
            }
            if self.over || self.tasks.iter().all(|task| task.events.is_none()) {
                return Poll::Ready(None);
            }
            let mut progress = false;
            for task in 0..self.tasks.len() {
                let Some(events) = &mut self.tasks[task].events else { continue };
                match events.poll_next_unpin(cx) {
                    Poll::Pending => {}
                    Poll::Ready(Some(event)) => {
                        self.take(task, event);
                        progress = true;
                    }
                    Poll::Ready(None) => {
                        if self.ended(task) {
                            self.close(task);
                        } else {
                            tracing::error!("an engine's events ended before its choices did");
                            self.fail(ApiError::internal());
                        }
                        progress = true;
                    }
                }
            }
            if !progress && !self.leave(cx) {
                return Poll::Pending;
            }
        }
    }

    /// Ends the answer without its receipts if they take too long. What is owed is paid all the same.
    fn leave(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.choices.iter().all(Choice::has_ended) {
            return false;
        }
        let grace = self.grace.get_or_insert_with(|| Box::pin(tokio::time::sleep(GRACE)));
        if grace.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.over = true;
        for task in &mut self.tasks {
            self.queue.extend(task.held.drain(..));
        }
        true
    }

    /// Nothing more comes for a task.
    fn close(&mut self, task: usize) {
        let task = &mut self.tasks[task];
        task.events = None;
        self.queue.extend(task.held.drain(..));
    }

    fn ended(&self, task: usize) -> bool {
        let first = task * self.per_task;
        self.choices[first..first + self.per_task].iter().all(Choice::has_ended)
    }

    fn fail(&mut self, error: ApiError) {
        for task in &mut self.tasks {
            task.events = None;
            task.held.clear();
        }
        self.queue.push_back(Update::Failed(error));
    }

    fn take(&mut self, task: usize, event: Event) {
        let place = |choice: u16| {
            let choice = usize::from(choice);
            (choice < self.per_task).then_some(task * self.per_task + choice)
        };
        let (at, delta) = match event {
            Event::Started { prompt_tokens, cached_tokens } => {
                if let Some(meter) = &mut self.meter {
                    meter.prompt(prompt_tokens.into(), cached_tokens.into());
                }
                return;
            }
            Event::Token(token) => {
                let Some(at) = place(token.choice) else { return };
                let choice = &mut self.choices[at];
                if let Some(meter) = self.meter.as_mut().filter(|_| !choice.has_ended()) {
                    meter.completion(1);
                }
                (at, choice.token(token))
            }
            Event::Finished(finished) => {
                let Some(at) = place(finished.choice) else { return };
                self.tasks[task].finished += 1;
                let choice = &mut self.choices[at];
                // After a stop string the engine may have gone further than the answer.
                if !choice.has_ended() {
                    self.traces[at] = finished.trace;
                }
                (at, choice.finish(finished.reason))
            }
            Event::Paid(paid) => {
                if let Some(meter) = &mut self.meter {
                    meter.paid(paid.fee);
                }
                self.tasks[task].paid = Some(paid);
                return self.close(task);
            }
            Event::Failed(error) if self.ended(task) => {
                // The client has its whole answer; only the receipt is missing.
                tracing::warn!(%error, "an engine failed after the end of an answer");
                return self.close(task);
            }
            Event::Failed(error) => return self.fail(error.into()),
        };
        self.tell(task, at, delta);
        let done = self.tasks[task].finished >= self.per_task;
        if self.ended(task) && !done && self.tasks[task].pays.is_none() {
            // Whatever the engine would still do for it is not needed.
            self.close(task);
        }
    }

    /// Passes on what is new in a choice. Its end waits for the receipt, which the last piece of an answer names.
    fn tell(&mut self, task: usize, at: usize, mut delta: Delta) {
        let ended = delta.ended.take();
        if !delta.is_empty() || !delta.logprobs.is_empty() {
            self.queue.push_back(Update::Delta(at, delta));
        }
        if ended.is_some() {
            self.tasks[task].held.push(Update::Delta(at, Delta { ended, ..Delta::default() }));
        }
    }

    /// What was used so far.
    pub(crate) fn usage(&self) -> Usage {
        let (prompt, cached, _) = self.totals();
        Usage::new(prompt, cached, self.choices.iter().map(Choice::tokens).sum())
    }

    fn totals(&self) -> (u64, u64, u64) {
        self.meter.as_ref().map(Meter::totals).unwrap_or_default()
    }

    /// The receipts there are, in the order of the prompts.
    pub(crate) fn receipts(&self) -> Vec<Digest> {
        self.tasks.iter().filter_map(|task| task.paid.map(|paid| paid.receipt)).collect()
    }

    /// What is needed to compute it again.
    pub(crate) fn proof(&self) -> Option<Proof> {
        let first = self.tasks.first()?;
        let digests: Vec<String> = self.tasks.iter().map(|task| task.request.digest().to_string()).collect();
        let trace = |at: usize| self.traces.get(at).copied().flatten().map(|trace| trace.to_string());
        let choices = (0..self.choices.len()).map(|index| ProofOfChoice {
            index,
            request: digests[index / self.per_task].clone(),
            trace: trace(index),
            receipt: self.tasks[index / self.per_task].paid.map(|paid| paid.receipt.to_string()),
        });
        let choices = if self.choices.len() > 1 { choices.collect() } else { Vec::new() };
        Some(Proof {
            model_root: first.request.model.to_string(),
            tier: if first.exact { "exact" } else { "statistical" },
            seed: first.request.seed.to_string(),
            cached_tokens: self.totals().1,
            request: digests.first()?.clone(),
            trace: trace(0),
            receipt: first.paid.map(|paid| paid.receipt.to_string()),
            host: first.paid.map(|paid| paid.host.to_string()),
            lane: first.paid.map(|paid| paid.lane.0),
            fee: first.paid.map(|paid| paid.fee.0.to_string()),
            choices,
        })
    }
}

impl Drop for Generation {
    /// Work that a stop string cut short is brought to its end and paid: the client has its answer. What a client left
    /// is cancelled, so that its host loses it; but not too often, or the host refuses the lane.
    fn drop(&mut self) {
        let mut open = Vec::new();
        for at in 0..self.tasks.len() {
            let ended = self.ended(at);
            let task = &mut self.tasks[at];
            let (Some(events), Some(cancels)) = (task.events.take(), &task.pays) else { continue };
            if ended || !cancels.allow() {
                open.push(events);
            }
        }
        let (false, Some(mut meter)) = (open.is_empty(), self.meter.take()) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        // As many as there are places for requests: each keeps its own.
        runtime.spawn(async move {
            for mut events in open {
                while let Some(event) = events.next().await {
                    match event {
                        Event::Paid(paid) => {
                            meter.paid(paid.fee);
                            break;
                        }
                        Event::Failed(_) => break,
                        _ => {}
                    }
                }
            }
            drop(meter);
        });
    }
}
