//! Free ports, handed out once.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below those that the system hands out for outgoing connections, and below those of `freeway up`.
const FIRST: u32 = 10_500;
const COUNT: u32 = 10_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A port on loopback on which nobody listens, different at each call.
///
/// # Panics
/// If the machine has none left.
pub fn free_port() -> SocketAddr {
    // Test processes side by side start at different places.
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(start) % COUNT;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, (FIRST + offset) as u16));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port from {FIRST} on is free; stop programs that listen");
}
