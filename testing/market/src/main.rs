//! The simulator's command.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use freeway_market::{Setting, long, say, scale, table};
use freeway_primitives::Amount;

/// The loop of money in simulation.
#[derive(Debug, Parser)]
#[command(name = "freeway-market")]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Count what becomes of each adversary, and write it down.
    TruthTable {
        /// Seeds of each.
        #[arg(long, default_value_t = 50)]
        seeds: u64,
        /// The first of them.
        #[arg(long, default_value_t = 0)]
        first: u64,
        /// Requests of each of the three payers in every block.
        #[arg(long, default_value_t = 20)]
        rate: u64,
        /// Threads.
        #[arg(long, default_value_t = 2)]
        jobs: usize,
        /// Where the page goes.
        #[arg(long, default_value = "docs/truth-table.md")]
        out: std::path::PathBuf,
    },
    /// Let honest hosts be in trouble for many epochs: nobody is slashed.
    Honest {
        /// Epochs.
        #[arg(long, default_value_t = 10_000)]
        epochs: u64,
        /// The seed.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Requests of each of the three payers in every block.
        #[arg(long, default_value_t = 1)]
        rate: u64,
        /// Stop after so many seconds.
        #[arg(long, default_value_t = 3_600)]
        seconds: u64,
    },
    /// Measure what work costs the chain.
    Scale {
        /// The most hosts.
        #[arg(long, default_value_t = 10_000)]
        hosts: usize,
    },
}

fn main() -> ExitCode {
    let started = Instant::now();
    match Options::parse().command {
        Command::TruthTable { seeds, first, rate, jobs, out } => {
            let rows = table::count(seeds, first, rate, jobs, |row| {
                say(&format!("{}: {:.0} s", row.scheme.name, started.elapsed().as_secs_f64()));
            });
            let page = table::page(&rows, rate);
            say(&page);
            let broken: Vec<String> = rows.iter().filter_map(|row| row.check().err()).collect();
            if let Err(error) = std::fs::write(&out, page) {
                say(&format!("{} cannot be written: {error}", out.display()));
                return ExitCode::FAILURE;
            }
            broken.iter().for_each(|broken| say(broken));
            if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Command::Honest { epochs, seed, rate, seconds } => {
            // Payers get nothing back; they must not run out of money.
            let setting = Setting { rate, wealth: Amount::fwy(1_000_000), ..Setting::local(seed) };
            let limit = Duration::from_secs(seconds);
            let report = long::run(&setting, long::Trouble::USUAL, epochs, limit, |done, tally| {
                if done.is_multiple_of(500) {
                    let seconds = started.elapsed().as_secs_f64();
                    say(&format!("{done} epochs, {} requests, {seconds:.0} s", tally.requests));
                }
            });
            say(&report.text());
            ExitCode::SUCCESS
        }
        Command::Scale { hosts } => {
            say(scale::HEAD);
            let shapes = scale::SHAPES.into_iter().filter(|shape| shape.hosts <= hosts);
            let measured: Vec<_> =
                shapes.map(scale::measure).inspect(|measured| say(&measured.row())).collect();
            say(scale::CURVES);
            measured.iter().for_each(|measured| say(&measured.curve()));
            ExitCode::SUCCESS
        }
    }
}
