//! What the parts of a host process share, and what they do with it. Everything here may block.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use freeway_ledger::{Fault, Message, Params, Text, sprint};
use freeway_primitives::{Address, ChainId, Digest, Epoch, Height};
use freeway_proofs::sprint::Position;
use tokio::sync::{Notify, watch};
use tracing::{error, info, warn};

use super::Chain;
use super::work::Working;
use crate::core::{Action, Core, DEVICE, Refusal, Stage};
use crate::engine::{Engine, EngineError, Model, Weights};
use crate::openings::SignedOpenings;
use crate::racer::{self, Meter, Share, Stop, Task};
use crate::record::{self, RaceKey, Record, RecordError};
use crate::server::{Progress, Show};
use crate::stats::Stats;
use crate::work::WorkAction;

/// How often what was computed is made durable and counted.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// So many messages that are not taken are passed over in a turn.
const MAX_REFUSED: usize = 8;

/// A race to run.
pub(super) struct RaceOrder {
    pub(super) epoch: Epoch,
    pub(super) seed: Digest,
    pub(super) shape: Text,
    pub(super) from_nonce: u64,
}

/// Nonces of another host to compute.
pub(super) struct CheckOrder {
    pub(super) epoch: Epoch,
    pub(super) host: Address,
    pub(super) seed: Digest,
    pub(super) shape: Text,
    pub(super) positions: Vec<Position>,
}

/// A model in memory, and what it is of.
struct Known {
    shape: Text,
    seed: Digest,
    weights: Weights,
    model: Arc<dyn Model>,
}

/// How far the blocks and the records are looked through.
#[derive(Default)]
struct Seen {
    /// The epoch whose record was looked for.
    record: Option<Epoch>,
    /// The last block that was searched for answers.
    answers: Height,
    /// The epoch whose work was found to be gone.
    lost: Option<Epoch>,
}

/// What the parts of a host process share.
pub(super) struct Shared<C> {
    pub(super) chain: C,
    pub(super) address: Address,
    pub(super) share: Share,
    /// Where records of races are.
    pub(super) folder: PathBuf,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) stats: watch::Sender<Stats>,
    /// Something came in: the core has to step.
    pub(super) wake: Notify,
    pub(super) meter: Arc<Meter>,
    core: Mutex<Core>,
    /// The duties of paid work, if it does any.
    pub(super) working: OnceLock<Working>,
    known: Mutex<Option<Known>>,
    seen: Mutex<Seen>,
    /// Nonces a second, in thousandths.
    pace: AtomicU64,
}

