//! Finding calls of tools in what a model writes.
//!
//! Two forms are known. **Tagged**: `<tool_call>{"name": .., "arguments": {..}}</tool_call>`, between or after text, as
//! Hermes and Qwen write. **Bare**: the whole answer is `{"name": .., "parameters": {..}}`, several with `;` or white
//! space between them, as Llama 3.1 writes. What looks like a call and is none stays text.

use serde_json::Value;

use super::stops::overlap;

const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";
/// Llama 3.1 may begin with it.
const PYTHON_TAG: &str = "<|python_tag|>";

/// How a model writes calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Tagged,
    Bare,
}

/// A call that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// JSON.
    pub(crate) arguments: String,
}

/// What was found in a piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) text: String,
    pub(crate) calls: Vec<Call>,
}

/// Reads one choice.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    style: Style,
    names: std::sync::Arc<[String]>,
    state: State,
    buffer: String,
    found: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Bare: nothing but white space has come.
    Start,
    Text,
    Call,
}

impl Calls {
    pub(crate) fn new(style: Style, names: std::sync::Arc<[String]>) -> Self {
        let state = if style == Style::Bare { State::Start } else { State::Text };
        Self { style, names, state, buffer: String::new(), found: false }
    }

    /// Whether any call was found.
    pub(crate) fn found(&self) -> bool {
        self.found
    }

    /// Takes the next piece.
    pub(crate) fn feed(&mut self, piece: &str) -> Found {
        self.buffer.push_str(piece);
        let mut found = Found::default();
        while self.step(&mut found) {}
        found
    }

    /// Whether there may be more to do.
    fn step(&mut self, found: &mut Found) -> bool {
        match (self.style, self.state) {
            (Style::Bare, State::Start) => {
                let rest = self.buffer.trim_start();
                if PYTHON_TAG.starts_with(rest) {
                    return false;
                }
                let call = rest.starts_with('{') || rest.starts_with(PYTHON_TAG);
                self.state = if call { State::Call } else { State::Text };
                true
            }
            // It ends with the answer.
            (Style::Bare, State::Call) => false,
            (Style::Bare, State::Text) => {
                found.text.push_str(&core::mem::take(&mut self.buffer));
                false
            }
            (Style::Tagged, State::Call) => {
                let Some(at) = self.buffer.find(CLOSE) else { return false };
                let rest = self.buffer.split_off(at + CLOSE.len());
                let inner = core::mem::replace(&mut self.buffer, rest);
                match call(&inner[..at]) {
                    Some(call) => {
                        self.found = true;
                        found.calls.push(call);
                    }
                    None => found.text.push_str(&format!("{OPEN}{inner}")),
                }
                self.state = State::Text;
                true
            }
            (Style::Tagged, _) => {
                if let Some(at) = self.buffer.find(OPEN) {
                    let rest = self.buffer.split_off(at + OPEN.len());
                    self.buffer.truncate(at);
                    let before = core::mem::replace(&mut self.buffer, rest);
                    // The line break before a call belongs to it.
                    found.text.push_str(before.trim_end());
                    self.state = State::Call;
                    return true;
                }
                let held = overlap(&self.buffer, OPEN);
                let text = &self.buffer[..self.buffer.len() - held];
                let out = text.trim_end().len();
                // Between and after calls there is only white space.
                let rest = self.buffer.split_off(out);
                found.text.push_str(&core::mem::replace(&mut self.buffer, rest));
                false
            }
        }
    }

    /// The answer is complete.
    pub(crate) fn finish(&mut self) -> Found {
        let rest = core::mem::take(&mut self.buffer);
        let mut found = Found::default();
        match (self.style, self.state) {
            (Style::Bare, State::Call) => match self.bare(&rest) {
                Some(calls) => {
                    self.found = true;
                    found.calls = calls;
                }
                None => found.text = rest,
            },
            (Style::Tagged, State::Call) => match call(&rest) {
                Some(call) => {
                    self.found = true;
                    found.calls.push(call);
                }
                None => found.text = format!("{OPEN}{rest}"),
            },
            _ if self.found && rest.trim().is_empty() => {}
            _ => found.text = rest,
        }
        found
    }

