//! The encodings of everything that is hashed or signed, frozen: `golden.txt` is the protocol.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod vectors;

use std::path::Path;

use freeway_primitives::{
    Address, Amount, BeaconRecord, Block, BlockId, Canonical, Certificate, ChainId, CommitSignature, Digest,
    Domain, Epoch, Equivocation, Header, Height, Proposal, SecretKey, Signature, Validator, ValidatorSet,
    Vote, VoteKind, signing_digest, verify_batch,
};
use vectors::{Vectors, hex};

const CHAIN: ChainId = ChainId(Digest([0xc0; 32]));
const BLOCK: BlockId = BlockId(Digest([0xb1; 32]));
const OTHER: BlockId = BlockId(Digest([0xb2; 32]));

fn secret(i: u8) -> SecretKey {
    SecretKey::from_seed([i; 32])
}

fn address(i: u8) -> Address {
    Address::of(&secret(i).public())
}

fn validators() -> ValidatorSet {
    let member = |i: u8| Validator { address: address(i), key: secret(i).public(), power: 10 * u64::from(i) };
    ValidatorSet::new((1..=4).map(member).collect()).unwrap()
}

fn certificate() -> Certificate {
    let mut certificate = Certificate { height: Height(7), round: 2, block: BLOCK, signatures: Vec::new() };
    for i in 2..=4 {
        let signature = certificate.vote_of(address(i)).sign(&CHAIN, &secret(i)).signature;
        certificate.signatures.push(CommitSignature { validator: address(i), signature });
    }
    assert_eq!(certificate.verify(&CHAIN, &validators()), Ok(()));
    certificate
}

fn header(certificate: Option<&Certificate>, transactions: &[Vec<u8>]) -> Header {
    Header {
        chain: CHAIN,
        height: Height(8),
        time_ms: 1_700_000_000_123,
        proposer: address(1),
        parent: BLOCK,
        parent_certificate: Block::certificate_digest(certificate),
        state_root: Digest([1; 32]),
        receipts_root: Digest([2; 32]),
        transactions_root: Block::transactions_root(transactions),
        validators: validators().digest(),
        next_validators: Digest([3; 32]),
        beacon: certificate.map(|_| BeaconRecord { height: Height(7), signature: [5; 48] }),
    }
}

fn keys(vectors: &mut Vectors) {
    for i in [0, 1, 255] {
        let key = secret(i);
        vectors.add_with(format!("public-key.{i}"), key.public().as_bytes(), address(i));
        let purpose = Domain::new("freeway 1 golden purpose");
        vectors.add(format!("derived-seed.{i}"), &key.derive_bytes(purpose));
        vectors.add_with(format!("raw-signature.{i}"), b"freeway", hex(&key.sign_raw(b"freeway").0));
    }
    let domain = Domain::new("freeway 1 golden");
    vectors.add_with("digest", b"freeway", Digest::of(domain, b"freeway"));
    let list: [&[u8]; 3] = [b"free", b"", b"way"];
    vectors.add_with("digest-of-list", &list.concat(), Digest::of_list(domain, list));
    vectors.add_with("signing-digest", b"freeway", signing_digest(domain, &CHAIN, b"freeway"));
}

fn scalars(vectors: &mut Vectors) {
    let encoded = |value: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        value(&mut bytes);
        bytes
    };
    let amount = Amount(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
    vectors.add_with("amount", &borsh::to_vec(&amount).unwrap(), amount.0);
    vectors.add("height", &encoded(&|bytes| borsh::to_writer(bytes, &Height(0x0102_0304)).unwrap()));
    vectors.add("epoch", &encoded(&|bytes| borsh::to_writer(bytes, &Epoch(5)).unwrap()));
}

fn blocks(vectors: &mut Vectors) {
    let certificate = certificate();
    let transactions = vec![b"one".to_vec(), Vec::new(), vec![3; 500]];
    let first = Block { header: header(None, &[]), parent_certificate: None, transactions: Vec::new() };
    let header = header(Some(&certificate), &transactions);
    vectors.add_with("header", &header.encode(), header.id());
    let digest = Block::certificate_digest(Some(&certificate));
    vectors.add_with("certificate", &certificate.encode(), digest);
    vectors.add_with("transactions-root", &transactions.concat(), header.transactions_root);
    let block = Block { header, parent_certificate: Some(certificate), transactions };
    for (name, block) in [("block.first", first), ("block", block)] {
        assert!(block.is_consistent());
        assert_eq!(Block::decode(&block.encode()), Ok(block.clone()));
        vectors.add_with(name, &block.encode(), block.id());
    }
    vectors.add_with("validator-set", &validators().encode(), validators().digest());
}

