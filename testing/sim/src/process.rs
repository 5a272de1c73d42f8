//! A running node: the engine's core, the bridge, and the chain, from start to stop.
//!
//! What the real engine does around its core is done here in the same order, without threads: the log is
//! flushed before anything leaves, answers of the application come back later, failures end the process.

mod effects;
mod host;
mod sync;
mod terms;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use freeway_consensus::codec::WireCodec;
use freeway_consensus::context::{Address, Context};
use freeway_consensus::parts::PartMessage;
use freeway_consensus::{Bridge, Fatal, Signing, SigningGuard};
use freeway_host::core::Identity;
use freeway_node::duties::OUTBOX;
use freeway_node::mempool::{InsertError, Limits, Mempool, Pending};
use freeway_node::{Chain, Durability, Duties, Outgoing};
use freeway_primitives::{Height, SecretKey};
use freeway_store::{Config, Medium, Store};
use malachitebft_codec::Codec;
use malachitebft_core_consensus::{Input, LivenessMsg, Params, SignedConsensusMsg, State, process};
use malachitebft_core_types::{
    LinearTimeouts, Timeout, TimeoutKind, ValidatorSet as _, ValueOrigin, ValuePayload,
};
use malachitebft_metrics::Metrics;

use crate::cast::GENESIS_MS;
use crate::verifier::Remembering;
use crate::wal::Wal;
use crate::wire::{Kind, Wire, decode_batch, encode_batch};
pub use host::{Work, endpoint};
pub use sync::STATUS_MS;
use terms::TimerKey;
pub use terms::{Files, Out, Reply, SKEW_BASE_MS, Seen, Start};

/// Stands for "wait for the target time": the simulated clock decides when that is.
const TARGET: std::time::Duration = std::time::Duration::from_secs(1 << 30);
/// As in the engine's settings.
const QUEUE_HEIGHTS: usize = 32;
const QUEUE_PER_HEIGHT: usize = 500;

/// A running node.
pub struct Process {
    core: Option<State<Context>>,
    metrics: Metrics,
    host: Host,
}

/// Everything but the core.
pub(crate) struct Host {
    pub(crate) bridge: Bridge<Chain>,
    pub(crate) mempool: Arc<Mempool>,
    pub(crate) duties: Option<Duties>,
    role: Option<host::Role>,
    outbox: tokio::sync::mpsc::Receiver<Outgoing>,
    pub(crate) wal: Wal,
    pub(crate) out: Vec<Out>,
    pub(crate) seen: Seen,
    signing: Option<Signing>,
    verifier: Remembering,
    address: freeway_primitives::Address,
    clock: Arc<AtomicU64>,
    timers: BTreeMap<TimerKey, u64>,
    generation: u64,
    timeouts: LinearTimeouts,
    target_ms: u64,
    height_began_ms: u64,
    is_validator: bool,
    recovering: bool,
    fatal: Option<Fatal>,
    sync: sync::Sync,
    /// Whether the core was started as a validator's.
    enabled: bool,
}

fn store_config() -> Config {
    Config { cache_bytes: 8 << 20, flush_every: 4, ..Config::default() }
}

impl Process {
    /// Opens the store, replays, and begins the next height.
    ///
    /// # Errors
    /// [`Fatal`] if the store or the chain cannot be opened.
    pub fn start(start: Start<'_>) -> Result<Self, Box<(Fatal, Files)>> {
        let chain = start.genesis.chain();
        let (clock, skew) = (Arc::clone(&start.clock), Arc::clone(&start.skew_ms));
        let own_clock =
            move || GENESIS_MS + clock.load(Ordering::Relaxed) + skew.load(Ordering::Relaxed) - SKEW_BASE_MS;
        let mempool = Arc::new(Mempool::new(chain, Limits::default()));
        let guard = if start.forgetful { SigningGuard::closed() } else { SigningGuard::open() };
        let signing = start.key.clone().map(|key| Signing::new(chain, key, guard));
        let (outgoing, outbox) = tokio::sync::mpsc::channel(OUTBOX);
        let mut duties = None;
        let own_duties = &mut duties;
        let mut open = || -> Result<Bridge<Chain>, Fatal> {
            let medium = Medium::Simulated(start.disk.clone());
            let store = Store::open(medium, store_config()).map_err(|error| Fatal(error.to_string()))?;
            let store = Arc::new(store);
            let duties = start.key.clone().map(|key| {
                let (store, mempool) = (Arc::clone(&store), Arc::clone(&mempool));
                Duties::new(chain, start.address, key, store, mempool, outgoing.clone())
            });
            *own_duties = duties.clone();
            let chain_of_node = Chain::open(
                store,
                start.genesis,
                Arc::clone(&mempool),
                start.address,
                duties,
                Box::new(own_clock.clone()),
                Durability::Inline,
            )?;
            Bridge::new(chain_of_node, chain, start.address, signing.clone(), start.incarnation)
        };
        let bridge = match open() {
            Ok(bridge) => bridge,
            Err(fatal) => return Err(Box::new((fatal, start.files))),
        };
        let state = bridge.application().store().view();
        let restored: Vec<Vec<u8>> = start.journal.to_vec();
        // What was included or has expired meanwhile drops out by itself.
        let _ = mempool.insert(&state, state.height(), &restored, true);
        drop(state);
        let enabled = bridge.votes();
        let Files { wal, record } = start.files;
        let identity = |key| Identity { chain, address: start.address, key };
        let role = start.key.clone().zip(start.host);
        let role = role.map(|(key, plan)| host::Role::new(identity(key), plan, record));
        let mut this = Self {
            core: None,
            metrics: Metrics::new(),
            host: Host {
                bridge,
                mempool,
                duties,
                outbox,
                role,
                wal,
                out: Vec::new(),
                seen: Seen::default(),
                signing,
                verifier: Remembering(chain),
                address: start.address,
                clock: start.clock,
                timers: BTreeMap::new(),
                generation: 0,
                timeouts: LinearTimeouts::default(),
                target_ms: 0,
                height_began_ms: 0,
                is_validator: false,
                recovering: false,
                fatal: None,
                sync: sync::Sync::default(),
                enabled,
            },
        };
        this.begin(false);
        this.host.step_host();
        Ok(this)
    }

