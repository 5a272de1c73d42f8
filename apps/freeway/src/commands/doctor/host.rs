//! The host that a node signs for, as it stands on the chain.

use freeway_api::{HostView, SprintResultsView};
use freeway_ledger::hosts;
use freeway_node::NodeConfig;
use freeway_primitives::{Address, Amount, PublicKey};

use super::finding::{Check, Finding};
use super::net::Seen;
use crate::keystore::Keystore;

pub(super) async fn checks(config: &NodeConfig, seen: &Seen) -> Vec<Check> {
    let check = |name, finding| Check::new("host", name, finding);
    let address = match config.host() {
        Ok(Some(address)) if seen.status().is_some() => address,
        Ok(Some(_)) => return vec![check("registered", Finding::none("seen when the node runs"))],
        _ => return vec![check("registered", Finding::none("no `host` in the configuration"))],
    };
    let host = seen
        .ask(async |client| match client.host(&address).await {
            Ok(host) => Ok(Some(host)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        })
        .await;
    let host = match host {
        Ok(Some(host)) => host,
        Ok(None) => return vec![check("registered", not_registered(&address))],
        Err(error) => {
            let remedy = "run `freeway doctor` again; see the node's log if it goes on";
            return vec![check("registered", Finding::warning(error, remedy))];
        }
    };
    let key = Keystore::open(&config.key.keystore).and_then(|keystore| keystore.entry(&config.key.name));
    let params = seen.ask(async |client| client.parameters().await).await;
    let races = seen.ask(async |client| races(client, &address).await).await;
    let url = config.sprint.as_ref().map(|sprint| sprint.url.as_deref());
    vec![
        check("registered", registered(&host)),
        check("key", same_key(key.ok().map(|entry| entry.public_key), &host.consensus_key)),
        check("collateral", collateral(&host, params.map(|params| params.hosts.collateral_per_power))),
        check("url", announced(&host.endpoints, url)),
        check("races", raced(&address, config.sprint.is_some(), races)),
    ]
}

/// The page of results that has this host, if it is in any.
async fn races(
    client: &freeway_api::Client,
    address: &Address,
) -> Result<SprintResultsView, freeway_api::ClientError> {
    // Pages begin after an address: that before ours, as a number.
    let mut before = address.0;
    for byte in before.iter_mut().rev() {
        let (less, borrowed) = byte.overflowing_sub(1);
        *byte = less;
        if !borrowed {
            break;
        }
    }
    client.sprint_results(Some(&Address(before)), 1).await
}

fn not_registered(address: &Address) -> Finding {
    Finding::failed(
        format!("the network knows no host {address}"),
        "`freeway host register` with the key of its owner; see docs/lanes.md. The node follows until then",
    )
}

fn registered(host: &HostView) -> Finding {
    let summary = &host.summary;
    let found = format!("{}, weight {}, power {}", summary.status, summary.weight, summary.power);
    match summary.status.as_str() {
        status if status == hosts::Status::Active.name() => Finding::ok(found),
        status if status == hosts::Status::Removed.name() => Finding::failed(
            format!("{found}: it was convicted"),
            "its key is never used again: register a host with another account, and find out what signed twice",
        ),
        _ => Finding::warning(found, "it asked to leave; register again when its collateral is free"),
    }
}

fn same_key(here: Option<PublicKey>, there: &PublicKey) -> Finding {
    match here {
        None => Finding::none("the key here cannot be read"),
        Some(key) if key == *there => Finding::ok("that of this node"),
        Some(key) => Finding::failed(
            format!("the host's key on the chain is {there}, this node's is {key}"),
            "`freeway host update --from OWNER --node-dir DIR` takes this one; stop the node with the old key first",
        ),
    }
}

fn collateral(host: &HostView, per_power: Result<Amount, String>) -> Finding {
    let has = host.collateral;
    let Ok(per_power) = per_power else { return Finding::none(format!("{has}")) };
    if per_power.is_zero() {
        return Finding::ok(format!("{has}; this network asks for none"));
    }
    let backs = u64::try_from(has.0 / per_power.0).unwrap_or(u64::MAX);
    let remedy = "`freeway host deposit --from OWNER AMOUNT`: power that is not backed does not count";
    if backs == 0 {
        Finding::failed(format!("{has}: it backs no power"), remedy)
    } else if backs < host.summary.weight {
        Finding::warning(format!("{has}: it backs {backs} of a weight of {}", host.summary.weight), remedy)
    } else {
        Finding::ok(format!("{has}"))
    }
}

/// `own`: the URL of the configuration, if there is a section for it.
fn announced(endpoints: &[String], own: Option<Option<&str>>) -> Finding {
    let remedy = "a running node with `url` in [sprint] announces it by itself within some blocks; else \
                  `freeway host update --from OWNER --endpoint URL`";
    match own {
        None => Finding::none("no section [sprint]"),
        Some(Some(url)) if endpoints.iter().any(|known| known == url) => Finding::ok(url),
        Some(Some(url)) => Finding::warning(format!("the chain has {}, not {url}", shown(endpoints)), remedy),
        Some(None) if endpoints.is_empty() => {
            Finding::failed("none: nobody can ask this host for what it must show", remedy)
        }
        Some(None) => Finding::ok(shown(endpoints)),
    }
}

fn shown(endpoints: &[String]) -> String {
    if endpoints.is_empty() { "none".into() } else { endpoints.join(", ") }
}

fn raced(own: &Address, sprints: bool, results: Result<SprintResultsView, String>) -> Finding {
    if !sprints {
        return Finding::warning(
            "no section [sprint]: the host proves nothing, and loses its power",
            "add [sprint] with `listen` and `url`",
        );
    }
    let remedy = "`freeway sprint show` has the race, the node's log says why this host cannot race";
    let results = match results {
        Ok(results) => results,
        Err(error) => return Finding::warning(error, remedy),
    };
    let Some(race) = results.race else { return Finding::none("no race has settled yet") };
    match results.results.iter().find(|result| result.host == *own) {
        None => Finding::warning(format!("it did not take part in the race of epoch {}", race.epoch), remedy),
        Some(result) => match (&result.void, result.weight) {
            (Some(why), _) => Finding::failed(
                format!("its race of epoch {} counts for nothing: {why}", race.epoch),
                "others could not ask it, or found its work wrong: see sprint.url and the node's log",
            ),
            (None, 0) => Finding::warning(format!("it proved nothing in epoch {}", race.epoch), remedy),
            (None, weight) => Finding::ok(format!(
                "weight {weight} in epoch {}; {} of {} verdicts",
                race.epoch, result.done, result.owed
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;
    use freeway_api::{HostSummary, SprintResultView, sprint::SettledView};

    fn host(status: &str, collateral: u128) -> HostView {
        let summary = HostSummary {
            address: Address([1; 32]),
            weight: 1_000,
            h100_equivalents: Default::default(),
            reputation: 1,
            power: 10,
            status: status.into(),
            operator: String::new(),
            region: String::new(),
            silent: false,
        };
        HostView {
            summary,
            consensus_key: freeway_primitives::SecretKey::from_seed([1; 32]).public(),
            endpoints: Vec::new(),
            hardware: String::new(),
            collateral: Amount(collateral),
            unbonding: Vec::new(),
            since_epoch: 0,
        }
    }

    #[test]
    fn standing_key_and_collateral_are_judged() {
        for (status, judged) in
            [("active", Status::Ok), ("leaving", Status::Warning), ("removed", Status::Failed)]
        {
            assert_eq!(registered(&host(status, 0)).status, judged, "{status}");
        }
        let of = |amount| collateral(&host("active", amount), Ok(Amount(10))).status;
        assert_eq!(
            (of(9), of(10), of(9_999), of(10_000)),
            (Status::Failed, Status::Warning, Status::Warning, Status::Ok)
        );
        assert_eq!(collateral(&host("active", 0), Ok(Amount::ZERO)).status, Status::Ok);
        let (own, other) =
            (host("active", 0).consensus_key, freeway_primitives::SecretKey::from_seed([2; 32]));
        assert_eq!(same_key(Some(own), &own).status, Status::Ok);
        assert_eq!(same_key(Some(other.public()), &own).status, Status::Failed);
    }

    #[test]
    fn a_url_must_be_announced() {
        let known = ["http://a:1".to_owned()];
        assert_eq!(announced(&known, Some(Some("http://a:1"))).status, Status::Ok);
        assert_eq!(announced(&known, Some(Some("http://b:1"))).status, Status::Warning);
        assert_eq!(announced(&known, Some(None)).status, Status::Ok);
        assert_eq!(announced(&[], Some(None)).status, Status::Failed);
        assert_eq!(announced(&[], None).status, Status::NotApplicable);
    }

    #[test]
    fn races_are_judged() {
        let own = Address([1; 32]);
        let race = SettledView {
            epoch: 3,
            height: 9,
            hosts: 1,
            proven: 1,
            weight: 5,
            h100_equivalents: Default::default(),
        };
        let result = |weight, void: Option<&str>| SprintResultView {
            host: own,
            count: 1,
            weight,
            h100_equivalents: Default::default(),
            void: void.map(str::to_owned),
            committee: 3,
            confirmed: 3,
            owed: 3,
            done: 3,
        };
        let of = |race, results| {
            raced(&own, true, Ok(SprintResultsView { height: 10, race, results, next: None })).status
        };
        assert_eq!(of(None, vec![]), Status::NotApplicable);
        assert_eq!(of(Some(race), vec![]), Status::Warning);
        assert_eq!(of(Some(race), vec![result(5, None)]), Status::Ok);
        assert_eq!(of(Some(race), vec![result(0, None)]), Status::Warning);
        assert_eq!(of(Some(race), vec![result(0, Some("withheld"))]), Status::Failed);
        assert_eq!(raced(&own, false, Err(String::new())).status, Status::Warning);
    }
}
