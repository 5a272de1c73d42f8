//! What a round and a height cost: 16 seats of 4 validators, and 128 seats of 100.
//!
//! `cargo bench -p freeway-beacon`. Every figure is for one node and one core. A node opens each dealing once: it
//! acknowledges dealings that it has not opened before, and opened them when it makes the group. Sizes are in the
//! crate's manual.

use std::collections::BTreeMap;

use divan::Bencher;
use freeway_beacon::{Acks, Board, Committee, Dealing, Group, Partials, Round, Seats, Shares};
use freeway_primitives::{Address, ChainId, Digest, Epoch, Height, SecretKey, Validator, ValidatorSet};

const HEIGHT: Height = Height(1_000);
/// Validators and seats.
const SIZES: [(usize, u16); 2] = [(4, 16), (100, 128)];

fn main() {
    divan::main();
}

/// A round whose validators do everything.
struct Scene {
    keys: Vec<SecretKey>,
    round: Round,
    dealings: BTreeMap<Address, Dealing>,
    acks: BTreeMap<Address, Acks>,
    board: Board,
    group: Group,
    committee: Committee,
    shares: Vec<(Address, Shares)>,
}

fn address(key: &SecretKey) -> Address {
    Address::of(&key.public())
}

impl Scene {
    fn new((validators, count): (usize, u16)) -> Self {
        let keys: Vec<SecretKey> = (0..validators).map(|i| SecretKey::from_seed([i as u8; 32])).collect();
        let member = |key: &SecretKey| Validator { address: address(key), key: key.public(), power: 1_000 };
        let set = ValidatorSet::new(keys.iter().map(member).collect()).expect("distinct keys");
        let seats = Seats::apportion(&set, count).expect("a valid number of seats");
        let round = Round::new(ChainId(Digest([1; 32])), Epoch(1), seats);
        let deal = |key: &SecretKey| (address(key), round.deal(key, &address(key)).expect("a holder"));
        let dealings: BTreeMap<_, _> = keys.iter().map(deal).collect();
        let board = Board::new(round.clone(), dealings.clone());
        // As many as decide.
        let enough = &keys[..validators * 2 / 3 + 1];
        let ack = |key: &SecretKey| (address(key), board.acknowledge(key, &address(key)).expect("a holder"));
        let acks: BTreeMap<_, _> = enough.iter().map(ack).collect();
        let group = board.group(&acks, &BTreeMap::new()).expect("all are honest");
        let committee = group.open(round.chain()).expect("a round made it");
        let shares = keys
            .iter()
            .map(|key| {
                let shares = board.shares(key, &address(key), &group, &BTreeMap::new());
                (address(key), shares.expect("all are honest"))
            })
            .collect();
        Self { keys, round, dealings, acks, board, group, committee, shares }
    }

    fn fresh_board(&self) -> Board {
        Board::new(self.round.clone(), self.dealings.clone())
    }

    fn me(&self) -> (&SecretKey, Address) {
        (&self.keys[0], address(&self.keys[0]))
    }

    /// The votes of a quorum.
    fn votes(&self) -> Vec<(Address, Partials)> {
        let quorum = self.shares.len() * 2 / 3 + 1;
        self.shares[..quorum].iter().map(|(from, shares)| (*from, shares.sign(HEIGHT))).collect()
    }
}

fn borrowed(votes: &[(Address, Partials)]) -> Vec<(Address, &Partials)> {
    votes.iter().map(|(from, vote)| (*from, vote)).collect()
}

#[divan::bench(args = SIZES, sample_count = 10)]
fn deal(bencher: Bencher<'_, '_>, size: (usize, u16)) {
    let scene = scene(size);
    let (key, me) = scene.me();
    bencher.bench_local(|| scene.round.deal(key, &me));
}

#[divan::bench(args = SIZES, sample_count = 10)]
fn check_dealing(bencher: Bencher<'_, '_>, size: (usize, u16)) {
    let scene = scene(size);
    let (_, me) = scene.me();
    bencher.bench_local(|| scene.round.check_dealing(&me, &scene.dealings[&me]));
}

