//! A validator that breaks the rules: contradicting votes, contradicting or lying proposals.

use std::collections::BTreeMap;

use freeway_consensus::context::{Context, Value};
use freeway_consensus::parts::{Opening, Part, PartMessage, split};
use freeway_consensus::{Signing, SigningGuard};
use freeway_primitives::{Block, BlockId, Canonical, ChainId, Digest, Height, SecretKey};
use malachitebft_core_consensus::SignedConsensusMsg;
use malachitebft_core_types::{Context as _, NilOrVal, Proposal as _, Vote as _};
use malachitebft_engine::util::streaming::StreamContent;
use malachitebft_signing::Signer as _;

use crate::random::Random;
use crate::verifier::now;
use crate::wire::{Kind, Wire};

/// Blocks in one flood.
const FLOOD: usize = 20;

/// How a traitor betrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Betrayal {
    /// Two valid blocks in one round, each to a part of the network.
    TwoBlocks,
    /// One block with a false state root, to all.
    FalseRoot,
    /// One block from the end of time, to all.
    EndOfTime,
    /// One block from a few seconds ahead, to all.
    Ahead,
    /// Many valid blocks, to all.
    Flood,
}

/// A validator that breaks the rules, with less than a third of the power.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traitor {
    /// Which.
    pub node: usize,
    /// What it does when it proposes; nothing special without.
    pub proposals: Option<Betrayal>,
    /// Whether it also signs two votes where one is due.
    pub votes: bool,
    /// How often it does any of that, in thousandths.
    pub zeal: u64,
}

/// Draws a traitor among the first `validators` nodes.
pub fn draw(random: &mut Random, validators: usize) -> Traitor {
    let all = [
        None,
        Some(Betrayal::TwoBlocks),
        Some(Betrayal::FalseRoot),
        Some(Betrayal::EndOfTime),
        Some(Betrayal::Ahead),
        Some(Betrayal::Flood),
    ];
    let proposals = *random.pick(&all);
    Traitor {
        node: random.index(validators),
        proposals,
        votes: proposals.is_none() || random.chance(600),
        zeal: *random.pick(&[200, 600, 1_000]),
    }
}

/// A message for one node.
pub type Addressed = (usize, Wire);

/// The hand of a [`Traitor`] on its outgoing messages.
#[derive(Debug)]
pub struct Hand {
    traitor: Traitor,
    chain: ChainId,
    random: Random,
    others: BTreeMap<(Height, u32), BlockId>,
    streams: u64,
}

impl Hand {
    /// A hand with its own dice.
    pub fn new(traitor: Traitor, chain: ChainId, random: Random) -> Self {
        Self { traitor, chain, random, others: BTreeMap::new(), streams: 1 << 60 }
    }

    fn signing(&self, key: &SecretKey) -> Signing {
        Signing::new(self.chain, key.clone(), SigningGuard::open())
    }

    /// Who gets the one message, and who the other: some may get both.
    fn spread(&mut self, nodes: usize, first: &[Wire], second: &[Wire]) -> Vec<Addressed> {
        let mut addressed = Vec::new();
        for to in (0..nodes).filter(|to| *to != self.traitor.node) {
            let lot = self.random.between(0, 9);
            if lot < 6 {
                addressed.extend(first.iter().map(|wire| (to, wire.clone())));
            }
            if lot >= 4 {
                addressed.extend(second.iter().map(|wire| (to, wire.clone())));
            }
        }
        addressed
    }

