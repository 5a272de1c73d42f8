//! The race, weights and the beacon, on a chain that goes through them.

use std::sync::Arc;

use freeway_api::text::Millionths;
use freeway_ledger::sprint::{self, Verdict, positions};
use freeway_ledger::{GenesisHost, Message, Text};
use freeway_node::Duties;
use freeway_node::duties::OUTBOX;
use freeway_primitives::{Address, Amount, BlockId, Digest};
use freeway_store::Config;
use tokio::sync::mpsc;

use crate::kit::{Kit, address, genesis, key};
use crate::server::Served;

/// A chain with a beacon: `host`, which signs all blocks, and `alice`, which has a host of little power.
pub(crate) struct Net {
    pub(crate) served: Served,
    duties: Duties,
    _outbox: mpsc::Receiver<freeway_node::Outgoing>,
}

impl Net {
    pub(crate) async fn new() -> Self {
        let mut genesis = genesis();
        genesis.hosts.push(GenesisHost {
            address: address("alice"),
            consensus_key: key("alice's consensus").public(),
            weight: 10,
            collateral: Amount::fwy(10),
            operator: Text::new("alice").unwrap(),
            region: Text::default(),
            endpoints: Vec::new(),
        });
        let kit = Kit::with(genesis, Config::default());
        let (outgoing, _outbox) = mpsc::channel(OUTBOX);
        let (store, mempool) = (Arc::clone(&kit.store), Arc::clone(&kit.mempool));
        let duties = Duties::new(kit.chain_id, address("host"), key("consensus"), store, mempool, outgoing);
        Self { served: Served::around(kit).await, duties, _outbox }
    }

    /// The next block, and then the host's part in the beacon.
    pub(crate) fn commit(&mut self) -> BlockId {
        let kit = &mut self.served.kit;
        let block = kit.commit();
        kit.chain.beacon().committed(&kit.store.view(), kit.chain.height(), &self.duties).unwrap();
        block
    }

    /// Blocks until the race is in this stage.
    async fn until(&mut self, stage: &str) {
        for _ in 0..200 {
            if self.served.client.sprint().await.unwrap().stage == stage {
                return;
            }
            self.commit();
        }
        panic!("the race never gets to {stage}");
    }

    async fn send(&mut self, from: &str, message: sprint::Message) {
        self.ask(from, Message::Sprint(message)).await;
    }

    /// Takes in a message of the account of a name.
    pub(crate) async fn ask(&self, from: &str, message: Message) {
        let kit = &self.served.kit;
        let sequence = self.served.client.account(&address(from)).await.unwrap().sequence;
        kit.submit(&kit.sign(from, sequence, message)).await;
    }
}

