//! A validator that loses everything but its key; and a historian who would like it to contradict itself.

use crate::adversaries::churn::Wish;
use crate::plan::{FIRST_FAULT_MS, Fault, LAST_FAULT_MS, LONGEST_FAULT_MS, Plan};
use crate::random::Random;

/// Wipes one validator, unless others that cannot be counted on would make it a third.
pub fn schedule(random: &mut Random, plan: &mut Plan) {
    let shrinks =
        plan.faults.iter().any(|(_, fault)| matches!(fault, Fault::Ask(_, Wish::Leave | Wish::Withdraw)));
    let validators = plan.validators();
    if (plan.traitor.is_some() || shrinks) && validators < 9 {
        return;
    }
    let node = random.index(validators);
    if plan.traitor.as_ref().is_some_and(|traitor| traitor.node == node) {
        return;
    }
    plan.historian = random.chance(500);
    let at = random.between(FIRST_FAULT_MS, LAST_FAULT_MS);
    // Often it is back at once, while messages to its earlier life are still on their way.
    let longest = if random.chance(500) { 100 } else { LONGEST_FAULT_MS };
    let lasts = random.between(20, longest);
    plan.faults.push((at, Fault::Wipe(node)));
    plan.faults.push((at + lasts, Fault::Start(node)));
}
