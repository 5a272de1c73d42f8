//! Tools: functions that a model may ask the client to call.

use serde_json::{Map, Value};

use super::read::{Fields, missing, wrong};
use crate::error::{ApiError, shown};

/// Tools of one request.
pub(crate) const MAX_TOOLS: usize = 128;
/// Bytes of a name.
const MAX_NAME_BYTES: usize = 64;

/// A function that may be called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tool {
    pub(crate) name: String,
    /// What its arguments look like; missing means none.
    pub(crate) parameters: Option<Value>,
    /// The whole definition, as it was given, for templates.
    pub(crate) definition: Value,
}

/// Which tools may or must be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    /// None.
    None,
    /// As the model likes.
    #[default]
    Auto,
    /// At least one.
    Required,
    /// This one.
    Named(String),
}

/// A call that an assistant made earlier.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PastCall {
    pub(crate) id: String,
    pub(crate) name: String,
    /// An object; what was not JSON is kept as a string.
    pub(crate) arguments: Value,
}

/// Whether a function or schema may have this name.
pub(crate) fn name(fields: Fields<'_>) -> Result<String, ApiError> {
    let name = fields.required_text("name")?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(fits) {
        let problem = format!(
            "is {:?}; 1 to {MAX_NAME_BYTES} letters, digits, underscores and hyphens are expected",
            shown(name)
        );
        return Err(ApiError::field("name", problem));
    }
    Ok(name.to_owned())
}

/// The tools of a request.
pub(crate) fn tools(fields: Fields<'_>) -> Result<Vec<Tool>, ApiError> {
    let Some(list) = fields.list("tools")? else { return Ok(Vec::new()) };
    if list.len() > MAX_TOOLS {
        return Err(ApiError::field("tools", format!("has {} tools; {MAX_TOOLS} are allowed", list.len())));
    }
    let mut tools: Vec<Tool> = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let tool = tool(value).map_err(|error| error.within(format_args!("tools[{index}]")))?;
        if tools.iter().any(|other| other.name == tool.name) {
            let problem = format!("is {:?} a second time; names must differ", tool.name);
            return Err(ApiError::field("function.name", problem).within(format_args!("tools[{index}]")));
        }
        tools.push(tool);
    }
    Ok(tools)
}

fn tool(value: &Value) -> Result<Tool, ApiError> {
    let fields = Fields::of("", value)?;
    function_type(fields)?;
    let function = fields.object("function")?.ok_or_else(|| missing("function"))?;
    let read = || {
        let _ = (function.text("description")?, function.flag("strict")?);
        let parameters = function.map("parameters")?.map(|map| Value::Object(map.clone()));
        Ok(Tool { name: name(function)?, parameters, definition: value.clone() })
    };
    read().map_err(|error: ApiError| error.within("function"))
}

fn function_type(fields: Fields<'_>) -> Result<(), ApiError> {
    match fields.required_text("type")? {
        "function" => Ok(()),
        other => Err(ApiError::field("type", format!("is {:?}; \"function\" is expected", shown(other)))),
    }
}

/// Which of `tools` may or must be used.
pub(crate) fn choice(fields: Fields<'_>, tools: &[Tool]) -> Result<ToolChoice, ApiError> {
    let Some(value) = fields.get("tool_choice") else { return Ok(ToolChoice::Auto) };
    let choice = match value {
        Value::String(text) => match text.as_str() {
            "none" => ToolChoice::None,
            "auto" => ToolChoice::Auto,
            "required" => ToolChoice::Required,
            other => {
                let problem = format!(
                    "is {:?}; \"none\", \"auto\", \"required\" or an object is expected",
                    shown(other)
                );
                return Err(ApiError::field("tool_choice", problem));
            }
        },
        Value::Object(map) => {
            let fields = Fields::new(map);
            let named = || {
                function_type(fields)?;
                let function = fields.object("function")?.ok_or_else(|| missing("function"))?;
                name(function).map_err(|error| error.within("function"))
            };
            ToolChoice::Named(named().map_err(|error: ApiError| error.within("tool_choice"))?)
        }
        other => return Err(wrong("tool_choice", other, "a string or an object")),
    };
    match &choice {
        ToolChoice::Named(name) if !tools.iter().any(|tool| tool.name == *name) => {
            Err(ApiError::field("tool_choice", format!("names {name:?}, which is not among the tools")))
        }
        ToolChoice::Required if tools.is_empty() => {
            Err(ApiError::field("tool_choice", "is \"required\", but there are no tools"))
        }
        _ => Ok(choice),
    }
}

/// The calls of an assistant's earlier message.
pub(crate) fn past_calls(fields: Fields<'_>) -> Result<Vec<PastCall>, ApiError> {
    let Some(list) = fields.list("tool_calls")? else { return Ok(Vec::new()) };
    if list.len() > MAX_TOOLS {
        let problem = format!("has {} calls; {MAX_TOOLS} are allowed", list.len());
        return Err(ApiError::field("tool_calls", problem));
    }
    let read =
        |(index, value)| past_call(value).map_err(|error| error.within(format_args!("tool_calls[{index}]")));
    list.iter().enumerate().map(read).collect()
}

fn past_call(value: &Value) -> Result<PastCall, ApiError> {
    let fields = Fields::of("", value)?;
    function_type(fields)?;
    let id = fields.required_text("id")?.to_owned();
    let function = fields.object("function")?.ok_or_else(|| missing("function"))?;
    let read = || Ok((name(function)?, function.required_text("arguments")?));
    let (name, arguments) = read().map_err(|error: ApiError| error.within("function"))?;
    // Templates write it as JSON again; a model's own faulty words are repeated as they were.
    let arguments = match serde_json::from_str(arguments) {
        Ok(Value::Object(map)) => Value::Object(map),
        _ if arguments.trim().is_empty() => Value::Object(Map::new()),
        _ => Value::String(arguments.to_owned()),
    };
    Ok(PastCall { id, name, arguments })
}
