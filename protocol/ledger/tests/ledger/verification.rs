//! Checks of work: verdicts and what shows that they are false, demands, reports, trials, proofs.

use freeway_ledger::models::{Description, Tier};
use freeway_ledger::verification::{
    self, DEMANDS, Event, Finding, Judgement, Message as Verify, Proof, Ruling, TRIALS, VERDICTS, Verdict,
    open_trials,
};
use freeway_ledger::work::{self, Stage, State, Void};
use freeway_ledger::{Message, rewards, vaults};
use freeway_primitives::{Address, Amount, Digest};
use freeway_proofs::work::{LaneId, Receipt, salted, tag};

use crate::kit::*;
use crate::paying::*;
use crate::working::*;

const BOND: Amount = Amount::fwy(1);

fn number_of(member: &Address) -> u8 {
    (0..40).find(|i| host(*i) == *member).unwrap()
}

fn duty(shop: &Shop, i: u8) -> (u32, u32) {
    let duty = rewards::DUTIES.get(&shop.market.chain.state, &host(i)).unwrap().unwrap_or_default();
    (duty.owed, duty.done)
}

fn case(shop: &Shop) -> verification::Case {
    open_trials(&shop.market.chain.state).unwrap()[0].0
}

/// So many hosts, of whom host 0 has served with a coarser model; at the stage of verdicts.
fn coarse(hosts: u8) -> (Shop, u64) {
    let mut shop = Shop::new(hosts);
    let lane = shop.lane();
    let interval = shop.interval();
    shop.serve_as(0, lane, &[500, 20, 3_000, 1], |_| false);
    shop.serve(1, lane, &[500, 20]);
    shop.commit_all(interval);
    shop.reach_verdicts(interval);
    (shop, interval)
}

/// The same, but host 0 is honest.
fn honest(hosts: u8) -> (Shop, u64) {
    let mut shop = Shop::new(hosts);
    let lane = shop.lane();
    let interval = shop.interval();
    shop.serve(0, lane, &[500, 20, 3_000, 1]);
    shop.serve(1, lane, &[500, 20]);
    shop.commit_all(interval);
    shop.reach_verdicts(interval);
    (shop, interval)
}

#[test]
fn a_coarser_model_is_convicted() {
    let (mut shop, interval) = coarse(6);
    for i in 2..6 {
        shop.trust(i, 7);
    }
    shop.trust(0, 30);
    shop.check_all(interval, &[]);
    let (stake, balance) = (shop.stake(0), shop.market.chain.balance(&owner(2)));
    let before = vaults(&shop.market.chain.state).unwrap();
    let accusation = shop.accusation(0, interval, 0);
    shop.sends(&owner(2), accusation.clone());
    assert_eq!(shop.market.chain.balance(&owner(2)), minus(balance, BOND));
    assert_eq!(shop.refuses(&owner(3), accusation), "already_on_trial");
    let (case, trial) = open_trials(&shop.market.chain.state).unwrap().remove(0);
    // Neither the accused nor the accuser.
    let mut jury: Vec<_> = trial.jury.iter().map(|juror| number_of(&juror.host)).collect();
    jury.sort_unstable();
    assert_eq!((jury, trial.slashes), (vec![1, 3, 4, 5], true));
    for i in [0, 2] {
        let own = of_checks(Verify::Judge(vec![Judgement { case, guilty: false }]));
        assert_eq!(shop.refuses(&owner(i), own), "not_a_judge");
    }
    let penalty = stake.fraction(200, 1_000).unwrap();
    let bounty = penalty.fraction(100, 1_000).unwrap();
    let guilty = shop.judge_all(&[]);
    assert!(of_verification(&guilty).contains(&Event::Convicted { host: host(0), interval, penalty }));
    assert_eq!((shop.state(0, interval), shop.reputation(0)), (State::Convicted, 0));
    assert_eq!(shop.stake(0), minus(stake, penalty));
    assert_eq!(shop.market.chain.balance(&owner(2)), plus(balance, bounty));
    let after = vaults(&shop.market.chain.state).unwrap();
    assert_eq!((after.bonds, after.pool), (before.bonds, plus(before.pool, minus(penalty, bounty))));
    let again = shop.accusation(0, interval, 1);
    assert_eq!(shop.refuses(&owner(3), again), "decided");
    shop.reveal_all(interval, &[0]);
    shop.finish(interval);
    assert_eq!((shop.state(1, interval), shop.matured(0)), (State::Matured, Amount::ZERO));
    // Who found it wrong has done its duty, and nobody has lost anything by it.
    assert!((2..6).all(|i| duty(&shop, i).0 == duty(&shop, i).1 && shop.reputation(i) == 7));
}

/// What a convicted host has open, and what has matured and is not settled, is lost; also in other intervals.
#[test]
fn a_conviction_takes_everything_that_is_open() {
    let mut shop = Shop::new(6);
    let lane = shop.lane();
    let first = shop.interval();
    shop.serve(0, lane, &[500]);
    shop.honest(first);
    assert!(shop.matured(0) > Amount::ZERO);
    let second = shop.interval();
    shop.serve_as(0, lane, &[500], |_| false);
    shop.commit_all(second);
    let third = shop.interval();
    shop.serve(0, lane, &[500]);
    shop.commit_all(third);
    assert_eq!(shop.standing(0).intervals, [second, third]);
    let accusation = shop.accusation(0, second, 0);
    shop.sends(&owner(2), accusation);
    let convicted_now = convicted(&shop.judge_all(&[]));
    assert!(convicted_now.contains(&host(0)));
    assert_eq!((shop.state(0, second), shop.state(0, third)), (State::Convicted, void(Void::Forfeited)));
    assert_eq!((shop.standing(0).open, shop.matured(0)), (Amount::ZERO, Amount::ZERO));
    assert_eq!(shop.state(0, first), State::Matured);
    shop.finish(third);
}

