//! Requests of the network itself: done by the host alone, as many as are wanted, while nobody else asks.

use std::sync::Arc;

use freeway_api::serving::most;
use freeway_host::serving::probes::Prober;
use freeway_ledger::Text;
use freeway_ledger::lanes::probe::{self, PROBER};
use freeway_ledger::lanes::{Lane, PROBES};
use freeway_ledger::models::{MODELS, Model};
use freeway_primitives::{Amount, Digest, Epoch};
use freeway_proofs::work::{LaneId, Prices, VOUCHER, Voucher};

use crate::kit::{LANE, Running, STUCK_LANE, host};

const PROBED: LaneId = LaneId(9);
const VALUE: Digest = Digest([0x21; 32]);
const MOST: u32 = 3;

/// Adds a lane of probes for the real model.
fn add_lane(running: &Running) -> Lane {
    let root = running.package.root().0;
    let model = Model {
        name: Text::new("tiny").unwrap(),
        tier: freeway_ledger::models::Tier::Exact,
        context: 256,
        vocabulary: vocabulary(running),
        work: 1,
        by: host(),
        bond: Amount::ZERO,
        since: Epoch(0),
        prices: Prices::default(),
        noise: None,
    };
    running.table.set(MODELS.key(&root), &model);
    running.table.set(PROBES.key(&PROBED), &(VALUE, MOST));
    let lane = Lane { payer: PROBER, key: probe::voucher_key().public(), ..running.table.lane(LANE) };
    running.table.set_lane(PROBED, &lane);
    running.table.set(freeway_ledger::lanes::BY_PAYER.key(&(PROBER, PROBED)), &());
    lane
}

fn vocabulary(running: &Running) -> u32 {
    running.package.config().vocabulary
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_does_what_the_network_wants_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), None).await;
    let lane = add_lane(&running);
    let prober = Arc::new(Prober::new(Arc::clone(&running.desk)));
    Arc::clone(&prober).round().await;
    let share = running.store.share(PROBED).unwrap();
    assert_eq!(share.next, u64::from(MOST));
    for number in 0..share.next {
        let record = running.store.record(PROBED, number).unwrap().unwrap();
        let artifact = running.store.artifact(&record.receipt.digest()).unwrap().unwrap();
        let asked = probe::request(&VALUE, &lane.model, vocabulary(&running), &host(), number);
        assert_eq!(artifact.request, asked);
        assert_eq!(artifact.output[0].len(), probe::OUTPUT_TOKENS as usize);
        probe::voucher_key()
            .public()
            .verify(VOUCHER, &running.table.chain, &artifact.voucher, &artifact.voucher_signature)
            .unwrap();
    }
    prober.round().await;
    assert_eq!(running.store.share(PROBED).unwrap().next, u64::from(MOST));
}

/// Everybody has the key of such a lane.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_is_served_in_a_lane_of_probes() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), None).await;
    let lane = add_lane(&running);
    let request = probe::request(&VALUE, &lane.model, vocabulary(&running), &host(), 0);
    let limit = most(&lane.prices, &request);
    let digest = request.digest();
    let voucher =
        Voucher { lane: PROBED, host: host(), sequence: 0, spent: Amount::ZERO, limit, request: digest };
    let signature = probe::voucher_key().sign(VOUCHER, &running.table.chain, &voucher);
    let ask = freeway_api::serving::Ask { voucher, signature, request };
    assert_eq!(running.refused(&ask).await, "not_the_payer");
    assert_eq!(running.store.share(PROBED), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn payers_come_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Running::start(folder.path(), None).await;
    add_lane(&running);
    let prober = Arc::new(Prober::new(Arc::clone(&running.desk)));
    let waiting = running.begun(STUCK_LANE, &running.ask(STUCK_LANE, 0, 0, running.stuck_request())).await;
    assert_eq!(running.desk.running(), 1);
    Arc::clone(&prober).round().await;
    assert_eq!(running.store.share(PROBED), None);
    drop(waiting);
    running.dropped.recv().await.unwrap();
    while running.desk.running() > 0 {
        tokio::task::yield_now().await;
    }
    prober.round().await;
    assert_eq!(running.store.share(PROBED).unwrap().next, u64::from(MOST));
}
