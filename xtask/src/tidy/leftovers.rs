//! Nothing unfinished is merged, and a test that does not run says why.

use crate::lexer::{Kind, Token};
use crate::source::Source;
use crate::tidy::Violation;
use crate::workspace::{File, Workspace};

/// Macros that stand for work not done.
const MACROS: [&str; 3] = ["todo", "unimplemented", "dbg"];
/// Words in comments that say the same.
const NOTES: [&str; 2] = ["TODO", "FIXME"];

/// Checks all Rust code, tests included.
pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    workspace.rust().flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Violation> {
    let source = Source::new(&file.text);
    let mut violations = Vec::new();
    for (index, token) in source.code.iter().enumerate() {
        if token.kind == Kind::Word && MACROS.contains(&token.text) && source.matches(index + 1, &["!"]) {
            violations.push(Violation::new(
                &file.path,
                token.line,
                format!("`{}!`", token.text),
                "finish it, or return an error that says what is missing",
            ));
        }
        if source.matches(index, &["#", "[", "ignore", "]"]) {
            violations.push(Violation::new(
                &file.path,
                token.line,
                "`#[ignore]` without a reason",
                "write `#[ignore = \"why, and how to run it\"]`",
            ));
        }
    }
    violations
        .extend(source.tokens.iter().filter(|token| token.is_comment()).flat_map(|token| notes(file, token)));
    violations
}

fn notes(file: &File, comment: &Token<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (offset, line) in comment.text.lines().enumerate() {
        let mut words = line.split(|c: char| !c.is_alphanumeric());
        if let Some(word) = words.find(|word| NOTES.contains(word)) {
            violations.push(Violation::new(
                &file.path,
                comment.line + offset,
                format!("`{word}` in a comment"),
                "do it now, or open an issue and describe here what holds today",
            ));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        check(&Workspace::of(&[("a/src/x.rs", text)])).into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn leftovers_are_found() {
        assert_eq!(
            lines("fn f() { todo!() }\nfn g() { unimplemented!(\"x\") }\nlet x = dbg!(y);"),
            [1, 2, 3]
        );
        assert_eq!(lines("// TODO: more\n/* a\n FIXME */\n/// TODO(me)"), [1, 3, 4]);
        assert_eq!(lines("#[test]\n#[ignore]\nfn f() {}"), [2]);
    }

    #[test]
    fn finished_code_passes() {
        const NONE: [usize; 0] = [];
        assert_eq!(lines("fn todo() {} let dbg = todo(); // TODOS are something else"), NONE);
        assert_eq!(lines("const T: &str = \"TODO todo!()\";"), NONE);
        assert_eq!(lines("#[test]\n#[ignore = \"needs a GPU\"]\nfn f() {}"), NONE);
    }
}
