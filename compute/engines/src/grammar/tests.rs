//! Texts made under grammars, and grammars that mean harm.

use std::collections::BTreeSet;

use freeway_inference::Constraint;
use freeway_requests::{Grammar, GrammarKind};
use serde_json::{Value, json};

use super::*;

/// Bytes as tokens 0 to 255, some longer tokens, a control token and an end of text.
const LONGER: [&str; 10] = ["{\"", "\":", " \"", "true", "null", "\",", "12", "}}", "name", "é"];
const SPECIAL: u32 = 256 + LONGER.len() as u32;
const END: u32 = SPECIAL + 1;
const VOCABULARY: u32 = END + 2;

fn tokenizer() -> Vec<u8> {
    let mut vocab = serde_json::Map::new();
    for byte in 0..=255u8 {
        vocab.insert(format!("<0x{byte:02X}>"), json!(byte));
    }
    for (index, text) in LONGER.iter().enumerate() {
        vocab.insert(text.replace(' ', "\u{2581}"), json!(256 + index));
    }
    let file = json!({
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}]},
        "added_tokens": [
            {"id": SPECIAL, "content": "<|tool|>", "special": true},
            {"id": END, "content": "<|end|>", "special": true},
        ],
        "model": {"vocab": vocab},
    });
    serde_json::to_vec(&file).unwrap()
}

fn grammars() -> Grammars {
    Grammars::new(&tokenizer(), VOCABULARY, &[END]).unwrap()
}

fn schema(value: &Value) -> Grammar {
    Grammar { kind: GrammarKind::JsonSchema, source: value.to_string() }
}

fn lark(source: &str) -> Grammar {
    Grammar { kind: GrammarKind::Lark, source: source.to_owned() }
}

fn regex(source: &str) -> Grammar {
    Grammar { kind: GrammarKind::Regex, source: source.to_owned() }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn compile(grammars: &Grammars, grammar: &Grammar) -> Result<GrammarConstraint, EngineError> {
    runtime().block_on(grammars.constraint(grammar, &BTreeSet::new()))
}

fn bytes(id: u32) -> Vec<u8> {
    match u8::try_from(id) {
        Ok(byte) => vec![byte],
        Err(_) => LONGER[id as usize - 256].as_bytes().to_vec(),
    }
}

/// A text of tokens drawn from those allowed; after a while those are preferred that come to an end.
fn generate(constraint: &mut dyn Constraint, seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = Vec::new();
    for step in 0..4_000 {
        let mask = constraint.mask().unwrap().unwrap();
        assert_eq!(mask.len(), VOCABULARY as usize);
        assert!(!mask.allows(SPECIAL) && !mask.allows(VOCABULARY - 1));
        let allowed: Vec<u32> = (0..VOCABULARY).filter(|id| mask.allows(*id)).collect();
        assert!(!allowed.is_empty());
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let [quote, brace, bracket] = [b'"', b'}', b']'].map(u32::from);
        // Where any letter may stand, a string is open.
        let open = mask.allows(u32::from(b'q')) && mask.allows(u32::from(b'Z'));
        let closing = if open { [quote, END, brace, bracket] } else { [END, brace, bracket, quote] };
        let preferred = closing.into_iter().find(|id| step > 60 && mask.allows(*id));
        // Exponents make numbers that no program reads.
        let exponent = |id: &u32| !open && [u32::from(b'e'), u32::from(b'E')].contains(id);
        let some: Vec<u32> = allowed.iter().copied().filter(|id| !exponent(id)).collect();
        let allowed = if some.is_empty() { allowed } else { some };
        let token = preferred.unwrap_or(allowed[(state % allowed.len() as u64) as usize]);
        let complete = constraint.accept(token).unwrap();
        if token != END {
            text.extend(bytes(token));
        }
        if complete {
            return String::from_utf8(text).unwrap();
        }
    }
    panic!("no end: {}", String::from_utf8_lossy(&text));
}

/// Texts of a schema, all JSON.
fn texts(grammars: &Grammars, grammar: &Grammar) -> Vec<Value> {
    let constraint = compile(grammars, grammar).unwrap();
    let make = |seed| {
        let text = generate(&mut *constraint.fork(), seed);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    (0..12).map(make).collect()
}

#[test]
fn objects_enums_and_arrays() {
    let grammars = grammars();
    let grammar = schema(&json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 5},
            "colour": {"type": "string", "enum": ["red", "green"]},
            "sizes": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 99}, "minItems": 1, "maxItems": 3},
            "inner": {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": false},
        },
        "required": ["name", "colour", "sizes", "inner"],
        "additionalProperties": false,
    }));
    for value in texts(&grammars, &grammar) {
        assert!(value["name"].as_str().unwrap().chars().count() <= 5);
        assert!(["red", "green"].contains(&value["colour"].as_str().unwrap()));
        let sizes = value["sizes"].as_array().unwrap();
        assert!((1..=3).contains(&sizes.len()));
        assert!(sizes.iter().all(|size| size.as_u64().unwrap() <= 99));
        assert!(value["inner"]["ok"].is_boolean());
        assert_eq!(value.as_object().unwrap().len(), 4);
    }
}

