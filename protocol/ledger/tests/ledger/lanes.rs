//! The life of a lane: opened, drawn, used up or closed, and its rest given back.

use freeway_ledger::accounts::Scope;
use freeway_ledger::lanes::{Constraints, Event, MAX_CONSTRAINTS, Opened, State, number, of_host, of_payer};
use freeway_ledger::{Event as AnyEvent, Genesis, Message, Rejection, vaults};
use freeway_primitives::{Address, Amount, Height, PublicKey, SecretKey};
use freeway_proofs::work::LaneId;

use crate::kit::*;
use crate::paying::*;

/// Why a message fails.
#[track_caller]
fn code(market: &mut Market, key: &SecretKey, message: Message) -> &'static str {
    let transaction = market.tx(key, message);
    market.chain.fails(&transaction).code()
}

fn escrowed(market: &Market) -> Amount {
    vaults(&market.chain.state).unwrap().lanes
}

#[test]
fn a_lane_gets_its_hosts_by_the_value_of_the_height_at_which_it_was_opened() {
    let mut market = Market::new(4);
    let before = market.chain.balance(&user(0));
    let id = market.ask(opened(Amount(9_000_002), 3));
    let opened_at = market.chain.height;
    assert_eq!(market.state(id), State::Waiting { value_of: opened_at });
    assert_eq!(market.chain.balance(&user(0)), minus(before, Amount(9_000_002)));
    assert_eq!(escrowed(&market), Amount(9_000_002));

    let outcome = market.chain.block(&[]);
    let lane = market.lane(id).unwrap();
    assert_eq!((lane.state, lane.shares.len(), lane.prices), (State::Open, 3, PRICES));
    let hosts: Vec<_> = lane.shares.iter().map(|share| share.host).collect();
    assert!(outcome.events.contains(&AnyEvent::Lanes(Event::Drawn { lane: id, hosts: hosts.clone() })));
    // Equal parts; the first has what cannot be divided.
    let deposits: Vec<_> = lane.shares.iter().map(|share| share.deposit.0).collect();
    assert_eq!(deposits, [3_000_002, 3_000_000, 3_000_000]);
    for (share, i) in
        lane.shares.iter().map(|share| (share, (0..4).find(|i| host(*i) == share.host).unwrap()))
    {
        assert_eq!((share.key, share.paid, share.arms_length), (vote_key(i).public(), Amount::ZERO, true));
        assert_eq!(share.operator, text(&format!("operator {i}")));
        assert_eq!(of_host(&market.chain.state, &share.host, None, 9).unwrap(), [id]);
    }
    assert_eq!(of_payer(&market.chain.state, &address(&user(0)), None, 9).unwrap(), [id]);
    assert_eq!(number(&market.chain.state).unwrap(), 1);
    // Another lane has another draw.
    let others: Vec<_> = (0..8).map(|_| market.open(opened(ESCROW, 3))).collect();
    let order = |id| market.lane(id).unwrap().shares.iter().map(|share| share.host).collect::<Vec<_>>();
    assert!(others.into_iter().any(|other| order(other) != hosts));
}

#[test]
fn what_is_asked_for_is_within_bounds() {
    let mut market = Market::new(2);
    let sound = opened(ESCROW, 1);
    let with = |change: &dyn Fn(&mut Opened)| {
        let mut opened = sound.clone();
        change(&mut opened);
        open(opened)
    };
    let params = quick().lanes;
    let many = vec![text("x"); MAX_CONSTRAINTS + 1];
    let cases: Vec<(Message, &str)> = vec![
        (with(&|o| o.escrow = minus(params.min_escrow, Amount(1))), "below_minimum"),
        (with(&|o| o.shares = 0), "invalid_shares"),
        (with(&|o| o.shares = 17), "invalid_shares"),
        (with(&|o| o.lifetime = params.min_lifetime - 1), "invalid_lifetime"),
        (with(&|o| o.lifetime = params.max_lifetime + 1), "invalid_lifetime"),
        (with(&|o| o.lifetime = u64::MAX), "invalid_lifetime"),
        (with(&|o| o.constraints.regions = many.clone()), "invalid_constraints"),
        (with(&|o| o.constraints.operators = many.clone()), "invalid_constraints"),
        (with(&|o| o.key = PublicKey([2; 32])), "invalid_key"),
        (with(&|o| o.model.0[0] ^= 1), "unknown_model"),
        (with(&|o| o.escrow = Amount(u128::MAX)), "insufficient_balance"),
    ];
    for (message, expected) in cases {
        assert_eq!(code(&mut market, &user(0), message), expected);
    }
    assert_eq!(number(&market.chain.state).unwrap(), 0);
}

