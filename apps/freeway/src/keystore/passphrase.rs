//! Passphrases and the three places they come from.

use core::fmt;
use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::disk;

/// The environment variable with the passphrase of nodes that start unattended.
pub const ENVIRONMENT_VARIABLE: &str = "FREEWAY_PASSPHRASE";

/// Longest passphrase.
const MAX_BYTES: usize = 1024;
/// Shortest passphrase for a key that is being written. An older, shorter one still opens its key.
const MIN_NEW_CHARS: usize = 8;

/// A passphrase. Wiped when dropped; never shown.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes over a text, in the compatibility normal form (NFKD) that BIP-39 uses too: an `é` typed on one
    /// machine must be the same as an `é` typed on another.
    ///
    /// # Errors
    /// [`PassphraseError::Empty`]; [`PassphraseError::TooLong`].
    pub fn new(text: impl Into<String>) -> Result<Self, PassphraseError> {
        let text = Zeroizing::new(text.into());
        if text.is_empty() {
            return Err(PassphraseError::Empty);
        }
        // Both before and after: the normal form may be longer.
        let fits = |text: &str| if text.len() > MAX_BYTES { Err(PassphraseError::TooLong) } else { Ok(()) };
        fits(&text)?;
        let mut normal = Cow::Borrowed(text.as_str());
        bip39::Mnemonic::normalize_utf8_cow(&mut normal);
        let normal = Zeroizing::new(normal.into_owned());
        fits(&normal)?;
        Ok(Self(normal))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// Nothing between the quotes.
    #[error("the passphrase is empty; a key is not kept without one")]
    Empty,
    /// Longer than anybody types.
    #[error("the passphrase is longer than {MAX_BYTES} bytes; choose a shorter one")]
    TooLong,
    /// Too short for a new key.
    #[error(
        "the passphrase has fewer than {MIN_NEW_CHARS} characters; choose a longer one, for example four \
         random words"
    )]
    TooShort,
    /// The two entries differ.
    #[error("the two passphrases differ; nothing was written, try again")]
    Mismatch,
    /// The prompt was ended with Ctrl-C or Ctrl-D.
    #[error("no passphrase was entered; nothing was done")]
    Cancelled,
    /// Nobody can be asked, and nothing else was given.
    #[error(
        "a passphrase is needed and there is no terminal to ask at; give it in one of three ways:\n  \
         --passphrase-file FILE   its first line; the file must be readable by its owner only (chmod 600)\n  \
         {ENVIRONMENT_VARIABLE}       an environment variable\n  \
         a terminal               run the command in one, and it asks"
    )]
    NoTerminal(#[source] io::Error),
    /// The variable is set to nothing, which is nearly always a mistake in a unit file.
    #[error("{ENVIRONMENT_VARIABLE} is set but empty; set it to the passphrase, or unset it")]
    EmptyVariable,
    /// The variable is no text.
    #[error(
        "{ENVIRONMENT_VARIABLE} is not UTF-8 text; set it again, or put the passphrase into a file and pass \
         --passphrase-file"
    )]
    VariableNotText,
    /// The file begins with an empty line.
    #[error("the first line of {} is empty; write the passphrase there", .0.display())]
    EmptyFile(PathBuf),
    /// The file is no text, or its first line is too long.
    #[error(
        "the first line of {} is not a passphrase: it must be UTF-8 text of at most {MAX_BYTES} bytes",
        .0.display()
    )]
    FileNotText(PathBuf),
    /// Others can read the passphrase.
    #[error("others can read {0} (mode {mode:03o}); run: chmod 600 '{0}'", path.display())]
    UnsafeFile {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file cannot be read.
    #[error("cannot read the passphrase file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// Where passphrases come from.
#[derive(Clone, Debug)]
pub enum PassphraseSource {
    /// The first line of a file that only its owner can read.
    File(PathBuf),
    /// [`ENVIRONMENT_VARIABLE`]. Other programs of the same user can read it, so a file is better.
    Environment(Passphrase),
    /// Asked for at the terminal, without echo. A program should handle the interrupt signal before it asks:
    /// by default Ctrl-C at the prompt ends it before the echo is on again. With a handler, it is
    /// [`PassphraseError::Cancelled`].
    Terminal,
}

impl PassphraseSource {
    /// The source for this process: `file` if the user gave `--passphrase-file`, else the environment
    /// variable if it is set, else the terminal.
    ///
    /// # Errors
    /// As [`PassphraseSource::choose`].
    pub fn of_process(file: Option<PathBuf>) -> Result<Self, PassphraseError> {
        Self::choose(file, std::env::var_os(ENVIRONMENT_VARIABLE))
    }

    /// As [`PassphraseSource::of_process`], with the value of the variable given.
    ///
    /// # Errors
    /// [`PassphraseError::EmptyVariable`], [`PassphraseError::VariableNotText`] or
    /// [`PassphraseError::TooLong`] for a variable that is set and unusable: falling back to the terminal
    /// would hide the mistake.
    pub fn choose(file: Option<PathBuf>, variable: Option<OsString>) -> Result<Self, PassphraseError> {
        if let Some(file) = file {
            return Ok(Self::File(file));
        }
        let Some(variable) = variable else { return Ok(Self::Terminal) };
        let text = variable.into_string().map_err(|_| PassphraseError::VariableNotText)?;
        match Passphrase::new(text) {
            Err(PassphraseError::Empty) => Err(PassphraseError::EmptyVariable),
            passphrase => passphrase.map(Self::Environment),
        }
    }

    /// The passphrase of a key that exists. At a terminal, `prompt` is shown with a colon after it.
    ///
    /// # Errors
    /// Whatever kept it from being had.
    pub fn existing(&self, prompt: &str) -> Result<Passphrase, PassphraseError> {
        self.existing_with(prompt, &mut ask_at_terminal)
    }

    /// A passphrase for a key that is to be written: at least eight characters, and asked for twice at a
    /// terminal.
    ///
    /// # Errors
    /// [`PassphraseError::TooShort`], [`PassphraseError::Mismatch`], or whatever kept it from being had.
    pub fn new_passphrase(&self, prompt: &str) -> Result<Passphrase, PassphraseError> {
        self.new_with(prompt, &mut ask_at_terminal)
    }

    fn existing_with(&self, prompt: &str, ask: &mut Ask<'_>) -> Result<Passphrase, PassphraseError> {
        match self {
            Self::File(path) => read_file(path),
            Self::Environment(passphrase) => Ok(passphrase.clone()),
            Self::Terminal => Passphrase::new(ask(&format!("{prompt}: "))?),
        }
    }

    fn new_with(&self, prompt: &str, ask: &mut Ask<'_>) -> Result<Passphrase, PassphraseError> {
        let passphrase = self.existing_with(prompt, ask)?;
        if passphrase.as_str().chars().count() < MIN_NEW_CHARS {
            return Err(PassphraseError::TooShort);
        }
        if let Self::Terminal = self
            && Passphrase::new(ask(&format!("{prompt} (again): "))?)?.as_str() != passphrase.as_str()
        {
            return Err(PassphraseError::Mismatch);
        }
        Ok(passphrase)
    }
}

/// Shows a prompt and reads a line without echo.
type Ask<'a> = dyn FnMut(&str) -> Result<String, PassphraseError> + 'a;

fn ask_at_terminal(prompt: &str) -> Result<String, PassphraseError> {
    rpassword::prompt_password(prompt).map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof => PassphraseError::Cancelled,
        _ => PassphraseError::NoTerminal(error),
    })
}

