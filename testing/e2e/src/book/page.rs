//! What a page asks its reader to do.

use eyre::{Result, bail, ensure, eyre};

/// The machine on which a block is done that does not name one.
const FIRST_MACHINE: char = 'a';

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where it stands in the page, from 1.
    pub line: usize,
    /// Where its block begins.
    pub block: usize,
    /// On which machine.
    pub machine: char,
    /// What it is.
    pub action: Action,
    /// How it is done.
    pub how: How,
    /// Whether a network of `freeway up` must run beside it.
    pub beside_network: bool,
    /// The output that the page shows.
    pub shown: Vec<String>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A command of a shell.
    Command(String),
    /// Ctrl-C, in the terminal of the latest program that still runs.
    Interrupt,
    /// Text of a language that is no shell's.
    Code {
        /// The language.
        language: String,
        /// The text.
        text: String,
    },
}

/// How a step is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// Once, and it must succeed.
    Once,
    /// In a terminal of its own; the reader goes on when this text has come.
    Background(String),
    /// Again and again, until its output has this text.
    Until(String),
    /// Once, and it must fail.
    Fails,
    /// Not at all, for this reason.
    Not(String),
}

/// A page: its steps in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The steps.
    pub steps: Vec<Step>,
}

/// What comments say about the next block.
#[derive(Clone, Debug)]
struct Steering {
    how: How,
    machine: char,
    beside_network: bool,
    /// The line of the first comment, if there was one.
    line: Option<usize>,
}

impl Default for Steering {
    fn default() -> Self {
        Self { how: How::Once, machine: FIRST_MACHINE, beside_network: false, line: None }
    }
}

impl Steering {
    /// Takes a line if it is a comment that steers.
    fn take(&mut self, number: usize, line: &str) -> Result<bool> {
        let Some(comment) = line.trim().strip_prefix("<!--") else { return Ok(false) };
        let comment = comment.trim();
        if !["run:", "not run:", "machine:"].iter().any(|start| comment.starts_with(start)) {
            return Ok(false);
        }
        let comment = comment
            .strip_suffix("-->")
            .ok_or_else(|| eyre!("line {number}: a comment of one line ends with -->"))?;
        let comment = comment.trim();
        self.line.get_or_insert(number);
        if let Some(reason) = comment.strip_prefix("not run:") {
            ensure!(!reason.trim().is_empty(), "line {number}: say why it is not run");
            self.how = How::Not(reason.trim().to_owned());
        } else if let Some(name) = comment.strip_prefix("machine:") {
            let mut name = name.trim().chars();
            let (Some(first @ 'a'..='z'), None) = (name.next(), name.next()) else {
                bail!("line {number}: a machine is one letter from a to z");
            };
            self.machine = first;
        } else {
            match comment.strip_prefix("run:").unwrap_or_default().trim() {
                "fails" => self.how = How::Fails,
                "beside freeway up" => self.beside_network = true,
                other => {
                    let quoted = |start| {
                        let text = other.strip_prefix(start)?.trim().strip_prefix('"')?.strip_suffix('"')?;
                        (!text.is_empty()).then(|| text.to_owned())
                    };
                    self.how = if let Some(text) = quoted("background until") {
                        How::Background(text)
                    } else if let Some(text) = quoted("until") {
                        How::Until(text)
                    } else {
                        bail!(
                            "line {number}: `{other}` steers nothing; the kinds are listed in testing/e2e/src/book.rs"
                        );
                    };
                }
            }
        }
        Ok(true)
    }
}

impl Page {
    /// Reads a page.
    ///
    /// # Errors
    /// If a block does not end, or a comment steers nothing.
    pub fn parse(text: &str) -> Result<Self> {
        let mut page = Self::default();
        let mut steering = Steering::default();
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        while let Some((number, line)) = lines.next() {
            if let Some(language) = line.trim_start().strip_prefix("```") {
                let mut block = Vec::new();
                loop {
                    let (at, line) =
                        lines.next().ok_or_else(|| eyre!("line {number}: the block does not end"))?;
                    if line.trim_start().starts_with("```") {
                        break;
                    }
                    block.push((at, line));
                }
                let steps = steps(number, language.trim(), &block, &std::mem::take(&mut steering))?;
                page.steps.extend(steps);
            } else if !steering.take(number, line)?
                && !line.trim().is_empty()
                && let Some(line) = steering.line
            {
                bail!("line {line}: no block follows this comment");
            }
        }
        if let Some(line) = steering.line {
            bail!("line {line}: no block follows this comment");
        }
        Ok(page)
    }
}