    /// Ends the process and hands back its files.
    pub fn stop(self) -> Files {
        Files { wal: self.host.wal, record: self.host.role.map(|role| role.record).unwrap_or_default() }
    }

    /// Why the process must end, if it must.
    pub fn fatal(&self) -> Option<&Fatal> {
        self.host.fatal.as_ref()
    }

    /// The chain.
    pub fn chain(&self) -> &Chain {
        self.host.bridge.application()
    }

    /// The bridge.
    pub fn bridge(&self) -> &Bridge<Chain> {
        &self.host.bridge
    }

    /// The mempool.
    pub fn mempool(&self) -> &Arc<Mempool> {
        &self.host.mempool
    }

    /// Where the engine's core stands: height and round.
    pub fn position(&self) -> (Height, i64) {
        self.core.as_ref().map_or((Height::GENESIS, -1), |core| (core.height().0, core.round().as_i64()))
    }

    /// The key it signs with.
    pub fn key(&self) -> Option<&SecretKey> {
        self.host.signing.as_ref().map(Signing::key)
    }

    /// What it wants since the last call.
    pub fn take_out(&mut self) -> Vec<Out> {
        let mut outgoing = Vec::new();
        while let Ok(message) = self.host.outbox.try_recv() {
            outgoing.push(message);
        }
        if self.host.fatal.is_some() {
            // A stopped process sends nothing.
            self.host.out.clear();
            return Vec::new();
        }
        for message in outgoing {
            let wire = match message {
                Outgoing::Transaction(pending) => Wire {
                    kind: Kind::Transactions,
                    bytes: encode_batch(std::slice::from_ref(&pending.bytes)),
                },
                Outgoing::Partials(message) => Wire { kind: Kind::Partials, bytes: message.into() },
            };
            self.host.out.push(Out::Broadcast(wire));
        }
        std::mem::take(&mut self.host.out)
    }

    /// What properties want to know since the last call.
    pub fn take_seen(&mut self) -> Seen {
        std::mem::take(&mut self.host.seen)
    }

    /// A timer fires.
    pub fn timer(&mut self, generation: u64, timeout: Timeout) {
        let key = timer_key(&timeout);
        if self.host.timers.get(&key) == Some(&generation) {
            self.host.timers.remove(&key);
            self.input(Input::TimeoutElapsed(timeout));
        }
    }

    /// An answer of the application arrives.
    pub fn reply(&mut self, reply: Reply) {
        match reply {
            Reply::Propose(value) => self.input(Input::Propose(value)),
            Reply::Value(value, origin) => self.input(Input::ProposedValue(*value, origin)),
            Reply::Start { again } => self.begin(again),
        }
    }

    /// Bytes of client transactions, or of a peer's gossip.
    pub fn submit(&mut self, batch: &[Vec<u8>], local: bool) -> Vec<Result<Arc<Pending>, InsertError>> {
        let state = self.chain().store().view();
        self.host.mempool.insert(&state, state.height(), batch, local)
    }

