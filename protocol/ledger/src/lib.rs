//! Placeholder
pub mod state;
pub use state::{Delta, Fault, Pair, Reader};
