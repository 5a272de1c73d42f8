//! Errors for people: what went wrong, and what to do next.
//!
//! Errors in this project are sentences of one shape, "what is wrong; what to do", whichever crate they come
//! from. [`Problem::told`] takes such a sentence apart, so that the second half becomes the hint.

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use crate::keystore::{KeystoreError, MnemonicError, PassphraseError, PathError};

/// What separates the two halves of an error.
const THEN: &str = "; ";

/// How a run of the program ends when it does not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The reader of our output has gone: nobody is there to tell, and nothing is wrong.
    Closed,
    /// The request failed.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// Somebody pressed Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The exit code: 0 fine, 1 failed, 2 usage, 130 interrupted (128 and the number of the signal, as in
    /// every shell).
    pub const fn code(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    exit: Exit,
    code: String,
    message: String,
    hint: Option<String>,
}

/// An error as programs see it: `{"error":{"code","message","hint"}}`.
#[derive(Serialize)]
struct Wire<'a> {
    error: WireError<'a>,
}

#[derive(Serialize)]
struct WireError<'a> {
    code: &'a str,
    message: &'a str,
    hint: Option<&'a str>,
}

impl Problem {
    /// A request that failed. `code` is a stable name for programs.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, code: code.into(), message: message.into(), hint: None }
    }

    /// A command line that makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::new("usage", message) }
    }

    /// A request that failed, from a sentence "what is wrong; what to do".
    pub fn told(code: impl Into<String>, sentence: impl ToString) -> Self {
        let sentence = sentence.to_string();
        match sentence.split_once(THEN) {
            Some((message, hint)) => Self::new(code, message).hint(hint),
            None => Self::new(code, sentence),
        }
    }

    /// A file that cannot be read or written.
    pub fn file(action: &str, path: &Path, error: impl std::fmt::Display) -> Self {
        Self::new("file", format!("cannot {action} {}: {error}", path.display()))
            .hint("check the path and who may read and write there")
    }

    /// The reader of our output has gone.
    pub fn closed() -> Self {
        Self { exit: Exit::Closed, ..Self::new("closed", "nobody reads the output") }
    }

    /// Ctrl-C.
    pub fn interrupted() -> Self {
        Self { exit: Exit::Interrupted, ..Self::new("interrupted", "interrupted") }
    }

    /// Adds what to do next; replaces what was there.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what to do next if nothing says so yet.
    #[must_use]
    pub fn or_hint(self, hint: impl Into<String>) -> Self {
        if self.hint.is_some() { self } else { self.hint(hint) }
    }

    /// Adds one more thing to do next.
    #[must_use]
    pub fn and_hint(self, more: impl AsRef<str>) -> Self {
        let hint = self.hint.iter().map(String::as_str).chain([more.as_ref()]).collect::<Vec<_>>().join("\n");
        self.hint(hint)
    }

    /// The same with another message.
    #[must_use]
    pub fn saying(self, message: impl Into<String>) -> Self {
        Self { message: message.into(), ..self }
    }

    /// How the program ends.
    pub const fn exit(&self) -> Exit {
        self.exit
    }

    /// The stable name.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do next.
    pub fn what_next(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// As one line of JSON.
    pub fn to_json(&self) -> String {
        let error = WireError { code: &self.code, message: &self.message, hint: self.what_next() };
        // Strings under fixed names always serialise.
        serde_json::to_string(&Wire { error }).unwrap_or_default()
    }
}

impl std::fmt::Display for Problem {
    /// `error: ...`, and a line `  hint: ...` for each line of the hint.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "error: {}", self.message)?;
        self.hint.iter().flat_map(|hint| hint.lines()).try_for_each(|line| write!(f, "\n  hint: {line}"))
    }
}

impl std::error::Error for Problem {}

impl From<KeystoreError> for Problem {
    fn from(error: KeystoreError) -> Self {
        let code = match &error {
            KeystoreError::WrongPassphrase { .. } => "wrong_passphrase",
            KeystoreError::UnknownKey { .. } => "unknown_key",
            KeystoreError::NameTaken { .. } => "name_taken",
            KeystoreError::Name(_) => "invalid_name",
            KeystoreError::Address(_) => "invalid_address",
            KeystoreError::Damaged { .. } => "damaged_key",
            KeystoreError::UnsafePermissions { .. } => "unsafe_permissions",
            KeystoreError::DiskFull { .. } => "disk_full",
            KeystoreError::Io { .. } => "file",
            KeystoreError::Kdf(_) | KeystoreError::Randomness(_) | KeystoreError::Defect(_) => "keystore",
        };
        Self::told(code, error).or_hint("check the directory of keys, which --keys sets")
    }
}

impl From<PassphraseError> for Problem {
    fn from(error: PassphraseError) -> Self {
        let code = match &error {
            PassphraseError::Cancelled => return Self { message: error.to_string(), ..Self::interrupted() },
            PassphraseError::NoTerminal(_) => "no_terminal",
            PassphraseError::UnsafeFile { .. } => "unsafe_permissions",
            PassphraseError::File { .. } => "file",
            _ => "passphrase",
        };
        Self::told(code, error).or_hint("give it with --passphrase-file FILE, or in FREEWAY_PASSPHRASE")
    }
}

impl From<MnemonicError> for Problem {
    fn from(error: MnemonicError) -> Self {
        Self::told("invalid_words", error)
    }
}

impl From<PathError> for Problem {
    fn from(error: PathError) -> Self {
        Self::told("invalid_path", error)
    }
}

impl Problem {
    /// A mistake in the command line of `command`, from clap's own text: its first paragraph is the error, each
    /// `tip:` a hint; its usage line is left out, since the command's page of help says more.
    pub fn from_clap(error: &clap::Error, command: &str) -> Self {
        let text = error.render().to_string();
        let lines = || text.lines().map(str::trim);
        let paragraph: Vec<&str> = lines().take_while(|line| !line.is_empty()).collect();
        let sentence = paragraph.join(" ");
        let told = Self::told("usage", sentence.strip_prefix("error: ").unwrap_or(&sentence));
        let tips: Vec<&str> = lines().filter_map(|line| line.strip_prefix("tip: ")).collect();
        let page = format!("`{command} --help` shows how it is written");
        let hinted = tips.into_iter().fold(told, |problem, tip| problem.and_hint(tip)).and_hint(page);
        Self { exit: Exit::Usage, ..hinted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_an_error_and_a_hint() {
        let problem = Problem::told("x", "it is broken; mend it; then go on");
        assert_eq!(problem.to_string(), "error: it is broken\n  hint: mend it; then go on");
        assert_eq!(
            problem.to_json(),
            r#"{"error":{"code":"x","message":"it is broken","hint":"mend it; then go on"}}"#
        );
        let problem = Problem::told("x", "it is broken");
        assert_eq!(problem.to_json(), r#"{"error":{"code":"x","message":"it is broken","hint":null}}"#);
        assert_eq!(problem.or_hint("one\ntwo").to_string(), "error: it is broken\n  hint: one\n  hint: two");
    }

    #[test]
    fn exit_codes_are_those_of_the_manual() {
        let codes = [Exit::Closed, Exit::Failed, Exit::Usage, Exit::Interrupted].map(Exit::code);
        assert_eq!(codes, [0, 1, 2, 130]);
    }

    #[test]
    fn a_cancelled_prompt_is_an_interruption() {
        assert_eq!(Problem::from(PassphraseError::Cancelled).exit(), Exit::Interrupted);
        assert_eq!(Problem::from(PassphraseError::TooShort).exit(), Exit::Failed);
    }
}
