//! Owners of hosts who change their minds, through transactions like anybody's.

use freeway_ledger::hosts::{Message, Profile};
use freeway_ledger::{Message as Ask, Text};
use freeway_primitives::Amount;

use crate::cast::{Member, collateral};
use crate::plan::{FIRST_FAULT_MS, Fault, LAST_FAULT_MS, Plan};
use crate::random::Random;

/// What an owner asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Out of the validator set.
    Leave,
    /// Half of the collateral back: less power from the next switch on.
    Withdraw,
    /// Collateral for a weight that was not backed: a validator from the next switch on.
    Deposit,
    /// A host of its own, for an account that has none. Without proven weight it gets no power.
    Register,
    /// Another consensus key.
    ChangeKey,
}

impl Wish {
    /// The message of `member`'s owner.
    pub fn message(self, member: &Member) -> Ask {
        let backing = collateral(member.weight.max(1));
        Ask::Hosts(match self {
            Self::Leave => Message::Leave,
            Self::Withdraw => Message::Withdraw { amount: Amount(backing.0 / 2) },
            Self::Deposit => Message::Deposit { amount: backing },
            Self::Register => Message::Register { profile: profile(member, false), collateral: backing },
            Self::ChangeKey => Message::Update { profile: profile(member, true) },
        })
    }
}

fn profile(member: &Member, next: bool) -> Profile {
    let key = if next { &member.next } else { &member.consensus };
    Profile {
        consensus_key: key.public(),
        endpoints: Vec::new(),
        region: Text::default(),
        operator: Text::new(member.address().short()).expect("a short text"),
        hardware: Text::default(),
    }
}

/// Adds wishes. Together they never take so much honest power away that a traitor would hold a third.
pub fn schedule(random: &mut Random, plan: &mut Plan) {
    let validators = plan.validators();
    let traitor = plan.traitor.as_ref().map(|traitor| traitor.node);
    let at = |random: &mut Random| random.between(FIRST_FAULT_MS, LAST_FAULT_MS / 2);
    let may_shrink = if traitor.is_some() { usize::from(validators >= 9) } else { validators / 4 };
    for _ in 0..may_shrink {
        let node = random.index(validators);
        if Some(node) != traitor {
            let wish = if random.chance(500) { Wish::Leave } else { Wish::Withdraw };
            plan.faults.push((at(random), Fault::Ask(node, wish)));
        }
    }
    if random.chance(600) {
        let node = random.index(validators);
        if Some(node) != traitor {
            plan.faults.push((at(random), Fault::Ask(node, Wish::ChangeKey)));
        }
    }
    if random.chance(600) {
        // A host of genesis whose weight is not backed yet joins by a deposit.
        plan.weights.push((random.between(40, 90), false));
        let joiner = plan.nodes() - 1;
        plan.faults.push((at(random), Fault::Ask(joiner, Wish::Deposit)));
    }
    if random.chance(400)
        && let Some(follower) = plan.weights.iter().position(|(weight, _)| *weight == 0)
    {
        plan.faults.push((at(random), Fault::Ask(follower, Wish::Register)));
    }
}
