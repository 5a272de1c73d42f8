//! Bytes from outside: decoded exactly, or refused with a reason; never a panic, never two spellings.

use freeway_ledger::accounts::Scope;
use freeway_ledger::lanes::{Constraints, Opened, Settlement};
use freeway_ledger::{
    Body, Genesis, Message, Params, Receipt, Transaction, TransactionError, endorsements, sprint,
};
use freeway_primitives::{
    Amount, BlockId, Canonical, DecodeError, Digest, Equivocation, Height, Proposal, Signature,
};
use freeway_proofs::sprint::Position;
use freeway_proofs::work::{LaneId, Voucher};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::golden_work::work_messages;
use crate::kit::*;
use crate::paying::*;
use crate::racing::Machines;

/// Every message of a race, of a form that decodes; none of them is due.
pub(crate) fn race_messages() -> [sprint::Message; 7] {
    use sprint::Message::{Accuse, Answer, Commit, Demand, Judge, Reveal, Verdicts};
    let machines = Machines::new(Digest([5; 32]), host(0), &[3, 9], &[]);
    let position = Position { device: 1, nonce: 4 };
    let (revelation, opening) = (machines.reveal(position), machines.open(position));
    [
        Commit(machines.commitment()),
        Verdicts(vec![sprint::Verdict { host: host(1), tags: vec![[0xa5; 16], [0x5a; 16]] }]),
        Reveal(vec![sprint::Reveal { member: host(1), revelations: vec![revelation] }]),
        Demand { host: host(1), positions: vec![0, 513] },
        Answer { member: host(1), openings: vec![opening.clone()] },
        Accuse { host: host(0), opening },
        Judge(vec![sprint::Judgement { host: host(0), position, guilty: true }]),
    ]
}

/// Every message about models and lanes, of a form that decodes.
pub(crate) fn lane_messages() -> [Message; 7] {
    let lane = LaneId(3);
    let constraints = Constraints { regions: vec![text("here")], operators: vec![text("a"), text("b")] };
    let mut served = Served::of(lane, host(0), &[7]);
    served.push(lane, host(0), 1, 8, 15);
    let (entry, opening) = served.open(1);
    let voucher = Voucher {
        lane,
        host: host(0),
        sequence: 1,
        spent: Amount(7),
        limit: Amount(16),
        request: Digest([6; 32]),
    };
    let signature = Signature([0x77; 64]);
    [
        register_model(MODEL, description("a-model")),
        retire(MODEL),
        serve(&[MODEL, Digest([9; 32])]),
        open(Opened { constraints, ..opened(ESCROW, 3) }),
        top_up(lane, Amount(5)),
        close(lane),
        settle(Settlement { voucher, signature, interval: 4, entry, opening }),
    ]
}

/// Every message about endorsements, of a form that decodes.
pub(crate) fn endorsement_messages() -> [Message; 3] {
    use endorsements::{EndorsementId, Message::*};
    let (endorsement, bond, expiry) = (EndorsementId(0x0102), Amount::fwy(2), Height(90));
    let (receipt, statement, arbiter) = (Digest([0x71; 32]), Digest([0x72; 32]), address(&user(1)));
    [
        Endorse { receipt, statement, bond, arbiter, expiry },
        Award { endorsement, claimant: address(&user(1)), amount: Amount(77) },
        Withdraw { endorsement },
    ]
    .map(Message::Endorsements)
}

/// Every kind of transaction, signed.
pub(crate) fn all_transactions(chain: &Chain) -> Vec<Transaction> {
    let proposal = |block| {
        let (height, valid_round) = (Height(3), Some(1));
        Proposal { height, round: 2, block, valid_round, validator: host(0) }.sign(&chain.id, &vote_key(0))
    };
    let proposals =
        Equivocation::of_proposals(proposal(BlockId(Digest([1; 32]))), proposal(BlockId(Digest([2; 32]))));
    let messages = [
        pay(address(&user(1)), Amount(123_456_789)),
        authorise(&stranger(0), &[Scope::Spend, Scope::Lane], Height(900), Amount::fwy(2)),
        revoke(&stranger(0)),
        register(&stranger(1), Amount::fwy(3)),
        update(profile(stranger(2).public())),
        leave(),
        deposit(Amount(1)),
        withdraw(Amount(u128::MAX)),
        report(chain.double_vote(0, Height(5))),
        report(proposals),
    ];
    let messages = messages.into_iter().chain(race_messages().map(Message::Sprint));
    let messages = messages.chain(lane_messages()).chain(endorsement_messages()).chain(work_messages());
    let mut signed = chain.txs(&user(0), messages);
    signed.push(chain.tx_for(&vote_key(0), host(0), leave()));
    signed
}

