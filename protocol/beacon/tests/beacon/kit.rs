//! A small network whose members follow the rules of a round, or do not.

use std::collections::BTreeMap;

use freeway_beacon::{Acks, Board, Committee, Dealing, Group, Log, Partials, Round, Seats, Shares, Value};
use freeway_primitives::{
    Address, Canonical, ChainId, Digest, Domain, Epoch, Height, SecretKey, Validator, ValidatorSet,
    signing_digest,
};

pub(crate) const CHAIN: ChainId = ChainId(Digest([0xc4; 32]));
pub(crate) const EPOCH: Epoch = Epoch(7);
pub(crate) const HEIGHT: Height = Height(1_000);

pub(crate) type Dealings = BTreeMap<Address, Dealing>;
pub(crate) type AllAcks = BTreeMap<Address, Acks>;
pub(crate) type Logs = BTreeMap<Address, Log>;

/// The consensus key of the `i`-th member.
pub(crate) fn key(i: usize) -> SecretKey {
    let mut seed = [0x5e; 32];
    seed[..8].copy_from_slice(&(i as u64).to_le_bytes());
    SecretKey::from_seed(seed)
}

pub(crate) fn validators(powers: &[u64]) -> ValidatorSet {
    let member = |(i, power): (usize, &u64)| {
        let key = key(i).public();
        Validator { address: Address::of(&key), key, power: *power }
    };
    ValidatorSet::new(powers.iter().enumerate().map(member).collect()).unwrap()
}

/// Members, by number, and their round.
pub(crate) struct Net {
    pub(crate) round: Round,
    pub(crate) keys: Vec<SecretKey>,
}

impl Net {
    /// Members with these powers.
    pub(crate) fn new(powers: &[u64], seats: u16) -> Self {
        Self::at(CHAIN, EPOCH, powers, seats)
    }

    pub(crate) fn at(chain: ChainId, epoch: Epoch, powers: &[u64], seats: u16) -> Self {
        let seats = Seats::apportion(&validators(powers), seats).unwrap();
        Self { round: Round::new(chain, epoch, seats), keys: (0..powers.len()).map(key).collect() }
    }

    pub(crate) fn address(&self, i: usize) -> Address {
        Address::of(&self.keys[i].public())
    }

    pub(crate) fn everybody(&self) -> Vec<usize> {
        (0..self.keys.len()).collect()
    }

    pub(crate) fn deal(&self, i: usize) -> Dealing {
        let dealing = self.round.deal(&self.keys[i], &self.address(i)).unwrap();
        assert_eq!(self.round.check_dealing(&self.address(i), &dealing), Ok(()));
        dealing
    }

    pub(crate) fn dealings(&self, of: &[usize]) -> Dealings {
        of.iter().map(|i| (self.address(*i), self.deal(*i))).collect()
    }

    pub(crate) fn board(&self, dealings: &Dealings) -> Board {
        Board::new(self.round.clone(), dealings.clone())
    }

    pub(crate) fn acks(&self, board: &Board, of: &[usize]) -> AllAcks {
        let acks = |i: &usize| {
            let acks = board.acknowledge(&self.keys[*i], &self.address(*i)).unwrap();
            assert_eq!(self.round.check_acks(&self.address(*i), &acks), Ok(()));
            (self.address(*i), acks)
        };
        of.iter().map(acks).collect()
    }

    /// The answers of those dealers who are asked for one.
    pub(crate) fn logs(&self, board: &Board, acks: &AllAcks, of: &[usize]) -> Logs {
        let log = |i: &usize| {
            let log = board.close(&self.keys[*i], &self.address(*i), acks).unwrap()?;
            let dealing = board.dealing(&self.address(*i)).unwrap();
            assert_eq!(self.round.check_log(&self.address(*i), dealing, &log), Ok(()));
            Some((self.address(*i), log))
        };
        of.iter().filter_map(log).collect()
    }

    pub(crate) fn shares(&self, board: &Board, group: &Group, logs: &Logs, i: usize) -> Shares {
        board.shares(&self.keys[i], &self.address(i), group, logs).unwrap()
    }

