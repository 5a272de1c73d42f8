//! Chat templates, rendered as Hugging Face's library renders them, within bounds: instructions and output cost fuel,
//! and a template that uses it up is an error of the request.
//!
//! `strftime_now` tells a fixed day: the same conversation must give the same tokens on every machine and every day.

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, syntax::SyntaxConfig};
use serde_json::Value as Json;

use super::calls::Style;
use crate::error::{ApiError, shown};
use crate::wire::chat::Message;

/// What one conversation may cost: about one for an instruction and one for 64 bytes of text.
const FUEL: u64 = 2_000_000;
/// Levels of values that a template writes as JSON.
const MAX_DEPTH: usize = 256;
/// Bytes of JSON that a template writes at a time.
const MAX_JSON_BYTES: usize = 16 << 20;
/// The name of the only template.
const NAME: &str = "chat";
/// What `strftime_now` knows: 26 July 2024, a Friday. Llama 3.1's template has the same day where there is no clock.
const TODAY: [(char, &str); 13] = [
    ('Y', "2024"),
    ('m', "07"),
    ('d', "26"),
    ('B', "July"),
    ('b', "Jul"),
    ('A', "Friday"),
    ('a', "Fri"),
    ('y', "24"),
    ('H', "00"),
    ('M', "00"),
    ('S', "00"),
    ('F', "2024-07-26"),
    ('%', "%"),
];
/// For models that have no template.
const DEFAULT: &str = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:";
/// With [`DEFAULT`], a model would go on with the user's words.
const DEFAULT_STOPS: &[&str] = &["\nuser:", "\nsystem:", "\ntool:"];

/// A model's template.
pub(crate) struct Template {
    environment: Environment<'static>,
    style: Option<Style>,
    is_default: bool,
}

impl Template {
    /// Compiles a template.
    pub(crate) fn new(source: Option<&str>) -> Result<Self, String> {
        let is_default = source.is_none();
        let source = source.unwrap_or(DEFAULT);
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| error.to_string())?);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_formatter(|out, state, value| match value.kind() {
            ValueKind::None => out.write_str("None").map_err(Error::from),
            ValueKind::Bool => {
                out.write_str(if value.is_true() { "True" } else { "False" }).map_err(Error::from)
            }
            _ => minijinja::escape_formatter(out, state, value),
        });
        environment.add_filter("tojson", tojson);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, format!("{RAISED}{message}")))
        });
        environment.add_function("strftime_now", |format: String| strftime(&format));
        environment.add_template_owned(NAME, source.to_owned()).map_err(|error| shown(&error.to_string()))?;
        let style = source
            .contains("tools")
            .then(|| if source.contains("<tool_call>") { Style::Tagged } else { Style::Bare });
        Ok(Self { environment, style, is_default })
    }

    /// How calls are written, if the template knows tools.
    pub(crate) fn tool_style(&self) -> Option<Style> {
        self.style
    }

    /// Whether the model had none.
    pub(crate) fn is_default(&self) -> bool {
        self.is_default
    }

    pub(crate) fn implied_stops(&self) -> &[&'static str] {
        if self.is_default { DEFAULT_STOPS } else { &[] }
    }

    /// The text of a conversation up to where the assistant speaks.
    pub(crate) fn render<'a>(
        &self,
        messages: &[Message],
        tools: impl Iterator<Item = &'a Json>,
        (bos, eos): (Option<&str>, Option<&str>),
    ) -> Result<String, ApiError> {
        let tools: Vec<Value> = tools.map(value).collect();
        let tools = if tools.is_empty() { Value::from(()) } else { Value::from(tools) };
        let messages: Vec<Value> = messages.iter().map(message).collect();
        let context = Value::from_pairs([
            ("messages", Value::from(messages)),
            ("tools", tools),
            ("add_generation_prompt", Value::from(true)),
            ("bos_token", Value::from(bos.unwrap_or_default())),
            ("eos_token", Value::from(eos.unwrap_or_default())),
        ]);
        let rendered = self.environment.get_template(NAME).and_then(|template| template.render(context));
        rendered.map_err(|error| problem(&error))
    }
}

/// Begins the messages of errors that templates raise on purpose.
const RAISED: &str = "\u{1}";

fn problem(error: &Error) -> ApiError {
    let detail = error.detail().unwrap_or_default();
    let message = match (error.kind(), detail.split_once(RAISED)) {
        (ErrorKind::OutOfFuel, _) => "the conversation is too long for the model's chat template".to_owned(),
        (_, Some((_, raised))) => {
            format!("the model's chat template refuses the conversation: {}", shown(raised))
        }
        _ => {
            format!("the model's chat template cannot write this conversation: {}", shown(&error.to_string()))
        }
    };
    ApiError::field("messages", message)
}

fn message(message: &Message) -> Value {
    let mut fields = vec![("role", Value::from(message.role.name()))];
    fields.push(("content", message.content.as_deref().map_or(Value::from(()), Value::from)));
    if let Some(name) = &message.name {
        fields.push(("name", Value::from(name)));
    }
    if let Some(id) = &message.answers {
        fields.push(("tool_call_id", Value::from(id)));
    }
    if !message.calls.is_empty() {
        let call = |call: &crate::wire::tools::PastCall| {
            let function =
                Value::from_pairs([("name", Value::from(&call.name)), ("arguments", value(&call.arguments))]);
            Value::from_pairs([
                ("id", Value::from(&call.id)),
                ("type", Value::from("function")),
                ("function", function),
            ])
        };
        fields.push(("tool_calls", Value::from(message.calls.iter().map(call).collect::<Vec<_>>())));
    }
    Value::from_pairs(fields)
}

