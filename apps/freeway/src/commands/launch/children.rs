//! The processes of nodes, and that of the developer's gateway.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::Instant;

use crate::commands::node::READY_TIMEOUT;
use crate::hints::Problem;

/// How long processes may take to end in order.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// How long after its end a process is started again.
const RESTART_AFTER: Duration = Duration::from_secs(1);
/// The end of a log that is shown when its host ends.
const LOG_TAIL_BYTES: u64 = 2_000;

/// What a process is for.
#[derive(Clone, Debug)]
enum Role {
    /// A host: its node, what it serves, and how it cheats, if it shall.
    Host { adversary: Option<String> },
    /// The developer's gateway, which pays hosts.
    Gateway,
}

impl Role {
    /// The command that it is.
    fn command(&self) -> &'static [&'static str] {
        match self {
            Self::Host { .. } => &["node", "start"],
            Self::Gateway => &["gateway"],
        }
    }

    /// The file of its log.
    fn log(&self) -> &'static str {
        match self {
            Self::Host { .. } => "node.log",
            Self::Gateway => "gateway.log",
        }
    }
}

/// A process.
#[derive(Debug)]
struct Host {
    name: String,
    config: PathBuf,
    role: Role,
    child: Child,
    /// Open as long as it shall run: its end tells it to stop, also if this process is killed.
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    ended: Option<Instant>,
}

/// Where a process can be reached.
#[derive(Debug)]
pub(crate) struct Listens {
    /// Its node; nothing for a gateway without one.
    pub(crate) rpc: String,
    /// Its gateway, if it has one.
    pub(crate) api: Option<String>,
}

/// The processes of all hosts, and of the gateway once it is started.
#[derive(Debug)]
pub(crate) struct Children {
    hosts: Vec<Host>,
    gateway: Option<Host>,
    restart: bool,
    /// The collector of traces, if there is one.
    otlp: Option<String>,
}

fn spawn(name: &str, config: &Path, role: Role, otlp: Option<&str>) -> Result<Host, Problem> {
    let told = |error: std::io::Error| {
        Problem::new("no_process", format!("{name} cannot be started: {error}"))
            .hint("the machine may have too many processes or too little memory")
    };
    let log = config.with_file_name(role.log());
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log)
        .map_err(|error| Problem::file("write", &log, error))?;
    let adversary = match &role {
        Role::Host { adversary } => adversary.as_deref(),
        Role::Gateway => None,
    };
    let mut child = Command::new(std::env::current_exe().map_err(told)?)
        .args(role.command())
        .args(["--json", "--stop-with-parent", "--config"])
        .arg(config)
        .args(adversary.iter().flat_map(|kind| ["--adversary", kind]))
        .args(otlp.iter().flat_map(|url| ["--otlp", url]))
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
    Ok(Host { name: name.to_owned(), config: config.to_owned(), role, child, stdin, stdout, ended: None })
}

impl Children {
    /// Starts all nodes, of these names and configuration files. With `restart`, those that end by themselves are
    /// started again.
    pub(crate) fn start(
        nodes: &[(String, PathBuf)],
        adversaries: &BTreeMap<String, String>,
        restart: bool,
        otlp: Option<String>,
    ) -> Result<Self, Problem> {
        let start = |(name, config): &(String, PathBuf)| {
            spawn(name, config, Role::Host { adversary: adversaries.get(name).cloned() }, otlp.as_deref())
        };
        let hosts = nodes.iter().map(start).collect::<Result<_, _>>()?;
        Ok(Self { hosts, gateway: None, restart, otlp })
    }

    /// Starts the developer's gateway and waits until it listens: its URL. The hosts must listen before.
    pub(crate) async fn start_gateway(&mut self, config: &Path) -> Result<String, Problem> {
        let gateway = spawn("the gateway", config, Role::Gateway, self.otlp.as_deref())?;
        let gateway = self.gateway.insert(gateway);
        let listening = tokio::time::timeout(READY_TIMEOUT, gateway.listens()).await;
        let listens = listening.map_err(|_| gateway.problem("does not start"))??;
        listens.api.ok_or_else(|| gateway.problem("did not start"))
    }

    /// The process of the gateway.
    pub(crate) fn gateway_pid(&self) -> Option<u32> {
        self.gateway.as_ref().and_then(|gateway| gateway.child.id())
    }

