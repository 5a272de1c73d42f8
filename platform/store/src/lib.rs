//! The persistent store of a chain node.
//!
//! # What is kept
//!
//! A [`Store`] holds, on one [`Medium`]:
//!
//! | what | durable | in |
//! |---|---|---|
//! | proposals for undecided heights | when [`Store::put_proposal`] returns: a vote may follow | `blocks.redb` |
//! | decided blocks and certificates | when [`Store::append_block`] returns | `blocks.redb` |
//! | state, receipts, block results | with the next [`Store::flush`]; before that, through replay | `state.redb` |
//!
//! Blocks are the truth. State follows from them, and so need not be durable at once: [`Store::apply`] changes
//! it in memory and returns the new root, and every few blocks [`Store::flush`] writes what has gathered, in
//! one transaction, from a background thread. After a crash the state on disk is that of an earlier block
//! ([`Store::state_height`]), and the node applies the blocks from there to [`Store::block_height`] again.
//! State never gets ahead of the durable blocks.
//!
//! ```text
//!            apply ──► layer 19   deltas and tree nodes in memory, one layer a block
//!                      layer 18   kept back by flush: their roots are being certified
//!  view, prove ───►    layer 17 ┐
//!                        ...    ├─ flush: one transaction
//!                      layer  4 ┘
//!                      base   3   state.redb: values, tree, receipts of one height
//! ```
//!
//! # Reading
//!
//! [`Store::view`] is an immutable [`StateView`] of the latest height, [`Store::view_at`] of any height that is
//! kept, from [`Store::flushed_height`] to the latest. Both cost an atomic increment. They implement
//! [`Reader`](freeway_ledger::state::Reader), so that the ledger executes on them directly.
//!
//! # Roots and proofs
//!
//! The state is authenticated by a Jellyfish Merkle tree over BLAKE3. The root depends on the content alone.
//! [`Store::prove`] shows to someone who knows the root that a key has a value, or none; see [`Proof`].
//! The disk holds exactly one version of the tree: a node replaces the one at the same path, so that there is
//! nothing to prune later, and the number of nodes is bounded by the number of keys.
//!
//! # Snapshots
//!
//! [`Store::write_snapshot`] cuts the flushed state into [`Chunk`]s while the chain goes on. [`Restore`] builds
//! a store from them and checks each against a certified root as it arrives, so that a bad one is refused by
//! number, does no harm and can be fetched from someone else. An interrupted restore is recognised and starts
//! over.
//!
//! # When something fails
//!
//! A write that fails for any reason makes the store refuse all later ones with [`StoreError::Poisoned`]: the
//! process no longer knows what is on the disk, though the disk does. Stop the node, act on the message, start
//! it again. Every [`StoreError`] says what to do. Damaged files give [`StoreError::Corrupt`]: blocks
//! carry a checksum, nodes of the tree are compared with the hash that their parent has, and where the storage
//! engine runs into an assertion the panic is caught and reported as that (the default panic hook may still
//! print it). Damage of a single value is found by [`Config::verify_on_open`], by a proof, or by a peer.
//!
//! [`SimulatedDisk`] is a medium that crashes between syncs, tears writes and fills up, all decided by seeds:
//! the same store runs in the simulator.

mod base;
mod blocks;
mod cache;
mod error;
mod layer;
mod look;
mod medium;
mod proof;
mod restore;
mod simulated;
mod snapshot;
mod state;
mod store;
mod tree;
mod view;

pub use blocks::{BlockRecord, StoredBlock, StoredProposal};
pub use error::{Failure, StoreError};
pub use layer::ReceiptRecord;
pub use look::{Look, look};
pub use medium::{Database, Medium, Opening, Session};
pub use proof::{Proof, ProofError};
pub use restore::{Restore, RestoreError};
pub use simulated::SimulatedDisk;
pub use snapshot::{
    Chunk, MANIFEST_NAME, MAX_CHUNK_BYTES, MAX_CHUNKS, Manifest, Snapshot, chunk_digest, chunk_name,
};
pub use store::{Config, Store};
pub use view::StateView;

/// The longest key of the state, in bytes.
pub const MAX_KEY_BYTES: usize = 1 << 10;
/// The longest value of the state, and the longest receipt, in bytes.
pub const MAX_VALUE_BYTES: usize = 1 << 20;
/// The longest certificate, and the most that can be said about a proposal's round, in bytes.
pub const MAX_SIDE_BYTES: usize = 64 << 10;

const _: () =
    assert!(<freeway_primitives::Certificate as freeway_primitives::Canonical>::MAX_BYTES <= MAX_SIDE_BYTES);
