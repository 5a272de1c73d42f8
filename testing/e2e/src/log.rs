//! What no log may contain.

use std::path::{Path, PathBuf};

use freeway_primitives::SecretKey;

/// Texts that must never be written anywhere but where they belong.
#[derive(Clone, Default)]
pub struct Secrets(Vec<(String, String)>);

impl core::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// Adds a text.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.0.push((name.into(), text.into()));
    }

    /// Adds a key's seed, in the form in which it would be printed.
    pub fn add_key(&mut self, name: &str, key: &SecretKey) {
        self.add(name, hex::encode(key.seed()));
    }
}

/// What is wrong with a log, if anything is.
pub fn faults(text: &str, secrets: &Secrets) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(line) = text.lines().find(|line| line.contains("panicked") || line.contains("met a defect")) {
        faults.push(format!("a panic: {line}"));
    }
    let lower = text.to_lowercase();
    for (name, secret) in &secrets.0 {
        if text.contains(secret) || lower.contains(&secret.to_lowercase()) {
            // Without the line: this text is itself printed.
            faults.push(format!("{name} is written in the clear"));
        }
    }
    faults
}

/// What is wrong with the logs below a folder (files that end in `.log`).
pub fn faults_below(folder: &Path, secrets: &Secrets) -> Vec<String> {
    let mut found = Vec::new();
    for path in logs_below(folder) {
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned();
        found.extend(faults(&text, secrets).into_iter().map(|fault| format!("{}: {fault}", path.display())));
    }
    found
}

/// The last lines of the logs below a folder, for somebody who looks into a failure.
pub fn tails_below(folder: &Path, lines: usize) -> String {
    let mut text = String::new();
    for path in logs_below(folder) {
        let log = String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned();
        let all: Vec<&str> = log.lines().collect();
        text.push_str(&format!("--- {}\n", path.display()));
        for line in &all[all.len().saturating_sub(lines)..] {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

fn logs_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut logs = Vec::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            logs.extend(logs_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "log") {
            logs.push(path);
        }
    }
    logs.sort();
    logs
}

/// Ends the life of a test's folder: a failure keeps it and shows the ends of its logs; otherwise the logs are
/// searched, and a fault there is a failure too.
pub(crate) fn close(folder: &mut tempfile::TempDir, secrets: &Secrets) {
    use std::io::Write;
    const SHOWN: usize = 12;
    let failing = std::thread::panicking();
    let faults = faults_below(folder.path(), secrets);
    if failing || !faults.is_empty() {
        folder.disable_cleanup(true);
        // The harness of tests shows what a failing test writes there.
        let _ = writeln!(
            std::io::stderr(),
            "kept for a look: {}\n{}",
            folder.path().display(),
            tails_below(folder.path(), SHOWN)
        );
    }
    assert!(failing || faults.is_empty(), "{}", faults.join("\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_and_secrets_are_found_and_not_repeated() {
        let mut secrets = Secrets::default();
        let key = SecretKey::from_seed([0xab; 32]);
        secrets.add_key("seed", &key);
        secrets.add("passphrase", "open sesame");
        assert!(faults("all is well\n", &secrets).is_empty());
        let found = faults("thread 'main' panicked at x\nkey ABABABAB", &secrets);
        assert_eq!(found.len(), 1);
        let seed = hex::encode([0xab; 32]).to_uppercase();
        let found = faults(&format!("{seed}\nopen sesame\n"), &secrets);
        assert_eq!(found.len(), 2);
        assert!(!found.join("").contains("sesame"));
    }
}
