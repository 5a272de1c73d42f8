//! Block heights and epochs.

use core::fmt;

use borsh::{BorshDeserialize, BorshSerialize};

/// The number of a block. Genesis is 0, the first block is 1.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct Height(pub u64);

impl Height {
    /// Genesis: the state before the first block.
    pub const GENESIS: Self = Self(0);
    /// The first block.
    pub const FIRST: Self = Self(1);

    /// The following height. Saturates: at one block a nanosecond the end is 584 years away.
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// The height `blocks` later, saturating.
    pub const fn plus(self, blocks: u64) -> Self {
        Self(self.0.saturating_add(blocks))
    }

    /// The height `blocks` earlier, saturating at genesis.
    pub const fn minus(self, blocks: u64) -> Self {
        Self(self.0.saturating_sub(blocks))
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of an epoch, from 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The following epoch, saturating.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