#[test]
fn lanes_are_bounded_by_account_and_in_all() {
    let mut market = Market::with(1, |params| {
        params.lanes.max_open_per_account = 2;
        params.lanes.max_lanes = 3;
    });
    let first = market.open(opened(ESCROW, 1));
    market.open(opened(ESCROW, 1));
    assert_eq!(code(&mut market, &user(0), open(opened(ESCROW, 1))), "too_many_lanes");
    market.chain.done(&market.tx(&user(1), open(opened(ESCROW, 1))));
    assert_eq!(code(&mut market, &user(1), open(opened(ESCROW, 1))), "network_full");
    market.chain.done(&market.tx(&user(0), close(first)));
    market.chain.skip_to(market.chain.height.0 + quick().lanes.grace_blocks + 1);
    assert_eq!(number(&market.chain.state).unwrap(), 2);
    market.chain.done(&market.tx(&user(1), open(opened(ESCROW, 1))));
}

#[test]
fn a_lane_for_which_nobody_can_be_drawn_gives_all_back_at_once() {
    let mut market = Market::new(2);
    let before = market.chain.balance(&user(0));
    let constraints = Constraints { regions: vec![text("nowhere")], operators: Vec::new() };
    let id = market.ask(Opened { constraints, ..opened(ESCROW, 2) });
    let outcome = market.chain.block(&[]);
    let payer = address(&user(0));
    let ended = [Event::NoHosts { lane: id }, Event::Ended { lane: id, payer, refund: ESCROW }];
    assert!(ended.iter().all(|event| outcome.events.contains(&AnyEvent::Lanes(event.clone()))));
    assert_eq!((market.lane(id), market.chain.balance(&user(0))), (None, before));
    assert_eq!(number(&market.chain.state).unwrap(), 0);
    assert_eq!(of_payer(&market.chain.state, &payer, None, 9).unwrap(), []);
    assert_eq!(code(&mut market, &user(0), close(id)), "unknown_lane");
}

/// Four hosts in two regions; the first two have one operator.
fn two_regions(change: impl Fn(&mut freeway_ledger::Params)) -> Genesis {
    let mut params = quick();
    change(&mut params);
    let mut genesis = genesis(params, &[WEIGHT; 4], 2);
    for (i, entry) in genesis.hosts.iter_mut().enumerate() {
        entry.region = text(if i % 2 == 0 { "north" } else { "south" });
        entry.operator = text(if i < 2 { "one" } else { ["two", "three"][i - 2] });
    }
    genesis
}

fn drawn(market: &Market, id: LaneId) -> Vec<Address> {
    let lane = market.lane(id).map(|lane| lane.shares).unwrap_or_default();
    let mut hosts: Vec<_> = lane.iter().map(|share| share.host).collect();
    hosts.sort_unstable();
    hosts
}

fn sorted(hosts: &[u8]) -> Vec<Address> {
    let mut hosts: Vec<_> = hosts.iter().map(|i| host(*i)).collect();
    hosts.sort_unstable();
    hosts
}

#[test]
fn constraints_hold_and_fewer_hosts_are_better_than_none() {
    let mut market = Market::of(&two_regions(|_| {}));
    for (regions, operators, expected) in [
        (vec![], vec![], vec![0, 1, 2, 3]),
        (vec!["north"], vec![], vec![0, 2]),
        (vec!["north", "elsewhere"], vec!["one", "three"], vec![0]),
        (vec![], vec!["one"], vec![0, 1]),
        (vec!["south", "north"], vec!["two"], vec![2]),
        (vec!["south"], vec!["two"], vec![]),
    ] {
        let texts = |list: Vec<&str>| list.into_iter().map(text).collect();
        let constraints = Constraints { regions: texts(regions), operators: texts(operators) };
        let id = market.open(Opened { constraints, ..opened(ESCROW, 16) });
        assert_eq!(drawn(&market, id), sorted(&expected));
    }
}

