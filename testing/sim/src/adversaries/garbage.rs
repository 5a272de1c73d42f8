//! An outsider without a key that sends whatever could hurt.

use bytes::Bytes;
use freeway_consensus::parts::{Opening, PART_BYTES, split};
use freeway_primitives::{Address, ChainId, Height, SecretKey};

use crate::plan::Plan;
use crate::random::Random;
use crate::wire::{Kind, Wire};

/// Old messages that are kept to be sent again.
const KEPT: usize = 400;

/// Turns the outsider on.
pub fn schedule(random: &mut Random, plan: &mut Plan) {
    plan.garbage_every_ms = random.between(20, 200);
}

/// The outsider.
#[derive(Debug)]
pub struct Outsider {
    random: Random,
    heard: Vec<Wire>,
    streams: u64,
}

impl Outsider {
    /// An outsider with its own dice.
    pub fn new(random: Random) -> Self {
        Self { random, heard: Vec::new(), streams: 0 }
    }

    /// It listens to everything, and remembers some.
    pub fn hear(&mut self, wire: &Wire) {
        if self.heard.len() < KEPT {
            self.heard.push(wire.clone());
        } else if self.random.chance(50) {
            let at = self.random.index(KEPT);
            self.heard[at] = wire.clone();
        }
    }

    /// What it sends next, to a network at about `height`.
    pub fn rubbish(&mut self, chain: &ChainId, height: Height) -> Vec<Wire> {
        let kind = *self.random.pick(&Kind::ALL);
        match self.random.between(0, 4) {
            0 => {
                let length = self.random.between(0, 600) as usize;
                vec![Wire { kind, bytes: Bytes::from(self.random.bytes(length)) }]
            }
            1 => self.bent(),
            2 => self.endless(chain, height),
            3 => vec![Wire { kind: Kind::Part, bytes: Bytes::from(vec![0; 2 * PART_BYTES]) }],
            _ => self.again(),
        }
    }

    /// An old message, late.
    fn again(&mut self) -> Vec<Wire> {
        if self.heard.is_empty() {
            return Vec::new();
        }
        let count = self.random.between(1, 20);
        (0..count).map(|_| self.random.pick(&self.heard).clone()).collect()
    }

    /// An old message with some bits changed.
    fn bent(&mut self) -> Vec<Wire> {
        let mut wires = self.again();
        for wire in &mut wires {
            let mut bytes = wire.bytes.to_vec();
            if !bytes.is_empty() {
                let at = self.random.index(bytes.len());
                bytes[at] ^= 1 << self.random.between(0, 7);
            }
            wire.bytes = bytes.into();
        }
        wires
    }

    /// Blocks in parts that never end, or end with a stranger's seal.
    fn endless(&mut self, chain: &ChainId, height: Height) -> Vec<Wire> {
        self.streams += 1;
        let opening = Opening {
            height: height.plus(self.random.between(0, 4)),
            round: self.random.between(0, 3) as u32,
            valid_round: None,
            proposer: Address([7; 32]),
        };
        let size = self.random.between(0, 3 * PART_BYTES as u64) as usize;
        let stranger = SecretKey::from_seed([0xee; 32]);
        let mut parts = split(opening, &vec![0x5a; size], chain, &stranger, self.streams);
        if self.random.chance(800) {
            parts.pop();
        }
        parts.iter().map(|part| Wire::new(Kind::Part, part)).collect()
    }
}
