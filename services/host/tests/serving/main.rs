//! Requests in lanes as payers see them: over HTTP, on a small model.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod kit;
mod likely;
mod probes;

use std::sync::Arc;

use freeway_api::serving::{Ask, Ending, Frame, Frames, most};
use freeway_engines::{Engine, Exact, ExactOptions, VerifyJob};
use freeway_host::adversary::Serve;
use freeway_host::serving::Limits;
use freeway_ledger::lanes::{Lane, State};
use freeway_primitives::{Address, Amount, ChainId, Digest, Height, SecretKey};
use freeway_proofs::work::{self, ACCEPTANCE, LaneId, RECEIPT, VOUCHER, Voucher};
use kit::{Answer, LANE, PRICES, Running, STUCK_LANE, host, host_key};

/// All that a payer can check without computing.
fn check(running: &Running, ask: &Ask, answer: &Answer) {
    let (chain, key) = (running.table.chain, host_key().public());
    let Frame::Accepted { acceptance, signature } = &answer.frames[0] else { panic!("no acceptance") };
    key.verify(ACCEPTANCE, &chain, acceptance, signature).unwrap();
    assert_eq!((acceptance.prices, acceptance.request), (PRICES, ask.voucher.request));
    assert_eq!((acceptance.lane, acceptance.sequence), (ask.voucher.lane, ask.voucher.sequence));
    let (receipt, done) = (&answer.done.receipt, &answer.done);
    key.verify(RECEIPT, &chain, receipt, &done.signature).unwrap();
    assert_eq!((receipt.lane, receipt.host, receipt.request), (LANE, host(), ask.request.digest()));
    assert_eq!(receipt.output, work::output(answer.tokens.iter().map(Vec::as_slice)));
    assert_eq!(receipt.trace, work::salted(&done.salt, &work::traces(&done.traces)));
    let tokens: usize = answer.tokens.iter().map(Vec::len).sum();
    assert_eq!(receipt.usage.completion as usize, tokens);
    assert_eq!(receipt.usage.prompt as usize, ask.request.prompt.len());
    assert_eq!(receipt.fee, PRICES.fee(&receipt.usage));
}

