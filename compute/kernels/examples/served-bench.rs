//! How fast products of served models are: multiply-adds per second of processor time, for some shapes and rows.
//!
//! ```text
//! cargo run --release -p freeway-kernels --example served-bench -- [--json] [--group 32] [--threads 1]
//!     [--backend vnni] [--seconds 0.5] [--rows 1,8,512] [--shape 896x4864] [--working-set 128]
//!     [--functions]
//! ```
//!
//! Products take weights of `--working-set` MiB in turn; the default is larger than most caches, so that a product finds
//! its own in memory, as in a model. `--functions` measures what happens to rows between products instead.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measures")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use freeway_kernels::served::{
    OwnedMatrix, Rows, Shape, add, fixed_logits, norm, pack_matrix, product, rotate, silu_gate, sincos,
};
use freeway_kernels::{Backend, Pool, peak, processor_time};

struct Options {
    json: bool,
    functions: bool,
    group: usize,
    threads: usize,
    backends: Vec<Backend>,
    seconds: f64,
    /// MiB of weights.
    working_set: usize,
    rows: Vec<usize>,
    /// Columns and inner dimension.
    shapes: Vec<(usize, usize)>,
}

fn parse() -> Result<Options, String> {
    let mut options = Options {
        json: false,
        functions: false,
        group: 32,
        threads: 1,
        backends: Backend::available(),
        seconds: 0.5,
        working_set: 128,
        rows: vec![1, 4, 8, 64, 512],
        shapes: vec![(1_152, 896), (9_728, 896), (896, 4_864), (32_000, 896)],
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--json" {
            options.json = true;
            continue;
        }
        if name == "--functions" {
            options.functions = true;
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = |text: &str| text.parse::<usize>().map_err(|error| format!("{name} {text}: {error}"));
        match name.as_str() {
            "--group" => options.group = number(&value)?,
            "--working-set" => options.working_set = number(&value)?,
            "--threads" => options.threads = number(&value)?,
            "--seconds" => {
                options.seconds = value.parse().map_err(|error| format!("{name} {value}: {error}"))?
            }
            "--backend" => {
                let backend = value.parse::<Backend>().map_err(|error| error.to_string())?;
                options.backends = vec![backend.check().map_err(|error| error.to_string())?];
            }
            "--rows" => options.rows = value.split(',').map(number).collect::<Result<_, _>>()?,
            "--shape" => {
                let (columns, inner) = value.split_once('x').ok_or("a shape is COLUMNSxINNER")?;
                options.shapes = vec![(number(columns)?, number(inner)?)];
            }
            _ => return Err(format!("there is no option {name}")),
        }
    }
    Ok(options)
}

fn weights(shape: Shape, working_set: usize) -> Vec<OwnedMatrix> {
    let copies = (working_set << 20).div_ceil(shape.tiles()).max(1);
    let mut state = 1u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    (0..copies).map(|_| pack_matrix(shape, |_, _| (random() % 255) as u8 as i8, |_, _| 0x1c00)).collect()
}

fn run(options: &Options) -> Result<(), String> {
    let pool = Pool::new(options.threads).map_err(|error| error.to_string())?;
    for &(columns, inner) in &options.shapes {
        let shape = Shape::new(columns, inner, options.group).map_err(|error| error.to_string())?;
        let matrices = weights(shape, options.working_set);
        for &backend in &options.backends {
            let roof = peak(backend, Duration::from_millis(50)) / 2e9;
            for &count in &options.rows {
                let x: Vec<f32> =
                    (0..count * inner).map(|i| ((i * 7_919 % 1_000) as f32 - 500.0) / 250.0).collect();
                let mut rows = Rows::new();
                rows.quantise(backend, &pool, &x, inner, options.group);
                let mut out = vec![0.0; count * columns];
                let (wall, cpu) = (Instant::now(), processor_time().unwrap_or_default());
                let mut products = 0u32;
                while wall.elapsed().as_secs_f64() < options.seconds {
                    let matrix = matrices[products as usize % matrices.len()].matrix();
                    pool.run(|| product(backend, &pool, &rows, matrix, &mut out));
                    products += 1;
                }
                let (wall, cpu) = (
                    wall.elapsed().as_secs_f64(),
                    (processor_time().unwrap_or_default() - cpu).as_secs_f64(),
                );
                let work = f64::from(products) * (count * columns * inner) as f64 / 1e9;
                let (rate, wall_rate) = (work / cpu, work / wall);
                let read = f64::from(products) * (shape.tiles() + 2 * shape.scales()) as f64 / 1e9 / wall;
                if options.json {
                    println!(
                        "{{\"backend\":\"{backend}\",\"columns\":{columns},\"inner\":{inner},\"group\":{},\"rows\":{count},\
                         \"threads\":{},\"gmac_per_cpu_second\":{rate:.2},\"gmac_per_second\":{wall_rate:.2},\
                         \"weights_gb_per_second\":{read:.2},\"peak_gmac_per_second\":{roof:.2}}}",
                        options.group, options.threads
                    );
                } else {
                    println!(
                        "{backend:6} {columns:6} x {inner:5}, group {:3}, {count:3} rows: {rate:7.1} GMAC per CPU second \
                         (peak {roof:6.1}), weights at {read:5.1} GB/s",
                        options.group
                    );
                }
            }
        }
    }
    Ok(())
}

/// Nanoseconds of processor time for a row of 4,096 elements.
fn functions(options: &Options) -> Result<(), String> {
    const WIDTH: usize = 4_096;
    let x: Vec<f32> = (0..WIDTH).map(|i| ((i * 7_919 % 1_000) as f32 - 500.0) / 50.0).collect();
    let y = vec![0.5; WIDTH];
    let (cos, sin, steps) = (vec![0.8; 32], vec![0.6; 32], vec![1 << 60; 32]);
    let pool = Pool::single();
    for &backend in &options.backends {
        let mut rows = Rows::new();
        let (mut out, mut fixed, mut angles) = (vec![0.0; WIDTH], vec![0; WIDTH], vec![0.0; 32]);
        let mut measure = |name: &str, body: &mut dyn FnMut(&mut [f32])| {
            let (wall, cpu) = (Instant::now(), processor_time().unwrap_or_default());
            let mut calls = 0u32;
            while wall.elapsed().as_secs_f64() < options.seconds {
                (0..100).for_each(|_| body(&mut out));
                calls += 100;
            }
            let nanoseconds =
                (processor_time().unwrap_or_default() - cpu).as_secs_f64() * 1e9 / f64::from(calls);
            if options.json {
                println!(
                    "{{\"backend\":\"{backend}\",\"function\":\"{name}\",\"nanoseconds\":{nanoseconds:.0}}}"
                );
            } else {
                println!("{backend:6} {name:10} {nanoseconds:7.0} ns");
            }
        };
        measure("quantise", &mut |_| rows.quantise(backend, &pool, &x, WIDTH, options.group));
        measure("norm", &mut |out| norm(backend, &x, &y, 1e-6, out));
        measure("silu_gate", &mut |out| silu_gate(backend, &x, &y, out));
        measure("rotate", &mut |out| rotate(backend, out, &cos, &sin));
        measure("add", &mut |out| add(backend, out, &y));
        measure("logits", &mut |_| fixed_logits(backend, &x, &mut fixed));
        measure("32 angles", &mut |out| sincos(&steps, 77, 1.0, &mut angles, &mut out[..32]));
    }
    Ok(())
}

fn main() -> ExitCode {
    match parse().and_then(|options| if options.functions { functions(&options) } else { run(&options) }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
