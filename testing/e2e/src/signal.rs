//! Signals to processes.

use std::process::{Command, Stdio};

/// A signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// What Ctrl-C sends.
    Interrupt,
    /// The polite request to end.
    Terminate,
    /// The end, at once.
    Kill,
    /// Stops the process until it is continued.
    Stop,
    /// Lets it go on.
    Continue,
}

impl Signal {
    const fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "INT",
            Self::Terminate => "TERM",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        }
    }
}

/// Sends a signal to a process of this machine; whether there was one to receive it.
pub fn signal(pid: u32, signal: Signal) -> bool {
    send(&pid.to_string(), signal)
}

/// Sends a signal to a process and all of its group, as a terminal does.
pub(crate) fn signal_group(leader: u32, signal: Signal) -> bool {
    send(&format!("-{leader}"), signal)
}

fn send(whom: &str, signal: Signal) -> bool {
    // The shell's own `kill` is everywhere, the program of that name is not.
    let status = Command::new("sh")
        .args(["-c", "kill -s \"$0\" -- \"$1\"", signal.name(), whom])
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Whether a process exists and is not merely waiting to be buried.
pub fn is_alive(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The name stands in parentheses and may contain anything; the state follows it.
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}