    /// A message of a peer arrives.
    pub fn receive(&mut self, from: usize, wire: &Wire) {
        match wire.kind {
            Kind::Vote | Kind::Proposal => match wire.read::<SignedConsensusMsg<Context>>() {
                Some(SignedConsensusMsg::Vote(vote)) => self.input(Input::Vote(vote)),
                Some(SignedConsensusMsg::Proposal(proposal)) => self.input(Input::Proposal(proposal)),
                None => {}
            },
            Kind::Liveness => match wire.read::<LivenessMsg<Context>>() {
                Some(LivenessMsg::Vote(vote)) => self.input(Input::Vote(vote)),
                Some(LivenessMsg::PolkaCertificate(polka)) => self.input(Input::PolkaCertificate(polka)),
                Some(LivenessMsg::SkipRoundCertificate(round)) => self.input(Input::RoundCertificate(round)),
                None => {}
            },
            Kind::Part => {
                let Some(part) = wire.read::<PartMessage>() else { return };
                let publisher = (from as u64).to_le_bytes().to_vec();
                let result = self.host.bridge.receive(publisher, part);
                if let Some(Some(value)) = self.host.settle(result) {
                    self.host.out.push(Out::Reply(Reply::Value(Box::new(value), ValueOrigin::Consensus)));
                }
            }
            Kind::Status => self.status(from, wire),
            Kind::Request => self.request(from, wire),
            Kind::Response => self.response(from, wire),
            Kind::Partials => {
                let state = self.chain().store().view();
                // What does not decode, or holds what no honest node passes on, is dropped.
                let _ = self.chain().beacon().receive(&state, &wire.bytes);
            }
            Kind::Question | Kind::Answer => self.receive_for_host(from, wire),
            Kind::Transactions => {
                // Gossip that does not decode, or holds what no honest node passes on, is dropped.
                if let Some(batch) = decode_batch(&wire.bytes) {
                    let _ = self.submit(&batch, false);
                }
            }
        }
    }

    fn input(&mut self, input: Input<Context>) {
        if self.host.fatal.is_some() {
            return;
        }
        let Some(core) = self.core.as_mut() else { return };
        let host = &mut self.host;
        let result: Result<(), malachitebft_core_consensus::Error<Context>> = process!(
            input: input,
            state: &mut *core,
            metrics: &self.metrics,
            with: effect => host.handle(effect)
        );
        if let Err(error) = result {
            // The engine ends its actor, and with it the node.
            let fatal = Fatal(format!("the engine failed: {error}"));
            self.host.fatal.get_or_insert(fatal);
        }
    }

    /// Begins the height that the bridge plans.
    fn begin(&mut self, again: bool) {
        if self.host.fatal.is_some() {
            return;
        }
        let (height, params) = self.host.bridge.start();
        let votes = self.host.bridge.votes();
        if self.core.is_none() || votes != self.host.enabled {
            // A validator whose guard has opened starts its engine again, now with its key.
            self.host.enabled = votes;
            self.metrics = Metrics::new();
            self.core = Some(State::new(
                Context,
                height,
                params.validator_set.clone(),
                Params {
                    address: Address(self.host.address),
                    threshold_params: Default::default(),
                    value_payload: ValuePayload::ProposalAndParts,
                    enabled: votes,
                },
                QUEUE_HEIGHTS,
                QUEUE_PER_HEIGHT,
            ));
        }
        let host = &mut self.host;
        host.is_validator = votes && params.validator_set.get_by_address(&Address(host.address)).is_some();
        host.timeouts = params.timeouts;
        host.target_ms = params.target_time.map_or(0, |target| target.as_millis() as u64);
        host.height_began_ms = host.clock.load(Ordering::Relaxed);
        let entries = if again || !host.is_validator {
            host.wal.reset(height.0);
            Vec::new()
        } else {
            host.wal.started(height.0)
        };
        let policy = params.vote_extension_policy;
        self.input(Input::StartHeight(height, params.validator_set, again, Some(TARGET), policy));
        if !entries.is_empty()
            && let Some(core) = self.core.as_mut()
        {
            self.host.recovering = true;
            core.index_wal_entries(entries.iter());
            for entry in entries {
                self.input(entry);
            }
            if let Some(core) = self.core.as_mut() {
                core.reset_entries_index();
            }
            self.host.recovering = false;
        }
        self.feed_synced();
    }
}

/// The timer that `timeout` names, whatever its duration.
fn timer_key(timeout: &Timeout) -> TimerKey {
    let kind = match timeout.kind {
        TimeoutKind::Propose => 0,
        TimeoutKind::Prevote => 1,
        TimeoutKind::Precommit => 2,
        TimeoutKind::Rebroadcast => 3,
        TimeoutKind::FinalizeHeight(_) => 4,
    };
    (kind, timeout.round.as_i64())
}

/// Decodes through the network's codec.
pub(crate) fn read<T>(bytes: &bytes::Bytes) -> Option<T>
where
    WireCodec: Codec<T>,
{
    WireCodec.decode(bytes.clone()).ok()
}
