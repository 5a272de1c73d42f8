//! Status, accounts, hosts, parameters, peers, metrics.

use freeway_api::{GenesisFile, SigningView};
use freeway_consensus::Application;
use freeway_consensus::parts::Opening;
use freeway_ledger::accounts::{self, Scope, Scopes};
use freeway_ledger::{Message, Preset};
use freeway_primitives::{Address, Amount, Height};

use crate::kit::{address, key};
use crate::server::Served;

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_where_the_chain_stands() {
    let mut served = Served::new().await;
    let status = served.client.status().await.unwrap();
    assert_eq!((status.height, status.epoch, status.phase.as_str()), (0, 0, "sprint"));
    assert_eq!((status.blocks_left_in_phase, status.blocks_left_in_epoch), (12, 60));
    assert!(!status.synced, "a chain without a block is not in sync with anybody");

    served.kit.commit_many(13);
    let status = served.client.status().await.unwrap();
    assert_eq!(status.chain, served.kit.chain_id);
    assert_eq!(status.name, "kit");
    assert_eq!((status.height, status.epoch, status.phase.as_str()), (13, 0, "commit_grace"));
    assert_eq!((status.blocks_left_in_phase, status.blocks_left_in_epoch), (1, 47));
    assert_eq!(status.state_root, served.kit.store.view().root());
    assert_eq!(status.oldest_block, 1);
    assert_eq!(status.address, Some(address("host")));
    assert_eq!(status.signing, SigningView::Active);
    assert!(status.hosts_complete);
    let [host] = status.hosts.as_slice() else { panic!("{:?}", status.hosts) };
    assert_eq!((host.address, host.weight, host.power), (address("host"), 100, 100));
    assert_eq!(
        (host.status.as_str(), host.operator.as_str(), host.region.as_str()),
        ("active", "the kit", "here")
    );
    assert!(!host.silent);

    // What scripts rely on, as plain JSON.
    let (_, body) = served.get("/v1/status").await;
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(json["height"], 13);
    assert_eq!(json["hosts"][0]["address"], address("host").to_string());
    assert_eq!(json["hosts"][0]["power"], 100);
    assert_eq!(json["signing"], "active");

    served.guard.open_after(Height(100));
    assert_eq!(served.client.status().await.unwrap().signing, SigningView::Watching);
    let health = served.client.health().await.unwrap();
    assert_eq!((health.status.as_str(), health.height), ("ok", 13));
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_show_what_waits_and_what_is_allowed() {
    let mut served = Served::new().await;
    let bob = address("bob");
    let first = served.kit.transfer("alice", 0, bob, Amount::fwy(5));
    let delegate = key("delegate").public();
    let authorise = Message::Accounts(accounts::Message::Authorise {
        key: delegate,
        scopes: Scopes::of(&[Scope::Spend]),
        expires: Height(500),
        allowance: Amount::fwy(3),
    });
    let second = served.kit.sign("alice", 1, authorise);
    served.kit.submit(&first).await;
    served.kit.submit(&second).await;

    let account = served.client.account(&address("alice")).await.unwrap();
    assert_eq!((account.sequence, account.committed_sequence), (2, 0));
    assert_eq!(account.balance, Amount::fwy(1_000));
    served.kit.commit();
    let account = served.client.account(&address("alice")).await.unwrap();
    assert_eq!((account.sequence, account.committed_sequence, account.height), (2, 2, 1));
    assert_eq!(account.balance, Amount::fwy(995));
    assert_eq!((account.quota.limit, account.quota.period.as_str()), (64, "block"));
    assert_eq!((account.quota.used, account.quota.used_in_epoch), (0, 2));
    assert_eq!(account.quota.basis, Amount::fwy(1_000), "what it held when the epoch began");
    let [shown] = account.delegates.as_slice() else { panic!("{:?}", account.delegates) };
    assert_eq!((shown.key, shown.address), (delegate, Address::of(&delegate)));
    assert_eq!((shown.scopes.as_slice(), shown.expires), (["spend".to_owned()].as_slice(), Some(500)));
    assert!(account.host.is_none());

    let owner = served.client.account(&address("host")).await.unwrap();
    assert_eq!(owner.host.unwrap().collateral, Amount::fwy(10));
    assert_eq!(owner.delegates[0].expires, None, "a consensus key acts without end");
    let stranger = served.client.account(&address("nobody")).await.unwrap();
    assert!(!stranger.exists);
    assert_eq!((stranger.balance, stranger.quota.limit), (Amount::ZERO, 1));
    assert_eq!(stranger.quota.period, "epoch");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_and_validators_are_listed() {
    let mut served = Served::new().await;
    served.kit.commit();
    let page = served.client.hosts(None, 10).await.unwrap();
    assert_eq!((page.height, page.hosts.len(), page.next), (1, 1, None));
    let host = served.client.host(&address("host")).await.unwrap();
    assert_eq!(host, page.hosts[0]);
    assert_eq!(host.consensus_key, key("consensus").public());
    assert_eq!(host.endpoints, ["http://127.0.0.1:1"]);
    assert!(served.client.hosts(Some(&address("host")), 10).await.unwrap().hosts.is_empty());
    assert!(served.client.host(&address("alice")).await.unwrap_err().is_not_found());

    let next = served.client.validators(None).await.unwrap();
    assert_eq!((next.height, next.total_power), (2, 100));
    assert_eq!(next.set().unwrap().digest(), next.digest);
    assert_eq!(served.client.validators(Some(1)).await.unwrap().digest, next.digest);
    assert!(served.client.validators(Some(0)).await.unwrap_err().is_not_found());
    assert!(served.client.validators(Some(3)).await.unwrap_err().is_not_found());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_can_be_known_from_its_node() {
    let served = Served::new().await;
    assert_eq!(served.client.parameters().await.unwrap(), Preset::Local.params());
    let file = served.client.genesis().await.unwrap();
    assert_eq!(file.chain, Some(served.kit.chain_id));
    assert_eq!(file.build().unwrap(), served.kit.genesis);
    assert_eq!(file, GenesisFile::from(&served.kit.genesis));
    assert!(served.client.peers().await.unwrap().peers.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_blocks_and_requests() {
    let mut served = Served::new().await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let follower = tokio::spawn(freeway_node::metrics::follow(served.context.clone(), stopped));
    let transfer = served.kit.transfer("alice", 0, address("bob"), Amount::fwy(1));
    served.kit.submit(&transfer).await;
    // The follower subscribes when it first runs; it has when the height that it notes is there.
    while !served.client.metrics().await.unwrap().contains("freeway_block_time_ms 1700000000000") {
        tokio::task::yield_now().await;
    }
    served.context.metrics.host(&[("nonces", 7.0), ("cpu_seconds", 0.5)]);
    served.kit.commit_many(2);
    let text = loop {
        let text = served.client.metrics().await.unwrap();
        if text.contains("freeway_blocks_total 2") {
            break text;
        }
        tokio::task::yield_now().await;
    };
    for line in [
        "freeway_height 2",
        "freeway_transactions_total{outcome=\"done\"} 1",
        "freeway_mempool_transactions 0",
        "freeway_store_height 2",
        "freeway_block_work_ms_count 2",
        "freeway_block_bytes_count 2",
        "freeway_finality_interval_seconds_count 1",
        "freeway_gossip_total{what=\"received\"} 0",
        "freeway_rpc_requests_total{method=\"GET\",route=\"/metrics\",status=\"200\"}",
        "freeway_host_total{what=\"nonces\"} 7.0",
        "freeway_host_total{what=\"cpu_seconds\"} 0.5",
        "freeway_resident_memory_bytes",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    stop.send_replace(true);
    follower.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_disk_is_reported_once_it_is_met() {
    let mut served = Served::new().await;
    served.kit.commit();
    served.kit.disk.fail_after(0);
    let opening = Opening { height: Height(2), round: 0, valid_round: None, proposer: address("host") };
    served.kit.chain.propose(opening).unwrap_err();
    let (status, error) = served.refused("/healthz").await;
    assert_eq!((status, error.code.as_str()), (500, "storage"));
    let cause = served.fatal.recv().await.unwrap();
    assert!(!error.message.contains(&cause), "the cause is for the operator: {cause}");
    // What is there can still be read while the node stops.
    assert_eq!(served.client.block(1).await.unwrap().header.height, 1);
}
