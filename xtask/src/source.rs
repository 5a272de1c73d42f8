//! A Rust file as rules see it: tokens, and which of them exist only in tests.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::lexer::{Kind, Token, lex};

/// The tokens of one Rust file.
pub(crate) struct Source<'a> {
    /// Every token.
    pub(crate) tokens: Vec<Token<'a>>,
    /// The tokens without comments.
    pub(crate) code: Vec<Token<'a>>,
    /// Ranges of `code` that are compiled only for tests.
    tests: Vec<Range<usize>>,
}

impl<'a> Source<'a> {
    /// Reads a file's text.
    pub(crate) fn new(text: &'a str) -> Self {
        let tokens = lex(text);
        let code: Vec<_> = tokens.iter().filter(|token| !token.is_comment()).copied().collect();
        let tests = test_ranges(&code);
        Self { tokens, code, tests }
    }

    /// Whether the token at `index` of [`Source::code`] is compiled only for tests.
    pub(crate) fn is_test(&self, index: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&index))
    }

    /// The code token at `index`, if there is one.
    pub(crate) fn at(&self, index: usize) -> Option<&Token<'a>> {
        self.code.get(index)
    }

    /// Whether the tokens from `index` on are exactly these words and signs.
    pub(crate) fn matches(&self, index: usize, texts: &[&str]) -> bool {
        texts.iter().enumerate().all(|(offset, text)| {
            self.at(index + offset)
                .is_some_and(|token| matches!(token.kind, Kind::Word | Kind::Punct) && token.text == *text)
        })
    }

    /// Names of the modules declared `#[cfg(test)] mod name;`, whose code lies in files of their own.
    pub(crate) fn test_modules(&self) -> BTreeSet<&'a str> {
        let declared = |index: &usize| {
            self.matches(*index, &["mod"]) && self.at(index + 2).is_some_and(|token| token.is_punct(';'))
        };
        self.tests
            .iter()
            .flat_map(Clone::clone)
            .filter(declared)
            .filter_map(|index| Some(self.at(index + 1)?.text))
            .collect()
    }
}

/// The index after the bracket that closes the one at `open`.
fn after_group(code: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0usize;
    for (index, token) in code.iter().enumerate().skip(open) {
        if token.kind == Kind::Punct {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if depth == 0 {
            return index + 1;
        }
    }
    code.len()
}

/// The ranges under `#[cfg(test)]` and `#[test]`, attribute included.
fn test_ranges(code: &[Token<'_>]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut index = 0;
    while index < code.len() {
        let Some((inner, open)) = attribute(code, index) else {
            index += 1;
            continue;
        };
        let end = after_group(code, open);
        if !is_test_attribute(&code[open..end]) {
            index = end;
        } else if inner {
            return std::iter::once(0..code.len()).collect();
        } else {
            let item = after_item(code, end);
            ranges.push(index..item);
            index = item;
        }
    }
    ranges
}

/// Whether an attribute starts at `index`: whether it is an inner one, and the index of its `[`.
fn attribute(code: &[Token<'_>], index: usize) -> Option<(bool, usize)> {
    if !code[index].is_punct('#') {
        return None;
    }
    let inner = code.get(index + 1)?.is_punct('!');
    let open = index + 1 + usize::from(inner);
    code.get(open)?.is_punct('[').then_some((inner, open))
}

/// `[test]`, `[cfg(test)]`, `[cfg(any(test, …))]`, but not `[cfg(not(test))]`.
fn is_test_attribute(attribute: &[Token<'_>]) -> bool {
    match attribute {
        [_, word, _] => word.is_word("test"),
        [_, word, rest @ ..] if word.is_word("cfg") => {
            let mut index = 0;
            while index < rest.len() {
                if rest[index].is_word("not") {
                    index = after_group(rest, index + 1);
                } else if rest[index].is_word("test") {
                    return true;
                } else {
                    index += 1;
                }
            }
            false
        }
        _ => false,
    }
}

/// The index after the item that begins at `from`, further attributes included.
fn after_item(code: &[Token<'_>], from: usize) -> usize {
    let mut index = from;
    while index < code.len() {
        match code[index].text {
            ";" => return index + 1,
            "{" => return after_group(code, index),
            "(" | "[" => index = after_group(code, index),
            _ => index += 1,
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of `text` outside tests.
    fn shipped(text: &str) -> Vec<&str> {
        let source = Source::new(text);
        let word = |(index, token): (usize, &Token<'_>)| token.kind == Kind::Word && !source.is_test(index);
        source.code.iter().enumerate().filter(|pair| word(*pair)).map(|(_, token)| token.text).collect()
    }

    #[test]
    fn test_items_end_where_they_end() {
        assert_eq!(shipped("a #[cfg(test)] mod tests { fn x() { y } } b"), ["a", "b"]);
        assert_eq!(shipped("#[cfg(test)] #[allow(z)] use x::{y, w}; b"), ["b"]);
        assert_eq!(shipped("#[cfg(all(test, unix))] const X: [u8; 2] = [1; 2]; b"), ["b"]);
        assert_eq!(shipped("#[test] fn x() {} b"), ["b"]);
        assert_eq!(shipped("#![cfg(test)] a b"), Vec::<&str>::new());
    }

    #[test]
    fn other_attributes_do_not_make_a_test() {
        assert_eq!(shipped("#[cfg(not(test))] a"), ["cfg", "not", "test", "a"]);
        assert_eq!(shipped("#[cfg(unix)] a"), ["cfg", "unix", "a"]);
        assert_eq!(shipped("#[must_use] a"), ["must_use", "a"]);
    }

    #[test]
    fn test_modules_in_other_files_are_found() {
        let source =
            Source::new("mod a; #[cfg(test)] mod tests; #[cfg(test)] pub(crate) mod fixtures; mod b;");
        assert_eq!(source.test_modules(), BTreeSet::from(["tests", "fixtures"]));
    }
}