#[test]
fn a_false_accusation_costs_its_bond() {
    let (mut shop, interval) = honest(6);
    shop.trust(0, 9);
    shop.check_all(interval, &[]);
    let (stake, balance) = (shop.stake(0), shop.market.chain.balance(&owner(2)));
    let pool = vaults(&shop.market.chain.state).unwrap().pool;
    let accusation = shop.accusation(0, interval, 0);
    shop.sends(&owner(2), accusation);
    let case = case(&shop);
    assert!(of_verification(&shop.judge_all(&[])).contains(&Event::Acquitted { case }));
    assert_eq!(shop.market.chain.balance(&owner(2)), minus(balance, BOND));
    assert_eq!(vaults(&shop.market.chain.state).unwrap().pool, plus(pool, BOND));
    shop.reveal_all(interval, &[]);
    shop.finish(interval);
    assert_eq!((shop.state(0, interval), shop.stake(0), shop.reputation(0)), (State::Matured, stake, 9));
}

/// Invariant 7: without a ruling nobody is punished, and what other verdicts bear out is paid.
#[test]
fn an_undecided_trial_changes_nothing() {
    for honestly in [true, false] {
        let (mut shop, interval) = if honestly { honest(6) } else { coarse(6) };
        let (stake, balance) = (shop.stake(0), shop.market.chain.balance(&owner(2)));
        shop.check_all(interval, &[]);
        shop.reach_reveals(interval);
        let accusation = shop.accusation(0, interval, 0);
        shop.sends(&owner(2), accusation);
        let place = case(&shop);
        // Two of four are not more than two thirds.
        let judged = shop.judge_all(&[4, 5]);
        assert_eq!(convicted(&judged).len(), 0);
        if let Some(reveal) = shop.reveal_tx(0, interval) {
            shop.chain().block(&[reveal]);
        }
        shop.finish(interval);
        let trial = TRIALS.get(&shop.market.chain.state, &place).unwrap().unwrap();
        assert_eq!((trial.ruling, trial.bond), (Some(Ruling::Undecided), Amount::ZERO));
        assert_eq!((shop.stake(0), shop.market.chain.balance(&owner(2))), (stake, balance));
        let expected = if honestly { State::Matured } else { void(Void::Unchecked) };
        assert_eq!(shop.state(0, interval), expected);
    }
}

/// Where there are just enough without the accused, the accuser judges too.
#[test]
fn four_hosts_can_convict_one_of_them() {
    let (mut shop, interval) = coarse(4);
    let stake = shop.stake(0);
    let accusation = shop.accusation(0, interval, 0);
    shop.sends(&owner(2), accusation);
    let trial = open_trials(&shop.market.chain.state).unwrap().remove(0).1;
    assert!(trial.slashes && trial.jury.iter().any(|juror| juror.host == host(2)));
    let penalty = stake.fraction(200, 1_000).unwrap();
    let judged = shop.judge_all(&[]);
    assert!(of_verification(&judged).contains(&Event::Convicted { host: host(0), interval, penalty }));
    assert_eq!(shop.state(0, interval), State::Convicted);
}

/// Fewer than three independent operators touch no collateral; the fees and the reputation are gone all the same.
#[test]
fn a_small_jury_touches_no_collateral() {
    let (mut shop, interval) = coarse(3);
    shop.trust(0, 9);
    let stake = shop.stake(0);
    let accusation = shop.accusation(0, interval, 0);
    shop.sends(&owner(2), accusation);
    assert!(!open_trials(&shop.market.chain.state).unwrap()[0].1.slashes);
    let events = shop.judge_all(&[]);
    let penalty = Amount::ZERO;
    assert!(of_verification(&events).contains(&Event::Convicted { host: host(0), interval, penalty }));
    assert_eq!((shop.stake(0), shop.reputation(0)), (stake, 0));
    assert_eq!((shop.state(0, interval), shop.standing(0).convicted), (State::Convicted, None));
}

/// A jury of many hosts of one operator decides nothing alone.
#[test]
fn one_operator_convicts_nobody() {
    let mut params = quick();
    working(&mut params);
    let mut all = genesis(params, &[WEIGHT; 8], 2);
    // Four of the six jurors.
    for i in [5, 6, 7] {
        all.hosts[i].operator = all.hosts[4].operator.clone();
    }
    let mut shop = Shop::of(&all);
    let lane = shop.lane();
    let interval = shop.interval();
    shop.serve(0, lane, &[500]);
    shop.commit_all(interval);
    shop.reach_verdicts(interval);
    let accusation = shop.accusation(0, interval, 0);
    shop.sends(&owner(1), accusation);
    let case = case(&shop);
    let guilty = of_checks(Verify::Judge(vec![Judgement { case, guilty: true }]));
    for i in 4..8 {
        shop.sends(&owner(i), guilty.clone());
    }
    let trial = TRIALS.get(&shop.market.chain.state, &case).unwrap().unwrap();
    assert_eq!((trial.guilty.count_ones(), trial.ruling), (4, None));
    assert_eq!(shop.refuses(&owner(4), guilty), "already_judged");
}