    /// All processes.
    fn all(&mut self) -> impl Iterator<Item = &mut Host> {
        self.hosts.iter_mut().chain(&mut self.gateway)
    }

    /// Waits until every node listens: their addresses for HTTP, as URLs. Each may take so long.
    pub(crate) async fn all_listen(&mut self, patience: Duration) -> Result<Vec<Listens>, Problem> {
        let mut all = Vec::new();
        for host in &mut self.hosts {
            let listening = tokio::time::timeout(patience, host.listens()).await;
            all.push(listening.map_err(|_| host.problem("does not start"))??);
        }
        Ok(all)
    }

    /// The process of each host.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.hosts.iter().map(|host| host.child.id().unwrap_or_default()).collect()
    }

    /// Fails if a process has ended.
    pub(crate) fn check_all_alive(&mut self) -> Result<(), Problem> {
        for host in self.all() {
            if let Ok(Some(status)) = host.child.try_wait() {
                return Err(host.problem(&format!("ended ({status})")));
            }
        }
        Ok(())
    }

    /// Waits until a host or the gateway ends by itself: its name and what is known of it. Fails when none is left. May be
    /// dropped and called again at any moment.
    pub(crate) async fn next_end(&mut self) -> Result<Problem, Problem> {
        if self.hosts.iter().all(|host| host.ended.is_some()) {
            if self.restart {
                return std::future::pending().await;
            }
            return Err(Problem::new("all_ended", "no node is left")
                .hint("see why in their node.log files, then start again"));
        }
        let restart = self.restart;
        let running = self.all().filter(|host| host.ended.is_none());
        let ends = running.map(|host| {
            Box::pin(async move {
                let status = host.child.wait().await;
                (host, status)
            })
        });
        let ((host, status), _, _) = futures::future::select_all(ends).await;
        let status = status.map_or_else(|error| error.to_string(), |status: ExitStatus| status.to_string());
        host.ended = Some(Instant::now());
        let problem = host.problem(&format!("ended ({status})"));
        Ok(problem.hint(if restart {
            "it is started again".to_owned()
        } else {
            let command = host.role.command().join(" ");
            format!("start it again with `freeway {command} --config {}`", host.config.display())
        }))
    }

    /// With `restart`, starts again what ended a while ago; whether there was anything.
    pub(crate) fn revive(&mut self) -> Result<bool, Problem> {
        let (mut revived, restart, otlp) = (false, self.restart, self.otlp.clone());
        for host in self.all() {
            if restart && host.ended.is_some_and(|ended| ended.elapsed() >= RESTART_AFTER) {
                let (name, config, role) = (host.name.clone(), host.config.clone(), host.role.clone());
                *host = spawn(&name, &config, role, otlp.as_deref())?;
                revived = true;
            }
        }
        Ok(revived)
    }

    /// Ends all processes in order; those that do not follow are killed.
    pub(crate) async fn stop(&mut self) {
        for host in self.all() {
            drop(host.stdin.take());
        }
        let all = futures::future::join_all(self.all().map(|host| host.child.wait()));
        if tokio::time::timeout(STOP_TIMEOUT, all).await.is_err() {
            for host in self.all() {
                let _ = host.child.kill().await;
            }
        }
    }
}

impl Host {
    /// Waits for the line by which the node says where it listens.
    async fn listens(&mut self) -> Result<Listens, Problem> {
        let Some(stdout) = self.stdout.take() else {
            return Err(Problem::new("defect", "a process was asked twice where it listens"));
        };
        let mut line = String::new();
        // A node's line has about 200 bytes; the bound is the pipe's.
        let read = BufReader::new(stdout).read_line(&mut line).await;
        let said = read.ok().and_then(|_| serde_json::from_str::<serde_json::Value>(&line).ok());
        let field = |name: &str| said.as_ref()?[name].as_str().map(str::to_owned);
        match (field("rpc"), field("api"), &self.role) {
            (Some(rpc), api, Role::Host { .. }) => Ok(Listens { rpc, api }),
            (rpc, Some(api), Role::Gateway) => Ok(Listens { rpc: rpc.unwrap_or_default(), api: Some(api) }),
            _ => Err(self.problem("did not start")),
        }
    }

    /// What is known of a host that ended, from the end of its log.
    fn problem(&self, what: &str) -> Problem {
        let log = self.config.with_file_name(self.role.log());
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
