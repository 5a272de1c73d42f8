//! The chain, as the running node has it.

use freeway_api::{SigningView, Status};
use freeway_ledger::hosts;
use freeway_store::Look;

use super::finding::{Check, Finding};
use super::net::{Answer, Seen};

/// Blocks that a node may lack while it is asked.
const NEAR: u64 = 10;
/// How long a node may take after its start until it is expected to have caught up, in seconds.
const STARTING_S: u64 = 120;
/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) async fn checks(seen: &Seen) -> Vec<Check> {
    let check = |name, finding| Check::new("chain", name, finding);
    let mut checks = vec![check("answers", answers(seen))];
    let Some(status) = seen.status() else { return checks };
    let health = seen.ask(async |client| client.health().await).await;
    let others: Vec<&Answer> = seen.others.iter().filter_map(|(_, answer)| answer.as_ref().ok()).collect();
    let others: Vec<&Answer> =
        others.into_iter().filter(|answer| answer.status.chain == status.chain).collect();
    let highest = others.iter().map(|answer| (answer.status.height, answer.url.as_str())).max();
    let versions: Vec<&str> = others.iter().map(|answer| answer.status.version.as_str()).collect();
    checks.extend([
        check("store", store(health.map(drop))),
        check("synced", synced(status)),
        check("height", height(status.height, highest)),
        check("peers", peers(status)),
        check("signing", signing(status)),
        check("version", version(&status.version, &versions)),
    ]);
    checks
}

fn answers(seen: &Seen) -> Finding {
    let Some(url) = &seen.url else {
        return Finding::none("rpc.listen has port 0, so where the node answers is in its log alone");
    };
    match &seen.answer {
        Some(Ok(answer)) if seen.status().is_some() => Finding::ok(format!(
            "{url}, height {}, up for {} s",
            answer.status.height, answer.status.uptime_s
        )),
        Some(Ok(answer)) => Finding::failed(
            format!("{url} is a node of another network, {}", answer.status.chain),
            "stop that one, or choose another address for `listen` in [rpc]",
        ),
        Some(Err(error)) => silent(url, error, seen.data.as_ref()),
        None => Finding::none("not asked"),
    }
}

fn silent(url: &str, error: &str, data: Option<&Result<Look, String>>) -> Finding {
    match data {
        Some(Ok(Look::InUse)) => Finding::failed(
            format!("a process has the data, but {url} does not answer: {error}"),
            "it may just be starting; else look into its log, and restart it",
        ),
        Some(_) => Finding::none(format!("no node runs here ({url}: {error})")),
        None => Finding::failed(
            format!("{url} does not answer: {error}"),
            "start the node, or name another with --rpc URL",
        ),
    }
}

fn store(health: Result<(), String>) -> Finding {
    match health {
        Ok(()) => Finding::ok("takes writes"),
        Err(error) => Finding::failed(
            format!("takes no writes any more: {error}"),
            "make room on the disk and look into the system's log, then restart the node; nothing needs repair",
        ),
    }
}

fn synced(status: &Status) -> Finding {
    let behind = format!("height {}, {} s behind the clock", status.height, status.behind_ms / 1_000);
    if status.synced {
        return Finding::ok(behind);
    }
    if status.height == 0 && status.uptime_s < STARTING_S {
        return Finding::warning("no block yet", "wait a minute, then ask again");
    }
    let remedy = if status.peers == 0 {
        "it has no peers: see what stands under peers and ports"
    } else {
        "wait if the height grows; if no node of the network moves, more than a third of the power is away, or clocks differ"
    };
    Finding::failed(behind, remedy)
}

/// `highest`: the highest of the others, and who has it.
fn height(own: u64, highest: Option<(u64, &str)>) -> Finding {
    let Some((highest, url)) = highest else {
        return Finding::none("no other node to compare with; name one with --rpc URL");
    };
    let found = format!("{own}, and {highest} at {url}");
    match highest.saturating_sub(own) {
        0..=NEAR => Finding::ok(found),
        missing => Finding::failed(
            format!("{found}: {missing} blocks behind"),
            "wait if it grows; else see peers, clock and disk, and the node's log. An empty node is quicker with \
             `snapshot_from` in [join]",
        ),
    }
}

