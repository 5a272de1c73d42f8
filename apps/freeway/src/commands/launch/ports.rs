//! Free ports for a network on this machine.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, TcpListener};

use crate::hints::Problem;

/// Ports below those that systems hand out for outgoing connections, so that none is taken between the look and
/// the node's start.
const FIRST: u16 = 21_000;
const LAST: u16 = 31_999;

/// Hands out ports of an address of this machine, each once.
#[derive(Debug)]
pub(crate) struct Ports {
    address: IpAddr,
    taken: BTreeSet<u16>,
    next: u16,
}

impl Ports {
    /// Starts looking at a place that follows from `seed`, so that networks side by side rarely meet.
    ///
    /// # Errors
    /// If the address is none of this machine.
    pub(crate) fn new(address: IpAddr, seed: u64) -> Result<Self, Problem> {
        if let Err(error) = TcpListener::bind((address, 0)) {
            return Err(Problem::new("not_here", format!("nothing can listen on {address}: {error}"))
                .hint("give an address of this machine with --address; `ip address` lists them"));
        }
        let next = FIRST + (seed % u64::from(LAST - FIRST)) as u16;
        Ok(Self { address, taken: BTreeSet::new(), next })
    }

    /// `wanted` if it is free, else another free one.
    pub(crate) fn prefer(&mut self, wanted: Option<u16>) -> Result<SocketAddr, Problem> {
        if let Some(port) = wanted.filter(|port| self.take(*port)) {
            return Ok(self.at(port));
        }
        for _ in FIRST..=LAST {
            let port = self.next;
            self.next = if port >= LAST { FIRST } else { port + 1 };
            if self.take(port) {
                return Ok(self.at(port));
            }
        }
        Err(Problem::new("no_port", format!("no port from {FIRST} to {LAST} is free"))
            .hint("stop programs that listen on them"))
    }

    /// `port`, or an error if it is in use.
    pub(crate) fn exactly(&mut self, port: u16) -> Result<SocketAddr, Problem> {
        if self.take(port) {
            return Ok(self.at(port));
        }
        Err(Problem::new("port_in_use", format!("port {port} is in use"))
            .hint("choose another --rpc-port, or stop the program that listens on it"))
    }

    fn take(&mut self, port: u16) -> bool {
        !self.taken.contains(&port) && TcpListener::bind(self.at(port)).is_ok() && self.taken.insert(port)
    }

    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn an_address_of_another_machine_is_refused() {
        let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let problem = Ports::new(elsewhere, 0).unwrap_err();
        assert!(problem.message().contains("192.0.2.1") && problem.what_next().is_some(), "{problem}");
    }

    #[test]
    fn each_port_is_handed_out_once_and_a_used_one_never() {
        let held = TcpListener::bind((LOOPBACK, 0)).unwrap();
        let used = held.local_addr().unwrap().port();
        let mut ports = Ports::new(LOOPBACK, 7).unwrap();
        assert!(ports.exactly(used).is_err());
        let first = ports.prefer(Some(used)).unwrap();
        let second = ports.prefer(Some(first.port())).unwrap();
        assert!(first.port() != used && first != second);
    }
}