    /// A vote or proposal of the node: what it sends instead, or `None` for the message as it is.
    pub fn consensus(
        &mut self,
        message: &SignedConsensusMsg<Context>,
        key: &SecretKey,
        nodes: usize,
    ) -> Option<Vec<Addressed>> {
        let signing = self.signing(key);
        match message {
            SignedConsensusMsg::Vote(vote) => {
                if !self.traitor.votes || !self.random.chance(self.traitor.zeal) {
                    return None;
                }
                let height = vote.message.height().0;
                let round = vote.message.round().as_u32()?;
                let known = self.others.get(&(height, round)).copied();
                let invented = || BlockId(Digest([9; 32]));
                let other = match vote.message.value() {
                    NilOrVal::Val(_) if self.random.chance(500) => NilOrVal::Nil,
                    NilOrVal::Val(Value(block)) => {
                        let other = known.filter(|known| known != block).unwrap_or_else(invented);
                        NilOrVal::Val(Value(other))
                    }
                    NilOrVal::Nil => NilOrVal::Val(Value(known.unwrap_or_else(invented))),
                };
                let other = now(signing.sign_vote(vote.message.with_value(other))).ok()?;
                let first = [Wire::new(Kind::Vote, message)];
                let second = [Wire::new(Kind::Vote, &SignedConsensusMsg::Vote(other))];
                Some(self.spread(nodes, &first, &second))
            }
            SignedConsensusMsg::Proposal(proposal) => {
                let (height, round) = (proposal.height().0, proposal.round().as_u32()?);
                let other = *self.others.get(&(height, round))?;
                let changed = Context.new_proposal(
                    proposal.height(),
                    proposal.round(),
                    Value(other),
                    proposal.pol_round(),
                    *proposal.validator_address(),
                );
                let changed = now(signing.sign_proposal(changed)).ok()?;
                let first = [Wire::new(Kind::Proposal, message)];
                let second = [Wire::new(Kind::Proposal, &SignedConsensusMsg::Proposal(changed))];
                Some(match self.traitor.proposals? {
                    Betrayal::TwoBlocks => self.spread(nodes, &first, &second),
                    Betrayal::FalseRoot | Betrayal::EndOfTime | Betrayal::Ahead | Betrayal::Flood => {
                        let others = (0..nodes).filter(|to| *to != self.traitor.node);
                        others.map(|to| (to, second[0].clone())).collect()
                    }
                })
            }
        }
    }

    /// A block of the node in parts: what it sends instead, or `None` for the parts as they are.
    pub fn parts(&mut self, parts: &[PartMessage], key: &SecretKey, nodes: usize) -> Option<Vec<Addressed>> {
        let betrayal = self.traitor.proposals?;
        if !self.random.chance(self.traitor.zeal) {
            return None;
        }
        let (opening, mut block) = join(parts)?;
        match betrayal {
            Betrayal::TwoBlocks => block.header.time_ms += 1,
            Betrayal::FalseRoot => block.header.state_root = Digest([3; 32]),
            Betrayal::EndOfTime => block.header.time_ms = u64::MAX,
            Betrayal::Ahead => block.header.time_ms += 5_000,
            Betrayal::Flood => return Some(self.flood(opening, block, key, nodes)),
        }
        self.others.insert((opening.height, opening.round), block.id());
        self.streams += 1;
        let changed = split(opening, &block.encode(), &self.chain, key, self.streams);
        let wires = |parts: &[PartMessage]| -> Vec<Wire> {
            parts.iter().map(|part| Wire::new(Kind::Part, part)).collect()
        };
        let (first, second) = (wires(parts), wires(&changed));
        Some(match betrayal {
            Betrayal::TwoBlocks => self.spread(nodes, &first, &second),
            Betrayal::FalseRoot | Betrayal::EndOfTime | Betrayal::Ahead | Betrayal::Flood => (0..nodes)
                .filter(|to| *to != self.traitor.node)
                .flat_map(|to| second.iter().map(move |wire| (to, wire.clone())))
                .collect(),
        })
    }
}

impl Hand {
    /// The block and many like it, each whole and sealed.
    fn flood(&mut self, opening: Opening, mut block: Block, key: &SecretKey, nodes: usize) -> Vec<Addressed> {
        let mut wires = Vec::new();
        for _ in 0..FLOOD {
            self.streams += 1;
            let parts = split(opening, &block.encode(), &self.chain, key, self.streams);
            wires.extend(parts.iter().map(|part| Wire::new(Kind::Part, part)));
            block.header.time_ms += 1;
        }
        let others = (0..nodes).filter(|to| *to != self.traitor.node);
        others.flat_map(|to| wires.iter().map(move |wire| (to, wire.clone()))).collect()
    }
}

fn join(parts: &[PartMessage]) -> Option<(Opening, Block)> {
    let mut opening = None;
    let mut bytes = Vec::new();
    for part in parts {
        match &part.content {
            StreamContent::Data(Part::Opening(found)) => opening = Some(*found),
            StreamContent::Data(Part::Data(data)) => bytes.extend(data),
            _ => {}
        }
    }
    Some((opening?, Block::decode(&bytes).ok()?))
}
