//! The engine's thread: who is let in, what is computed in a step, and who gets which result.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use freeway_kernels::served::{PAGE_POSITIONS, Page};
use freeway_primitives::Digest;
use freeway_proofs::merkle::Frontier;

use super::plan::share;
use super::results::{Results, Wanted, deliver};
use super::sequence::Sequence;
use super::{EngineOptions, Shared, Shutdown, Stats};
use crate::cache::{Cache, key};
use crate::forward::{Chunk, Forward};
use crate::model::Model;
use crate::request::Failure;

/// All that the thread works on.
pub(super) struct Scheduler {
    model: Arc<Model>,
    shared: Arc<Shared>,
    cache: Cache<Page>,
    forward: Forward,
    /// Sequences that are computed, the oldest first.
    running: Vec<Sequence>,
    /// Sequences without pages that were let in before, the oldest first.
    paused: VecDeque<Sequence>,
    max_sequences: usize,
    rows_per_step: usize,
    /// Requests let in so far.
    requests: u64,
    stats: Stats,
}

/// What a sequence does in a step.
#[derive(Clone, Copy)]
struct Part {
    /// Which of the running sequences.
    sequence: usize,
    /// How many positions it computes.
    rows: usize,
    /// From which of them on results are wanted.
    wanted: usize,
}

impl Scheduler {
    pub(super) fn new(
        model: Arc<Model>,
        shared: Arc<Shared>,
        cache: Cache<Page>,
        options: &EngineOptions,
    ) -> Self {
        let stats = *shared.stats();
        Self {
            model,
            shared,
            cache,
            forward: Forward::new(),
            running: Vec::new(),
            paused: VecDeque::new(),
            max_sequences: options.max_sequences,
            rows_per_step: options.rows_per_step,
            requests: 0,
            stats,
        }
    }

    /// Works until it is told to stop.
    pub(super) fn run(&mut self) {
        while self.wait() {
            let begin = Instant::now();
            self.sweep();
            self.admit();
            self.step();
            self.stats.busy += begin.elapsed();
            self.publish();
        }
        self.running.iter_mut().for_each(|sequence| release(&mut self.cache, sequence));
    }

    /// Fails all that is left and says that nothing more will be done.
    pub(super) fn end(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut queue = shared.queue();
        let waiting = queue.waiting.drain(..).map(|job| job.task);
        let sequences = self.running.drain(..).chain(self.paused.drain(..)).map(|sequence| sequence.job.task);
        for mut task in waiting.chain(sequences) {
            self.stats.failed += u64::from(task.fail(Failure::Stopped));
        }
        self.publish();
        // Whoever waits for the end finds the last numbers.
        queue.ended = true;
        shared.changed.notify_all();
    }

