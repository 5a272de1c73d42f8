//! What holds for every lane, whatever payers and hosts do: random openings, work, settlements and endings.

use std::collections::{BTreeMap, BTreeSet};

use freeway_ledger::lanes::{self, LANES, Opened, PAYERS, number};
use freeway_ledger::{Event, Outcome, vaults};
use freeway_primitives::{Address, Amount, SecretKey};
use freeway_proofs::work::LaneId;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::kit::*;
use crate::paying::*;

/// What somebody does, drawn as bare numbers: every choice means something, whatever came before.
#[derive(Clone, Debug)]
struct Step {
    what: u8,
    lane: u8,
    who: u8,
    amount: u16,
    twist: u8,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0u8..16, any::<u8>(), any::<u8>(), any::<u16>(), 0u8..12)
        .prop_map(|(what, lane, who, amount, twist)| Step { what, lane, who, amount, twist });
    proptest::collection::vec(step, 1..80)
}

/// What all settlements and refunds said, beside what the ledger's records say.
#[derive(Default)]
struct Books {
    put_in: BTreeMap<LaneId, u128>,
    taken: BTreeMap<LaneId, u128>,
    by_host: BTreeMap<Address, u128>,
    matured: BTreeMap<Address, u128>,
    /// All that a host did for a lane, by its receipts.
    served: BTreeMap<(LaneId, Address), Served>,
    intervals: u64,
}

const HOSTS: u8 = 3;

fn key_of(address: &Address) -> SecretKey {
    (0..HOSTS).map(owner).find(|key| self::address(key) == *address).unwrap()
}

/// The lane that a step is about, among those that there are.
fn lane_of(market: &Market, step: &Step) -> Option<LaneId> {
    let all = lanes::all(&market.chain.state, None, 1_000).unwrap();
    all.get(usize::from(step.lane) % all.len().max(1)).map(|(id, _)| *id)
}

/// A share's host serves some more, and all of it matures.
fn work(market: &mut Market, books: &mut Books, step: &Step, id: LaneId) -> BTreeSet<String> {
    let lane = market.lane(id).unwrap();
    let Some(share) = lane.shares.get(usize::from(step.who) % lane.shares.len().max(1)) else {
        return BTreeSet::new();
    };
    let all = books.served.entry((id, share.host)).or_default();
    let (sequence, total) = all.entries.last().map_or((0, 0), |last| (last.sequence + 1, last.total.0));
    let fee = u128::from(step.amount) * 97;
    // Sometimes its word is not what stands in the tree.
    let boast = if step.twist == 0 { fee * 1_000 } else { fee };
    let mut served = Served::default();
    served.push(id, share.host, sequence, fee, total + boast);
    all.push(id, share.host, sequence, fee, total + boast);
    books.intervals += 1;
    market.mature(share.host, books.intervals, id, &served);
    *books.matured.entry(share.host).or_default() += fee;
    let mut settlement = market.settlement(share.host, books.intervals, &served, 0);
    match step.twist {
        1 => settlement.voucher.limit = Amount(total),
        2 => settlement.voucher.limit = Amount(u128::MAX),
        3 => settlement.voucher.sequence += 5,
        4 => settlement.interval += 1,
        5 => settlement.entry.total = Amount(u128::MAX),
        _ => {}
    }
    let mut settlement = market.signed(settlement);
    if step.twist == 6 {
        settlement.voucher.limit = Amount(total + boast + 1);
    }
    let transaction = market.tx(&key_of(&share.host), settle(settlement.clone()));
    let again = market.chain.txs(&key_of(&share.host), [settle(settlement.clone()), settle(settlement)]);
    let batch = if step.twist == 7 { again } else { vec![transaction] };
    run(market, books, &batch)
}

/// A block, and what it says of money.
fn run(market: &mut Market, books: &mut Books, batch: &[freeway_ledger::Transaction]) -> BTreeSet<String> {
    let (outcome, _) = market.chain.run(batch);
    let mut reached = BTreeSet::new();
    for event in events(&outcome) {
        let Event::Lanes(event) = event else { continue };
        reached.insert(format!("{event:?}").split([' ', '{']).next().unwrap_or_default().to_owned());
        match event {
            lanes::Event::Opened { lane, escrow: amount, .. } | lanes::Event::ToppedUp { lane, amount } => {
                *books.put_in.entry(lane).or_default() += amount.0;
            }
            lanes::Event::Settled { lane, host, fees, .. } => {
                *books.taken.entry(lane).or_default() += fees.0;
                *books.by_host.entry(host).or_default() += fees.0;
            }
            lanes::Event::Ended { lane, refund, .. } => {
                *books.taken.entry(lane).or_default() += refund.0;
                assert_eq!(books.taken[&lane], books.put_in[&lane], "what was put in did not come out");
            }
            _ => {}
        }
    }
    for receipt in &outcome.receipts {
        if let Outcome::Failed(failure) = &receipt.outcome {
            reached.insert(failure.code().to_owned());
        }
    }
    reached
}

