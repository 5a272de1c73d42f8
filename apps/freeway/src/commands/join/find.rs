//! What the nodes of a network say of it to somebody who wants to join.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use freeway_api::{Client, PeersView};
use freeway_ledger::Genesis;
use freeway_primitives::ChainId;
use reqwest::Url;

use crate::hints::Problem;
use crate::output::Output;

/// A network, and how its nodes are reached.
#[derive(Debug)]
pub(super) struct Found {
    /// What defines it.
    pub(super) genesis: Genesis,
    /// The nodes that have answered.
    pub(super) clients: Vec<Client>,
    /// Where they take part in consensus.
    pub(super) consensus: Vec<SocketAddr>,
    /// Where they pass transactions on.
    pub(super) gossip: Vec<SocketAddr>,
    /// Those of them that have a snapshot.
    pub(super) snapshots: Vec<String>,
    /// The address of this machine on the way to the first of them.
    pub(super) from: IpAddr,
}

/// Asks all of `nodes`; those that do not answer are said, and it is enough that one does.
pub(super) async fn ask(
    nodes: &[String],
    wanted: Option<ChainId>,
    output: &Output,
) -> Result<Found, Problem> {
    let mut found: Option<Found> = None;
    let mut failure = None;
    for url in nodes {
        match one(url, wanted, found.as_ref()).await {
            Ok(node) => match &mut found {
                None => found = Some(node),
                Some(found) => found.add(node),
            },
            // Another network is no accident.
            Err(problem) if problem.code() == "wrong_chain" => return Err(problem),
            Err(problem) => {
                output.note(format!("{url}: {}", problem.message()));
                failure = Some(problem);
            }
        }
    }
    found.ok_or_else(|| failure.unwrap_or_else(|| Problem::usage("no node is named")))
}

impl Found {
    fn add(&mut self, other: Self) {
        self.clients.extend(other.clients);
        self.consensus.extend(other.consensus);
        self.gossip.extend(other.gossip);
        self.snapshots.extend(other.snapshots);
    }
}

async fn one(url: &str, wanted: Option<ChainId>, known: Option<&Found>) -> Result<Found, Problem> {
    let client = Client::new(url)?;
    let status = client.status().await.map_err(|error| {
        Problem::from(error).and_hint("give the address of a node, such as http://192.168.1.10:7700")
    })?;
    let wanted = wanted.or_else(|| known.map(|known| known.genesis.chain()));
    if let Some(wanted) = wanted.filter(|wanted| *wanted != status.chain) {
        let message = format!("{url} is a node of network {}, not of {wanted}", status.chain);
        return Err(Problem::new("wrong_chain", message)
            .hint("ask its people which network they mean, and for the address of one of its nodes"));
    }
    let genesis = client.genesis().await?.build().map_err(|error| {
        Problem::told("invalid_genesis", format!("the genesis of {url} cannot be used: {error}"))
            .or_hint("ask another node")
    })?;
    if genesis.chain() != status.chain {
        let message =
            format!("{url} says it is of network {}, and gives the genesis of another", status.chain);
        return Err(Problem::new("invalid_genesis", message).hint("do not trust it; ask another node"));
    }
    let at = resolve(client.url()).await?;
    let PeersView { listen, consensus, .. } = client.peers().await?;
    let consensus = reach(url, at.ip(), "validators", consensus)?;
    let gossip = reach(url, at.ip(), "transactions", listen)?;
    let has_snapshot = client.snapshots().await.is_ok_and(|view| !view.snapshots.is_empty());
    Ok(Found {
        genesis,
        consensus: vec![consensus],
        gossip: vec![gossip],
        snapshots: has_snapshot.then(|| client.url().to_owned()).into_iter().collect(),
        from: from(at)?,
        clients: vec![client],
    })
}

/// Where a node's part can be reached from here.
fn reach(url: &str, node: IpAddr, what: &str, said: Option<String>) -> Result<SocketAddr, Problem> {
    let cannot = |why: String| {
        Problem::new("cannot_join", why).hint(
            "ask another node, or its operator for an address: a network of `freeway up` needs `--address`",
        )
    };
    let Some(said) = said else {
        return Err(cannot(format!("{url} keeps to the nodes that it knows: nobody joins through it")));
    };
    let listen: SocketAddr =
        said.parse().map_err(|_| cannot(format!("{url} does not say where it listens for {what}")))?;
    if listen.ip().is_unspecified() {
        return Ok(SocketAddr::new(node, listen.port()));
    }
    if listen.ip().is_loopback() && !node.is_loopback() {
        return Err(cannot(format!(
            "{url} listens for {what} on {listen}, which its own machine alone reaches"
        )));
    }
    Ok(listen)
}

/// The address behind a URL.
async fn resolve(url: &str) -> Result<SocketAddr, Problem> {
    let cannot = |why: String| {
        Problem::new("unreachable", why).hint("give the address of a node, such as http://192.168.1.10:7700")
    };
    let parsed = Url::parse(url).map_err(|error| cannot(format!("{url}: {error}")))?;
    let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = parsed.port_or_known_default().unwrap_or(80);
    let mut found = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| cannot(format!("{url} has no address: {error}")))?;
    found.next().ok_or_else(|| cannot(format!("{url} has no address")))
}

/// The address of this machine on the way to another. Nothing is sent for that.
fn from(node: SocketAddr) -> Result<IpAddr, Problem> {
    let any: SocketAddr = if node.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0; 16], 0).into() };
    let local = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(node)?;
        socket.local_addr()
    });
    local.map(|address| address.ip()).map_err(|error| {
        Problem::new("no_route", format!("this machine has no way to {node}: {error}"))
            .hint("say with --address at which of its addresses others reach this machine")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_reached_where_it_says_it_listens() {
        let node: IpAddr = "192.168.1.10".parse().unwrap();
        let reach = |said: &str| reach("http://192.168.1.10:7700", node, "validators", Some(said.to_owned()));
        assert_eq!(reach("192.168.1.11:27000").unwrap().to_string(), "192.168.1.11:27000");
        // On all its addresses: on the one that was asked as well.
        assert_eq!(reach("0.0.0.0:27000").unwrap().to_string(), "192.168.1.10:27000");
        for bad in ["127.0.0.1:27000", "[::1]:27000", "somewhere", ""] {
            let problem = reach(bad).unwrap_err();
            assert!(problem.what_next().unwrap().contains("--address"), "{bad}: {problem}");
        }
        let hidden = super::reach("http://a", node, "validators", None).unwrap_err();
        assert!(hidden.message().contains("keeps to the nodes"), "{hidden}");
    }

    #[test]
    fn two_nodes_of_one_machine_meet_on_loopback() {
        let node: IpAddr = "127.0.0.1".parse().unwrap();
        let found = reach("http://127.0.0.1:7700", node, "validators", Some("127.0.0.1:27000".into()));
        assert_eq!(found.unwrap().to_string(), "127.0.0.1:27000");
        assert!(from(([127, 0, 0, 1], 9).into()).unwrap().is_loopback());
    }
}
