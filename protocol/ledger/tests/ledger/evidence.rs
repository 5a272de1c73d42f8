//! Double signing: what proves it, against whom, and what it costs.

use freeway_ledger::evidence::{Event, Failure};
use freeway_ledger::hosts::{self, Status};
use freeway_ledger::{Event as AnyEvent, Failure as AnyFailure, Outcome, vaults};
use freeway_primitives::{
    Amount, BlockId, ChainId, Digest, Equivocation, Height, Proposal, SecretKey, Vote, VoteKind,
};

use crate::kit::*;

const BLOCK: BlockId = BlockId(Digest([1; 32]));

fn chain_at(height: u64) -> Chain {
    let mut chain = Chain::new(4, 2);
    chain.skip_to(height);
    chain
}

#[track_caller]
fn acquits(chain: &mut Chain, proof: Equivocation, expected: Failure) {
    assert_eq!(chain.fails(&chain.tx(&user(0), report(proof))), AnyFailure::Evidence(expected));
}

#[test]
fn a_double_vote_costs_a_share_of_the_collateral_and_the_place() {
    let mut chain = chain_at(3);
    let outcome = chain.done(&chain.tx(&user(0), report(chain.double_vote(0, Height(3)))));
    let penalty = STAKE.fraction(50, 1_000).unwrap();
    assert_eq!(
        outcome.receipts[0].events,
        [
            AnyEvent::Hosts(hosts::Event::Slashed { host: host(0), amount: penalty }),
            AnyEvent::Evidence(Event::Convicted { host: host(0), height: Height(3), penalty }),
        ]
    );
    let known = chain.host(0).unwrap();
    assert_eq!((known.status, known.collateral), (Status::Removed, minus(STAKE, penalty)));
    assert_eq!(vaults(&chain.state).unwrap().pool, penalty);
    assert_eq!(chain.power(0), WEIGHT, "it signs until the switch");
    chain.switch();
    assert_eq!(chain.power(0), 0);
    assert_eq!(chain.validators.members().len(), 3);
}

#[test]
fn two_proposals_of_a_round_convict_as_well() {
    let mut chain = chain_at(3);
    let id = chain.id;
    let proposal = |round, block| {
        Proposal { height: Height(2), round, block, valid_round: None, validator: host(0) }
            .sign(&id, &vote_key(0))
    };
    let (first, second) = (proposal(1, BLOCK), proposal(1, BlockId(Digest([2; 32]))));
    let no_proofs = [
        Equivocation::Proposals(first.clone(), first.clone()),
        Equivocation::Proposals(second.clone(), first.clone()),
        Equivocation::of_proposals(first.clone(), proposal(2, BLOCK)),
    ];
    for proof in no_proofs {
        acquits(&mut chain, proof, Failure::NoProof);
    }
    chain.done(&chain.tx(&user(0), report(Equivocation::of_proposals(second, first))));
    assert_eq!(chain.host(0).unwrap().status, Status::Removed);
}

/// Invariant 10: one offence, or several, cost once.
#[test]
fn nobody_is_convicted_twice() {
    let mut chain = chain_at(3);
    let proof = |height| report(chain.double_vote(0, Height(height)));
    let outcome = chain.block(&chain.txs(&user(0), [proof(1), proof(1), proof(2)]));
    let failed = Outcome::Failed(AnyFailure::Evidence(Failure::AlreadyConvicted));
    assert_eq!(outcome.receipts[1].outcome, failed);
    assert_eq!(outcome.receipts[2].outcome, failed);
    assert_eq!(vaults(&chain.state).unwrap().pool, STAKE.fraction(50, 1_000).unwrap());
    chain.switch();
    let late = chain.double_vote(0, Height(3));
    acquits(&mut chain, late, Failure::AlreadyConvicted);
}

#[test]
fn an_offence_can_be_reported_for_a_time() {
    let mut chain = chain_at(20);
    let window = quick().evidence.max_age_blocks;
    let out_of_window = Failure::OutOfWindow { max_age_blocks: window };
    let too_old = chain.double_vote(0, chain.height.next().minus(window + 1));
    acquits(&mut chain, too_old, out_of_window.clone());
    let too_early = chain.double_vote(0, chain.height.plus(2));
    acquits(&mut chain, too_early, out_of_window);
    let just_in_time = chain.double_vote(0, chain.height.next().minus(window));
    chain.done(&chain.tx(&user(0), report(just_in_time)));
}

#[test]
fn only_validators_of_that_height_can_be_convicted() {
    let mut chain = chain_at(3);
    // An account, a host without power, and nobody at all.
    chain.done(&chain.tx(&user(1), register(&user(1), Amount(1))));
    for key in [user(0), user(1), stranger(0)] {
        let vote = |block| chain.vote(&key, address(&key), Height(3), block);
        let proof = Equivocation::of_votes(vote(None), vote(Some(BLOCK)));
        acquits(&mut chain, proof, Failure::NotAValidator);
    }
    let genesis = chain.double_vote(0, Height::GENESIS);
    acquits(&mut chain, genesis, Failure::NotAValidator);
}

