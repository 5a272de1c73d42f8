//! What a block costs on the wire.
//!
//! A network without faults, with weights like a public network's (a few large hosts, many small ones) and the
//! delays of a wide-area network, makes blocks from a steady workload. Every message is counted in the bytes
//! of the real codec, where it is made and where it is sent:
//!
//! - **made**: once per message, whoever it is for: what the network has to say.
//! - **direct**: once per receiver: every node sends to every other one.
//! - **mesh**: gossip over a mesh of degree 8, without loss and without any saving by announcements: the origin
//!   sends to its 8 mesh peers, and everybody else forwards what it hears first to the 7 from which it did not
//!   come. In a network of `n` nodes that is `8 + 7 (n - 1)` copies of each message, an upper bound for one
//!   topic. Requests and answers of block sync go to one peer in any case.

use std::fmt::Write as _;

use crate::network::{Links, Traffic};
use crate::plan::Plan;
use crate::wire::Kind;
use crate::world::World;
use freeway_ledger::Preset;

/// Peers to which a node forwards what it hears first.
const MESH: u64 = 8;

/// Runs a healthy network of `validators` for `blocks` blocks and counts what a block costs.
///
/// # Panics
/// If a property is violated.
pub fn run(validators: usize, blocks: u64) -> String {
    let mut plan = Plan::calm(1, validators, blocks);
    // The first few are several times as large as the rest.
    plan.weights = (0..validators as u64).map(|rank| (100 + 4_000 / (rank + 4), true)).collect();
    plan.params.blocks = Preset::Main.params().blocks;
    plan.links = Links { delay_ms: (10, 150), jitter_ms: 10, loss: 0, duplicates: 0 };
    plan.workload_every_ms = 20;
    let mut world = World::new(plan);
    let summary = world.run();
    let nodes = validators as u64;
    let time = world.now() as f64 / 1e3;
    let mut text = format!(
        "{validators} validators, {} blocks in {time:.1} simulated seconds, {} transactions \
         accepted, highest round {}.\nPer block:\n\n\
         | kind | made | bytes each | made, kB | direct: messages | direct: kB | mesh of {MESH}: kB | mesh, per node: kB |\n\
         |---|---|---|---|---|---|---|---|\n",
        summary.heights, summary.accepted, summary.max_round,
    );
    let per_block = |count: u64| count as f64 / summary.heights.max(1) as f64;
    let mut total = (Traffic::default(), 0);
    for kind in Kind::ALL {
        let Some(traffic) = world.network().traffic().get(&kind) else { continue };
        let mesh_bytes = match kind {
            Kind::Request | Kind::Response => traffic.sent_bytes,
            _ => traffic.made_bytes * (MESH + (MESH - 1) * (nodes - 1)),
        };
        row(&mut text, kind.name(), traffic, mesh_bytes, nodes, per_block);
        total.0.made += traffic.made;
        total.0.made_bytes += traffic.made_bytes;
        total.0.sent += traffic.sent;
        total.0.sent_bytes += traffic.sent_bytes;
        total.1 += mesh_bytes;
    }
    row(&mut text, "**all**", &total.0, total.1, nodes, per_block);
    text
}

fn row(
    text: &mut String,
    name: &str,
    traffic: &Traffic,
    mesh: u64,
    nodes: u64,
    per_block: impl Fn(u64) -> f64,
) {
    let each = traffic.made_bytes as f64 / traffic.made.max(1) as f64;
    // Writing into a string cannot fail.
    let _ = writeln!(
        text,
        "| {name} | {:.1} | {each:.0} | {:.1} | {:.0} | {:.0} | {:.0} | {:.1} |",
        per_block(traffic.made),
        per_block(traffic.made_bytes) / 1e3,
        per_block(traffic.sent),
        per_block(traffic.sent_bytes) / 1e3,
        per_block(mesh) / 1e3,
        per_block(mesh) / 1e3 / nodes as f64,
    );
}
