//! The nodes that this one is to stay connected with.

use freeway_network::{Host, PeerAddress};
use freeway_node::NodeConfig;

use super::finding::{Check, Finding};
use super::net::{self, Seen};

/// The most peers of each kind that are tried.
const MAX_TRIED: usize = 64;
/// The most that are named.
const MAX_NAMED: usize = 4;

pub(super) async fn checks(config: &NodeConfig, seen: &Seen, is_local: bool) -> Vec<Check> {
    let consensus: Vec<String> = config.consensus.peers.iter().map(ToString::to_string).collect();
    let gossip = config.gossip.peers().unwrap_or_default();
    let gossip: Vec<String> = gossip.iter().map(place).collect();
    let runs = seen.status().is_some();
    if is_local && !runs && !consensus.is_empty() {
        let finding = || Finding::none("they start together with this node");
        return vec![Check::new("peers", "consensus", finding()), Check::new("peers", "gossip", finding())];
    }
    // A node that has peers lives; those that it does not find are for later.
    let lives = seen.status().is_some_and(|status| status.peers > 0);
    let (consensus, gossip) = futures::join!(tried(consensus), tried(gossip));
    let judged = |found: &[(String, Result<(), String>)]| {
        let finding = reached(found);
        if lives { finding.at_most_a_warning() } else { finding }
    };
    vec![Check::new("peers", "consensus", judged(&consensus)), Check::new("peers", "gossip", judged(&gossip))]
}

async fn tried(places: Vec<String>) -> Vec<(String, Result<(), String>)> {
    let tries = places.into_iter().take(MAX_TRIED).map(|place| async move {
        let connected = net::connects(&place).await;
        (place, connected)
    });
    net::each(tries).await
}

/// Where a peer listens.
fn place(peer: &PeerAddress) -> String {
    match &peer.host {
        Host::Ip(std::net::IpAddr::V6(ip)) => format!("[{ip}]:{}", peer.port),
        Host::Ip(ip) => format!("{ip}:{}", peer.port),
        Host::Name(name) => format!("{name}:{}", peer.port),
    }
}

/// Whether a peer is on this machine.
pub(super) fn is_loopback(peer: &PeerAddress) -> bool {
    match &peer.host {
        Host::Ip(ip) => ip.is_loopback(),
        Host::Name(name) => name == "localhost",
    }
}

fn reached(tried: &[(String, Result<(), String>)]) -> Finding {
    let silent: Vec<String> = tried
        .iter()
        .filter_map(|(place, result)| Some(format!("{place} ({})", result.as_ref().err()?)))
        .collect();
    if tried.is_empty() {
        return Finding::none("none are named: others have to find this node");
    }
    let here = tried.len() - silent.len();
    let found = format!("{here} of {} accept a connection", tried.len());
    if silent.is_empty() {
        return Finding::ok(found);
    }
    let more = silent.len().saturating_sub(MAX_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let named = silent.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>().join(", ");
    let found = format!("{found}; not {named}{more}");
    let remedy = "ask their operators whether they run; if all are silent, look at this machine's network and firewall";
    if here == 0 { Finding::failed(found, remedy) } else { Finding::warning(found, remedy) }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    #[test]
    fn silent_peers_are_named() {
        let ok = |name: &str| (name.to_owned(), Ok(()));
        let silent = |name: &str| (name.to_owned(), Err("refused".to_owned()));
        assert_eq!(reached(&[]).status, Status::NotApplicable);
        assert_eq!(reached(&[ok("a"), ok("b")]).status, Status::Ok);
        let some = reached(&[ok("a"), silent("b")]);
        assert!(some.status == Status::Warning && some.found.contains("not b (refused)"), "{some:?}");
        let all: Vec<_> = ["a", "b", "c", "d", "e", "f"].map(silent).into();
        let none = reached(&all);
        assert!(none.status == Status::Failed && none.found.ends_with("and 2 more"), "{none:?}");
        assert_eq!(reached(&all).at_most_a_warning().status, Status::Warning);
    }

    #[test]
    fn peers_have_places() {
        for (text, shown, local) in [
            ("10.0.0.1:5", "10.0.0.1:5", false),
            ("[::1]:5", "[::1]:5", true),
            ("localhost:7", "localhost:7", true),
            ("a.example:7", "a.example:7", false),
        ] {
            let peer: PeerAddress = text.parse().unwrap();
            assert_eq!((place(&peer).as_str(), is_loopback(&peer)), (shown, local));
        }
    }
}
