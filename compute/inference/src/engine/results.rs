//! Who gets which result of a step.
//!
//! To choose a token takes time that grows with the vocabulary, so that all that is chosen in a step is divided among
//! threads. Each sequence has its own sampler, so it does not matter which thread is first.

use freeway_requests::{SampleError, Scored, score};

use super::Stats;
use super::sequence::{Outcome, Sequence};
use super::verify::{Row, Run};
use crate::forward::Forward;
use crate::model::Model;

/// Logits are computed for so many rows at a time, which bounds their memory.
const LOGIT_ROWS: usize = 32;
/// About how many multiply-adds cost as much as a token of the vocabulary when one is chosen, to decide about threads.
const CHOICE_STEPS: usize = 200;

/// A result that a sequence wants.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// Which of the results of the step.
    pub(super) result: usize,
    /// Which of the running sequences.
    pub(super) owner: usize,
    /// The position.
    pub(super) position: usize,
}

/// What came of the results.
#[derive(Default)]
pub(super) struct Results {
    /// The running sequences that came to their end.
    pub(super) ended: Vec<usize>,
    /// Choices that go on by themselves, without pages yet, and from which sequence each comes.
    pub(super) forks: Vec<(usize, Sequence)>,
    /// Choices of verifications that begin now, with nothing computed.
    pub(super) begun: Vec<Sequence>,
}

/// A token to be chosen.
struct Draw<'a> {
    sequence: &'a mut Sequence,
    logits: &'a [i32],
    outcome: Outcome,
}

/// Hands the results of the last step to those that want them, in the order of the running sequences.
pub(super) fn deliver(
    model: &Model,
    forward: &mut Forward,
    running: &mut [Sequence],
    wanted: &[Wanted],
    stats: &mut Stats,
) -> Results {
    let mut results = Results::default();
    let (states, logits): (Vec<Wanted>, Vec<Wanted>) =
        wanted.iter().partition(|wanted| running[wanted.owner].wants_states());
    for Wanted { result, owner, .. } in states {
        let outcome = running[owner].take_state(forward.state(model.config(), result));
        settle(&mut running[owner], owner, outcome, stats, &mut results.ended);
    }
    for block in logits.chunks(LOGIT_ROWS) {
        // What ended at a position before needs no more.
        let block: Vec<Wanted> =
            block.iter().filter(|wanted| !results.ended.contains(&wanted.owner)).copied().collect();
        if block.is_empty() {
            continue;
        }
        let rows: Vec<usize> = block.iter().map(|wanted| wanted.result).collect();
        let logits: Vec<&[i32]> =
            forward.logits(model, &rows).chunks_exact(model.config().vocabulary()).collect();
        take_scores(model, running, &block, &logits, stats, &mut results);
        verify(model, running, &block, &logits, stats, &mut results);
        draw(model, running, &block, &logits, stats, &mut results);
    }
    results
}

/// Scores what is to be scored.
fn take_scores(
    model: &Model,
    running: &mut [Sequence],
    block: &[Wanted],
    logits: &[&[i32]],
    stats: &mut Stats,
    results: &mut Results,
) {
    let targets: Vec<Option<(u32, u8)>> =
        block.iter().map(|wanted| running[wanted.owner].target(wanted.position)).collect();
    let mut scores: Vec<Option<Result<Scored, SampleError>>> = vec![None; block.len()];
    let count = targets.iter().flatten().count();
    model.pool().chunks(steps(model, count), &mut scores, 1, |index, scores| {
        let scored = targets[index].map(|(token, top)| score(logits[index], token, top));
        scores.iter_mut().zip([scored]).for_each(|(score, scored)| *score = scored);
    });
    for (&Wanted { owner, .. }, scored) in block.iter().zip(scores) {
        // It may have failed at a position before.
        if let Some(scored) = scored.filter(|_| !results.ended.contains(&owner)) {
            let outcome = running[owner].take_score(scored);
            settle(&mut running[owner], owner, outcome, stats, &mut results.ended);
        }
    }
}

/// A sequence whose claimed tokens are checked.
struct Check<'a> {
    owner: usize,
    sequence: &'a mut Sequence,
    logits: &'a [&'a [i32]],
    rows: Vec<Row>,
}

