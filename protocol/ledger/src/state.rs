//! State as the ledger sees it: ordered keys and values, typed tables over them, and the changes of a block.
//!
//! The ledger never owns state. It reads through a [`Reader`] (the store, or a map in tests), collects its
//! changes in an [`Overlay`], and returns them as a [`Delta`] that the store makes durable.

use core::marker::PhantomData;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Digest, Epoch, Height, PublicKey};
use freeway_proofs::work::LaneId;

/// State that cannot be read: the disk failed or a stored value is damaged. Never the fault of a transaction;
/// the node must stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("state cannot be read: {0}")]
pub struct Fault(pub String);

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Read access to the state at one height.
pub trait Reader {
    /// The value of `key`.
    ///
    /// # Errors
    /// [`Fault`] if the storage fails.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;

    /// At most `limit` pairs whose keys start with `prefix` and are greater than `after`, in key order.
    ///
    /// # Errors
    /// [`Fault`] if the storage fails.
    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, Fault>;
}

/// The changes of a block: new values, and `None` for removed keys.
pub type Delta = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// State in memory: for genesis, tests and benches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryState(pub BTreeMap<Vec<u8>, Vec<u8>>);

impl MemoryState {
    /// Applies the changes of a block.
    pub fn apply(&mut self, delta: &Delta) {
        for (key, value) in delta {
            match value {
                Some(value) => self.0.insert(key.clone(), value.clone()),
                None => self.0.remove(key),
            };
        }
    }
}

impl Reader for MemoryState {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, Fault> {
        Ok(self
            .0
            .range::<[u8], _>((scan_start(prefix, after), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }
}

/// Where a scan begins: after `after` if that lies within the prefix, else at the prefix.
pub fn scan_start<'a>(prefix: &'a [u8], after: Option<&'a [u8]>) -> Bound<&'a [u8]> {
    match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    }
}

/// Merges changes over the pairs of a lower layer for [`Reader::scan`]. `fetch(after, limit)` reads the layer.
///
/// # Errors
/// [`Fault`] if the layer fails.
pub fn merge_scan(
    changes: &Delta,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
    mut fetch: impl FnMut(Option<&[u8]>, usize) -> Result<Vec<Pair>, Fault>,
) -> Result<Vec<Pair>, Fault> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let mut upper = changes
        .range::<[u8], _>((scan_start(prefix, after), Bound::Unbounded))
        .take_while(|(key, _)| key.starts_with(prefix))
        .peekable();
    let mut merged = Vec::new();
    let mut cursor = after.map(<[u8]>::to_vec);
    loop {
        // Removed keys can hide pairs of the lower layer, so it is read in as many steps as that needs.
        let lower = fetch(cursor.as_deref(), limit)?;
        let exhausted = lower.len() < limit;
        cursor = lower.last().map(|(key, _)| key.clone()).or(cursor);
        for (key, value) in lower {
            while let Some((k, v)) = upper.next_if(|(k, _)| **k < key) {
                if let Some(v) = v {
                    merged.push((k.clone(), v.clone()));
                }
            }
            match upper.next_if(|(k, _)| **k == key) {
                Some((k, Some(v))) => merged.push((k.clone(), v.clone())),
                Some((_, None)) => {}
                None => merged.push((key, value)),
            }
            if merged.len() >= limit {
                merged.truncate(limit);
                return Ok(merged);
            }
        }
        if exhausted {
            merged.extend(upper.filter_map(|(k, v)| v.as_ref().map(|v| (k.clone(), v.clone()))));
            merged.truncate(limit);
            return Ok(merged);
        }
    }
}

/// A reader with uncommitted changes on top, and a journal that can take the latest of them back.
pub struct Overlay<'a> {
    base: &'a dyn Reader,
    changes: Delta,
    /// For every key touched since the last [`Overlay::mark`]: its entry in `changes` before that.
    journal: Vec<(Vec<u8>, Option<Change>)>,
}

/// An entry of a [`Delta`].
type Change = Option<Vec<u8>>;

impl<'a> Overlay<'a> {
    /// No changes yet over `base`.
    pub fn new(base: &'a dyn Reader) -> Self {
        Self { base, changes: Delta::new(), journal: Vec::new() }
    }

    /// Everything before this point stays, whatever [`Overlay::revert`] does later.
    pub fn mark(&mut self) {
        self.journal.clear();
    }

