//! The reader: does the steps of pages on machines.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use eyre::{Result, WrapErr, bail, ensure, eyre};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::machine::{Machine, Switch};
use super::page::{Action, How, Page, Step};
use super::shown::first_missing;
use super::values::Values;
use crate::log::{self, Secrets};

/// How long a command is given again until it shows what a page says.
const UNTIL: Duration = Duration::from_secs(420);
/// After so long in vain it goes back to the command before once more: an answer that nobody checked in time, as may be on
/// a busy machine, is never checked, and another one is asked for.
const BACK: Duration = Duration::from_secs(90);
/// The rest between two tries.
const REST: Duration = Duration::from_millis(500);
/// The network that pages take for granted, and what it says last when it is up.
const NETWORK: (&str, &str) = ("freeway up", "the next `freeway up` goes on from here");
/// The machine on which it runs.
const NETWORK_MACHINE: char = 'a';

/// Somebody who reads pages and does what they say.
#[derive(Debug)]
pub struct Reader {
    // Before the folder: programs end before their files go.
    machines: BTreeMap<char, Machine>,
    switch: Switch,
    values: Values,
    /// All lines that `freeway up` printed, without blanks around them.
    printed: BTreeSet<String>,
    not_run: Vec<String>,
    /// The last command that was done once or again and again, and its machine.
    before: Option<(char, String)>,
    /// Whether a network was started beside a page. It goes on for the pages after it.
    network: bool,
    folder: TempDir,
}

impl Reader {
    /// A reader with new machines.
    ///
    /// # Errors
    /// If there is no room for files.
    #[allow(clippy::print_stderr, reason = "a test tells how it runs")]
    pub async fn new() -> Result<Self> {
        let (switch, error) = Switch::new().await;
        if let Some(error) = error {
            eprintln!("pages are read without network namespaces ({error:#}): default ports must be free");
        }
        Ok(Self {
            machines: BTreeMap::new(),
            switch,
            values: Values::default(),
            printed: BTreeSet::new(),
            not_run: Vec::new(),
            before: None,
            network: false,
            folder: tempfile::tempdir()?,
        })
    }

    /// Whether its machines have networks of their own. Without them there is only one machine.
    pub const fn isolates(&self) -> bool {
        self.switch.isolates()
    }

    /// Blocks that were not done, each with its place and reason.
    pub fn not_run(&self) -> &[String] {
        &self.not_run
    }

    /// Does what a page says, and then ends what the page started.
    ///
    /// # Errors
    /// The first step that does not go as the page says, with its place and what came instead.
    pub async fn read(&mut self, name: &str, text: &str) -> Result<()> {
        let page = Page::parse(text).wrap_err_with(|| name.to_owned())?;
        self.before = None;
        for machine in self.machines.values_mut() {
            machine.begin(name)?;
        }
        for step in &page.steps {
            let place = format!("{name}:{}", step.line);
            let another = step.machine != NETWORK_MACHINE && !self.switch.isolates();
            let reason = match &step.how {
                How::Not(reason) => Some(reason.as_str()),
                _ => another.then_some("another machine needs a network namespace"),
            };
            if let Some(reason) = reason {
                let told = format!("{name}:{}: {reason}", step.block);
                if self.not_run.last() != Some(&told) {
                    self.not_run.push(told);
                }
                continue;
            }
            if step.beside_network {
                self.network(name).await.wrap_err_with(|| place.clone())?;
            }
            self.step(name, step).await.wrap_err_with(|| place)?;
        }
        for (name, machine) in &mut self.machines {
            while machine.programs() > usize::from(self.network && *name == NETWORK_MACHINE) {
                machine.interrupt().await?;
            }
        }
        Ok(())
    }

    /// Ends all programs and searches what was written for panics.
    ///
    /// # Errors
    /// If one does not end well, or a log tells of a panic.
    pub async fn close(mut self) -> Result<()> {
        for machine in self.machines.values_mut() {
            while machine.programs() > 0 {
                machine.interrupt().await?;
            }
        }
        let faults = log::faults_below(self.folder.path(), &Secrets::default());
        ensure!(faults.is_empty(), "{}", faults.join("\n"));
        Ok(())
    }

