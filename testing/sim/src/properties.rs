//! What must always hold, one function each. They see every node from outside, across crashes and wipes.

pub mod beacon;
pub mod races;

use std::collections::{BTreeMap, BTreeSet};

use freeway_ledger::hosts::{HOSTS, Status};
use freeway_ledger::{Event, MINTED, SUPPLY, epochs, evidence, holdings, vaults};
use freeway_node::Chain;
use freeway_node::chain::BlockResults;
use freeway_primitives::{
    Address, Amount, Block, BlockId, Canonical, Certificate, ChainId, Digest, Equivocation, Height,
    PublicKey, SignedProposal, SignedVote, ValidatorSet, VoteKind,
};

use crate::verifier::certificate_stands;

/// More than this a node never holds of unfinished proposals, in bytes.
pub const MAX_HELD_BYTES: usize = 72 << 20;

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The property.
    pub property: &'static str,
    /// What was seen.
    pub detail: String,
}

type Verdict = Result<(), Violation>;

fn violated(property: &'static str, detail: impl Into<String>) -> Verdict {
    Err(Violation { property, detail: detail.into() })
}

/// Evidence that an honest node was handed by its engine.
#[derive(Clone, Debug)]
struct Report {
    reporter: Address,
    life: u64,
    at: Height,
    accused: Address,
    offence: Height,
}

/// What all nodes together have shown so far.
#[derive(Debug)]
pub struct Properties {
    chain: ChainId,
    supply: Amount,
    max_age: u64,
    traitor: Option<Address>,
    blocks: BTreeMap<Height, BlockId>,
    roots: BTreeMap<Height, Digest>,
    sets: BTreeMap<Height, ValidatorSet>,
    votes: BTreeMap<(PublicKey, Height, u32, VoteKind), Option<BlockId>>,
    proposals: BTreeMap<(PublicKey, Height, u32), BlockId>,
    reports: Vec<Report>,
    convicted: BTreeSet<Address>,
    seen_events: BTreeSet<Height>,
    news: Vec<Event>,
    /// What concerns the beacon.
    pub beacon: beacon::Beacon,
    /// What concerns races.
    pub races: races::Races,
    /// Conflicting pairs that honest nodes' engines saw.
    pub evidence: u64,
    /// Validator sets that were switched to.
    pub switches: u64,
    /// Switches that were held.
    pub held: u64,
}

impl Properties {
    /// Nothing seen yet.
    pub fn new(
        chain: ChainId,
        supply: Amount,
        max_age: u64,
        traitor: Option<Address>,
        races: races::Races,
    ) -> Self {
        Self {
            chain,
            supply,
            max_age,
            traitor,
            blocks: BTreeMap::new(),
            roots: BTreeMap::new(),
            sets: BTreeMap::new(),
            votes: BTreeMap::new(),
            proposals: BTreeMap::new(),
            reports: Vec::new(),
            convicted: BTreeSet::new(),
            seen_events: BTreeSet::new(),
            news: Vec::new(),
            beacon: beacon::Beacon::default(),
            races,
            evidence: 0,
            switches: 0,
            held: 0,
        }
    }