/// Whether doing the request again gives what the host says.
async fn is_right(running: &Running, ask: &Ask, answer: &Answer) -> bool {
    let exact = Exact::new(ExactOptions::default());
    exact.add("tiny", running.package.clone()).unwrap();
    let (request, output) = (Arc::new(ask.request.clone()), answer.tokens.clone());
    let verified = exact.verify("tiny", VerifyJob { request, output }).await.unwrap();
    verified.differs.is_none() && verified.traces == answer.done.traces
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_done_signed_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), None).await;
    let mut total = 0;
    for number in 0..3u64 {
        let ask = running.ask(LANE, 2 * number, total, running.request(number as i64));
        let answer = running.done(&ask).await;
        check(&running, &ask, &answer);
        assert!(is_right(&running, &ask, &answer).await);
        total += answer.done.receipt.fee.0;
        assert_eq!((answer.done.receipt.sequence, answer.done.receipt.total), (number, Amount(total)));
        let artifact = running.store.artifact(&answer.done.receipt.digest()).unwrap().unwrap();
        assert!(artifact.belongs_together());
        assert_eq!((artifact.output, artifact.voucher), (answer.tokens, ask.voucher));
    }
    assert_eq!(running.store.share(LANE).unwrap().voucher.sequence, 4);
    assert_eq!(running.store.intervals().len(), 1);
    assert_eq!(running.store.intervals()[0].fees, total);
    assert_eq!(running.desk.running(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_at_once_have_receipts_without_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), None).await;
    let each = most(&PRICES, &running.request(0)).0;
    let asks: Vec<Ask> =
        (0..16u64).map(|i| running.ask(LANE, i, u128::from(i) * each, running.request(i as i64))).collect();
    let answers = futures::future::join_all(asks.iter().map(|ask| running.done(ask))).await;
    let mut receipts: Vec<_> = answers.iter().map(|answer| answer.done.receipt).collect();
    for (ask, answer) in asks.iter().zip(&answers) {
        check(&running, ask, answer);
    }
    receipts.sort_by_key(|receipt| receipt.sequence);
    assert!(receipts.windows(2).all(|pair| pair[0].entry().precedes(&pair[1].entry())));
    assert_eq!(
        receipts.iter().map(|receipt| receipt.sequence).collect::<Vec<_>>(),
        (0..16).collect::<Vec<_>>()
    );
    let share = running.store.share(LANE).unwrap();
    assert_eq!((share.next, share.voucher.sequence), (16, 15));
    assert!(share.voucher.limit >= share.total);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_promised_is_not_done() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), None).await;
    let request = running.request(1);
    let good = running.ask(LANE, 5, 0, request.clone());
    let with = |change: &dyn Fn(&mut Voucher)| {
        let mut voucher = good.voucher;
        change(&mut voucher);
        running.sign(voucher, request.clone())
    };
    let forged = Ask {
        signature: SecretKey::from_seed([66; 32]).sign(VOUCHER, &running.table.chain, &good.voucher),
        ..good.clone()
    };
    let elsewhere = ChainId(Digest([3; 32]));
    let other_chain =
        Ask { signature: kit::lane_key().sign(VOUCHER, &elsewhere, &good.voucher), ..good.clone() };
    let other_request = Ask { request: running.request(2), ..good.clone() };
    let mut other_model = request.clone();
    other_model.model.0 = kit::STUCK;
    for (code, ask) in [
        ("bad_signature", forged),
        ("bad_signature", other_chain),
        ("wrong_request", other_request),
        ("wrong_request", running.ask(LANE, 5, 0, other_model)),
        ("wrong_host", with(&|voucher| voucher.host = Address([4; 32]))),
        ("unknown_lane", with(&|voucher| voucher.lane = LaneId(77))),
        ("over_limit", with(&|voucher| voucher.limit = Amount(voucher.limit.0 - 1))),
        ("over_limit", with(&|voucher| voucher.limit = Amount(1_000_001))),
    ] {
        assert_eq!(running.refused(&ask).await, code);
    }
    let response = running.post(LaneId(9), &good).await;
    assert_eq!(response.status(), 400);
    let url = format!("{}/v1/lanes/3/requests", running.url);
    for body in [vec![], vec![7; 100], vec![0xff; 1 << 20]] {
        let response = reqwest::Client::new().post(&url).body(body).send().await;
        // Of a body that is far too long the host may not read the end.
        assert!(response.is_ok_and(|response| response.status().is_client_error()) || url.is_empty());
    }
    // None of this has taken the number.
    let first = running.done(&good).await;
    let spent = first.done.receipt.total.0;
    assert_eq!(running.refused(&running.ask(LANE, 5, spent, running.request(3))).await, "stale_voucher");
    assert_eq!(running.refused(&running.ask(LANE, 6, spent - 1, running.request(3))).await, "over_limit");
    assert_eq!(running.done(&running.ask(LANE, 6, spent, running.request(3))).await.done.receipt.sequence, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_is_not_in_use_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), None).await;
    let ask = running.ask(LANE, 0, 0, running.request(1));
    let lane = running.table.lane(LANE);
    for (code, state, expires, mine) in [
        ("not_open", State::Closing { until: Height(90) }, Height(400), true),
        ("expired", State::Open, Height(24), true),
        ("no_share", State::Open, Height(400), false),
    ] {
        let mut lane = freeway_ledger::lanes::Lane { state, expires, ..lane.clone() };
        lane.shares.retain(|_| mine);
        running.table.set_lane(LANE, &lane);
        assert_eq!(running.refused(&ask).await, code);
    }
    let mut rich = lane.clone();
    rich.shares[0].deposit = Amount::fwy(100);
    rich.prices.output = 1_000_000_000_000_000;
    running.table.set_lane(LANE, &rich);
    let mut dear = ask.voucher;
    dear.limit = Amount::fwy(100);
    assert_eq!(running.refused(&running.sign(dear, running.request(1))).await, "over_exposed");
    running.table.set_lane(LANE, &lane);
    running.desk.drain();
    assert_eq!(running.refused(&ask).await, "draining");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payer_that_leaves_owes_nothing_and_must_not_do_it_often() {
    let folder = tempfile::tempdir().unwrap();
    let table = Running::start(folder.path(), None).await.stop().await;
    let limits = Limits { cancels: 2, ..Limits::default() };
    let mut running = Running::start_on(folder.path(), table.0, table.1, None, limits).await;
    for number in 0..2 {
        let ask = running.ask(STUCK_LANE, number, 0, running.stuck_request());
        let response = running.begun(STUCK_LANE, &ask).await;
        drop(response);
        running.dropped.recv().await.unwrap();
    }
    // The seat is given up right after the engine's work.
    while running.desk.running() > 0 {
        tokio::task::yield_now().await;
    }
    let third = running.ask(STUCK_LANE, 2, 0, running.stuck_request());
    assert_eq!(running.refused(&third).await, "cancels");
    assert_eq!(running.store.share(STUCK_LANE), None);
    // Another lane does not suffer.
    running.done(&running.ask(LANE, 0, 0, running.request(1))).await;
}

