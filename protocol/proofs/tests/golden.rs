//! Roots, tags, encodings and draws, frozen: `golden.txt` is the protocol.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../../primitives/tests/vectors/mod.rs"]
mod vectors;

use std::path::Path;

use freeway_primitives::{Address, ChainId, Digest, Domain, Epoch};
use freeway_proofs::draw::{Lottery, Stream, derive, distinct};
use freeway_proofs::merkle::{Frontier, Tree};
use freeway_proofs::sprint::{Commitment, DeviceCommitment, Position, Revelation, Trace, leaf, tag};
use freeway_proofs::work::{self, claimed, salted};
use vectors::{Vectors, hex};

const PURPOSE: Domain = Domain::new("freeway 1 golden draw");

fn trace(nonce: u64) -> Trace {
    Trace(Digest::of(Domain::new("freeway 1 golden trace"), &nonce.to_le_bytes()).0)
}

fn trees(vectors: &mut Vectors) {
    let (mut tree, mut frontier) = (Tree::new(), Frontier::new());
    vectors.add_with("root.0", &borsh::to_vec(&frontier).unwrap(), tree.root());
    for nonce in 0..9u64 {
        let leaf = leaf(&trace(nonce));
        vectors.add_with(format!("leaf.{nonce}"), &trace(nonce).0, leaf);
        tree.push(&leaf).unwrap();
        frontier.push(&leaf).unwrap();
        let edge = borsh::to_vec(&frontier).unwrap();
        vectors.add_with(format!("root.{}", nonce + 1), &edge, tree.root());
        assert_eq!(tree.root(), frontier.root());
    }
    for nonce in [0, 5, 8] {
        let revelation = Revelation {
            position: Position { device: 0, nonce },
            trace: trace(nonce),
            path: tree.path(nonce).unwrap(),
        };
        let devices = vec![DeviceCommitment { count: tree.count(), root: tree.root() }];
        let commitment = Commitment { devices };
        assert!(revelation.verify(&commitment));
        vectors.add(format!("revelation.{nonce}"), &borsh::to_vec(&revelation).unwrap());
        vectors.add(format!("opening.{nonce}"), &borsh::to_vec(&revelation.opening()).unwrap());
        vectors.add(format!("commitment.{nonce}"), &borsh::to_vec(&commitment).unwrap());
    }
}

fn tags(vectors: &mut Vectors) {
    let (chain, member, host) = (ChainId(Digest([0xc0; 32])), Address([0xa1; 32]), Address([0xa2; 32]));
    for epoch in [1, u64::MAX] {
        vectors.add(format!("tag.{epoch}"), &tag(&chain, Epoch(epoch), &member, &host, &trace(7)));
    }
}

fn draws(vectors: &mut Vectors) {
    let value = Digest([0xd4; 32]);
    let stream = |part: u8| Stream::new(&value, PURPOSE, &[&[part], b"part"]);
    vectors.add_with("derive", value.as_bytes(), derive(&value, PURPOSE, &[b"part"]));
    let words: Vec<u8> = stream(0).take(20).flat_map(u64::to_le_bytes).collect();
    vectors.add("stream", &words);
    let mut below = stream(1);
    for n in [1, 2, 10, 1_000, u64::MAX] {
        let drawn: Vec<_> = (0..8).map(|_| below.below(n)).collect();
        vectors.add_with(format!("below.{n}"), &n.to_le_bytes(), format!("{drawn:?}").replace(' ', ""));
    }
    for (n, k) in [(5, 9), (100, 10), (1 << 36, 8)] {
        let drawn = distinct(&mut stream(2), n, k);
        vectors.add_with(
            format!("distinct.{n}.{k}"),
            &n.to_le_bytes(),
            format!("{drawn:?}").replace(' ', ""),
        );
    }
    let weights = [5, 0, 1 << 50, 1 << 49, 1 << 50, 7, 1 << 48];
    for excluded in [0..0, 2..4] {
        let drawn = Lottery::new(weights).draw(&mut stream(3), 4, excluded.clone());
        let bytes: Vec<u8> = drawn.iter().map(|index| *index as u8).collect();
        let weights: Vec<u8> = weights.into_iter().flat_map(u64::to_le_bytes).collect();
        vectors.add_with(format!("weighted.{}", excluded.len()), &weights, hex(&bytes));
    }
}

/// What a host of the statistical tier says of its tokens, and what a receipt has of that.
fn claims(vectors: &mut Vectors) {
    let said = [[0, -1, i32::MIN].as_slice(), &[-700_000]];
    let traces: Vec<Digest> = said.iter().map(|said| claimed(said.iter().copied())).collect();
    for (said, trace) in said.iter().zip(&traces) {
        let bytes: Vec<u8> = said.iter().flat_map(|said| said.to_le_bytes()).collect();
        vectors.add_with(format!("claimed.{}", said.len()), &bytes, trace);
    }
    let all = work::traces(&traces);
    vectors.add_with("traces.2", all.as_bytes(), salted(&[7; 32], &all));
}

#[test]
fn golden_vectors_are_what_they_were() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden.txt");
    let mut vectors = Vectors::new("freeway-proofs", path);
    trees(&mut vectors);
    tags(&mut vectors);
    draws(&mut vectors);
    claims(&mut vectors);
    vectors.check();
}