/// A value of JSON, as templates see it.
fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            _ => Value::from(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::from(text),
        Json::Array(list) => Value::from(list.iter().map(value).collect::<Vec<_>>()),
        Json::Object(map) => Value::from_pairs(map.iter().map(|(key, item)| (key.as_str(), value(item)))),
    }
}

/// `json.dumps(value, ensure_ascii=False)`, which Hugging Face puts in the place of Jinja's own filter.
fn tojson(value: &Value, args: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = args.get("indent")?;
    let _: (Option<bool>, Option<bool>) = (args.get("ensure_ascii")?, args.get("sort_keys")?);
    let _: Option<Value> = args.get("separators")?;
    args.assert_all_used()?;
    let mut out = String::new();
    dump(&mut out, value, indent.map(|indent| indent.min(16)), 0)?;
    Ok(Value::from(out))
}

fn dump(out: &mut String, value: &Value, indent: Option<usize>, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH || out.len() > MAX_JSON_BYTES {
        return Err(Error::new(ErrorKind::InvalidOperation, "the value is too large to be written as JSON"));
    }
    let line = |out: &mut String, depth: usize| {
        if let Some(indent) = indent {
            out.push('\n');
            out.extend(core::iter::repeat_n(' ', indent * depth));
        }
    };
    let comma = if indent.is_some() { "," } else { ", " };
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => out.push_str(&value.to_string()),
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            let mut empty = true;
            for item in value.try_iter()? {
                if !empty {
                    out.push_str(comma);
                }
                empty = false;
                line(out, depth + 1);
                dump(out, &item, indent, depth + 1)?;
            }
            if !empty {
                line(out, depth);
            }
            out.push(']');
        }
        ValueKind::Map => {
            out.push('{');
            let mut empty = true;
            for key in value.try_iter()? {
                if !empty {
                    out.push_str(comma);
                }
                empty = false;
                line(out, depth + 1);
                out.push_str(&Json::from(key.to_string()).to_string());
                out.push_str(": ");
                dump(out, &value.get_item(&key)?, indent, depth + 1)?;
            }
            if !empty {
                line(out, depth);
            }
            out.push('}');
        }
        _ => out.push_str(&Json::from(value.to_string()).to_string()),
    }
    Ok(())
}

fn strftime(format: &str) -> String {
    let mut out = String::with_capacity(format.len());
    let mut characters = format.chars();
    while let Some(c) = characters.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        // "%-d" is the day without a zero in front.
        let (bare, code) = match characters.next() {
            Some('-') => (true, characters.next()),
            other => (false, other),
        };
        let text = TODAY.iter().find(|(known, _)| Some(*known) == code).map_or("", |(_, text)| *text);
        out.push_str(if bare { text.trim_start_matches('0') } else { text });
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::chat::Role;

    fn render(source: &str, content: &str, tools: &[Json]) -> Result<String, ApiError> {
        let message = Message {
            role: Role::User,
            content: Some(content.to_owned()),
            name: None,
            calls: Vec::new(),
            answers: None,
        };
        let template = Template::new(Some(source)).expect("a good template");
        template.render(&[message], tools.iter(), (Some("<s>"), None))
    }

    #[test]
    fn blocks_are_trimmed_and_python_is_spoken() {
        let source = "{{ bos_token }}\n{% for m in messages %}\n    {% if m.content.startswith('a') %}\n{{ m.content.strip().upper() }}\n    {% endif %}\n{% endfor %}\n{{ none }}{{ true }}{{ messages[0].get('x', 'y') }}";
        assert_eq!(render(source, "abc ", &[]).expect("text"), "<s>\nABC\nNoneTruey");
    }

    #[test]
    fn json_is_written_as_python_writes_it() {
        let tool = json!({"a": [1, 2.5, "é<\"", null, true], "b": {}, "c": []});
        let text = render("{{ tools[0] | tojson }}", "", core::slice::from_ref(&tool)).expect("text");
        assert_eq!(text, r#"{"a": [1, 2.5, "é<\"", null, true], "b": {}, "c": []}"#);
        let text = render("{{ tools[0].a | tojson(indent=2) }}", "", &[tool]).expect("text");
        assert_eq!(text, "[\n  1,\n  2.5,\n  \"é<\\\"\",\n  null,\n  true\n]");
    }

    #[test]
    fn errors_are_the_requests() {
        let error = render("{{ raise_exception('roles must alternate') }}", "", &[]).expect_err("raised");
        assert!(error.told().2.ends_with("roles must alternate"), "{error:?}");
        let hungry = "{% for a in range(10000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}";
        let error = render(hungry, "", &[]).expect_err("out of fuel");
        assert!(error.told().2.contains("too long"), "{error:?}");
        let error = render("{{ messages[0].content + 5 }}", "", &[]).expect_err("a wrong type");
        assert_eq!(error.told().0, 400);
        assert!(Template::new(Some("{% for %}")).is_err());
    }

    #[test]
    fn the_day_is_fixed() {
        assert_eq!(strftime("%d %b %Y, %-m/%y 100%%"), "26 Jul 2024, 7/24 100%");
    }

    #[test]
    fn forms_of_calls() {
        let style = |source| Template::new(Some(source)).expect("good").tool_style();
        assert_eq!(style("{{ messages }}"), None);
        assert_eq!(style("{% if tools %}<tool_call>{% endif %}"), Some(Style::Tagged));
        assert_eq!(style("{% if tools %}parameters{% endif %}"), Some(Style::Bare));
    }
}
