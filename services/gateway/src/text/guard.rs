//! Keeps the text of control tokens in messages from becoming control tokens. See [`crate::text`].

use serde_json::{Map, Value};
use tokenizers::Tokenizer;

use crate::error::ApiError;
use crate::wire::chat::Message;

/// Characters that Unicode keeps for inner use: one of them is the mark.
const MARKS: core::ops::RangeInclusive<char> = '\u{fdd0}'..='\u{fdef}';

/// The texts of a model's control tokens.
pub(crate) struct Guard {
    /// Each of at least two characters.
    controls: Vec<String>,
}

impl Guard {
    /// The special tokens of `tokenizer`, and `others`.
    pub(crate) fn new(tokenizer: &Tokenizer, others: impl Iterator<Item = u32>) -> Self {
        let added = tokenizer.get_added_vocabulary().get_added_tokens_decoder();
        let special = added.values().filter(|token| token.special).map(|token| token.content.clone());
        // Only what is found in texts at all: other tokens have to be spelt by the tokenizer's rules.
        let others = others.filter_map(|id| added.get(&id)).map(|token| token.content.clone());
        let mut controls: Vec<String> =
            special.chain(others).filter(|text| text.chars().nth(1).is_some()).collect();
        controls.sort_unstable();
        controls.dedup();
        Self { controls }
    }

    /// The mark to be used, if one is needed.
    pub(crate) fn mark<'a>(
        &self,
        texts: impl Iterator<Item = &'a str>,
        values: impl Iterator<Item = &'a Value>,
    ) -> Result<Option<char>, ApiError> {
        let mut needed = false;
        let mut used = [false; 32];
        let mut look = |text: &str| {
            needed = needed || self.controls.iter().any(|control| text.contains(control.as_str()));
            // All of them begin with this byte.
            if text.as_bytes().contains(&0xef) {
                for c in text.chars().filter(|c| MARKS.contains(c)) {
                    used[c as usize - *MARKS.start() as usize] = true;
                }
            }
        };
        texts.for_each(&mut look);
        values.for_each(|value| strings(value, &mut look));
        if !needed {
            return Ok(None);
        }
        let free = MARKS.zip(used).find_map(|(mark, used)| (!used).then_some(mark));
        free.map(Some).ok_or_else(|| {
            ApiError::field(
                "messages",
                "contain control tokens and all 32 noncharacters of U+FDD0; leave one out",
            )
        })
    }

    /// `message` with marks.
    pub(crate) fn marked(&self, message: &Message, mark: char) -> Message {
        let mut marked = message.clone();
        let texts = [&mut marked.content, &mut marked.name, &mut marked.answers];
        for text in texts.into_iter().flatten() {
            *text = self.broken(text, mark);
        }
        for call in &mut marked.calls {
            call.id = self.broken(&call.id, mark);
            call.name = self.broken(&call.name, mark);
            call.arguments = self.marked_value(&call.arguments, mark);
        }
        marked
    }

    /// `value` with marks in all its strings.
    pub(crate) fn marked_value(&self, value: &Value, mark: char) -> Value {
        match value {
            Value::String(text) => Value::String(self.broken(text, mark)),
            Value::Array(list) => list.iter().map(|value| self.marked_value(value, mark)).collect(),
            Value::Object(map) => {
                let pair = |(key, value): (&String, &Value)| {
                    (self.broken(key, mark), self.marked_value(value, mark))
                };
                Value::Object(map.iter().map(pair).collect::<Map<_, _>>())
            }
            other => other.clone(),
        }
    }

    /// `text` with a mark after the first character of every control token, overlapping ones included.
    fn broken(&self, text: &str, mark: char) -> String {
        let mut broken = String::with_capacity(text.len());
        for (at, c) in text.char_indices() {
            broken.push(c);
            if self.controls.iter().any(|control| text[at..].starts_with(control.as_str())) {
                broken.push(mark);
            }
        }
        broken
    }
}

/// All that a client wrote in a message.
pub(crate) fn texts(message: &Message) -> impl Iterator<Item = &str> {
    let own = [&message.content, &message.name, &message.answers].into_iter().flatten().map(String::as_str);
    own.chain(message.calls.iter().flat_map(|call| {
        let mut found = vec![call.id.as_str(), call.name.as_str()];
        collect(&call.arguments, &mut found);
        found
    }))
}

fn collect<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            found.push(key);
            collect(value, found);
        }),
        _ => {}
    }
}

fn strings(value: &Value, look: &mut impl FnMut(&str)) {
    let mut found = Vec::new();
    collect(value, &mut found);
    found.into_iter().for_each(look);
}
