//! The beacon's part in a node: it makes the host's shares, joins those of all validators into values, and
//! takes part in the making of the next key.
//!
//! Shares travel beside the votes, on the gossip network, as soon as their height is decided: so a value is
//! never known before its height is, agreement never waits for randomness, and late shares count (decision 009
//! in `docs/decisions/`). They are verified together when there are enough, and one by one only if that fails.

mod dealing;
mod pool;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_beacon::{Committee, Partials, Shares, Value};
use freeway_ledger::{Fault, Reader, beacon, sprint};
use freeway_primitives::{
    Address, BeaconRecord, Canonical, ChainId, Domain, Epoch, Height, SecretKey, Signature,
};
use tracing::debug;

use crate::duties::Duties;
use crate::submit::BadGossip;
use pool::Pool;

const SHARES: Domain = Domain::new("freeway 1 beacon shares");

/// Shares are taken in for so many heights before and after the own one.
const WINDOW: u64 = 8;
/// What somebody waits for is sent again after so many blocks.
const AGAIN: u64 = 2;

/// What a validator says: its shares of the value of a height.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Said {
    validator: Address,
    height: Height,
    /// Tells repetitions apart, as the network delivers equal messages once.
    attempt: u64,
    partials: Partials,
}

impl Canonical for Said {
    const KIND: &'static str = "beacon shares";
    const MAX_BYTES: usize = 16 << 10;
}

/// A signed [`Said`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Message {
    said: Said,
    signature: Signature,
}

impl Canonical for Message {
    const KIND: &'static str = "message of beacon shares";
    const MAX_BYTES: usize = Said::MAX_BYTES + 64;
}

/// Keeps shares and values. All methods may be called from any thread.
pub struct Keeper {
    chain: ChainId,
    address: Address,
    key: Option<SecretKey>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    pools: BTreeMap<Height, Pool>,
    /// This host's shares of the keys of recent epochs; `None` where it has none.
    shares: BTreeMap<Epoch, Option<Arc<Shares>>>,
    /// The groups of recent epochs, with their points decoded.
    committees: BTreeMap<Epoch, Committee>,
    /// When the shares of a height were last sent.
    sent: BTreeMap<Height, Height>,
}

impl Keeper {
    /// A keeper for the host `address`; without a key it only joins the shares of others.
    pub fn new(chain: ChainId, address: Address, key: Option<SecretKey>) -> Self {
        Self { chain, address, key, inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the header of the block after `state` should record: the value that the ledger waits for, or else
    /// the latest.
    ///
    /// # Errors
    /// [`Fault`] if the state cannot be read.
    pub fn record(&self, state: &dyn Reader, height: Height) -> Result<Option<BeaconRecord>, Fault> {
        let latest = height.0.checked_sub(1).map(Height);
        let wanted: Vec<Height> = awaited(state, height)?.into_iter().chain(latest).collect();
        for of in wanted {
            let value = self.value(state, of)?;
            if let Some(Value(signature)) = value {
                let record = BeaconRecord { height: of, signature };
                match beacon::check_record(state, height, &record)? {
                    Ok(_) => return Ok(Some(record)),
                    Err(error) => debug!(%of, %error, "a value is not recorded"),
                }
            }
        }
        Ok(None)
    }

    /// The value of a height, if enough shares are here.
    fn value(&self, state: &dyn Reader, of: Height) -> Result<Option<Value>, Fault> {
        let Some(known) = beacon::group_at(state, of)? else { return Ok(None) };
        let mut inner = self.inner();
        let Inner { pools, committees, .. } = &mut *inner;
        let Some(pool) = pools.get_mut(&of) else { return Ok(None) };
        let committee = match committees.entry(known.group.epoch) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let open = known.group.open(&self.chain);
                entry.insert(open.map_err(|error| Fault(format!("the beacon's group: {error}")))?)
            }
        };
        Ok(pool.value(committee, of))
    }

