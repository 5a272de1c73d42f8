//! What the gateway adds to the engine.
//!
//! ```text
//! cargo run --release -p freeway-e2e --bin freeway-ask
//! ```
//!
//! **Overhead**: chats of one token, offered at a fixed rate whatever the answers do, to the gateway over HTTP and to the same
//! engine called directly, in turns of some seconds. Each answer's time counts from when its request was due.

mod overhead;

use std::io::Write;

use clap::Parser;
use eyre::Result;

/// Measures the gateway.
#[derive(Debug, Parser)]
struct Options {
    /// Requests a second.
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// Turns of gateway and engine.
    #[arg(long, default_value_t = 6)]
    turns: u32,
    /// Seconds of a turn.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let mut out = std::io::stdout();
    let (engine, gateway) = overhead::measure(options.rate, options.turns, options.seconds).await?;
    writeln!(out, "| {} requests/s | p50 | p99 | answers |\n|---|---|---|---|", options.rate)?;
    for (name, times) in [("engine", &engine), ("gateway", &gateway)] {
        let (p50, p99) = (overhead::quantile(times, 0.5), overhead::quantile(times, 0.99));
        writeln!(out, "| {name} | {p50:.2} ms | {p99:.2} ms | {} |", times.len())?;
    }
    let added = |q| overhead::quantile(&gateway, q) - overhead::quantile(&engine, q);
    writeln!(out, "| added | {:.2} ms | {:.2} ms | |", added(0.5), added(0.99))?;
    Ok(())
}
