//! Rust tokens, just well enough to tell code from comments and text.
//!
//! Every rule about words in code goes through here, so that a word in a comment, a string or a character never
//! counts. The lexer accepts anything: on input that is not Rust its tokens mean nothing, but it ends.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A word: identifier or keyword. Raw identifiers come without their `r#`.
    Word,
    /// `'a`.
    Lifetime,
    /// An integer literal, or the number of a tuple's field.
    Integer,
    /// A float literal, with a point, an exponent or a float suffix.
    Float,
    /// A string or character literal of any form.
    Text,
    /// One character of punctuation.
    Punct,
    /// A comment, documentation of the next item included.
    Comment,
    /// `//!` or `/*!`: documentation of the enclosing module.
    ModuleDoc,
}

/// A token, its text and the line it begins on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// What it is.
    pub(crate) kind: Kind,
    /// Its text as written.
    pub(crate) text: &'a str,
    /// The line of its first character, from 1.
    pub(crate) line: usize,
}

impl Token<'_> {
    /// Whether this is the word `word`.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text == word
    }

    /// Whether this is the punctuation `sign`.
    pub(crate) fn is_punct(&self, sign: char) -> bool {
        self.kind == Kind::Punct && self.text.starts_with(sign)
    }

    /// Whether this is a comment of any kind.
    pub(crate) fn is_comment(&self) -> bool {
        matches!(self.kind, Kind::Comment | Kind::ModuleDoc)
    }
}

/// The tokens of `text`, comments included.
pub(crate) fn lex(text: &str) -> Vec<Token<'_>> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let (mut at, mut line) = (shebang(text), 1);
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            line += usize::from(first == '\n');
            at += first.len_utf8();
            continue;
        }
        let rest = &text[at..];
        let (kind, skip, len) = scan(rest, first, is_field_access(&tokens));
        tokens.push(Token { kind, text: &rest[skip..len], line });
        line += rest[..len].matches('\n').count();
        at += len;
    }
    tokens
}

/// Length of a leading `#!` line, which is not an inner attribute.
fn shebang(text: &str) -> usize {
    if text.starts_with("#!") && !text.starts_with("#![") { text.find('\n').unwrap_or(text.len()) } else { 0 }
}

