//! Generations done again whose outcome is claimed: one pass over prompt and claimed tokens, not a step for each token.
//!
//! Each choice is a sequence of the prompt and what is claimed of it. At every claimed token the sampler of the
//! generation gets the logits that it had there, so it gives the token that it gave there: the first one that is
//! another decides. What is claimed comes from strangers. It is cut where it must be wrong at the latest, and what no
//! generation could give is a difference, never an error. The other choices begin when the first one has the prompt
//! computed, and find its pages.

use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use freeway_primitives::Digest;
use freeway_requests::{Mask, Sampler, TokenRequest};
use tokio::sync::oneshot;

use super::Engine;
use super::sequence::{Job, Outcome, Sequence, Task};
use crate::constraint::Guarded;
use crate::request::{Failure, Pending, Refused, Verified, VerifyRequest};

/// A choice whose outcome is claimed.
pub(super) struct Verify {
    choice: u16,
    claim: Arc<Claim>,
    sampler: Sampler,
    constraint: Guarded,
    /// There is more claimed than the sequence has, and what comes next is wrong.
    excess: bool,
    /// Tokens that were found right.
    checked: usize,
    /// The choices that begin when this one has the prompt computed.
    others: Vec<Other>,
}

/// A choice that has not begun.
struct Other {
    choice: u16,
    constraint: Guarded,
    part: Part,
}

/// What of a claimed choice is computed.
struct Part {
    tokens: Vec<u32>,
    excess: bool,
}

impl Part {
    /// The tokens of `claimed` before the first that the vocabulary does not have, and not more than `longest`.
    fn new(mut claimed: Vec<u32>, vocabulary: u32, longest: usize) -> Self {
        let all = claimed.len();
        claimed.truncate(longest);
        let known = claimed.iter().position(|token| *token >= vocabulary).unwrap_or(claimed.len());
        claimed.truncate(known);
        Self { excess: known < all, tokens: claimed }
    }
}

/// What all choices of a request have together.
struct Claim {
    request: Arc<TokenRequest>,
    /// Nothing more is to be computed.
    ended: AtomicBool,
    /// No choice after this one matters: it is wrong.
    wrong: AtomicU16,
    state: Mutex<State>,
}

/// What is known of a claim.
struct State {
    /// For each choice the root of its trace, or where it is wrong.
    settled: Vec<Option<Result<Digest, u32>>>,
    cached: u32,
    /// Until the answer is given.
    sender: Option<oneshot::Sender<Result<Verified, Failure>>>,
}

impl Claim {
    /// The state; it is kept in order also when somebody broke while holding it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A choice is known. Gives the answer as soon as no other choice can change it, and whether it did.
    fn settle(&self, choice: u16, found: Result<Digest, u32>) -> bool {
        let mut state = self.state();
        if found.is_err() {
            self.wrong.fetch_min(choice, Ordering::Relaxed);
        }
        if let Some(place) = state.settled.get_mut(usize::from(choice)) {
            *place = Some(found);
        }
        let Some(mut verified) = answer(&state.settled) else { return false };
        verified.cached_tokens = state.cached;
        self.ended.store(true, Ordering::Relaxed);
        // Whoever waited may be gone.
        state.sender.take().map(|sender| sender.send(Ok(verified))).is_some()
    }
}

/// The answer, if it does not depend on what is open.
fn answer(settled: &[Option<Result<Digest, u32>>]) -> Option<Verified> {
    let mut verified = Verified::default();
    for (choice, found) in (0..).zip(settled) {
        match (*found)? {
            Ok(trace) => verified.traces.push(trace),
            Err(position) => {
                verified.differs = Some((choice, position));
                break;
            }
        }
    }
    Some(verified)
}

/// What a claimed token does to its choice, if it is right.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// Another one follows.
    Continues,
    /// It is the last.
    Ends,
    /// The generation would have failed there.
    Fails,
}

/// A claimed token that is being checked.
pub(super) struct Row {
    /// The token.
    token: u32,
    /// What the grammar allows there; an error if it cannot go on.
    mask: Result<Option<Mask>, ()>,
    after: After,
    right: bool,
}

/// Consecutive claimed tokens of one sequence, with the sampler for the first of them.
pub(super) struct Run<'a> {
    sampler: Sampler,
    rows: &'a mut [Row],
    logits: &'a [&'a [i32]],
}