    /// After a commit: sends this host's shares of the new height, and again those that somebody waits for;
    /// posts what is due in the making of the next key.
    ///
    /// # Errors
    /// [`Fault`] if the state cannot be read.
    pub fn committed(&self, state: &dyn Reader, height: Height, duties: &Duties) -> Result<(), Fault> {
        if height.0.is_multiple_of(AGAIN) {
            duties.tell_again();
        }
        let awaited = awaited(state, height.next())?.filter(|of| *of <= height);
        for of in awaited.into_iter().chain([height]) {
            let due = self.inner().sent.get(&of).is_none_or(|last| last.plus(AGAIN) <= height);
            if due && let Some(message) = self.say(state, of, height)? {
                duties.tell_partials(message);
            }
        }
        self.forget(awaited, height);
        dealing::step(self.chain, self.address, state, height, duties)
    }

    /// This host's shares of the value of `of`, as a message; they also go into its own pool.
    fn say(&self, state: &dyn Reader, of: Height, now: Height) -> Result<Option<Vec<u8>>, Fault> {
        let (Some(key), Some(known)) = (&self.key, beacon::group_at(state, of)?) else { return Ok(None) };
        let epoch = known.group.epoch;
        let cached = self.inner().shares.get(&epoch).cloned();
        let shares = match cached {
            Some(shares) => shares,
            None => {
                let shares =
                    dealing::shares(self.chain, &self.address, key, state, &known.group)?.map(Arc::new);
                self.inner().shares.insert(epoch, shares.clone());
                shares
            }
        };
        let Some(shares) = shares else { return Ok(None) };
        let partials = shares.sign(of);
        let said = Said { validator: self.address, height: of, attempt: now.0, partials };
        let signature = key.sign(SHARES, &self.chain, &said);
        let mut inner = self.inner();
        inner.sent.insert(of, now);
        let pool = inner.pools.entry(of).or_default();
        if pool.insert(self.address, said.partials.clone()) {
            debug!(%of, "own shares");
        }
        Ok(Some(Message { said, signature }.encode()))
    }

    /// Takes in shares of another validator; whether they are new and worth passing on.
    ///
    /// # Errors
    /// If no honest node passes that on.
    pub fn receive(&self, state: &freeway_store::StateView, bytes: &[u8]) -> Result<bool, BadGossip> {
        let Message { said, signature } =
            Message::decode(bytes).map_err(|error| BadGossip(error.to_string()))?;
        let (of, now) = (said.height, state.height());
        let fault = |error: Fault| BadGossip(error.to_string());
        let awaited = awaited(state, now.next()).map_err(fault)? == Some(of);
        if !awaited && (of.0 + WINDOW < now.0 || of.0 > now.0 + WINDOW) {
            return Ok(false);
        }
        // This node may be some blocks behind and know only the group before.
        let Some(known) = beacon::group_at(state, of).map_err(fault)? else { return Ok(false) };
        let Some(holder) = known.group.seats.holder(&said.validator) else { return Ok(false) };
        if holder.key.verify(SHARES, &self.chain, &said, &signature).is_err() {
            return Err(BadGossip("shares of a beacon value that their validator did not sign".into()));
        }
        Ok(self.inner().pools.entry(of).or_default().insert(said.validator, said.partials))
    }

    /// Drops what nobody can need any more.
    fn forget(&self, awaited: Option<Height>, height: Height) {
        let mut inner = self.inner();
        let keep = |of: &Height| of.0 + WINDOW >= height.0 || Some(*of) == awaited;
        inner.pools.retain(|of, _| keep(of));
        inner.sent.retain(|of, _| keep(of));
        while inner.shares.len() > beacon::KEPT_GROUPS as usize {
            inner.shares.pop_first();
        }
        while inner.committees.len() > beacon::KEPT_GROUPS as usize {
            inner.committees.pop_first();
        }
    }
}

/// The height whose value the ledger waits for, in the block at `next`.
fn awaited(state: &dyn Reader, next: Height) -> Result<Option<Height>, Fault> {
    use sprint::Stage::{WaitingForChallenge, WaitingForDraw, WaitingForSeed};
    let stage = sprint::race(state)?.map(|race| sprint::stage(&race, next));
    Ok(match stage {
        Some(WaitingForSeed { height } | WaitingForChallenge { height } | WaitingForDraw { height }) => {
            Some(height)
        }
        _ => None,
    })
}
