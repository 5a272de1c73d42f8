//! Files are short and say at their head what they are.

use crate::lexer::{Kind, lex};
use crate::tidy::Violation;
use crate::workspace::Workspace;

/// The most lines of a Rust file.
const MAX_LINES: usize = 1_000;

/// Checks length and head of every Rust file.
pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in workspace.rust() {
        let lines = file.text.lines().count();
        if lines > MAX_LINES {
            violations.push(Violation::new(
                &file.path,
                MAX_LINES + 1,
                format!("{lines} lines, at most {MAX_LINES}"),
                "split it by concern: `parent.rs` beside `parent/`",
            ));
        }
        let headed = lex(&file.text).first().is_some_and(|token| token.kind == Kind::ModuleDoc);
        if !headed && !file.path.ends_with("build.rs") {
            violations.push(Violation::new(
                &file.path,
                1,
                "the file does not begin with `//!`",
                "say in one line what the module is for; in lib.rs, write the manual of the crate",
            ));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(&Workspace::of(&[(path, text)])).len()
    }

    #[test]
    fn a_head_is_required() {
        assert_eq!(count("a/src/lib.rs", "//! What it is.\nfn f() {}\n"), 0);
        assert_eq!(count("a/build.rs", "fn main() {}\n"), 0);
        assert_eq!(count("a/tests/x.rs", "fn f() {}\n"), 1);
        assert_eq!(count("a/src/x.rs", "/// Docs of f.\nfn f() {}\n//! late"), 1);
        assert_eq!(count("a/src/empty.rs", ""), 1);
    }

    #[test]
    fn a_thousand_lines_are_the_limit() {
        assert_eq!(count("a/src/x.rs", &format!("//! x\n{}", "//\n".repeat(MAX_LINES - 1))), 0);
        assert_eq!(count("a/src/x.rs", &format!("//! x\n{}", "//\n".repeat(MAX_LINES))), 1);
    }
}
