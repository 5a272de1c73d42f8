//! New money: how much, when, for whom, when it comes free, and who loses it.

use borsh::BorshSerialize;
use freeway_ledger::hosts::Status;
use freeway_ledger::lanes::{EARNED, Earned, VERIFIER_POT};
use freeway_ledger::rewards::{
    DUTIES, Duty, EARNINGS, Earnings, Event, Grant, earnings, emission, limit, minted,
};
use freeway_ledger::sprint::{self, Settled};
use freeway_ledger::weights::{Record, WEIGHTS};
use freeway_ledger::{BlockOutcome, Event as AnyEvent, Params, SUPPLY, Vaults, open, vaults};
use freeway_primitives::{Amount, Epoch, Height};
use proptest::prelude::*;

use crate::kit::*;

/// Nearly no decay: after the first epoch, each brings one base unit less than that.
const STEADY: u64 = u64::MAX;

/// [`quick`] parameters with emission: all of it by weight, released over four epochs.
fn paying(first: u128, decay: u64) -> Params {
    let mut params = quick();
    params.rewards.first = Amount(first);
    params.rewards.decay = decay;
    params.rewards.capacity_thousandths = 1_000;
    params.rewards.vesting_epochs = 4;
    params
}

fn chain(params: Params, hosts: usize) -> Chain {
    Chain::of(&genesis(params, &vec![WEIGHT; hosts], 2))
}

fn put(chain: &mut Chain, key: Vec<u8>, value: &impl BorshSerialize) {
    chain.state.0.insert(key, borsh::to_vec(value).unwrap());
}

/// Says that a host served for so much, all parts together, in this epoch.
fn serve(chain: &mut Chain, i: u8, fees: u128) {
    let earned = Earned { fees: Amount(fees), others: Amount(fees / 20 + fees / 5) };
    put(chain, EARNED.key(&host(i)), &earned);
}

/// Says that a host did so many of the checks of work that it owed in this epoch.
fn check(chain: &mut Chain, i: u8, owed: u32, done: u32) {
    put(chain, DUTIES.key(&host(i)), &Duty { owed, done });
}

/// Moves money of user 0 into the verifiers' pot.
fn fill_pot(chain: &mut Chain, amount: Amount) {
    let payer = address(&user(0));
    let mut account = chain.account(&payer);
    account.balance = minus(account.balance, amount);
    put(chain, freeway_ledger::accounts::ACCOUNTS.key(&payer), &account);
    let totals = vaults(&chain.state).unwrap();
    let totals =
        Vaults { accounts: minus(totals.accounts, amount), rewards: plus(totals.rewards, amount), ..totals };
    put(chain, b"vaults/totals".to_vec(), &totals);
    let pot = VERIFIER_POT.require(&chain.state).unwrap();
    put(chain, VERIFIER_POT.key(), &plus(pot, amount));
    audit(&chain.state);
}

fn of(chain: &Chain, i: u8) -> Earnings {
    earnings(&chain.state, &host(i)).unwrap()
}

fn pool(chain: &Chain) -> Amount {
    vaults(&chain.state).unwrap().pool
}

fn of_rewards(outcome: &BlockOutcome) -> Vec<Event> {
    let of_rewards = |event: AnyEvent| match event {
        AnyEvent::Rewards(event) => Some(event),
        _ => None,
    };
    events(outcome).into_iter().filter_map(of_rewards).collect()
}

#[test]
fn the_last_block_of_an_epoch_makes_its_emission_and_no_other_makes_any() {
    let mut chain = chain(paying(1_000_003, u64::MAX / 2), 4);
    let genesis = SUPPLY.require(&chain.state).unwrap();
    let params = Params::current(&chain.state).unwrap();
    for height in 1..=40u64 {
        let before = SUPPLY.require(&chain.state).unwrap();
        chain.block(&[]);
        let epoch = Epoch((height - 1) / 8);
        let made = if height % 8 == 0 { emission(&params.rewards, epoch) } else { Amount::ZERO };
        assert_eq!(SUPPLY.require(&chain.state).unwrap(), plus(before, made), "{height}");
        assert_eq!(SUPPLY.require(&chain.state).unwrap(), plus(genesis, minted(&chain.state).unwrap()));
    }
    // 1000003, 500001, 250000, 125000, 62500: each the half, rounded down.
    assert_eq!(minted(&chain.state).unwrap(), Amount(1_937_504));
    assert!(minted(&chain.state).unwrap() <= limit(&params.rewards));
}

