//! Decides whether a request is done, and counts what may be owed for those under way.
//!
//! A request holds a *seat* from its acceptance to its end. A lane's seats count at the most that each may cost, so
//! that a voucher covers whatever its lane's requests come to, in whichever order they end.

mod seat;
mod tally;

use core::time::Duration;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use freeway_api::serving::{Ask, MAX_OUTPUT_TOKENS, most};
use freeway_engines::Engine;
use freeway_ledger::lanes::probe::PROBER;
use freeway_ledger::lanes::{Constraints, State};
use freeway_ledger::models::Tier;
use freeway_ledger::{Fault, Reader, work};
use freeway_primitives::{Digest, Domain, Height, Signature};
use freeway_proofs::work::{ACCEPTANCE, Acceptance, LaneId, VOUCHER};

use super::store::{Body, Record, Signer, WorkStore};
use super::view::{Ended, Exposure, Facts, View};
use super::{Refusal, Serving};
use crate::adversary::Serve;
use seat::End;
pub(crate) use seat::{Outcome, Seat};
use tally::Tally;

const SALT_KEY: Domain = Domain::new("freeway 1 key of salts");

/// Lanes that are remembered beyond those in use, before old ones are looked for.
const MAX_TALLIES: usize = 4_096;

/// What a host bears.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests at a time.
    pub requests: usize,
    /// Requests of a lane that its payer may leave unpaid within [`window`](Self::window).
    pub cancels: usize,
    /// See [`cancels`](Self::cancels).
    pub window: Duration,
    /// Blocks that a lane must still have before it closes.
    pub least_left: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests: 64, cancels: 8, window: Duration::from_secs(60), least_left: 2 }
    }
}

/// Who computes a model's answers.
#[derive(Clone)]
struct Model {
    engine: Arc<dyn Engine>,
    name: String,
}

/// Lanes of one model and the same constraints: a commitment has a tree for each class.
type Class = (Digest, Constraints);

/// The books of what is under way.
#[derive(Default)]
struct Books {
    /// The height that the next two are of.
    height: Option<Height>,
    lanes: HashMap<LaneId, Option<Arc<Facts>>>,
    exposure: Option<Exposure>,
    /// Fees of receipts since `exposure` was read.
    since: u128,
    /// Classes of lanes with receipts that are not committed to, or with requests under way.
    classes: Vec<Class>,
    tallies: HashMap<LaneId, Tally>,
    /// Requests under way, and the most that they cost.
    running: usize,
    reserved: u128,
    draining: bool,
}

/// Takes requests or refuses them.
pub struct Desk {
    view: Box<dyn View>,
    store: Arc<WorkStore>,
    signer: Signer,
    salts: [u8; 32],
    models: BTreeMap<Digest, Model>,
    /// Those whose answers here nobody could compute again.
    inexact: Vec<Digest>,
    limits: Limits,
    adversary: Option<Serve>,
    books: Mutex<Books>,
}

/// A request that is done, or was done before.
pub(crate) enum Admitted {
    /// It is to be done.
    New(Box<Seat>),
    /// It was done, and its payer did not hear of it.
    Again(Box<(Seatless, Record, Body)>),
}

/// From whom a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// From outside.
    Payer,
    /// From this host itself, as the network wants it.
    Network,
}

/// What is said first about a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seatless {
    pub(crate) acceptance: Acceptance,
    pub(crate) signature: Signature,
}