#[test]
fn nobody_is_drawn_for_its_own_lane_nor_for_one_of_its_operators() {
    for independence in [true, false] {
        let mut market = Market::of(&two_regions(|params| params.lanes.operator_independence = independence));
        // Host 0 pays; host 1 has its operator.
        market.chain.done(&market.tx(&owner(0), open(opened(ESCROW, 16))));
        market.chain.block(&[]);
        let id = of_payer(&market.chain.state, &host(0), None, 9).unwrap()[0];
        let expected: &[u8] = if independence { &[2, 3] } else { &[1, 2, 3] };
        assert_eq!(drawn(&market, id), sorted(expected));
        let lane = market.lane(id).unwrap();
        assert!(lane.shares.iter().all(|share| share.arms_length == (share.host != host(1))));
    }
}

#[test]
fn without_power_or_good_standing_nobody_is_drawn() {
    let mut market = Market::of(&genesis(quick(), &[WEIGHT, WEIGHT, WEIGHT, 0], 2));
    market.chain.done(&market.tx(&owner(0), leave()));
    let id = market.open(opened(ESCROW, 16));
    assert_eq!(drawn(&market, id), sorted(&[1, 2]));
}

#[test]
fn draws_follow_power() {
    let mut market = Market::of(&genesis(quick(), &[300, 100], 2));
    let mut first = 0;
    for _ in 0..8 {
        let batch = market.chain.txs(&user(0), (0..50).map(|_| open(opened(ESCROW, 1))));
        market.chain.block(&batch);
    }
    for _ in 0..8 {
        market.chain.block(&[]);
    }
    let payer = address(&user(0));
    let all = of_payer(&market.chain.state, &payer, None, 1_000).unwrap();
    for id in &all {
        first += u32::from(drawn(&market, *id) == [host(0)]);
    }
    // 300 of 400 are expected, with a deviation of less than 9.
    assert_eq!(all.len(), 400);
    assert!((260..=340).contains(&first), "{first}");
}

#[test]
fn a_lane_waits_for_its_value_and_takes_no_other() {
    let mut market = Market::new(3);
    market.chain.done(&market.tx(&owner(2), serve(&[])));
    let before = market.chain.clone();
    let id = market.ask(opened(ESCROW, 16));
    let height = market.chain.height;
    // Values of later heights come first.
    market.chain.values = Some(vec![height.plus(1), height.plus(2), height]);
    market.chain.block(&[]);
    assert_eq!(market.state(id), State::Waiting { value_of: height });
    // Whoever comes now could have come because of the value.
    market.chain.done(&market.tx(&owner(2), serve(&[MODEL])));
    market.chain.block(&[]);
    assert_eq!(drawn(&market, id), sorted(&[0, 1]));
    // Nothing but the value and the lane decides: the same without the wait.
    let mut prompt = Market { chain: before };
    let other = prompt.open(opened(ESCROW, 16));
    let order =
        |market: &Market, id| market.lane(id).unwrap().shares.iter().map(|s| s.host).collect::<Vec<_>>();
    assert_eq!(order(&prompt, other), order(&market, id));
}

#[test]
fn without_its_value_a_lane_gives_all_back_and_holds_up_no_other() {
    let mut market = Market::new(2);
    let before = market.chain.balance(&user(0));
    let lost = market.ask(opened(ESCROW, 1));
    let height = market.chain.height;
    market.chain.values = Some(Vec::new());
    market.chain.block(&[]);
    market.chain.values = None;
    let id = market.open(opened(ESCROW, 1));
    assert_eq!((market.state(id), market.state(lost)), (State::Open, State::Waiting { value_of: height }));
    market.chain.skip_to(height.0 + freeway_ledger::beacon::WINDOW);
    assert_eq!(market.state(lost), State::Waiting { value_of: height });
    let outcome = market.chain.block(&[]);
    assert!(outcome.events.contains(&AnyEvent::Lanes(Event::NoRandomness { lane: lost })));
    assert_eq!((market.lane(lost), market.chain.balance(&user(0))), (None, minus(before, ESCROW)));
}

