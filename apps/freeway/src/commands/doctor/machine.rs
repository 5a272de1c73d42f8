//! The machine: what it computes with, memory, open files.

use std::thread::available_parallelism;
use std::time::Duration;

use freeway_kernels::Backend;
use freeway_node::NodeConfig;
use freeway_sprint::{Shape, bench};

use super::finding::{Check, Finding};
use super::models::package_bytes;
use super::scope::{Scope, Subject};

/// How long the speed is measured.
const SPRINT: Duration = Duration::from_millis(60);
/// Connections and files of a busy node: below the first it stops early, below the second it may.
const LEAST_FILES: u64 = 512;
const ENOUGH_FILES: u64 = 4_096;
/// What a node needs beside caches and models.
const NODE_MIB: u64 = 256;

pub(super) async fn checks(scope: &Scope) -> Vec<Check> {
    let mut checks = vec![
        Check::new("machine", "processor", processor(&backends(), std::env::consts::ARCH)),
        Check::new("machine", "cores", cores(available_parallelism().map_or(1, usize::from), threads(scope))),
        Check::new("machine", "memory", memory_of(scope)),
        Check::new("machine", "open_files", open_files(file_limit())),
    ];
    if !scope.fast {
        let measured =
            tokio::task::spawn_blocking(measure).await.unwrap_or_else(|error| Err(error.to_string()));
        checks.insert(1, Check::new("machine", "arithmetic", arithmetic(measured)));
    }
    checks
}

fn backends() -> Vec<&'static str> {
    Backend::available().into_iter().map(Backend::name).collect()
}

/// What this machine computes with: the last of what it has is the fastest.
fn processor(available: &[&'static str], arch: &str) -> Finding {
    let Some((best, others)) = available.split_last() else {
        return Finding::failed("no way to compute was found", "report this; it is a defect");
    };
    let found = match others {
        [] => format!("{arch}; computes with {best}"),
        others => format!("{arch}; computes with {best}; has {} too", others.join(", ")),
    };
    if *best == "scalar" {
        let found = format!("{found}, which is many times slower than what it could be");
        return Finding::warning(
            found,
            "sprint and serve on a processor with AVX2, or better with AVX-512 VNNI or AMX",
        );
    }
    Finding::ok(found)
}

/// How fast, and whether the best way gives the same as the plain one.
struct Measured {
    backend: &'static str,
    ops_per_second: f64,
    right: bool,
}

fn measure() -> Result<Measured, String> {
    let best = Backend::best();
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let fast = bench::measure(Shape::TINY, best, 1, SPRINT).map_err(|error| told(&error))?;
    let plain =
        bench::measure(Shape::TINY, Backend::Scalar, 1, Duration::ZERO).map_err(|error| told(&error))?;
    Ok(Measured {
        backend: best.name(),
        ops_per_second: fast.ops_per_second,
        right: fast.digest == plain.digest,
    })
}

fn arithmetic(measured: Result<Measured, String>) -> Finding {
    match measured {
        Err(error) => Finding::failed(error, "run `freeway sprint bench`, which says more"),
        Ok(Measured { backend, right: false, .. }) => Finding::failed(
            format!("{backend} gives other results than plain arithmetic"),
            "this machine computes wrong: do not sprint or serve with it; check its memory and its cooling",
        ),
        Ok(Measured { backend, ops_per_second, .. }) => Finding::ok(format!(
            "right; {:.1} Gop/s with {backend} on one core in a tiny race; `freeway sprint bench` measures a real one",
            ops_per_second / 1e9
        )),
    }
}

fn configs(scope: &Scope) -> impl Iterator<Item = (&Subject, &NodeConfig)> {
    scope.nodes.iter().filter_map(|node| Some((node, node.config.as_ref().ok()?)))
}

/// The threads that all nodes sprint with; 0 stands for all cores.
fn threads(scope: &Scope) -> usize {
    let cores = available_parallelism().map_or(1, usize::from);
    let of = |config: &NodeConfig| match config.sprint.as_ref().map(|sprint| sprint.threads) {
        Some(0) => cores,
        Some(threads) => threads,
        None => 0,
    };
    configs(scope).map(|(_, config)| of(config)).sum()
}

fn cores(cores: usize, threads: usize) -> Finding {
    let found = match threads {
        0 => format!("{cores}"),
        threads => format!("{cores}; {threads} threads sprint"),
    };
    if threads > cores.saturating_mul(4) {
        return Finding::warning(
            found,
            "lower `threads` in [sprint] to the number of cores: more make nothing faster",
        );
    }
    if cores == 1 && threads > 0 {
        return Finding::warning(
            found,
            "set `share` in [sprint] to 80 or less, so that the node keeps up while it races",
        );
    }
    Finding::ok(found)
}

/// What the nodes may come to use, in MiB.
fn needed_mib(scope: &Scope) -> u64 {
    configs(scope).map(|(node, config)| needed_of(node, config)).sum()
}

fn needed_of(node: &Subject, config: &NodeConfig) -> u64 {
    let mut mib = NODE_MIB.saturating_add(config.store.cache_mib as u64);
    // Models are held once for a node, whoever answers with them.
    let mut models: Vec<(u64, u64)> = Vec::new();
    if let Some(serve) = &config.serve {
        let cache = serve.cache_mib as u64;
        models.extend(serve.models.iter().map(|model| (package_bytes(&serve.folder, model), cache)));
    } else if let Some(gateway) = &config.gateway {
        let cache = gateway.cache_mib as u64;
        models.extend(gateway.serve.iter().map(|model| (package_bytes(&gateway.models, model), cache)));
    }
    mib += models.into_iter().map(|(bytes, cache)| (bytes >> 20).saturating_add(cache)).sum::<u64>();
    let shape = node.genesis.as_ref().and_then(|genesis| genesis.as_ref().ok());
    let shape = shape.and_then(|genesis| genesis.params.sprint.shape.as_str().parse::<Shape>().ok());
    if let (Some(shape), Some(_)) = (shape, &config.sprint) {
        // A hundredth more is stored beside the weights.
        mib += (shape.weights_bytes() / 100 * 101) >> 20;
    }
    mib
}

fn memory_of(scope: &Scope) -> Finding {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let total = read("/proc/meminfo").and_then(|text| total_kib(&text)).map(|kib| kib >> 10);
    // A container's share, where there is one.
    let limit = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse::<u64>().ok());
    let total = match (total, limit.map(|bytes| bytes >> 20)) {
        (Some(total), Some(limit)) => Some(total.min(limit)),
        (total, limit) => total.or(limit),
    };
    memory(total, needed_mib(scope))
}

