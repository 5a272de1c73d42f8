//! What the program says: results on stdout, everything else on stderr.
//!
//! With `--json`, stdout has one line of JSON for each result and stderr nothing but, at the end, the error, if
//! there is one. No other module writes to the terminal.

mod page;
pub(crate) mod time;

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};

use serde::Serialize;

use crate::hints::Problem;

pub use page::{Column, Page};

/// A result: for programs as it serialises, for people as it lays itself out.
pub trait Show: Serialize {
    /// Lays the result out for people.
    fn show(&self, page: &mut Page);
}

/// Which of all that could be said is said, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Output {
    /// For programs.
    pub json: bool,
    /// Results and errors only.
    pub quiet: bool,
    /// How much is said about what goes on: 0 nothing, 1 steps.
    pub verbose: u8,
}

impl Output {
    /// Prints a result on stdout.
    ///
    /// # Errors
    /// [`Problem::closed`] if nobody reads any more: the caller stops. Else what kept it from being written.
    pub fn result(&self, value: &impl Show) -> Result<(), Problem> {
        if self.json {
            let mut line = serde_json::to_string(value)
                .map_err(|error| Problem::new("defect", format!("the result has no JSON: {error}")))?;
            line.push('\n');
            return self.raw(line.as_bytes());
        }
        let mut page = Page::default();
        value.show(&mut page);
        self.raw(page.into_text().as_bytes())
    }

    /// Prints bytes on stdout as they are.
    ///
    /// # Errors
    /// As [`Output::result`].
    pub fn raw(&self, bytes: &[u8]) -> Result<(), Problem> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Problem::closed(),
            _ => Problem::new("output", format!("cannot write the result: {error}"))
                .hint("check where the output goes"),
        })
    }

    /// Prints a piece of text from elsewhere on stdout, without what could steer the terminal.
    ///
    /// # Errors
    /// As [`Output::result`].
    pub fn text(&self, text: &str) -> Result<(), Problem> {
        self.raw(page::printable(text).as_bytes())
    }

    /// Empties the terminal before a result that replaces the one before; does nothing elsewhere.
    ///
    /// # Errors
    /// As [`Output::result`].
    pub fn clear(&self) -> Result<(), Problem> {
        if self.json || !io::stdout().is_terminal() {
            return Ok(());
        }
        // Cursor to the top left, then erase all below: flickers less than erasing first.
        self.raw(b"\x1b[H\x1b[J")
    }

    /// Says something to people besides the result, on stderr.
    pub fn note(&self, text: impl Display) {
        if !self.json && !self.quiet {
            say(text);
        }
    }

    /// As [`Output::note`], dimmed at a terminal: what goes with a result and is not looked for.
    pub fn aside(&self, text: impl Display) {
        if self.json || self.quiet {
            return;
        }
        let text = page::printable(&text.to_string());
        if io::stderr().is_terminal() {
            // Only our own marks steer the terminal. If it is closed, there is nobody left to tell.
            let _ = writeln!(io::stderr().lock(), "\x1b[2m{text}\x1b[0m");
        } else {
            say(text);
        }
    }

    /// As [`Output::note`], about the steps in between; with `--verbose` only.
    pub fn detail(&self, text: impl Display) {
        if self.verbose > 0 {
            self.note(text);
        }
    }

    /// Prints an error on stderr.
    pub fn problem(&self, problem: &Problem) {
        if self.json { say(problem.to_json()) } else { say(problem) }
    }

    /// A line about a wait, for people at a terminal.
    pub fn progress(&self) -> Progress {
        Progress { shown: !self.json && !self.quiet && io::stderr().is_terminal(), used: false }
    }
}

/// Writes a line on stderr. If even that is closed, there is nobody left to tell.
fn say(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{}", page::printable(&text.to_string()));
}

/// A line on stderr that is rewritten in place, and gone when this is dropped.
#[derive(Debug)]
pub struct Progress {
    shown: bool,
    used: bool,
}

impl Progress {
    /// Whether somebody sees it.
    pub const fn is_shown(&self) -> bool {
        self.shown
    }

    /// Replaces the line.
    pub fn set(&mut self, text: impl Display) {
        if self.shown {
            self.used = true;
            self.write(&page::printable(&text.to_string()));
        }
    }

    fn write(&self, text: &str) {
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.used {
            self.write("");
        }
    }
}
