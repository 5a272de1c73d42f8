//! Requests for `/v1/chat/completions`.

use freeway_requests::{Grammar, GrammarKind};
use serde_json::{Map, Value};

use super::read::{Fields, missing, wrong};
use super::tools::{self, PastCall, Tool, ToolChoice};
use super::tuning::{self, MAX_TOP, Tuning};
use crate::error::{ApiError, shown};

/// Messages of one request.
pub(crate) const MAX_MESSAGES: usize = 2_048;
/// Parts of one message.
pub(crate) const MAX_PARTS: usize = 64;
/// Characters of a participant's name.
const MAX_NAME_CHARACTERS: usize = 64;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    System,
    User,
    Assistant,
    Tool,
}

impl Role {
    /// As templates know it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) role: Role,
    /// Missing where an assistant only called tools.
    pub(crate) content: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) calls: Vec<PastCall>,
    pub(crate) answers: Option<String>,
}

/// A request for the next message of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chat {
    pub(crate) model: String,
    pub(crate) messages: Vec<Message>,
    pub(crate) tuning: Tuning,
    pub(crate) max_tokens: Option<u32>,
    /// How many of the most likely tokens are told for each, if log-probabilities are wanted.
    pub(crate) logprobs: Option<u8>,
    pub(crate) format: Option<Grammar>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) tool_choice: ToolChoice,
    pub(crate) parallel_calls: bool,
}

/// Reads a request.
pub(crate) fn chat(body: &Map<String, Value>) -> Result<Chat, ApiError> {
    let fields = Fields::new(body);
    let model = super::model(fields)?;
    let list = fields.list("messages")?.ok_or_else(|| missing("messages"))?;
    if list.is_empty() || list.len() > MAX_MESSAGES {
        let problem = format!("has {} messages; 1 to {MAX_MESSAGES} are expected", list.len());
        return Err(ApiError::field("messages", problem));
    }
    let messages = list.iter().enumerate().map(|(index, value)| {
        message(value).map_err(|error| error.within(format_args!("messages[{index}]")))
    });
    let messages = messages.collect::<Result<_, _>>()?;
    let tools = tools::tools(fields)?;
    let newer = tuning::max_tokens(fields, "max_completion_tokens", 1)?;
    let older = tuning::max_tokens(fields, "max_tokens", 1)?;
    Ok(Chat {
        model,
        messages,
        tuning: tuning::tuning(fields)?,
        max_tokens: newer.or(older),
        logprobs: logprobs(fields)?,
        format: format(fields)?,
        tool_choice: tools::choice(fields, &tools)?,
        parallel_calls: fields.flag("parallel_tool_calls")?.unwrap_or(true),
        tools,
    })
}

fn logprobs(fields: Fields<'_>) -> Result<Option<u8>, ApiError> {
    let wanted = fields.flag("logprobs")?.unwrap_or(false);
    let top = fields.integer("top_logprobs", 0..=MAX_TOP)?;
    match (wanted, top) {
        (false, Some(1..)) => {
            Err(ApiError::field("top_logprobs", "can be given only with \"logprobs\": true"))
        }
        (false, _) => Ok(None),
        (true, top) => Ok(Some(top.unwrap_or(0) as u8)),
    }
}

fn message(value: &Value) -> Result<Message, ApiError> {
    let fields = Fields::of("", value)?;
    let role = match fields.required_text("role")? {
        // The newer word for the same.
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        other => {
            let problem =
                format!("is {:?}; system, developer, user, assistant or tool is expected", shown(other));
            return Err(ApiError::field("role", problem));
        }
    };
    let content = fields.get("content").map(content).transpose()?;
    let calls = if role == Role::Assistant { tools::past_calls(fields)? } else { Vec::new() };
    let content = match content {
        None if role != Role::Assistant => return Err(missing("content")),
        None if calls.is_empty() => Some(String::new()),
        content => content,
    };
    let name = fields.text("name")?.map(str::to_owned);
    if name.as_ref().is_some_and(|name| name.chars().count() > MAX_NAME_CHARACTERS) {
        return Err(ApiError::field("name", format!("is longer than {MAX_NAME_CHARACTERS} characters")));
    }
    let answers = match role {
        Role::Tool => Some(fields.required_text("tool_call_id")?.to_owned()),
        _ => None,
    };
    Ok(Message { role, content, name, calls, answers })
}

/// The text of a message: a string, or parts of text, which are joined.
fn content(value: &Value) -> Result<String, ApiError> {
    let parts = match value {
        Value::String(text) => return Ok(text.clone()),
        Value::Array(parts) => parts,
        other => return Err(wrong("content", other, "a string or an array of text parts")),
    };
    if parts.is_empty() || parts.len() > MAX_PARTS {
        return Err(ApiError::field(
            "content",
            format!("has {} parts; 1 to {MAX_PARTS} are expected", parts.len()),
        ));
    }
    let mut text = String::new();
    for (index, part) in parts.iter().enumerate() {
        let part = part_text(part).map_err(|error| error.within(format_args!("content[{index}]")))?;
        text.push_str(part);
    }
    Ok(text)
}

fn part_text(value: &Value) -> Result<&str, ApiError> {
    let fields = Fields::of("", value)?;
    match fields.required_text("type")? {
        "text" => fields.required_text("text"),
        "refusal" => fields.required_text("refusal"),
        other => {
            let problem = format!("is {:?}; this gateway takes parts of type \"text\" only", shown(other));
            Err(ApiError::field("type", problem).code("unsupported_content"))
        }
    }
}

/// What the answer must look like.
fn format(fields: Fields<'_>) -> Result<Option<Grammar>, ApiError> {
    let Some(format) = fields.object("response_format")? else { return Ok(None) };
    let read = || match format.required_text("type")? {
        "text" => Ok(None),
        "json_object" => Ok(Some(Grammar { kind: GrammarKind::JsonObject, source: String::new() })),
        "json_schema" => {
            let schema = format.object("json_schema")?.ok_or_else(|| missing("json_schema"))?;
            json_schema(schema).map(Some).map_err(|error| error.within("json_schema"))
        }
        other => {
            let problem = format!("is {:?}; text, json_object or json_schema is expected", shown(other));
            Err(ApiError::field("type", problem))
        }
    };
    read().map_err(|error: ApiError| error.within("response_format"))
}

fn json_schema(fields: Fields<'_>) -> Result<Grammar, ApiError> {
    tools::name(fields)?;
    let _ = (fields.text("description")?, fields.flag("strict")?);
    let schema = fields.map("schema")?.ok_or_else(|| missing("schema"))?;
    let source = Value::Object(schema.clone()).to_string();
    if source.len() > freeway_requests::MAX_GRAMMAR_BYTES {
        let problem =
            format!("has {} bytes; {} are allowed", source.len(), freeway_requests::MAX_GRAMMAR_BYTES);
        return Err(ApiError::field("schema", problem));
    }
    Ok(Grammar { kind: GrammarKind::JsonSchema, source })
}

#[cfg(test)]
mod tests;
