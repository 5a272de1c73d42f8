//! The processes of the hosts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::Instant;

use super::layout::Network;
use crate::commands::node::READY_TIMEOUT;
use crate::hints::Problem;

/// How long hosts may take to end in order.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// How long after its end a host is started again.
const RESTART_AFTER: Duration = Duration::from_secs(1);
/// The end of a log that is shown when its host ends.
const LOG_TAIL_BYTES: u64 = 2_000;

/// A host's process.
#[derive(Debug)]
struct Host {
    name: String,
    config: PathBuf,
    /// How it cheats, if it shall.
    adversary: Option<String>,
    child: Child,
    /// Open as long as the host shall run: its end tells the host to stop, also if this process is killed.
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    ended: Option<Instant>,
}

/// Where a host can be reached.
#[derive(Debug)]
pub(super) struct Listens {
    /// Its node.
    pub(super) rpc: String,
    /// Its gateway.
    pub(super) api: String,
}

/// The processes of all hosts.
#[derive(Debug)]
pub(super) struct Children {
    hosts: Vec<Host>,
    restart: bool,
}

fn spawn(name: &str, config: &PathBuf, adversary: Option<String>) -> Result<Host, Problem> {
    let told = |error: std::io::Error| {
        Problem::new("no_process", format!("{name} cannot be started: {error}"))
            .hint("the machine may have too many processes or too little memory")
    };
    let log = config.with_file_name("node.log");
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log)
        .map_err(|error| Problem::file("write", &log, error))?;
    let mut child = Command::new(std::env::current_exe().map_err(told)?)
        .args(["node", "start", "--json", "--stop-with-parent", "--config"])
        .arg(config)
        .args(adversary.iter().flat_map(|kind| ["--adversary", kind]))
        // A passphrase meant for the caller's own keys is not the network's.
        .env_remove(crate::keystore::ENVIRONMENT_VARIABLE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        // Ctrl-C at the terminal reaches this process only, which then stops the hosts in order.
        .process_group(0)
        .spawn()
        .map_err(told)?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    Ok(Host { name: name.to_owned(), config: config.clone(), adversary, child, stdin, stdout, ended: None })
}

impl Children {
    /// Starts all hosts. With `restart`, those that end by themselves are started again.
    pub(super) fn start(
        network: &Network,
        adversaries: &BTreeMap<String, String>,
        restart: bool,
    ) -> Result<Self, Problem> {
        let start = |(name, config): &(String, PathBuf)| spawn(name, config, adversaries.get(name).cloned());
        let hosts = network.hosts.iter().map(start).collect::<Result<_, _>>()?;
        Ok(Self { hosts, restart })
    }

    /// Waits until every host listens: their addresses for HTTP, as URLs.
    pub(super) async fn all_listen(&mut self) -> Result<Vec<Listens>, Problem> {
        let mut all = Vec::new();
        for host in &mut self.hosts {
            let listening = tokio::time::timeout(READY_TIMEOUT, host.listens()).await;
            all.push(listening.map_err(|_| host.problem("does not start"))??);
        }
        Ok(all)
    }

    /// The process of each host.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.hosts.iter().map(|host| host.child.id().unwrap_or_default()).collect()
    }

    /// Fails if a host has ended.
    pub(super) fn check_all_alive(&mut self) -> Result<(), Problem> {
        for host in &mut self.hosts {
            if let Ok(Some(status)) = host.child.try_wait() {
                return Err(host.problem(&format!("ended ({status})")));
            }
        }
        Ok(())
    }

    /// Waits until a host ends by itself: its name and what is known of it. Fails when none is left. May be
    /// dropped and called again at any moment.
    pub(super) async fn next_end(&mut self) -> Result<Problem, Problem> {
        if self.hosts.iter().all(|host| host.ended.is_some()) {
            if self.restart {
                return std::future::pending().await;
            }
            return Err(Problem::new("all_ended", "no host is left")
                .hint("see why in the hosts' node.log files, then run `freeway up` again"));
        }
        let running = self.hosts.iter_mut().enumerate().filter(|(_, host)| host.ended.is_none());
        let ends = running.map(|(at, host)| Box::pin(async move { (at, host.child.wait().await) }));
        let ((at, status), _, _) = futures::future::select_all(ends).await;
        let status = status.map_or_else(|error| error.to_string(), |status: ExitStatus| status.to_string());
        let host = &mut self.hosts[at];
        host.ended = Some(Instant::now());
        let problem = host.problem(&format!("ended ({status})"));
        Ok(problem.hint(if self.restart {
            "it is started again".to_owned()
        } else {
            format!("start it again with `freeway node start --config {}`", host.config.display())
        }))
    }

    /// With `restart`, starts the hosts again that ended a while ago; whether there were any.
    pub(super) fn revive(&mut self) -> Result<bool, Problem> {
        let mut revived = false;
        for host in &mut self.hosts {
            if self.restart && host.ended.is_some_and(|ended| ended.elapsed() >= RESTART_AFTER) {
                let (name, config, adversary) =
                    (host.name.clone(), host.config.clone(), host.adversary.clone());
                *host = spawn(&name, &config, adversary)?;
                revived = true;
            }
        }
        Ok(revived)
    }

    /// Ends all hosts in order; those that do not follow are killed.
    pub(super) async fn stop(&mut self) {
        for host in &mut self.hosts {
            drop(host.stdin.take());
        }
        let all = futures::future::join_all(self.hosts.iter_mut().map(|host| host.child.wait()));
        if tokio::time::timeout(STOP_TIMEOUT, all).await.is_err() {
            for host in &mut self.hosts {
                let _ = host.child.kill().await;
            }
        }
    }
}

impl Host {
    /// Waits for the line by which the node says where it listens.
    async fn listens(&mut self) -> Result<Listens, Problem> {
        let Some(stdout) = self.stdout.take() else {
            return Err(Problem::new("defect", "a host was asked twice where it listens"));
        };
        let mut line = String::new();
        // A node's line has about 200 bytes; the bound is the pipe's.
        let read = BufReader::new(stdout).read_line(&mut line).await;
        let said = read.ok().and_then(|_| serde_json::from_str::<serde_json::Value>(&line).ok());
        let field = |name: &str| said.as_ref()?[name].as_str().map(str::to_owned);
        match (field("rpc"), field("api")) {
            (Some(rpc), Some(api)) => Ok(Listens { rpc, api }),
            _ => Err(self.problem("did not start")),
        }
    }

    /// What is known of a host that ended, from the end of its log.
    fn problem(&self, what: &str) -> Problem {
        let log = self.config.with_file_name("node.log");
        let tail = std::fs::read(&log).unwrap_or_default();
        let start = tail.len().saturating_sub(LOG_TAIL_BYTES as usize);
        let tail = String::from_utf8_lossy(&tail[start..]);
        let mut lines = tail.lines().rev();
        // Nodes end with one line of JSON that says why.
        let said = lines.clone().find_map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).ok()?;
            let error = value.get("error")?;
            let hint = error["hint"].as_str().map(str::to_owned);
            Some((error["message"].as_str()?.to_owned(), hint))
        });
        match said {
            Some((message, hint)) => Problem::new("host_ended", format!("{} {what}: {message}", self.name))
                .hint(hint.unwrap_or_else(|| format!("see {}", log.display()))),
            None => {
                let last = lines.find(|line| !line.trim().is_empty()).unwrap_or("its log is empty");
                Problem::new("host_ended", format!("{} {what}; the last line of its log: {last}", self.name))
                    .hint(format!("see {}", log.display()))
            }
        }
    }
}