    /// One or several calls of known tools, and nothing else.
    fn bare(&self, text: &str) -> Option<Vec<Call>> {
        let mut rest = text.trim();
        rest = rest.strip_prefix(PYTHON_TAG).unwrap_or(rest);
        let mut calls = Vec::new();
        while !rest.is_empty() {
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            let value = values.next()?.ok()?;
            rest = rest[values.byte_offset()..].trim_start_matches([';', ' ', '\n', '\r', '\t']);
            calls.push(read(&value).filter(|call| self.names.contains(&call.name))?);
        }
        (!calls.is_empty()).then_some(calls)
    }
}

fn call(text: &str) -> Option<Call> {
    read(&serde_json::from_str(text.trim()).ok()?)
}

fn read(value: &Value) -> Option<Call> {
    let name = value.get("name")?.as_str()?.to_owned();
    let arguments = match value.get("arguments").or_else(|| value.get("parameters")) {
        Some(Value::Object(map)) => Value::Object(map.clone()).to_string(),
        // Some models write the arguments as a string of JSON, as the answer of the interface has it.
        Some(Value::String(text)) => {
            serde_json::from_str::<Value>(text).ok().filter(Value::is_object)?;
            text.clone()
        }
        None | Some(Value::Null) => "{}".to_owned(),
        Some(_) => return None,
    };
    Some(Call { name, arguments })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(style: Style, pieces: &[&str]) -> (String, Vec<String>) {
        let mut calls = Calls::new(style, vec!["f".to_owned(), "g".to_owned()].into());
        let (mut text, mut found) = (String::new(), Vec::new());
        let mut take = |part: Found| {
            text.push_str(&part.text);
            found.extend(part.calls.into_iter().map(|call| format!("{}{}", call.name, call.arguments)));
        };
        pieces.iter().for_each(|piece| take(calls.feed(piece)));
        take(calls.finish());
        (text, found)
    }

    fn bytewise(style: Style, text: &str) -> (String, Vec<String>) {
        let pieces: Vec<String> = text.chars().map(String::from).collect();
        let whole = run(style, &[text]);
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        assert_eq!(run(style, &pieces), whole, "pieces must not matter");
        whole
    }

    #[test]
    fn tagged() {
        let text = "Let me see.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1}}\n</tool_call>\n<tool_call>{\"name\":\"g\"}</tool_call>\n";
        let (text, calls) = bytewise(Style::Tagged, text);
        assert_eq!((text.as_str(), calls), ("Let me see.", vec!["f{\"x\":1}".into(), "g{}".into()]));
        let (text, calls) = bytewise(Style::Tagged, "a < b <tool> c\n\n");
        assert_eq!((text.as_str(), calls.len()), ("a < b <tool> c\n\n", 0));
    }

    #[test]
    fn what_is_no_call_stays_text() {
        for text in ["<tool_call>nothing</tool_call> x", "<tool_call>{\"name\": 1", "<tool_ca"] {
            assert_eq!(bytewise(Style::Tagged, text), (text.to_owned(), vec![]));
        }
        for text in
            ["{\"a\": 1}", "{\"name\": \"unknown\", \"parameters\": {}}", "{", "<|py", "hello {", "<b>"]
        {
            assert_eq!(bytewise(Style::Bare, text), (text.to_owned(), vec![]));
        }
    }

    #[test]
    fn a_call_that_was_cut_off_counts_if_it_is_whole() {
        let (text, calls) =
            bytewise(Style::Tagged, "<tool_call>{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":2}\"}");
        assert_eq!((text.as_str(), calls), ("", vec!["f{\"a\":2}".into()]));
    }

    #[test]
    fn bare() {
        let one = "{\"name\": \"f\", \"parameters\": {\"x\": \"}\"}}";
        assert_eq!(bytewise(Style::Bare, &format!(" \n{one}")).1, ["f{\"x\":\"}\"}"]);
        assert_eq!(bytewise(Style::Bare, &format!("{one}; {one}\n")).1.len(), 2);
        assert_eq!(bytewise(Style::Bare, &format!("<|python_tag|>{one}")).1.len(), 1);
        assert_eq!(bytewise(Style::Bare, &format!("{one} and more")).1.len(), 0);
    }
}
