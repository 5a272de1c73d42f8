//! Hosts and their shares of lanes, and who is asked next.

use core::time::Duration;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use freeway_engines::Tier;
use freeway_primitives::{Address, Amount, Digest, Domain, PublicKey};
use freeway_proofs::work::{LaneId, Prices};

use super::account::{Account, Record};
use super::chain::Lane;

/// Tokens of a prompt that one block of the map below stands for.
const BLOCK: usize = 64;
/// The most blocks of one prompt that are looked at.
const MAX_BLOCKS: usize = 64;
/// The most prompts' beginnings that are remembered.
const MAX_KNOWN: usize = 8_192;
/// The first pause after a failure, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// What a latency is taken for before it was measured, in seconds.
const LATENCY: f64 = 0.05;
/// Of a known prompt, how much of the time it saves.
const SAVED: f64 = 0.7;

const PREFIX: Domain = Domain::new("freeway 1 gateway prompt prefix");

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was seen of a host, over all lanes.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Seconds to the acceptance, mostly of late.
    latency: f64,
    /// Share of requests that went well, mostly of late.
    success: f64,
    /// Failures since the last success.
    failures: u32,
    /// When it may be asked again.
    again: Option<Instant>,
    running: usize,
}

/// A host.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) address: Address,
    endpoints: RwLock<Vec<String>>,
    seen: Mutex<Seen>,
}

impl Host {
    fn new(address: Address) -> Self {
        let seen = Seen { latency: LATENCY, success: 1.0, failures: 0, again: None, running: 0 };
        Self { address, endpoints: RwLock::default(), seen: Mutex::new(seen) }
    }

    pub(super) fn endpoints(&self) -> Vec<String> {
        self.endpoints.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_endpoints(&self, endpoints: Vec<String>) {
        *self.endpoints.write().unwrap_or_else(PoisonError::into_inner) = endpoints;
    }

    pub(super) fn accepted(&self, after: Duration) {
        let mut seen = lock(&self.seen);
        seen.latency = 0.8 * seen.latency + 0.2 * after.as_secs_f64();
    }

    pub(super) fn succeeded(&self) {
        let mut seen = lock(&self.seen);
        seen.success = 0.9 * seen.success + 0.1;
        (seen.failures, seen.again) = (0, None);
    }

    /// Something went wrong: it is left alone for a while.
    pub(super) fn failed(&self, now: Instant) {
        let mut seen = lock(&self.seen);
        seen.success *= 0.9;
        let pause = PAUSE.0.saturating_mul(1 << seen.failures.min(10)).min(PAUSE.1);
        seen.failures = seen.failures.saturating_add(1);
        seen.again = Some(now + pause);
    }

    /// It has enough to do.
    pub(super) fn busy(&self, now: Instant) {
        lock(&self.seen).again = Some(now + PAUSE.0);
    }

    pub(super) fn begins(self: &Arc<Self>) -> Busy {
        lock(&self.seen).running += 1;
        Busy(Arc::clone(self))
    }

    /// For people: milliseconds, percent of success, whether it is left alone.
    pub(super) fn standing(&self, now: Instant) -> (f64, f64, bool) {
        let seen = lock(&self.seen);
        (seen.latency * 1e3, seen.success, seen.again.is_some_and(|again| again > now))
    }

    /// How long it would take, about, in arbitrary units; `None` while it is left alone.
    fn cost(&self, known: f64, now: Instant) -> Option<f64> {
        let seen = lock(&self.seen);
        if seen.again.is_some_and(|again| again > now) {
            return None;
        }
        let queue = 1.0 + seen.running as f64;
        Some((seen.latency + 0.01) * queue * (1.0 - SAVED * known) / seen.success.max(0.01))
    }
}

/// A request that a host works on.
#[derive(Debug)]
pub(super) struct Busy(Arc<Host>);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut seen = lock(&self.0.seen);
        seen.running = seen.running.saturating_sub(1);
    }
}

/// All hosts that were met.
#[derive(Debug, Default)]
pub(super) struct Hosts(Mutex<HashMap<Address, Arc<Host>>>);

impl Hosts {
    pub(super) fn get(&self, address: &Address) -> Arc<Host> {
        Arc::clone(lock(&self.0).entry(*address).or_insert_with(|| Arc::new(Host::new(*address))))
    }

    /// Forgets the hosts that have no share any more.
    pub(super) fn retain(&self, keep: impl Fn(&Address) -> bool) {
        lock(&self.0).retain(|address, _| keep(address));
    }
}

/// A host's share of an open lane.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) lane: LaneId,
    pub(super) host: Arc<Host>,
    /// Signs acceptances and receipts.
    pub(super) key: PublicKey,
    pub(super) prices: Prices,
    /// How the model's answers can be checked.
    pub(super) tier: Tier,
    account: Mutex<Account>,
}

impl Share {
    pub(super) fn new(lane: &Lane, host: Arc<Host>, key: PublicKey, record: Record) -> Self {
        let Lane { id, prices, tier, .. } = *lane;
        Self { lane: id, host, key, prices, tier, account: Mutex::new(Account::new(record)) }
    }

    pub(super) fn account(&self) -> MutexGuard<'_, Account> {
        lock(&self.account)
    }
}

/// Which host has seen the beginning of a prompt, so that it may still know it.
#[derive(Debug, Default)]
pub(super) struct Prefixes(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    hosts: HashMap<[u8; 16], Address>,
    order: VecDeque<[u8; 16]>,
}

/// The beginnings of a prompt, the shortest first.
#[derive(Debug)]
pub(super) struct Prompt(Vec<[u8; 16]>);