#[test]
fn who_accuses_and_what() {
    let mut params = quick();
    working(&mut params);
    let mut all = genesis(params, &[WEIGHT; 6], 2);
    all.hosts[4].operator = all.hosts[0].operator.clone();
    let mut shop = Shop::of(&all);
    shop.chain().block(&[]);
    let lane = shop.lane();
    let interval = shop.interval();
    shop.serve(0, lane, &[500, 20]);
    shop.serve(1, lane, &[500, 20]);
    shop.commit_all(interval);
    let accusation = shop.accusation(0, interval, 0);
    // Its operator is independent of nobody here, as a private network may have it.
    shop.reach_verdicts(interval);
    assert_eq!(shop.refuses(&owner(0), accusation.clone()), "own_operator");
    let Message::Verification(Verify::Accuse(good)) = &accusation else { panic!() };
    let of = |change: fn(&mut verification::Accusation)| {
        let mut other = good.as_ref().clone();
        change(&mut other);
        of_checks(Verify::Accuse(Box::new(other)))
    };
    for change in [
        (|a| a.leaf.branch = 1) as fn(&mut verification::Accusation),
        |a| a.leaf.opening.index = 1,
        |a| a.leaf.entry.total = Amount(1),
        |a| a.receipt.fee = Amount(1),
    ] {
        assert_eq!(shop.refuses(&owner(1), of(change)), "wrong_leaf");
    }
    assert_eq!(shop.refuses(&owner(1), of(|a| a.interval += 1)), "not_committed");
    assert_eq!(shop.refuses(&owner(1), of(|a| a.host = host(2))), "not_committed");
    // A payer can accuse, too.
    assert_eq!(shop.refuses(&stranger(0), accusation.clone()), "insufficient_balance");
    shop.sends(&user(0), accusation.clone());
    shop.check_all(interval, &[]);
    shop.reveal_all(interval, &[]);
    shop.finish(interval);
    let late = shop.accusation(0, interval, 1);
    assert_eq!(shop.refuses(&owner(1), late), "decided");
}

#[test]
fn operators_do_not_accuse_themselves_on_a_network_of_many() {
    let mut params = quick();
    working(&mut params);
    params.lanes.operator_independence = true;
    let mut all = genesis(params, &[WEIGHT; 6], 2);
    all.hosts[4].operator = all.hosts[0].operator.clone();
    let mut shop = Shop::of(&all);
    let lane = shop.lane();
    let interval = shop.interval();
    shop.serve(0, lane, &[500, 20]);
    shop.commit_all(interval);
    let accusation = shop.accusation(0, interval, 0);
    assert_eq!(shop.refuses(&owner(4), accusation.clone()), "own_operator");
    shop.sends(&owner(1), accusation);
    let trial = open_trials(&shop.market.chain.state).unwrap().remove(0).1;
    assert!(trial.jury.iter().all(|juror| juror.host != host(4)));
}

/// Invariant 9: there is room for so many trials about one host's work, and no more.
#[test]
fn trials_are_bounded() {
    let (mut shop, interval) = honest(6);
    for index in 0..4 {
        let accusation = shop.accusation(0, interval, index);
        if index < 3 {
            shop.sends(&user(0), accusation);
        } else {
            shop.sends(&user(1), accusation);
        }
    }
    let other = shop.accusation(1, interval, 0);
    shop.sends(&user(1), other);
    let mut shop = Shop::with(6, |params| params.verification.max_trials_of_commitment = 1);
    let lane = shop.lane();
    let interval = shop.interval();
    shop.serve(0, lane, &[500, 20]);
    shop.commit_all(interval);
    let (one, two) = (shop.accusation(0, interval, 0), shop.accusation(0, interval, 1));
    shop.sends(&user(0), one);
    assert_eq!(shop.refuses(&user(0), two), "too_many_trials");
}

#[test]
fn verdicts_are_asked_for_once_and_in_time() {
    let (mut shop, interval) = honest(6);
    let committee = shop.commitment_of(0, interval).branches[0].committee.clone();
    let i = number_of(&committee[0]);
    let outsider = (1..6).find(|i| !committee.contains(&host(*i))).unwrap();
    let good = shop.verdicts(i, interval).into_iter().find(|verdict| verdict.host == host(0)).unwrap();
    let of = |verdicts: Vec<Verdict>| of_checks(Verify::Verdicts { interval, verdicts });
    let send = |verdict: &Verdict| of(vec![verdict.clone()]);
    assert_eq!(shop.refuses(&owner(i), of(vec![])), "empty");
    assert_eq!(
        shop.refuses(&owner(i), of(vec![Verdict { findings: vec![], ..good.clone() }; 257])),
        "too_many"
    );
    assert_eq!(shop.refuses(&owner(i), of(vec![good.clone(); 2])), "already_given");
    assert_eq!(shop.refuses(&owner(outsider), send(&good)), "unsolicited");
    assert_eq!(shop.refuses(&owner(0), send(&good)), "unsolicited");
    let short = Verdict { findings: good.findings[1..].to_vec(), ..good.clone() };
    assert_eq!(shop.refuses(&owner(i), send(&short)), "wrong_count");
    assert_eq!(shop.refuses(&owner(i), send(&Verdict { branch: 1, ..good.clone() })), "unsolicited");
    assert_eq!(shop.refuses(&owner(i), send(&Verdict { host: host(4), ..good.clone() })), "not_committed");
    shop.sends(&owner(i), send(&good));
    assert_eq!(shop.refuses(&owner(i), send(&good)), "already_given");
    shop.check_all(interval, &[]);
    shop.reach_reveals(interval);
    let late = number_of(&committee[1]);
    assert_eq!(shop.refuses(&owner(late), send(&good)), "too_late");
}

