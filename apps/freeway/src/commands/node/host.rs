//! The host's part of a node: it sprints beside the node in the same process.

use std::path::PathBuf;
use std::time::Duration;

use freeway_host::stats::WorkStats;
use freeway_host::{Adversary, HostConfig, HostError, Serving, Stats, service};
use freeway_ledger::hosts::{self, HOSTS, Status};
use freeway_ledger::{Fault, Message, Text};
use freeway_node::Access;
use freeway_node::config::SprintConfig;
use freeway_primitives::{Address, Height, SecretKey};
use tokio::sync::watch;
use tracing::{error, info, warn};

/// How long after a failure the host's part is started again.
const AGAIN: Duration = Duration::from_secs(10);
/// How long the host's part may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(8);
/// How many blocks an announcement may wait, and after how many it is tried again.
const ANNOUNCE_BLOCKS: u64 = 20;

/// What a host needs to sprint.
pub(super) struct Host {
    pub(super) address: Address,
    pub(super) key: SecretKey,
    pub(super) data: PathBuf,
    pub(super) sprint: SprintConfig,
    /// What it serves in lanes.
    pub(super) serving: Option<Serving>,
    pub(super) adversary: Option<Adversary>,
}

impl Host {
    /// Sprints until `stop` is raised. What goes wrong is logged, and the node goes on without.
    pub(super) async fn run(self, access: Access, mut stop: watch::Receiver<bool>) {
        let announce = self.announce(access.clone(), stop.clone());
        let sprint = self.sprint(&access, stop.clone());
        let late = async {
            raised(&mut stop).await;
            tokio::time::sleep(STOP_TIMEOUT).await;
        };
        tokio::select! {
            _ = async { tokio::join!(announce, sprint) } => {}
            () = late => warn!("the host's part takes long to stop; it goes on from its records at the next start"),
        }
    }

    async fn sprint(&self, access: &Access, mut stop: watch::Receiver<bool>) {
        loop {
            match self.once(access, stop.clone()).await {
                Ok(()) => return,
                Err(error) => failed(&error),
            }
            tokio::select! {
                () = raised(&mut stop) => return,
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    }

    /// Sprints until it fails or `stop` is raised; what it does is counted among the node's metrics.
    async fn once(&self, access: &Access, stop: watch::Receiver<bool>) -> Result<(), HostError> {
        let host = service::Host::start(self.config(), access.clone(), stop).await?;
        let mut stats = host.stats();
        let count = async {
            loop {
                access.metrics.host(&totals(&stats.borrow_and_update()));
                if stats.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        };
        tokio::select! {
            ended = host.join() => ended,
            () = count => Ok(()),
        }
    }

    fn config(&self) -> HostConfig {
        HostConfig {
            address: self.address,
            key: self.key.clone(),
            listen: self.sprint.listen,
            data: self.data.clone(),
            sprint_threads: self.sprint.threads,
            sprint_share: self.sprint.share,
            allow_private: self.sprint.allow_private,
            adversary: self.adversary,
            serving: self.serving.clone(),
        }
    }

    /// Keeps the URL of the configuration in the host's record, so that others find what it must show them.
    async fn announce(&self, access: Access, mut stop: watch::Receiver<bool>) {
        let Some(url) = &self.sprint.url else { return };
        let Ok(url) = Text::new(url.as_str()) else {
            warn!(url, "sprint.url cannot stand in the host's record; other hosts will not find this one");
            return;
        };
        let mut tip = access.feed.tip();
        let mut next = Height::GENESIS;
        loop {
            tokio::select! {
                () = raised(&mut stop) => return,
                changed = tip.changed() => if changed.is_err() { return },
            }
            let height = tip.borrow_and_update().height;
            if height < next {
                continue;
            }
            let (access, address, url) = (access.clone(), self.address, url.clone());
            match tokio::task::spawn_blocking(move || announce_once(&access, &address, url)).await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => next = height.plus(ANNOUNCE_BLOCKS),
                Ok(Err(fault)) => {
                    error!(%fault, "the host's URL cannot be announced");
                    return;
                }
                Err(_) => return,
            }
        }
    }
}

/// Whether the record had to be changed, and a transaction for that was sent.
fn announce_once(access: &Access, host: &Address, url: Text) -> Result<bool, Fault> {
    let Some(record) = HOSTS.get(&access.store.view(), host)? else { return Ok(false) };
    if record.status != Status::Active || record.profile.endpoints.contains(&url) {
        return Ok(false);
    }
    info!(%url, "announcing where other hosts find what this one must show them");
    let profile = hosts::Profile { endpoints: vec![url], ..record.profile };
    access.duties.send_for(vec![Message::Hosts(hosts::Message::Update { profile })], ANNOUNCE_BLOCKS)?;
    Ok(true)
}

/// What a host has done, by the names that it has among the metrics.
fn totals(stats: &Stats) -> [(&'static str, f64); 31] {
    // Taken apart field by field, so that a new total cannot be forgotten here.
    let Stats {
        races,
        nonces,
        cpu_seconds,
        unrecorded,
        commitments,
        verdicts,
        revelations,
        answers,
        demands,
        accusations,
        judgements,
        openings_served,
        openings_refused,
        unreachable,
        work,
    } = *stats;
    let WorkStats {
        commitments: work_commitments,
        lost,
        verdicts: work_verdicts,
        right,
        wrong,
        suspected,
        revelations: work_revelations,
        demands: work_demands,
        answers: work_answers,
        accusations: work_accusations,
        judgements: work_judgements,
        settlements,
        shown,
        served,
        fees,
        failed,
        left,
    } = work;
    [
        ("races", races as f64),
        ("nonces", nonces as f64),
        ("cpu_seconds", cpu_seconds),
        ("unrecorded", unrecorded as f64),
        ("commitments", commitments as f64),
        ("verdicts", verdicts as f64),
        ("revelations", revelations as f64),
        ("answers", answers as f64),
        ("demands", demands as f64),
        ("accusations", accusations as f64),
        ("judgements", judgements as f64),
        ("openings_served", openings_served as f64),
        ("openings_refused", openings_refused as f64),
        ("unreachable", unreachable as f64),
        ("work_commitments", work_commitments as f64),
        ("work_lost", lost as f64),
        ("work_verdicts", work_verdicts as f64),
        ("work_right", right as f64),
        ("work_wrong", wrong as f64),
        ("work_suspected", suspected as f64),
        ("work_revelations", work_revelations as f64),
        ("work_demands", work_demands as f64),
        ("work_answers", work_answers as f64),
        ("work_accusations", work_accusations as f64),
        ("work_judgements", work_judgements as f64),
        ("work_settlements", settlements as f64),
        ("work_shown", shown as f64),
        ("work_served", served as f64),
        ("work_fees_nfwy", fees as f64),
        ("work_failed", failed as f64),
        ("work_left", left as f64),
    ]
}

fn failed(error: &HostError) {
    error!(
        %error,
        again_in_s = AGAIN.as_secs(),
        "the host's part of this node has failed; the node goes on, but the host does not sprint and loses its weight"
    );
}

/// Waits until a signal is raised, or its owner is gone.
async fn raised(signal: &mut watch::Receiver<bool>) {
    // The guard must not live across the caller's next await.
    drop(signal.wait_for(|raised| *raised).await);
}
