//! Work over random networks: whatever some hosts do, the honest lose nothing, and cheats of the exact tier fall.
//!
//! The chain's audit after every block sees to the rest: no money is made or lost.

use std::collections::BTreeMap;

use freeway_ledger::verification::{
    self, Accusation, Finding, Message as Verify, demands_on, is_judge, open_trials, reports_on,
};
use freeway_ledger::work::{self, State, Void};
use freeway_ledger::{Message, Transaction, admit, vaults};
use freeway_primitives::Amount;
use freeway_proofs::work::{LaneId, salted};
use proptest::prelude::*;

use crate::kit::*;
use crate::paying::*;
use crate::working::*;

/// What a host is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It does all that is asked.
    Honest,
    /// It serves with a coarser model, and is honest otherwise.
    Coarse,
    /// It gives tags that it has not computed.
    Lazy,
    /// It says nothing about others.
    Silent,
    /// It says that all are wrong, accuses and judges them guilty, and demands what it can.
    Griefer,
    /// It commits, and then shows nothing.
    Withholder,
    /// It leaves its first receipt out.
    Omitter,
}

use Kind::{Coarse, Griefer, Honest, Lazy, Omitter, Silent, Withholder};

/// Hosts that act by what they are, in every block.
struct World {
    shop: Shop,
    kinds: Vec<Kind>,
    lane: LaneId,
    /// Those that were convicted, and whether it took collateral.
    convicted: BTreeMap<u8, Amount>,
}

impl World {
    fn new(kinds: &[Kind]) -> Self {
        let mut shop = Shop::new(kinds.len() as u8);
        let lane = shop.lane();
        Self { shop, kinds: kinds.to_vec(), lane, convicted: BTreeMap::new() }
    }

    fn hosts(&self) -> impl Iterator<Item = (u8, Kind)> + use<> {
        (0u8..).zip(self.kinds.clone())
    }

    /// What everybody has served in the interval that begins now.
    fn serve(&mut self, completions: &[u32]) {
        for (i, kind) in self.hosts() {
            let right = kind != Coarse;
            if kind == Omitter {
                let omitted = self.shop.receipt(host(i), self.lane, 700, true);
                let interval = self.shop.interval();
                self.shop.omitted.push((i, interval, omitted));
            }
            self.shop.serve_as(i, self.lane, completions, |_| right);
        }
    }

    /// A block in which everybody does what it does.
    fn block(&mut self, interval: u64) {
        let mut all = Vec::new();
        for (i, kind) in self.hosts() {
            self.act(i, kind, interval, &mut all);
        }
        if self.shop.chain().height.0.is_multiple_of(3) {
            all.extend(self.reports(interval));
        }
        let outcome = self.shop.chain().run(&all).0;
        for event in of_verification(&events(&outcome)) {
            if let verification::Event::Convicted { host: convicted, penalty, .. } = event {
                let i = self.hosts().find(|(i, _)| host(*i) == convicted).unwrap().0;
                assert!(self.convicted.insert(i, penalty).is_none());
            }
        }
    }

    fn act(&self, i: u8, kind: Kind, interval: u64, all: &mut Vec<Transaction>) {
        let (shop, key) = (&self.shop, owner(i));
        let mut messages: Vec<Message> = Vec::new();
        let state = &shop.market.chain.state;
        let height = shop.market.chain.height.next();
        let mine = work::commitment(state, interval, &host(i)).unwrap();
        if mine.is_none() && height.0 == (interval + 1) * 6 {
            messages.push(shop.commitment(i, interval));
        }
        if mine.is_some() && kind != Withholder {
            messages
                .extend(shop.reveal(i, interval).map(|reveal| of_checks(Verify::Reveal(Box::new(reveal)))));
            for ((_, (_, sample)), demand) in demands_on(state, interval, &host(i)).unwrap() {
                if !demand.answered {
                    messages.push(shop.answer(i, interval, sample as u32));
                }
            }
            let done = &shop.done[&(interval, host(i))][0];
            for ((_, (_, (_, sequence))), report) in reports_on(state, interval, &host(i)).unwrap() {
                let place = done.receipts.iter().position(|receipt| receipt.sequence == sequence);
                if let Some(place) = place.filter(|_| !report.answered) {
                    messages.push(shop.inclusion(i, interval, place));
                }
            }
        }
        messages.extend(self.checks(i, kind, interval));
        let judgements = match kind {
            Honest | Coarse | Withholder | Omitter => shop.judgements(i),
            Griefer => {
                let mut all = shop.judgements(i);
                all.iter_mut().for_each(|judgement| judgement.guilty = true);
                all
            }
            Lazy | Silent => Vec::new(),
        };
        if !judgements.is_empty() {
            messages.push(of_checks(Verify::Judge(judgements)));
        }
        // What is refused uses no sequence.
        let admitted = |message: &Message| {
            let alone = shop.market.chain.tx(&key, message.clone());
            admit(state, &alone, height).unwrap().is_ok()
        };
        messages.retain(admitted);
        all.extend(shop.market.chain.txs(&key, messages));
    }