fn peers(status: &Status) -> Finding {
    let found = format!("{} connected", status.peers);
    if status.peers > 0 {
        Finding::ok(found)
    } else if status.hosts.len() <= 1 && status.synced {
        Finding::ok("none, and the network needs none")
    } else {
        Finding::failed(
            found,
            "name nodes in `peers` of [consensus] and [gossip], and let ports 27000 and 27100 through the firewall",
        )
    }
}

fn signing(status: &Status) -> Finding {
    let host = status.address.and_then(|own| status.hosts.iter().find(|host| host.address == own));
    match (status.signing, status.address) {
        (_, None) => Finding::none("no `host` in the configuration: it follows"),
        (SigningView::Active, _) => match host {
            Some(host) if host.silent => Finding::warning(
                "it votes, but missed so many blocks that it is not asked for proposals",
                "look at peers and clock, and at what else this machine does",
            ),
            _ => Finding::ok("it votes"),
        },
        (SigningView::Watching, _) => Finding::warning(
            "it watches: it may have lost votes that it signed",
            "wait until the network has decided without it; see \"Restoring\" in docs/operating.md",
        ),
        (SigningView::None, _) => match host {
            None => Finding::warning(
                "its host is no validator",
                "register it with `freeway host register`; a registered host joins the set at an epoch's end",
            ),
            Some(host) if host.status != hosts::Status::Active.name() => Finding::warning(
                format!("its host is {}", host.status),
                "see `freeway host show`; a host that was removed takes a new key",
            ),
            Some(_) => Finding::warning(
                "its host has no power in the next block",
                "power comes with the next epoch after it has proven compute, and needs collateral: `freeway host show`",
            ),
        },
    }
}

fn version(running: &str, others: &[&str]) -> Finding {
    if running != VERSION {
        return Finding::warning(
            format!("the node runs {running}, this program is {VERSION}"),
            "restart the node with this program, or use the program that it runs",
        );
    }
    match others.iter().find(|other| **other != running) {
        Some(other) => Finding::warning(
            format!("{running} here, {other} elsewhere"),
            "all nodes of one network must have the same rules: read what changed, and upgrade one after the other",
        ),
        None => Finding::ok(running),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status as Judged;
    use super::*;

    #[test]
    fn a_silent_node_is_told_from_one_that_does_not_run() {
        assert_eq!(silent("u", "refused", Some(&Ok(Look::InUse))).status, Judged::Failed);
        assert_eq!(silent("u", "refused", Some(&Ok(Look::Nothing))).status, Judged::NotApplicable);
        assert_eq!(silent("u", "refused", Some(&Err("damaged".into()))).status, Judged::NotApplicable);
        assert_eq!(silent("u", "refused", None).status, Judged::Failed);
    }

    #[test]
    fn a_node_that_is_behind_others_fails() {
        assert_eq!(height(90, None).status, Judged::NotApplicable);
        assert_eq!(height(90, Some((100, "u"))).status, Judged::Ok);
        assert_eq!(height(200, Some((100, "u"))).status, Judged::Ok);
        let behind = height(89, Some((100, "u")));
        assert!(behind.status == Judged::Failed && behind.found.ends_with("11 blocks behind"), "{behind:?}");
    }

    #[test]
    fn versions_that_differ_are_told() {
        assert_eq!(version(VERSION, &[VERSION]).status, Judged::Ok);
        assert_eq!(version("9.9.9", &[]).status, Judged::Warning);
        assert_eq!(version(VERSION, &["9.9.9"]).status, Judged::Warning);
    }

    #[test]
    fn a_store_that_takes_no_writes_fails() {
        assert_eq!(store(Ok(())).status, Judged::Ok);
        assert_eq!(store(Err("disk full".into())).status, Judged::Failed);
    }
}
