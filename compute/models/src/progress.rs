//! How far long work has come.

use core::fmt;

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Weights are read, quantised and written.
    Quantising,
    /// The root is computed.
    Hashing,
    /// Weights are looked at, and their bounds proven.
    Proving,
    /// A file is copied.
    Copying,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quantising => "quantising",
            Self::Hashing => "hashing",
            Self::Proving => "proving bounds",
            Self::Copying => "copying",
        })
    }
}

/// A report of progress. Each stage begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Bytes that are done.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}