#[test]
fn recursion_by_references() {
    let grammars = grammars();
    let tree = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.com/tree",
        "$ref": "#/$defs/node",
        "$defs": {"node": {
            "type": "object",
            "properties": {
                "value": {"type": "boolean"},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}], "default": null},
            },
            "required": ["value", "next"],
            "additionalProperties": false,
        }},
    });
    fn check(value: &Value) {
        assert!(value["value"].is_boolean());
        if !value["next"].is_null() {
            check(&value["next"]);
        }
    }
    texts(&grammars, &schema(&tree)).iter().for_each(check);
    let list = json!({"type": "array", "items": {"$ref": "#"}, "maxItems": 2});
    assert!(texts(&grammars, &schema(&list)).iter().all(Value::is_array));
}

#[test]
fn unions() {
    let grammars = grammars();
    let of = |kind: &str, field: &str| {
        json!({
            "type": "object",
            "properties": {"kind": {"const": kind, "type": "string"}, field: {"type": "boolean"}},
            "required": ["kind", field],
            "additionalProperties": false,
        })
    };
    let union = json!({
        "oneOf": [{"$ref": "#/$defs/cat"}, {"$ref": "#/$defs/dog"}],
        "discriminator": {"propertyName": "kind"},
        "$defs": {"cat": of("cat", "purrs"), "dog": of("dog", "barks")},
    });
    for value in texts(&grammars, &schema(&union)) {
        assert!(value["purrs"].is_boolean() ^ value["barks"].is_boolean(), "{value}");
    }
    let vague = json!({"oneOf": [{"type": "object"}, {"type": "object", "minProperties": 1}]});
    assert!(refused(&grammars, &schema(&vague)).contains("use anyOf"));
}

#[test]
fn other_kinds() {
    let grammars = grammars();
    let object = Grammar { kind: GrammarKind::JsonObject, source: String::new() };
    assert!(texts(&grammars, &object).iter().all(Value::is_object));

    let mut constraint = compile(&grammars, &regex("[0-9]{2,3}/(abc|é)")).unwrap();
    let text = generate(&mut constraint, 3);
    let (digits, rest) = text.split_once('/').unwrap();
    assert!((2..=3).contains(&digits.len()) && ["abc", "é"].contains(&rest));

    let mut constraint = compile(&grammars, &lark("start: \"a\" (b | \"c\")~2..3\nb: /x+y/")).unwrap();
    let text = generate(&mut constraint, 5);
    assert!(text.starts_with('a'));
}

#[test]
fn ends_and_copies() {
    let grammars = grammars();
    let stop = BTreeSet::from([SPECIAL, u32::from(b'x')]);
    let made = runtime().block_on(grammars.constraint(&regex("a+"), &stop));
    let mut constraint = made.unwrap();
    let mask = constraint.mask().unwrap().unwrap();
    assert_eq!(mask.count(), 1, "only a: nothing ends an incomplete text");
    assert!(constraint.fork().accept(END).is_err());
    assert!(constraint.fork().accept(u32::from(b'x')).is_err());
    let mut other = constraint.fork();
    assert_eq!(constraint.accept(u32::from(b'a')), Ok(false));
    let mask = constraint.mask().unwrap().unwrap();
    assert!(mask.allows(u32::from(b'a')) && mask.allows(END) && mask.allows(SPECIAL));
    assert_eq!(mask.count(), 3, "a stop token that is text is the grammar's");
    assert_eq!(constraint.accept(SPECIAL), Ok(true));
    assert!(!other.mask().unwrap().unwrap().allows(END), "a copy has its own state");
    // A grammar that allows nothing more is complete by itself.
    let mut constraint = compile(&grammars, &regex("ab")).unwrap();
    assert_eq!(constraint.accept(u32::from(b'a')), Ok(false));
    assert_eq!(constraint.accept(u32::from(b'b')), Ok(true));
}

