//! The state machine of Freeway: pure rules over typed state.
//!
//! A block goes through an [`Executor`]: `begin` (each module's start-of-block rules), `include` for every
//! transaction, `finish` (each module's end-of-block rules). The result is a [`BlockOutcome`]: the changes of
//! state as a [`Delta`], a receipt per transaction, the events, and the validators of the next height. Time,
//! randomness and storage are arguments; the same blocks give the same state on every machine.
//!
//! # Modules
//!
//! | module | concern |
//! |---|---|
//! | [`accounts`] | balances, sequences, quotas, delegate keys |
//! | [`hosts`] | registration, collateral and its unbonding, leaving |
//! | [`epochs`] | the clock and its phases, who is silent, the validator set and its switch |
//! | [`evidence`] | judging equivocation |
//! | [`beacon`] | randomness: one value per height |
//! | [`sprint`] | the race: commitments, verdicts, demands, trials |
//! | [`weights`] | proven compute and reputation |
//! | [`models`] | what can be served and asked for, and by whom it is served |
//! | [`lanes`] | escrow, the draw of hosts, settlement |
//! | [`work`] | what hosts commit to have served, and what of it matures |
//! | [`verification`] | verdicts on sampled work, demands, trials, proofs, reports |
//! | [`pricing`] | what models cost |
//! | [`rewards`] | emission and its vesting, what verifiers are owed |
//! | [`endorsements`] | who answers for an output, and with what |
//!
//! # Adding a module
//!
//! All have one shape, and a new one is those same parts in `src/<module>.rs`:
//!
//! 1. **State**: `const NAME: Table<K, V> = Table::new("<module>/<what>/")` or `Cell`.
//! 2. **Params**: a struct `Params` that becomes a field of [`Params`], with a value in each preset and a rule
//!    in `check`.
//! 3. **Messages**: an enum `Message` with `class`, `scope` and `spends`; it becomes a variant of [`Message`].
//! 4. **Events and failures**: enums `Event` and `Failure`, variants of [`Event`] and [`Failure`].
//! 5. **Rules**: a unit struct that implements [`Module`] (`genesis`, `begin`, `apply`, `end`, `holdings`) and
//!    stands in the list at the top of `module.rs`; the list's order is the order of execution.
//! 6. **Queries**: free functions over a [`Reader`].
//!
//! A message is [owed](Message::is_owed) if the protocol asks for it and no more of its kind can succeed than it
//! asks for. Blocks take such a message only if it does what it asks, and it counts against no quota.
//!
//! Money is held in [`Vault`]s: a module that holds money gets one, moves money through [`Context::shift`],
//! and reports what its own records say in `holdings`. After every block the vaults must sum to the supply.

pub mod accounts;
pub mod beacon;
mod context;
pub mod endorsements;
pub mod epochs;
mod error;
pub mod evidence;
mod execute;
mod genesis;
pub mod hosts;
pub mod lanes;
pub mod models;
mod module;
mod params;
pub mod pricing;
mod receipt;
pub mod rewards;
pub mod sprint;
pub mod state;
mod transaction;
mod vaults;
pub mod verification;
pub mod weights;
pub mod work;

pub use context::{BlockInfo, Context};
pub use error::{Error, Failure, Rejection};
pub use execute::{BlockOutcome, Executor, admit};
pub use genesis::{Genesis, GenesisAccount, GenesisError, GenesisHost, Text, TextError, open};
pub use module::{Class, Module, holdings};
pub use params::{BlockParams, Params, ParamsError, Preset, UnknownPreset};
pub use receipt::{Event, Outcome, Receipt, receipts_root};
pub use state::{Delta, Fault, MemoryState, Pair, Reader};
pub use transaction::{Body, MAX_TRANSACTION_BYTES, Message, Transaction, TransactionError};
pub use vaults::{MINTED, SUPPLY, Vault, Vaults, vaults};
