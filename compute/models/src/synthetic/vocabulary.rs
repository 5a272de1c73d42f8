//! A small byte-level vocabulary: every text has tokens, and some words are short.

use serde_json::{Map, json};

/// Begins a text.
pub(super) const BOS: &str = "<|begin|>";
/// Begins a message.
const MESSAGE: &str = "<|im_start|>";
/// Ends an answer.
pub(super) const EOS: &str = "<|im_end|>";
/// Special tokens, at the end of the vocabulary.
const SPECIALS: [&str; 3] = [BOS, MESSAGE, EOS];
/// Pairs that become one token, in the alphabet of byte-level vocabularies, where `Ġ` is a space.
const MERGES: [(&str, &str); 24] = [
    ("Ġ", "t"),
    ("h", "e"),
    ("Ġt", "he"),
    ("i", "n"),
    ("Ġ", "a"),
    ("e", "r"),
    ("o", "n"),
    ("r", "e"),
    ("Ġ", "s"),
    ("a", "t"),
    ("o", "r"),
    ("e", "n"),
    ("Ġ", "w"),
    ("Ġ", "c"),
    ("i", "t"),
    ("i", "s"),
    ("a", "n"),
    ("Ġa", "n"),
    ("Ġan", "d"),
    ("e", "s"),
    ("in", "g"),
    ("l", "l"),
    ("o", "u"),
    ("Ġ", "o"),
];
/// Tokens that every vocabulary has.
pub(super) const LEAST: u32 = (256 + MERGES.len() + SPECIALS.len()) as u32;

/// The chat template of synthetic models.
pub const CHAT_TEMPLATE: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// A token and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Special,
    /// Fills the vocabulary; no text has it.
    Unused,
}

/// The token that begins a text.
pub(super) const fn bos(vocabulary: u32) -> u32 {
    vocabulary - 3
}

/// The token that ends an answer.
pub(super) const fn eos(vocabulary: u32) -> u32 {
    vocabulary - 1
}

/// The character that stands for a byte: itself where it is visible, one from 256 on where not.
fn letter(byte: u8) -> char {
    let visible = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if visible(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&byte| !visible(byte)).count() as u32;
    char::from_u32(256 + before).expect("the letters from 256 on are characters")
}

/// All tokens in order.
pub(super) fn tokens(vocabulary: u32) -> Vec<(String, Kind)> {
    assert!(vocabulary >= LEAST, "a vocabulary of {vocabulary}: at least {LEAST} are needed");
    let mut tokens: Vec<_> = (0..=255).map(|byte| (letter(byte).to_string(), Kind::Normal)).collect();
    tokens.extend(MERGES.map(|(left, right)| (format!("{left}{right}"), Kind::Normal)));
    let unused = vocabulary as usize - SPECIALS.len() - tokens.len();
    tokens.extend((0..unused).map(|number| (format!("<|unused-{number}|>"), Kind::Unused)));
    tokens.extend(SPECIALS.map(|token| (token.to_owned(), Kind::Special)));
    tokens
}

/// All merges in order, as GGUF has them.
pub(super) fn merges() -> impl ExactSizeIterator<Item = String> {
    MERGES.into_iter().map(|(left, right)| format!("{left} {right}"))
}

/// The `tokenizer.json`.
pub(super) fn json(vocabulary: u32) -> String {
    let tokens = tokens(vocabulary);
    let vocab: Map<_, _> =
        tokens.iter().zip(0..).map(|((token, _), id)| (token.clone(), u32::into(id))).collect();
    let special = |((token, kind), id): (&(String, Kind), u32)| {
        (*kind == Kind::Special).then(|| {
            json!({
                "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true,
            })
        })
    };
    let added: Vec<_> = tokens.iter().zip(0..).filter_map(special).collect();
    let merges: Vec<_> = MERGES.iter().map(|(left, right)| json!([left, right])).collect();
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab, "merges": merges,
        },
    })
    .to_string()
}