/// A sample of a lane that is over can be checked by nobody, and would void all else that was served beside it.
#[tokio::test(flavor = "multi_thread")]
async fn what_ends_too_long_after_its_lane_was_closed_gets_no_receipt() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), None).await;
    let open = running.table.lane(LANE);
    for (number, until, is_done) in [(0, 60, false), (1, 120, true)] {
        running.table.set_lane(LANE, &open);
        let closing = State::Closing { until: Height(until) };
        running.table.set_lane_after_look(LANE, Lane { state: closing, ..open.clone() });
        let ask = running.ask(LANE, number, 0, running.request(1));
        let mut frames = Frames::default();
        frames.push(&running.post(LANE, &ask).await.bytes().await.unwrap());
        let last = core::iter::from_fn(|| frames.next().unwrap()).last().unwrap();
        assert_eq!(matches!(last, Frame::Done(_)), is_done, "{last:?}");
        assert_eq!(running.store.share(LANE).is_some(), is_done);
    }
    assert_eq!(running.desk.running(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_totals_go_on_and_lost_receipts_are_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), None).await;
    let ask = running.ask(LANE, 0, 0, running.request(1));
    let first = running.done(&ask).await;
    let (table, package) = running.stop().await;
    let running = Running::start_on(folder.path(), table, package, None, Limits::default()).await;
    // The payer did not hear of it and asks again: the same, and nothing more is owed.
    let again = running.done(&ask).await;
    assert_eq!((&again.done, &again.tokens), (&first.done, &first.tokens));
    let spent = first.done.receipt.total.0;
    let second = running.done(&running.ask(LANE, 1, spent, running.request(2))).await;
    assert_eq!((second.done.receipt.sequence, second.done.receipt.total.0 > spent), (1, true));
    // Once it is committed to, verifiers could ask as payers.
    running.store.close(first.done.receipt.interval).unwrap();
    assert_eq!(running.refused(&ask).await, "stale_voucher");
    let third = running.done(&running.ask(LANE, 2, second.done.receipt.total.0, running.request(3))).await;
    assert_eq!(third.done.receipt.interval, first.done.receipt.interval + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_cheats_gives_answers_that_are_found_wrong() {
    for cheat in [Serve::Coarser, Serve::Truncate, Serve::Inject] {
        let folder = tempfile::tempdir().unwrap();
        let running = Running::start(folder.path(), Some(cheat)).await;
        let ask = running.ask(LANE, 0, 0, running.request(1));
        let answer = running.done(&ask).await;
        check(&running, &ask, &answer);
        assert!(!is_right(&running, &ask, &answer).await, "{cheat:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), Some(Serve::Inflate)).await;
    let answer = running.done(&running.ask(LANE, 0, 0, running.request(1))).await;
    let told: usize = answer.tokens.iter().map(Vec::len).sum();
    assert!(answer.done.receipt.usage.completion as usize > told);
    assert!(
        answer.frames.iter().any(|frame| matches!(frame, Frame::Finished { ending: Ending::Length, .. }))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_of_a_ninth_kind_wait_for_the_next_interval() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), None).await;
    let mut lane = running.table.lane(LANE);
    let mut interval = 0;
    for kind in 0..9u64 {
        let id = LaneId(100 + kind);
        lane.constraints.regions = vec![freeway_ledger::Text::new(format!("region {kind}")).unwrap()];
        running.table.set_lane(id, &lane);
        let ask = running.ask(id, 0, 0, running.request(1));
        if kind == 8 {
            assert_eq!(running.refused(&ask).await, "busy");
            running.store.close(interval).unwrap();
            running.table.set_lane(id, &lane);
            running.done(&ask).await;
        } else {
            interval = running.done(&ask).await.done.receipt.interval;
        }
    }
}
