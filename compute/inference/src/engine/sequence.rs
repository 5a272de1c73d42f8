//! Sequences: what each needs computed next, and what it makes of the results.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use freeway_primitives::Digest;
use freeway_proofs::merkle::Frontier;
use freeway_requests::{SampleError, Sampler, Scored, TokenRequest};
use tokio::sync::{mpsc, oneshot};

use super::verify::Verify;
use crate::constraint::Guarded;
use crate::request::{Event, Failure, FinishReason, Finished, Scores, Token};

/// What is computed for one list of tokens.
pub(super) struct Job {
    /// The prompt, or all of a text to be scored, verified or embedded; what is generated is added.
    pub(super) tokens: Vec<u32>,
    /// Whether trace nodes are made.
    pub(super) trace: bool,
    pub(super) task: Task,
}

/// What the results are used for.
pub(super) enum Task {
    Generate(Box<Generate>),
    Score(Score),
    Verify(Box<Verify>),
    Embed(Embed),
}

/// A choice of a request.
pub(super) struct Generate {
    request: Arc<TokenRequest>,
    choice: u16,
    sampler: Sampler,
    constraint: Guarded,
    stream: Arc<Stream>,
    /// The constraints of the choices that begin when this one has its prompt computed.
    others: Vec<Guarded>,
}

/// Where the events of a request go.
struct Stream {
    sender: mpsc::UnboundedSender<Event>,
    /// It failed, or nobody listens; all its choices go.
    ended: AtomicBool,
    /// Choices that have not finished.
    left: AtomicU16,
}

/// A scoring at work.
pub(super) struct Score {
    prompt: usize,
    top: u8,
    scored: Vec<Scored>,
    /// Until the answer is given.
    sender: Option<oneshot::Sender<Result<Scores, Failure>>>,
}

/// An embedding at work.
pub(super) struct Embed {
    /// Sums over positions, with [`Embed::POINT`] bits after the point: integers, so that it does not matter in how many
    /// steps they came.
    sums: Vec<i64>,
    /// Positions in the sums.
    summed: usize,
    sender: Option<oneshot::Sender<Result<Vec<f32>, Failure>>>,
}

impl Embed {
    /// Bits after the point.
    const POINT: f32 = (1u32 << 24) as f32;
    /// The largest summand: 2^16 of them fit.
    const LIMIT: f32 = (1u64 << 46) as f32;

    /// The next state.
    fn add(&mut self, state: &[f32]) {
        for (sum, value) in self.sums.iter_mut().zip(state) {
            *sum += (value * Self::POINT).clamp(-Self::LIMIT, Self::LIMIT).round_ties_even() as i64;
        }
        self.summed += 1;
    }

    /// The mean: each sum as a float by the number of positions, then without the point.
    fn mean(&self) -> Vec<f32> {
        self.sums.iter().map(|sum| (*sum as f32 / self.summed as f32) / Self::POINT).collect()
    }
}

impl Task {
    /// The scoring of what follows `prompt` tokens.
    pub(super) fn score(prompt: usize, top: u8, sender: oneshot::Sender<Result<Scores, Failure>>) -> Self {
        Self::Score(Score { prompt, top, scored: Vec::new(), sender: Some(sender) })
    }

    /// The embedding of a text by a model of this width.
    pub(super) fn embed(width: usize, sender: oneshot::Sender<Result<Vec<f32>, Failure>>) -> Self {
        Self::Embed(Embed { sums: vec![0; width], summed: 0, sender: Some(sender) })
    }

    /// Whether nobody waits for the result any more.
    pub(super) fn is_cancelled(&self) -> bool {
        match self {
            Self::Generate(generate) => {
                generate.stream.ended.load(Ordering::Relaxed) || generate.stream.sender.is_closed()
            }
            Self::Score(score) => score.sender.as_ref().is_none_or(oneshot::Sender::is_closed),
            Self::Verify(verify) => verify.is_cancelled(),
            Self::Embed(embed) => embed.sender.as_ref().is_none_or(oneshot::Sender::is_closed),
        }
    }

    /// Marks a request whose receiver is gone. Gives whether it is the first of its choices to notice.
    pub(super) fn cancel(&self) -> bool {
        match self {
            Self::Generate(generate) => !generate.stream.ended.swap(true, Ordering::Relaxed),
            Self::Verify(verify) => verify.cancel(),
            Self::Score(_) | Self::Embed(_) => true,
        }
    }

