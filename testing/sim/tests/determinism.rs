//! The same seed is the same run.

use freeway_sim::{Plan, World};

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [1, 2, 3, 31, 113] {
        let (first, second) = (World::run_seed(seed), World::run_seed(seed));
        assert_eq!(first.1, second.1, "seed {seed}: the traces differ");
        assert_eq!(first.0, second.0);
    }
}

#[test]
fn different_seeds_give_different_traces() {
    assert_ne!(World::run_seed(1).1, World::run_seed(2).1);
}

#[test]
fn the_same_seed_gives_the_same_races() {
    let run = || {
        let mut world = World::new(Plan::racing_seed(3));
        (world.run(), world.trace.digest())
    };
    assert_eq!(run(), run());
}