/// Copied and invented tags show as soon as the host reveals, and a jury says whose fault it is.
#[test]
fn tags_that_were_not_computed_are_shown() {
    for copied in [true, false] {
        let (mut shop, interval) = honest(8);
        let committee = shop.commitment_of(0, interval).branches[0].committee.clone();
        let (lazy, diligent) = (number_of(&committee[0]), number_of(&committee[1]));
        shop.trust(lazy, 9);
        let mut theirs = shop.verdicts(diligent, interval);
        theirs.retain(|verdict| verdict.host == host(0));
        if !copied {
            theirs[0].findings.fill(Finding::Right([7; 16]));
        }
        let mut mine = shop.verdicts(lazy, interval);
        mine.retain(|verdict| verdict.host != host(0));
        mine.extend(theirs);
        let transaction = shop.verdict_tx(lazy, interval, mine);
        shop.chain().done(&transaction);
        shop.check_all(interval, &[]);
        let revealed = of_verification(&events(&shop.reveal_all(interval, &[])));
        assert!(revealed.contains(&Event::Revealed { host: host(0), interval, contradicted: 1 }));
        let trial = open_trials(&shop.market.chain.state).unwrap().remove(0).1;
        assert_eq!((trial.accuser, &trial.members), (None, &vec![host(lazy)]));
        assert!(trial.jury.iter().all(|juror| juror.host != host(lazy) && juror.host != host(0)));
        let judged = of_verification(&shop.judge_all(&[]));
        assert!(judged.contains(&Event::FalseVerdict { member: host(lazy), host: host(0), interval }));
        shop.finish(interval);
        assert_eq!((shop.state(0, interval), shop.reputation(lazy)), (State::Matured, 0));
        let (owed, done) = duty(&shop, lazy);
        assert_eq!(owed, done + 1);
    }
}

/// A host answers right and signs another trace than that of the work. What it reveals contradicts all who computed,
/// wherever their samples lie in that leaf, so that its conviction does not fall on them.
#[test]
fn a_false_trace_does_not_fall_on_those_who_computed() {
    let (mut shop, interval) = coarse(8);
    let committee = shop.commitment_of(0, interval).branches[0].committee.clone();
    for member in committee.iter().map(number_of) {
        let mut verdicts = shop.verdicts(member, interval);
        for assignment in shop.assigned(member, interval).iter().filter(|known| known.host == host(0)) {
            let right = |place| {
                let receipt = shop.sampled(assignment, place);
                let computed = trace(&receipt.host, receipt.lane, receipt.sequence);
                let (member, host) = (host(member), host(0));
                Finding::Right(tag(interval, &member, &host, &receipt.digest(), &computed))
            };
            let findings = (0..assignment.samples.len()).map(right).collect();
            verdicts.retain(|verdict| verdict.host != host(0));
            verdicts.push(Verdict { host: host(0), branch: assignment.branch, findings });
        }
        let transaction = shop.verdict_tx(member, interval, verdicts);
        shop.chain().done(&transaction);
    }
    shop.check_all(interval, &[]);
    let revealed = of_verification(&events(&shop.reveal_all(interval, &[])));
    let all = u32::try_from(committee.len()).unwrap();
    assert!(revealed.contains(&Event::Revealed { host: host(0), interval, contradicted: all }));
    let trial = open_trials(&shop.market.chain.state).unwrap().remove(0).1;
    assert!(trial.places.len() > 1, "the test is about leaves that several samples hit");
    let judged = shop.judge_all(&[]);
    assert!(convicted(&judged).contains(&host(0)));
    let is_false = |event: &Event| matches!(event, Event::FalseVerdict { .. });
    assert!(!of_verification(&judged).iter().any(is_false));
    shop.finish(interval);
    for member in committee.iter().map(number_of) {
        let (owed, done) = duty(&shop, member);
        assert_eq!(owed, done);
    }
}

/// A member in league with a cheat says that its work is right. One honest member and a jury are enough for both.
#[test]
fn who_covers_for_a_cheat_falls_with_it() {
    let (mut shop, interval) = coarse(8);
    let committee = shop.commitment_of(0, interval).branches[0].committee.clone();
    let friend = number_of(&committee[0]);
    shop.trust(friend, 9);
    let mut verdicts = shop.verdicts(friend, interval);
    for verdict in verdicts.iter_mut().filter(|verdict| verdict.host == host(0)) {
        verdict.findings.fill(Finding::Right([7; 16]));
    }
    let transaction = shop.verdict_tx(friend, interval, verdicts);
    shop.chain().done(&transaction);
    shop.check_all(interval, &[]);
    let honest = number_of(&committee[1]);
    let (leaf, receipt) = shop.leaf_of(0, interval, 0);
    let accusation = verification::Accusation { interval, host: host(0), leaf, receipt };
    shop.sends(&owner(honest), of_checks(Verify::Accuse(Box::new(accusation))));
    // The friend judges, and is outvoted.
    let judged = shop.judge_all(&[friend]);
    assert!(convicted(&judged).contains(&host(0)));
    let event = Event::FalseVerdict { member: host(friend), host: host(0), interval };
    assert!(of_verification(&judged).contains(&event));
    assert_eq!(shop.reputation(friend), 0);
    shop.reveal_all(interval, &[0]);
    shop.finish(interval);
    assert!(duty(&shop, friend).1 < duty(&shop, friend).0);
}

