//! With what a machine computes.

use core::str::FromStr;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use clap::Args;
use freeway_kernels::{Backend, Unavailable, UnknownBackend};

use crate::hints::Problem;
use crate::output::Output;

/// How often the line about a computation is renewed.
const RENEW: Duration = Duration::from_millis(200);

/// With what is computed.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Machine {
    /// The instructions: auto (the fastest that this machine has), scalar, avx2, vnni or amx. All give the same
    /// results.
    #[arg(long, value_name = "NAME", default_value = "auto")]
    backend: Choice,

    /// Threads [default: one for each core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4_096))]
    threads: Option<u16>,
}

impl Machine {
    pub(super) fn backend(&self) -> Result<Backend, Problem> {
        match self.backend {
            Choice::Auto => Ok(Backend::best()),
            Choice::Named(backend) => backend.check().map_err(Problem::from),
        }
    }

    pub(super) fn threads(&self) -> usize {
        self.threads.map_or_else(|| available_parallelism().map_or(1, usize::from), usize::from)
    }
}

impl From<Unavailable> for Problem {
    fn from(error: Unavailable) -> Self {
        Self::told("backend_unavailable", error).and_hint("or leave --backend out")
    }
}

/// A backend, or the best one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Auto,
    Named(Backend),
}

impl FromStr for Choice {
    type Err = UnknownBackend;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            name => name.parse().map(Self::Named),
        }
    }
}

/// Computes in the background; people at a terminal see what and since when.
pub(super) async fn compute<T: Send + 'static>(
    output: Output,
    what: String,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let start = Instant::now();
    let mut progress = output.progress();
    let mut tick = tokio::time::interval(RENEW);
    let mut work = tokio::task::spawn_blocking(work);
    loop {
        tokio::select! {
            done = &mut work => {
                return done.unwrap_or_else(|error| {
                    Err(Problem::new("defect", format!("the computation failed: {error}"))
                        .hint("there may be too little memory; if not, report it"))
                });
            }
            _ = tick.tick() => progress.set(format!("{what}: {} s", start.elapsed().as_secs())),
        }
    }
}
