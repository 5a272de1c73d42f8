//! What is printed; nothing else in this program prints.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is this module's purpose")]

use core::fmt::Display;

use crate::report::{Percentiles, Report};

/// Says how far the run is.
pub(crate) fn progress(json: bool, text: impl Display) {
    if !json {
        eprintln!("{text}");
    }
}

/// Says what went wrong.
pub(crate) fn error(error: &eyre::Report) {
    eprintln!("{error:#}");
}

/// Prints the report: as JSON only, or as tables and then as JSON.
pub(crate) fn result(report: &Report, json: bool) {
    if !json {
        table(report);
    }
    match serde_json::to_string(report) {
        Ok(line) => println!("{line}"),
        Err(error) => eprintln!("{error}"),
    }
}

fn table(report: &Report) {
    println!("validators           {}", report.hosts);
    println!("included per second  {:.0}", report.included_per_s);
    println!("acknowledged         {} in {:.1} s", report.acknowledged, report.offered_s);
    println!("included             {}", report.included);
    println!("steady window        {:.1} s, {} blocks", report.window_s, report.window_blocks);
    println!("largest block        {} transactions", report.largest_block);
    if !report.refused.is_empty() {
        println!("refused              {:?}", report.refused);
    }
    println!();
    println!("milliseconds         {:>8} {:>8} {:>8} {:>8}", "p50", "p95", "p99", "max");
    percentiles("finality", &report.finality);
    percentiles("header to arrival", &report.block_age);
    percentiles("block interval", &report.block_interval);
    percentiles("submission", &report.request);
    println!();
    println!("node   load cpu   cpu s  load MB   work ms   idle cpu  idle MB");
    for (at, node) in report.nodes.iter().enumerate() {
        println!(
            "{at:<4} {:>8.1} % {:>7.1} {:>8.0} {:>9.1} {:>8.1} % {:>8.0}",
            node.load_cpu_percent,
            node.load_cpu_s,
            node.load_rss_mb,
            node.block_work_ms,
            node.idle_cpu_percent,
            node.idle_rss_mb
        );
    }
    println!("load generator: {:.1} s of processor time", report.generator_cpu_s);
    println!();
}

fn percentiles(name: &str, times: &Percentiles) {
    println!(
        "{name:<20} {:>8.0} {:>8.0} {:>8.0} {:>8.0}",
        times.p50_ms, times.p95_ms, times.p99_ms, times.max_ms
    );
}