#[test]
fn more_is_put_in_for_all_hosts_alike() {
    let mut market = Market::new(3);
    let id = market.ask(opened(ESCROW, 3));
    market.chain.done(&market.tx(&user(0), top_up(id, Amount(1_000_001))));
    let deposits =
        |market: &Market| market.lane(id).unwrap().shares.iter().map(|s| s.deposit.0).collect::<Vec<_>>();
    // It was put in at the height of the draw: all is divided together.
    assert_eq!(deposits(&market), [3_333_335, 3_333_333, 3_333_333]);
    market.chain.done(&market.tx(&user(0), top_up(id, Amount(8))));
    assert_eq!(deposits(&market), [3_333_339, 3_333_335, 3_333_335]);
    assert_eq!(market.lane(id).unwrap().escrow, Amount(10_000_009));
    assert_eq!(escrowed(&market), Amount(10_000_009));

    assert_eq!(code(&mut market, &user(0), top_up(id, Amount::ZERO)), "zero_amount");
    assert_eq!(code(&mut market, &user(1), top_up(id, Amount(1))), "not_the_payer");
    assert_eq!(code(&mut market, &user(0), top_up(LaneId(7), Amount(1))), "unknown_lane");
    assert_eq!(code(&mut market, &user(0), top_up(id, WEALTH)), "insufficient_balance");
    market.chain.done(&market.tx(&user(0), close(id)));
    assert_eq!(code(&mut market, &user(0), top_up(id, Amount(1))), "wrong_lane_state");
}

#[test]
fn a_lane_that_still_waits_is_closed_at_once() {
    let mut market = Market::new(1);
    let before = market.chain.balance(&user(0));
    market.chain.values = Some(Vec::new());
    let id = market.ask(opened(ESCROW, 1));
    assert_eq!(code(&mut market, &user(1), close(id)), "not_the_payer");
    market.chain.done(&market.tx(&user(0), close(id)));
    assert_eq!((market.lane(id), market.chain.balance(&user(0))), (None, before));
    // Its value comes too late to matter.
    market.chain.values = None;
    market.chain.block(&[]);
    assert_eq!((market.lane(id), escrowed(&market)), (None, Amount::ZERO));
}

#[test]
fn a_closed_lane_gives_back_the_rest_by_itself_after_the_grace() {
    let mut market = Market::new(2);
    let before = market.chain.balance(&user(0));
    let id = market.open(opened(ESCROW, 2));
    market.chain.done(&market.tx(&user(0), close(id)));
    let until = market.chain.height.plus(quick().lanes.grace_blocks);
    assert_eq!(market.state(id), State::Closing { until });
    assert_eq!(code(&mut market, &user(0), close(id)), "wrong_lane_state");
    market.chain.skip_to(until.0);
    assert_eq!(escrowed(&market), ESCROW);
    market.chain.block(&[]);
    assert_eq!((market.lane(id), market.chain.balance(&user(0))), (None, before));
    let host = |i| of_host(&market.chain.state, &host(i), None, 9).unwrap();
    assert!(host(0).is_empty() && host(1).is_empty());
}

#[test]
fn a_lane_closes_by_itself_when_its_life_is_over() {
    let mut market = Market::new(1);
    let lifetime = quick().lanes.min_lifetime;
    let id = market.open(Opened { lifetime, ..opened(ESCROW, 1) });
    let expires = market.lane(id).unwrap().expires;
    assert_eq!(expires, market.lane(id).unwrap().opened.plus(lifetime));
    market.chain.skip_to(expires.0 - 1);
    assert_eq!(market.state(id), State::Open);
    let outcome = market.chain.block(&[]);
    let until = expires.plus(quick().lanes.grace_blocks);
    assert_eq!(market.state(id), State::Closing { until });
    assert!(outcome.events.contains(&AnyEvent::Lanes(Event::Closing { lane: id, until })));
    // One that still waits for its hosts then is over.
    market.chain.values = Some(Vec::new());
    let id = market.ask(Opened { lifetime, ..opened(ESCROW, 1) });
    market.chain.skip_to(market.lane(id).unwrap().expires.0);
    assert_eq!(market.lane(id), None);
}

