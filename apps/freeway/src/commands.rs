//! The subcommands: one file each, with its options, what it does, and the results that it prints.

pub mod account;
pub mod beacon;
pub mod block;
pub mod chat;
pub mod completions;
pub mod delegate;
pub mod gateway;
pub mod genesis;
pub mod host;
pub mod keys;
pub mod model;
pub mod node;
pub mod send;
pub mod sprint;
pub mod status;
mod submit;
pub mod transaction;
pub mod up;