#[test]
fn a_network_whose_money_could_not_be_counted_does_not_start() {
    let mut genesis = genesis(paying(1 << 63, u64::MAX), &[WEIGHT], 1);
    open(&genesis).unwrap();
    genesis.accounts[1].balance = Amount(u128::MAX / 4 * 3);
    assert!(open(&genesis).is_err());
}

#[test]
fn emission_goes_by_capped_weight() {
    let mut chain = Chain::of(&genesis(paying(42_800, 0), &[1_000, 100, 100, 100], 1));
    chain.switch();
    // The first is lowered to 30 % of what remains: 128 of 428.
    let got: Vec<_> = (0..4).map(|i| of(&chain, i).last.capacity.0).collect();
    assert_eq!(got, [12_800, 10_000, 10_000, 10_000]);
    assert_eq!(pool(&chain), Amount::ZERO);
}

#[test]
fn what_cannot_be_divided_and_what_nobody_earned_goes_to_the_pool() {
    let mut params = paying(1_001, 0);
    params.rewards.capacity_thousandths = 500;
    let mut chain = chain(params, 3);
    let outcome = chain.switch();
    // 500 by weight, 166 each; 501 for serving, and nobody served.
    assert!((0..3).all(|i| of(&chain, i).last.capacity == Amount(166)));
    assert_eq!(pool(&chain), Amount(501 + 2));
    let emitted = Event::Emitted { epoch: Epoch(0), emission: Amount(1_001), pooled: Amount(503) };
    assert!(of_rewards(&outcome).contains(&emitted));
}

#[test]
fn who_has_no_power_earns_nothing() {
    let mut chain = chain(paying(1_000, STEADY), 4);
    chain.done(&chain.tx(&user(1), register(&user(1), STAKE)));
    chain.switch();
    chain.switch();
    assert_eq!(earnings(&chain.state, &address(&user(1))).unwrap(), Earnings::default());
    assert!(!of(&chain, 0).last.capacity.is_zero());
}

#[test]
fn emission_comes_free_in_equal_parts_and_all_of_it() {
    let mut chain = chain(paying(4_000 + 4 * 7, 0), 4);
    let before = chain.balance(&owner(0));
    let mut free = Vec::new();
    for _ in 0..6 {
        let held = chain.balance(&owner(0));
        chain.switch();
        free.push(minus(chain.balance(&owner(0)), held).0);
    }
    assert_eq!(free, [251, 252, 252, 252, 0, 0]);
    let earnings = of(&chain, 0);
    assert_eq!((earnings.granted, earnings.released), (Amount(1_007), Amount(1_007)));
    assert_eq!(earnings.vesting.buckets(), []);
    assert_eq!(chain.balance(&owner(0)), plus(before, Amount(1_007)));
    assert_eq!(vaults(&chain.state).unwrap().rewards, Amount::ZERO);
}

#[test]
fn a_block_releases_to_few_hosts_and_the_next_ones_to_the_rest() {
    let mut params = paying(4_000, 0);
    params.rewards.max_releases_per_block = 1;
    let mut chain = chain(params, 4);
    let releases = |outcome: &BlockOutcome| {
        of_rewards(outcome).iter().filter(|event| matches!(event, Event::Released { .. })).count()
    };
    let outcome = chain.switch();
    assert_eq!(releases(&outcome), 1);
    let following: Vec<_> = (0..5).map(|_| releases(&chain.block(&[]))).collect();
    assert_eq!(following, [1, 1, 1, 0, 0]);
    assert!((0..4).all(|i| of(&chain, i).released == Amount(250)));
}

/// Twelve hosts, one a block, eight blocks an epoch: a pass takes longer than an epoch.
#[test]
fn what_a_pass_does_not_reach_in_time_comes_with_the_next() {
    let mut params = paying(12_000, 0);
    params.rewards.max_releases_per_block = 1;
    let mut chain = chain(params, 12);
    for _ in 0..8 {
        chain.switch();
        assert!((0..12).all(|i| of(&chain, i).released <= Amount(1_000)));
    }
    assert!((0..12).all(|i| of(&chain, i).released == Amount(1_000)));
    assert_eq!(vaults(&chain.state).unwrap().rewards, Amount::ZERO);
}