/// Whether a number now is the name of a tuple's field: after `.`, but not after `..`.
fn is_field_access(tokens: &[Token<'_>]) -> bool {
    match tokens {
        [.., before, last] => last.is_punct('.') && !before.is_punct('.'),
        _ => false,
    }
}

/// The token at the start of `rest`: its kind, the bytes of a prefix to hide, its length.
fn scan(rest: &str, first: char, field: bool) -> (Kind, usize, usize) {
    if rest.starts_with("//") {
        let kind = if rest.starts_with("//!") { Kind::ModuleDoc } else { Kind::Comment };
        return (kind, 0, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        let kind = if rest.starts_with("/*!") { Kind::ModuleDoc } else { Kind::Comment };
        return (kind, 0, block_comment(rest));
    }
    match first {
        '"' => (Kind::Text, 0, quoted(rest, 0, '"')),
        '\'' => quote(rest),
        '0'..='9' => {
            let (kind, len) = number(rest, field);
            (kind, 0, len)
        }
        c if c.is_alphabetic() || c == '_' => word(rest),
        c => (Kind::Punct, 0, c.len_utf8()),
    }
}

/// Length of a block comment; they nest.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    let bytes = rest.as_bytes();
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'/', Some(b'*')) => (depth, at) = (depth + 1, at + 2),
            (b'*', Some(b'/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// Length up to and including the closing `end`, from the opening quote at `from`; `\` hides a character.
fn quoted(rest: &str, from: usize, end: char) -> usize {
    let mut hidden = false;
    for (at, c) in rest.char_indices().filter(|(at, _)| *at > from) {
        match c {
            _ if hidden => hidden = false,
            '\\' => hidden = true,
            c if c == end => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// A character literal or a lifetime.
fn quote(rest: &str) -> (Kind, usize, usize) {
    let mut after = rest.chars().skip(1);
    match (after.next(), after.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => (Kind::Text, 0, quoted(rest, 0, '\'')),
        _ => (Kind::Lifetime, 0, 1 + word_len(&rest[1..])),
    }
}

/// A word, or a literal that begins with letters: `r"…"`, `b'…'`, `cr#"…"#`, `r#type`.
fn word(rest: &str) -> (Kind, usize, usize) {
    let len = word_len(rest);
    let next = rest[len..].chars().next();
    match (&rest[..len], next) {
        ("r" | "br" | "cr", Some('"' | '#')) => {
            let hashes = rest[len..].bytes().take_while(|b| *b == b'#').count();
            let body = &rest[len + hashes..];
            if let Some(inside) = body.strip_prefix('"') {
                let close = format!("\"{}", "#".repeat(hashes));
                let end = inside.find(&close).map_or(rest.len(), |at| len + hashes + 1 + at + close.len());
                (Kind::Text, 0, end)
            } else if hashes == 1 && len == 1 && word_len(body) > 0 {
                (Kind::Word, len + 1, len + 1 + word_len(body))
            } else {
                (Kind::Word, 0, len)
            }
        }
        ("b" | "c", Some('"')) => (Kind::Text, 0, quoted(rest, len, '"')),
        ("b", Some('\'')) => (Kind::Text, 0, quoted(rest, len, '\'')),
        _ => (Kind::Word, 0, len),
    }
}

fn word_len(rest: &str) -> usize {
    rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
}

/// A number and its length. As the name of a field (`pair.0.1`) it is digits only.
fn number(rest: &str, field: bool) -> (Kind, usize) {
    let digits = |from: usize| {
        rest[from..].find(|c: char| !(c.is_ascii_digit() || c == '_')).map_or(rest.len(), |len| from + len)
    };
    if field {
        return (Kind::Integer, digits(0));
    }
    if ["0x", "0o", "0b"].iter().any(|prefix| rest.starts_with(prefix)) {
        return (Kind::Integer, word_len(rest));
    }
    let mut end = digits(0);
    let mut kind = Kind::Integer;
    if let Some(fraction) = rest[end..].strip_prefix('.')
        && !fraction.starts_with(|c: char| c == '.' || c == '_' || c.is_alphabetic())
    {
        (kind, end) = (Kind::Float, digits(end + 1));
    }
    if let Some(exponent) = rest[end..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        if exponent[sign..].starts_with(|c: char| c.is_ascii_digit()) {
            (kind, end) = (Kind::Float, digits(end + 1 + sign));
        }
    }
    let suffix = word_len(&rest[end..]);
    if rest[end..end + suffix].trim_start_matches('_').starts_with('f') {
        kind = Kind::Float;
    }
    (kind, end + suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        lex(text).into_iter().map(|token| (token.kind, token.text)).collect()
    }

    fn words(text: &str) -> Vec<&str> {
        lex(text).into_iter().filter(|token| token.kind == Kind::Word).map(|token| token.text).collect()
    }

    #[test]
    fn comments_strings_and_characters_hide_their_words() {
        assert_eq!(words("a // f64\nb /* f64 /* f64 */ f64 */ c"), ["a", "b", "c"]);
        assert_eq!(
            words(r##"a "f64 \" f64" b r#"f64 " f64"# c b"f64" c"f64" d br"f64" e"##),
            ["a", "b", "c", "d", "e"]
        );
        assert_eq!(words(r"a '\'' b '\u{1F600}' c 'x' d b'\n' e '\\' f"), ["a", "b", "c", "d", "e", "f"]);
        assert_eq!(words("r#type r#\"f64\"#"), ["type"]);
        assert_eq!(words("\"no end f64"), Vec::<&str>::new());
        assert_eq!(words("a /* no end f64"), ["a"]);
    }

    #[test]
    fn lifetimes_are_not_characters() {
        assert_eq!(kinds("<'a>"), [(Kind::Punct, "<"), (Kind::Lifetime, "'a"), (Kind::Punct, ">")]);
        assert_eq!(kinds("'a'"), [(Kind::Text, "'a'")]);
        assert_eq!(kinds("'ß'"), [(Kind::Text, "'ß'")]);
    }

    #[test]
    fn floats_are_told_from_ranges_fields_and_methods() {
        let floats = |text| lex(text).iter().filter(|token| token.kind == Kind::Float).count();
        for float in ["1.0", "1.", "1e9", "2.5E-3", "1f32", "1_000_f64", "0..1.5", "x = -0.5;", "1e+3_0"] {
            assert_eq!(floats(float), 1, "{float}");
        }
        for other in
            ["1", "0x1e5", "0b1", "0..10", "pair.0.1", "1.max(2)", "1u64", "0xf32", "x.0.1.2", "1_u8"]
        {
            assert_eq!(floats(other), 0, "{other}");
        }
    }

    #[test]
    fn lines_count_through_comments_and_strings() {
        let lines: Vec<_> = lex("a\n/* \n */ b \"\n\" c").iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 2, 3, 3, 4]);
    }

    #[test]
    fn module_docs_and_shebangs_are_known() {
        assert_eq!(kinds("//! head\n")[0].0, Kind::ModuleDoc);
        assert_eq!(kinds("/*! head */")[0].0, Kind::ModuleDoc);
        assert_eq!(kinds("/// item\n")[0].0, Kind::Comment);
        assert_eq!(kinds("#!/bin/x\n//! head")[0].0, Kind::ModuleDoc);
        assert_eq!(kinds("#![no_main]")[0], (Kind::Punct, "#"));
    }
}
