//! The corpus: conversations that the project generates itself, the same for the same seed.
//!
//! Facts are written as [`intents`] in the files of `data/`, each with many wordings and a few answers; [`sums`] makes small
//! arithmetic, counting and days; [`noise`] adds what people do to a question; [`conversations`] puts all of it into chats.

pub mod conversations;
pub mod heldout;
pub mod intents;
pub mod noise;
pub mod random;
pub mod sums;
pub mod templates;

use thiserror::Error;

/// A file of the corpus cannot be read.
#[derive(Debug, Error)]
#[error("{file}, line {line}: {problem}")]
pub struct CorpusError {
    /// Which file.
    pub file: String,
    /// Which line of it, from 1.
    pub line: usize,
    /// What is wrong, and what to do.
    pub problem: String,
}