#[test]
fn missed_checks_cost_emission_in_proportion() {
    let mut chain = chain(paying(4_000, 0), 4);
    check(&mut chain, 0, 10, 10);
    check(&mut chain, 1, 10, 5);
    check(&mut chain, 2, 10, 0);
    chain.switch();
    let got: Vec<_> = (0..4).map(|i| of(&chain, i).last.capacity.0).collect();
    // Who was asked for nothing has missed nothing. Others gain nothing by what is missed.
    assert_eq!(got, [1_000, 500, 0, 1_000]);
    assert_eq!(pool(&chain), Amount(1_500));
    // Each epoch counts for itself.
    assert_eq!(DUTIES.page(&chain.state, None, 10).unwrap(), []);
}

#[test]
fn missed_duties_in_a_race_count_in_the_epoch_of_the_race_only() {
    let mut chain = chain(paying(4_000, STEADY), 4);
    let record = Record { now: 100, before: 100, owed: 4, done: 1, ..Record::default() };
    put(&mut chain, WEIGHTS.key(&host(1)), &record);
    let settled = Settled { epoch: Epoch(0), height: Height(5), hosts: 4, proven: 4, weight: 400 };
    put(&mut chain, sprint::LATEST.key(), &Some(settled));
    // Both kinds of duties count.
    check(&mut chain, 1, 2, 1);
    chain.switch();
    assert_eq!((of(&chain, 0).last.capacity, of(&chain, 1).last.capacity), (Amount(1_000), Amount(125)));
    chain.switch();
    assert_eq!((of(&chain, 0).last.capacity, of(&chain, 1).last.capacity), (Amount(999), Amount(999)));
}

#[test]
fn serving_earns_by_fees_up_to_what_the_training_fund_got() {
    let mut params = paying(1_000, 0);
    params.rewards.capacity_thousandths = 0;
    let mut few = chain(params.clone(), 4);
    // Fees are large against the emission: it is shared out by them.
    serve(&mut few, 0, 30_000);
    serve(&mut few, 1, 10_000);
    few.switch();
    assert_eq!((of(&few, 0).last.served, of(&few, 1).last.served), (Amount(750), Amount(250)));
    assert_eq!(EARNED.page(&few.state, None, 10).unwrap(), []);
    // Fees are small: a fifth of them, and the rest to the pool.
    let mut many = chain(params, 4);
    serve(&mut many, 0, 300);
    serve(&mut many, 1, 104);
    many.switch();
    // Of 104: 5 to verifiers, 20 to training; four fifths of these 25.
    assert_eq!((of(&many, 0).last.served, of(&many, 1).last.served), (Amount(60), Amount(20)));
    assert_eq!(pool(&many), Amount(920));
}

#[test]
fn an_epoch_in_which_nobody_served_and_nobody_has_power_loses_nothing() {
    let mut params = paying(1_000, 0);
    params.rewards.capacity_thousandths = 0;
    let mut chain = chain(params, 4);
    serve(&mut chain, 0, 0);
    chain.switch();
    assert_eq!(pool(&chain), Amount(1_000));
    assert_eq!(of(&chain, 0), Earnings::default());
}

#[test]
fn emission_first_fills_the_collateral_that_the_weight_needs() {
    let mut genesis = genesis(paying(300_000_000, STEADY), &[WEIGHT; 5], 1);
    genesis.hosts[4].collateral = Amount::ZERO;
    let mut chain = Chain::of(&genesis);
    let outcome = chain.switch();
    assert_eq!(chain.host(4).unwrap().collateral, Amount(60_000_000));
    let grant = Grant { capacity: Amount(60_000_000), bonded: Amount(60_000_000), ..Grant::default() };
    assert_eq!((of(&chain, 4).last, of(&chain, 4).granted), (grant, Amount::ZERO));
    assert!(of_rewards(&outcome).contains(&Event::Granted { host: host(4), grant }));
    // Others have what they need.
    assert_eq!((of(&chain, 0).last.bonded, chain.host(0).unwrap().collateral), (Amount::ZERO, STAKE));
    chain.switch();
    assert_eq!(chain.host(4).unwrap().collateral, STAKE);
    let earnings = of(&chain, 4);
    assert_eq!((earnings.bonded, earnings.granted), (STAKE, Amount(59_999_999 - 40_000_000)));
}

/// Else collateral would be a way around vesting.
#[test]
fn who_takes_collateral_out_does_not_get_it_filled() {
    let mut chain = chain(paying(400_000_000, STEADY), 4);
    chain.done(&chain.tx(&owner(0), withdraw(Amount(50_000_000))));
    chain.switch();
    assert_eq!(of(&chain, 0).last.bonded, Amount::ZERO);
    // Free after 24 blocks.
    chain.switch();
    chain.switch();
    chain.switch();
    assert_eq!(chain.host(0).unwrap().unbonding, []);
    assert_eq!(of(&chain, 0).last.bonded, Amount(50_000_000));
    assert_eq!(chain.host(0).unwrap().collateral, STAKE);
}