    /// Ends the request with an error. Gives whether it had not ended before. That the receiver may be gone is fine.
    pub(super) fn fail(&mut self, failure: Failure) -> bool {
        match self {
            Self::Generate(generate) => {
                let first = !generate.stream.ended.swap(true, Ordering::Relaxed);
                if first {
                    let _ = generate.stream.sender.send(Event::Failed(failure));
                }
                first
            }
            Self::Score(score) => score.sender.take().map(|sender| sender.send(Err(failure))).is_some(),
            Self::Verify(verify) => verify.fail(failure),
            Self::Embed(embed) => embed.sender.take().map(|sender| sender.send(Err(failure))).is_some(),
        }
    }
}

impl Job {
    /// A job other than a generation.
    pub(super) fn new(task: Task, tokens: Vec<u32>) -> Self {
        Self { tokens, trace: matches!(task, Task::Score(_) | Task::Verify(_)), task }
    }

    /// A generation: its first choice, from which the others are forked.
    pub(super) fn generate(
        request: Arc<TokenRequest>,
        constraint: Guarded,
        others: Vec<Guarded>,
        trace: bool,
        sender: mpsc::UnboundedSender<Event>,
    ) -> Self {
        let tokens = request.prompt.clone();
        let (ended, left) = (AtomicBool::new(false), AtomicU16::new(request.choices));
        let generate = Generate {
            choice: 0,
            sampler: Sampler::new(&request, 0),
            constraint,
            stream: Arc::new(Stream { sender, ended, left }),
            others,
            request,
        };
        Self { tokens, trace, task: Task::Generate(Box::new(generate)) }
    }
}

/// What a sequence is after a result.
#[derive(Debug)]
pub(super) enum Outcome {
    /// There is more to compute.
    Continues,
    /// It came to its end. If `request`, its request did too.
    Finished { request: bool },
    /// It cannot go on.
    Failed(Failure),
}

/// A job with its place among the others, and what is computed of it.
pub(super) struct Sequence {
    /// Its age: the number of its request, then the choice.
    pub(super) order: (u64, u16),
    pub(super) job: Job,
    /// Positions that are computed.
    pub(super) done: usize,
    /// The pages that hold them.
    pub(super) pages: Vec<u32>,
    /// Under which key each of the full pages is kept.
    pub(super) keys: Vec<Digest>,
    /// The trace nodes of the positions of the page that is not full.
    pub(super) nodes: Vec<Digest>,
    /// The tree over the trace nodes of all positions.
    pub(super) frontier: Frontier,
    /// Positions that were found computed when it began; `None` before.
    pub(super) cached: Option<usize>,
}

impl Sequence {
    /// A sequence of which nothing is computed.
    pub(super) fn new(order: (u64, u16), job: Job) -> Self {
        Self {
            order,
            job,
            done: 0,
            pages: Vec::new(),
            keys: Vec::new(),
            nodes: Vec::new(),
            frontier: Frontier::new(),
            cached: None,
        }
    }

    /// Positions that must be computed to go on.
    pub(super) fn goal(&self) -> usize {
        match self.job.task {
            // What follows the last token is not asked for.
            Task::Score(_) | Task::Verify(_) => self.job.tokens.len() - 1,
            Task::Generate(_) | Task::Embed(_) => self.job.tokens.len(),
        }
    }

    /// The first position whose results are wanted. Those before may be taken from kept pages.
    pub(super) fn wanted(&self) -> usize {
        match &self.job.task {
            Task::Generate(_) => self.job.tokens.len() - 1,
            Task::Score(score) => score.prompt - 1 + score.scored.len(),
            Task::Verify(verify) => verify.wanted(),
            Task::Embed(embed) => embed.summed,
        }
    }

    /// Whether states are wanted, not logits.
    pub(super) fn wants_states(&self) -> bool {
        matches!(self.job.task, Task::Embed(_))
    }

    /// Tokens of the prompt, for the books.
    pub(super) fn prompt_tokens(&self) -> usize {
        match &self.job.task {
            Task::Generate(generate) => generate.request.prompt.len(),
            Task::Verify(verify) => verify.prompt(),
            Task::Score(_) | Task::Embed(_) => self.job.tokens.len(),
        }
    }

    /// It begins: `cached` positions were found computed. Gives whether it had not begun before.
    pub(super) fn begin(&mut self, cached: usize) -> bool {
        if self.cached.is_some() {
            return false;
        }
        self.cached = Some(cached);
        match &self.job.task {
            Task::Generate(generate) => {
                let _ = generate.stream.sender.send(Event::Started { cached_tokens: count(cached) });
            }
            Task::Verify(verify) => verify.begin(count(cached)),
            Task::Score(_) | Task::Embed(_) => {}
        }
        true
    }

    /// Whether its results are generated tokens.
    pub(super) fn generates(&self) -> bool {
        matches!(self.job.task, Task::Generate(_))
    }

