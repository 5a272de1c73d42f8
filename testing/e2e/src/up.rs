//! A network as `freeway up` makes it, and a machine that joins one with `freeway join`.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use eyre::{Context, Result, bail, eyre};
use freeway_api::Client;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::binary::{command, error_line, freeway_binary};
use crate::signal::{Signal, is_alive, signal};

/// How long `freeway up` may take until it says that the network is up, on a busy machine.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// The line of `freeway up --json` and `freeway join --json`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ReadyLine {
    /// Always true.
    pub ready: bool,
    /// The network's directory.
    pub dir: PathBuf,
    /// Where each host's HTTP interface is.
    pub rpc: Vec<String>,
    /// Each host's process.
    pub pids: Vec<u32>,
    /// The network's identity.
    pub chain: String,
    /// The OpenAI interface of the gateway that pays hosts; nothing where none was started.
    #[serde(default)]
    pub api: String,
    /// Its process.
    #[serde(default)]
    pub gateway_pid: Option<u32>,
    /// Those of all hosts.
    #[serde(default)]
    pub apis: Vec<String>,
    /// The key for them.
    #[serde(default)]
    pub key: String,
    /// The node that other machines can join.
    #[serde(default)]
    pub join: Option<String>,
}

/// A running `freeway up` or `freeway join`.
#[derive(Debug)]
pub struct Up {
    child: Child,
    ready: ReadyLine,
    _stdout: BufReader<ChildStdout>,
    /// Interrupts it when its input closes, that is, also when this process is killed.
    _watchdog: Option<(Child, ChildStdin)>,
}

impl Up {
    /// Runs `freeway up --json --dir DIR ARGS...` and waits until it is up. What it says goes into `up.log` in the
    /// directory.
    ///
    /// # Errors
    /// If it ends instead, with what it said, or is not up in time.
    pub async fn start(dir: &Path, args: &[&str]) -> Result<Self> {
        Self::run("up", dir, args).await
    }

    /// Runs `freeway join --json --dir DIR ARGS...` and waits until its node listens. What it says goes into `join.log`
    /// in the directory.
    ///
    /// # Errors
    /// As [`Up::start`].
    pub async fn join(dir: &Path, args: &[&str]) -> Result<Self> {
        Self::run("join", dir, args).await
    }

    async fn run(name: &str, dir: &Path, args: &[&str]) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let log_path = dir.join(format!("{name}.log"));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&log_path)?;
        let mut child = command(&freeway_binary()?)
            .args([name, "--json", "--dir"])
            .arg(dir)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let watchdog = child.id().map(watch).transpose()?;
        let stdout = child.stdout.take().ok_or_else(|| eyre!("no output"))?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        timeout(READY_TIMEOUT, stdout.read_line(&mut line))
            .await
            .map_err(|_| eyre!("`freeway {name}` was not up within {READY_TIMEOUT:?}"))??;
        if line.is_empty() {
            let status = child.wait().await?;
            let log = std::fs::read_to_string(&log_path).unwrap_or_default();
            bail!("`freeway {name}` ended ({status}): {}", error_line(&log).unwrap_or_default());
        }
        let ready = serde_json::from_str(&line).wrap_err_with(|| format!("not a ready line: {line:?}"))?;
        Ok(Self { child, ready, _stdout: stdout, _watchdog: watchdog })
    }

    /// What it said when it was up.
    pub fn ready(&self) -> &ReadyLine {
        &self.ready
    }

    /// The process itself.
    ///
    /// # Errors
    /// If it has ended.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().ok_or_else(|| eyre!("it has ended"))
    }

    /// A client of a host.
    ///
    /// # Errors
    /// If its address is none.
    pub fn client(&self, at: usize) -> Result<Client> {
        Ok(Client::new(&self.ready.rpc[at])?)
    }

    /// Presses Ctrl-C and waits until it has ended: how.
    ///
    /// # Errors
    /// If it does not end within `limit`.
    pub async fn interrupt(&mut self, limit: Duration) -> Result<ExitStatus> {
        signal(self.pid()?, Signal::Interrupt);
        let ended = timeout(limit, self.child.wait()).await;
        Ok(ended.map_err(|_| eyre!("it did not end within {limit:?} of Ctrl-C"))??)
    }

    /// Kills the process alone.
    ///
    /// # Errors
    /// If it has ended already.
    pub async fn kill9(&mut self) -> Result<()> {
        self.child.kill().await.wrap_err("kill")
    }

    /// The processes that still run: hosts, then the gateway.
    pub fn alive(&self) -> Vec<u32> {
        self.ready.pids.iter().copied().chain(self.ready.gateway_pid).filter(|pid| is_alive(*pid)).collect()
    }
}

/// Starts what interrupts `pid` when this process is gone.
pub(crate) fn watch(pid: u32) -> Result<(Child, ChildStdin)> {
    let mut child = command(Path::new("sh"))
        .args(["-c", "cat >/dev/null; kill -INT \"$0\" 2>/dev/null", &pid.to_string()])
        .stdin(Stdio::piped())
        // Ctrl-C at the terminal of the tests must not end it before it has done its work.
        .process_group(0)
        .spawn()?;
    let stdin = child.stdin.take().ok_or_else(|| eyre!("no input"))?;
    Ok((child, stdin))
}

impl Drop for Up {
    fn drop(&mut self) {
        // First the one that would start others, then those that it left: they stop by themselves, but later.
        if let Ok(pid) = self.pid() {
            signal(pid, Signal::Kill);
            for pid in self.alive() {
                signal(pid, Signal::Kill);
            }
        }
    }
}