#[test]
fn who_is_slashed_loses_the_epoch_and_what_is_not_released() {
    let mut chain = chain(paying(4_000, STEADY), 4);
    chain.switch();
    assert_eq!((of(&chain, 1).granted, of(&chain, 1).released), (Amount(1_000), Amount(250)));
    let (before, stake) = (pool(&chain), chain.host(1).unwrap().collateral);
    let proof = chain.double_vote(1, chain.height);
    let outcome = chain.done(&chain.tx(&user(1), report(proof)));
    assert!(of_rewards(&outcome).contains(&Event::Forfeited { host: host(1), amount: Amount(750) }));
    let slashed = minus(stake, chain.host(1).unwrap().collateral);
    assert_eq!(pool(&chain), plus(before, plus(slashed, Amount(750))));
    let earnings = of(&chain, 1);
    assert_eq!((earnings.forfeited, earnings.vesting.buckets()), (Amount(750), &[][..]));
    // Of the epoch it gets nothing, and the others no more than they would have.
    let (before, balance) = (pool(&chain), chain.balance(&owner(1)));
    chain.switch();
    assert_eq!((of(&chain, 1), chain.balance(&owner(1))), (earnings, balance));
    assert_eq!(of(&chain, 0).last.capacity, Amount(999));
    assert_eq!(pool(&chain), plus(before, Amount(3_999 - 3 * 999)));
    // From then on it counts for nothing.
    assert_eq!(chain.host(1).unwrap().status, Status::Removed);
    chain.switch();
    assert_eq!(of(&chain, 0).last.capacity, Amount(3_999 / 3));
}

#[test]
fn a_part_is_forfeited_if_the_parameters_say_so() {
    let mut params = paying(4_000, 0);
    params.rewards.forfeit_thousandths = 400;
    let mut chain = chain(params, 4);
    chain.switch();
    let proof = chain.double_vote(1, chain.height);
    chain.done(&chain.tx(&user(1), report(proof)));
    assert_eq!(of(&chain, 1).forfeited, Amount(300));
    for _ in 0..4 {
        chain.switch();
    }
    assert_eq!(of(&chain, 1).released, Amount(250 + 450));
}

#[test]
fn verifiers_are_paid_by_verdicts_and_what_is_left_waits() {
    let mut chain = chain(paying(0, 0), 4);
    let wealth = |chain: &Chain, i| chain.balance(&owner(i));
    let before: Vec<_> = (0..4).map(|i| wealth(&chain, i)).collect();
    fill_pot(&mut chain, Amount(1_001));
    chain.switch();
    // Nobody did any: it waits.
    assert_eq!(vaults(&chain.state).unwrap().rewards, Amount(1_001));
    check(&mut chain, 1, 9, 3);
    check(&mut chain, 2, 1, 1);
    check(&mut chain, 3, 5, 0);
    fill_pot(&mut chain, Amount(1_000));
    chain.switch();
    // Fees are free at once.
    assert_eq!(wealth(&chain, 1), plus(before[1], Amount(1_500)));
    assert_eq!(wealth(&chain, 2), plus(before[2], Amount(500)));
    assert_eq!((wealth(&chain, 0), wealth(&chain, 3)), (before[0], before[3]));
    assert_eq!(vaults(&chain.state).unwrap().rewards, Amount(1));
    assert_eq!((of(&chain, 1).verdicts, of(&chain, 1).last.verdicts), (Amount(1_500), Amount(1_500)));
    // A slashed one is not paid, nor does another gain by it.
    check(&mut chain, 1, 1, 1);
    check(&mut chain, 2, 1, 1);
    fill_pot(&mut chain, Amount(999));
    let proof = chain.double_vote(1, chain.height);
    chain.done(&chain.tx(&user(1), report(proof)));
    chain.switch();
    assert_eq!(wealth(&chain, 1), plus(before[1], Amount(1_500)));
    assert_eq!(wealth(&chain, 2), plus(before[2], Amount(1_000)));
    assert_eq!(vaults(&chain.state).unwrap().rewards, Amount(500));
}