#[test]
fn prices_of_an_open_lane_stay_when_the_model_has_others() {
    let mut market = Market::new(1);
    let id = market.open(opened(ESCROW, 1));
    // An idle network gets cheaper.
    market.chain.skip_to(50);
    let now = freeway_ledger::models::model(&market.chain.state, &MODEL).unwrap().unwrap().prices;
    assert!(now.output < PRICES.output);
    assert_eq!(market.lane(id).unwrap().prices, PRICES);
    let later = market.open(opened(ESCROW, 1));
    assert_eq!(market.lane(later).unwrap().prices, now);
}

#[test]
fn a_key_for_lanes_opens_and_closes_within_its_allowance() {
    let mut market = Market::new(1);
    let key = stranger(0);
    let payer = address(&user(0));
    let expires = Height(90);
    market.chain.done(&market.tx(&user(0), authorise(&key, &[Scope::Lane], expires, plus(ESCROW, ESCROW))));
    market.chain.done(&market.chain.tx_for(&key, payer, open(opened(ESCROW, 1))));
    let id = of_payer(&market.chain.state, &payer, None, 9).unwrap()[0];
    market.chain.done(&market.chain.tx_for(&key, payer, top_up(id, minus(ESCROW, Amount(1)))));
    let more = market.chain.tx_for(&key, payer, top_up(id, Amount(2)));
    assert!(matches!(market.chain.rejects(&more), Rejection::AllowanceExceeded { .. }));
    market.chain.done(&market.chain.tx_for(&key, payer, close(id)));
    // A consensus key may run a host, not spend its money.
    let foreign = market.chain.tx_for(&vote_key(0), host(0), open(opened(ESCROW, 1)));
    assert!(matches!(market.chain.rejects(&foreign), Rejection::ScopeMissing("lane")));
}

/// What is in lanes counts for what an account may put on chain: else who has put in all could not even close them.
#[test]
fn a_quota_follows_what_is_in_lanes() {
    let mut market = Market::new(1);
    let all = minus(market.chain.balance(&user(0)), Amount(1));
    let id = market.open(opened(all, 1));
    market.chain.switch();
    // With next to nothing it could act once an epoch.
    for _ in 0..3 {
        assert_eq!(code(&mut market, &user(0), top_up(id, Amount::ZERO)), "zero_amount");
    }
    market.chain.done(&market.tx(&user(0), close(id)));
}

/// Invariant 3: however many lanes there are, a block does a bounded part of what is to be done.
#[test]
fn ten_thousand_lanes_are_drawn_and_ended_a_bounded_number_a_block() {
    let lanes = 10_000;
    let mut market = Market::with(2, |params| {
        params.accounts.max_per_block = 20_000;
        params.accounts.quota_unit = Amount(1_000_000);
        params.blocks.max_transactions = 20_000;
        params.lanes.max_draws_per_block = 400;
        params.lanes.max_ends_per_block = 300;
    });
    let dust = quick().lanes.min_escrow;
    let payer = address(&user(0));
    let before = market.chain.balance(&user(0));
    let lifetime = 100;
    // As many as fit into a block's bytes, in a few blocks.
    let mut asked = 0;
    while asked < lanes {
        let some = (lanes - asked).min(2_500);
        let batch =
            market.chain.txs(&user(0), (0..some).map(|_| open(Opened { lifetime, ..opened(dust, 2) })));
        market.chain.block(&batch);
        asked += some;
    }
    assert_eq!(number(&market.chain.state).unwrap(), lanes);
    let drawn = |events: &[AnyEvent]| {
        events.iter().filter(|event| matches!(event, AnyEvent::Lanes(Event::Drawn { .. }))).count()
    };
    let (mut all, mut blocks) = (0, 0);
    while escrowed(&market) > Amount::ZERO {
        let outcome = market.chain.block(&[]);
        let of_lanes = outcome.events.iter().filter(|event| matches!(event, AnyEvent::Lanes(_))).count();
        assert!(drawn(&outcome.events) <= 400 && of_lanes <= 700);
        all += drawn(&outcome.events);
        blocks += 1;
        assert!(blocks < 500, "they do not end");
    }
    assert!(all + 4 * 400 >= lanes as usize, "{all} were drawn after the last was opened");
    assert_eq!(market.chain.balance(&user(0)), before);
    assert_eq!(number(&market.chain.state).unwrap(), 0);
    assert_eq!(of_payer(&market.chain.state, &payer, None, 1).unwrap(), []);
}
