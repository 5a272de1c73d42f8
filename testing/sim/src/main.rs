//! The simulator's command: many seeds, one seed with its trace, the cost of a block, or what cheating brings.

use std::time::Instant;

use clap::Parser;
use freeway_sim::{Plan, World, measure, report, runner, say};

/// Runs whole Freeway networks in simulated time.
#[derive(Debug, Parser)]
#[command(name = "freeway-sim")]
struct Options {
    /// How many seeds to run.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Run this seed alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Runs in which hosts race.
    #[arg(long)]
    racing: bool,
    /// Print every event of the seed.
    #[arg(long)]
    trace: bool,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Count messages and bytes of a healthy network instead.
    #[arg(long)]
    report: bool,
    /// Validators of the report's network.
    #[arg(long, default_value_t = 100)]
    validators: usize,
    /// Blocks of the report.
    #[arg(long, default_value_t = 10)]
    blocks: u64,
    /// Count how surely cheating in races is noticed instead, and what it brings.
    #[arg(long)]
    adversaries: bool,
    /// Races of each adversary.
    #[arg(long, default_value_t = 200)]
    races: u64,
    /// Print the counts as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> std::process::ExitCode {
    let options = Options::parse();
    if options.report {
        say(&report::run(options.validators, options.blocks));
        return std::process::ExitCode::SUCCESS;
    }
    let started = Instant::now();
    if options.adversaries {
        let report = measure::run(options.races, options.first, options.jobs);
        let json = || serde_json::to_string_pretty(&report).unwrap_or_default();
        say(&if options.json { json() } else { report.text() });
        return std::process::ExitCode::SUCCESS;
    }
    let plan_of = if options.racing { Plan::racing_seed } else { Plan::from_seed };
    if let Some(seed) = options.seed {
        let plan = plan_of(seed);
        say(&format!("{plan:#?}"));
        let mut world = World::new(plan);
        world.trace.live = options.trace;
        let summary = world.run();
        say(&format!(
            "{summary:#?}\ntrace {}\n{:.1} s",
            world.trace.digest(),
            started.elapsed().as_secs_f64()
        ));
        return std::process::ExitCode::SUCCESS;
    }
    let step = (options.seeds / 20).max(1);
    let (total, failures) = runner::run(plan_of, options.first, options.seeds, options.jobs, |done| {
        if done.is_multiple_of(step) {
            say(&format!("{done} of {} seeds, {:.0} s", options.seeds, started.elapsed().as_secs_f64()));
        }
    });
    for (seed, text) in failures.iter().take(5) {
        say(&format!("--- seed {seed}\n{text}"));
    }
    say(&format!("{total:#?}\n{:.1} s wall on {} threads", started.elapsed().as_secs_f64(), options.jobs));
    if failures.is_empty() {
        return std::process::ExitCode::SUCCESS;
    }
    let seeds: Vec<String> = failures.iter().map(|(seed, _)| seed.to_string()).collect();
    say(&format!("{} seeds failed: {}", failures.len(), seeds.join(" ")));
    std::process::ExitCode::FAILURE
}