/// The steps of one block.
fn steps(number: usize, language: &str, block: &[(usize, &str)], steering: &Steering) -> Result<Vec<Step>> {
    let step = |line, action| Step {
        line,
        block: number,
        machine: steering.machine,
        action,
        how: steering.how.clone(),
        beside_network: steering.beside_network,
        shown: Vec::new(),
    };
    let mut steps: Vec<Step> = Vec::new();
    match language {
        "console" | "sh" => {
            let mut goes_on = false;
            for (line, text) in block {
                let begins = if language == "sh" { Some(*text) } else { text.strip_prefix("$ ") };
                match (begins, steps.last_mut()) {
                    (_, Some(Step { action: Action::Command(command), .. })) if goes_on => {
                        command.push('\n');
                        command.push_str(text);
                        goes_on = text.ends_with('\\');
                    }
                    (Some(command), _) => {
                        let blank = command.trim().is_empty() || command.trim_start().starts_with('#');
                        if !blank {
                            steps.push(step(*line, Action::Command(command.to_owned())));
                            goes_on = command.ends_with('\\');
                        }
                    }
                    (None, _) if *text == "^C" => steps.push(step(*line, Action::Interrupt)),
                    (None, Some(step)) => step.shown.push((*text).to_owned()),
                    (None, None) => {
                        bail!("line {line}: output without a command before it; commands begin with `$ `")
                    }
                }
            }
            ensure!(!steps.is_empty(), "line {number}: no command in a block of `{language}`");
        }
        "json" | "python" | "js" => {
            let text = block.iter().map(|(_, line)| format!("{line}\n")).collect();
            steps.push(step(number, Action::Code { language: language.to_owned(), text }));
        }
        _ if steering.line.is_some() => {
            bail!("line {number}: a block of `{language}` is not run, so nothing steers it")
        }
        _ => {}
    }
    let single = matches!(steering.how, How::Background(_) | How::Until(_) | How::Fails);
    ensure!(!single || steps.len() == 1, "line {number}: what is steered so must be one command");
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(text: &str) -> Vec<(char, String, How)> {
        let page = Page::parse(text).unwrap();
        let told = |step: Step| match step.action {
            Action::Command(command) => (step.machine, command, step.how),
            Action::Interrupt => (step.machine, "^C".to_owned(), step.how),
            Action::Code { language, .. } => (step.machine, language, step.how),
        };
        page.steps.into_iter().map(told).collect()
    }

    #[test]
    fn commands_and_their_output_are_told_apart() {
        let page = Page::parse("text\n```console\n$ one \\\n  more\nout 1\n\n$ two\n```\n").unwrap();
        assert_eq!(page.steps.len(), 2);
        assert_eq!(page.steps[0].action, Action::Command("one \\\n  more".to_owned()));
        assert_eq!(
            (page.steps[0].line, page.steps[0].shown.clone()),
            (3, vec!["out 1".to_owned(), String::new()])
        );
        assert!(page.steps[1].shown.is_empty());
    }

    #[test]
    fn every_line_of_a_shell_block_is_a_command() {
        let found = commands(
            "```sh\n# about it\nfreeway up   # starts\n\nfreeway status \\\n  --json\n```\n```toml\nx = 1\n```\n",
        );
        let found: Vec<_> = found.iter().map(|(_, command, _)| command.as_str()).collect();
        assert_eq!(found, ["freeway up   # starts", "freeway status \\\n  --json"]);
    }

    #[test]
    fn comments_steer_the_next_block_only() {
        let text = "<!-- run: background until \"is up\" -->\n<!-- machine: b -->\n\n```sh\nup\n```\n\
                    <!-- any comment -->\n```console\n$ x\n^C\nbye\n```\n<!-- not run: no time -->\n```json\n{}\n```\n\
                    <!-- run: until \"yes\" -->\n```sh\ny\n```\n<!-- run: fails -->\n```sh\nz\n```\n";
        let found = commands(text);
        assert_eq!(found[0], ('b', "up".to_owned(), How::Background("is up".to_owned())));
        assert_eq!(found[1], ('a', "x".to_owned(), How::Once));
        assert_eq!(found[2].1, "^C");
        assert_eq!(found[3].2, How::Not("no time".to_owned()));
        assert_eq!(found[4].2, How::Until("yes".to_owned()));
        assert_eq!(found[5].2, How::Fails);
    }

    #[test]
    fn what_steers_nothing_is_an_error() {
        for text in [
            "<!-- run: sometimes -->\n```sh\nx\n```\n",
            "<!-- run: until yes -->\n```sh\nx\n```\n",
            "<!-- not run: -->\n```sh\nx\n```\n",
            "<!-- machine: two -->\n```sh\nx\n```\n",
            "<!-- run: fails -->\ntext\n```sh\nx\n```\n",
            "<!-- run: fails -->\n",
            "<!-- run: fails -->\n```sh\nx\ny\n```\n",
            "<!-- run: fails -->\n```toml\nx = 1\n```\n",
            "```sh\nx\n",
            "```console\nno prompt\n```\n",
        ] {
            assert!(Page::parse(text).is_err(), "{text}");
        }
    }
}