    /// What a member says.
    fn checks(&self, i: u8, kind: Kind, interval: u64) -> Vec<Message> {
        let shop = &self.shop;
        let mut messages = Vec::new();
        let mut verdicts = Vec::new();
        for assignment in shop.assigned(i, interval) {
            let honest = shop.findings(host(i), &assignment);
            let findings = match kind {
                Silent => continue,
                Lazy => vec![Finding::Right([i; 16]); honest.len()],
                Griefer => vec![Finding::Wrong; honest.len()],
                _ => honest.clone(),
            };
            let accuses = findings.iter().position(|finding| *finding == Finding::Wrong);
            if let Some(place) = accuses {
                let other = (0..40).find(|other| host(*other) == assignment.host).unwrap();
                let (sample, _) = assignment.samples[place];
                let (leaf, receipt) = shop.leaf_of(other, interval, sample);
                let accusation = Accusation { interval, host: assignment.host, leaf, receipt };
                messages.push(of_checks(Verify::Accuse(Box::new(accusation))));
                if kind == Griefer {
                    messages.push(of_checks(Verify::Demand { interval, host: assignment.host, sample }));
                }
            }
            verdicts.push(verification::Verdict {
                host: assignment.host,
                branch: assignment.branch,
                findings,
            });
        }
        if !verdicts.is_empty() {
            messages.insert(0, of_checks(Verify::Verdicts { interval, verdicts }));
        }
        messages
    }

    /// An interval from its first request to its end.
    fn interval(&mut self, completions: &[u32]) -> u64 {
        let next = (self.shop.interval() + 1) * 6;
        self.shop.chain().skip_to(next - 1);
        let interval = self.shop.interval();
        self.serve(completions);
        self.shop.chain().skip_to(next + 5);
        self.block(interval);
        for _ in 0..60 {
            if self.shop.stage(interval).is_none() {
                return interval;
            }
            self.block(interval);
        }
        panic!("the interval is at {:?}", self.shop.stage(interval));
    }

    /// A payer reports what is missing, and another what is not.
    fn reports(&self, interval: u64) -> Vec<Transaction> {
        let (shop, chain) = (&self.shop, &self.shop.market.chain);
        if !self.shop.done.contains_key(&(interval, host(0))) {
            return Vec::new();
        }
        let missing = shop.omitted.iter().filter(|omitted| omitted.1 == interval);
        let reports = missing.map(|(i, _, receipt)| shop.report(*i, *receipt));
        let mut all = chain.txs(&user(1), reports);
        let there = shop.done[&(interval, host(0))][0].receipts[0];
        all.push(chain.tx(&user(0), shop.report(0, there)));
        // They are wishes, so they would stand in the block whether or not they do what they ask.
        all.retain(|report| chain.clone().run(core::slice::from_ref(report)).0.receipts.iter().all(is_done));
        all
    }
}

