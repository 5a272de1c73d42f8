//! Running the binary.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A passphrase for tests.
pub(crate) const PASSPHRASE: &str = "correct horse battery";

/// A directory of its own, in which the binary runs.
pub(crate) struct Place {
    directory: tempfile::TempDir,
    environment: Vec<(&'static str, String)>,
}

/// How a run ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            environment: vec![("FREEWAY_PASSPHRASE", PASSPHRASE.into())],
        }
    }

    /// The same with a variable set to something else.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, value.into()));
        self
    }

    /// A file in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs the binary with `arguments` and nothing on stdin.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, "")
    }

    /// Runs the binary with a text on stdin.
    pub(crate) fn run_with(&self, arguments: &[&str], stdin: &str) -> Ended {
        let mut child = self.command(arguments).spawn().unwrap();
        // A program that does not read its input may have closed it.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        child.wait_with_output().unwrap().into()
    }

    /// The binary, in an environment with nothing of ours in it but what the place says.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_freeway"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env("FREEWAY_DIR", self.directory.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command that must do what it says, and reads its one line of JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let ended = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
        assert_eq!((ended.stdout.lines().count(), ended.stderr.as_str()), (1, ""), "{arguments:?}");
        serde_json::from_str(&ended.stdout).unwrap()
    }

    /// Runs a command that must fail, in both forms, and returns its error: `code`, `message`, `hint`.
    #[track_caller]
    pub(crate) fn error(&self, arguments: &[&str], code: i32) -> Value {
        let human = self.run(arguments);
        assert_eq!(human.code, code, "{arguments:?}: {}", human.stderr);
        assert_eq!(human.stdout, "", "{arguments:?}");
        assert!(human.stderr.contains("error: ") && !human.stderr.contains("panicked"), "{}", human.stderr);
        assert!(human.stderr.contains("\n  hint: "), "{arguments:?}: {}", human.stderr);
        // Behind the command, what looks like an option may be a value.
        let ended = self.run(&[&["--json"], arguments].concat());
        assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{arguments:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{arguments:?}: {}", ended.stderr);
        let value: Value = serde_json::from_str(&ended.stderr).unwrap();
        for field in ["code", "message", "hint"] {
            assert!(value["error"][field].is_string(), "{arguments:?}: {value}");
        }
        value["error"].clone()
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