impl Prompt {
    pub(super) fn new(model: &Digest, tokens: &[u32]) -> Self {
        let mut before = model.0;
        let block = |tokens: &[u32]| {
            let mut bytes = before.to_vec();
            bytes.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
            before = Digest::of(PREFIX, &bytes).0;
            let mut short = [0; 16];
            short.copy_from_slice(&before[..16]);
            short
        };
        Self(tokens.chunks_exact(BLOCK).take(MAX_BLOCKS).map(block).collect())
    }
}

impl Prefixes {
    /// For each host that knows a beginning of it, how much of it, from 0 to 1.
    pub(super) fn known(&self, prompt: &Prompt) -> HashMap<Address, f64> {
        let known = lock(&self.0);
        let mut found = HashMap::new();
        for (index, prefix) in prompt.0.iter().enumerate() {
            let Some(host) = known.hosts.get(prefix) else { break };
            found.insert(*host, (index + 1) as f64 / prompt.0.len() as f64);
        }
        found
    }

    /// A host has read it.
    pub(super) fn learn(&self, prompt: &Prompt, host: Address) {
        let mut known = lock(&self.0);
        for prefix in &prompt.0 {
            if known.hosts.insert(*prefix, host).is_none() {
                known.order.push_back(*prefix);
            }
        }
        while known.order.len() > MAX_KNOWN {
            if let Some(oldest) = known.order.pop_front() {
                known.hosts.remove(&oldest);
            }
        }
    }
}

/// The share to ask: of those that have room for `most`, the one where it takes least. `None` if there is none.
/// With `desperate`, hosts that are left alone are asked as well.
pub(super) fn pick(
    shares: &[Arc<Share>],
    most: impl Fn(&Prices) -> Amount,
    known: &HashMap<Address, f64>,
    desperate: bool,
    now: Instant,
) -> Option<Arc<Share>> {
    let mut best: Option<(f64, &Arc<Share>)> = None;
    for share in shares {
        let cost = share.host.cost(known.get(&share.host.address).copied().unwrap_or_default(), now);
        let Some(cost) = cost.or(desperate.then_some(f64::MAX)) else { continue };
        let better = best.is_none_or(|(least, _)| cost < least);
        if !better || share.host.endpoints().is_empty() {
            continue;
        }
        let mut account = share.account();
        if !account.is_excluded() && account.room(now) >= most(&share.prices) {
            best = Some((cost, share));
        }
    }
    best.map(|(_, share)| Arc::clone(share))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::chain::LaneState;

    fn share(number: u8, deposit: u128) -> Arc<Share> {
        let host = Arc::new(Host::new(Address([number; 32])));
        host.set_endpoints(vec!["http://host".into()]);
        let lane = Lane {
            id: LaneId(1),
            key: PublicKey([0; 32]),
            model: Digest::ZERO,
            tier: Tier::Exact,
            prices: Prices::default(),
            escrow: Amount::ZERO,
            state: LaneState::Open,
            opened: 1,
            expires: 9,
            shares: Vec::new(),
        };
        let share = Share::new(&lane, host, PublicKey([0; 32]), Record::default());
        share.account().set_deposit(Amount(deposit));
        Arc::new(share)
    }

    fn picked(shares: &[Arc<Share>], known: &HashMap<Address, f64>, now: Instant) -> Option<u8> {
        pick(shares, |_| Amount(10), known, false, now).map(|share| share.host.address.0[0])
    }

    #[test]
    fn the_fast_the_idle_and_the_reliable_come_first() {
        let shares = [share(1, 100), share(2, 100), share(3, 5)];
        let (none, now) = (HashMap::new(), Instant::now());
        for _ in 0..20 {
            shares[0].host.accepted(Duration::from_millis(200));
            shares[1].host.accepted(Duration::from_millis(20));
        }
        assert_eq!(picked(&shares, &none, now), Some(2));
        let busy: Vec<Busy> = (0..40).map(|_| shares[1].host.begins()).collect();
        assert_eq!(picked(&shares, &none, now), Some(1));
        drop(busy);
        shares[1].host.failed(now);
        assert_eq!(picked(&shares, &none, now), Some(1));
        assert_eq!(picked(&shares, &none, now + PAUSE.0), Some(2));
        shares[0].host.failed(now);
        shares[1].host.failed(now);
        assert_eq!(picked(&shares, &none, now), None);
        assert!(pick(&shares, |_| Amount(10), &none, true, now).is_some());
    }

    #[test]
    fn who_knows_the_prompt_is_preferred_while_it_is_not_overloaded() {
        let shares = [share(1, 100), share(2, 100)];
        let now = Instant::now();
        let (prefixes, model) = (Prefixes::default(), Digest::ZERO);
        let tokens: Vec<u32> = (0..300).collect();
        let prompt = Prompt::new(&model, &tokens);
        prefixes.learn(&prompt, Address([2; 32]));
        let longer: Vec<u32> = (0..400).collect();
        let known = prefixes.known(&Prompt::new(&model, &longer));
        assert!(known[&Address([2; 32])] > 0.5, "{known:?}");
        assert_eq!(picked(&shares, &known, now), Some(2));
        let busy: Vec<Busy> = (0..4).map(|_| shares[1].host.begins()).collect();
        assert_eq!(picked(&shares, &known, now), Some(1));
        drop(busy);
        let other = Prompt::new(&Digest([1; 32]), &tokens);
        assert!(prefixes.known(&other).is_empty());
    }

    #[test]
    fn only_so_many_prompts_are_remembered() {
        let prefixes = Prefixes::default();
        for number in 0..MAX_KNOWN as u32 + 100 {
            prefixes.learn(&Prompt::new(&Digest::ZERO, &[number; BLOCK]), Address([1; 32]));
        }
        assert_eq!(lock(&prefixes.0).hosts.len(), MAX_KNOWN);
    }
}
