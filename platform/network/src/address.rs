//! Where a peer listens, and optionally who it must be.

use core::fmt;
use core::str::FromStr;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

/// The longest host name, as in DNS.
const MAX_NAME: usize = 253;

/// The machine part of an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An IP address.
    Ip(IpAddr),
    /// A name that is resolved at every dial.
    Name(String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// The address of a peer, written `host:port` or `peer-id@host:port`.
///
/// With an id, a dial succeeds only if the other side proves that identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress {
    /// Who is expected there; `None` accepts whoever answers.
    pub id: Option<PeerId>,
    /// The machine.
    pub host: Host,
    /// The TCP port.
    pub port: u16,
}

impl PeerAddress {
    /// The same place, where `id` is expected.
    pub fn with_id(mut self, id: PeerId) -> Self {
        self.id = Some(id);
        self
    }

    /// The place in the notation of the transport. The id travels separately.
    pub(crate) fn multiaddr(&self) -> Multiaddr {
        let host = match &self.host {
            Host::Ip(IpAddr::V4(ip)) => Protocol::Ip4(*ip),
            Host::Ip(IpAddr::V6(ip)) => Protocol::Ip6(*ip),
            Host::Name(name) => Protocol::Dns(name.into()),
        };
        Multiaddr::empty().with(host).with(Protocol::Tcp(self.port))
    }

    /// The place that the transport reports for a connection to `id`.
    pub(crate) fn of_connection(address: &Multiaddr, id: PeerId) -> Self {
        // The transport here is only ever TCP over an IP address or a name; should it report anything else,
        // the peer is shown at the unspecified address.
        let mut place = Self { id: Some(id), host: Host::Ip(Ipv6Addr::UNSPECIFIED.into()), port: 0 };
        for part in address {
            match part {
                Protocol::Ip4(ip) => place.host = Host::Ip(ip.into()),
                Protocol::Ip6(ip) => place.host = Host::Ip(ip.into()),
                Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => {
                    place.host = Host::Name(name.into_owned());
                }
                Protocol::Tcp(port) => place.port = port,
                _ => {}
            }
        }
        place
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        Self { id: None, host: Host::Ip(address.ip()), port: address.port() }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(id) = &self.id {
            write!(f, "{id}@")?;
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A string that is not a peer address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a peer address: {reason}; write host:port or peer-id@host:port, for example \
     203.0.113.7:27656, [2001:db8::7]:27656 or 12D3KooW...@node.example.org:27656"
)]
pub struct PeerAddressError {
    /// The string, shortened if it is very long.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl FromStr for PeerAddress {
    type Err = PeerAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| PeerAddressError { text: text.chars().take(120).collect(), reason };
        let (id, place) = match text.split_once('@') {
            Some((id, place)) => {
                let id = id.parse().map_err(|_| wrong("the part before @ is not a peer id"))?;
                (Some(id), place)
            }
            None => (None, text),
        };
        let (host, port) = place.rsplit_once(':').ok_or_else(|| wrong("the port is missing"))?;
        let port = match port.parse() {
            Ok(0) | Err(_) => return Err(wrong("the port must be a number from 1 to 65535")),
            Ok(port) => port,
        };
        let host = match host.strip_prefix('[') {
            Some(bracketed) => bracketed
                .strip_suffix(']')
                .and_then(|ip| ip.parse::<Ipv6Addr>().ok())
                .map(|ip| Host::Ip(ip.into()))
                .ok_or_else(|| wrong("the part in brackets is not an IPv6 address"))?,
            None if host.contains(':') => return Err(wrong("an IPv6 address needs [brackets]")),
            None => match host.parse::<IpAddr>() {
                Ok(ip) => Host::Ip(ip),
                Err(_) if is_name(host) => Host::Name(host.to_ascii_lowercase()),
                Err(_) => return Err(wrong("the host is neither an IP address nor a name")),
            },
        };
        Ok(Self { id, host, port })
    }
}

/// Whether `host` can be a DNS name. A last label of digits only is a mistyped IPv4 address.
fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let last_is_number = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    host.len() <= MAX_NAME && host.split('.').all(label) && !last_is_number
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";

    #[test]
    fn what_is_shown_parses_back() {
        for text in ["203.0.113.7:27656", "[2001:db8::7]:1", "node-1.example.org:65535", "localhost:9"] {
            for text in [text.to_owned(), format!("{ID}@{text}")] {
                let address: PeerAddress = text.parse().unwrap();
                assert_eq!(address.to_string(), text);
                let id = address.id.unwrap_or_else(PeerId::random);
                let seen = PeerAddress::of_connection(&address.multiaddr(), id);
                assert_eq!((seen.host, seen.port), (address.host, address.port));
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let long = format!("{}:1", "a".repeat(5000));
        for (text, reason) in [
            ("", "port is missing"),
            ("example.org", "port is missing"),
            ("example.org:0", "1 to 65535"),
            ("example.org:65536", "1 to 65535"),
            ("2001:db8::7:27656", "brackets"),
            ("[2001:db8::zz]:1", "IPv6"),
            ("300.0.0.1:1", "neither"),
            ("/ip4/1.2.3.4/tcp/1:1", "neither"),
            (":1", "neither"),
            ("me@example.org:1", "before @"),
            (&long, "neither"),
        ] {
            let error = text.parse::<PeerAddress>().unwrap_err();
            assert!(error.to_string().contains(reason), "{text:?}: {error}");
            assert!(error.to_string().contains("peer-id@host:port"));
            assert!(error.to_string().len() < 500);
        }
    }
}
