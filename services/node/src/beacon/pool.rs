//! The shares of one height, until they make a value.

use std::collections::BTreeMap;

use freeway_beacon::{Committee, Partials, Value};
use freeway_primitives::{Address, Height};
use tracing::warn;

/// The shares of one height.
#[derive(Debug, Default)]
pub(super) struct Pool {
    partials: BTreeMap<Address, Partials>,
    /// How many shares were here when they made no value.
    tried: usize,
    value: Option<Value>,
}

impl Pool {
    /// Keeps the first shares of a validator; whether they are new.
    pub(super) fn insert(&mut self, validator: Address, partials: Partials) -> bool {
        if self.partials.contains_key(&validator) {
            return false;
        }
        self.partials.insert(validator, partials);
        true
    }

    /// The value, once enough good shares are here. Whose shares are wrong is named.
    pub(super) fn value(&mut self, committee: &Committee, of: Height) -> Option<Value> {
        let seats: usize = self.partials.values().map(|partials| partials.seats().count()).sum();
        let enough = seats >= usize::from(committee.group().seats.majority());
        if self.value.is_none() && enough && seats > self.tried {
            let votes: Vec<_> = self.partials.iter().map(|(from, partials)| (*from, partials)).collect();
            match committee.recover(of, &votes) {
                Ok(value) => self.value = Some(value),
                Err(error) => {
                    self.tried = seats;
                    let bad = committee.verify_partials(of, &votes).err();
                    warn!(height = %of, %error, ?bad, "shares of a beacon value are wrong");
                }
            }
        }
        self.value
    }
}