/// A host that made up its traces cannot reveal them without contradicting whoever computed.
#[test]
fn who_says_wrong_must_be_borne_out() {
    let (mut shop, interval) = honest(6);
    let committee = shop.commitment_of(0, interval).branches[0].committee.clone();
    let i = number_of(&committee[0]);
    let mut verdicts = shop.verdicts(i, interval);
    for verdict in &mut verdicts {
        verdict.findings.fill(if verdict.host == host(0) { Finding::Wrong } else { Finding::NotShown });
    }
    let given = verdicts.len() as u32;
    let transaction = shop.verdict_tx(i, interval, verdicts);
    shop.chain().done(&transaction);
    shop.check_all(interval, &[]);
    shop.reveal_all(interval, &[]);
    shop.finish(interval);
    // The others computed: it matures, and neither answer saved any work.
    assert_eq!((shop.state(0, interval), duty(&shop, i)), (State::Matured, (given, 0)));
}

#[test]
fn what_is_drawn_must_be_revealed() {
    let (mut shop, interval) = honest(6);
    shop.trust(0, 9);
    let stake = shop.stake(0);
    let early = of_checks(Verify::Reveal(Box::new({
        let (leaf, receipt) = shop.leaf_of(0, interval, 0);
        verification::Reveal { interval, leaf, receipt, salt: SALT, trace: COARSE }
    })));
    assert_eq!(shop.refuses(&owner(0), early), "too_early");
    shop.check_all(interval, &[]);
    shop.reach_reveals(interval);
    let good = shop.reveal(0, interval).unwrap();
    let of = |reveal: verification::Reveal| of_checks(Verify::Reveal(Box::new(reveal)));
    let other = (0..4).find(|index| *index as u64 != good.leaf.opening.index).unwrap();
    let done = &shop.done[&(interval, host(0))][0];
    let (leaf, receipt) = (done.leaf(0, other), done.receipts[other]);
    for wrong in [
        verification::Reveal { trace: COARSE, ..good.clone() },
        verification::Reveal { salt: [0; 32], ..good.clone() },
        verification::Reveal { leaf: leaf.clone(), ..good.clone() },
        verification::Reveal { receipt, ..good.clone() },
        verification::Reveal { trace: freeway_proofs_trace(&receipt), leaf, receipt, ..good.clone() },
    ] {
        assert_eq!(shop.refuses(&owner(0), of(wrong)), "wrong_leaf");
    }
    let one = shop.reveal(1, interval).unwrap();
    shop.sends(&owner(1), of(one.clone()));
    assert_eq!(shop.refuses(&owner(1), of(one)), "not_drawn");
    shop.finish(interval);
    assert_eq!((shop.state(0, interval), shop.state(1, interval)), (void(Void::Unrevealed), State::Matured));
    // Silence costs no collateral.
    assert_eq!((shop.stake(0), shop.reputation(0), shop.matured(0)), (stake, 0, Amount::ZERO));
    assert_eq!(shop.refuses(&owner(0), of(good)), "decided");
}

fn freeway_proofs_trace(receipt: &Receipt) -> Digest {
    let trace = trace(&receipt.host, receipt.lane, receipt.sequence);
    assert_eq!(salted(&SALT, &trace), receipt.trace);
    trace
}

#[test]
fn an_answered_demand_pays_for_the_bytes() {
    let (mut shop, interval) = honest(6);
    let bond = shop.params().verification.demand_bond;
    let committee = shop.commitment_of(0, interval).branches[0].committee.clone();
    let i = number_of(&committee[0]);
    let outsider = (1..6).find(|i| !committee.contains(&host(*i))).unwrap();
    let demand = |sample| of_checks(Verify::Demand { interval, host: host(0), sample });
    assert_eq!(shop.refuses(&owner(outsider), demand(0)), "unknown_sample");
    assert_eq!(shop.refuses(&owner(i), demand(8)), "unknown_sample");
    let (mine, theirs) = (shop.market.chain.balance(&owner(i)), shop.market.chain.balance(&owner(0)));
    shop.sends(&owner(i), demand(3));
    assert_eq!(shop.market.chain.balance(&owner(i)), minus(mine, bond));
    let other = number_of(&committee[1]);
    assert_eq!(shop.refuses(&owner(other), demand(3)), "already_asked");
    let unasked = shop.answer(0, interval, 4);
    assert_eq!(shop.refuses(&owner(0), unasked), "not_asked");
    let good = shop.answer(0, interval, 3);
    let Message::Verification(Verify::Answer(answer)) = good.clone() else { panic!() };
    let mut wrong = answer.as_ref().clone();
    wrong.receipt.fee = Amount(1);
    assert_eq!(shop.refuses(&owner(0), of_checks(Verify::Answer(Box::new(wrong)))), "wrong_leaf");
    assert_eq!(shop.refuses(&owner(1), good.clone()), "not_asked");
    shop.sends(&owner(0), good.clone());
    assert_eq!(shop.refuses(&owner(0), good), "not_asked");
    assert_eq!(shop.market.chain.balance(&owner(0)), plus(theirs, bond));
    assert_eq!(verification::demands_on(&shop.market.chain.state, interval, &host(0)).unwrap().len(), 1);
    shop.check_all(interval, &[]);
    shop.reveal_all(interval, &[]);
    shop.finish(interval);
    assert_eq!(shop.state(0, interval), State::Matured);
}