impl Desk {
    /// A desk for what `serving` says. `adversary`: how it cheats, if it does.
    pub fn new(
        view: Box<dyn View>,
        store: Arc<WorkStore>,
        signer: Signer,
        serving: &Serving,
        limits: Limits,
        adversary: Option<Serve>,
    ) -> Self {
        let mut models = BTreeMap::new();
        for (_, root) in &serving.models {
            let Some((engine, name)) = serving.engine(root) else { continue };
            let engine = match adversary {
                None => engine,
                Some(cheat) => cheat.engine(engine, serving.coarse(root), serving.scorer(root)),
            };
            models.insert(*root, Model { engine, name });
        }
        let salts = signer.key.derive_bytes(SALT_KEY);
        let books = Mutex::default();
        let inexact = serving.inexact();
        Self { view, store, signer, salts, models, inexact, limits, adversary, books }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on no request is taken; those under way go on.
    pub fn drain(&self) {
        self.books().draining = true;
    }

    /// Requests under way.
    pub fn running(&self) -> usize {
        self.books().running
    }

    /// Whether it serves as it should.
    pub(crate) fn is_honest(&self) -> bool {
        self.adversary.is_none()
    }

    pub(crate) fn view(&self) -> &dyn View {
        self.view.as_ref()
    }

    pub(crate) fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The first voucher number of a lane that was not taken.
    pub(crate) fn next_voucher(&self, lane: LaneId) -> u64 {
        let books = self.books();
        let highest = match books.tallies.get(&lane) {
            Some(tally) => tally.highest().map(|(voucher, _)| voucher),
            None => self.store.share(lane).map(|share| share.voucher),
        };
        highest.map_or(0, |voucher| voucher.sequence.saturating_add(1))
    }

    pub(crate) fn store(&self) -> &Arc<WorkStore> {
        &self.store
    }

    /// Who computes a model's answers, and under which name.
    pub(crate) fn model(&self, root: &Digest) -> Option<(Arc<dyn Engine>, String)> {
        self.models.get(root).map(|model| (Arc::clone(&model.engine), model.name.clone()))
    }

    /// Looks at a request of a payer and takes it, or says why not. May block on the disk.
    pub(crate) fn admit(self: &Arc<Self>, lane: LaneId, ask: Ask) -> Result<Admitted, Refusal> {
        self.take(lane, ask, Asker::Payer)
    }

    /// As [`Self::admit`], whoever asks.
    pub(crate) fn take(self: &Arc<Self>, lane: LaneId, ask: Ask, asker: Asker) -> Result<Admitted, Refusal> {
        self.look_at(lane, &ask)?;
        if !self.view.is_current() {
            return Err(Refusal::busy("the host is catching up with the chain; ask again in a few seconds"));
        }
        let facts = self.facts(lane)?;
        self.check_lane(&facts, &ask)?;
        // Everybody has the key of those lanes, and what is asked in them follows from the chain.
        if facts.lane.payer == PROBER && asker == Asker::Payer {
            let message = "the network itself asks in this lane, and nobody else; open one of your own";
            return Err(Refusal::new("not_the_payer", message).with_status(403));
        }
        if facts.lane.key.verify(VOUCHER, &self.signer.chain, &ask.voucher, &ask.signature).is_err() {
            let message = "the voucher is not signed by the lane's key for this network";
            return Err(Refusal::new("bad_signature", message));
        }
        let acceptance = Acceptance {
            lane,
            host: self.signer.host,
            sequence: ask.voucher.sequence,
            model: facts.lane.model,
            request: ask.voucher.request,
            prices: facts.lane.prices,
        };
        let signature = self.signer.key.sign(ACCEPTANCE, &self.signer.chain, &acceptance);
        let promise = Seatless { acceptance, signature };
        if let Some((record, body)) = self.done_before(&ask)? {
            return Ok(Admitted::Again(Box::new((promise, record, body))));
        }
        let most = most(&facts.lane.prices, &ask.request).0;
        self.reserve(&ask, &facts, most)?;
        let (desk, end) = (Arc::clone(self), End::Left);
        Ok(Admitted::New(Box::new(Seat { desk, ask, facts, promise, most, end })))
    }

    /// What can be said without the chain.
    fn look_at(&self, lane: LaneId, ask: &Ask) -> Result<(), Refusal> {
        let (voucher, request) = (&ask.voucher, &ask.request);
        if voucher.lane != lane {
            return Err(Refusal::new("wrong_request", "the voucher is for another lane than the path"));
        }
        if voucher.host != self.signer.host {
            return Err(Refusal::new("wrong_host", format!("the voucher is for {}", voucher.host)));
        }
        let digest = request.digest();
        if voucher.request != digest {
            let message = format!("the voucher is for another request than this one, which is {digest}");
            return Err(Refusal::new("wrong_request", message));
        }
        let output = u64::from(request.max_tokens).saturating_mul(u64::from(request.choices));
        if output == 0 || output > MAX_OUTPUT_TOKENS as u64 || request.prompt.is_empty() {
            let message = format!("a request has a prompt and asks for 1 to {MAX_OUTPUT_TOKENS} tokens");
            return Err(Refusal::new("wrong_request", message));
        }
        Ok(())
    }

    /// What the chain says of a lane now.
    fn facts(&self, lane: LaneId) -> Result<Arc<Facts>, Refusal> {
        let mut found = Ok(None);
        let mut books = self.books();
        self.view.look(&mut |state, height| {
            found = self.refresh(&mut books, state, height).and_then(|()| {
                if let Some(known) = books.lanes.get(&lane) {
                    return Ok(known.clone());
                }
                let read = Facts::read(state, lane, &self.signer.host)?.map(Arc::new);
                // Strangers may ask for lanes that do not exist, without end.
                if read.is_some() {
                    books.lanes.insert(lane, read.clone());
                }
                Ok(read)
            });
        });
        drop(books);
        let found = found.map_err(|fault: Fault| {
            tracing::error!(%fault, "the state cannot be read; requests are refused");
            Refusal::internal()
        })?;
        found.ok_or_else(|| {
            let message = format!("there is no lane {} on chain; open one", lane.0);
            Refusal::new("unknown_lane", message).with_status(404)
        })
    }

    /// Reads what is new at this height.
    fn refresh(&self, books: &mut Books, state: &dyn Reader, height: Height) -> Result<(), Fault> {
        if books.height == Some(height) && books.exposure.is_some() {
            return Ok(());
        }
        let fees = self.store.intervals();
        let fees = fees.iter().map(|interval| (interval.interval, interval.fees));
        books.exposure = Some(Exposure::read(state, height, &self.signer.host, fees)?);
        (books.height, books.since) = (Some(height), 0);
        books.lanes.clear();
        books.classes = self.store.open_classes();
        for class in books.tallies.values().filter_map(Tally::class) {
            if !books.classes.contains(class) {
                books.classes.push(class.clone());
            }
        }
        if books.tallies.len() > MAX_TALLIES {
            let mut over = Vec::new();
            for lane in books.tallies.keys() {
                if freeway_ledger::lanes::lane(state, *lane)?.is_none() {
                    over.push(*lane);
                }
            }
            over.iter().for_each(|lane| drop(books.tallies.remove(lane)));
        }
        Ok(())
    }

    fn check_lane(&self, facts: &Facts, ask: &Ask) -> Result<(), Refusal> {
        let Facts { lane, share, forfeited, model } = facts;
        if lane.state != State::Open {
            let message = format!("the lane is {}; requests need one that is open", lane.state.name());
            return Err(Refusal::new("not_open", message));
        }
        let Some(share) = share else {
            return Err(Refusal::new("no_share", "this host has no share of the lane; ask one that has"));
        };
        if *forfeited {
            return Err(Refusal::new("forfeited", "this host's share is forfeited; ask another host"));
        }
        if share.key != self.signer.key.public() {
            let message = "the lane knows this host by a key that it no longer has; open another lane";
            return Err(Refusal::new("wrong_key", message));
        }
        let height = self.books().height.unwrap_or(Height::GENESIS);
        if lane.expires <= height.plus(self.limits.least_left) {
            let message = format!("the lane closes at height {}; open another", lane.expires);
            return Err(Refusal::new("expired", message));
        }
        if ask.request.model.0 != lane.model {
            return Err(Refusal::new("wrong_request", "the request is for another model than the lane"));
        }
        if !self.models.contains_key(&lane.model) {
            let message = "this host does not serve the lane's model now; ask another host";
            return Err(Refusal::new("unknown_model", message).with_status(503));
        }
        if lane.tier == Tier::Exact && self.inexact.contains(&lane.model) {
            let message = "this host has a server for the lane's model, whose answers nobody can compute again; ask another";
            return Err(Refusal::new("unknown_model", message).with_status(503));
        }
        // Where answers cannot be computed again the server may not care, and members do.
        if let (Tier::Statistical, Some(model)) = (lane.tier, model)
            && let Err(invalid) = ask.request.validate(model.vocabulary)
        {
            return Err(Refusal::new("wrong_request", invalid.to_string()));
        }
        if ask.voucher.limit > share.deposit {
            let message = format!(
                "the voucher's limit is {} and the share holds {} base units; add money to the lane",
                ask.voucher.limit.0, share.deposit.0
            );
            return Err(Refusal::new("over_limit", message));
        }
        Ok(())
    }

    /// What a voucher's request came to, if its payer asks again.
    fn done_before(&self, ask: &Ask) -> Result<Option<(Record, Body)>, Refusal> {
        if self.books().tallies.get(&ask.voucher.lane).is_some_and(|tally| tally.is_new(ask.voucher.sequence))
        {
            return Ok(None);
        }
        let found = self.store.outcome(ask.voucher.lane, ask.voucher.sequence).map_err(|error| {
            tracing::error!(%error, "a request that was done cannot be shown again");
            Refusal::internal()
        })?;
        Ok(found.filter(|(record, _)| record.voucher == ask.voucher))
    }

    fn reserve(&self, ask: &Ask, facts: &Facts, most: u128) -> Result<(), Refusal> {
        let voucher = &ask.voucher;
        let mut books = self.books();
        let Books { tallies, exposure, since, classes, running, reserved, draining, .. } = &mut *books;
        if *draining {
            return Err(Refusal::new("draining", "the host is stopping; ask another one").with_status(503));
        }
        let tally = tallies.entry(voucher.lane).or_insert_with(|| Tally::of(self.store.share(voucher.lane)));
        tally.check(voucher, most)?;
        tally.check_cancels(Instant::now(), &self.limits)?;
        let Some(exposure) = exposure else { return Err(Refusal::internal()) };
        let parts = [exposure.open.0, exposure.pending, *since, *reserved, most];
        let open = parts.iter().fold(0u128, |sum, part| sum.saturating_add(*part));
        if open > exposure.limit.0 {
            let message = format!(
                "with this request the host would have {open} base units of fees undecided, and may have {}; ask \
                 another host, or this one later",
                exposure.limit.0
            );
            return Err(Refusal::new("over_exposed", message).with_status(503));
        }
        // What is served and cannot be committed to could be reported as missing.
        let class = (facts.lane.model, facts.lane.constraints.clone());
        let is_known = classes.contains(&class);
        if !is_known && classes.len() >= exposure.rules.max_branches as usize {
            let message =
                "the host cannot serve lanes of one more kind in this interval; ask in the next one";
            return Err(Refusal::busy(message));
        }
        if *running >= self.limits.requests {
            return Err(Refusal::busy("the host is doing as many requests as it can; ask another one"));
        }
        if !is_known {
            classes.push(class.clone());
        }
        tally.begin((*voucher, ask.signature), most, class);
        *running = running.saturating_add(1);
        *reserved = reserved.saturating_add(most);
        Ok(())
    }

    fn release(&self, lane: LaneId, sequence: u64, most: u128, end: End) {
        let mut books = self.books();
        books.running = books.running.saturating_sub(1);
        books.reserved = books.reserved.saturating_sub(most);
        if let End::Paid { fee, .. } = end {
            books.since = books.since.saturating_add(fee.0);
        }
        if let Some(tally) = books.tallies.get_mut(&lane) {
            match end {
                End::Paid { total, .. } => tally.paid(sequence, total),
                End::Failed => tally.gone(sequence),
                End::Left => tally.left(sequence, Instant::now(), &self.limits),
            }
        }
        drop(books);
        self.view.ended(match end {
            End::Paid { fee, .. } => Ended::Paid(fee),
            End::Failed => Ended::Failed,
            End::Left => Ended::Left,
        });
    }

    /// The interval of work that it is now.
    fn interval(&self) -> u64 {
        let mut found = 0;
        let mut books = self.books();
        self.view.look(&mut |state, height| {
            if let Err(fault) = self.refresh(&mut books, state, height) {
                tracing::error!(%fault, "the state cannot be read");
            }
            // Rules do not change the length of an interval while the network runs.
            found = books.exposure.as_ref().map_or(0, |known| work::interval_at(height, &known.rules));
        });
        found
    }
}

impl core::fmt::Debug for Desk {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Desk").field("host", &self.signer.host).finish_non_exhaustive()
    }
}