impl<C: Chain> Shared<C> {
    pub(super) fn new(
        chain: C,
        address: Address,
        core: Core,
        engine: Arc<dyn Engine>,
        share: Share,
        folder: PathBuf,
    ) -> Self {
        Self {
            chain,
            address,
            share,
            folder,
            engine,
            stats: watch::Sender::new(Stats::default()),
            wake: Notify::new(),
            meter: Arc::default(),
            core: Mutex::new(core),
            working: OnceLock::new(),
            known: Mutex::default(),
            seen: Mutex::default(),
            pace: AtomicU64::new(0),
        }
    }

    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Stats)) {
        self.stats.send_modify(change);
    }

    /// One step of both cores; sends what they want sent. Gives the height, and what else is to be done.
    pub(super) fn turn(&self) -> (Height, Vec<Action>, Vec<WorkAction>) {
        // Before the state is read: what is in a block by then is in that state, and nothing is sent twice.
        let waiting = self.chain.waiting();
        let (state, height) = self.chain.state();
        if !self.chain.is_current() {
            return (height, Vec::new(), Vec::new());
        }
        let (mut messages, actions) = self.step(&state, height).unwrap_or_else(|fault| {
            error!(%fault, %height, "the race cannot be followed; trying again at the next block");
            (Vec::new(), Vec::new())
        });
        let (duties, work) = self.work(&state, height);
        messages.extend(duties);
        if let Err(fault) = waiting.and_then(|waiting| self.send(messages, waiting)) {
            error!(%fault, %height, "nothing can be sent; trying again at the next block");
        }
        let (nonces, cpu) = (self.meter.nonces(), self.meter.cpu());
        self.count(|stats| (stats.nonces, stats.cpu_seconds) = (nonces, cpu.as_secs_f64()));
        (height, actions, work)
    }

    /// Sends messages in order, unless others of this host wait for a block. All of them together: they share the key's
    /// sequence.
    fn send(&self, messages: Vec<Message>, waiting: bool) -> Result<(), Fault> {
        if messages.is_empty() || waiting {
            return Ok(());
        }
        let mut rest = messages;
        for _ in 0..MAX_REFUSED {
            let sent = self.chain.send(rest.clone())?;
            self.count(|stats| rest.iter().take(sent).for_each(|message| stats.sent(message)));
            // What is not taken is no reason to hold up what comes after it.
            rest.drain(..(sent + 1).min(rest.len()));
            if rest.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn step(&self, state: &C::State, height: Height) -> Result<(Vec<Message>, Vec<Action>), Fault> {
        self.restore(state)?;
        let mut actions = self.core().step(state, height)?;
        let standing = self.core().standing();
        let awaits = self.core().awaits_answers(state, height)?;
        if awaits && self.look(state, height)? {
            let sends = |action: &Action| matches!(action, Action::Send(_));
            // What is to be sent is said anew.
            actions.retain(|action| !sends(action));
            actions.extend(self.core().step(state, height)?);
        }
        if standing.stage == Stage::Idle {
            // The weights are of use to no other race.
            *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        if standing.lost && self.seen().lost.replace(standing.epoch) != Some(standing.epoch) {
            warn!(epoch = %standing.epoch, "what this host committed to is gone; its race will count for nothing");
        }
        let (mut messages, mut rest) = (Vec::new(), Vec::new());
        for action in actions {
            match action {
                Action::Send(wanted) => messages.extend(wanted),
                other => rest.push(other),
            }
        }
        Ok((messages, rest))
    }

    /// Once a race: gives the core what was computed in it before a restart.
    fn restore(&self, state: &C::State) -> Result<(), Fault> {
        let Some(race) = sprint::race(state)? else { return Ok(()) };
        let Some(started) = race.started.as_ref().filter(|_| race.end.is_none()) else { return Ok(()) };
        if self.seen().record.replace(race.epoch) == Some(race.epoch) {
            return Ok(());
        }
        let key = self.key(race.epoch, started.seed, &race.rules.shape);
        let found = record::epochs(&self.folder).and_then(|epochs| {
            let known = epochs.contains(&race.epoch);
            known.then(|| Record::open(&self.folder, &key)).transpose()
        });
        match found {
            Ok(Some((_, traces))) if !traces.is_empty() => {
                info!(epoch = %race.epoch, nonces = traces.len(), "the race goes on from before the restart");
                self.core().restore(race.epoch, started.seed, traces);
            }
            Ok(_) => {}
            Err(error) => error!(%error, "what was computed before the restart is lost"),
        }
        Ok(())
    }

    /// Looks for published answers in the blocks since the last look; whether there are any.
    fn look(&self, state: &C::State, height: Height) -> Result<bool, Fault> {
        let Some(race) = sprint::race(state)? else { return Ok(false) };
        let Some(challenged) = race.challenged else { return Ok(false) };
        let from = self.seen().answers.max(challenged.height);
        let mut found = false;
        // No further back than a race is long.
        for number in from.next().0..=height.0 {
            for (host, openings) in self.chain.answers(Height(number), &self.address)? {
                self.core().published(race.epoch, host, &openings);
                found = true;
            }
        }
        self.seen().answers = height;
        Ok(found)
    }

    fn key(&self, epoch: Epoch, seed: Digest, shape: &Text) -> RaceKey {
        let chain: ChainId = self.chain.id();
        RaceKey { chain, epoch, seed, shape: shape.as_str().into(), host: self.address, device: DEVICE }
    }

    /// The model of a race; stored weights also serve where streamed ones would do.
    fn model(&self, shape: &Text, seed: Digest, weights: Weights) -> Result<Arc<dyn Model>, EngineError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |known: &&Known| {
            (&known.shape, known.seed) == (shape, seed)
                && (known.weights == Weights::Stored || weights == Weights::Streamed)
        };
        if let Some(known) = known.as_ref().filter(fits) {
            return Ok(Arc::clone(&known.model));
        }
        let model = self.engine.model(shape.as_str(), &seed, weights, self.share.threads)?;
        *known = Some(Known { shape: shape.clone(), seed, weights, model: Arc::clone(&model) });
        Ok(model)
    }

    /// Runs a race until stopped.
    pub(super) fn race(&self, order: &RaceOrder, stop: Stop) -> Result<(), EngineError> {
        let RaceOrder { epoch, seed, shape, from_nonce } = order;
        let (epoch, shape_name) = (*epoch, shape.as_str());
        self.compare_work(shape);
        self.count(|stats| stats.races += 1);
        let model = self.model(shape, *seed, Weights::Stored)?;
        let (mut record, first) = match self.open(order) {
            Ok((record, first)) => (Some(record), first),
            Err(error) => {
                self.unrecorded(&error);
                (None, *from_nonce)
            }
        };
        info!(%epoch, shape = shape_name, from = first, threads = self.share.threads, "racing");
        let (share, meter) = (self.share, Arc::clone(&self.meter));
        let task = Task { model, host: self.address, share, meter, stop };
        let mut since = Instant::now();
        racer::race(&task, DEVICE, first, SYNC_EVERY, |from, traces| {
            if let Some(Err(error)) = record.as_mut().map(|record| record.append(&traces)) {
                self.unrecorded(&error);
                record = None;
            }
            self.core().computed(epoch, from, &traces);
            let milliseconds = since.elapsed().as_millis().max(1) as u64;
            since = Instant::now();
            self.pace.store(traces.len() as u64 * 1_000_000 / milliseconds, Ordering::Relaxed);
        })?;
        self.pace.store(0, Ordering::Relaxed);
        info!(%epoch, nonces = self.core().standing().nonces, "the race is run");
        Ok(())
    }

    /// The record of a race, and the first nonce that it does not have.
    fn open(&self, order: &RaceOrder) -> Result<(Record, u64), RecordError> {
        let (record, found) = Record::open(&self.folder, &self.key(order.epoch, order.seed, &order.shape))?;
        // What the core has is what the record had at the last start; if that could not be read then, it can now.
        self.core().computed(order.epoch, 0, &found);
        Ok((record, found.len() as u64))
    }

    fn unrecorded(&self, error: &RecordError) {
        error!(%error, "the race goes on in memory; if this process ends before it is settled, its work is lost");
        self.count(|stats| stats.unrecorded += 1);
    }

    /// The chain counts the work of a nonce by a parameter; a program that does other work should say so.
    fn compare_work(&self, shape: &Text) {
        let (state, _) = self.chain.state();
        let counted = Params::current(&state).map(|params| params.sprint.macs_per_nonce);
        let done = self.engine.macs_per_nonce(shape.as_str());
        if let (Ok(counted), Some(done)) = (counted, done)
            && counted != done
        {
            warn!(
                shape = shape.as_str(),
                counted, done, "the chain counts other work for a nonce than it is"
            );
        }
    }

    /// Computes nonces of another host, and tells the core.
    pub(super) fn check(&self, order: &CheckOrder, stop: Stop) {
        let CheckOrder { epoch, host, seed, shape, positions } = order;
        let found = self.model(shape, *seed, Weights::Streamed).and_then(|model| {
            let (share, meter) = (self.share, Arc::clone(&self.meter));
            racer::recompute(&Task { model, host: *host, share, meter, stop }, positions)
        });
        match found {
            Ok(Some(traces)) => {
                let traces: Vec<_> = positions.iter().copied().zip(traces).collect();
                self.core().recomputed(*epoch, *host, &traces);
            }
            Ok(None) => self.core().not_recomputed(*epoch, *host, positions),
            // Asking again would not help.
            Err(error) => error!(%error, %host, "nonces of another host cannot be checked"),
        }
        self.wake.notify_one();
    }
}

impl<C: Chain> Show for Arc<Shared<C>> {
    fn openings(&self, epoch: Epoch, member: Address) -> Result<SignedOpenings, Refusal> {
        let (state, _) = self.chain.state();
        let answer = self.core().serve(&state, epoch, member);
        self.count(|stats| match answer {
            Ok(_) => stats.openings_served += 1,
            Err(_) => stats.openings_refused += 1,
        });
        answer
    }

    fn progress(&self) -> Progress {
        let standing = self.core().standing();
        Progress {
            epoch: standing.epoch.0,
            stage: standing.stage.name().into(),
            nonces: standing.nonces,
            cpu_seconds: self.meter.cpu().as_secs_f64(),
            nonces_per_second: self.pace.load(Ordering::Relaxed) as f64 / 1_000.0,
            committed: standing.committed,
            threads: self.share.threads,
            share: self.share.percent,
        }
    }
}
