//! Machines on which the book is read: a home, folders, terminals, and a network namespace where that is allowed.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use eyre::{Context, Result, bail, ensure, eyre};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::binary::freeway_binary;
use crate::signal::{Signal, signal_group};
use crate::up::watch;

/// How long a command may take on a busy machine.
const COMMAND: Duration = Duration::from_secs(240);
/// How long a program may take to say what is waited for.
const SAYS: Duration = Duration::from_secs(240);
/// How long a program may take to end after Ctrl-C.
const ENDS: Duration = Duration::from_secs(60);
/// How long making a namespace may take.
const NAMESPACE: Duration = Duration::from_secs(20);
/// How often the output of a program is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// What readers type when they are asked for a passphrase.
const PASSPHRASE: &str = "correct horse battery staple";

/// What connects machines: a namespace with a bridge in it, or nothing if the system does not allow namespaces.
#[derive(Debug)]
pub struct Switch(Option<Namespace>);

/// A network namespace, and the process that keeps it. It ends when its input closes.
#[derive(Debug)]
struct Namespace {
    keeper: Child,
    _input: ChildStdin,
    pid: u32,
}

impl Namespace {
    /// Runs `program`, which makes a namespace, and in it `prepare`.
    async fn new(mut program: Command, prepare: &str) -> Result<Self> {
        let mut keeper = program
            .args(["sh", "-c", &format!("{prepare} && echo ready && exec cat >/dev/null")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .wrap_err("unshare (of util-linux)")?;
        let (Some(input), Some(output), Some(pid)) = (keeper.stdin.take(), keeper.stdout.take(), keeper.id())
        else {
            bail!("the keeper of a namespace has no input or output");
        };
        let mut line = String::new();
        let mut output = BufReader::new(output);
        timeout(NAMESPACE, output.read_line(&mut line))
            .await
            .map_err(|_| eyre!("no namespace within {NAMESPACE:?}"))??;
        ensure!(
            line.trim() == "ready",
            "no namespace: {:?}",
            keeper.wait_with_output().await?.stderr.escape_ascii().to_string()
        );
        Ok(Self { keeper, _input: input, pid })
    }

    /// What a command line begins with that is to run in here.
    fn enter(&self) -> Vec<String> {
        let words =
            ["nsenter", "--target", &self.pid.to_string(), "--user", "--preserve-credentials", "--net", "--"];
        words.map(str::to_owned).to_vec()
    }

    async fn run(&self, script: &str) -> Result<()> {
        let words = self.enter();
        let mut command = Command::new(&words[0]);
        let output = command.args(&words[1..]).args(["sh", "-c", script]).stdin(Stdio::null()).output();
        let output =
            timeout(NAMESPACE, output).await.map_err(|_| eyre!("{script}: not within {NAMESPACE:?}"))??;
        ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.keeper.start_kill();
    }
}

impl Switch {
    /// A switch; without namespaces, if this system does not allow them to everybody, and then the reason.
    pub async fn new() -> (Self, Option<eyre::Report>) {
        let mut program = Command::new("unshare");
        program.args(["--user", "--map-root-user", "--net"]);
        let prepare = "ip link set lo up && ip link add br0 type bridge && ip link set br0 up";
        match Namespace::new(program, prepare).await {
            Ok(namespace) => (Self(Some(namespace)), None),
            Err(error) => (Self(None), Some(error)),
        }
    }

    /// Whether machines have networks of their own.
    pub const fn isolates(&self) -> bool {
        self.0.is_some()
    }

    /// A namespace that is connected with the others, at 192.168.1.10 for `a`, .11 for `b`, and so on.
    async fn connect(&self, name: char) -> Result<Option<Namespace>> {
        let Some(switch) = &self.0 else { return Ok(None) };
        let words = switch.enter();
        let mut program = Command::new(&words[0]);
        program.args(&words[1..]).args(["unshare", "--net"]);
        let namespace = Namespace::new(program, "ip link set lo up").await?;
        let address = 10 + u32::from(name).saturating_sub(u32::from('a'));
        let pid = namespace.pid;
        switch.run(&format!("ip link add v{name} type veth peer name eth0 netns {pid}")).await?;
        switch.run(&format!("ip link set v{name} master br0 up")).await?;
        namespace.run(&format!("ip addr add 192.168.1.{address}/24 dev eth0 && ip link set eth0 up")).await?;
        Ok(Some(namespace))
    }
}

/// A command that has ended.
#[derive(Clone, Debug)]
pub struct Said {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed, on both outputs, as it came.
    pub output: String,
}

/// A program in a terminal of its own.
#[derive(Debug)]
struct Program {
    command: String,
    child: Child,
    log: PathBuf,
    /// Interrupts it when this process is gone.
    _watchdog: (Child, ChildStdin),
}

impl Program {
    fn output(&self) -> String {
        read(&self.log)
    }

    /// Presses Ctrl-C and waits for the end: what it said after that.
    async fn interrupt(mut self) -> Result<String> {
        let before = self.output().len();
        if let Some(pid) = self.child.id() {
            signal_group(pid, Signal::Interrupt);
        }
        let ended = timeout(ENDS, self.child.wait()).await;
        let status =
            ended.map_err(|_| eyre!("`{}` did not end within {ENDS:?} of Ctrl-C", self.command))??;
        let output = self.output();
        ensure!(
            status.success() || status.code() == Some(130),
            "`{}` ended with {status}:\n{output}",
            self.command
        );
        Ok(output.get(before..).unwrap_or_default().to_owned())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // What a network consists of stops by itself when the program that started it is gone.
        if let Some(pid) = self.child.id() {
            signal_group(pid, Signal::Kill);
        }
    }
}

/// A machine.
#[derive(Debug)]
pub struct Machine {
    namespace: Option<Namespace>,
    home: PathBuf,
    folder: PathBuf,
    programs: Vec<Program>,
    started: usize,
}

impl Machine {
    /// A machine whose home lies in `folder`. In the home is `shared`, a folder that all machines see.
    ///
    /// # Errors
    /// If its folders or its namespace cannot be made.
    pub async fn new(switch: &Switch, name: char, folder: &Path) -> Result<Self> {
        let home = folder.join(name.to_string());
        let shared = folder.join("shared");
        std::fs::create_dir_all(&home)?;
        std::fs::create_dir_all(&shared)?;
        std::os::unix::fs::symlink(&shared, home.join("shared"))?;
        let namespace = switch.connect(name).await?;
        Ok(Self { namespace, folder: home.clone(), home, programs: Vec::new(), started: 0 })
    }

    /// Begins a page: an empty folder, and no variables.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn begin(&mut self, page: &str) -> Result<()> {
        self.folder = self.home.join("pages").join(page.replace(['/', '.'], "-"));
        std::fs::create_dir_all(&self.folder)?;
        std::fs::write(self.state(), format!("cd '{}'\n", self.folder.display()))?;
        Ok(())
    }

    /// Where variables and the folder are kept from one command to the next.
    fn state(&self) -> PathBuf {
        self.folder.with_extension("state")
    }

    /// A shell that does `script` where the command before it left off. Of the caller's settings it has none.
    fn shell(&self, script: &str, log: &Path) -> Result<Command> {
        let binary = freeway_binary()?;
        let programs = binary.parent().ok_or_else(|| eyre!("no folder of programs"))?;
        let path = std::env::var("PATH").unwrap_or_default();
        let words = self.namespace.as_ref().map(Namespace::enter).unwrap_or_default();
        // In a terminal Ctrl-C is not ignored, as it is for what a script has put into the background, and what that starts.
        let terminal: &[&str] =
            if cfg!(target_os = "linux") { &["env", "--default-signal=INT,QUIT"] } else { &[] };
        let shell = terminal.iter().copied().chain(["sh", "-c", script]).map(str::to_owned);
        let words: Vec<_> = words.into_iter().chain(shell).collect();
        let output = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("HOME", &self.home)
            .env("LANG", "C.UTF-8")
            .env("FREEWAY_PASSPHRASE", PASSPHRASE)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .kill_on_drop(true);
        Ok(command)
    }

    fn log(&mut self) -> PathBuf {
        self.started += 1;
        self.home.join(format!("terminal-{}.log", self.started))
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn run(&mut self, command: &str) -> Result<Said> {
        let state = self.state().display().to_string();
        let script = format!(
            ". '{state}'\n{command}\ncode=$?\n{{ echo \"cd '$PWD'\"; export -p | grep -v '^export PWD'; }} >'{state}.new' && mv '{state}.new' '{state}'\nexit $code"
        );
        let log = self.log();
        let mut child = self.shell(&script, &log)?.spawn()?;
        let pid = child.id();
        match timeout(COMMAND, child.wait()).await {
            Ok(status) => Ok(Said { status: status?, output: read(&log) }),
            Err(_) => {
                if let Some(pid) = pid {
                    signal_group(pid, Signal::Kill);
                }
                bail!("`{command}` did not end within {COMMAND:?}; it said:\n{}", read(&log))
            }
        }
    }

    /// Starts a program in a terminal of its own and waits until it has said `text`: what it said so far.
    ///
    /// # Errors
    /// If it ends, or does not say it in time.
    pub async fn start(&mut self, command: &str, text: &str) -> Result<String> {
        let log = self.log();
        let script = format!(". '{}'\nexec {command}", self.state().display());
        let child = self.shell(&script, &log)?.spawn()?;
        let pid = child.id().ok_or_else(|| eyre!("`{command}` has ended"))?;
        let mut program = Program { command: command.to_owned(), child, log, _watchdog: watch(pid)? };
        let deadline = Instant::now() + SAYS;
        loop {
            let output = program.output();
            if output.contains(text) {
                self.programs.push(program);
                return Ok(output);
            }
            if let Some(status) = program.child.try_wait()? {
                bail!("`{command}` ended with {status}:\n{}", program.output());
            }
            ensure!(Instant::now() < deadline, "`{command}` did not say {text:?} within {SAYS:?}:\n{output}");
            sleep(LOOK).await;
        }
    }

    /// Whether a program of this command line still runs here.
    pub fn runs(&self, command: &str) -> bool {
        self.programs.iter().any(|program| program.command == command)
    }

    /// How many programs run here.
    pub fn programs(&self) -> usize {
        self.programs.len()
    }

    /// Presses Ctrl-C in the terminal that was opened last: what the program said after that.
    ///
    /// # Errors
    /// If none runs, or it does not end well.
    pub async fn interrupt(&mut self) -> Result<String> {
        let program = self.programs.pop().ok_or_else(|| eyre!("no program runs that Ctrl-C could end"))?;
        program.interrupt().await
    }

    /// The machine's home.
    pub fn home(&self) -> &Path {
        &self.home
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
