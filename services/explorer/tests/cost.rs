//! What open pages cost the node: a measurement, not a check.
//!
//! The node is this process and the pages are another, so that the processor time of this one is the node's alone.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a measurement")]

#[path = "../../node/tests/kit/mod.rs"]
mod kit;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use freeway_explorer::mount;
use freeway_node::config::ExplorerConfig;
use freeway_node::rpc::{Mounted, serve_with};
use freeway_primitives::Amount;
use futures::StreamExt;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::kit::{Kit, address};

const PAGES: usize = 500;
/// A block every 700 ms, as the local preset has it.
const PACE: Duration = Duration::from_millis(700);
const BLOCKS: u64 = 170;
/// Where the other process finds the node.
const URL: &str = "FREEWAY_MEASURED_URL";

/// Processor time of this process, in seconds.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // Ticks of 10 ms, in user and in system mode.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes four minutes: cargo test --release -p freeway-explorer --test cost -- --ignored --nocapture --exact open_pages"]
async fn open_pages() {
    let mut kit = Kit::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = watch::channel(false);
    let (fatal, _) = mpsc::channel(8);
    let context = Arc::new(kit.context(fatal));
    let make = mount(ExplorerConfig::default(), kit.folder.path(), true);
    let Mounted { router, work } = make(Arc::clone(&context), stopped.clone());
    let work = tokio::spawn(work);
    let server = tokio::spawn(serve_with(listener, context, router, stopped));
    let mut sequence = 0;
    for pages in [0, PAGES] {
        let mut child = (pages > 0).then(|| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--ignored", "--exact", "pages", "--nocapture"]).env(URL, &url);
            command.stdout(Stdio::inherit()).spawn().unwrap()
        });
        if pages > 0 {
            // Until they are open, and the node has sent each its first frame.
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        let (before, started) = (processor(), Instant::now());
        for _ in 0..BLOCKS {
            // Ten transfers in each block.
            for _ in 0..10 {
                let transfer = kit.transfer("alice", sequence, address("bob"), Amount(1));
                kit.submit(&transfer).await;
                sequence += 1;
            }
            kit.commit();
            tokio::time::sleep(PACE).await;
        }
        let (spent, seconds) = (processor() - before, started.elapsed().as_secs_f64());
        println!("{pages} pages: {spent:.2} s in {seconds:.0} s, {:.2} % of a core", 100.0 * spent / seconds);
        if let Some(child) = &mut child {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    stop.send_replace(true);
    work.await.unwrap();
    server.await.unwrap().unwrap();
}

/// The other process: reads until it is ended, and says how late blocks come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "is started by open_pages"]
async fn pages() {
    let Ok(url) = std::env::var(URL) else { return };
    let client = reqwest::Client::new();
    let mut open = Vec::new();
    for _ in 0..PAGES {
        let response = client.get(format!("{url}/explorer/v1/live")).send().await.unwrap();
        assert_eq!(response.status(), 200);
        open.push(tokio::spawn(async move {
            let mut chunks = response.bytes_stream();
            while let Some(Ok(_)) = chunks.next().await {}
        }));
    }
    println!("{} pages are open", open.len());
    for page in open {
        page.await.unwrap();
    }
}
