//! The addresses where a node listens: free before it runs, answered by it while it does, and such that others reach it.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};

use freeway_api::reach::is_allowed;
use freeway_host::server::Progress;
use freeway_node::NodeConfig;

use super::finding::{Check, Finding};
use super::net::{self, Seen};

/// A listener, by its name in the configuration.
type Place = (&'static str, SocketAddr);

pub(super) async fn checks(config: &NodeConfig, seen: &Seen) -> Vec<Check> {
    let mut places: Vec<Place> =
        vec![("consensus", config.consensus.listen), ("gossip", config.gossip.listen)];
    places.push(("rpc", config.rpc.listen));
    places.extend(config.sprint.iter().map(|sprint| ("sprint", sprint.listen)));
    places.extend(config.gateway.iter().map(|gateway| ("gateway", gateway.listen)));
    let runs = seen.status().is_some();
    let looks = net::each(places.into_iter().map(|(name, listen)| async move {
        let finding = if listen.port() == 0 {
            Finding::none("a free one at each start")
        } else if runs {
            answered(listen, &net::connects(&net::reachable(listen).to_string()).await)
        } else if seen.is_deaf() {
            Finding::none(format!("{listen}; the process that has `data` may hold it"))
        } else {
            free(listen, TcpListener::bind(listen).map(drop).map_err(|error| error.kind()))
        };
        Check::new("ports", name, finding)
    }));
    let mut checks = looks.await;
    checks.push(Check::new("ports", "exposure", exposure(&Exposure::of(config))));
    checks.push(Check::new("ports", "url", url(config, runs).await));
    checks
}

fn answered(listen: SocketAddr, connected: &Result<(), String>) -> Finding {
    match connected {
        Ok(()) => Finding::ok(format!("{listen}, answered")),
        Err(error) => Finding::failed(
            format!("the node runs, but {listen} does not answer: {error}"),
            "restart the node: it may have been started with another configuration; its log says where it listens",
        ),
    }
}

/// `bound`: what came of an attempt to listen there.
fn free(listen: SocketAddr, bound: Result<(), ErrorKind>) -> Finding {
    let (ip, port) = (listen.ip(), listen.port());
    match bound {
        Ok(()) => Finding::ok(format!("{listen} is free")),
        Err(ErrorKind::AddrInUse) => Finding::failed(
            format!("another program listens on {listen}"),
            format!(
                "`ss -ltnp 'sport = :{port}'` shows which; stop it, or choose another port in the configuration"
            ),
        ),
        Err(ErrorKind::AddrNotAvailable) => Finding::failed(
            format!("{ip} is no address of this machine"),
            "`ip address` shows those that are; 0.0.0.0 stands for all, and behind a router only those inside count",
        ),
        Err(ErrorKind::PermissionDenied) => {
            Finding::failed(format!("this user may not listen on {listen}"), "choose a port above 1023")
        }
        Err(kind) => Finding::failed(format!("cannot listen on {listen}: {kind}"), "choose another address"),
    }
}

/// Who can reach what.
#[derive(Clone, Debug)]
struct Exposure {
    /// The listeners for other nodes.
    inner: Vec<Place>,
    rpc: SocketAddr,
    /// That of the gateway, and whether it asks for keys.
    gateway: Option<(SocketAddr, bool)>,
    /// Whether the configuration speaks of other machines.
    has_others: bool,
}

impl Exposure {
    fn of(config: &NodeConfig) -> Self {
        let consensus = config.consensus.peers.iter().any(|peer| !peer.ip().is_loopback());
        let peers = config.gossip.peers().unwrap_or_default();
        let gossip = peers.iter().any(|peer| !super::peers::is_loopback(peer));
        let own_url = config.sprint.as_ref().and_then(|sprint| sprint.url.as_deref());
        let url = own_url.and_then(place_of).is_some_and(|(host, _)| !is_local_name(&host));
        let mut inner = vec![("consensus", config.consensus.listen), ("gossip", config.gossip.listen)];
        inner.extend(config.sprint.iter().map(|sprint| ("sprint", sprint.listen)));
        Self {
            inner,
            rpc: config.rpc.listen,
            gateway: config.gateway.as_ref().map(|gateway| (gateway.listen, gateway.keys.is_some())),
            has_others: consensus || gossip || url,
        }
    }
}

fn exposure(exposure: &Exposure) -> Finding {
    let Exposure { inner, rpc, gateway, has_others } = exposure;
    if let Some((listen, false)) = gateway
        && !listen.ip().is_loopback()
    {
        return Finding::failed(
            format!("everybody may use the gateway at {listen}: it asks for no key"),
            "name a file of keys as `keys` in [gateway], or let it listen on 127.0.0.1",
        );
    }
    let hidden: Vec<String> = inner
        .iter()
        .filter(|(_, listen)| *has_others && listen.ip().is_loopback())
        .map(|(name, listen)| format!("[{name}] {listen}"))
        .collect();
    if !hidden.is_empty() {
        return Finding::failed(
            format!("other machines cannot reach {}", hidden.join(", ")),
            "listen on 0.0.0.0 or an address of the network there, and let the ports through the firewall",
        );
    }
    if !rpc.ip().is_loopback() {
        return Finding::warning(
            format!("[rpc] {rpc} can be reached from other machines, and asks for no key"),
            "let it listen on 127.0.0.1 unless it is meant to be public; a proxy in front can add TLS",
        );
    }
    Finding::ok(if *has_others { "others reach what they need" } else { "this machine only" })
}

/// Host and port of a URL, as far as it is one.
fn place_of(url: &str) -> Option<(String, u16)> {
    let parsed = reqwest::Url::parse(url).ok()?;
    Some((parsed.host_str()?.to_owned(), parsed.port_or_known_default()?))
}

fn is_local_name(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether others reach this host under the URL that it announces.
async fn url(config: &NodeConfig, runs: bool) -> Finding {
    let Some(sprint) = &config.sprint else { return Finding::none("no section [sprint]") };
    let Some(own) = &sprint.url else {
        return Finding::warning(
            "no `url` in [sprint]",
            "write the URL under which others reach `sprint.listen`, such as http://IP:27200: hosts that cannot be \
             asked lose their race",
        );
    };
    let addresses = match place_of(own).filter(|_| own.starts_with("http://")) {
        None => Err("not a URL that begins with http://".to_owned()),
        Some((host, port)) => resolve(&host, port).await,
    };
    if let Some(finding) = reachable_url(own, &addresses, sprint.allow_private) {
        return finding;
    }
    if !runs {
        return Finding::none(format!("{own}; asked when the node runs"));
    }
    let path = "/v1/sprint/progress";
    let direct = format!("{}{path}", net::local_url(sprint.listen));
    let before = net::get::<Progress>(&direct, None).await;
    let through = net::get::<Progress>(&format!("{}{path}", own.trim_end_matches('/')), None).await;
    let after = net::get::<Progress>(&direct, None).await;
    is_this_host(own, before.and_then(|before| Ok((before, after?))), through)
}

async fn resolve(host: &str, port: u16) -> Result<Vec<IpAddr>, String> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse() {
        return Ok(vec![ip]);
    }
    match tokio::time::timeout(net::PATIENCE, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(found)) => Ok(found.map(|found| found.ip()).collect()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("names are not resolved here: no answer".into()),
    }
}

/// What is wrong with the URL before anybody is asked.
fn reachable_url(url: &str, addresses: &Result<Vec<IpAddr>, String>, allow_private: bool) -> Option<Finding> {
    let remedy =
        "write a URL under which all hosts reach this one as `url` in [sprint], such as http://IP:27200";
    match addresses {
        Err(error) => Some(Finding::failed(format!("{url}: {error}"), remedy)),
        Ok(found) if found.iter().any(|ip| is_allowed(*ip, allow_private)) => None,
        Ok(_) => Some(Finding::failed(
            format!("{url} is no public address: others do not ask there"),
            format!("{remedy}; on a private network, all its hosts need `allow_private = true`"),
        )),
    }
}

/// Whether who answers at the URL is the host here: what it has computed lies between what this one had computed
/// before and after.
fn is_this_host(
    url: &str,
    here: Result<(Progress, Progress), String>,
    there: Result<Progress, String>,
) -> Finding {
    let remedy = "let the port through firewall and router to `sprint.listen`, or correct `url` in [sprint]";
    match (here, there) {
        (Err(error), _) => Finding::failed(
            format!("the host's part of the node does not answer at sprint.listen: {error}"),
            "look into the node's log for why it does not start",
        ),
        // A router that does not lead back to where the question came from is usual.
        (_, Err(error)) => Finding::warning(
            format!("{url} does not answer from here: {error}"),
            format!(
                "{remedy}; if only this machine cannot reach it, ask from another: curl {url}/v1/sprint/progress"
            ),
        ),
        (Ok((before, after)), Ok(there)) => {
            let same = (there.threads, there.share) == (before.threads, before.share)
                && (before.epoch..=after.epoch).contains(&there.epoch)
                && (before.cpu_seconds..=after.cpu_seconds).contains(&there.cpu_seconds);
            if same {
                Finding::ok(format!("{url} leads here"))
            } else {
                Finding::failed(format!("another host answers at {url}"), remedy)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_taken_port_and_a_foreign_address_are_told() {
        let listen = at("127.0.0.1:7700");
        assert_eq!(free(listen, Ok(())).status, Status::Ok);
        for kind in [ErrorKind::AddrInUse, ErrorKind::AddrNotAvailable, ErrorKind::PermissionDenied] {
            let found = free(listen, Err(kind));
            assert_eq!(found.status, Status::Failed, "{kind}");
            assert!(found.remedy.is_some());
        }
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = TcpListener::bind(held.local_addr().unwrap()).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    }

    #[test]
    fn what_is_open_or_hidden_is_told() {
        let base = Exposure {
            inner: vec![("consensus", at("127.0.0.1:1")), ("gossip", at("0.0.0.0:2"))],
            rpc: at("127.0.0.1:3"),
            gateway: Some((at("0.0.0.0:4"), true)),
            has_others: false,
        };
        assert_eq!(exposure(&base).status, Status::Ok);
        let hidden = exposure(&Exposure { has_others: true, ..base.clone() });
        assert!(hidden.status == Status::Failed && hidden.found.contains("[consensus] 127.0.0.1:1"));
        let open = Exposure { gateway: Some((at("0.0.0.0:4"), false)), ..base.clone() };
        assert_eq!(exposure(&open).status, Status::Failed);
        assert_eq!(exposure(&Exposure { rpc: at("0.0.0.0:3"), ..base }).status, Status::Warning);
    }

    #[test]
    fn a_url_must_lead_others_here() {
        let private = Ok(vec!["10.0.0.1".parse().unwrap()]);
        let public = Ok(vec!["1.1.1.1".parse().unwrap()]);
        assert_eq!(reachable_url("u", &public, false), None);
        assert_eq!(reachable_url("u", &private, true), None);
        assert_eq!(reachable_url("u", &private, false).unwrap().status, Status::Failed);
        assert_eq!(reachable_url("u", &Err("no".into()), true).unwrap().status, Status::Failed);
        let at =
            |cpu_seconds| Progress { cpu_seconds, epoch: 3, threads: 2, share: 50, ..Progress::default() };
        let here = || Ok((at(5.0), at(6.0)));
        assert_eq!(is_this_host("u", here(), Ok(at(5.5))).status, Status::Ok);
        assert_eq!(is_this_host("u", here(), Ok(at(9.0))).status, Status::Failed);
        assert_eq!(is_this_host("u", here(), Ok(Progress { share: 10, ..at(5.5) })).status, Status::Failed);
        assert_eq!(is_this_host("u", here(), Err("no".into())).status, Status::Warning);
        assert_eq!(is_this_host("u", Err("no".into()), Ok(at(5.5))).status, Status::Failed);
    }
}