    /// A round in which everybody does everything.
    pub(crate) fn finish(&self) -> Finished {
        let all = self.everybody();
        let board = self.board(&self.dealings(&all));
        let acks = self.acks(&board, &all);
        assert!(self.logs(&board, &acks, &all).is_empty(), "nobody complains");
        let group = board.group(&acks, &Logs::new()).unwrap();
        let shares = all.iter().map(|i| self.shares(&board, &group, &Logs::new(), *i)).collect();
        let committee = group.open(self.round.chain()).unwrap();
        Finished { group, committee, shares, members: all.iter().map(|i| self.address(*i)).collect() }
    }
}

/// A round with its group.
pub(crate) struct Finished {
    pub(crate) group: Group,
    pub(crate) committee: Committee,
    pub(crate) shares: Vec<Shares>,
    pub(crate) members: Vec<Address>,
}

impl Finished {
    pub(crate) fn sign(&self, height: Height, who: &[usize]) -> Vec<(Address, Partials)> {
        who.iter().map(|i| (self.members[*i], self.shares[*i].sign(height))).collect()
    }

    pub(crate) fn value(&self, height: Height, who: &[usize]) -> Value {
        let votes = self.sign(height, who);
        let votes = borrowed(&votes);
        assert_eq!(self.committee.verify_partials(height, &votes), Ok(()));
        self.committee.recover(height, &votes).unwrap()
    }
}

pub(crate) fn borrowed(votes: &[(Address, Partials)]) -> Vec<(Address, &Partials)> {
    votes.iter().map(|(from, vote)| (*from, vote)).collect()
}

/// The parts of a dealing's encoding.
pub(crate) struct Parts {
    pub(crate) polynomial: Vec<[u8; 96]>,
    pub(crate) shares: Vec<[u8; 32]>,
    pub(crate) proof: [u8; 48],
}

impl Parts {
    pub(crate) fn of(dealing: &Dealing) -> Self {
        let bytes = dealing.encode();
        let (polynomial, shares, proof) = borsh::from_slice(&bytes[..bytes.len() - 64]).unwrap();
        Self { polynomial, shares, proof }
    }

    /// A dealing with these parts, signed by `secret` for `round`.
    pub(crate) fn signed(&self, round: &Round, secret: &SecretKey) -> Dealing {
        let content = [self.polynomial.as_flattened(), self.shares.as_flattened(), &self.proof[..]].concat();
        let signature = sign(round, secret, Domain::new("freeway 1 beacon dealing"), &content);
        let bytes = borsh::to_vec(&(&self.polynomial, &self.shares, self.proof)).unwrap();
        Dealing::decode(&[bytes, signature].concat()).unwrap()
    }
}

/// Acknowledgements of member `i` with these contents.
pub(crate) fn forged(net: &Net, i: usize, good: u128, bad: u128, seen: &[u8]) -> Acks {
    let content = [&good.to_le_bytes()[..], &bad.to_le_bytes(), seen].concat();
    let signature =
        sign(&net.round, &net.keys[i], Domain::new("freeway 1 beacon acknowledgements"), &content);
    Acks::decode(&[content, signature].concat()).unwrap()
}

/// Acknowledgements of member `i` of everything on the board but the dealing of member `of`.
pub(crate) fn complaint(net: &Net, board: &Board, i: usize, of: usize) -> Acks {
    let honest = net.acks(board, &[i])[&net.address(i)].encode();
    let holders = net.round.seats().holders();
    let bad = 1 << holders.iter().position(|holder| holder.address == net.address(of)).unwrap();
    forged(net, i, (1u128 << holders.len()) - 1 - bad, bad, &honest[32..64])
}

/// A signature of somebody who signs what it likes.
pub(crate) fn sign(round: &Round, secret: &SecretKey, domain: Domain, content: &[u8]) -> Vec<u8> {
    let me = Address::of(&secret.public());
    let bytes = [&round.id().0[..], &me.0, content].concat();
    secret.sign_raw(signing_digest(domain, round.chain(), &bytes).as_bytes()).0.to_vec()
}
