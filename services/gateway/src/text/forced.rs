//! The grammar of an answer that must be a call of a tool: one object of JSON with a name and arguments.

use freeway_requests::{Grammar, GrammarKind};
use serde_json::{Map, Value, json};

use super::calls::Style;
use crate::error::ApiError;
use crate::wire::tools::{Tool, ToolChoice};

/// The grammar for `choice`, if it forces a call.
pub(crate) fn grammar(
    tools: &[Tool],
    choice: &ToolChoice,
    style: Style,
) -> Result<Option<Grammar>, ApiError> {
    let chosen: Vec<&Tool> = match choice {
        ToolChoice::None | ToolChoice::Auto => return Ok(None),
        ToolChoice::Required => tools.iter().collect(),
        ToolChoice::Named(name) => tools.iter().filter(|tool| tool.name == *name).collect(),
    };
    let arguments = match style {
        Style::Tagged => "arguments",
        Style::Bare => "parameters",
    };
    let call = |(index, tool): (usize, &&Tool)| {
        let mut schema =
            tool.parameters.clone().unwrap_or_else(|| json!({"type": "object", "properties": {}}));
        if let Some(map) = schema.as_object_mut() {
            map.entry("type").or_insert_with(|| "object".into());
        }
        // Its references are relative to where it stands now.
        move_references(&mut schema, &format!("#/anyOf/{index}/properties/{arguments}"));
        let mut properties = Map::new();
        properties.insert("name".to_owned(), json!({"const": tool.name}));
        properties.insert(arguments.to_owned(), schema);
        json!({
            "type": "object",
            "properties": properties,
            "required": ["name", arguments],
            "additionalProperties": false,
        })
    };
    let calls: Vec<Value> = chosen.iter().enumerate().map(call).collect();
    let source = json!({ "anyOf": calls }).to_string();
    if source.len() > freeway_requests::MAX_GRAMMAR_BYTES {
        let problem = format!(
            "have parameters of {} bytes together; {} are allowed where a call is required",
            source.len(),
            freeway_requests::MAX_GRAMMAR_BYTES
        );
        return Err(ApiError::field("tools", problem));
    }
    Ok(Some(Grammar { kind: GrammarKind::JsonSchema, source }))
}

fn move_references(schema: &mut Value, base: &str) {
    match schema {
        Value::Array(list) => list.iter_mut().for_each(|value| move_references(value, base)),
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(target) if key == "$ref" => {
                        if let Some(rest) = target.strip_prefix('#') {
                            *target = format!("{base}{rest}");
                        }
                    }
                    other => move_references(other, base),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str, parameters: Option<Value>) -> Tool {
        Tool { name: name.to_owned(), parameters, definition: Value::Null }
    }

    #[test]
    fn references_move_along() {
        let parameters =
            json!({"$defs": {"a": {"type": "integer"}}, "properties": {"x": {"$ref": "#/$defs/a"}}});
        let tools = [tool("f", None), tool("g", Some(parameters))];
        let grammar = grammar(&tools, &ToolChoice::Required, Style::Tagged).expect("small").expect("forced");
        let schema: Value = serde_json::from_str(&grammar.source).expect("JSON");
        let target =
            schema.pointer("/anyOf/1/properties/arguments/properties/x/$ref").and_then(Value::as_str);
        let target = target.and_then(|target| target.strip_prefix('#')).expect("a reference");
        assert_eq!(schema.pointer(target), Some(&json!({"type": "integer"})));
        assert_eq!(schema.pointer("/anyOf/0/properties/name/const"), Some(&json!("f")));
    }

    #[test]
    fn only_the_named_one() {
        let tools = [tool("f", None), tool("g", None)];
        let named = ToolChoice::Named("g".to_owned());
        let made = grammar(&tools, &named, Style::Bare).expect("small").expect("forced");
        assert!(!made.source.contains("\"f\"") && made.source.contains("\"parameters\""));
        assert_eq!(grammar(&tools, &ToolChoice::Auto, Style::Bare), Ok(None));
    }
}
