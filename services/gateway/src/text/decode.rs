//! Tokens into text, one at a time. What is given out never ends within a character, and never changes later.

use tokenizers::Tokenizer;

use super::TextModel;

/// A character has at most four bytes, so after so many tokens what is not a character will not become one.
const MAX_HELD_TOKENS: usize = 8;

/// The state of one choice.
#[derive(Clone, Debug)]
pub(crate) enum Decoder {
    /// Tokens stand for bytes: those of a character that is not complete.
    Bytes(Vec<u8>),
    /// The decoder looks at neighbours: tokens whose text is out, for context, and tokens whose text is not.
    Window { tokens: Vec<u32>, out: usize },
}

impl Decoder {
    pub(crate) fn new(model: &TextModel) -> Self {
        if model.byte_level { Self::Bytes(Vec::new()) } else { Self::Window { tokens: Vec::new(), out: 0 } }
    }

    /// The text that `id` completes.
    pub(crate) fn step(&mut self, model: &TextModel, id: u32) -> String {
        match self {
            Self::Bytes(held) => {
                if is_special(&model.tokenizer, id) {
                    return String::new();
                }
                held.extend(model.bytes(id));
                characters(held)
            }
            Self::Window { tokens, out } => {
                tokens.push(id);
                window(&model.tokenizer, tokens, out, false)
            }
        }
    }

    /// The text of what is held back, which is not a whole character.
    pub(crate) fn finish(&mut self, model: &TextModel) -> String {
        match self {
            Self::Bytes(held) => String::from_utf8_lossy(&core::mem::take(held)).into_owned(),
            Self::Window { tokens, out } => window(&model.tokenizer, tokens, out, true),
        }
    }
}

/// Takes whole characters out of `held`; bytes that can never be part of one become U+FFFD.
fn characters(held: &mut Vec<u8>) -> String {
    let mut text = String::new();
    let mut rest = held.as_slice();
    for chunk in held.utf8_chunks() {
        text.push_str(chunk.valid());
        rest = &rest[chunk.valid().len()..];
        let invalid = chunk.invalid();
        if !invalid.is_empty() {
            let last = invalid.len() == rest.len();
            let incomplete =
                last && core::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if incomplete {
                break;
            }
            text.push(char::REPLACEMENT_CHARACTER);
            rest = &rest[invalid.len()..];
        }
    }
    *held = rest.to_vec();
    text
}

/// Decodes old and new tokens together, as leading spaces depend on what stands before.
fn window(tokenizer: &Tokenizer, tokens: &mut Vec<u32>, out: &mut usize, finish: bool) -> String {
    let decode = |ids: &[u32]| tokenizer.decode(ids, true).unwrap_or_default();
    let (before, all) = (decode(&tokens[..*out]), decode(tokens));
    let held = tokens.len() - *out;
    let whole = !all.ends_with(char::REPLACEMENT_CHARACTER) || held >= MAX_HELD_TOKENS || finish;
    if !whole || all.len() <= before.len() {
        return String::new();
    }
    let text = all.get(before.len()..).unwrap_or_default().to_owned();
    // What was new is the context of what comes.
    tokens.drain(..*out);
    *out = tokens.len();
    text
}

fn is_special(tokenizer: &Tokenizer, id: u32) -> bool {
    tokenizer.get_added_vocabulary().get_added_tokens_decoder().get(&id).is_some_and(|token| token.special)
}

/// See [`TextModel::bytes`].
pub(crate) fn bytes(tokenizer: &Tokenizer, byte_level: bool, id: u32) -> Vec<u8> {
    if let Some(added) = tokenizer.get_added_vocabulary().get_added_tokens_decoder().get(&id) {
        return added.content.clone().into_bytes();
    }
    let Some(token) = tokenizer.id_to_token(id) else { return Vec::new() };
    if byte_level {
        let whole: Option<Vec<u8>> = token.chars().map(byte_of).collect();
        return whole.unwrap_or_else(|| token.into_bytes());
    }
    if let Some(byte) = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'))
        && let Ok(byte) = u8::from_str_radix(byte, 16)
    {
        return vec![byte];
    }
    token.replace('\u{2581}', " ").into_bytes()
}

/// The byte that a character of a byte-level vocabulary stands for: printable ones for themselves, the others are
/// moved up from 256 in their order.
fn byte_of(c: char) -> Option<u8> {
    const fn moved() -> [u8; 68] {
        let mut moved = [0; 68];
        let (mut byte, mut next) = (0usize, 0);
        while byte < 256 {
            if !printable(byte as u32) {
                moved[next] = byte as u8;
                next += 1;
            }
            byte += 1;
        }
        moved
    }
    const MOVED: [u8; 68] = moved();
    let code = c as u32;
    match code {
        0..=255 if printable(code) => Some(code as u8),
        256.. => MOVED.get(code as usize - 256).copied(),
        _ => None,
    }
}

const fn printable(code: u32) -> bool {
    matches!(code, 33..=126 | 161..=172 | 174..=255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_character() {
        let mut seen: Vec<u8> = (0..400).filter_map(char::from_u32).filter_map(byte_of).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..=255).collect::<Vec<u8>>());
        assert_eq!((byte_of('Ġ'), byte_of('Ċ'), byte_of(' ')), (Some(b' '), Some(b'\n'), None));
    }

    #[test]
    fn characters_come_out_whole() {
        let mut held = Vec::new();
        let mut text = String::new();
        for byte in "aé€😀b".bytes() {
            held.push(byte);
            text.push_str(&characters(&mut held));
            assert!(!text.contains(char::REPLACEMENT_CHARACTER));
        }
        assert_eq!((text.as_str(), held.len()), ("aé€😀b", 0));
        // What cannot become a character does not hold up the rest.
        let mut held = vec![0xff, b'a', 0xe2, b'b', 0xe2, 0x82];
        assert_eq!(characters(&mut held), "\u{fffd}a\u{fffd}b");
        assert_eq!(held, [0xe2, 0x82]);
    }
}
