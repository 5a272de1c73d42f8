//! The subcommands: one file each, with its options, what it does, and the results that it prints.

pub mod account;
mod asking;
pub mod beacon;
pub mod block;
pub mod chat;
pub mod completions;
pub mod delegate;
pub mod endorse;
pub mod endorsement;
pub mod gateway;
pub mod genesis;
pub mod host;
pub mod keys;
pub mod lane;
pub mod model;
pub mod node;
pub mod pass;
pub mod price;
pub mod receipt;
pub mod report;
pub mod send;
pub mod sprint;
pub mod status;
mod submit;
pub mod transaction;
pub mod up;
