//! Measures the engine on a package.
//!
//! `cargo run --release -p freeway-inference --example inference-bench -- --model FILE --threads 2 [--json]`
//!
//! Prompt, generation alone, and generation of several sequences at once, each the median of the rounds. Tokens per core
//! and second do not change while others have the processor; those per second do.
//!
//! With `--verify` instead: an answer is generated (prompt and all) and verified by an engine that has seen nothing of it,
//! and the time of the second is told as a part of that of the first.

#![allow(clippy::print_stdout, reason = "a program whose output is its purpose")]

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use freeway_inference::{Engine, EngineOptions, Event, Model, ModelOptions, Request, Running, VerifyRequest};
use freeway_kernels::{Backend, processor_time};
use freeway_models::Package;
use freeway_requests::{Q16, TokenRequest};

struct Options {
    model: PathBuf,
    backend: Backend,
    threads: usize,
    prompt: usize,
    tokens: u32,
    batch: u64,
    rounds: usize,
    rows: usize,
    temperature: Q16,
    trace: bool,
    map: bool,
    verify: bool,
    json: bool,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let ModelOptions { backend, threads } = ModelOptions::default();
    let mut options = Options {
        model: PathBuf::new(),
        backend,
        threads,
        prompt: 512,
        tokens: 64,
        batch: 8,
        rounds: 3,
        rows: EngineOptions::default().rows_per_step,
        temperature: Q16::ZERO,
        trace: true,
        map: false,
        verify: false,
        json: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        match name.as_str() {
            "--json" => {
                options.json = true;
                continue;
            }
            "--no-trace" => {
                options.trace = false;
                continue;
            }
            "--verify" => {
                options.verify = true;
                continue;
            }
            "--map" => {
                options.map = true;
                continue;
            }
            _ => {}
        }
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--model" => options.model = value.into(),
            "--backend" => options.backend = value.parse()?,
            "--threads" => options.threads = value.parse()?,
            "--prompt" => options.prompt = value.parse()?,
            "--tokens" => options.tokens = value.parse()?,
            "--batch" => options.batch = value.parse()?,
            "--rounds" => options.rounds = value.parse()?,
            "--rows" => options.rows = value.parse()?,
            "--temperature" => options.temperature = Q16::from_decimal(&value)?,
            _ => {
                return Err(format!(
                    "{name}? There are --model, --backend, --threads, --prompt, --tokens, --batch, --rounds, --rows, \
                     --temperature, --no-trace, --map, --verify and --json"
                )
                .into());
            }
        }
    }
    if options.model.as_os_str().is_empty() {
        return Err("--model FILE is needed: a package made by `freeway model pack`".into());
    }
    Ok(options)
}

/// Tokens per second, and per second of one core.
#[derive(Clone, Copy)]
struct Speed {
    second: f64,
    core_second: f64,
}

/// Measures what makes so many tokens.
fn measure(tokens: usize, work: impl FnOnce()) -> Speed {
    let (start, processor_start) = (Instant::now(), processor_time().unwrap_or_default());
    work();
    let core = processor_time().unwrap_or_default().saturating_sub(processor_start);
    Speed {
        second: tokens as f64 / start.elapsed().as_secs_f64(),
        core_second: tokens as f64 / core.as_secs_f64(),
    }
}

fn median(mut speeds: Vec<Speed>) -> Speed {
    let middle = speeds.len() / 2;
    let mut pick = |of: fn(&Speed) -> f64| {
        speeds.sort_by(|a, b| of(a).total_cmp(&of(b)));
        of(&speeds[middle])
    };
    Speed { second: pick(|speed| speed.second), core_second: pick(|speed| speed.core_second) }
}

/// A prompt that begins like no other.
fn request(model: &Model, seed: u64, length: usize, tokens: u32) -> TokenRequest {
    let vocabulary = u64::from(model.config().vocabulary);
    let mut state = seed;
    let prompt = (0..length).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % vocabulary) as u32
    });
    TokenRequest::greedy(model.root(), prompt.collect(), tokens)
}

/// Reads until so many tokens have come.
fn read(running: &mut Running, mut tokens: usize) {
    while tokens > 0 {
        match running.blocking_next() {
            Some(Event::Token(_)) => tokens -= 1,
            Some(Event::Started { .. } | Event::Finished(_)) => {}
            Some(Event::Failed(_)) | None => return,
        }
    }
}