#[divan::bench(args = SIZES, sample_count = 3, sample_size = 1)]
fn acknowledge_all_dealings(bencher: Bencher<'_, '_>, size: (usize, u16)) {
    let scene = scene(size);
    let (key, me) = scene.me();
    bencher.with_inputs(|| scene.fresh_board()).bench_local_values(|board| board.acknowledge(key, &me));
}

#[divan::bench(args = SIZES, sample_count = 10)]
fn close_without_complaints(bencher: Bencher<'_, '_>, size: (usize, u16)) {
    let scene = scene(size);
    let (key, me) = scene.me();
    bencher.bench_local(|| scene.board.close(key, &me, &scene.acks));
}

#[divan::bench(args = SIZES, sample_count = 3, sample_size = 1)]
fn group_from_unopened_dealings(bencher: Bencher<'_, '_>, size: (usize, u16)) {
    let scene = scene(size);
    let boards = bencher.with_inputs(|| scene.fresh_board());
    boards.bench_local_values(|board| board.group(&scene.acks, &BTreeMap::new()));
}

#[divan::bench(args = SIZES, sample_count = 10)]
fn group_from_opened_dealings(bencher: Bencher<'_, '_>, size: (usize, u16)) {
    let scene = scene(size);
    bencher.bench_local(|| scene.board.group(&scene.acks, &BTreeMap::new()));
}

#[divan::bench(args = SIZES, sample_count = 10)]
fn own_shares(bencher: Bencher<'_, '_>, size: (usize, u16)) {
    let scene = scene(size);
    let (key, me) = scene.me();
    bencher.bench_local(|| scene.board.shares(key, &me, &scene.group, &BTreeMap::new()));
}

#[divan::bench(args = SIZES, sample_count = 5)]
fn open_group(bencher: Bencher<'_, '_>, size: (usize, u16)) {
    let scene = scene(size);
    bencher.bench_local(|| scene.group.open(scene.round.chain()));
}

#[divan::bench(args = SIZES)]
fn sign(bencher: Bencher<'_, '_>, size: (usize, u16)) {
    let scene = scene(size);
    bencher.bench_local(|| scene.shares[0].1.sign(HEIGHT));
}

#[divan::bench(args = SIZES)]
fn verify_one_vote(bencher: Bencher<'_, '_>, size: (usize, u16)) {
    let scene = scene(size);
    let votes = scene.votes();
    let votes = borrowed(&votes[..1]);
    bencher.bench_local(|| scene.committee.verify_partials(HEIGHT, &votes));
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn verify_votes_of_a_quorum(bencher: Bencher<'_, '_>, size: (usize, u16)) {
    let scene = scene(size);
    let votes = scene.votes();
    let votes = borrowed(&votes);
    bencher.bench_local(|| scene.committee.verify_partials(HEIGHT, &votes));
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn verify_votes_one_of_which_is_wrong(bencher: Bencher<'_, '_>, size: (usize, u16)) {
    let scene = scene(size);
    let mut votes = scene.votes();
    votes[1].1 = scene.shares[1].1.sign(HEIGHT.next());
    let votes = borrowed(&votes);
    bencher.bench_local(|| scene.committee.verify_partials(HEIGHT, &votes));
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn recover_and_verify(bencher: Bencher<'_, '_>, size: (usize, u16)) {
    let scene = scene(size);
    let votes = scene.votes();
    let votes = borrowed(&votes);
    bencher.bench_local(|| scene.committee.recover(HEIGHT, &votes));
}

#[divan::bench(args = SIZES)]
fn verify_value(bencher: Bencher<'_, '_>, size: (usize, u16)) {
    let scene = scene(size);
    let value = scene.committee.recover(HEIGHT, &borrowed(&scene.votes())).expect("a quorum");
    bencher.bench_local(|| scene.group.verify(scene.round.chain(), HEIGHT, &value));
}

/// The scene of a size, made once.
fn scene(size: (usize, u16)) -> &'static Scene {
    use std::sync::OnceLock;
    static SCENES: [OnceLock<Scene>; SIZES.len()] = [const { OnceLock::new() }; SIZES.len()];
    let at = SIZES.iter().position(|other| *other == size).expect("one of the sizes");
    SCENES[at].get_or_init(|| Scene::new(size))
}