    /// Takes back every change since the last [`Overlay::mark`].
    pub fn revert(&mut self) {
        while let Some((key, previous)) = self.journal.pop() {
            match previous {
                Some(entry) => self.changes.insert(key, entry),
                None => self.changes.remove(&key),
            };
        }
    }

    /// The collected changes.
    pub fn into_delta(self) -> Delta {
        self.changes
    }

    fn set(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let previous = match self.changes.entry(key.clone()) {
            Entry::Occupied(mut slot) => Some(slot.insert(value)),
            Entry::Vacant(slot) => {
                slot.insert(value);
                None
            }
        };
        self.journal.push((key, previous));
    }
}

impl Reader for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        match self.changes.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.base.get(key),
        }
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, Fault> {
        merge_scan(&self.changes, prefix, after, limit, |after, limit| self.base.scan(prefix, after, limit))
    }
}

/// A table's key: bytes whose order is the keys' order.
pub trait Key: Sized {
    /// The bytes.
    fn to_bytes(&self) -> Vec<u8>;
    /// The key that the bytes spell.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

impl Key for Address {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Address)
    }
}

impl Key for Height {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Height(u64::from_be_bytes(bytes)))
    }
}

impl Key for Epoch {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Epoch(u64::from_be_bytes(bytes)))
    }
}

impl Key for PublicKey {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(PublicKey)
    }
}

impl Key for Digest {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Digest)
    }
}

impl Key for u64 {
    fn to_bytes(&self) -> Vec<u8> {
        self.to_be_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(u64::from_be_bytes)
    }
}

impl Key for LaneId {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        u64::from_bytes(bytes).map(Self)
    }
}

impl<A: FixedKey, B: Key> Key for (A, B) {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.0.to_bytes();
        bytes.extend(self.1.to_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (a, b) = bytes.split_at_checked(A::BYTES)?;
        Some((A::from_bytes(a)?, B::from_bytes(b)?))
    }
}

/// A [`Key`] of fixed width, which can therefore be the first half of a pair.
pub trait FixedKey: Key {
    /// The width in bytes.
    const BYTES: usize;
}

impl FixedKey for Address {
    const BYTES: usize = 32;
}

impl FixedKey for Height {
    const BYTES: usize = 8;
}

impl FixedKey for Digest {
    const BYTES: usize = 32;
}

impl FixedKey for u64 {
    const BYTES: usize = 8;
}

impl FixedKey for LaneId {
    const BYTES: usize = 8;
}

impl FixedKey for Epoch {
    const BYTES: usize = 8;
}

/// One value of type `T` under a name.
pub struct Cell<T> {
    name: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T: BorshSerialize + BorshDeserialize> Cell<T> {
    /// A cell. Names are `module/what` and unique in the ledger.
    pub const fn new(name: &'static str) -> Self {
        Self { name, value: PhantomData }
    }

    /// The key in state, for proofs.
    pub fn key(&self) -> Vec<u8> {
        self.name.as_bytes().to_vec()
    }

    /// The value, if it was ever written.
    ///
    /// # Errors
    /// [`Fault`] if it cannot be read.
    pub fn get(&self, state: &dyn Reader) -> Result<Option<T>, Fault> {
        state.get(self.name.as_bytes())?.map(|bytes| parse(self.name, &bytes)).transpose()
    }

    /// The value that genesis must have written.
    ///
    /// # Errors
    /// [`Fault`] if it is missing or cannot be read.
    pub fn require(&self, state: &dyn Reader) -> Result<T, Fault> {
        self.get(state)?.ok_or_else(|| Fault(format!("{} is missing", self.name)))
    }

    /// Writes the value.
    pub fn set(&self, state: &mut Overlay<'_>, value: &T) {
        state.set(self.key(), Some(to_bytes(value)));
    }
}

/// Values of type `V` under keys of type `K`, in key order.
pub struct Table<K, V> {
    name: &'static str,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Key, V: BorshSerialize + BorshDeserialize> Table<K, V> {
    /// A table. Names are `module/what/` and no name is a prefix of another.
    pub const fn new(name: &'static str) -> Self {
        Self { name, types: PhantomData }
    }

    /// The key in state of an entry, for proofs.
    pub fn key(&self, key: &K) -> Vec<u8> {
        let mut bytes = self.name.as_bytes().to_vec();
        bytes.extend(key.to_bytes());
        bytes
    }