/// Generates answers and verifies them. Gives the seconds of both, and the core-seconds.
fn verification(model: &Arc<Model>, options: &Options) -> Result<[[f64; 2]; 2], Box<dyn Error>> {
    let settings = EngineOptions { rows_per_step: options.rows.max(64), ..EngineOptions::default() };
    // Each with pages of its own, so that the second finds nothing.
    let (generator, verifier) =
        (Engine::start(Arc::clone(model), &settings)?, Engine::start(Arc::clone(model), &settings)?);
    let (mut generated, mut checked) = (Vec::new(), Vec::new());
    for round in 0..=options.rounds.max(1) {
        let mut request = request(model, 1000 + round as u64, options.prompt, options.tokens);
        request.sampling.temperature = options.temperature;
        let tokens = Arc::new(request);
        let mut output = Vec::new();
        let mut failed = None;
        let generation = measure(1, || {
            let request = Request { tokens: Arc::clone(&tokens), constraint: None, trace: true };
            match generator.submit(request) {
                Ok(mut running) => {
                    while let Some(event) = running.blocking_next() {
                        if let Event::Token(token) = event {
                            output.push(token.id);
                        }
                    }
                }
                Err(error) => failed = Some(error),
            }
        });
        let claim = VerifyRequest { tokens, constraint: None, output: vec![output] };
        let mut verified = None;
        let verification = measure(1, || match verifier.verify(claim) {
            Ok(pending) => verified = Some(pending.wait()),
            Err(error) => failed = Some(error),
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        if verified.transpose()?.is_none_or(|verified| verified.differs.is_some()) {
            return Err("an answer was not found right".into());
        }
        // The first round touches everything once.
        if round > 0 {
            generated.push(generation);
            checked.push(verification);
        }
    }
    Ok([generated, checked].map(|speeds| {
        let speed = median(speeds);
        [1.0 / speed.second, 1.0 / speed.core_second]
    }))
}

/// The most memory there was, in KiB, if the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let start = Instant::now();
    let package =
        if options.map { Package::open(&options.model)? } else { Package::load(&options.model, None)? };
    let bytes = package.bytes();
    let model = Model::load(package, &ModelOptions { backend: options.backend, threads: options.threads })?;
    let model = Arc::new(model);
    let load = start.elapsed().as_secs_f64();
    if options.verify {
        let [[generated, generated_core], [verified, verified_core]] = verification(&model, &options)?;
        let (part, part_core) = (100.0 * verified / generated, 100.0 * verified_core / generated_core);
        let Options { backend, threads, prompt, tokens, .. } = options;
        if options.json {
            println!(
                "{{\"backend\":\"{backend}\",\"threads\":{threads},\"prompt\":{prompt},\"tokens\":{tokens},\
                 \"generate_seconds\":{generated:.3},\"generate_core_seconds\":{generated_core:.3},\
                 \"verify_seconds\":{verified:.3},\"verify_core_seconds\":{verified_core:.3},\
                 \"verify_percent\":{part:.1},\"verify_core_percent\":{part_core:.1}}}"
            );
        } else {
            println!("{backend}, {threads} threads, prompt of {prompt}, {tokens} tokens generated");
            println!("generation: {generated:.3} s, {generated_core:.3} core-s");
            println!("verification: {verified:.3} s, {verified_core:.3} core-s");
            println!("{part:.1} % of the time, {part_core:.1} % of the core's");
        }
        return Ok(());
    }
    let engine = Engine::start(
        Arc::clone(&model),
        &EngineOptions { rows_per_step: options.rows.max(64), ..EngineOptions::default() },
    )?;
    let mut seed = 0;
    let mut submit = |length: usize, tokens: u32| {
        seed += 1;
        let mut request = request(&model, seed, length, tokens);
        request.sampling.temperature = options.temperature;
        let tokens = Arc::new(request);
        engine.submit(Request { tokens, constraint: None, trace: options.trace })
    };
    // Everything is touched once before anything is measured.
    read(&mut submit(8, 2)?, 2);

    let (mut prefill, mut decode, mut batch) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds.max(1) {
        let mut running = submit(options.prompt, options.tokens + 1)?;
        prefill.push(measure(options.prompt, || read(&mut running, 1)));
        // From here on the time to the next token is that of one position.
        decode.push(measure(options.tokens as usize, || read(&mut running, options.tokens as usize)));
        let mut all = Vec::new();
        for _ in 0..options.batch {
            all.push(submit(16, options.tokens + 8)?);
        }
        all.iter_mut().for_each(|running| read(running, 8));
        let tokens = options.tokens as usize;
        batch.push(measure(tokens * all.len(), || all.iter_mut().for_each(|running| read(running, tokens))));
    }
    let (prefill, decode, batch) = (median(prefill), median(decode), median(batch));
    let memory = peak_memory().unwrap_or_default();
    let (backend, threads) = (options.backend, options.threads);
    if options.json {
        println!(
            "{{\"backend\":\"{backend}\",\"threads\":{threads},\"package_bytes\":{bytes},\"load_seconds\":{load:.3},\
             \"prompt\":{},\"batch\":{},\"prefill_tokens_per_second\":{:.2},\"prefill_tokens_per_core_second\":{:.2},\
             \"decode_tokens_per_second\":{:.2},\"decode_tokens_per_core_second\":{:.2},\
             \"batch_tokens_per_second\":{:.2},\"batch_tokens_per_core_second\":{:.2},\"peak_memory_kib\":{memory}}}",
            options.prompt,
            options.batch,
            prefill.second,
            prefill.core_second,
            decode.second,
            decode.core_second,
            batch.second,
            batch.core_second,
        );
    } else {
        println!(
            "{backend}, {threads} threads, {} MB loaded in {load:.2} s, peak memory {} MB",
            bytes >> 20,
            memory >> 10
        );
        for (name, speed) in [
            (format!("prompt of {}", options.prompt), prefill),
            ("generation".to_owned(), decode),
            (format!("generation, {} at once", options.batch), batch),
        ] {
            println!("{name}: {:.1} tokens/s, {:.1} tokens/core-s", speed.second, speed.core_second);
        }
    }
    Ok(())
}