impl Run<'_> {
    /// Chooses again, up to the first difference.
    pub(super) fn choose(&mut self) {
        for (row, logits) in self.rows.iter_mut().zip(self.logits) {
            let Ok(mask) = &row.mask else { return };
            // Where nothing can be chosen no token is right.
            row.right = self.sampler.pick(logits, mask.as_ref()) == Ok(row.token);
            if !row.right {
                return;
            }
            self.sampler.force(row.token);
        }
    }
}

impl Verify {
    fn new(claim: Arc<Claim>, choice: u16, constraint: Guarded, excess: bool, others: Vec<Other>) -> Self {
        let sampler = Sampler::new(&claim.request, choice);
        Self { choice, claim, sampler, constraint, excess, checked: 0, others }
    }

    /// Whether nobody waits for the result any more, or this choice cannot change it.
    pub(super) fn is_cancelled(&self) -> bool {
        let Claim { ended, wrong, .. } = &*self.claim;
        ended.load(Ordering::Relaxed)
            || wrong.load(Ordering::Relaxed) < self.choice
            || self.claim.state().sender.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    /// Marks a request whose receiver is gone. Gives whether this is the first of its choices to notice; one that goes
    /// because it does not matter any more notices nothing.
    pub(super) fn cancel(&self) -> bool {
        let gone = self.claim.state().sender.as_ref().is_some_and(oneshot::Sender::is_closed);
        gone && !self.claim.ended.swap(true, Ordering::Relaxed)
    }

    /// Ends the request with an error. Gives whether it had not ended before.
    pub(super) fn fail(&self, failure: Failure) -> bool {
        self.claim.ended.store(true, Ordering::Relaxed);
        let sender = self.claim.state().sender.take();
        sender.map(|sender| sender.send(Err(failure))).is_some()
    }

    /// It begins: so many positions were found computed.
    pub(super) fn begin(&self, cached: u32) {
        self.claim.state().cached = cached;
    }

    /// The first position whose results are wanted.
    pub(super) fn wanted(&self) -> usize {
        self.claim.request.prompt.len() - 1 + self.checked
    }

    /// Tokens of the prompt.
    pub(super) fn prompt(&self) -> usize {
        self.claim.request.prompt.len()
    }

    /// The next `count` claimed tokens, of a sequence with `tokens` in a model of this context: fewer if the choice ends
    /// before, or the grammar fails.
    fn rows(&mut self, tokens: &[u32], count: usize, context: usize) -> Vec<Row> {
        let request = &self.claim.request;
        let mut rows = Vec::with_capacity(count);
        for generated in self.checked..self.checked + count {
            let length = request.prompt.len() + generated + 1;
            let Some(&token) = tokens.get(length - 1) else { break };
            let mask = self.constraint.mask().map_err(drop);
            let full = generated + 1 >= request.max_tokens as usize || length > context;
            // In the order of the generation.
            let after = if mask.is_err() {
                After::Fails
            } else if request.stop.contains(&token) {
                After::Ends
            } else {
                match self.constraint.accept(token) {
                    Err(_) => After::Fails,
                    Ok(complete) if complete || full => After::Ends,
                    Ok(_) => After::Continues,
                }
            };
            rows.push(Row { token, mask, after, right: false });
            if after != After::Continues {
                break;
            }
        }
        rows
    }

    /// Divides `rows` into at most `parts` runs that do not need each other, because what each comes after is claimed.
    pub(super) fn runs<'a>(
        &self,
        rows: &'a mut [Row],
        logits: &'a [&'a [i32]],
        parts: usize,
    ) -> Vec<Run<'a>> {
        let each = rows.len().div_ceil(parts.max(1)).max(1);
        let mut next = self.sampler.clone();
        let mut runs = Vec::new();
        for (rows, logits) in rows.chunks_mut(each).zip(logits.chunks(each)) {
            let sampler = next.clone();
            rows.iter().for_each(|row| next.force(row.token));
            runs.push(Run { sampler, rows, logits });
        }
        runs
    }
}

impl Sequence {
    /// What it verifies, if it does.
    pub(super) fn verification(&self) -> Option<&Verify> {
        match &self.job.task {
            Task::Verify(verify) => Some(verify),
            Task::Generate(_) | Task::Score(_) | Task::Embed(_) => None,
        }
    }

    /// The choices that begin now, with nothing computed: that of the first result.
    pub(super) fn begin_others(&mut self) -> Vec<Self> {
        let Task::Verify(verify) = &mut self.job.task else { return Vec::new() };
        let others = std::mem::take(&mut verify.others);
        let (claim, request) = (&verify.claim, self.order.0);
        let begun = others.into_iter().map(|Other { choice, constraint, part }| {
            let tokens = [&claim.request.prompt[..], &part.tokens].concat();
            let task = Verify::new(Arc::clone(claim), choice, constraint, part.excess, Vec::new());
            let mut sequence = Self::new((request, choice), Job::new(Task::Verify(Box::new(task)), tokens));
            // The request has begun, and is counted.
            sequence.cached = self.cached;
            sequence
        });
        begun.collect()
    }

