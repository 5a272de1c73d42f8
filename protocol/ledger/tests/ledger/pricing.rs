//! Prices on a chain: whom they follow, and for whom they move.

use freeway_ledger::models::model;
use freeway_ledger::pricing::{Event, OBSERVED, STANDINGS, utilisation};
use freeway_ledger::{Event as AnyEvent, Params, Preset};
use freeway_primitives::Digest;
use freeway_proofs::work::Prices;

use crate::kit::*;
use crate::paying::*;
use crate::working::Shop;

fn long_epochs(params: &mut Params) {
    params.epochs.epoch_blocks = 1_000;
    params.hosts.unbonding_blocks = 2_000;
}

/// One host, and epochs longer than any range of prices.
fn calm(change: impl Fn(&mut Params)) -> Market {
    Market::with(1, |params| {
        long_epochs(params);
        change(params);
    })
}

fn prices(market: &Market) -> Prices {
    model(&market.chain.state, &MODEL).unwrap().unwrap().prices
}

/// Skips to the end of the interval, with the only host as busy as that, in thousandths.
fn interval(market: &mut Market, busy: u128) -> Vec<AnyEvent> {
    let params = Params::current(&market.chain.state).unwrap();
    let blocks = params.work.interval_blocks;
    let raced = u128::from(WEIGHT) << params.sprint.weight_shift;
    let capacity = raced * u128::from(blocks) / u128::from(params.epochs.sprint_blocks);
    market.chain.skip_to((market.chain.height.0 + 1) / blocks * blocks + blocks - 2);
    let load = capacity * busy / 1_000;
    market.chain.state.0.insert(OBSERVED.key(&host(0)), borsh::to_vec(&load).unwrap());
    let outcome = market.chain.block(&[]);
    assert!(!OBSERVED.contains(&market.chain.state, &host(0)).unwrap());
    outcome.events.into_iter().filter(|event| matches!(event, AnyEvent::Pricing(_))).collect()
}

#[test]
fn prices_rise_with_busy_hosts_and_fall_with_idle_ones() {
    let mut market = calm(|_| {});
    let up = Prices { input: 102_000, cached: 10_200, output: 204_000 };
    let changed = AnyEvent::Pricing(Event::Changed { root: MODEL, prices: up, utilisation: 700 });
    assert_eq!(interval(&mut market, 700), [changed]);
    assert_eq!(prices(&market), up);
    assert_eq!(utilisation(&market.chain.state, &MODEL).unwrap(), Some(700));
    assert_eq!(interval(&mut market, 500), []);
    assert_eq!(prices(&market), up);
    // More than everything is everything.
    interval(&mut market, 5_000);
    assert_eq!(utilisation(&market.chain.state, &MODEL).unwrap(), Some(1_000));
    interval(&mut market, 0);
    let now = prices(&market);
    assert!(now.input < 104_040 && now.output < 208_080);
}

#[test]
fn an_epoch_moves_prices_by_a_fifth_at_most() {
    let mut market = calm(|_| {});
    for _ in 0..15 {
        interval(&mut market, 1_000);
    }
    assert_eq!(prices(&market), Prices { input: 120_000, cached: 12_000, output: 240_000 });
    for _ in 0..30 {
        interval(&mut market, 0);
    }
    assert_eq!(prices(&market), Prices { input: 80_000, cached: 8_000, output: 160_000 });
    // The next epoch begins where this one ended.
    market.chain.skip_to(1_001);
    for _ in 0..15 {
        interval(&mut market, 0);
    }
    assert_eq!(prices(&market), Prices { input: 64_000, cached: 6_400, output: 128_000 });
}

#[test]
fn an_idle_network_ends_at_the_floor() {
    let floor = Prices { input: 99_000, cached: 9_900, output: 198_000 };
    let mut market = calm(|params| params.pricing.floor = floor);
    for _ in 0..3 {
        interval(&mut market, 0);
    }
    assert_eq!(prices(&market), floor);
}

/// Nothing is no evidence: where nobody with power serves, no price moves.
#[test]
fn a_model_that_nobody_serves_keeps_its_prices() {
    let mut market = calm(|_| {});
    let other = Digest([0x44; 32]);
    market.chain.done(&market.tx(&user(0), register_model(other, description("other"))));
    for _ in 0..3 {
        interval(&mut market, 1_000);
    }
    assert_eq!(model(&market.chain.state, &other).unwrap().unwrap().prices, PRICES);
    assert_eq!(STANDINGS.get(&market.chain.state, &other).unwrap(), None);
    assert!(prices(&market).output > PRICES.output);
    // A retired model leaves nothing behind.
    market.chain.done(&market.tx(&owner(0), serve(&[])));
    market.chain.done(&market.tx(&user(0), retire(MODEL)));
    assert_eq!(STANDINGS.get(&market.chain.state, &MODEL).unwrap(), None);
}

/// A host moves the sum by no more than its own proven share, whatever it claims.
#[test]
fn one_host_that_pretends_is_outweighed_by_others() {
    let mut market = Market::with(4, long_epochs);
    let blocks = Preset::Local.params().work.interval_blocks;
    market.chain.skip_to(2 * blocks - 2);
    market.chain.state.0.insert(OBSERVED.key(&host(0)), borsh::to_vec(&u128::MAX).unwrap());
    market.chain.block(&[]);
    assert_eq!(utilisation(&market.chain.state, &MODEL).unwrap(), Some(250));
    assert!(prices(&market).output < PRICES.output);
}

#[test]
fn what_hosts_commit_to_is_what_counts_as_use() {
    let mut shop = Shop::new(2);
    let (lane, interval) = (shop.lane(), shop.interval());
    shop.serve(0, lane, &[100, 200]);
    let fees = shop.done[&(interval, host(0))][0].tree.sums().fees;
    shop.commit_all(interval);
    let state = &shop.market.chain.state;
    // As if all of it were for generated tokens.
    let tokens = fees * 1_000_000 / u128::from(PRICES.output);
    let work = model(state, &MODEL).unwrap().unwrap().work;
    assert_eq!(OBSERVED.get(state, &host(0)).unwrap(), Some(tokens * u128::from(work)));
    assert_eq!(OBSERVED.get(state, &host(1)).unwrap(), None);
}
