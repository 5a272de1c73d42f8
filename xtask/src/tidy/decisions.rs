//! Decisions are named `NNN-title.md`, each number once.

use std::collections::BTreeMap;

use crate::tidy::Violation;
use crate::workspace::Workspace;

const FOLDER: &str = "docs/decisions/";

/// Checks the names of all decisions.
pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut numbers: BTreeMap<&str, &str> = BTreeMap::new();
    for file in &workspace.files {
        let Some(name) = file.path.strip_prefix(FOLDER) else { continue };
        match number(name) {
            None => violations.push(Violation::new(
                &file.path,
                1,
                format!("`{name}` is not named NNN-title.md"),
                "three digits, then words in lower case joined by `-`",
            )),
            Some(number) => {
                if let Some(other) = numbers.insert(number, name) {
                    violations.push(Violation::new(
                        &file.path,
                        1,
                        format!("`{name}` and `{other}` have the same number"),
                        "take the next free number: others refer to a decision by it",
                    ));
                }
            }
        }
    }
    violations
}

/// The number of a well-formed name.
fn number(name: &str) -> Option<&str> {
    let (number, title) = name.strip_suffix(".md")?.split_once('-')?;
    let digits = number.len() == 3 && number.bytes().all(|b| b.is_ascii_digit());
    let words = title
        .split('-')
        .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
    (digits && words).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(paths: &[&str]) -> usize {
        let files: Vec<_> = paths.iter().map(|path| (*path, "")).collect();
        check(&Workspace::of(&files)).len()
    }

    #[test]
    fn names_have_a_number_and_a_title() {
        assert_eq!(
            count(&["docs/decisions/001-one.md", "docs/decisions/010-two-words-2.md", "docs/other.md"]),
            0
        );
        for bad in ["1-x.md", "001_x.md", "001-X.md", "001-.md", "001-x.txt", "x.md", "001-a--b.md"] {
            assert_eq!(count(&[&format!("docs/decisions/{bad}")]), 1, "{bad}");
        }
    }

    #[test]
    fn a_number_is_used_once() {
        assert_eq!(count(&["docs/decisions/001-one.md", "docs/decisions/001-two.md"]), 1);
    }
}
