//! Golden vectors: one line per value, compared with a file that stands beside the tests.
//!
//! A line has the value's name; the hexadecimal encoding, or `blake3:` and its digest if it is longer than 400
//! bytes; and what is derived from the value (hash, identity, signature), or `-`. The digest is BLAKE3 in key
//! derivation mode under the context `freeway 1 golden vector`.

use std::fmt::{Display, Write as _};
use std::path::PathBuf;

use freeway_primitives::{Digest, Domain};

/// Longer encodings are written as a digest.
const LONGEST_SHOWN_BYTES: usize = 400;
const DOMAIN: Domain = Domain::new("freeway 1 golden vector");
/// Set to 1 when the tests are built, this variable makes them rewrite their files.
const UPDATE: Option<&str> = option_env!("FREEWAY_UPDATE_GOLDEN");

/// Vectors in order.
pub(crate) struct Vectors {
    package: &'static str,
    path: PathBuf,
    lines: Vec<String>,
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Vectors {
    /// No vectors yet, of `package`, whose file is `path`.
    pub(crate) fn new(package: &'static str, path: PathBuf) -> Self {
        Self { package, path, lines: Vec::new() }
    }

    /// Adds a value without derived parts.
    pub(crate) fn add(&mut self, name: impl Display, bytes: &[u8]) {
        self.add_with(name, bytes, "-");
    }

    /// Adds a value and what is derived from it.
    pub(crate) fn add_with(&mut self, name: impl Display, bytes: &[u8], derived: impl Display) {
        let shown = if bytes.len() > LONGEST_SHOWN_BYTES {
            format!("blake3:{}", Digest::of(DOMAIN, bytes))
        } else {
            hex(bytes)
        };
        let line = format!("{name} {shown} {derived}");
        assert_eq!(line.split_whitespace().count(), 3, "a part of the vector {name} is empty or has spaces");
        assert!(!self.lines.contains(&line), "the vector {name} is there already");
        self.lines.push(line);
    }

    /// Compares with the file.
    pub(crate) fn check(self) {
        let text = self.lines.join("\n") + "\n";
        if UPDATE == Some("1") {
            std::fs::write(&self.path, text).unwrap();
            return;
        }
        let known = std::fs::read_to_string(&self.path).unwrap_or_default();
        if known == text {
            return;
        }
        let known: Vec<_> = known.lines().collect();
        let at = (0..).find(|i| known.get(*i) != self.lines.get(*i).map(String::as_str).as_ref());
        let at = at.unwrap_or_default();
        let none = "(nothing)";
        panic!(
            "golden vectors differ at line {}\n  file: {}\n  now:  {}\n\
             A changed vector is a protocol change: old nodes no longer understand new ones, and old signatures \
             no longer verify; a vector that was only added is none. If that is meant:\n  \
             FREEWAY_UPDATE_GOLDEN=1 cargo test -p {} golden",
            at + 1,
            known.get(at).unwrap_or(&none),
            self.lines.get(at).map_or(none, String::as_str),
            self.package,
        );
    }
}