#[test]
fn who_leaves_gets_the_rest_and_is_forgotten() {
    let mut chain = chain(paying(4_000, 0), 4);
    chain.switch();
    let before = chain.balance(&owner(3));
    chain.done(&chain.tx(&owner(3), leave()));
    for _ in 0..6 {
        chain.switch();
    }
    assert_eq!(chain.host(3), None);
    assert_eq!(chain.balance(&owner(3)), plus(before, plus(STAKE, Amount(750))));
    assert!(!EARNINGS.contains(&chain.state, &host(3)).unwrap());
    assert!(EARNINGS.contains(&chain.state, &host(2)).unwrap());
}

/// The presets run, and every block's books balance.
#[test]
fn the_local_preset_pays_its_hosts() {
    let mut params = freeway_ledger::Preset::Local.params();
    params.hosts.collateral_per_power = Amount(1_000);
    let mut chain = chain(params, 4);
    for _ in 0..6 {
        chain.switch();
    }
    let earnings = of(&chain, 0);
    assert!(earnings.released > Amount::fwy(30), "{earnings:?}");
    assert!(earnings.vesting.buckets().len() <= 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever deals with itself, and verifies everything as well, gets back at most what it paid; whatever others do.
    #[test]
    fn dealing_with_oneself_earns_nothing(
        first in prop_oneof![0u128..10_000, 0..1u128 << 40, 0..=1u128 << 63],
        fees in proptest::collection::vec(prop_oneof![Just(0u128), 1..100u128, 0..1u128 << 40, 0..1u128 << 100], 4),
    ) {
        let mut params = paying(first, 0);
        params.rewards.capacity_thousandths = 0;
        let mut chain = chain(params, 4);
        for (i, fees) in (0..).zip(&fees) {
            serve(&mut chain, i, *fees);
        }
        chain.switch();
        let mut sum = 0;
        for (i, fees) in (0..).zip(&fees) {
            let served = of(&chain, i).last.served.0;
            let (verifiers, training) = (fees / 20, fees / 5);
            let back = fees - verifiers - training + verifiers + served;
            prop_assert!(back <= *fees, "{served} of {fees}");
            sum += served;
        }
        prop_assert!(sum <= first);
    }

    /// Invariant 1, with money being made: whatever is served, checked, missed and slashed, and whatever the parameters
    /// are, the books balance in every block (the kit sees to that), and all that was made is the emission.
    #[test]
    fn money_is_conserved(
        first in prop_oneof![0u128..1_000, 0..=1u128 << 63],
        decay in prop_oneof![any::<u64>(), Just(STEADY)],
        (capacity, forfeit, vesting) in (0u64..=1_000, 0u64..=1_000, 1u64..40),
        (releases, collateral) in (1u32..6, 0u128..2_000_000),
        steps in proptest::collection::vec((0u8..5, 0u8..5, 0u128..1 << 70, 0u32..5), 30..80),
    ) {
        let mut params = paying(first, decay);
        params.rewards.capacity_thousandths = capacity;
        params.rewards.forfeit_thousandths = forfeit;
        params.rewards.vesting_epochs = vesting;
        params.rewards.max_releases_per_block = releases;
        let mut genesis = genesis(params.clone(), &[WEIGHT; 5], 2);
        genesis.hosts[4].collateral = Amount(collateral);
        let mut chain = Chain::of(&genesis);
        let genesis = SUPPLY.require(&chain.state).unwrap();
        for (what, i, fees, done) in steps {
            let mut batch = Vec::new();
            match what {
                0 => serve(&mut chain, i, fees),
                1 => check(&mut chain, i, 4, done),
                2 => fill_pot(&mut chain, Amount(fees % 1_000_000)),
                // Few enough that the others can go on.
                3 if i == 3 && chain.height > Height::FIRST => {
                    batch.push(chain.tx(&user(1), report(chain.double_vote(i, chain.height))));
                }
                _ => {}
            }
            chain.run(&batch);
        }
        let made: u128 = (0..chain.height.0 / 8).map(|epoch| emission(&params.rewards, Epoch(epoch)).0).sum();
        prop_assert_eq!(minted(&chain.state).unwrap(), Amount(made));
        prop_assert_eq!(SUPPLY.require(&chain.state).unwrap(), plus(genesis, Amount(made)));
        prop_assert!(made <= limit(&params.rewards).0);
        let (mut granted, mut gone) = (0u128, 0u128);
        for i in 0..5 {
            let earnings = of(&chain, i);
            granted += earnings.granted.0;
            gone += earnings.released.0 + earnings.forfeited.0;
        }
        prop_assert!(granted <= made && gone <= granted);
    }
}
