//! Agreement: the BFT engine behind a small trait.
//!
//! The chain implements [`Application`]: synchronous methods that build, judge, store and commit blocks. The
//! engine (Malachite, a Tendermint-style protocol; decision 001 in `docs/decisions/`) decides which block
//! stands at which height. Between them lies the [`Bridge`], a plain state machine that turns the engine's
//! questions into calls of the application and keeps the rules that the engine leaves to us:
//!
//! - block bytes travel in signed, bounded parts ([`parts`]);
//! - proposers are drawn by power among validators that are not silent ([`ValidatorView::proposer`]);
//! - a validator that lost its data signs nothing until it has watched the network decide without it
//!   ([`SigningGuard`]);
//! - equivocation that the engine saw is handed to the application as evidence.
//!
//! [`engine::run`] drives a bridge with the real engine over TCP; the simulator in `testing/sim` drives the
//! same bridge with the engine's sans-IO core in simulated time.

mod application;
mod bridge;
pub mod codec;
pub mod context;
pub mod engine;
pub mod parts;
pub mod signing;

pub use application::{Application, Decided, Fatal, HeightPlan, Judged, Timing};
pub use bridge::{Bridge, MAX_BLOCKS_A_ROUND, Outgoing, equivocations};
pub use context::{Context, ValidatorView};
pub use signing::{Signing, SigningGuard};