fn drive(steps: &[Step]) -> BTreeSet<String> {
    let mut market = Market::new(HOSTS);
    let mut books = Books::default();
    let mut reached = BTreeSet::new();
    for step in steps {
        let id = lane_of(&market, step);
        let amount = Amount(u128::from(step.amount) * 100);
        let message = match (step.what, id) {
            (0..4, _) | (_, None) => {
                let escrow = plus(quick().lanes.min_escrow, amount);
                let lifetime = quick().lanes.min_lifetime + u64::from(step.twist);
                let shares = step.who % 4;
                Some(open(Opened { lifetime, ..opened(escrow, shares) }))
            }
            (4, Some(id)) => Some(top_up(id, amount)),
            (5, Some(id)) => Some(close(id)),
            (6..8, Some(_)) => {
                // So that lanes end, too.
                for _ in 0..=step.amount % 64 {
                    reached.extend(run(&mut market, &mut books, &[]));
                }
                None
            }
            (_, Some(id)) => {
                reached.extend(work(&mut market, &mut books, step, id));
                None
            }
        };
        let batch: Vec<_> =
            message.map(|message| market.tx(&user(step.who % 2), message)).into_iter().collect();
        reached.extend(run(&mut market, &mut books, &batch));
        check(&market, &books);
    }
    // In the end everything comes out that was put in.
    let all = lanes::all(&market.chain.state, None, 1_000).unwrap();
    let longest = quick().lanes.min_lifetime + 12 + quick().lanes.grace_blocks + 2;
    for _ in 0..longest {
        reached.extend(run(&mut market, &mut books, &[]));
    }
    assert!(all.iter().all(|(id, _)| market.lane(*id).is_none()));
    assert_eq!(
        (number(&market.chain.state).unwrap(), vaults(&market.chain.state).unwrap().lanes),
        (0, Amount::ZERO)
    );
    assert_eq!(books.put_in, books.taken);
    reached
}

fn check(market: &Market, books: &Books) {
    for (id, lane) in LANES.page(&market.chain.state, None, 1_000).unwrap() {
        let deposits: u128 = lane.shares.iter().map(|share| share.deposit.0).sum();
        assert!(lane.shares.is_empty() || deposits == lane.escrow.0);
        assert!(lane.shares.iter().all(|share| share.paid <= share.deposit));
        assert_eq!(lane.escrow.0, books.put_in[&id]);
        assert_eq!(lane.left().0, lane.escrow.0 - books.taken.get(&id).copied().unwrap_or_default());
    }
    for payer in [user(0), user(1)].map(|key| address(&key)) {
        let ids = lanes::of_payer(&market.chain.state, &payer, None, 1_000).unwrap();
        let left: u128 = ids.iter().map(|id| market.lane(*id).unwrap().left().0).sum();
        let holds = PAYERS.get(&market.chain.state, &payer).unwrap().unwrap_or_default();
        assert_eq!((holds.lanes as usize, holds.escrow.0), (ids.len(), left));
    }
    for (host, taken) in &books.by_host {
        assert!(*taken <= books.matured[host], "a host was paid more than the fees that matured");
    }
}

/// The properties say little if the lanes are dull.
#[test]
fn random_lanes_meet_nearly_everything() {
    let mut runner = TestRunner::deterministic();
    let mut reached = BTreeSet::new();
    for _ in 0..12 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        reached.extend(drive(&steps));
    }
    let expected = "\
        Opened Drawn ToppedUp Closing Settled Ended invalid_shares not_the_payer wrong_lane_state \
        nothing_due not_matured wrong_opening bad_voucher_signature";
    let missed: Vec<_> = expected.split_whitespace().filter(|name| !reached.contains(*name)).collect();
    assert!(missed.is_empty(), "never met: {missed:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Invariants 1 and 10, whatever anybody sends: no lane pays more than was put in, no host gets more than what
    /// matured, and in the end nothing is left.
    #[test]
    fn any_lane_pays_out_exactly_what_was_put_in(steps in steps()) {
        drive(&steps);
    }
}