/// Invariant 7: what was demanded here and not shown here is withheld.
#[test]
fn an_unanswered_demand_voids_the_interval() {
    let (mut shop, interval) = honest(6);
    shop.trust(0, 9);
    let committee = shop.commitment_of(0, interval).branches[0].committee.clone();
    let i = number_of(&committee[0]);
    let (stake, balance) = (shop.stake(0), shop.market.chain.balance(&owner(i)));
    shop.sends(&owner(i), of_checks(Verify::Demand { interval, host: host(0), sample: 0 }));
    let late = shop.answer(0, interval, 0);
    shop.check_all(interval, &[]);
    for _ in 0..3 {
        shop.chain().block(&[]);
    }
    assert_eq!(shop.state(0, interval), void(Void::Withheld));
    assert!(shop.refuses(&owner(0), late).starts_with("too_late"));
    assert_eq!((shop.stake(0), shop.reputation(0)), (stake, 0));
    assert_eq!(shop.market.chain.balance(&owner(i)), balance);
    let place = (interval, (host(0), 0));
    assert!(!DEMANDS.get(&shop.market.chain.state, &place).unwrap().unwrap().answered);
    // What it did can still convict it: here it did nothing wrong.
    let accusation = shop.accusation(0, interval, 0);
    shop.sends(&user(0), accusation);
    shop.finish(interval);
    assert_eq!(shop.matured(0), Amount::ZERO);
}

#[test]
fn a_receipt_that_is_left_out_voids_the_interval() {
    let mut shop = Shop::new(6);
    let lane = shop.lane();
    let interval = shop.interval();
    shop.serve(0, lane, &[500, 20]);
    shop.trust(0, 9);
    let omitted = shop.receipt(host(0), lane, 9_000, false);
    let kept = shop.done[&(interval, host(0))][0].receipts[1];
    let early = shop.report(0, omitted);
    shop.commit_all(interval);
    assert_eq!(shop.refuses(&user(0), early.clone()), "too_early");
    shop.reach_verdicts(interval);
    // Somebody else's signature is no proof.
    let Message::Verification(Verify::Report(report)) = early.clone() else { panic!() };
    let mut forged = report.as_ref().clone();
    forged.signed.receipt.fee = Amount(1);
    assert_eq!(shop.refuses(&user(0), of_checks(Verify::Report(Box::new(forged)))), "no_proof");
    let bond = shop.params().verification.report_bond;
    let (payer, server) = (shop.market.chain.balance(&user(0)), shop.market.chain.balance(&owner(0)));
    // One that stands there pays the host for showing it.
    let groundless = shop.report(0, kept);
    shop.sends(&user(0), groundless.clone());
    assert_eq!(shop.refuses(&user(1), groundless), "already_asked");
    assert_eq!(verification::reports_on(&shop.market.chain.state, interval, &host(0)).unwrap().len(), 1);
    let (good, wrong) = (shop.inclusion(0, interval, 1), shop.inclusion(0, interval, 0));
    assert_eq!(shop.refuses(&owner(0), wrong), "not_asked");
    shop.sends(&owner(0), good);
    assert_eq!(shop.market.chain.balance(&owner(0)), plus(server, bond));
    assert_eq!(shop.market.chain.balance(&user(0)), minus(payer, bond));
    shop.sends(&user(0), early);
    shop.check_all(interval, &[]);
    shop.reveal_all(interval, &[]);
    shop.finish(interval);
    assert_eq!((shop.state(0, interval), shop.reputation(0)), (void(Void::Omitted), 0));
    assert_eq!(shop.market.chain.balance(&user(0)), minus(payer, bond));
    assert_eq!((shop.matured(0), shop.stake(0)), (Amount::ZERO, STAKE));
}

fn prove(proof: Proof) -> Message {
    of_checks(Verify::Prove(Box::new(proof)))
}

/// Invariant 10: one conviction covers all that was signed before it.
#[test]
fn two_receipts_for_one_request_convict_at_once() {
    let mut shop = Shop::new(4);
    let lane = shop.lane();
    let (one, two) = (shop.receipt(host(0), lane, 500, true), shop.receipt(host(0), lane, 30, true));
    let other = Receipt { usage: two.usage, fee: two.fee, ..one };
    let proof = |a, b| prove(Proof::Receipts { first: a, second: b });
    let of = |shop: &Shop, a: Receipt, b: Receipt| proof(shop.signed(0, a), shop.signed(0, b));
    for (a, b) in [(one, one), (one, two), (one, Receipt { host: host(1), ..other })] {
        let message = of(&shop, a, b);
        assert_eq!(shop.refuses(&user(0), message), "no_proof");
    }
    let forged = proof(shop.signed(0, one), shop.signed(1, other));
    assert_eq!(shop.refuses(&user(0), forged), "no_proof");
    let unknown = LaneId(99);
    let elsewhere = of(&shop, Receipt { lane: unknown, ..one }, Receipt { lane: unknown, ..other });
    assert_eq!(shop.refuses(&user(0), elsewhere), "no_proof");
    let good = of(&shop, one, other);
    let stake = shop.stake(0);
    let events = shop.sends(&user(0), good.clone());
    let penalty = stake.fraction(200, 1_000).unwrap();
    let interval = one.interval;
    assert!(of_verification(&events).contains(&Event::Convicted { host: host(0), interval, penalty }));
    assert_eq!(shop.stake(0), minus(stake, penalty));
    assert_eq!(shop.refuses(&user(1), good), "already_convicted");
    let more = of(&shop, two, Receipt { output: Digest([5; 32]), ..two });
    assert_eq!(shop.refuses(&user(1), more), "already_convicted");
    // From a share that it got later it can be convicted again.
    let fresh = shop.lane();
    let again = shop.receipt(host(0), fresh, 500, true);
    let message = of(&shop, again, Receipt { output: Digest([5; 32]), ..again });
    assert!(convicted(&shop.sends(&user(0), message)).contains(&host(0)));
}