/// A commitment of one device to so many leaves that nobody will see.
fn commitment(count: u64) -> sprint::Message {
    // As the crate of proofs encodes it: a list of counts and roots.
    let encoded = borsh::to_vec(&[(count, Digest([7; 32]))].as_slice()).unwrap();
    sprint::Message::Commit(borsh::from_slice(&encoded).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_race_there_is_nothing() {
    let mut served = Served::new().await;
    for _ in 0..2 {
        let race = served.client.sprint().await.unwrap();
        assert_eq!((race.epoch, race.stage.as_str(), race.seed, race.settled), (None, "none", None, None));
        assert_eq!((race.rules.shape.as_str(), race.rules.committee), ("tiny", 3));
        let hosts = served.client.sprint_hosts(None, 10).await.unwrap();
        assert_eq!((hosts.epoch, hosts.stage.as_str(), hosts.hosts.len()), (None, "none", 0));
        let results = served.client.sprint_results(None, 10).await.unwrap();
        assert!(results.race.is_none() && results.results.is_empty() && results.next.is_none());
        let beacon = served.client.beacon().await.unwrap();
        assert!(beacon.group.is_none() && beacon.dealing.is_none() && beacon.latest.is_none());
        let weights = served.client.weights(None, 10).await.unwrap();
        assert!(!weights.proven);
        assert_eq!((weights.total, weights.weights[0].now, weights.weights[0].raced), (100, 100, None));
        assert_eq!(weights.weights[0].power_share, Millionths(1_000_000));
        let status = served.client.status().await.unwrap();
        assert_eq!((status.sprint.epoch, status.sprint.stage.as_str()), (None, "none"));
        assert_eq!((status.beacon.epoch, status.beacon.latest_height), (None, None));
        served.kit.commit();
    }
    let (status, error) = served.refused("/v1/beacon/1").await;
    assert_eq!((status, error.code.as_str()), (404, "not_found"));
    assert!(error.hint.unwrap().contains("before the first group"));
    let (status, error) = served.refused("/v1/beacon/3").await;
    assert_eq!(status, 404);
    assert!(error.message.contains("no block 3 yet"), "{error}");
    // What is no duty now does not wait either.
    let early = served.kit.sign("host", 0, Message::Sprint(commitment(5)));
    let error = served.client.submit(&early).await.unwrap_err();
    assert_eq!(crate::server::api_error(error), (409, "not_racing".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_race_is_shown_from_its_seed_to_its_results() {
    let mut net = Net::new().await;
    net.until("racing").await;
    let race = net.served.client.sprint().await.unwrap();
    let epoch = race.epoch.unwrap();
    let (started, deadline) = (race.started.unwrap(), race.deadline.unwrap());
    assert_eq!(deadline - started, 13, "12 blocks of the sprint and 2 of grace");
    assert!(race.seed.is_some() && race.challenged.is_none() && race.totals.commitments == 0);

    net.send("host", commitment(5_000_000)).await;
    net.send("alice", commitment(700)).await;
    net.commit();
    let race = net.served.client.sprint().await.unwrap();
    assert_eq!((race.totals.commitments, race.totals.nonces), (2, 5_000_700));
    let page = net.served.client.sprint_hosts(None, 1).await.unwrap();
    let rest = net.served.client.sprint_hosts(page.next.as_ref(), 1).await.unwrap();
    assert_eq!((page.hosts.len(), rest.hosts.len(), rest.next), (1, 1, None));
    let nonces: u64 = page.hosts.iter().chain(&rest.hosts).map(|host| host.nonces).sum();
    assert_eq!(nonces, 5_000_700);
    assert_eq!(page.hosts[0].devices[0].root, Digest([7; 32]));
    assert!(page.hosts[0].committee.is_empty());

    net.until("verdicts").await;
    let (host, alice) = (address("host"), address("alice"));
    give_verdict(&mut net, "alice", host).await;
    let demand = sprint::Message::Demand { host, positions: vec![0, 1] };
    net.send("alice", demand).await;
    net.commit();
    let status = net.served.client.status().await.unwrap();
    assert_eq!((status.sprint.verdicts, status.sprint.verdicts_owed), (1, 2));
    assert_eq!((status.sprint.epoch, status.sprint.commitments), (Some(epoch), 2));
    assert_eq!(status.sprint.stage_until, net.served.client.sprint().await.unwrap().verdicts_until);
    let shown = one(&net, host).await;
    assert_eq!((shown.committee[0].member, shown.committee[0].given), (alice, true));
    assert_eq!(shown.demands.iter().map(|demand| demand.index).collect::<Vec<_>>(), [0, 1]);
    assert!(shown.demands.iter().all(|demand| demand.member == alice && !demand.answered));
    let totals = net.served.client.sprint().await.unwrap().totals;
    assert_eq!((totals.demands_open, totals.trials_open, totals.voids), (2, 0, 0));
    assert!(!one(&net, alice).await.committee[0].given);

    // The demand is not answered.
    net.until("revealing").await;
    let shown = one(&net, host).await;
    assert_eq!((shown.void.as_deref(), shown.reveals_due, shown.reveals_done), (Some("withheld"), 4, 0));
    let totals = net.served.client.sprint().await.unwrap().totals;
    assert_eq!((totals.voids, totals.demands_open), (1, 0));

    net.until("settled").await;
    let race = net.served.client.sprint().await.unwrap();
    assert_eq!((race.epoch, race.settled), (Some(epoch), Some(epoch)));
    assert_eq!(race.settles, race.ended);
    assert_eq!((race.totals.commitments, race.totals.nonces, race.totals.voids), (2, 5_000_700, 1));
    assert!(net.served.client.sprint_hosts(None, 10).await.unwrap().hosts.is_empty());
    let results = net.served.client.sprint_results(None, 10).await.unwrap();
    let settled = results.race.unwrap();
    assert_eq!((settled.epoch, settled.hosts, settled.proven, settled.weight), (epoch, 2, 1, 10));
    let result = |wanted| results.results.iter().find(|result| result.host == wanted).unwrap();
    assert_eq!((result(host).count, result(host).weight), (5_000_000, 0));
    assert_eq!((result(host).void.as_deref(), result(host).owed), (Some("withheld"), 1));
    assert_eq!((result(alice).weight, result(alice).confirmed, result(alice).done), (10, 0, 1));
    let weights = net.served.client.weights(None, 1).await.unwrap();
    let more = net.served.client.weights(weights.next.as_ref(), 1).await.unwrap();
    assert!(weights.proven && weights.total == 10 && more.next.is_none());
    let all = [weights.weights, more.weights].concat();
    let weight = |wanted| all.iter().find(|weight| weight.host == wanted).unwrap();
    assert_eq!((weight(alice).now, weight(alice).raced, weight(alice).done), (10, Some(epoch), 1));
    assert_eq!((weight(host).now, weight(host).reputation), (0, 0));
    let listed = net.served.client.host(&alice).await.unwrap().summary;
    assert_eq!((listed.weight, listed.reputation), (10, weight(alice).reputation));
    assert_eq!(listed.h100_equivalents, weight(alice).h100_equivalents);
    let status = net.served.client.status().await.unwrap().sprint;
    assert_eq!((status.settled_epoch, status.weight), (Some(epoch), 10));
}

/// A host in the race.
async fn one(net: &Net, host: Address) -> freeway_api::SprintHostView {
    let page = net.served.client.sprint_hosts(None, 10).await.unwrap();
    page.hosts.into_iter().find(|shown| shown.host == host).unwrap()
}

/// A verdict by guessing.
async fn give_verdict(net: &mut Net, member: &str, host: Address) {
    let state = net.served.kit.store.view();
    let race = sprint::race(&state).unwrap().unwrap();
    let entry = sprint::ENTRIES.get(&state, &host).unwrap().unwrap();
    let challenge = race.challenged.unwrap().challenge;
    let drawn = positions(&challenge, &host, &address(member), &entry.commitment, &race.rules);
    let verdict = Verdict { host, tags: vec![[0; 16]; drawn.len()] };
    net.send(member, sprint::Message::Verdicts(vec![verdict])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_beacon_shows_its_key_in_the_making_and_its_values() {
    let mut net = Net::new().await;
    while net.served.client.beacon().await.unwrap().dealing.is_none() {
        net.commit();
    }
    net.commit();
    let dealing = net.served.client.beacon().await.unwrap().dealing.unwrap();
    assert_eq!((dealing.epoch, dealing.stage.as_str(), dealing.switch), (1, "deal", 60));
    assert_eq!((dealing.holders, dealing.dealt, dealing.acknowledged), (2, 1, 0));

    while net.served.kit.chain.height().0 < 70 {
        net.commit();
    }
    let beacon = net.served.client.beacon().await.unwrap();
    let group = beacon.group.unwrap();
    assert!(beacon.dealing.is_none());
    assert_eq!((group.epoch, group.start, group.seats, group.majority), (1, 61, 16, 9));
    assert_eq!(group.holders.iter().map(|holder| holder.seats).sum::<u32>(), 16);
    let latest = beacon.latest.unwrap();
    assert_eq!(latest.height, 69);
    let status = net.served.client.status().await.unwrap().beacon;
    assert_eq!(
        (status.epoch, status.latest_height, status.latest_value),
        (Some(1), Some(69), Some(latest.value))
    );

    let value = net.served.client.beacon_value(69).await.unwrap();
    assert_eq!((value.height, value.value, value.recorded_in), (69, latest.value, 70));
    assert_eq!((value.group_epoch, value.group_key), (Some(1), Some(group.key)));
    let header = net.served.client.block(70).await.unwrap().header.beacon.unwrap();
    assert_eq!((header.height, header.signature), (69, value.signature));
    for (height, says) in
        [(70, "the latest height's value"), (60, "from height 61 on"), (0, "from height 61 on")]
    {
        let (status, error) = net.served.refused(&format!("/v1/beacon/{height}")).await;
        assert_eq!((status, error.code.as_str()), (404, "not_found"), "{height}");
        assert!(error.hint.unwrap().contains(says), "{height}");
    }
}
