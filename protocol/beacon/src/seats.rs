//! Seats: who holds how many shares of the group's key.

use core::cmp::Reverse;
use core::ops::Range;
use std::collections::BTreeSet;
use std::io::{Error, ErrorKind, Read};

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Canonical, MAX_VALIDATORS, PublicKey, ValidatorSet};

/// The most seats of a group: a share's number fits a byte.
pub const MAX_SEATS: u16 = 255;

// Sets of holders are kept as the bits of a `u128`.
const _: () = assert!(MAX_VALIDATORS <= u128::BITS as usize);

/// A validator with at least one seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Holder {
    /// The host's account.
    pub address: Address,
    /// Its consensus key: signs its messages of a round and receives its shares.
    pub key: PublicKey,
    /// Its number of seats, at least 1.
    pub seats: u8,
}

/// Why seats cannot be given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeatsError {
    /// No seat, or more than [`MAX_SEATS`].
    #[error("a group has 1 to {MAX_SEATS} seats, not {0}")]
    Count(u16),
}

/// The seats of a group: numbered from 0, each holder's in one row, in the order of the validator set.
///
/// # What rounding does
///
/// Seats are whole, powers are not: by the method of the largest remainder a validator gets its exact share
/// rounded down or up. For a set of `k` validators and `n` seats, a coalition of `m` of them has less than `m`
/// seats more or less than its exact share, and never more than `k / 4` (its members all round up only if as
/// many others round down by as much). Hence
///
/// - less than a third of the power has less than `n / 3 + k / 4` seats,
/// - more than two thirds of the power have more than `2 n / 3 - k / 4` seats.
///
/// With `n >= 1.5 k` both are on their side of the majority, whatever the powers are: then a third of the power
/// can neither compute a value of the beacon alone nor withhold it. 255 seats are enough for 128 validators in
/// the worst case, 128 seats for 85; with fewer seats it depends on the powers.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct Seats(Vec<Holder>);

impl BorshDeserialize for Seats {
    fn deserialize_reader<R: Read>(reader: &mut R) -> Result<Self, Error> {
        let invalid = |why: &str| Err(Error::new(ErrorKind::InvalidData, why));
        let holders = Vec::<Holder>::deserialize_reader(reader)?;
        let distinct = |keys: BTreeSet<[u8; 32]>| keys.len() == holders.len();
        let total: usize = holders.iter().map(|holder| usize::from(holder.seats)).sum();
        if holders.is_empty() || holders.len() > MAX_VALIDATORS || total > usize::from(MAX_SEATS) {
            return invalid("a group has 1 to 128 holders with at most 255 seats");
        }
        if holders.iter().any(|holder| holder.seats == 0) {
            return invalid("a holder has at least one seat");
        }
        if !distinct(holders.iter().map(|holder| holder.address.0).collect())
            || !distinct(holders.iter().map(|holder| holder.key.0).collect())
        {
            return invalid("a holder or its key is listed twice");
        }
        Ok(Self(holders))
    }
}

impl Canonical for Seats {
    const KIND: &'static str = "seats of a beacon group";
    const MAX_BYTES: usize = 4 + MAX_VALIDATORS * 65;
}

impl Seats {
    /// Gives out exactly `count` seats by power: everybody gets its exact share rounded down, and what is left
    /// goes to the largest remainders, ties to the lower address. Who gets none is left out.
    ///
    /// # Errors
    /// [`SeatsError::Count`] unless there are 1 to [`MAX_SEATS`] seats.
    pub fn apportion(set: &ValidatorSet, count: u16) -> Result<Self, SeatsError> {
        if !(1..=MAX_SEATS).contains(&count) {
            return Err(SeatsError::Count(count));
        }
        let total = u128::from(set.total_power());
        let exact = |power: u64| u128::from(power) * u128::from(count);
        // At most `count`, which fits a byte.
        let mut seats: Vec<u8> =
            set.members().iter().map(|member| (exact(member.power) / total) as u8).collect();
        let left = usize::from(count) - seats.iter().map(|seats| usize::from(*seats)).sum::<usize>();
        let mut order: Vec<usize> = (0..seats.len()).collect();
        order.sort_by_key(|i| {
            let member = &set.members()[*i];
            (Reverse(exact(member.power) % total), member.address)
        });
        for i in order.into_iter().take(left) {
            seats[i] += 1;
        }
        let holders = set.members().iter().zip(seats).filter(|(_, seats)| *seats > 0);
        Ok(Self(
            holders
                .map(|(member, seats)| Holder { address: member.address, key: member.key, seats })
                .collect(),
        ))
    }

    /// The holders, in the order of the validator set.
    pub fn holders(&self) -> &[Holder] {
        &self.0
    }

    /// The number of all seats.
    pub fn total(&self) -> u16 {
        self.0.iter().map(|holder| u16::from(holder.seats)).sum()
    }

    /// More than half of the seats: as many shares make a signature, and as many seats decide a round.
    pub fn majority(&self) -> u16 {
        self.total() / 2 + 1
    }

    /// The place of a holder in [`Seats::holders`].
    pub(crate) fn position(&self, address: &Address) -> Option<usize> {
        self.0.iter().position(|holder| holder.address == *address)
    }

    /// The holder with this address.
    pub fn holder(&self, address: &Address) -> Option<&Holder> {
        self.0.iter().find(|holder| holder.address == *address)
    }

    /// The numbers of a holder's seats; none if it is no holder.
    pub fn of(&self, address: &Address) -> Range<u16> {
        let mut first = 0;
        for holder in &self.0 {
            let next = first + u16::from(holder.seats);
            if holder.address == *address {
                return first..next;
            }
            first = next;
        }
        0..0
    }

    /// Who holds a seat.
    pub fn owner(&self, seat: u16) -> Option<&Holder> {
        let mut next = 0;
        self.0.iter().find(|holder| {
            next += u16::from(holder.seats);
            seat < next
        })
    }

    /// The seats of the holders whose places are set in `places`.
    pub(crate) fn held_by(&self, places: u128) -> u16 {
        let holders = self.0.iter().enumerate();
        holders.filter(|(i, _)| places >> i & 1 == 1).map(|(_, holder)| u16::from(holder.seats)).sum()
    }

    /// Whether every place that is set in `places` is a holder's.
    pub(crate) fn has_places(&self, places: u128) -> bool {
        places.checked_shr(self.0.len() as u32).unwrap_or(0) == 0
    }
}
