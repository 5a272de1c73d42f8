//! Clocks that are wrong.

use crate::plan::{FIRST_FAULT_MS, Fault, LAST_FAULT_MS, Plan};
use crate::random::Random;

/// Sets some clocks wrong, from the start or suddenly.
pub fn schedule(random: &mut Random, plan: &mut Plan) {
    for node in 0..plan.nodes() {
        if random.chance(500) {
            let at = if random.chance(500) { 0 } else { random.between(FIRST_FAULT_MS, LAST_FAULT_MS) };
            let ahead_ms = random.between(0, 8_000) as i64 - 4_000;
            plan.faults.push((at, Fault::Skew(node, ahead_ms)));
        }
    }
}
