//! `unsafe` stands only in compute/kernels, each block under a `// SAFETY:` line.

use crate::lexer::{Kind, Token, lex};
use crate::tidy::Violation;
use crate::workspace::{File, Workspace};

/// The one crate that may contain unsafe code.
const HOME: &str = "compute/kernels/";

/// Checks all Rust code, tests included.
pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    workspace.rust().flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Violation> {
    let tokens = lex(&file.text);
    let unsafes = tokens.iter().enumerate().filter(|(_, token)| token.is_word("unsafe"));
    unsafes
        .filter_map(|(index, token)| {
            let (found, remedy) = if !file.path.starts_with(HOME) {
                ("`unsafe` outside compute/kernels", "move it behind a safe function there, or do without")
            } else if needs_argument(&tokens[index + 1..]) && !has_argument(&tokens[..index]) {
                (
                    "an `unsafe` block without a `// SAFETY:` line",
                    "write above the statement why every condition of the operation holds",
                )
            } else {
                return None;
            };
            Some(Violation::new(&file.path, token.line, found, remedy))
        })
        .collect()
}

/// Blocks and impls discharge a proof obligation; `unsafe fn` states one, under `# Safety` in its docs.
fn needs_argument(after: &[Token<'_>]) -> bool {
    after
        .iter()
        .find(|token| !token.is_comment())
        .is_some_and(|token| token.is_punct('{') || token.is_word("impl"))
}

/// Whether a `SAFETY:` comment stands between the start of the statement and the keyword.
fn has_argument(before: &[Token<'_>]) -> bool {
    before
        .iter()
        .rev()
        .take_while(|token| token.kind != Kind::Punct || !matches!(token.text, ";" | "{" | "}"))
        .any(|token| token.kind == Kind::Comment && token.text.contains("SAFETY:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(&Workspace::of(&[(path, text)])).len()
    }

    #[test]
    fn unsafe_is_rejected_outside_kernels() {
        assert_eq!(count("protocol/x/src/lib.rs", "// SAFETY: fine\nunsafe { f() }"), 1);
        assert_eq!(count("compute/sprint/src/lib.rs", "unsafe fn f() {}"), 1);
        assert_eq!(
            count("protocol/x/src/lib.rs", "// unsafe\n#![forbid(unsafe_code)] const T: &str = \"unsafe\";"),
            0
        );
    }

    #[test]
    fn blocks_in_kernels_need_an_argument() {
        let kernels = |text| count("compute/kernels/src/lib.rs", text);
        assert_eq!(kernels("fn f() {\n// SAFETY: checked above,\n// twice\nlet x = unsafe { g() };\n}"), 0);
        assert_eq!(kernels("// SAFETY: no state\nunsafe impl Send for X {}"), 0);
        assert_eq!(kernels("/// # Safety\nunsafe fn f() {}"), 0);
        assert_eq!(kernels("fn f() { let x = unsafe { g() }; }"), 1);
        assert_eq!(kernels("// SAFETY: of the first\nlet x = unsafe { g() };\nlet y = unsafe { g() };"), 1);
        assert_eq!(kernels("unsafe impl Send for X {}"), 1);
    }
}