    /// Choices that shall go their own way now that the prompt is computed: copies of this, but without pages.
    pub(super) fn forks(&mut self) -> Vec<Sequence> {
        let Task::Generate(generate) = &mut self.job.task else { return Vec::new() };
        let others = std::mem::take(&mut generate.others);
        (1..)
            .zip(others)
            .map(|(choice, constraint)| {
                let task = Task::Generate(Box::new(Generate {
                    request: Arc::clone(&generate.request),
                    choice,
                    sampler: Sampler::new(&generate.request, choice),
                    constraint,
                    stream: Arc::clone(&generate.stream),
                    others: Vec::new(),
                }));
                Sequence {
                    order: (self.order.0, choice),
                    job: Job { tokens: self.job.tokens.clone(), trace: self.job.trace, task },
                    done: self.done,
                    pages: Vec::new(),
                    keys: self.keys.clone(),
                    nodes: self.nodes.clone(),
                    frontier: self.frontier.clone(),
                    cached: self.cached,
                }
            })
            .collect()
    }

    /// Chooses the next token by the logits of the last position, in a model of this context.
    pub(super) fn draw(&mut self, logits: &[i32], context: usize) -> Outcome {
        let Task::Generate(generate) = &mut self.job.task else { return Outcome::Continues };
        let reason = match generate.next(logits, &mut self.job.tokens, context) {
            Ok(None) => return Outcome::Continues,
            Ok(Some(reason)) => reason,
            Err(failure) => return Outcome::Failed(failure),
        };
        let prompt = generate.request.prompt.len();
        // That the receiver may be gone is fine.
        let _ = generate.stream.sender.send(Event::Finished(Finished {
            choice: generate.choice,
            reason,
            prompt_tokens: count(prompt),
            cached_tokens: count(self.cached.unwrap_or_default()),
            completion_tokens: count(self.job.tokens.len() - prompt),
            trace: self.job.trace.then(|| self.frontier.root()),
        }));
        Outcome::Finished { request: generate.stream.left.fetch_sub(1, Ordering::Relaxed) == 1 }
    }

    /// The token to be scored by the logits of a position, and how many of the most likely are wanted with it; `None` if
    /// nothing is scored here.
    pub(super) fn target(&self, position: usize) -> Option<(u32, u8)> {
        let Task::Score(score) = &self.job.task else { return None };
        Some((*self.job.tokens.get(position + 1)?, score.top))
    }

    /// Takes the score of the next token.
    pub(super) fn take_score(&mut self, scored: Result<Scored, SampleError>) -> Outcome {
        let Task::Score(task) = &mut self.job.task else { return Outcome::Continues };
        match scored {
            Ok(scored) => task.scored.push(scored),
            Err(error) => return Outcome::Failed(Failure::Sampling(error.to_string())),
        }
        if task.prompt + task.scored.len() < self.job.tokens.len() {
            return Outcome::Continues;
        }
        let scores = Scores {
            tokens: std::mem::take(&mut task.scored),
            trace: self.frontier.root(),
            cached_tokens: count(self.cached.unwrap_or_default()),
        };
        // Whoever waited may be gone.
        let _ = task.sender.take().map(|sender| sender.send(Ok(scores)));
        Outcome::Finished { request: true }
    }

    /// Takes the state of the next position.
    pub(super) fn take_state(&mut self, state: &[f32]) -> Outcome {
        let Task::Embed(embed) = &mut self.job.task else { return Outcome::Continues };
        embed.add(state);
        if embed.summed < self.job.tokens.len() {
            return Outcome::Continues;
        }
        let mean = embed.mean();
        let _ = embed.sender.take().map(|sender| sender.send(Ok(mean)));
        Outcome::Finished { request: true }
    }
}

impl Generate {
    /// Chooses the next token and adds it. Gives why it was the last, if it was.
    fn next(
        &mut self,
        logits: &[i32],
        tokens: &mut Vec<u32>,
        context: usize,
    ) -> Result<Option<FinishReason>, Failure> {
        let mask = self.constraint.mask()?;
        let choice =
            self.sampler.step(logits, mask.as_ref()).map_err(|error| Failure::Sampling(error.to_string()))?;
        let id = choice.token;
        tokens.push(id);
        // That the receiver may be gone is noticed before the next step.
        let _ =
            self.stream.sender.send(Event::Token(Token { choice: self.choice, id, scored: choice.scored }));
        if self.request.stop.contains(&id) {
            return Ok(Some(FinishReason::Stop(id)));
        }
        if self.constraint.accept(id)? {
            return Ok(Some(FinishReason::Constraint));
        }
        let generated = tokens.len() - self.request.prompt.len();
        let ends = generated >= self.request.max_tokens as usize || tokens.len() > context;
        Ok(ends.then_some(FinishReason::Length))
    }
}

/// A number of tokens of one sequence.
fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).expect("a context has at most 65,536 positions")
}
