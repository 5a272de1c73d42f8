//! The reference of configuration files and of a network's parameters, generated from the structs that read them:
//! keys, types and meanings from their schemas, defaults from what they fill in, bounds from what they refuse.

use freeway_api::ParamsView;
use freeway_api::parameters;
use freeway_ledger::{Params, Preset};
use freeway_node::NodeConfig;
use freeway_node::config::{GatewayFile, schemas};
use serde_json::{Value, json};

/// The smallest file with every section of a node.
const NODE: &str = r#"
moniker = "node"
data = "data"
genesis = "genesis.json"
host = "fwy19hxxna3e50r7hj4qx8ke0jk4g5lfe4n0fuhm76s92fl290dpvx5ss4ugpp"
[key]
keystore = "keys"
[consensus]
listen = "0.0.0.0:27000"
[gossip]
listen = "0.0.0.0:27100"
[rpc]
listen = "127.0.0.1:7700"
[sprint]
listen = "0.0.0.0:27200"
[gateway]
listen = "127.0.0.1:8700"
[serve]
[explorer]
[store]
[join]
"#;

/// The smallest file of a gateway that pays hosts.
const GATEWAY: &str = r#"
[gateway]
listen = "127.0.0.1:8700"
[lanes]
rpc = ["http://127.0.0.1:7700"]
[lanes.key]
keystore = "keys"
"#;

const HEAD: &str = "\
# Configuration

Every key of the files that a node and a gateway read, and every parameter of a network's genesis. This page is
generated from the code; after a change, write it anew with
`FREEWAY_UPDATE_REFERENCE=1 cargo test -p freeway --test cli reference`. How to run a node: [operating.md](../operating.md).

Files are TOML. Unknown keys are errors. Relative paths count from the file's folder. *required* stands where there is no
default; *none* where a key may be left out and then has no value.
";

const PARAMETERS: &str = "
## Parameters of a network

They stand in `genesis.json` under `parameters`, where only what differs from the `preset` has to be named, and in
`/v1/parameters` of every node. All nodes of a network have the same: they are part of its identity.
";

/// The text of `docs/reference/configuration.md`.
///
/// # Errors
/// If the code describes itself in a way that this does not know.
pub fn markdown() -> Result<String, String> {
    let mut text = String::from(HEAD);
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let known = schemas();
    let node = NodeConfig::parse(NODE)?;
    let files = [
        (
            "node.toml",
            "The configuration of a node, as `freeway node init` writes it and `freeway node start --config` reads it.",
            "NodeConfig",
            serde_json::to_value(node).map_err(|error| told(&error))?,
            refuse_node as Refuse,
        ),
        (
            "gateway.toml",
            "The configuration of a gateway by itself, as `freeway gateway --config` reads it: `[gateway]` as above, and:",
            "GatewayFile",
            serde_json::to_value(GatewayFile::parse(GATEWAY)?).map_err(|error| told(&error))?,
            refuse_gateway as Refuse,
        ),
    ];
    for (file, about, schema, instance, refuse) in files {
        text.push_str(&format!("\n## `{file}`\n\n{about}\n"));
        let mut page = Page { text: &mut text, known: &known, instances: vec![instance], refuse, file };
        page.section("", schema, false)?;
    }
    text.push_str(PARAMETERS);
    let known = parameters::schemas();
    let instances = [Preset::Local, Preset::Main].map(|preset| ParamsView::from(&preset.params()));
    let instances = instances.iter().map(serde_json::to_value).collect::<Result<_, _>>();
    let instances = instances.map_err(|error| told(&error))?;
    let mut page =
        Page { text: &mut text, known: &known, instances, refuse: refuse_parameters, file: "parameters" };
    page.section("", "ParamsView", false)?;
    Ok(text)
}

/// Why a file like this is refused, if it is; the key comes first.
type Refuse = fn(&Value) -> Option<String>;

fn refuse_node(file: &Value) -> Option<String> {
    serde_json::from_value::<NodeConfig>(file.clone()).ok()?.check().err()
}

fn refuse_gateway(file: &Value) -> Option<String> {
    serde_json::from_value::<GatewayFile>(file.clone()).ok()?.check().err()
}

fn refuse_parameters(view: &Value) -> Option<String> {
    let view = serde_json::from_value::<ParamsView>(view.clone()).ok()?;
    let error = Params::from(&view).check().err()?;
    Some(format!("{} must be {}", error.name, error.rule))
}

/// What is written, and from what.
struct Page<'a> {
    text: &'a mut String,
    known: &'a Value,
    /// Files without anything that has a default: one for each column of defaults.
    instances: Vec<Value>,
    refuse: Refuse,
    file: &'a str,
}

