//! The binary as its users meet it: killed, restarted, joined, fed with bad input.
//!
//! The tests start networks of several processes, so they run one after the other: each holds [`turn`].

mod bad_input;
mod book;
mod chaos;
mod crash;
mod damage;
mod doctor;
mod http;
mod inference;
mod joining;
mod lanes;
#[cfg(target_os = "linux")]
mod machines;
mod sprint;
mod traces;
mod up;

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

/// How long something may take that takes a second on an idle machine.
const SOON: Duration = Duration::from_secs(60);

static TURN: Mutex<()> = Mutex::const_new(());

/// One heavy test at a time: two cores carry one network well, and several badly.
async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}
