//! Requests of the network itself: who is asked, who pays, and what comes back.

use freeway_ledger::lanes::probe::{self, OUTPUT_TOKENS, PROBER, PROMPT_TOKENS, Probes, probes};
use freeway_ledger::lanes::{self, LANES, Lane, Settlement, State};
use freeway_ledger::{Params, vaults};
use freeway_primitives::{Amount, Digest};
use freeway_proofs::work::{LaneId, VOUCHER};

use crate::kit::{host, user};
use crate::paying::{MODEL, Market, Served, description, measured, register_model, serve};

const OTHER: Digest = Digest([0x72; 32]);
const MEASURED: Digest = Digest([0x73; 32]);
const UNSERVED: Digest = Digest([0x74; 32]);

/// Four hosts, and emission of which half goes to the pool as nobody is paid for anything.
fn market(first: u128, models: u32) -> Market {
    Market::with(4, |params| {
        params.rewards.first = Amount(first);
        params.lanes.probe_models = models;
        params.lanes.probes = 3;
        params.lanes.grace_blocks = 40;
    })
}

fn pool(market: &Market) -> Amount {
    vaults(&market.chain.state).unwrap().pool
}

fn all(market: &Market) -> Vec<(LaneId, Lane)> {
    let ids = lanes::of_payer(&market.chain.state, &PROBER, None, 100).unwrap();
    ids.into_iter().map(|id| (id, LANES.get(&market.chain.state, &id).unwrap().unwrap())).collect()
}

/// Up to the block in which the hosts of this epoch's lanes are drawn.
fn next_epoch(market: &mut Market) {
    market.chain.switch();
    market.chain.block(&[]);
    market.chain.block(&[]);
}

fn asked(market: &Market, id: LaneId, lane: &Lane) -> Probes {
    probes(&market.chain.state, id, lane).unwrap().unwrap()
}

#[test]
fn the_network_asks_at_the_lowest_price_out_of_the_pool_and_what_is_left_goes_back() {
    let mut market = market(1_000_000, 4);
    assert_eq!(all(&market), []);
    market.chain.switch();
    let before = pool(&market);
    market.chain.block(&[]);
    let [(id, lane)] = &all(&market)[..] else { panic!("one model, one lane") };
    let floor = Params::current(&market.chain.state).unwrap().pricing.floor;
    assert_eq!((lane.model, lane.prices, lane.wanted), (MODEL, floor, 16));
    assert_eq!(lane.escrow, Amount(floor.most(PROMPT_TOKENS, OUTPUT_TOKENS).0 * 3 * 16));
    assert_eq!(pool(&market).0 + lane.escrow.0, before.0);
    assert!(matches!(lane.state, State::Waiting { .. }));
    assert_eq!(probes(&market.chain.state, *id, lane).unwrap(), None);

    market.chain.block(&[]);
    let id = *id;
    let lane = market.lane(id).unwrap();
    assert_eq!((lane.state, lane.shares.len()), (State::Open, 4));
    let known = asked(&market, id, &lane);
    assert_eq!(known.most, 3);
    let requests: Vec<_> =
        (0..3).map(|i| probe::request(&known.value, &MODEL, known.vocabulary, &host(0), i)).collect();
    for request in &requests {
        assert!(request.validate(known.vocabulary).is_ok());
        assert_eq!((request.prompt.len(), request.max_tokens), (PROMPT_TOKENS as usize, OUTPUT_TOKENS));
    }
    let others = probe::request(&known.value, &MODEL, known.vocabulary, &host(1), 0);
    assert!(requests[0] != requests[1] && requests[0] != others);

    // A host signs its vouchers itself, with the key that everybody has.
    let (share, key) = market.share(id, 0);
    let cost = lane.prices.most(PROMPT_TOKENS, OUTPUT_TOKENS).0;
    let served = Served::of(id, share.host, &[cost; 3]);
    market.mature(share.host, 0, id, &served);
    let mut settlement: Settlement = market.settlement(share.host, 0, &served, 2);
    assert_eq!(market.refuses(&key, &settlement), "bad_voucher_signature");
    settlement.signature = probe::voucher_key().sign(VOUCHER, &market.chain.id, &settlement.voucher);
    market.pays(&key, &settlement);
    assert_eq!(market.lane(id).unwrap().share(&share.host).unwrap().paid, Amount(3 * cost));

    while market.lane(id).is_some() {
        market.chain.block(&[]);
    }
    // What the host did not earn is in the pool again, and the lanes of later epochs have other values.
    let drawn = all(&market).into_iter().filter(|(_, lane)| !lane.shares.is_empty());
    let mut values: Vec<Digest> = drawn.map(|(id, lane)| asked(&market, id, &lane).value).collect();
    assert!(values.len() > 2, "{values:?}");
    values.push(known.value);
    let count = values.len();
    values.sort_unstable();
    values.dedup();
    assert_eq!(values.len(), count);
    let held: u128 = all(&market).iter().map(|(_, lane)| lane.left().0).sum();
    let epochs = u128::from(market.chain.height.0 / 8);
    // Half of all emission, as nobody earned more than a fee; the books balance, which the kit sees to.
    let (half, given) = (epochs * 500_000, pool(&market).0 + held);
    assert!(half - given < half / 100, "{half} {given}");
    assert_eq!(market.chain.account(&PROBER).balance, Amount::ZERO);
}

#[test]
fn models_take_turns_and_only_what_can_be_computed_again_and_is_served_is_asked() {
    let mut market = market(1_000_000, 1);
    for (root, description) in
        [(OTHER, description("other")), (MEASURED, measured("measured")), (UNSERVED, description("unserved"))]
    {
        let transaction = market.tx(&user(0), register_model(root, description));
        market.chain.done(&transaction);
    }
    for i in 0..4 {
        let transaction = market.tx(&crate::kit::owner(i), serve(&[MODEL, OTHER, MEASURED]));
        market.chain.done(&transaction);
    }
    let mut order = Vec::new();
    for _ in 0..4 {
        next_epoch(&mut market);
        order.push(all(&market).last().unwrap().1.model);
    }
    let (first, second) = (order[0], order[1]);
    assert_ne!(first, second);
    assert!([MODEL, OTHER].contains(&first) && [MODEL, OTHER].contains(&second));
    assert_eq!(order, [first, second, first, second]);
}

#[test]
fn without_money_in_the_pool_or_by_parameter_nothing_is_asked() {
    for (first, models) in [(0, 4), (1_000_000, 0)] {
        let mut market = market(first, models);
        for _ in 0..2 {
            next_epoch(&mut market);
            assert_eq!(all(&market), []);
        }
    }
}

/// What follows from a lane's value is part of what hosts are convicted by.
#[test]
fn the_requests_are_frozen() {
    let request = probe::request(&Digest([1; 32]), &Digest([2; 32]), 32_000, &host(0), 7);
    let digest = request.digest().to_string();
    assert_eq!(
        (request.prompt[..4].to_vec(), digest.as_str()),
        (
            vec![17_059, 22_155, 27_917, 9_426],
            "a39d0311648a4fe7f3bfa2d114873650e8309c3e45933a7a76fd0db04e199d10"
        ),
        "a change here changes which work is right"
    );
}