#[test]
fn masks_do_not_depend_on_what_was_before() {
    let grammars = grammars();
    let grammar = schema(&json!({"type": "object", "properties": {"a": {"type": "string"}}}));
    let first = generate(&mut compile(&grammars, &grammar).unwrap(), 7);
    for seed in 0..6 {
        generate(&mut compile(&grammars, &grammar).unwrap(), seed);
    }
    assert_eq!(generate(&mut compile(&grammars, &grammar).unwrap(), 7), first, "kept");
    assert_eq!(generate(&mut compile(&self::grammars(), &grammar).unwrap(), 7), first, "new");
}

#[test]
fn masks_are_what_can_follow() {
    let plain = Grammars::with_slices(&tokenizer(), VOCABULARY, &[END], &[]).unwrap();
    let sliced = grammars();
    let object =
        json!({"type": "object", "properties": {"name": {"type": "string"}, "n": {"type": "number"}}});
    for grammar in
        [schema(&object), regex("(é|x\\\\)+12?\"*"), lark("start: (\"{\" start \"}}\" | /[a-zé]+/)+")]
    {
        let (mut one, mut other) = (compile(&sliced, &grammar).unwrap(), compile(&plain, &grammar).unwrap());
        for step in 0..12usize {
            let mask = one.mask().unwrap().unwrap();
            assert_eq!(mask, other.mask().unwrap().unwrap(), "slices change nothing");
            let follows: Vec<u32> = (0..VOCABULARY).filter(|id| one.fork().accept(*id).is_ok()).collect();
            let allowed: Vec<u32> = (0..VOCABULARY).filter(|id| mask.allows(*id)).collect();
            assert_eq!(allowed, follows);
            let texts: Vec<u32> = allowed.into_iter().filter(|id| *id != END).collect();
            let Some(token) = texts.get(step * 31 % texts.len().max(1)) else { break };
            let complete = one.accept(*token).unwrap();
            assert_eq!(complete, other.accept(*token).unwrap());
            if complete {
                break;
            }
        }
    }
}

#[test]
fn more_grammars_than_are_kept() {
    let grammars = grammars();
    for index in 0..MAX_KEPT + 5 {
        compile(&grammars, &regex(&format!("a{{{}}}", index + 1))).unwrap();
    }
    assert_eq!(grammars.shared.kept.lock().unwrap().len(), MAX_KEPT);
}

fn refused(grammars: &Grammars, grammar: &Grammar) -> String {
    let error = compile(grammars, grammar).err().unwrap_or_else(|| panic!("taken: {grammar:?}"));
    assert_eq!(
        (error.kind, error.param.as_deref()),
        (ErrorKind::Invalid, Some("response_format")),
        "{error}"
    );
    assert!(error.message.len() < 2_000, "{error}");
    assert!(!error.message.contains("panic") && !error.message.contains("backtrace"), "{error}");
    error.message
}

#[test]
fn wrong_schemas() {
    let grammars = grammars();
    let cases = [
        (json!({"type": "string", "pattern": "(".repeat(200)}), "nested"),
        (json!({"patternProperties": {"a".repeat(9_000): {}}}), "bytes"),
        (json!([]), "must be an object"),
        (json!({"type": "thing"}), "thing"),
        (json!({"type": 5}), "type"),
        (json!({"properties": 5}), "object"),
        (json!({"not": {"type": "string"}}), "not"),
        (json!({"$ref": "https://example.com/schema.json"}), "within the schema"),
        (json!({"$ref": "#/$defs/missing"}), "nowhere"),
        (json!({"$ref": "#frag"}), "within the schema"),
        (json!({"type": "array", "minItems": 3, "maxItems": 2}), "minItems"),
        (json!({"type": "array", "maxItems": 4_000_000_000u64}), "maxItems"),
        (json!({"type": "array", "minItems": -1}), "minItems"),
        (json!({"type": "string", "pattern": "(["}), ""),
        (json!({"enum": []}), ""),
        (json!({"type": "object", "properties": {"a": {"$id": "x"}}}), "$id"),
        (json!({"$dynamicRef": "#x"}), "$dynamicRef"),
        (json!({"enum": 5, "description": "é".repeat(200)}), ""),
        (json!({"type": "string", "format": "nothing-known"}), ""),
        (json!({"type": "string", "minLength": "é".repeat(99)}), ""),
    ];
    for (value, part) in cases {
        let message = refused(&grammars, &schema(&value));
        assert!(message.contains(part), "{value}: {message}");
    }
    let text = Grammar { kind: GrammarKind::JsonSchema, source: "{\"type\": ".to_owned() };
    assert!(refused(&grammars, &text).contains("no JSON"));
}