/// The first line of a file, without its line ending.
fn read_file(path: &Path) -> Result<Passphrase, PassphraseError> {
    let fail = |source| PassphraseError::File { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(fail)?;
    // Of the open file: the name may mean another file in the next moment.
    let mode = disk::shared_mode(&file.metadata().map_err(fail)?);
    if let Some(mode) = mode {
        return Err(PassphraseError::UnsafeFile { path: path.to_owned(), mode });
    }
    // Two bytes more than the longest passphrase: room for a line ending.
    let limit = MAX_BYTES + 2;
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit + 1));
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(fail)?;
    let not_text = || PassphraseError::FileNotText(path.to_owned());
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = core::str::from_utf8(line).map_err(|_| not_text())?;
    Passphrase::new(text).map_err(|error| match error {
        PassphraseError::Empty => PassphraseError::EmptyFile(path.to_owned()),
        PassphraseError::TooLong => not_text(),
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(passphrase: Result<Passphrase, PassphraseError>) -> String {
        passphrase.unwrap().as_str().to_owned()
    }

    /// Answers prompts from a list.
    fn answers<'a>(list: &'a [&'a str]) -> impl FnMut(&str) -> Result<String, PassphraseError> + 'a {
        let mut list = list.iter();
        move |_| Ok((*list.next().unwrap()).to_owned())
    }

    fn file(content: &[u8], mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        file
    }

    #[test]
    fn debug_shows_nothing() {
        let source = PassphraseSource::Environment(Passphrase::new("hunter22").unwrap());
        assert_eq!(format!("{source:?}"), "Environment(Passphrase(..))");
    }

    #[test]
    fn file_before_variable_before_terminal() {
        let choose = |file: Option<&str>, variable: Option<&str>| {
            PassphraseSource::choose(file.map(PathBuf::from), variable.map(OsString::from))
        };
        assert!(matches!(choose(Some("f"), Some("v")), Ok(PassphraseSource::File(_))));
        assert!(matches!(choose(None, Some("v")), Ok(PassphraseSource::Environment(_))));
        assert!(matches!(choose(None, None), Ok(PassphraseSource::Terminal)));
        assert!(matches!(choose(None, Some("")), Err(PassphraseError::EmptyVariable)));
    }

    #[test]
    fn a_new_passphrase_is_asked_for_twice() {
        let new = |list: &[&str]| PassphraseSource::Terminal.new_with("New", &mut answers(list));
        assert_eq!(text(new(&["long enough", "long enough"])), "long enough");
        assert!(matches!(new(&["long enough", "Long enough"]), Err(PassphraseError::Mismatch)));
        assert!(matches!(new(&["short"]), Err(PassphraseError::TooShort)));
        assert!(matches!(new(&[""]), Err(PassphraseError::Empty)));
        assert_eq!(text(PassphraseSource::Terminal.existing_with("Old", &mut answers(&["x"]))), "x");
    }

    #[test]
    fn equal_letters_are_equal_passphrases() {
        assert_eq!(text(Passphrase::new("caf\u{e9}")), text(Passphrase::new("cafe\u{301}")));
    }

    #[test]
    fn the_length_is_bounded() {
        assert!(Passphrase::new("x".repeat(MAX_BYTES)).is_ok());
        assert!(matches!(Passphrase::new("x".repeat(MAX_BYTES + 1)), Err(PassphraseError::TooLong)));
        // One character that is eighteen in the normal form.
        assert!(matches!(Passphrase::new("\u{fdfa}".repeat(300)), Err(PassphraseError::TooLong)));
    }

    #[test]
    fn the_first_line_of_a_file_counts() {
        for (content, passphrase) in
            [("one\ntwo", "one"), ("one", "one"), ("one\r\n", "one"), (" a b \n", " a b ")]
        {
            let file = file(content.as_bytes(), 0o600);
            let source = PassphraseSource::File(file.path().to_owned());
            assert_eq!(text(source.existing("")), passphrase, "{content:?}");
        }
        let longest = "x".repeat(MAX_BYTES);
        let read = |content: &[u8]| read_file(file(content, 0o600).path());
        assert_eq!(text(read(format!("{longest}\r\nmore").as_bytes())), longest);
        assert!(matches!(read(format!("{longest}x").as_bytes()), Err(PassphraseError::FileNotText(_))));
        assert!(matches!(read(&vec![b'x'; 1 << 20]), Err(PassphraseError::FileNotText(_))));
        assert!(matches!(read(b"\xff\xfe"), Err(PassphraseError::FileNotText(_))));
        assert!(matches!(read(b"\nsecond"), Err(PassphraseError::EmptyFile(_))));
        assert!(matches!(read(b""), Err(PassphraseError::EmptyFile(_))));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read_file(Path::new("/no/such/file")).unwrap_err().to_string();
        assert!(error.contains("/no/such/file"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused() {
        for mode in [0o644, 0o640, 0o604, 0o660, 0o666] {
            let file = file(b"passphrase\n", mode);
            let error = read_file(file.path()).unwrap_err();
            assert!(matches!(error, PassphraseError::UnsafeFile { mode: found, .. } if found == mode));
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        for mode in [0o600, 0o400] {
            assert!(read_file(file(b"passphrase\n", mode).path()).is_ok());
        }
    }

    #[test]
    fn without_a_terminal_the_three_ways_are_named() {
        let mut nobody = |_: &str| Err(PassphraseError::NoTerminal(io::ErrorKind::NotFound.into()));
        let error = PassphraseSource::Terminal.existing_with("", &mut nobody).unwrap_err().to_string();
        for way in ["--passphrase-file", ENVIRONMENT_VARIABLE, "terminal"] {
            assert!(error.contains(way), "{error}");
        }
    }
}