    async fn machine(&mut self, page: &str, name: char) -> Result<&mut Machine> {
        if !self.machines.contains_key(&name) {
            let mut machine = Machine::new(&self.switch, name, self.folder.path()).await?;
            machine.begin(page)?;
            self.machines.insert(name, machine);
        }
        self.machines.get_mut(&name).ok_or_else(|| eyre!("no machine {name}"))
    }

    /// Makes sure that a network runs.
    async fn network(&mut self, page: &str) -> Result<()> {
        let (command, text) = NETWORK;
        let machine = self.machine(page, NETWORK_MACHINE).await?;
        if !machine.runs(command) {
            let output = machine.start(command, text).await?;
            self.network = true;
            self.learn(&output);
        }
        Ok(())
    }

    fn learn(&mut self, output: &str) {
        self.values.learn(output);
        self.printed.extend(output.lines().map(|line| line.trim().to_owned()));
    }

    fn fill(&self, text: &str) -> Result<String> {
        self.values.fill(text).map_err(|word| eyre!("nothing printed so far can stand for {word}"))
    }

    async fn step(&mut self, page: &str, step: &Step) -> Result<()> {
        let output = match &step.action {
            Action::Command(command) => {
                let command = self.fill(command)?;
                let output = self.command(page, step, &command).await?;
                if matches!(step.how, How::Once | How::Until(_)) {
                    self.before = Some((step.machine, command));
                }
                output
            }
            Action::Interrupt => self.machine(page, step.machine).await?.interrupt().await?,
            Action::Code { language, text } => {
                let text = self.fill(text)?;
                return self.code(page, step, language, &text).await;
            }
        };
        self.learn(&output);
        match first_missing(&step.shown, &output) {
            None => Ok(()),
            Some(line) => bail!("the page shows\n    {line}\nand what came was\n{output}"),
        }
    }

    /// Does a command: what it printed.
    async fn command(&mut self, page: &str, step: &Step, command: &str) -> Result<String> {
        let before = self.before.clone().filter(|(machine, _)| *machine == step.machine);
        let machine = self.machine(page, step.machine).await?;
        if let How::Background(text) = &step.how {
            return machine.start(command.split(" #").next().unwrap_or_default().trim(), text).await;
        }
        let deadline = Instant::now() + UNTIL;
        let mut back = Instant::now() + BACK;
        loop {
            if let Some((_, before)) = before.as_ref().filter(|_| Instant::now() > back) {
                machine.run(before).await?;
                back = Instant::now() + BACK;
            }
            let said = machine.run(command).await?;
            let output = said.output;
            match &step.how {
                How::Until(text) => {
                    if said.status.success() && output.contains(text) {
                        return Ok(output);
                    }
                    ensure!(
                        Instant::now() < deadline,
                        "`{command}` did not show {text:?} within {UNTIL:?}; at last:\n{output}"
                    );
                    sleep(REST).await;
                }
                How::Fails => {
                    ensure!(!said.status.success(), "`{command}` was to fail and did not:\n{output}");
                    return Ok(output);
                }
                How::Once | How::Background(_) | How::Not(_) => {
                    ensure!(said.status.success(), "`{command}` ended with {}:\n{output}", said.status);
                    return Ok(output);
                }
            }
        }
    }

    /// Reads what is no shell's: JSON must be JSON, Python without packages is run, and programs that need packages must
    /// be those that `freeway up` prints, which are tested with these packages elsewhere.
    async fn code(&mut self, page: &str, step: &Step, language: &str, text: &str) -> Result<()> {
        if language == "json" {
            let _: serde_json::Value = serde_json::from_str(text).wrap_err("not JSON")?;
        } else if language == "python" && !text.contains("openai") {
            let machine = self.machine(page, step.machine).await?;
            if !machine.run("command -v python3").await?.status.success() {
                self.not_run.push(format!("{page}:{}: there is no python3", step.line));
                return Ok(());
            }
            let file = machine.home().join("program.py");
            std::fs::write(&file, text)?;
            let said = machine.run(&format!("python3 '{}'", file.display())).await?;
            ensure!(said.status.success(), "the program ended with {}:\n{}", said.status, said.output);
        } else {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            for line in lines {
                ensure!(self.printed.contains(line), "`freeway up` prints no such line:\n    {line}");
            }
        }
        Ok(())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.folder.disable_cleanup(true);
        }
    }
}
