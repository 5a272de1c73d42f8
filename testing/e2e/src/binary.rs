//! The binary under test.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use eyre::{Context, Result, bail, eyre};
use serde_json::Value;
use tokio::process::Command;

/// How long a command that is not meant to go on may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// The `freeway` binary beside the running one: of the same profile, built from the same tree.
///
/// # Errors
/// If it was not built; says how to.
pub fn freeway_binary() -> Result<PathBuf> {
    let own = std::env::current_exe().wrap_err("where this program is")?;
    let name = format!("freeway{}", std::env::consts::EXE_SUFFIX);
    // Tests lie in a folder of the profile's folder, programs in the profile's folder itself.
    let folders = own.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join(&name)).find(|path| path.is_file());
    let profile = if cfg!(debug_assertions) { "" } else { " --release" };
    found.ok_or_else(|| eyre!("the freeway binary is not built; run `cargo build{profile} -p freeway` first"))
}

/// A command that has ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What else it said.
    pub stderr: String,
}

impl Ran {
    /// The result, if the command succeeded and printed one with `--json`.
    ///
    /// # Errors
    /// If it failed or printed something else.
    pub fn json(&self) -> Result<Value> {
        if !self.status.success() {
            bail!("{}: {}", self.status, self.stderr);
        }
        serde_json::from_str(self.stdout.trim()).wrap_err_with(|| format!("on stdout: {:?}", self.stdout))
    }

    /// The error, if the command failed and said why with `--json`.
    ///
    /// # Errors
    /// If it did not fail or said something else.
    pub fn error(&self) -> Result<Value> {
        if self.status.success() {
            bail!("it succeeded: {}", self.stdout);
        }
        error_line(&self.stderr).ok_or_else(|| eyre!("no error in JSON on stderr: {:?}", self.stderr))
    }
}

/// The error that a program wrote as its last line of JSON.
pub(crate) fn error_line(text: &str) -> Option<Value> {
    text.lines().rev().find_map(|line| {
        let value: Value = serde_json::from_str(line).ok()?;
        value.get("error").cloned()
    })
}

/// A command line of the binary that inherits nothing of the caller's settings.
pub(crate) fn command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FREEWAY_") {
            command.env_remove(name);
        }
    }
    command.env_remove("RUST_LOG").kill_on_drop(true);
    command
}

/// Runs `freeway` with `args` to its end.
///
/// # Errors
/// If it cannot be run, or does not end in time.
pub async fn run_freeway<I: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = I>) -> Result<Ran> {
    let mut command = command(&freeway_binary()?);
    command.args(args).stdin(Stdio::null());
    let output = tokio::time::timeout(COMMAND_TIMEOUT, command.output())
        .await
        .map_err(|_| eyre!("the command did not end within {COMMAND_TIMEOUT:?}"))??;
    Ok(Ran {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
