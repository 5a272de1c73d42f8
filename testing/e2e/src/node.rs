//! One node's process.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use eyre::{Context, Result, bail, eyre};
use freeway_api::Client;
use freeway_node::NodeConfig;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::binary::{command, error_line, freeway_binary};
use crate::signal::{Signal, signal};

/// How long a node may take until it listens.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a node may take to end in order.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// How a start ended.
#[derive(Debug)]
pub enum Started {
    /// The node listens.
    Listening,
    /// The node ended by itself, with this status and this error (`null` if it gave none).
    Ended(ExitStatus, Value),
}

/// A node: its folder, and its process while it runs.
#[derive(Debug)]
pub struct NodeProcess {
    home: PathBuf,
    /// Bytes that one of its files may have; the system refuses to write more.
    file_limit_kib: Option<u64>,
    /// How the host cheats, if it does.
    adversary: Option<String>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// The node stops when this closes: also when this process is killed.
    _stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
}

impl NodeProcess {
    /// The node in a folder with `node.toml`; not started.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self { home: home.into(), file_limit_kib: None, adversary: None, running: None }
    }

    /// The node's folder.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The node's data.
    pub fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// The node's log.
    pub fn log_path(&self) -> PathBuf {
        self.home.join("node.log")
    }

    /// What the node's log says so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    /// The configuration, with paths as they stand in the file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn config(&self) -> Result<NodeConfig> {
        let text = std::fs::read_to_string(self.home.join("node.toml"))?;
        NodeConfig::parse(&text).map_err(|error| eyre!(error))
    }

    /// Changes the configuration for the next start.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn reconfigure(&self, change: impl FnOnce(&mut NodeConfig)) -> Result<()> {
        let mut config = self.config()?;
        change(&mut config);
        std::fs::write(self.home.join("node.toml"), config.to_toml()).wrap_err("node.toml")
    }

    /// From the next start on the system refuses to let any file of the node grow beyond this: what a full disk
    /// looks like from inside.
    pub fn limit_files(&mut self, kib: Option<u64>) {
        self.file_limit_kib = kib;
    }

    /// A client of the node.
    ///
    /// # Errors
    /// If the configuration cannot be read.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::new(&format!("http://{}", self.config()?.rpc.listen))?)
    }

    /// The process.
    ///
    /// # Errors
    /// If the node is not running.
    pub fn pid(&self) -> Result<u32> {
        self.running
            .as_ref()
            .and_then(|running| running.child.id())
            .ok_or_else(|| eyre!("the node is not running"))
    }

    /// Whether the process was started and has not been seen to end.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// From the next start on, the host cheats in this way.
    pub fn cheat(&mut self, kind: String) {
        self.adversary = Some(kind);
    }

    /// Starts the process; does not wait for anything.
    ///
    /// # Errors
    /// If it runs already, or cannot be started.
    pub fn launch(&mut self) -> Result<()> {
        if self.running.is_some() {
            bail!("the node runs already");
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path())?;
        let mut command = match self.file_limit_kib {
            None => command(&freeway_binary()?),
            Some(kib) => {
                // Without the trap the system would kill the process instead of refusing the write.
                let mut shell = command(Path::new("sh"));
                let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", kib * 2);
                shell.args(["-c", &script, "sh"]).arg(freeway_binary()?);
                shell
            }
        };
        command
            .args(["node", "start", "--json", "--stop-with-parent", "--config"])
            .arg(self.home.join("node.toml"))
            .args(self.adversary.iter().flat_map(|kind| ["--adversary", kind]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command.spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        self.running = Some(Running { child, _stdin: stdin, stdout: stdout.map(BufReader::new) });
        Ok(())
    }

    /// Waits until the launched process listens, or ends.
    ///
    /// # Errors
    /// If it does neither in time.
    pub async fn listening(&mut self) -> Result<Started> {
        let running = self.running.as_mut().ok_or_else(|| eyre!("the node is not running"))?;
        let stdout = running.stdout.as_mut().ok_or_else(|| eyre!("the node has no output"))?;
        let mut line = String::new();
        timeout(READY_TIMEOUT, stdout.read_line(&mut line))
            .await
            .map_err(|_| eyre!("the node neither listened nor ended within {READY_TIMEOUT:?}"))??;
        let ready = serde_json::from_str::<Value>(&line).is_ok_and(|value| value["ready"] == true);
        if ready {
            return Ok(Started::Listening);
        }
        if !line.is_empty() {
            bail!("the node printed {line:?} instead of where it listens");
        }
        let (status, error) = self.ended(STOP_TIMEOUT).await?;
        Ok(Started::Ended(status, error))
    }

    /// Starts the node and waits until it listens.
    ///
    /// # Errors
    /// If it does not; says what it said.
    pub async fn start(&mut self) -> Result<()> {
        self.launch()?;
        match self.listening().await? {
            Started::Listening => Ok(()),
            Started::Ended(status, error) => {
                Err(eyre!("{} ended ({status}) instead of listening: {error}", self.home.display()))
            }
        }
    }

    /// Waits until the node ends by itself: how, and the error that it wrote.
    ///
    /// # Errors
    /// If it does not within `limit`.
    pub async fn ended(&mut self, limit: Duration) -> Result<(ExitStatus, Value)> {
        let running = self.running.as_mut().ok_or_else(|| eyre!("the node is not running"))?;
        let status = timeout(limit, running.child.wait())
            .await
            .map_err(|_| eyre!("the node did not end by itself within {limit:?}"))??;
        self.running = None;
        Ok((status, error_line(&self.log()).unwrap_or_default()))
    }

    /// Ends the process at once, as a power cut does to it.
    ///
    /// # Errors
    /// If it is not running.
    pub async fn kill9(&mut self) -> Result<()> {
        let mut running = self.running.take().ok_or_else(|| eyre!("the node is not running"))?;
        running.child.kill().await.wrap_err("kill")
    }

    /// Asks the process to end, and waits until it has.
    ///
    /// # Errors
    /// If it does not end in time, or not well.
    pub async fn stop(&mut self) -> Result<()> {
        signal(self.pid()?, Signal::Terminate);
        let (status, error) = self.ended(STOP_TIMEOUT).await?;
        if !status.success() {
            bail!("{} did not stop well: {status}, {error}", self.home.display());
        }
        Ok(())
    }

    /// Deletes the node's data, as if its disk had been exchanged. It must not be running.
    ///
    /// # Errors
    /// If it runs, or the data cannot be deleted.
    pub fn wipe(&self) -> Result<()> {
        if self.running.is_some() {
            bail!("a running node is not wiped");
        }
        std::fs::remove_dir_all(self.data()).wrap_err("the node's data")
    }
}