/// Bytes that were valid until somebody changed, removed or added some.
fn mutated(valid: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let edits = proptest::collection::vec((any::<Index>(), any::<u8>(), 0u8..4), 1..4);
    (proptest::sample::select(valid), edits).prop_map(|(mut bytes, edits)| {
        for (at, value, edit) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match edit {
                0 => bytes[at] = value,
                1 => bytes[at] ^= 1 << (value % 8),
                2 => bytes.insert(at, value),
                _ => bytes.truncate(at),
            }
        }
        bytes
    })
}

/// Invariants 3 and 5: whatever the bytes, decoding ends, and what it accepts has no second spelling.
fn decodes_exactly<T: Canonical + PartialEq + core::fmt::Debug>(bytes: &[u8]) {
    if let Ok(value) = T::decode(bytes) {
        assert_eq!(value.encode(), bytes);
    }
}

#[test]
fn what_is_encoded_decodes_to_itself() {
    let chain = Chain::new(2, 2);
    for transaction in all_transactions(&chain) {
        let bytes = transaction.encode();
        assert_eq!(Transaction::parse(&bytes, &chain.id), Ok(transaction.clone()));
        assert_eq!(Body::decode(&transaction.body.encode()), Ok(transaction.body.clone()));
        assert_eq!(transaction.verify(), Ok(()));
        assert_eq!(transaction.hash(), Transaction::hash_of(&bytes));
        // Neither a byte more nor one less.
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(Transaction::parse(&longer, &chain.id).unwrap_err().code(), "malformed");
        let shorter = &bytes[..bytes.len() - 1];
        assert_eq!(Transaction::parse(shorter, &chain.id).unwrap_err().code(), "malformed");
    }
    let genesis = genesis(quick(), &[1, 2, 3], 4);
    assert_eq!(Genesis::decode(&genesis.encode()), Ok(genesis));
}

#[test]
fn oversized_bytes_are_refused_unread() {
    let chain = Chain::new(1, 0);
    let bytes = vec![0; Transaction::MAX_BYTES + 1];
    let Err(TransactionError::Decode(DecodeError::TooLarge { actual, limit, .. })) =
        Transaction::parse(&bytes, &chain.id)
    else {
        panic!("it was read")
    };
    assert_eq!((actual, limit), (Transaction::MAX_BYTES + 1, Transaction::MAX_BYTES));
}

/// Invariant 3: a length that promises gigabytes costs nothing.
#[test]
fn a_promised_length_is_not_believed() {
    let genesis = genesis(quick(), &[1], 0);
    let mut bytes = genesis.encode();
    let name_length = 0..4;
    bytes[name_length].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(Genesis::decode(&bytes).is_err());
    let params = genesis.params.encode();
    let accounts = 4 + genesis.name.as_str().len() + 8 + params.len();
    let mut bytes = genesis.encode();
    bytes[accounts..accounts + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(Genesis::decode(&bytes).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn random_bytes_are_no_reason_to_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let chain = Chain::new(1, 0).id;
        let _ = Transaction::parse(&bytes, &chain);
        decodes_exactly::<Transaction>(&bytes);
        decodes_exactly::<Genesis>(&bytes);
        decodes_exactly::<Equivocation>(&bytes);
        decodes_exactly::<Receipt>(&bytes);
        decodes_exactly::<Params>(&bytes);
    }

    #[test]
    fn a_changed_transaction_is_refused(
        bytes in mutated(all_transactions(&Chain::new(1, 2)).iter().map(Canonical::encode).collect()),
    ) {
        let chain = Chain::new(1, 2);
        decodes_exactly::<Transaction>(&bytes);
        let originals = all_transactions(&chain);
        if let Ok(transaction) = Transaction::parse(&bytes, &chain.id) {
            let untouched = originals.contains(&transaction);
            prop_assert_eq!(transaction.verify().is_ok(), untouched);
        }
    }

    #[test]
    fn a_changed_proof_or_genesis_decodes_exactly_or_not_at_all(
        proof in mutated(vec![Chain::new(1, 0).double_vote(0, Height(9)).encode()]),
        genesis in mutated(vec![genesis(quick(), &[1, 2], 1).encode()]),
    ) {
        decodes_exactly::<Equivocation>(&proof);
        decodes_exactly::<Genesis>(&genesis);
        if let Ok(genesis) = Genesis::decode(&genesis) {
            // Whatever it says by now: it opens a network, or says why not.
            let _ = freeway_ledger::open(&genesis);
        }
    }
}