impl Page<'_> {
    /// The table of a struct at `path`, then those of the structs in it.
    fn section(&mut self, path: &str, name: &str, is_list: bool) -> Result<(), String> {
        let schema = self.known.get(name).ok_or_else(|| format!("no schema of {name}"))?.clone();
        let properties = schema["properties"].as_object().ok_or_else(|| format!("{name} has no keys"))?;
        let mut rows = Vec::new();
        let mut below = Vec::new();
        // As the struct has them, so that each says what follows from the one before.
        let written =
            self.instances.first().and_then(|instance| pointer(instance, path)).and_then(Value::as_object);
        let place = |key: &String| {
            let place = written.and_then(|written| written.keys().position(|known| known == key));
            place.unwrap_or(usize::MAX)
        };
        let mut properties: Vec<(&String, &Value)> = properties.iter().collect();
        properties.sort_by_key(|(key, _)| place(key));
        for (key, property) in properties {
            let at = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            if let Some((inner, is_list)) = inner(property) {
                below.push((at, inner, is_list));
            } else {
                rows.push(self.row(&at, key, property, &schema["required"], is_list));
            }
        }
        if !path.is_empty() && (!rows.is_empty() || is_list) {
            let head = if self.file == "parameters" {
                format!("`{path}`")
            } else if is_list {
                format!("`[[{path}]]`")
            } else {
                format!("`[{path}]`")
            };
            let about = sentence(&schema);
            self.text.push_str(&format!("\n### {head}\n\n{about}\n"));
        }
        if !rows.is_empty() {
            let defaults = if self.instances.len() > 1 { "local | main" } else { "default" };
            let bars = "---|".repeat(4 + self.instances.len());
            self.text.push_str(&format!("\n| key | type | {defaults} | bounds | meaning |\n|{bars}\n"));
            rows.iter().for_each(|row| self.text.push_str(row));
        }
        for (at, inner, is_list) in below {
            // Told once, where a node has it.
            if self.file != "gateway.toml" || !at.starts_with("gateway") {
                self.section(&at, &inner, is_list)?;
            }
        }
        Ok(())
    }

    fn row(&self, path: &str, key: &str, property: &Value, required: &Value, in_list: bool) -> String {
        let is_required = required.as_array().is_some_and(|keys| keys.iter().any(|known| known == key));
        let kind = kind(property);
        let defaults = self.instances.iter().map(|instance| {
            let value = pointer(instance, path);
            match value {
                _ if is_required && self.instances.len() == 1 => "*required*".to_owned(),
                // What stands in the sample because it must.
                _ if is_optional(property) => "*none*".to_owned(),
                Some(value) if !value.is_null() => format!("`{}`", shown(value)),
                _ if kind.starts_with("list") => "`[]`".to_owned(),
                _ => "*none*".to_owned(),
            }
        });
        let defaults = defaults.collect::<Vec<_>>().join(" | ");
        let bounds = if in_list { String::new() } else { self.bounds(path, property) };
        format!("| `{key}` | {kind} | {defaults} | {bounds} | {} |\n", sentence(property))
    }

    /// What the code says to values that are out of bounds.
    fn bounds(&self, path: &str, property: &Value) -> String {
        let Some(instance) = self.instances.last() else { return String::new() };
        for value in extremes(property) {
            let mut file = instance.clone();
            set(&mut file, path, value);
            let refused = (self.refuse)(&file);
            let rule = refused.as_deref().and_then(|refused| refused.strip_prefix(path));
            if let Some(rule) = rule.and_then(|rule| rule.strip_prefix(' ')) {
                let rule = rule.split("; ").next().unwrap_or(rule);
                let words = ["must be ", "must have ", "may have "];
                let rule = words.iter().find_map(|word| rule.strip_prefix(word)).unwrap_or(rule);
                return rule.to_owned();
            }
        }
        String::new()
    }
}

/// Values that no key can have which has bounds.
fn extremes(property: &Value) -> Vec<Value> {
    match kind(property).as_str() {
        "number" => vec![json!(0), json!(255), json!(1u64 << 40), json!(u32::MAX)],
        "IP:PORT" => vec![json!("127.0.0.1:0")],
        "amount" => vec![json!("0 FWY"), json!("1000000000000 FWY")],
        list if list.starts_with("list") => vec![json!([]), json!(vec!["x"; 100])],
        "text" => vec![json!("")],
        _ => Vec::new(),
    }
}

/// What stands at a path of keys.
fn pointer<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').filter(|key| !key.is_empty()).try_fold(value, |value, key| value.get(key))
}

fn set(file: &mut Value, path: &str, value: Value) {
    let place = path.split('.').fold(file, |file, key| &mut file[key]);
    *place = value;
}

/// The struct that a key holds, and whether it holds several.
fn inner(property: &Value) -> Option<(String, bool)> {
    let named = |value: &Value| {
        let reference = value["$ref"].as_str()?;
        reference.rsplit('/').next().map(str::to_owned)
    };
    let choice =
        || ["oneOf", "allOf"].iter().find_map(|kind| property[kind].as_array()?.iter().find_map(named));
    if let Some(name) = named(property).or_else(choice) {
        return Some((name, false));
    }
    named(&property["items"]).map(|name| (name, true))
}

/// Whether a key may have no value.
fn is_optional(property: &Value) -> bool {
    property["type"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "null"))
}

