//! The README's crate map is the tree.

use crate::map::{self, BEGIN, END, README};
use crate::tidy::Violation;
use crate::workspace::Workspace;

/// Compares the map in the README with the one that the manifests give.
pub(crate) fn check(workspace: &Workspace) -> Vec<Violation> {
    let violation = |line, found: String, remedy: String| vec![Violation::new(README, line, found, remedy)];
    let Some(readme) = workspace.file(README) else {
        let remedy = format!("write one that contains `{BEGIN}` and `{END}`, then run `cargo xtask map`");
        return violation(1, format!("there is no {README}"), remedy);
    };
    match map::split(&readme.text) {
        Err(message) => violation(1, message, "add them, then run `cargo xtask map`".to_owned()),
        Ok((_, old, _, line)) if old != map::framed(workspace) => {
            let remedy = "run `cargo xtask map`".to_owned();
            violation(line, "the crate map differs from the tree".to_owned(), remedy)
        }
        Ok(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRATE: (&str, &str) =
        ("protocol/a/Cargo.toml", "[package]\nname = \"freeway-a\"\ndescription = \"first\"\n");
    const ROOT: (&str, &str) = ("Cargo.toml", "[workspace]\nmembers = [\"protocol/a\"]\n");

    #[test]
    fn the_generated_map_passes_and_any_other_fails() {
        let map = map::framed(&Workspace::of(&[ROOT, CRATE]));
        let readme = format!("# Freeway\n{BEGIN}{map}{END}\nmore\n");
        assert_eq!(check(&Workspace::of(&[ROOT, CRATE, (README, &readme)])), []);
        let stale = readme.replace("first", "second");
        let found = check(&Workspace::of(&[ROOT, CRATE, (README, &stale)]));
        assert_eq!((found.len(), found[0].line), (1, 2));
    }

    #[test]
    fn a_readme_with_markers_is_required() {
        assert_eq!(check(&Workspace::of(&[ROOT, CRATE])).len(), 1);
        assert_eq!(check(&Workspace::of(&[ROOT, CRATE, (README, "# Freeway\n")])).len(), 1);
    }
}