    /// The claimed tokens for the next `count` results, in a model of this context.
    pub(super) fn rows(&mut self, count: usize, context: usize) -> Vec<Row> {
        let Task::Verify(verify) = &mut self.job.task else { return Vec::new() };
        verify.rows(&self.job.tokens, count, context)
    }

    /// Takes the tokens that were chosen again.
    pub(super) fn take_rows(&mut self, rows: &[Row]) -> Outcome {
        let Task::Verify(verify) = &mut self.job.task else { return Outcome::Continues };
        let mut after = After::Continues;
        for row in rows {
            after = if row.right { row.after } else { After::Fails };
            if after == After::Fails {
                break;
            }
            verify.sampler.force(row.token);
            verify.checked += 1;
        }
        let all = verify.prompt() + verify.checked == self.job.tokens.len();
        let found = match after {
            After::Continues if !all => return Outcome::Continues,
            After::Ends if all && !verify.excess => Ok(self.frontier.root()),
            // Another token comes here, or one too few or too many is claimed.
            _ => Err(u32::try_from(verify.checked).unwrap_or(u32::MAX)),
        };
        Outcome::Finished { request: verify.claim.settle(verify.choice, found) }
    }
}

impl Engine {
    /// Takes a verification. Never waits.
    ///
    /// # Errors
    /// If the request is for another model, came without the constraint of its grammar, does not fit this engine's
    /// room, or the queue is full. Claims that cannot be right are no errors, and neither are requests that break a
    /// rule or pass the context: nothing comes of them, so that whatever is claimed differs.
    pub fn verify(&self, request: VerifyRequest) -> Result<Pending<Verified>, Refused> {
        let VerifyRequest { tokens: request, constraint, output } = request;
        if request.model != self.model.root() {
            return Err(Refused::WrongModel);
        }
        let (sender, receiver) = oneshot::channel();
        let (vocabulary, context) = (self.model.config().vocabulary, self.model.config().context());
        let prompt = request.prompt.len();
        let choices = usize::from(request.choices);
        let impossible = request.validate(vocabulary).is_err() || prompt > context;
        if impossible || output.len() != choices {
            let choice = if impossible { 0 } else { output.len().min(choices) };
            // Less than the request's choices.
            let differs = Some((u16::try_from(choice).unwrap_or(u16::MAX), 0));
            let _ = sender.send(Ok(Verified { differs, ..Verified::default() }));
            return Ok(Pending(receiver));
        }
        if request.grammar.is_some() != constraint.is_some() {
            return Err(Refused::NoConstraint);
        }
        let longest = (request.max_tokens as usize).min(context + 1 - prompt);
        let mut parts: Vec<Part> =
            output.into_iter().map(|claimed| Part::new(claimed, vocabulary, longest)).collect();
        let mut settled = vec![None; choices];
        let mut wrong = u16::MAX;
        // What comes after a choice that cannot be right is not looked at.
        if let Some(empty) = parts.iter().position(|part| part.tokens.is_empty()) {
            parts.truncate(empty);
            settled[empty] = Some(Err(0));
            wrong = u16::try_from(empty).unwrap_or(u16::MAX);
        }
        let positions = parts.iter().map(|part| prompt + part.tokens.len() - 1).max().unwrap_or(prompt);
        self.check_room(positions, 1)?;
        let first = Guarded::new(constraint);
        let mut parts = parts.into_iter();
        let begins = parts.next();
        let others = (1..)
            .zip(parts)
            .map(|(choice, part)| first.fork().map(|constraint| Other { choice, constraint, part }));
        let others = others.collect::<Result<Vec<_>, _>>()?;
        let state = State { settled, cached: 0, sender: Some(sender) };
        let claim = Arc::new(Claim {
            request,
            ended: AtomicBool::new(false),
            wrong: AtomicU16::new(wrong),
            state: Mutex::new(state),
        });
        let Some(part) = begins else {
            claim.settle(0, Err(0));
            return Ok(Pending(receiver));
        };
        let tokens = [&claim.request.prompt[..], &part.tokens].concat();
        let task = Verify::new(claim, 0, first, part.excess, others);
        self.enqueue(Job::new(Task::Verify(Box::new(task)), tokens))?;
        Ok(Pending(receiver))
    }
}