/// A type in an operator's words.
fn kind(property: &Value) -> String {
    let kinds = match &property["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        Value::String(kind) => vec![kind.as_str()],
        _ => Vec::new(),
    };
    let format = property["format"].as_str().unwrap_or_default();
    let is_amount = property["example"].as_str().is_some_and(|example| example.ends_with("FWY"));
    match kinds.iter().find(|kind| **kind != "null").copied().unwrap_or_default() {
        "integer" => "number".into(),
        "boolean" => "true or false".into(),
        "array" => format!("list of {}s", kind(&property["items"])),
        "object" => "table of names".into(),
        "string" if is_amount => "amount".into(),
        "string" if ["path", "IP:PORT", "amount"].contains(&format) => format.to_owned(),
        "string" => "text".into(),
        other => other.to_owned(),
    }
}

/// A value as TOML has it, where that is the same as JSON.
fn shown(value: &Value) -> String {
    value.to_string()
}

/// A doc comment in one line that fits into a table.
fn sentence(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    // Examples in the code stand below the first paragraphs.
    let text = text.split("```").next().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the readers themselves say that they know.
    fn known_keys(error: &str) -> Vec<String> {
        let list = error.split("expected").nth(1).unwrap_or_default();
        list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    /// The keys of each section of the page.
    fn documented(text: &str, section: &str) -> Vec<String> {
        let part = text.split(section).nth(1).unwrap_or_default();
        let part = part.split("\n##").next().unwrap_or_default();
        part.lines()
            .filter_map(|line| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned()))
            .collect()
    }

    #[test]
    fn every_key_that_is_read_is_in_the_reference() {
        let text = markdown().unwrap();
        let node = serde_json::to_value(NodeConfig::parse(NODE).unwrap()).unwrap();
        let sections: Vec<String> = node
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, value)| value.is_object())
            .map(|(key, _)| key.clone())
            .collect();
        assert!(sections.len() >= 10, "{sections:?}");
        let upstream = json!([{"url": "u", "unknown key": 1}]);
        let price = json!([{"unknown key": 1}]);
        for (path, extra, head) in sections
            .iter()
            .map(|section| (format!("{section}.unknown key"), json!(1), format!("### `[{section}]`")))
            .chain([
                ("serve.upstream".to_owned(), upstream.clone(), "### `[[serve.upstream]]`".to_owned()),
                ("gateway.upstream".to_owned(), upstream, "### `[[gateway.upstream]]`".to_owned()),
                (
                    "explorer.reference_prices".to_owned(),
                    price,
                    "### `[[explorer.reference_prices]]`".to_owned(),
                ),
            ])
        {
            let mut file = node.clone();
            set(&mut file, &path, extra);
            let error = serde_json::from_value::<NodeConfig>(file).unwrap_err().to_string();
            let known = known_keys(&error);
            assert!(!known.is_empty(), "{path}: {error}");
            let documented = documented(&text, &head);
            for key in known {
                let below = format!("### `[[{}.{key}]]`", path.split('.').next().unwrap());
                assert!(
                    documented.contains(&key) || text.contains(&below),
                    "{path}: {key} is not in the reference"
                );
            }
        }
        let mut file = node;
        file["unknown key"] = json!(1);
        let error = serde_json::from_value::<NodeConfig>(file).unwrap_err().to_string();
        let top = documented(&text, "## `node.toml`");
        for key in known_keys(&error) {
            assert!(
                top.contains(&key) || text.contains(&format!("### `[{key}]`")),
                "{key} is not in the reference"
            );
        }
        let mut file = serde_json::to_value(GatewayFile::parse(GATEWAY).unwrap()).unwrap();
        file["lanes"]["unknown key"] = json!(1);
        let error = serde_json::from_value::<GatewayFile>(file).unwrap_err().to_string();
        let lanes = documented(&text, "### `[lanes]`");
        for key in known_keys(&error) {
            assert!(lanes.contains(&key) || key == "key", "lanes: {key} is not in the reference");
        }
    }

    #[test]
    fn every_parameter_is_in_the_reference_with_its_meaning() {
        let text = markdown().unwrap();
        let view = serde_json::to_value(ParamsView::from(&Preset::Main.params())).unwrap();
        for (section, values) in view.as_object().unwrap() {
            let documented = documented(&text, &format!("### `{section}`\n"));
            for (key, value) in values.as_object().unwrap() {
                let nested = value.is_object()
                    || value.as_array().is_some_and(|list| list.iter().any(Value::is_object));
                assert!(documented.contains(key) || nested, "{section}.{key}");
            }
        }
        for row in text.lines().filter(|line| line.starts_with("| `")) {
            assert!(!row.ends_with("|  |"), "no meaning: {row}");
        }
    }

    #[test]
    fn bounds_are_what_the_code_refuses() {
        let text = markdown().unwrap();
        for bound in [
            "| `share` | number | `100` | from 1 to 100 percent |",
            "| `flush_every` | number | `16` | from 1 to 1000 |",
            "| `hosts` | number | `3` | from 1 to 16 |",
            "| `max_hosts` | number | `10000` | `10000` | between 1 and 1000000 |",
        ] {
            assert!(text.contains(bound), "{bound}");
        }
    }
}