/// Chooses the tokens again that are claimed. What a claimed token comes after is claimed as well, so that all are chosen
/// at once; only grammars go from one to the next.
fn verify(
    model: &Model,
    running: &mut [Sequence],
    block: &[Wanted],
    logits: &[&[i32]],
    stats: &mut Stats,
    results: &mut Results,
) {
    let mut checks = Vec::new();
    let mut sequences = running.iter_mut().enumerate();
    let mut first = 0;
    for group in block.chunk_by(|a, b| a.owner == b.owner) {
        let logits = &logits[first..first + group.len()];
        first += group.len();
        let Some(Wanted { owner, .. }) = group.first().copied() else { continue };
        let found = sequences.find(|(index, _)| *index == owner).map(|(_, sequence)| sequence);
        if let Some(sequence) = found.filter(|sequence| sequence.verification().is_some()) {
            results.begun.extend(sequence.begin_others());
            checks.push(Check { owner, sequence, logits, rows: Vec::new() });
        }
    }
    if checks.is_empty() {
        return;
    }
    let (context, count) = (model.config().context(), checks.iter().map(|check| check.logits.len()).sum());
    model.pool().chunks(steps(model, count), &mut checks, 1, |_, checks| {
        checks.iter_mut().for_each(|check| check.rows = check.sequence.rows(check.logits.len(), context));
    });
    let mut runs = Vec::new();
    for Check { sequence, logits, rows, .. } in &mut checks {
        if let Some(verify) = sequence.verification() {
            runs.extend(verify.runs(rows, logits, model.pool().threads()));
        }
    }
    model.pool().chunks(steps(model, count), &mut runs, 1, |_, runs| runs.iter_mut().for_each(Run::choose));
    drop(runs);
    let outcomes: Vec<(usize, Outcome)> =
        checks.into_iter().map(|check| (check.owner, check.sequence.take_rows(&check.rows))).collect();
    for (owner, outcome) in outcomes {
        settle(&mut running[owner], owner, outcome, stats, &mut results.ended);
    }
}

/// Chooses the next token of every sequence that generates, and the first one of choices that begin here.
fn draw(
    model: &Model,
    running: &mut [Sequence],
    block: &[Wanted],
    logits: &[&[i32]],
    stats: &mut Stats,
    results: &mut Results,
) {
    let drawing = |wanted: &Wanted| running[wanted.owner].generates().then_some(wanted.owner);
    let drawing: Vec<(usize, &[i32])> =
        block.iter().zip(logits).filter_map(|(wanted, logits)| Some((drawing(wanted)?, *logits))).collect();
    let mut forks = Vec::new();
    let mut draws = Vec::new();
    // Results come in the order of sequences, and one for each that generates.
    let mut sequences = running.iter_mut().enumerate();
    for &(owner, logits) in &drawing {
        if let Some((_, sequence)) = sequences.find(|(index, _)| *index == owner) {
            forks.extend(sequence.forks().into_iter().map(|fork| (owner, logits, fork)));
            draws.push(Draw { sequence, logits, outcome: Outcome::Continues });
        }
    }
    for (_, logits, sequence) in &mut forks {
        draws.push(Draw { sequence, logits, outcome: Outcome::Continues });
    }
    let context = model.config().context();
    model.pool().chunks(steps(model, draws.len()), &mut draws, 1, |_, draws| {
        for draw in draws {
            draw.outcome = draw.sequence.draw(draw.logits, context);
        }
    });
    let mut outcomes = draws.into_iter().map(|draw| draw.outcome).collect::<Vec<_>>().into_iter();
    for ((owner, _), outcome) in drawing.into_iter().zip(&mut outcomes) {
        settle(&mut running[owner], owner, outcome, stats, &mut results.ended);
    }
    for ((owner, _, mut fork), outcome) in forks.into_iter().zip(outcomes) {
        let mut ended = Vec::new();
        settle(&mut fork, owner, outcome, stats, &mut ended);
        if ended.is_empty() {
            results.forks.push((owner, fork));
        }
    }
}

/// The cost of choosing `count` tokens.
fn steps(model: &Model, count: usize) -> u64 {
    (count * model.config().vocabulary() * CHOICE_STEPS) as u64
}

/// Keeps the books about an outcome.
fn settle(
    sequence: &mut Sequence,
    owner: usize,
    outcome: Outcome,
    stats: &mut Stats,
    ended: &mut Vec<usize>,
) {
    match outcome {
        Outcome::Continues => stats.generated_tokens += u64::from(sequence.generates()),
        Outcome::Finished { request } => {
            stats.generated_tokens += u64::from(sequence.generates());
            stats.finished += u64::from(request);
            ended.push(owner);
        }
        Outcome::Failed(failure) => {
            stats.failed += u64::from(sequence.job.task.fail(failure));
            ended.push(owner);
        }
    }
}
