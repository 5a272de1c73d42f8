//! Whole hosts: threads that compute the real function, records on disk, openings over HTTP.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod likely;
mod working;
mod world;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use freeway_host::server::Progress;
use freeway_host::{Adversary, Host, HostConfig, HostError, Serving};
use freeway_ledger::sprint;
use tokio::sync::{Mutex, watch};
use tokio::time::{MissedTickBehavior, interval};

use world::{Seat, World, address, vote_key};

const HOSTS: u8 = 4;
/// The time between blocks: this is the clock of the test, everything else follows from it.
const BLOCK_TIME: Duration = Duration::from_millis(120);

/// Held by a test as long as its hosts compute: blocks do not wait for hosts that have no processor.
static PROCESSOR: Mutex<()> = Mutex::const_new(());

struct Process {
    host: Host,
    stop: watch::Sender<bool>,
}

impl Process {
    async fn start(world: &Arc<World>, i: u8, folder: &Path) -> Self {
        Self::start_as(world, i, folder, None, None).await
    }

    async fn start_as(
        world: &Arc<World>,
        i: u8,
        folder: &Path,
        serving: Option<Serving>,
        adversary: Option<Adversary>,
    ) -> Self {
        let config = HostConfig {
            address: address(i),
            key: vote_key(i),
            listen: ([127, 0, 0, 1], 0).into(),
            data: folder.join(i.to_string()),
            sprint_threads: 1,
            sprint_share: 20,
            allow_private: true,
            adversary,
            serving,
        };
        let (stop, stopped) = watch::channel(false);
        let seat = Seat { world: Arc::clone(world), i };
        let host = Host::start(config, seat, stopped).await.unwrap();
        world.reached_at(i, &format!("http://{}", host.address()));
        Self { host, stop }
    }

    async fn end(self) {
        self.stop.send_replace(true);
        self.host.join().await.unwrap();
    }

    async fn progress(&self) -> Progress {
        let url = format!("http://{}/v1/sprint/progress", self.host.address());
        reqwest::get(url).await.unwrap().json().await.unwrap()
    }
}

async fn run_to(world: &World, height: u64) {
    let mut clock = interval(BLOCK_TIME);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while world.state().1.0 < height {
        clock.tick().await;
        world.block();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_prove_themselves_to_each_other_whatever_happens_to_their_processes_and_disks() {
    let _processor = PROCESSOR.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(HOSTS);
    // The last host cannot write records: where their folder should be is a file.
    std::fs::create_dir(folder.path().join("3")).unwrap();
    std::fs::write(folder.path().join("3/host"), "in the way").unwrap();
    let mut processes = Vec::new();
    for i in 0..HOSTS {
        processes.push(Process::start(&world, i, folder.path()).await);
    }
    // Nothing happens in epoch 0.
    while world.block().0 < 40 {}
    run_to(&world, 46).await;
    let mut stats = processes[0].host.stats();
    stats.wait_for(|stats| stats.nonces > 0).await.unwrap();
    let first = processes.remove(0);
    let before = first.progress().await;
    assert_eq!((before.epoch, before.stage.as_str(), before.threads, before.share), (1, "race", 1, 20));
    first.end().await;
    processes.insert(0, Process::start(&world, 0, folder.path()).await);
    run_to(&world, 56).await;
    let committed = processes[0].progress().await;
    assert!(committed.committed.unwrap() >= before.nonces, "{before:?} {committed:?}");
    run_to(&world, 72).await;
    let race = sprint::race(&world.state().0).unwrap().unwrap();
    assert!(matches!(race.end, Some(sprint::End::Settled { .. })), "{race:?}");
    assert_eq!(world.rejected(), []);
    let results = world.results();
    assert_eq!(results.len(), usize::from(HOSTS));
    for (host, result) in &results {
        assert!(result.weight > 0 && result.void.is_none(), "{host}: {result:?}");
        assert_eq!((result.confirmed, result.owed), (3, result.done), "{host}: {result:?}");
    }
    for (i, process) in processes.iter().enumerate() {
        let stats = *process.host.stats().borrow();
        assert!(stats.nonces > 0 && stats.commitments == 1 && stats.verdicts == 3, "{stats:?}");
        assert!(stats.openings_served >= 3 && stats.revelations == 12, "{stats:?}");
        assert_eq!((stats.demands, stats.accusations), (0, 0), "{stats:?}");
        assert_eq!(stats.unrecorded, u64::from(i == 3), "{i}: {stats:?}");
    }
    for process in processes {
        process.end().await;
    }
    assert!(folder.path().join("0/host/epoch-1.race").exists());
}

/// A block that comes while a host takes a step has in it what the host has sent before: it is not sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_block_takes_in_mid_step_is_not_sent_again() {
    let _processor = PROCESSOR.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(HOSTS);
    world.hurry();
    let mut processes = Vec::new();
    for i in 0..HOSTS {
        processes.push(Process::start(&world, i, folder.path()).await);
    }
    while world.state().1.0 < 40 {
        world.block();
    }
    run_to(&world, 72).await;
    // These blocks come faster than some processors: what is late was never sent before.
    let rejected = world.rejected().into_iter().filter(|(_, code)| *code != "too_late");
    assert_eq!(rejected.collect::<Vec<_>>(), []);
    assert!(processes.iter().any(|process| process.host.stats().borrow().commitments > 0));
    for process in processes {
        process.end().await;
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = HostConfig {
        address: address(0),
        key: vote_key(0),
        listen,
        data: folder.path().into(),
        sprint_threads: 1,
        sprint_share: 100,
        allow_private: false,
        adversary: None,
        serving: None,
    };
    let start = |config| Host::start(config, Seat { world: World::new(1), i: 0 }, watch::channel(false).1);
    let error = start(config.clone()).await.unwrap_err();
    assert!(error.to_string().contains(&listen.to_string()), "{error}");
    let nothing = HostConfig { sprint_share: 0, listen: ([127, 0, 0, 1], 0).into(), ..config };
    assert!(matches!(start(nothing).await, Err(HostError::Share(_))));
}