    /// The entry's value.
    ///
    /// # Errors
    /// [`Fault`] if it cannot be read.
    pub fn get(&self, state: &dyn Reader, key: &K) -> Result<Option<V>, Fault> {
        state.get(&self.key(key))?.map(|bytes| parse(self.name, &bytes)).transpose()
    }

    /// Whether there is such an entry. Does not decode it.
    ///
    /// # Errors
    /// [`Fault`] if it cannot be read.
    pub fn contains(&self, state: &dyn Reader, key: &K) -> Result<bool, Fault> {
        Ok(state.get(&self.key(key))?.is_some())
    }

    /// Writes an entry.
    pub fn set(&self, state: &mut Overlay<'_>, key: &K, value: &V) {
        state.set(self.key(key), Some(to_bytes(value)));
    }

    /// Removes an entry.
    pub fn remove(&self, state: &mut Overlay<'_>, key: &K) {
        state.set(self.key(key), None);
    }

    /// At most `limit` entries after `after`, in key order.
    ///
    /// # Errors
    /// [`Fault`] if they cannot be read.
    pub fn page(&self, state: &dyn Reader, after: Option<&K>, limit: usize) -> Result<Vec<(K, V)>, Fault> {
        self.page_under(state, &[], after, limit)
    }

    /// As [`Table::page`], of the entries whose key bytes start with `under`.
    ///
    /// # Errors
    /// [`Fault`] if they cannot be read.
    pub fn page_under(
        &self,
        state: &dyn Reader,
        under: &[u8],
        after: Option<&K>,
        limit: usize,
    ) -> Result<Vec<(K, V)>, Fault> {
        let mut prefix = self.name.as_bytes().to_vec();
        prefix.extend(under);
        let after = after.map(|key| self.key(key));
        state
            .scan(&prefix, after.as_deref(), limit)?
            .into_iter()
            .map(|(key, value)| {
                let key = K::from_bytes(&key[self.name.len()..])
                    .ok_or_else(|| Fault(format!("{}: damaged key", self.name)))?;
                Ok((key, parse(self.name, &value)?))
            })
            .collect()
    }
}

fn to_bytes<T: BorshSerialize>(value: &T) -> Vec<u8> {
    match borsh::to_vec(value) {
        Ok(bytes) => bytes,
        Err(error) => unreachable!("encoding into memory: {error}"),
    }
}

fn parse<T: BorshDeserialize>(name: &str, bytes: &[u8]) -> Result<T, Fault> {
    T::try_from_slice(bytes).map_err(|error| Fault(format!("{name}: damaged value: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NUMBERS: Table<Height, u64> = Table::new("test/numbers/");

    #[test]
    fn revert_restores_what_was_before_the_mark() {
        let base = MemoryState::default();
        let mut overlay = Overlay::new(&base);
        NUMBERS.set(&mut overlay, &Height(1), &10);
        overlay.mark();
        NUMBERS.set(&mut overlay, &Height(1), &11);
        NUMBERS.set(&mut overlay, &Height(2), &20);
        NUMBERS.set(&mut overlay, &Height(1), &12);
        NUMBERS.remove(&mut overlay, &Height(1));
        overlay.revert();
        assert_eq!(NUMBERS.get(&overlay, &Height(1)), Ok(Some(10)));
        assert_eq!(NUMBERS.get(&overlay, &Height(2)), Ok(None));
        assert_eq!(overlay.into_delta().len(), 1);
    }

    proptest! {
        #[test]
        fn an_overlay_reads_as_if_applied(
            base in proptest::collection::btree_map(proptest::collection::vec(0u8..3, 0..4), any::<u8>(), 0..20),
            changes in proptest::collection::btree_map(proptest::collection::vec(0u8..3, 0..4), any::<Option<u8>>(), 0..20),
            prefix in proptest::collection::vec(0u8..3, 0..2),
            after in proptest::option::of(proptest::collection::vec(0u8..3, 0..4)),
            limit in 0usize..6,
        ) {
            let mut state = MemoryState(base.into_iter().map(|(k, v)| (k, vec![v])).collect());
            let delta: Delta = changes.into_iter().map(|(k, v)| (k, v.map(|v| vec![v]))).collect();
            let mut overlay = Overlay::new(&state);
            for (key, value) in &delta {
                overlay.set(key.clone(), value.clone());
            }
            let seen = overlay.scan(&prefix, after.as_deref(), limit);
            drop(overlay);
            state.apply(&delta);
            prop_assert_eq!(seen, state.scan(&prefix, after.as_deref(), limit));
        }
    }
}
