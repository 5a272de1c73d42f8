//! Runs whose hosts race. They are longer than the others, so there are fewer of them, and what goes wrong in
//! them goes wrong while hosts race.

use freeway_host::Adversary;

use super::{Fault, HostPlan, Plan, Sabotage};
use crate::cast::race_params;
use crate::network::Cut;
use crate::random::Random;

/// Blocks that a racing network makes in so much time at least, in milliseconds, once all faults are over.
const BLOCK_MS: u64 = 2_000;
/// When the first race is about to begin, and when the second is over, on a network on which nothing goes wrong.
const RACING_MS: (u64, u64) = (13_000, 40_000);
/// How long a fault lasts at most.
const LONGEST_MS: u64 = 4_000;

impl Plan {
    /// A network on which nothing goes wrong, whose hosts race in epochs 1 to `races` with hardware of these
    /// speeds. Genesis gives all the same weight.
    pub fn racing(seed: u64, races: u64, speeds: &[u64]) -> Self {
        let params = race_params();
        let hosts = speeds.iter().map(|speed| HostPlan { speed: *speed, adversary: None }).collect();
        // The last race is settled, and the switch after it is done.
        let target = (races + 1) * params.epochs.epoch_blocks + 1;
        Self {
            weights: vec![(1_000, true); speeds.len()],
            target,
            params,
            hosts,
            workload_every_ms: 400,
            patience_ms: target * BLOCK_MS,
            ..Self::calm(seed, speeds.len(), target)
        }
    }

    /// The plan with an adversary in the place of node `node`.
    #[must_use]
    pub fn with_adversary(mut self, node: usize, adversary: Adversary) -> Self {
        self.hosts[node].adversary = Some(adversary);
        self
    }

    /// The run of a seed in which hosts race twice, some of their machines fail meanwhile, and often one cheats.
    pub fn racing_seed(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0xace);
        let hosts = random.between(4, 7) as usize;
        let speeds: Vec<u64> = (0..hosts).map(|_| random.between(200, 400)).collect();
        let mut plan = Self::racing(seed, 2, &speeds);
        plan.flags = "--racing ";
        plan.workload_every_ms = random.between(200, 800);
        plan.deals_after = true;
        if random.chance(600) {
            let adversary = *random.pick(&Adversary::ALL);
            plan = plan.with_adversary(random.index(hosts), adversary);
        }
        for _ in 0..random.between(0, 3) {
            let node = random.index(hosts);
            plan.trouble(&mut random, Fault::Crash(node), Fault::Start(node));
        }
        if random.chance(300) {
            let node = random.index(hosts);
            let how = *random.pick(&[Sabotage::Sync, Sabotage::Full, Sabotage::PowerAfter(20)]);
            plan.trouble(&mut random, Fault::Sabotage(node, how), Fault::Start(node));
        }
        if random.chance(300) {
            let side = (0..hosts).filter(|_| random.chance(400)).collect();
            let cut = Cut { side, one_way: random.chance(300) };
            plan.trouble(&mut random, Fault::Cut(0, cut), Fault::Mend(0));
        }
        if random.chance(300) {
            plan.links.loss = *random.pick(&[10, 50]);
            let calm = random.between(0, RACING_MS.1);
            plan.faults.push((calm, Fault::Calm));
        }
        plan
    }

    fn trouble(&mut self, random: &mut Random, begin: Fault, end: Fault) {
        let at = random.between(RACING_MS.0, RACING_MS.1);
        let lasts = random.between(20, LONGEST_MS);
        self.faults.push((at, begin));
        self.faults.push((at + lasts, end));
    }
}
