//! The generations of one request: one for each prompt, each with its choices.

use core::future::poll_fn;
use core::task::{Context, Poll};
use std::collections::VecDeque;
use std::sync::Arc;

use freeway_engines::{Event, EventStream};
use freeway_primitives::Digest;
use freeway_requests::TokenRequest;
use futures::StreamExt;

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

/// A prompt and the engine's answer to it.
pub(crate) struct Task {
    pub(crate) request: Arc<TokenRequest>,
    pub(crate) events: EventStream,
}

/// All generations of one request. Dropping it cancels them.
pub(crate) struct Generation {
    tasks: Vec<(Arc<TokenRequest>, Option<EventStream>)>,
    /// Those of the first task, then those of the second, and so on.
    choices: Vec<Choice>,
    traces: Vec<Option<Digest>>,
    per_task: usize,
    queue: VecDeque<Update>,
    meter: Meter,
}

impl Generation {
    pub(crate) fn new(tasks: Vec<Task>, settings: &Settings, meter: Meter) -> Self {
        let per_task = tasks.first().map_or(1, |task| usize::from(task.request.choices)).max(1);
        let count = tasks.len() * per_task;
        Self {
            tasks: tasks.into_iter().map(|task| (task.request, Some(task.events))).collect(),
            choices: (0..count).map(|_| Choice::new(settings)).collect(),
            traces: vec![None; count],
            per_task,
            queue: VecDeque::new(),
            meter,
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
            if self.tasks.iter().all(|(_, events)| events.is_none()) {
                return Poll::Ready(None);
            }
            let mut progress = false;
            for task in 0..self.tasks.len() {
                let Some(events) = &mut self.tasks[task].1 else { continue };
                match events.poll_next_unpin(cx) {
                    Poll::Pending => {}
                    Poll::Ready(Some(event)) => {
                        self.take(task, event);
                        progress = true;
                    }
                    Poll::Ready(None) => {
                        let all = self.ended(task);
                        self.tasks[task].1 = None;
                        if !all {
                            tracing::error!("an engine's events ended before its choices did");
                            self.fail(ApiError::internal());
                        }
                        progress = true;
                    }
                }
            }
            if !progress {
                return Poll::Pending;
            }
        }
    }

    fn ended(&self, task: usize) -> bool {
        let first = task * self.per_task;
        self.choices[first..first + self.per_task].iter().all(Choice::has_ended)
    }

    fn fail(&mut self, error: ApiError) {
        for (_, events) in &mut self.tasks {
            *events = None;
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
                self.meter.prompt(prompt_tokens.into(), cached_tokens.into());
                return;
            }
            Event::Token(token) => {
                let Some(at) = place(token.choice) else { return };
                let choice = &mut self.choices[at];
                if !choice.has_ended() {
                    self.meter.completion(1);
                }
                (at, choice.token(token))
            }
            Event::Finished(finished) => {
                let Some(at) = place(finished.choice) else { return };
                let choice = &mut self.choices[at];
                // After a stop string the engine may have gone further than the answer.
                if !choice.has_ended() {
                    self.traces[at] = finished.trace;
                }
                (at, choice.finish(finished.reason))
            }
            Event::Failed(error) => return self.fail(error.into()),
        };
        if !delta.is_empty() || !delta.logprobs.is_empty() {
            self.queue.push_back(Update::Delta(at, delta));
        }
        if self.ended(task) {
            // Whatever the engine would still do for it is not needed.
            self.tasks[task].1 = None;
        }
    }

    /// What was used so far.
    pub(crate) fn usage(&self) -> Usage {
        let (prompt, cached, _) = self.meter.totals();
        Usage::new(prompt, cached, self.choices.iter().map(Choice::tokens).sum())
    }

    /// What is needed to compute it again.
    pub(crate) fn proof(&self) -> Option<Proof> {
        let (request, _) = self.tasks.first()?;
        let digests: Vec<String> =
            self.tasks.iter().map(|(request, _)| request.digest().to_string()).collect();
        let trace = |at: usize| self.traces.get(at).copied().flatten().map(|trace| trace.to_string());
        let choices = (0..self.choices.len()).map(|index| ProofOfChoice {
            index,
            request: digests[index / self.per_task].clone(),
            trace: trace(index),
        });
        let choices = if self.choices.len() > 1 { choices.collect() } else { Vec::new() };
        Some(Proof {
            model_root: request.model.to_string(),
            tier: "exact",
            seed: request.seed.to_string(),
            cached_tokens: self.meter.totals().1,
            request: digests.first()?.clone(),
            trace: trace(0),
            choices,
        })
    }
}
