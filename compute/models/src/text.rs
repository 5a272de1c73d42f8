//! Texts of others in our messages, and numbers of bytes that people read.

/// Characters of a foreign text in a message, at most.
const SHOWN: usize = 80;

/// The beginning of a text that came from outside.
pub(crate) fn short(text: &str) -> &str {
    text.char_indices().nth(SHOWN).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(short("abc"), "abc");
        assert_eq!(short(&"é".repeat(100)), "é".repeat(80));
    }
}