    /// Sleeps while there is nothing to do. Gives whether to go on.
    fn wait(&self) -> bool {
        let mut queue = self.shared.queue();
        loop {
            #[cfg(test)]
            assert!(!queue.sabotage, "told to break");
            let idle = self.running.is_empty() && self.paused.is_empty() && queue.waiting.is_empty();
            match queue.shutdown {
                Some(Shutdown::Abort) => return false,
                Some(Shutdown::Drain) if idle => return false,
                _ if !idle => return true,
                _ => queue = self.shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Drops what nobody waits for.
    fn sweep(&mut self) {
        self.shared.queue().sweep();
        let Self { cache, stats, .. } = self;
        let mut stays = |sequence: &mut Sequence| {
            let gone = sequence.job.task.is_cancelled();
            if gone {
                stats.cancelled += u64::from(sequence.job.task.cancel());
                release(cache, sequence);
            }
            !gone
        };
        self.running.retain_mut(&mut stays);
        self.paused.retain_mut(&mut stays);
    }

    /// Lets in who has room, in order: first those that were in before, then those that wait.
    fn admit(&mut self) {
        while self.running.len() < self.max_sequences {
            let sequence = match self.paused.pop_front() {
                Some(sequence) => sequence,
                None => {
                    let Some(job) = self.shared.queue().waiting.pop_front() else { return };
                    self.requests += 1;
                    Sequence::new((self.requests, 0), job)
                }
            };
            if !self.let_in(sequence) {
                return;
            }
        }
    }

    /// Lets a sequence in if the pages for what it has, and for its next token, are there; if not, it is the first to
    /// come when they are. If nothing runs they are, because what could never fit was refused.
    fn let_in(&mut self, mut sequence: Sequence) -> bool {
        let promised: usize =
            self.running.iter().map(|other| pages(other.goal() + 1).saturating_sub(other.pages.len())).sum();
        // Positions whose results are wanted are not skipped.
        let most = sequence.wanted() / PAGE_POSITIONS;
        let root = self.model.root().0;
        let found = self.cache.find(&root, &sequence.job.tokens, most);
        let need = pages(sequence.goal() + 1) - found.len();
        if !self.running.is_empty() && need + promised > self.cache.available() {
            found.into_iter().for_each(|found| self.cache.give(found.page));
            self.paused.push_front(sequence);
            return false;
        }
        for found in found {
            sequence.pages.push(found.page);
            sequence.keys.push(found.key);
            found.nodes.iter().for_each(|node| grow(&mut sequence, node));
        }
        sequence.done = sequence.pages.len() * PAGE_POSITIONS;
        if sequence.begin(sequence.done) {
            self.stats.prompt_tokens += sequence.prompt_tokens() as u64;
            self.stats.cached_tokens += sequence.done as u64;
        }
        let place = self.running.partition_point(|other| other.order < sequence.order);
        self.running.insert(place, sequence);
        true
    }

    /// Computes something of every running sequence.
    fn step(&mut self) {
        let parts = self.plan();
        if parts.is_empty() {
            return;
        }
        let chunks: Vec<Chunk<'_>> = parts
            .iter()
            .map(|part| {
                let sequence = &self.running[part.sequence];
                Chunk {
                    pages: &sequence.pages,
                    first: sequence.done,
                    tokens: &sequence.job.tokens[sequence.done..sequence.done + part.rows],
                    wanted: part.wanted,
                    traced: sequence.job.trace,
                }
            })
            .collect();
        self.forward.run(&self.model, self.cache.pages(), &chunks);
        self.stats.steps += 1;
        self.stats.rows += parts.iter().map(|part| part.rows as u64).sum::<u64>();
        self.record(&parts);
        let wanted = wanted(&self.running, &parts);
        let results = deliver(&self.model, &mut self.forward, &mut self.running, &wanted, &mut self.stats);
        self.regroup(results);
    }

    /// Decides about rows, and makes sure of the pages for them.
    fn plan(&mut self) -> Vec<Part> {
        let left: Vec<usize> = self.running.iter().map(|sequence| sequence.goal() - sequence.done).collect();
        let shares = share(&left, self.rows_per_step);
        let mut parts = Vec::with_capacity(shares.len());
        for (index, rows) in shares.into_iter().enumerate() {
            // From here on the youngest may have lost their place.
            if index < self.running.len() && self.make_room(index, rows) {
                let sequence = &self.running[index];
                let wanted = sequence.wanted().saturating_sub(sequence.done).min(rows);
                parts.push(Part { sequence: index, rows, wanted });
            }
        }
        parts
    }

    /// Gets the pages for the next `rows` positions of a running sequence. The youngest give theirs up for it, perhaps
    /// itself: then there is no room.
    fn make_room(&mut self, index: usize, rows: usize) -> bool {
        let needed = pages(self.running[index].done + rows);
        while self.running[index].pages.len() < needed {
            if let Some(page) = self.cache.take() {
                self.running[index].pages.push(page);
                continue;
            }
            let Some(mut youngest) = self.running.pop() else { return false };
            release(&mut self.cache, &mut youngest);
            self.stats.preemptions += 1;
            self.pause(youngest);
            if index == self.running.len() {
                return false;
            }
        }
        true
    }

    /// Puts a sequence without pages among those that wait for room.
    fn pause(&mut self, sequence: Sequence) {
        let place = self.paused.partition_point(|other| other.order < sequence.order);
        self.paused.insert(place, sequence);
    }

    /// Takes up what a step computed: trace nodes, and pages that became full.
    fn record(&mut self, parts: &[Part]) {
        let mut row = 0;
        for part in parts {
            let sequence = &mut self.running[part.sequence];
            for row in row..row + part.rows {
                sequence.done += 1;
                if !sequence.job.trace {
                    continue;
                }
                let node = self.forward.node(row);
                grow(sequence, &node);
                sequence.nodes.push(node);
                if sequence.done.is_multiple_of(PAGE_POSITIONS) {
                    let depth = sequence.done / PAGE_POSITIONS - 1;
                    let tokens = &sequence.job.tokens[depth * PAGE_POSITIONS..sequence.done];
                    let before = sequence.keys.last().copied().unwrap_or(self.model.root().0);
                    let key = key(&before, tokens);
                    self.cache.keep(key, depth, &mut sequence.pages[depth], &sequence.nodes);
                    sequence.keys.push(key);
                    sequence.nodes.clear();
                }
            }
            row += part.rows;
        }
    }

    /// Parts with those that came to their end, and takes in the choices that go their own way from now on.
    fn regroup(&mut self, Results { mut ended, forks, begun }: Results) {
        // Copies are made while the originals have their pages.
        let forks: Vec<Sequence> =
            forks.into_iter().map(|(owner, fork)| self.copy_pages(owner, fork)).collect();
        ended.sort_unstable();
        for owner in ended.into_iter().rev() {
            release(&mut self.cache, &mut self.running.remove(owner));
        }
        for mut fork in forks {
            if fork.pages.is_empty() || self.running.len() >= self.max_sequences {
                release(&mut self.cache, &mut fork);
                self.pause(fork);
            } else {
                let place = self.running.partition_point(|other| other.order < fork.order);
                self.running.insert(place, fork);
            }
        }
        begun.into_iter().for_each(|sequence| self.pause(sequence));
    }

    /// Gives a fork the pages of the sequence it comes from: the full ones as they are, the last one as a copy. If there
    /// is no page for the copy, it stays without any.
    fn copy_pages(&mut self, owner: usize, mut fork: Sequence) -> Sequence {
        let original = &self.running[owner];
        let (full, partial) = original.pages.split_at(fork.done / PAGE_POSITIONS);
        if let Some(partial) = partial.first() {
            let Some(copy) = self.cache.take() else { return fork };
            if let Ok([from, to]) = self.cache.pages().get_disjoint_mut([*partial as usize, copy as usize]) {
                to.copy_from(from);
            }
            fork.pages.push(copy);
        }
        full.iter().for_each(|page| self.cache.share(*page));
        fork.pages.splice(0..0, full.iter().copied());
        fork
    }

    /// Shows the numbers.
    fn publish(&mut self) {
        self.stats.running = self.running.len();
        self.stats.paused = self.paused.len();
        self.stats.pages_in_use = self.cache.in_use();
        self.stats.pages_cached = self.cache.kept();
        *self.shared.stats() = self.stats;
    }
}

/// Takes all pages from a sequence; nothing of it is computed any more.
fn release(cache: &mut Cache<Page>, sequence: &mut Sequence) {
    cache.touch(sequence.keys.drain(..));
    sequence.pages.drain(..).for_each(|page| cache.give(page));
    sequence.nodes.clear();
    sequence.frontier = Frontier::new();
    sequence.done = 0;
}

/// Adds the trace node of the next position.
fn grow(sequence: &mut Sequence, node: &Digest) {
    sequence.frontier.push(node).expect("a context is shorter than the largest tree");
}

/// The results of a step that are wanted, in the order in which they stand.
fn wanted(running: &[Sequence], parts: &[Part]) -> Vec<Wanted> {
    let mut all = Vec::new();
    for part in parts {
        // The positions of the part are done by now.
        let first = running[part.sequence].done - part.rows;
        for row in part.wanted..part.rows {
            all.push(Wanted { result: all.len(), owner: part.sequence, position: first + row });
        }
    }
    all
}

/// Pages for so many positions.
fn pages(positions: usize) -> usize {
    positions.div_ceil(PAGE_POSITIONS)
}
