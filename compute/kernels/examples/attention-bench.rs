//! How fast attention of served models is: time per query and key that it sees, for prompts and for single rows.
//!
//! ```text
//! cargo run --release -p freeway-kernels --example attention-bench -- [--json] [--threads 1] [--backend vnni]
//!     [--seconds 0.5] [--heads 14x2x64]
//! ```
//!
//! Heads are those of queries, those of keys, and their length.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measures")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use freeway_kernels::served::{Job, PAGE_POSITIONS, Page, Queries, attention};
use freeway_kernels::{Backend, Pool, processor_time};

/// Rows, and how many keys the first sees: a prompt, a part of a long one, and single rows at some positions.
const SHAPES: [(usize, usize); 6] = [(512, 1), (256, 3_841), (1, 100), (1, 1_000), (1, 8_192), (1, 32_768)];
/// Each call takes another layer, as in a model.
const LAYERS: usize = 24;

struct Options {
    json: bool,
    threads: usize,
    backends: Vec<Backend>,
    seconds: f64,
    heads: usize,
    kv_heads: usize,
    head: usize,
}

fn parse() -> Result<Options, String> {
    let backends = Backend::available();
    let mut options =
        Options { json: false, threads: 1, backends, seconds: 0.5, heads: 14, kv_heads: 2, head: 64 };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--json" {
            options.json = true;
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = |text: &str| text.parse::<usize>().map_err(|error| format!("{name} {text}: {error}"));
        match name.as_str() {
            "--threads" => options.threads = number(&value)?,
            "--seconds" => {
                options.seconds = value.parse().map_err(|error| format!("{name} {value}: {error}"))?
            }
            "--backend" => {
                let backend = value.parse::<Backend>().map_err(|error| error.to_string())?;
                options.backends = vec![backend.check().map_err(|error| error.to_string())?];
            }
            "--heads" => {
                let numbers = value.split('x').map(number).collect::<Result<Vec<_>, _>>()?;
                let [heads, kv_heads, head] = numbers[..] else {
                    return Err("heads are QUERIESxKEYSxLENGTH".to_owned());
                };
                (options.heads, options.kv_heads, options.head) = (heads, kv_heads, head);
            }
            _ => return Err(format!("there is no option {name}")),
        }
    }
    Ok(options)
}

/// Numbers between -1 and 1 that look random.
fn numbers(length: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2) | 1;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..length).map(next).collect()
}

fn cache(options: &Options, positions: usize) -> Vec<Page> {
    let mut cache: Vec<Page> = Vec::new();
    for index in 0..positions.div_ceil(PAGE_POSITIONS) {
        // Filling is slow, and what values are does not matter: later pages are copies.
        if index >= 16 {
            cache.push(cache[index % 16].clone());
            continue;
        }
        let mut page = Page::new(LAYERS, options.kv_heads, options.head);
        for layer in 0..LAYERS {
            for kv_head in 0..options.kv_heads {
                for slot in 0..PAGE_POSITIONS {
                    let values = numbers(2 * options.head, (index * PAGE_POSITIONS + slot) as u64 + 1);
                    let (key, value) = values.split_at(options.head);
                    page.store(Backend::best(), layer, kv_head, slot, key, value);
                }
            }
        }
        cache.push(page);
    }
    cache
}

fn main() -> ExitCode {
    let options = match parse() {
        Ok(options) => options,
        Err(error) => {
            println!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let pool = match Pool::new(options.threads) {
        Ok(pool) => pool,
        Err(error) => {
            println!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let width = options.heads * options.head;
    let scale = core::f32::consts::LOG2_E / (options.head as f32).sqrt();
    for (rows, visible) in SHAPES {
        let cache = cache(&options, visible + rows - 1);
        let pages: Vec<_> = (0..cache.len() as u32).collect();
        let queries = numbers(rows * width, 5);
        let queries = Queries { values: &queries, stride: width, heads: options.heads };
        let mut out = vec![0.0; rows * width];
        // Pairs of a query and a key of one call.
        let pairs = options.heads * (rows * visible + rows * (rows - 1) / 2);
        for backend in &options.backends {
            let mut run = |layer: usize| {
                let job = Job { pages: &pages, first: 0, rows, visible };
                attention(*backend, &pool, &cache, layer % LAYERS, &[job], queries, scale, &mut out);
            };
            run(0);
            let (start, used, mut calls) = (Instant::now(), processor_time(), 0);
            while start.elapsed().as_secs_f64() < options.seconds {
                run(calls);
                calls += 1;
            }
            let wall = start.elapsed();
            let used = match (used, processor_time()) {
                (Some(before), Some(after)) => after.saturating_sub(before),
                _ => wall,
            };
            let each = |time: Duration| time.as_secs_f64() * 1e9 / (calls * pairs) as f64;
            let call = wall.as_secs_f64() * 1e6 / calls as f64;
            if options.json {
                println!(
                    "{{\"backend\":\"{backend}\",\"threads\":{},\"rows\":{rows},\"visible\":{visible},\
                     \"call_us\":{call:.1},\"pair_ns\":{:.4},\"pair_processor_ns\":{:.4}}}",
                    options.threads,
                    each(wall),
                    each(used)
                );
            } else {
                println!(
                    "{backend:>6} {rows:>4} rows from {visible:>6}: {call:>10.1} us, {:.3} ns per query and key, \
                     {:.3} of processor time",
                    each(wall),
                    each(used)
                );
            }
        }
    }
    ExitCode::SUCCESS
}