    /// What has happened since the last call in epochs, beacon and races.
    pub fn news(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.news)
    }

    /// How many validators were convicted.
    pub fn convictions(&self) -> u64 {
        self.convicted.len() as u64
    }

    /// The block of a height, once any node has committed it.
    pub fn block(&self, height: Height) -> Option<BlockId> {
        self.blocks.get(&height).copied()
    }

    /// All nodes decide a height with the same validators.
    pub fn same_validators(&mut self, height: Height, set: &ValidatorSet) -> Verdict {
        match self.sets.get(&height) {
            Some(known) if known != set => {
                violated("same validators", format!("height {height}: {known:?} and {set:?}"))
            }
            Some(_) => Ok(()),
            None => {
                self.sets.insert(height, set.clone());
                Ok(())
            }
        }
    }

    /// A node has committed `height`: everything that concerns the block and the state after it.
    ///
    /// # Errors
    /// [`Violation`] if anything is wrong with it.
    pub fn committed(
        &mut self,
        chain: &Chain,
        height: Height,
        life_of: impl Fn(&Address) -> Option<u64>,
    ) -> Verdict {
        let store = chain.store();
        let stored = store.block(height).map_err(|error| Violation {
            property: "readable",
            detail: format!("block {height}: {error}"),
        })?;
        let Some((bytes, certificate)) = stored else {
            return violated("readable", format!("block {height} is committed, but not stored"));
        };
        let decoded = Block::decode(&bytes).ok().zip(Certificate::decode(&certificate).ok());
        let Some((block, certificate)) = decoded else {
            return violated("readable", format!("block {height} does not decode"));
        };
        self.agreement(height, &block, store.root(height))?;
        self.certified(height, &block, &certificate)?;
        if height == chain.height() {
            self.evidence_counts(chain, height, &block, life_of)?;
            self.events(chain, &block)?;
            if height.0.is_multiple_of(3) {
                self.supply_conserved(chain)?;
            }
        }
        Ok(())
    }

    /// No two blocks at one height, no two states after one block.
    fn agreement(&mut self, height: Height, block: &Block, root: Option<Digest>) -> Verdict {
        let id = block.id();
        let known = *self.blocks.entry(height).or_insert(id);
        if known != id {
            return violated("agreement", format!("height {height}: {known} and {id}"));
        }
        let mut same_root = |height: Height, root: Digest| {
            let known = *self.roots.entry(height).or_insert(root);
            if known == root {
                Ok(())
            } else {
                violated("one state", format!("after height {height}: {known} and {root}"))
            }
        };
        same_root(height.minus(1), block.header.state_root)?;
        root.map_or(Ok(()), |root| same_root(height, root))
    }

    /// Every committed block has a certificate of its validators.
    fn certified(&self, height: Height, block: &Block, certificate: &Certificate) -> Verdict {
        let Some(set) = self.sets.get(&height) else {
            return violated("certified", format!("nobody planned height {height}"));
        };
        if block.header.validators != set.digest() {
            return violated("certified", format!("block {height} names other validators"));
        }
        if certificate.block != block.id()
            || certificate.height != height
            || !certificate_stands(&self.chain, certificate, set)
        {
            return violated("certified", format!("the certificate of block {height} does not stand"));
        }
        // What is in a certificate was signed and has left its node.
        for commit in &certificate.signatures {
            let Some(member) = set.get(&commit.validator) else { continue };
            let entry = (member.key, height, certificate.round, VoteKind::Precommit);
            let other = self.votes.get(&entry).filter(|block| **block != Some(certificate.block));
            if let Some(other) = other.filter(|_| Some(commit.validator) != self.traitor) {
                let signer = commit.validator;
                return violated(
                    "no double signing",
                    format!("{signer} precommitted {other:?} at {height}, too"),
                );
            }
        }
        Ok(())
    }

    /// An honest node never signs two different votes for one height, round and step, whatever happens to it.
    pub fn no_double_votes(&mut self, key: PublicKey, votes: &[SignedVote]) -> Verdict {
        for SignedVote { vote, .. } in votes {
            if Some(vote.validator) == self.traitor {
                continue;
            }
            let known = *self.votes.entry((key, vote.height, vote.round, vote.kind)).or_insert(vote.block);
            if known != vote.block {
                return violated("no double signing", format!("{known:?}, now {vote:?}"));
            }
        }
        Ok(())
    }

    /// An honest node never signs two different proposals for one height and round.
    pub fn no_double_proposals(&mut self, key: PublicKey, proposals: &[SignedProposal]) -> Verdict {
        for SignedProposal { proposal, .. } in proposals {
            if Some(proposal.validator) == self.traitor {
                continue;
            }
            let entry = (key, proposal.height, proposal.round);
            let known = *self.proposals.entry(entry).or_insert(proposal.block);
            if known != proposal.block {
                return violated("no double signing", format!("{known}, now {proposal:?}"));
            }
        }
        Ok(())
    }

    /// An engine has handed equivocation to an honest node.
    pub fn evidence_seen(
        &mut self,
        reporter: Address,
        life: u64,
        at: Height,
        proofs: &[Equivocation],
    ) -> Verdict {
        for proof in proofs {
            self.evidence += 1;
            let (accused, offence) = (proof.validator(), proof.height());
            if Some(accused) != self.traitor {
                return violated("nobody is framed", format!("{proof:?}"));
            }
            if reporter != accused {
                self.reports.push(Report { reporter, life, at, accused, offence });
            }
        }
        Ok(())
    }

    /// Whoever saw equivocation brings it into the next block it builds, unless others were faster.
    fn evidence_counts(
        &self,
        chain: &Chain,
        height: Height,
        block: &Block,
        life_of: impl Fn(&Address) -> Option<u64>,
    ) -> Verdict {
        let builder = block.header.proposer;
        let due = self.reports.iter().find(|report| {
            report.reporter == builder
                && life_of(&builder) == Some(report.life)
                && report.at < height
                && height.0 <= report.offence.0 + self.max_age
        });
        let Some(report) = due else { return Ok(()) };
        let state = chain.store().view();
        let host = HOSTS.get(&state, &report.accused).ok().flatten();
        if host.is_some_and(|host| host.status != Status::Removed) {
            return violated(
                "evidence counts",
                format!("{report:?} was known, but block {height} ignores it"),
            );
        }
        Ok(())
    }

    /// Reads the block's events, its own and those of its receipts: only the guilty are convicted.
    fn events(&mut self, chain: &Chain, block: &Block) -> Verdict {
        let (store, height) = (chain.store(), block.header.height);
        let results = store.block_results(height).ok().flatten();
        let Some(results) = results.and_then(|bytes| BlockResults::decode(&bytes).ok()) else {
            return violated("readable", format!("the results of block {height} are missing"));
        };
        let mut events = results.events;
        for hash in &results.transactions {
            let receipt = store.receipt(hash).ok().flatten();
            let Some(receipt) =
                receipt.and_then(|(_, _, bytes)| freeway_ledger::Receipt::decode(&bytes).ok())
            else {
                return violated("readable", format!("receipt {hash} of block {height} is missing"));
            };
            events.extend(receipt.events);
        }
        for event in &events {
            if let Event::Evidence(evidence::Event::Convicted { host, .. }) = event {
                if Some(*host) != self.traitor {
                    return violated("nobody is framed", format!("{host} was convicted at {height}"));
                }
                self.convicted.insert(*host);
            }
        }
        let state = store.view();
        self.beacon.committed(&self.chain, &state, block, &events, self.sets.get(&height))?;
        if self.seen_events.insert(height) {
            let of_epochs = |event: &Event, held: bool| match event {
                Event::Epochs(epochs::Event::Switched { .. }) => !held,
                Event::Epochs(epochs::Event::SwitchHeld { .. }) => held,
                _ => false,
            };
            self.switches += events.iter().filter(|event| of_epochs(event, false)).count() as u64;
            self.held += events.iter().filter(|event| of_epochs(event, true)).count() as u64;
            self.beacon.count_failures(&events);
            let told = |event: &&Event| !matches!(event, Event::Accounts(_) | Event::Hosts(_));
            self.news.extend(events.iter().filter(told).cloned());
            self.races.committed(&state, height, &events)?;
        }
        Ok(())
    }

    /// Money is neither made nor lost but by emission: every entry, the running totals and the supply agree.
    pub fn supply_conserved(&self, chain: &Chain) -> Verdict {
        let state = chain.store().view();
        let read = || -> Result<_, freeway_ledger::Fault> {
            let minted = MINTED.require(&state)?;
            Ok((holdings(&state)?, vaults(&state)?, SUPPLY.require(&state)?, minted))
        };
        let (held, totals, supply, minted) =
            read().map_err(|fault| Violation { property: "readable", detail: fault.0 })?;
        if held != totals || totals.total() != Some(supply) || self.supply.checked_add(minted) != Some(supply)
        {
            let detail = format!(
                "entries {held:?}, totals {totals:?}, supply {supply}, at first {}, minted {minted}",
                self.supply
            );
            return violated("supply conserved", detail);
        }
        Ok(())
    }

    /// What a node has committed is still there after whatever happened to it.
    pub fn no_rollback(&self, chain: &Chain, committed: Height) -> Verdict {
        if chain.height() < committed {
            let detail = format!("committed up to {committed}, after the restart at {}", chain.height());
            return violated("no rollback", detail);
        }
        Ok(())
    }

    /// A node holds a bounded amount of what has not proven itself.
    pub fn bounded_memory(held_bytes: usize) -> Verdict {
        if held_bytes > MAX_HELD_BYTES {
            return violated("bounded memory", format!("{held_bytes} bytes of unfinished proposals"));
        }
        Ok(())
    }

    /// A failed write stops the node, and nothing else does.
    pub fn fail_stop(stopped: Option<&str>, poisoned: bool, sabotaged: bool) -> Verdict {
        match (stopped, poisoned, sabotaged) {
            (None, true, _) => violated("fail stop", "a write failed, and the node went on"),
            (Some(reason), _, false) => violated("fail stop", format!("a sound node stopped: {reason}")),
            _ => Ok(()),
        }
    }
}