/// A host that puts into its tree what its own receipts or prices contradict has proven it itself.
#[test]
fn a_leaf_that_contradicts_its_receipt_convicts() {
    type Change = fn(&mut Receipt);
    let changes: [(Change, bool); 6] = [
        (|_| {}, false),
        (|receipt| receipt.fee = Amount(receipt.fee.0 + 1), true),
        (|receipt| receipt.usage.completion += 10, true),
        (|receipt| receipt.interval += 1, true),
        (|receipt| receipt.host = host(1), true),
        (|receipt| receipt.lane = LaneId(1), true),
    ];
    for (change, is_wrong) in changes {
        let mut shop = Shop::new(4);
        let lane = shop.lane();
        let mut constrained = opened(ESCROW, 4);
        constrained.constraints.regions = vec![text("somewhere")];
        shop.market.open(constrained);
        let interval = shop.interval();
        let mut done = Done::default();
        done.push(shop.receipt(host(0), lane, 500, true));
        let mut receipt = shop.receipt(host(0), lane, 500, true);
        change(&mut receipt);
        done.push(receipt);
        shop.done.insert((interval, host(0)), vec![done.clone()]);
        shop.commit_all(interval);
        let proof = |index: usize| {
            let (leaf, receipt) = (done.leaf(0, index), Some(done.receipts[index]));
            prove(Proof::Leaf { interval, host: host(0), leaf, receipt })
        };
        assert_eq!(shop.refuses(&user(0), proof(0)), "no_proof");
        if is_wrong {
            assert!(convicted(&shop.sends(&user(0), proof(1))).contains(&host(0)));
            assert_eq!(shop.refuses(&user(1), proof(1)), "already_convicted");
            assert_eq!(shop.state(0, interval), State::Convicted);
        } else {
            assert_eq!(shop.refuses(&user(0), proof(1)), "no_proof");
        }
    }
}

#[test]
fn leaves_out_of_order_convict() {
    // Sequence, and what the total is off by, of the second request in a tree.
    for (sequence, off, is_wrong) in [(1, 0, false), (2, 0, true), (0, 0, true), (1, 1, true)] {
        let mut shop = Shop::new(4);
        let lane = shop.lane();
        let interval = shop.interval();
        let mut done = Done::default();
        done.push(shop.receipt(host(0), lane, 500, true));
        let mut receipt = shop.receipt(host(0), lane, 500, true);
        (receipt.sequence, receipt.total) = (sequence, Amount(receipt.total.0 + off));
        done.push(receipt);
        shop.done.insert((interval, host(0)), vec![done.clone()]);
        shop.commit_all(interval);
        let (first, second) = (done.leaf(0, 0), done.leaf(0, 1));
        let of =
            |first, second| prove(Proof::Leaves { host: host(0), interval, first, later: interval, second });
        assert_eq!(shop.refuses(&user(0), of(first.clone(), first.clone())), "no_proof");
        if is_wrong {
            assert!(convicted(&shop.sends(&user(0), of(first, second))).contains(&host(0)));
        } else {
            assert_eq!(shop.refuses(&user(0), of(first, second)), "no_proof");
        }
    }
}

/// A total that jumps from one interval to the next would be paid for work that nobody could sample.
#[test]
fn totals_do_not_jump_between_intervals() {
    for (off, is_wrong) in [(0, false), (1, true)] {
        let mut shop = Shop::new(4);
        let lane = shop.lane();
        let interval = shop.interval();
        shop.serve(0, lane, &[500]);
        shop.commit_all(interval);
        let later = shop.interval();
        let mut receipt = shop.receipt(host(0), lane, 500, true);
        receipt.total = Amount(receipt.total.0 + off);
        let mut done = Done::default();
        done.push(receipt);
        shop.done.insert((later, host(0)), vec![done.clone()]);
        let first = shop.done[&(interval, host(0))][0].leaf(0, 0);
        shop.commit_all(later);
        let second = done.leaf(0, 0);
        let backwards = Proof::Leaves {
            host: host(0),
            interval: later,
            first: second.clone(),
            later: interval,
            second: first.clone(),
        };
        assert_eq!(shop.refuses(&user(0), prove(backwards)), "no_proof");
        let proof = prove(Proof::Leaves { host: host(0), interval, first, later, second });
        if is_wrong {
            assert!(convicted(&shop.sends(&user(0), proof)).contains(&host(0)));
        } else {
            assert_eq!(shop.refuses(&user(0), proof), "no_proof");
        }
    }
}

/// On the statistical tier a trace is what the host sent: who has another tag was not there, and no collateral moves.
#[test]
fn the_statistical_tier_touches_no_collateral() {
    let mut shop = Shop::new(7);
    let root = Digest([0x44; 32]);
    let mut statistical = description("another-model");
    statistical.tier = Tier::Statistical;
    shop.sends(&user(0), register_model(root, statistical));
    let serving: Vec<_> = (0..7).map(|i| shop.market.chain.tx(&owner(i), serve(&[root]))).collect();
    shop.chain().block(&serving);
    let lane = shop.market.open(freeway_ledger::lanes::Opened { model: root, ..opened(ESCROW, 7) });
    let interval = shop.interval();
    shop.serve_as(0, lane, &[500], |_| false);
    shop.serve(1, lane, &[500]);
    shop.commit_all(interval);
    shop.reach_verdicts(interval);
    let committee = shop.commitment_of(1, interval).branches[0].committee.clone();
    let lazy = number_of(&committee[0]);
    shop.trust(lazy, 9);
    let mut verdicts = shop.verdicts(lazy, interval);
    for verdict in verdicts.iter_mut().filter(|verdict| verdict.host == host(1)) {
        verdict.findings.fill(Finding::Right([7; 16]));
    }
    let transaction = shop.verdict_tx(lazy, interval, verdicts);
    shop.chain().done(&transaction);
    shop.check_all(interval, &[]);
    let stake = shop.stake(0);
    let accusation = shop.accusation(0, interval, 0);
    shop.sends(&user(0), accusation);
    assert!(!open_trials(&shop.market.chain.state).unwrap()[0].1.slashes);
    assert!(convicted(&shop.judge_all(&[])).contains(&host(0)));
    assert_eq!((shop.stake(0), shop.state(0, interval)), (stake, State::Convicted));
    let revealed = of_verification(&events(&shop.reveal_all(interval, &[])));
    assert!(revealed.contains(&Event::FalseVerdict { member: host(lazy), host: host(1), interval }));
    assert_eq!(open_trials(&shop.market.chain.state).unwrap(), []);
    shop.finish(interval);
    assert_eq!((shop.state(1, interval), shop.reputation(lazy)), (State::Matured, 0));
}

