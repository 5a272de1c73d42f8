//! One of each word of work and verification, for the golden vectors.

use freeway_ledger::Message;
use freeway_ledger::verification::{
    self, Accusation, Answer, Finding, Inclusion, Judgement, Proof, Report, Reveal, Ruling, Signed, Verdict,
};
use freeway_ledger::work::{self, Void};
use freeway_primitives::{Amount, Digest, Height, Signature};
use freeway_proofs::work::{LaneId, Receipt, Usage, salted};

use crate::kit::*;
use crate::working::Done;

const UNTIL: Height = Height(0x0708);
const AMOUNT: Amount = Amount(0x0102_0304_0506);

fn done() -> Done {
    let mut done = Done::default();
    for sequence in 0..3u8 {
        done.push(Receipt {
            lane: LaneId(3),
            host: host(0),
            sequence: u64::from(sequence),
            interval: 4,
            request: Digest([1; 32]),
            output: Digest([2; 32]),
            trace: salted(&[5; 32], &Digest([sequence; 32])),
            usage: Usage { prompt: 10, cached: 4, completion: 7 },
            fee: Amount(9),
            total: Amount(9 * u128::from(sequence + 1)),
        });
    }
    done
}

fn case() -> verification::Case {
    (4, (host(1), (2, 3)))
}

/// Every message of a module, of a form that decodes; none of them is due.
pub(crate) fn work_messages() -> Vec<Message> {
    use verification::Message::{Accuse, Demand, Include, Judge, Prove, Verdicts};
    let (done, interval, host) = (done(), 4, host(0));
    let (leaf, second) = (done.leaf(0, 1), done.leaf(0, 2));
    let (receipt, salt, trace) = (done.receipts[1], [5; 32], Digest([1; 32]));
    let signed = Signed { receipt, signature: Signature([0x77; 64]) };
    let other = Signed { receipt: Receipt { output: Digest([9; 32]), ..receipt }, ..signed.clone() };
    let findings = vec![Finding::Right([0xa5; 16]), Finding::Wrong, Finding::NotShown];
    let of_proofs = [
        Proof::Receipts { first: signed.clone(), second: other },
        Proof::Leaf { interval, host, leaf: leaf.clone(), receipt: Some(receipt) },
        Proof::Leaves { host, interval, first: leaf.clone(), later: 5, second },
    ];
    let [receipts, of_leaf, leaves] = of_proofs.map(|proof| Prove(Box::new(proof)));
    let checks = [
        Verdicts { interval, verdicts: vec![Verdict { host, branch: 1, findings }] },
        verification::Message::Reveal(Box::new(Reveal {
            interval,
            leaf: leaf.clone(),
            receipt,
            salt,
            trace,
        })),
        Demand { interval, host, sample: 7 },
        verification::Message::Answer(Box::new(Answer { interval, sample: 7, leaf: leaf.clone(), receipt })),
        Accuse(Box::new(Accusation { interval, host, leaf: leaf.clone(), receipt })),
        Judge(vec![Judgement { case: case(), guilty: true }]),
        receipts,
        verification::Message::Report(Box::new(Report { signed })),
        Include(Box::new(Inclusion { interval, leaf })),
        of_leaf,
        leaves,
    ];
    let commit = work::Message::Commit { interval, claims: vec![done.claim()] };
    core::iter::once(Message::Work(commit)).chain(checks.map(Message::Verification)).collect()
}

/// Their names, in order.
pub(crate) const NAMES: [&str; 12] = [
    "work-commit",
    "work-verdicts",
    "work-reveal",
    "work-demand",
    "work-answer",
    "work-accuse",
    "work-judge",
    "work-prove-receipts",
    "work-report",
    "work-include",
    "work-prove-leaf",
    "work-prove-leaves",
];

pub(crate) fn work_events() -> Vec<work::Event> {
    use work::Event::*;
    let (host, interval, round) = (host(0), 4, 1);
    vec![
        Committed { host, interval, fees: AMOUNT },
        Drawn { interval, round, until: UNTIL },
        Closing { interval, round, until: UNTIL },
        Matured { host, interval, fees: AMOUNT },
        Voided { host, interval, reason: Void::Omitted },
    ]
}

pub(crate) fn work_failures() -> Vec<work::Failure> {
    use work::Failure::*;
    let lane = LaneId(3);
    vec![
        NotAHost,
        TooEarly { interval: 4, from: UNTIL },
        TooLate { deadline: UNTIL },
        AlreadyCommitted,
        WrongCount { limit: 7 },
        Nothing { lane },
        NotItsLane { lane },
        SameClass { lane },
        OverExposed { open: AMOUNT, limit: Amount(7) },
    ]
}

pub(crate) fn verification_events() -> Vec<verification::Event> {
    use verification::Event::*;
    let (host, member, interval, until) = (host(0), host(1), 4, UNTIL);
    vec![
        VerdictsGiven { member, interval, verdicts: 5 },
        Revealed { host, interval, contradicted: 2 },
        Demanded { host, interval, sample: 7, until },
        Reported { host, interval, lane: LaneId(3), sequence: 9, until },
        Answered { host, interval },
        TrialOpened { case: case(), receipt: Digest([0xd4; 32]), until },
        Acquitted { case: case() },
        Convicted { host, interval, penalty: AMOUNT },
        FalseVerdict { member, host, interval },
    ]
}

pub(crate) fn verification_failures() -> Vec<verification::Failure> {
    use verification::Failure::*;
    let (host, limit) = (host(0), 7);
    vec![
        NotCommitted { host, interval: 4 },
        TooEarly,
        TooLate { deadline: UNTIL },
        Decided { state: text("matured") },
        Empty,
        TooMany,
        Unsolicited { host },
        AlreadyGiven { host },
        WrongCount { host, expected: limit },
        NotDrawn,
        WrongLeaf,
        UnknownSample { sample: limit },
        AlreadyAsked,
        NotAsked,
        OwnOperator,
        AlreadyOnTrial,
        TooManyTrials,
        NoJury,
        NoTrial,
        NotAJudge,
        AlreadyJudged,
        NoProof,
        AlreadyConvicted,
    ]
}

/// Of every kind of proof, one.
pub(crate) fn proofs() -> Vec<Proof> {
    let of = |message| match message {
        Message::Verification(verification::Message::Prove(proof)) => Some(*proof),
        _ => None,
    };
    work_messages().into_iter().filter_map(of).collect()
}

pub(crate) const RULINGS: [Ruling; 4] = [Ruling::Guilty, Ruling::Innocent, Ruling::Undecided, Ruling::Moot];

pub(crate) const VOIDS: [Void; 6] =
    [Void::Withheld, Void::Unrevealed, Void::Omitted, Void::Unchecked, Void::NoRandomness, Void::Forfeited];

pub(crate) const STATES: [work::State; 4] =
    [work::State::Open, work::State::Matured, work::State::Void(Void::Withheld), work::State::Convicted];
