//! Disks that fail.

use crate::plan::{Fault, Plan, Sabotage};
use crate::random::Random;

/// Adds a failure of one or two disks. The node must stop by itself, and starts again when its disk is healed.
pub fn schedule(random: &mut Random, plan: &mut Plan) {
    for _ in 0..random.between(1, 2) {
        let node = random.index(plan.nodes());
        let how = match random.between(0, 3) {
            0 => Sabotage::Writes(random.between(0, 60)),
            1 => Sabotage::PowerAfter(random.between(0, 60)),
            2 => Sabotage::Sync,
            _ => Sabotage::Full,
        };
        plan.spell(random, Fault::Sabotage(node, how), Fault::Start(node));
    }
}
