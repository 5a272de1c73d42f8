//! Free ports for a network on this machine.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::hints::Problem;

/// Ports below those that systems hand out for outgoing connections, so that none is taken between the look and
/// the node's start.
const FIRST: u16 = 21_000;
const LAST: u16 = 31_999;

/// Hands out ports of this machine, each once.
#[derive(Debug, Default)]
pub(super) struct Ports {
    taken: BTreeSet<u16>,
    next: u16,
}

impl Ports {
    /// Starts looking at a place that follows from `seed`, so that networks side by side rarely meet.
    pub(super) fn new(seed: u64) -> Self {
        let next = FIRST + (seed % u64::from(LAST - FIRST)) as u16;
        Self { taken: BTreeSet::new(), next }
    }

    /// `wanted` if it is free, else another free one.
    pub(super) fn prefer(&mut self, wanted: Option<u16>) -> Result<SocketAddr, Problem> {
        if let Some(port) = wanted.filter(|port| self.take(*port)) {
            return Ok(loopback(port));
        }
        for _ in FIRST..=LAST {
            let port = self.next;
            self.next = if port >= LAST { FIRST } else { port + 1 };
            if self.take(port) {
                return Ok(loopback(port));
            }
        }
        Err(Problem::new("no_port", format!("no port from {FIRST} to {LAST} is free"))
            .hint("stop programs that listen on them"))
    }

    /// `port`, or an error if it is in use.
    pub(super) fn exactly(&mut self, port: u16) -> Result<SocketAddr, Problem> {
        if self.take(port) {
            return Ok(loopback(port));
        }
        Err(Problem::new("port_in_use", format!("port {port} is in use"))
            .hint("choose another --rpc-port, or stop the program that listens on it"))
    }

    fn take(&mut self, port: u16) -> bool {
        !self.taken.contains(&port) && TcpListener::bind(loopback(port)).is_ok() && self.taken.insert(port)
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_is_handed_out_once_and_a_used_one_never() {
        let held = TcpListener::bind(loopback(0)).unwrap();
        let used = held.local_addr().unwrap().port();
        let mut ports = Ports::new(7);
        assert!(ports.exactly(used).is_err());
        let first = ports.prefer(Some(used)).unwrap();
        let second = ports.prefer(Some(first.port())).unwrap();
        assert!(first.port() != used && first != second);
    }
}