/// Where nobody can be accused, what most members found wrong costs the fees and the reputation; elsewhere word stands
/// against word until somebody accuses.
#[test]
fn what_most_members_find_unlikely_costs_reputation_on_the_statistical_tier_alone() {
    for tier in [Tier::Statistical, Tier::Exact] {
        let mut shop = Shop::new(10);
        let root = Digest([0x44; 32]);
        shop.sends(&user(0), register_model(root, Description { tier, ..description("another-model") }));
        let serving: Vec<_> = (0..10).map(|i| shop.market.chain.tx(&owner(i), serve(&[root]))).collect();
        shop.chain().block(&serving);
        let lane = shop.market.open(freeway_ledger::lanes::Opened { model: root, ..opened(ESCROW, 10) });
        shop.trust(0, 9);
        shop.trust(1, 9);
        let (interval, stake) = (shop.interval(), shop.stake(0));
        shop.serve_as(0, lane, &[500], |_| false);
        shop.serve(1, lane, &[500]);
        shop.commit_all(interval);
        shop.check_all(interval, &[]);
        // One committee more.
        shop.check_all(interval, &[]);
        shop.finish_revealing(interval);
        assert_eq!((shop.state(0, interval), shop.stake(0)), (void(Void::Unchecked), stake));
        let expected = if tier == Tier::Statistical { 0 } else { 9 };
        assert_eq!((shop.reputation(0), shop.reputation(1)), (expected, 9), "{tier:?}");
        assert_eq!(shop.state(1, interval), State::Matured);
    }
}

/// A commitment goes on when its judges are late, and nothing is left open.
#[test]
fn bonds_come_back_when_everything_is_over() {
    let (mut shop, interval) = coarse(6);
    let committee = shop.commitment_of(0, interval).branches[0].committee.clone();
    let i = number_of(&committee[0]);
    shop.sends(&owner(i), of_checks(Verify::Demand { interval, host: host(0), sample: 0 }));
    let accusation = shop.accusation(0, interval, 0);
    shop.sends(&user(0), accusation);
    shop.reach(interval, |stage| matches!(stage, Stage::Judging { .. } | Stage::Revealing { .. }));
    shop.finish(interval);
    assert_eq!(open_trials(&shop.market.chain.state).unwrap(), []);
    let bonds = vaults(&shop.market.chain.state).unwrap().bonds;
    let of_models =
        freeway_ledger::models::MODELS.get(&shop.market.chain.state, &MODEL).unwrap().unwrap().bond;
    assert_eq!(bonds, of_models);
    assert_eq!(shop.commitment_of(0, interval).open, 0);
    assert!(VERDICTS.page(&shop.market.chain.state, None, 1).unwrap().is_empty());
    assert_eq!(work::rounds(&shop.market.chain.state).unwrap(), []);
}

/// A host that shows what it faked to its friends alone needs more friends than others who were shown nothing.
#[test]
fn a_few_friends_do_not_carry_a_fake() {
    for (friends, expected) in [(1, void(Void::Unchecked)), (2, State::Matured)] {
        let mut shop = Shop::new(10);
        let lane = shop.lane();
        let interval = shop.interval();
        shop.serve_as(0, lane, &[500, 20], |_| false);
        shop.commit_all(interval);
        for round in 0..2 {
            shop.reach_verdicts(interval);
            let members = shop.commitment_of(0, interval).branches[0].members().to_vec();
            assert_eq!(members.len(), 3);
            for (place, member) in members.iter().enumerate() {
                let i = number_of(member);
                let mut verdicts = shop.verdicts(i, interval);
                let is_friend = round == 0 && place < friends;
                for (at, finding) in verdicts[0].findings.iter_mut().enumerate() {
                    // A friend is told the trace that the host made up.
                    let receipt = shop.sampled(&shop.assigned(i, interval)[0], at);
                    let tag =
                        freeway_proofs::work::tag(interval, member, &host(0), &receipt.digest(), &COARSE);
                    *finding = if is_friend { Finding::Right(tag) } else { Finding::NotShown };
                }
                let transaction = shop.verdict_tx(i, interval, verdicts);
                shop.chain().done(&transaction);
            }
            // Until it is asked to reveal, or others are asked, or it is over.
            while shop.stage(interval).is_some()
                && shop.commitment_of(0, interval).round == round
                && shop.reveal(0, interval).is_none()
            {
                shop.chain().block(&[]);
            }
            if shop.commitment_of(0, interval).round == round {
                break;
            }
        }
        shop.finish_revealing(interval);
        assert_eq!(shop.state(0, interval), expected);
    }
}
