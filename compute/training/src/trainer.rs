//! The trainer: corpus, vocabulary, weights, in one folder that others can read.

pub mod batches;
pub mod folder;
pub mod framework;
pub mod run;
pub mod vocabulary;

use std::path::PathBuf;

use thiserror::Error;

/// Why training stopped.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The corpus cannot be read.
    #[error(transparent)]
    Corpus(#[from] crate::corpus::CorpusError),
    /// The vocabulary could not be made or used.
    #[error("the vocabulary failed: {0}")]
    Vocabulary(#[from] tokenizers::Error),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}: {problem}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The loss is no number any more.
    #[error("the loss became {loss} at step {step}; lower the learning rate and begin anew")]
    Diverged {
        /// The loss.
        loss: f32,
        /// At which step.
        step: usize,
    },
}
