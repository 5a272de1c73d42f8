//! Attacks on the sprint: what could a host leave out, predict, reuse or prepare, and would anybody notice?
//!
//! `cargo run --release -p freeway-sprint --example attacks [-- --shape tiny --nonces 64 --json]`
//!
//! The study has its own implementation of the function, written to be read, with a hook wherever something could be
//! done differently. It first shows that without a cheat this gives exactly the library's traces. Then every cheat runs
//! against honest traces. `docs/sprint-security.md` reports what came out.
//!
//! `--shape` takes `tiny`, `A4` (four layers of `A`), `A16`, `A`, `T16` (sixteen tokens, as `C` has them), or `all` (the
//! default: `tiny`, `A4` and `A16`); it can be given several times.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program whose output is its purpose")]

mod absorb;
mod dead;
mod exact;
mod function;
mod grind;
mod lab;
mod predict;
mod products;
mod rank;
mod relations;
mod report;
mod reuse;
mod sampling;
mod skip;
mod stream;

use std::error::Error;
use std::time::Instant;

use freeway_sprint::Shape;

use crate::function::Mask;
use crate::lab::Lab;
use crate::report::Table;

/// The mask of the library's function.
const LIBRARY: Mask = Mask::Full;
/// The one that it had first.
const OTHER: Mask = Mask::Causal;

/// What to study.
struct Options {
    shapes: Vec<(Shape, usize)>,
    threads: usize,
    json: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let start = Instant::now();
    let tables = study(&options)?;
    if options.json {
        let tables: Vec<_> = tables.iter().map(Table::json).collect();
        println!("[{}]", tables.join(",\n"));
    } else {
        for table in &tables {
            println!("{}", table.markdown());
        }
    }
    eprintln!("done in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options { shapes: Vec::new(), threads: 2, json: false };
    let mut nonces = None;
    let mut names = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
        match name.as_str() {
            "--json" => options.json = true,
            "--shape" => names.push(value()?),
            "--nonces" => nonces = Some(value()?.parse::<usize>()?.max(2)),
            "--threads" => options.threads = value()?.parse()?,
            _ => {
                let known = "--shape, --nonces, --threads and --json";
                return Err(format!("{name}? There are {known}").into());
            }
        }
    }
    if names.is_empty() || names.iter().any(|name| name == "all") {
        names = ["tiny", "A4", "A16"].map(str::to_owned).to_vec();
    }
    for name in names {
        let layers = |layers| Shape::new(4, 512, layers, 4_096);
        let (shape, usual) = match name.as_str() {
            "A4" => (layers(4)?, 12),
            "A16" => (layers(16)?, 4),
            "A" => (Shape::A, 2),
            "T16" => (Shape::new(16, 256, 8, 1_024)?, 4),
            other => (other.parse()?, 64),
        };
        options.shapes.push((shape, nonces.unwrap_or(usual)));
    }
    Ok(options)
}

fn study(options: &Options) -> Result<Vec<Table>, Box<dyn Error>> {
    let mut cheats = Vec::new();
    let mut dead = Table::new("Dead work, as a share of all multiply-adds", &dead::COLUMNS);
    let mut absorbed = Table::new(
        "Single errors that are right again at the end of their layer",
        &["shape", "error", "first layer", "middle layer", "last layer", "healed later"],
    );
    let mut related = Table::new("Cosines between operands", &relations::COLUMNS);
    let mut near = Table::new(
        "Operands of the first product that two nonces have in common, best of all pairs",
        &["shape", "nonces", "equal", "within 7"],
    );
    let mut spectrum = Table::new(
        "Energy in the largest singular values of a matrix of weights",
        &["matrix", "1/8 of them", "1/4", "1/2", "smallest by largest"],
    );
    let mut replays = Table::new(
        "Replays",
        &["computations", "number", "distinct digests", "distinct leaves", "leaves valid elsewhere"],
    );
    let mut grind = Table::new(
        "Zero operands by host key",
        &["shape", "hosts", "nonces each", "mean", "deviation", "most", "gain of the best key"],
    );
    for (index, &(shape, nonces)) in options.shapes.iter().enumerate() {
        let start = Instant::now();
        let lab = Lab::new(shape, LIBRARY, nonces, options.threads);
        if !lab.agrees_with_the_library() {
            return Err(format!("{shape}: the study's function is not the library's").into());
        }
        let title = format!("Cheats, {shape}: {nonces} nonces, whose honest traces are the library's");
        let mut table = Table::of_outcomes(title);
        predict::study(&lab, &mut table);
        skip::study(&lab, &mut table);
        products::study(&lab, &mut table);
        products::sparse(&lab, &mut table);
        rank::study(&lab, &mut table);
        reuse::study(&lab, &mut table);
        dead::study(&lab, &mut table);
        exact::study(&lab, &mut table);
        dead::shares(&lab, &mut dead);
        relations::study(&lab, &mut related);
        let light = shape.macs_per_nonce() < 10_000_000;
        absorb::study(&lab, if light { 2_000 } else { 200 }, &mut absorbed);
        if index == 0 {
            reuse::replays(&lab, &mut replays);
        }
        if light {
            grind::study(&lab, 2_000, &mut grind);
        }
        if shape.width() <= 512 && shape.layers() <= 8 {
            reuse::neighbours(&lab, &mut near);
            rank::spectrum(&lab, &mut spectrum);
        }
        // The same function with another mask, to show what the mask is worth.
        let lab = Lab::new(shape, OTHER, nonces, options.threads);
        dead::study(&lab, &mut table);
        dead::shares(&lab, &mut dead);
        cheats.push(table);
        eprintln!("{shape}: {:.0} s", start.elapsed().as_secs_f64());
    }
    let mut committed = Table::new("Probability that a wrong leaf is found", &sampling::COMMITTED);
    sampling::overcommitment(&mut committed);
    let mut lazy = Table::new("Members that do not check, each leaf with a made-up tag", &sampling::LAZY);
    sampling::laziness(&mut lazy);
    cheats.extend([dead, absorbed, related, near, spectrum, replays, grind, committed, lazy]);
    Ok(cheats)
}