#[test]
fn cyclic_and_deep_schemas() {
    let grammars = grammars();
    // Nothing fits a schema that is only itself.
    refused(&grammars, &schema(&json!({"$ref": "#"})));
    refused(
        &grammars,
        &schema(
            &json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
        ),
    );
    refused(&grammars, &schema(&json!({"anyOf": [{"$ref": "#"}]})));
    // Infinite texts only.
    refused(
        &grammars,
        &schema(
            &json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"], "allOf": [{"$ref": "#"}]}),
        ),
    );
    let message = refused(&grammars, &schema(&json!({"type": "object", "$ref": "#"})));
    assert!(message.contains("itself"), "{message}");
    let deep = |levels: usize| {
        let mut value = json!({"type": "null"});
        for _ in 0..levels {
            value = json!({"type": "array", "items": value});
        }
        schema(&value)
    };
    assert!(refused(&grammars, &deep(100)).contains("nested"));
    compile(&grammars, &deep(60)).map(drop).unwrap();
    let text = "[".repeat(30_000);
    refused(&grammars, &Grammar { kind: GrammarKind::JsonSchema, source: text });
    // A long chain of references is as deep as it is long.
    let chain = |links: usize| {
        let mut definitions = serde_json::Map::new();
        for link in 0..links {
            definitions.insert(format!("a{link}"), json!({"$ref": format!("#/$defs/a{}", link + 1)}));
        }
        definitions.insert(format!("a{links}"), json!({"type": "null"}));
        schema(&json!({"$ref": "#/$defs/a0", "$defs": definitions}))
    };
    compile(&grammars, &chain(500)).map(drop).unwrap();
    assert!(refused(&grammars, &chain(600)).contains("references"));
}

#[test]
fn schemas_that_multiply() {
    let grammars = grammars();
    // Each level holds the one before twice, and each copy is combined with something.
    let mut definitions = serde_json::Map::new();
    definitions.insert("a0".to_owned(), json!({"type": "object", "properties": {"x": {"type": "null"}}}));
    for level in 1..40 {
        let below = json!({"allOf": [{"$ref": format!("#/$defs/a{}", level - 1)}, {"type": "object"}]});
        definitions
            .insert(format!("a{level}"), json!({"type": "object", "properties": {"l": below, "r": below}}));
    }
    let doubled = schema(&json!({"$ref": "#/$defs/a39", "$defs": definitions}));
    assert!(refused(&grammars, &doubled).contains("multiply"));
    let many: Vec<Value> = (0..100).map(|n| json!({"type": "object", "minProperties": n})).collect();
    let product = schema(&json!({"allOf": [{"anyOf": many}, {"anyOf": many}, {"anyOf": many}]}));
    assert!(refused(&grammars, &product).contains("multiply"));
    // As people combine schemas.
    let usual = json!({
        "$defs": {"base": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}},
        "allOf": [{"$ref": "#/$defs/base"}, {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}],
    });
    for value in texts(&grammars, &schema(&usual)) {
        assert!(value["id"].is_i64() || value["id"].is_u64() || value["id"].is_number());
        assert!(value["ok"].is_boolean());
    }
}

#[test]
fn hostile_expressions() {
    let grammars = grammars();
    for source in ["", "(", "a\\", "[z-a]", "(?=a)b", "a{5,2}", "\\p{Nothing}"] {
        refused(&grammars, &regex(source));
    }
    assert!(refused(&grammars, &regex(&"(".repeat(100))).contains("nested"));
    assert!(refused(&grammars, &regex(&"a".repeat(20_000))).contains("bytes"));
    for source in [
        "",
        "start: nothing",
        "start: (",
        "start: start",
        "x: \"a\"",
        "start: %json {\"type\": \"object\"}",
        "start: <|no_such|>",
    ] {
        refused(&grammars, &lark(source));
    }
    assert!(refused(&grammars, &lark(&format!("start: {}", "(".repeat(3_000)))).contains("nested"));
    // Expensive ones end, one way or the other.
    for source in ["((a{1,1000}){1,1000}){1,1000}", "(.*a){30}", "(a|b|ab|ba)*c{500}", "[^a]*(x[^b]*){20}"] {
        let _ = compile(&grammars, &regex(source)).map(|mut constraint| constraint.mask().is_ok());
    }
    let _ =
        compile(&grammars, &lark("start: start start | \"a\" | start start start")).map(|mut constraint| {
            for _ in 0..20 {
                let step = constraint.mask().and_then(|_| constraint.accept(u32::from(b'a')));
                if step.is_err() {
                    break;
                }
            }
        });
}
