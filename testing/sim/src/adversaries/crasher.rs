//! Power cuts.

use crate::plan::{Fault, Plan};
use crate::random::Random;

/// Adds power cuts at random times: of one node at a time, or of many at once.
pub fn schedule(random: &mut Random, plan: &mut Plan) {
    for _ in 0..random.between(1, 5) {
        let node = random.index(plan.nodes());
        plan.spell(random, Fault::Crash(node), Fault::Start(node));
    }
    if random.chance(150) {
        let at = random.between(crate::plan::FIRST_FAULT_MS, crate::plan::LAST_FAULT_MS);
        for node in 0..plan.nodes() {
            plan.faults.push((at, Fault::Crash(node)));
            let back = at + random.between(20, crate::plan::LONGEST_FAULT_MS);
            plan.faults.push((back, Fault::Start(node)));
        }
    }
}