fn votes(vectors: &mut Vectors) {
    let vote = |kind, block| Vote { kind, height: Height(7), round: 2, block, validator: address(1) };
    let named = [
        ("prevote.block", vote(VoteKind::Prevote, Some(BLOCK))),
        ("prevote.nil", vote(VoteKind::Prevote, None)),
        ("precommit.block", vote(VoteKind::Precommit, Some(BLOCK))),
        ("precommit.nil", vote(VoteKind::Precommit, None)),
    ];
    for (name, vote) in named {
        let (digest, signed) = (vote.signing_digest(&CHAIN), vote.clone().sign(&CHAIN, &secret(1)));
        vectors.add_with(format!("vote.{name}"), &vote.encode(), digest);
        let bytes = borsh::to_vec(&signed).unwrap();
        vectors.add_with(format!("signed-vote.{name}"), &bytes, hex(&signed.signature.0));
    }
    let proposal = |block, valid_round| Proposal {
        height: Height(7),
        round: 2,
        block,
        valid_round,
        validator: address(1),
    };
    for (name, proposal) in [("fresh", proposal(BLOCK, None)), ("again", proposal(BLOCK, Some(1)))] {
        let signed = proposal.clone().sign(&CHAIN, &secret(1));
        vectors.add(format!("proposal.{name}"), &proposal.encode());
        let bytes = borsh::to_vec(&signed).unwrap();
        vectors.add_with(format!("signed-proposal.{name}"), &bytes, hex(&signed.signature.0));
    }
    let vote = |block| vote(VoteKind::Precommit, block).sign(&CHAIN, &secret(1));
    let proposal = |block| proposal(block, None).sign(&CHAIN, &secret(1));
    let proofs = [
        ("votes", Equivocation::of_votes(vote(Some(BLOCK)), vote(None))),
        ("proposals", Equivocation::of_proposals(proposal(OTHER), proposal(BLOCK))),
    ];
    for (name, proof) in proofs {
        assert_eq!(proof.verify(&CHAIN, &secret(1).public()), Ok(()));
        assert_eq!(Equivocation::decode(&proof.encode()), Ok(proof.clone()));
        vectors.add(format!("equivocation.{name}"), &proof.encode());
    }
}

#[test]
fn golden_vectors_are_what_they_were() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden.txt");
    let mut vectors = Vectors::new("freeway-primitives", path);
    keys(&mut vectors);
    scalars(&mut vectors);
    blocks(&mut vectors);
    votes(&mut vectors);
    vectors.check();
}

/// RFC 8032, section 7.1, tests 1 and 2: the keys and signatures are the standard's.
#[test]
fn signatures_are_those_of_rfc_8032() {
    let bytes = |text: &str| text.parse::<Digest>().unwrap().0;
    let seed = bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let key = SecretKey::from_seed(seed);
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    assert_eq!(key.public().to_string(), public);
    let expected = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
                    5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
    assert_eq!(hex(&key.sign_raw(&[]).0), expected);

    let seed = bytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    let expected = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                    085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
    assert_eq!(hex(&SecretKey::from_seed(seed).sign_raw(&[0x72]).0), expected);
}

/// A batch and a single check never differ, also where the curve has corners: points and signatures of small
/// order, which ZIP-215 accepts.
#[test]
fn batches_accept_what_single_checks_accept() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut nothing = [0; 64];
    nothing[..32].copy_from_slice(&identity);
    let key = freeway_primitives::PublicKey(identity);
    let message = Digest([5; 32]);
    let item = freeway_primitives::BatchItem { key, message, signature: Signature(nothing) };
    let alone = key.verify_raw(message.as_bytes(), &item.signature);
    assert_eq!(verify_batch(&[item]), alone);
    assert_eq!(verify_batch(&[item, item, item]), alone);
    // A scalar that is not reduced is refused by both.
    let mut unreduced = item;
    unreduced.signature.0[32..].fill(0xff);
    assert!(key.verify_raw(message.as_bytes(), &unreduced.signature).is_err());
    assert!(verify_batch(&[unreduced]).is_err());
}