fn is_done(receipt: &freeway_ledger::Receipt) -> bool {
    receipt.outcome == freeway_ledger::Outcome::Done
}

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![Coarse, Lazy, Silent, Griefer, Withholder, Omitter])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Up to three of nine are anything but honest: no honest host is slashed, convicted or left without its fees, and
    /// no work with a coarser model is paid.
    #[test]
    fn the_honest_lose_nothing(
        others in prop::collection::vec(kind(), 0..4),
        completions in prop::collection::vec(1u32..5_000, 1..6),
    ) {
        let mut kinds = vec![Honest; 9 - others.len()];
        kinds.extend(&others);
        let mut world = World::new(&kinds);
        let stakes: Vec<_> = (0..9).map(|i| world.shop.stake(i)).collect();
        let mut matured = 0;
        for _ in 0..2 {
            let interval = world.interval(&completions);
            for (i, kind) in world.hosts() {
                let state = world.shop.state(i, interval);
                match kind {
                    Honest | Lazy | Silent | Griefer => {
                        prop_assert_eq!(state, State::Matured, "host {} in {:?}", i, kinds);
                        matured += u32::from(kind == Honest);
                    }
                    Coarse => prop_assert_eq!(state, State::Convicted),
                    Withholder => prop_assert!(matches!(state, State::Void(Void::Unrevealed | Void::Withheld))),
                    Omitter => prop_assert_eq!(state, State::Void(Void::Omitted)),
                }
            }
            // Each interval a cheat is convicted anew.
            for (i, kind) in world.hosts() {
                let convicted = world.convicted.remove(&i);
                prop_assert_eq!(convicted.is_some(), kind == Coarse, "host {} in {:?}", i, kinds);
                prop_assert!(convicted.is_none_or(|penalty| !penalty.is_zero()));
                let kept = world.shop.stake(i) == stakes[usize::from(i)];
                prop_assert_eq!(kept, kind != Coarse);
            }
        }
        prop_assert_eq!(matured, 2 * (9 - others.len() as u32));
        let model = freeway_ledger::models::MODELS.get(&world.shop.market.chain.state, &MODEL).unwrap().unwrap();
        prop_assert_eq!(vaults(&world.shop.market.chain.state).unwrap().bonds, model.bond);
        prop_assert!(open_trials(&world.shop.market.chain.state).unwrap().is_empty());
    }
}

/// A coarser model on the exact tier is caught within one interval, every time.
#[test]
fn fifty_cheats_are_convicted() {
    for seed in 0..50u32 {
        let mut world = World::new(&[Honest, Honest, Honest, Honest, Honest, Coarse]);
        let stake = world.shop.stake(5);
        let completions: Vec<u32> =
            (0..1 + seed % 7).map(|place| 1 + (seed * 977 + place * 131) % 4_000).collect();
        let interval = world.interval(&completions);
        assert_eq!(world.shop.state(5, interval), State::Convicted, "{seed}");
        assert_eq!(world.shop.stake(5), stake.fraction(800, 1_000).unwrap());
        assert_eq!(world.convicted.len(), 1);
    }
}

/// One who fakes a part of its work by fees is caught about as often as the samples say: 1 - (1 - f)^n.
#[test]
fn part_time_cheats_are_caught_as_often_as_reckoned() {
    let (mut caught, runs) = (0u32, 40);
    for seed in 0..runs {
        let mut world = World::new(&[Honest; 6]);
        let next = (world.shop.interval() + 1 + u64::from(seed % 9)) * 6;
        world.shop.chain().skip_to(next - 1);
        let interval = world.shop.interval();
        // One of eight requests of the same size.
        let wrong = (seed % 8) as usize;
        world.shop.serve_as(0, world.lane, &[1_000; 8], |place| place != wrong);
        for i in 1..6 {
            world.shop.serve(i, world.lane, &[seed + 1]);
        }
        world.shop.chain().skip_to(next + 5);
        world.block(interval);
        while world.shop.stage(interval).is_some() {
            world.block(interval);
        }
        let hit = world.shop.state(0, interval) == State::Convicted;
        let done = &world.shop.done[&(interval, host(0))][0];
        let samples = work::samples(&host(0), interval, &world.shop.commitment_of(0, interval));
        let sampled = samples.iter().any(|sample| done.tree.at(sample.point) == Some(wrong as u64));
        assert_eq!(hit, sampled);
        assert!(salted(&SALT, &COARSE) == done.receipts[wrong].trace && is_unknown(&world));
        caught += u32::from(hit);
    }
    // Eight samples of eighths: 1 - (7/8)^8 is 0.66, of 40 runs 26; four standard deviations are 12.
    assert!((14..=38).contains(&caught), "{caught} of {runs}");
}

fn is_unknown(world: &World) -> bool {
    let trials = open_trials(&world.shop.market.chain.state).unwrap();
    trials.iter().all(|(_, trial)| is_judge(trial, &host(0)).is_none())
}
