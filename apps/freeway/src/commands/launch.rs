//! What `freeway up` and `freeway join` share: a folder with nodes in it, their processes, and what is to be done on
//! the chain meanwhile.

mod children;
mod errand;
mod folder;
mod live;
mod ports;

pub(super) use children::{Children, Listens};
pub(super) use errand::{Failed, Want, run_errand};
pub(super) use folder::{Folder, new_key, write, write_secret};
pub(super) use live::follow;
pub(super) use ports::Ports;