fn total_kib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn memory(total_mib: Option<u64>, needed_mib: u64) -> Finding {
    let Some(total) = total_mib else { return Finding::none("this system does not tell") };
    if needed_mib == 0 {
        return Finding::ok(format!("{total} MiB"));
    }
    let found = format!("{total} MiB; nodes, models and races may use {needed_mib} MiB");
    let remedy =
        "lower `cache_mib` in [serve], [gateway] or [store], serve fewer or smaller models, or add memory";
    if needed_mib > total {
        Finding::failed(found, remedy)
    } else if needed_mib > total / 10 * 9 {
        Finding::warning(found, remedy)
    } else {
        Finding::ok(found)
    }
}

/// How many files this process may open; `None` for no limit, or if the system does not tell.
#[cfg(unix)]
fn file_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

#[cfg(not(unix))]
fn file_limit() -> Option<u64> {
    None
}

fn open_files(limit: Option<u64>) -> Finding {
    let Some(limit) = limit else { return Finding::ok("no limit") };
    let found = format!("{limit} for programs started from here");
    let remedy = "raise it: `ulimit -n 65536` in a shell, LimitNOFILE=65536 in a systemd unit";
    match limit {
        ..LEAST_FILES => Finding::failed(found, remedy),
        // What most systems give to a shell; a busy node wants more.
        LEAST_FILES..1_024 => Finding::warning(found, remedy),
        1_024..ENOUGH_FILES => Finding::ok(format!("{found}; a public node should have 65536")),
        _ => Finding::ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    #[test]
    fn a_slow_processor_is_told() {
        let fast = processor(&["scalar", "avx2", "vnni"], "x86_64");
        assert_eq!(
            (fast.status, fast.found.as_str()),
            (Status::Ok, "x86_64; computes with vnni; has scalar, avx2 too")
        );
        assert_eq!(processor(&["scalar"], "riscv64").status, Status::Warning);
        assert_eq!(processor(&[], "").status, Status::Failed);
    }

    #[test]
    fn a_machine_that_computes_wrong_fails() {
        let measured = |right| Ok(Measured { backend: "avx2", ops_per_second: 5e9, right });
        assert_eq!(arithmetic(measured(true)).status, Status::Ok);
        assert_eq!(arithmetic(measured(false)).status, Status::Failed);
        assert!(measure().unwrap().right);
    }

    #[test]
    fn memory_is_compared_with_what_may_be_used() {
        for (total, needed, status) in [
            (Some(1_000), 0, Status::Ok),
            (Some(1_000), 800, Status::Ok),
            (Some(1_000), 950, Status::Warning),
            (Some(1_000), 1_001, Status::Failed),
            (None, 5, Status::NotApplicable),
        ] {
            assert_eq!(memory(total, needed).status, status, "{total:?} {needed}");
        }
        assert_eq!(total_kib("MemFree: 1 kB\nMemTotal:       24 kB\n"), Some(24));
        assert_eq!(total_kib("nothing"), None);
    }

    #[test]
    fn few_files_and_too_many_threads_are_told() {
        for (limit, status) in [
            (None, Status::Ok),
            (Some(256), Status::Failed),
            (Some(1_000), Status::Warning),
            (Some(1_024), Status::Ok),
            (Some(65_536), Status::Ok),
        ] {
            assert_eq!(open_files(limit).status, status, "{limit:?}");
        }
        assert_eq!(cores(8, 8).status, Status::Ok);
        assert_eq!(cores(1, 1).status, Status::Warning);
        assert_eq!(cores(2, 9).status, Status::Warning);
    }
}
