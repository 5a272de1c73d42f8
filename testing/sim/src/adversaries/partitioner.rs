//! Cuts through the network.

use crate::network::Cut;
use crate::plan::{Fault, Plan};
use crate::random::Random;

/// Adds cuts with random sides; they may overlap.
pub fn schedule(random: &mut Random, plan: &mut Plan) {
    for number in 0..random.between(1, 3) as u32 {
        let mut side: Vec<usize> = (0..plan.nodes()).filter(|_| random.chance(500)).collect();
        if side.is_empty() {
            side.push(random.index(plan.nodes()));
        }
        let cut = Cut { side, one_way: random.chance(300) };
        plan.spell(random, Fault::Cut(number, cut), Fault::Mend(number));
    }
}