#[test]
fn who_left_the_set_answers_only_for_its_time() {
    let mut chain = Chain::new(4, 1);
    chain.done(&chain.tx(&owner(0), leave()));
    chain.skip_to(12);
    let after = chain.double_vote(0, Height(9));
    acquits(&mut chain, after, Failure::NotAValidator);
    chain.done(&chain.tx(&user(0), report(chain.double_vote(0, Height(8)))));
    assert_eq!(chain.host(0).unwrap().status, Status::Removed);
}

/// Invariant 5: what convicts must be signed by the accused, for this network, and must conflict.
#[test]
fn what_is_no_proof_convicts_nobody() {
    let mut chain = chain_at(3);
    let id = chain.id;
    let vote = |key: &SecretKey, chain: &ChainId, kind, round, block| {
        Vote { kind, height: Height(3), round, block, validator: host(0) }.sign(chain, key)
    };
    let (key, kind) = (vote_key(0), VoteKind::Precommit);
    let good = vote(&key, &id, kind, 0, None);
    let conflicting = vote(&key, &id, kind, 0, Some(BLOCK));
    let elsewhere = ChainId(Digest([3; 32]));
    let no_proofs = [
        // Signed by somebody else.
        Equivocation::of_votes(good.clone(), vote(&vote_key(1), &id, kind, 0, Some(BLOCK))),
        // Signed for another network.
        Equivocation::of_votes(good.clone(), vote(&key, &elsewhere, kind, 0, Some(BLOCK))),
        // Said the same twice.
        Equivocation::Votes(good.clone(), good.clone()),
        // In another round, in another step.
        Equivocation::of_votes(good.clone(), vote(&key, &id, kind, 1, Some(BLOCK))),
        Equivocation::of_votes(good.clone(), vote(&key, &id, VoteKind::Prevote, 0, Some(BLOCK))),
        // True, but not in the one order: the same proof would have two encodings.
        Equivocation::Votes(conflicting.clone(), good.clone()),
    ];
    for proof in no_proofs {
        acquits(&mut chain, proof, Failure::NoProof);
    }
    chain.done(&chain.tx(&user(0), report(Equivocation::of_votes(good, conflicting))));
}

#[test]
fn old_votes_are_judged_by_the_key_of_their_time() {
    let mut chain = Chain::new(4, 1);
    let (old, new) = (vote_key(0), stranger(0));
    chain.done(&chain.tx(&owner(0), update(profile(new.public()))));
    chain.skip_to(10);
    let double = |key: &SecretKey, height| {
        let vote = |block| chain.vote(key, host(0), Height(height), block);
        Equivocation::of_votes(vote(None), vote(Some(BLOCK)))
    };
    let (before, after) = (double(&old, 8), double(&new, 9));
    let (too_new, too_old) = (double(&new, 8), double(&old, 9));
    for proof in [too_new, too_old] {
        acquits(&mut chain, proof, Failure::NoProof);
    }
    for proof in [before, after] {
        let mut chain = chain.clone();
        chain.done(&chain.tx(&user(0), report(proof)));
        assert_eq!(chain.host(0).unwrap().status, Status::Removed);
    }
}

#[test]
fn anybody_can_report_even_without_money_and_even_the_culprit() {
    let chain = chain_at(3);
    for reporter in [stranger(0), owner(0), owner(1)] {
        let mut chain = chain.clone();
        chain.done(&chain.tx(&reporter, report(chain.double_vote(0, Height(3)))));
    }
}

#[test]
fn a_removed_host_cannot_come_back() {
    let mut chain = chain_at(3);
    chain.done(&chain.tx(&user(0), report(chain.double_vote(0, Height(3)))));
    chain.done(&chain.tx(&owner(0), withdraw(STAKE.fraction(950, 1_000).unwrap())));
    let not_active = hosts::Failure::NotActive { status: text("removed") };
    for _ in 0..2 {
        let back = [
            (register(&stranger(0), Amount(1)), hosts::Failure::AlreadyHost),
            (update(profile(stranger(0).public())), not_active.clone()),
            (deposit(Amount(1)), not_active.clone()),
            (leave(), not_active.clone()),
        ];
        for (message, expected) in back {
            assert_eq!(chain.fails(&chain.tx(&owner(0), message)), AnyFailure::Hosts(expected));
        }
        // Also when nothing of it is left but the record.
        chain.skip_to(40);
    }
    assert_eq!(chain.power(0), 0);
    // Nor can its key, under another account.
    let failure = chain.fails(&chain.tx(&user(1), register(&vote_key(0), Amount(1))));
    assert_eq!(failure, AnyFailure::Hosts(hosts::Failure::KeyTaken));
}

/// Invariant 3: a penalty on the largest stake there can be is a fraction like any other.
#[test]
fn the_largest_stake_can_be_slashed() {
    let mut genesis = genesis(quick(), &[WEIGHT; 4], 1);
    let rest = genesis.accounts.len() as u128 * WEALTH.0;
    let giant = Amount(u128::MAX - rest);
    genesis.accounts[0].balance = giant;
    genesis.hosts[0].collateral = giant;
    let mut chain = Chain::of(&genesis);
    chain.skip_to(3);
    chain.done(&chain.tx(&user(0), report(chain.double_vote(0, Height(3)))));
    assert_eq!(vaults(&chain.state).unwrap().pool, giant.fraction(1, 20).unwrap());
}
