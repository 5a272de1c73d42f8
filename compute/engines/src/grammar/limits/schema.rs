//! The size of a JSON schema once it is combined.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::EngineError;
use crate::error::shown;
use crate::grammar::invalid;
use crate::grammar::limits::expression;

/// How deeply objects and arrays may be nested.
const MAX_DEPTH: usize = 64;
/// References.
const MAX_REFERENCES: usize = 512;
/// Keys of `patternProperties`, which are compared with each other.
const MAX_PATTERNS: usize = 16;
/// The largest of the numbers that count items, characters or properties.
const MAX_COUNT: u64 = 65_536;
/// The largest size of a schema, its combinations multiplied out.
const MAX_SIZE: u64 = 100_000;

/// Keywords that say nothing about the text.
const ANNOTATIONS: [&str; 15] = [
    "$anchor",
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "contentEncoding",
    "contentMediaType",
    "default",
    "definitions",
    "description",
    "examples",
    "id",
    "readOnly",
    "title",
    "writeOnly",
];
/// Keywords that count.
const COUNTS: [&str; 6] =
    ["minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"];

/// Checks a schema.
pub(super) fn check(root: &Value) -> Result<(), EngineError> {
    if !root.is_object() {
        return Err(invalid("a schema must be an object"));
    }
    let mut form = Form::default();
    form.check(root, 0)?;
    let mut sizes = Sizes { root, of_references: HashMap::new() };
    // Definitions are compiled when they are used, and each once unless it takes part in a combination.
    let mut total = 0u64;
    for pointer in core::iter::once("").chain(form.references.iter().map(String::as_str)) {
        let target = resolve(root, pointer)?;
        total = total.saturating_add(sizes.size(target, false)?);
        if total > MAX_SIZE {
            return Err(too_large());
        }
    }
    Ok(())
}

fn too_large() -> EngineError {
    invalid(
        "its combinations (allOf, anyOf, $ref beside other keywords) multiply to a very large schema; simplify it",
    )
}

/// What can be seen without following references.
#[derive(Default)]
struct Form<'a> {
    /// Different ones, in order.
    references: Vec<String>,
    seen: HashMap<&'a str, ()>,
    count: usize,
    patterns: usize,
}

impl<'a> Form<'a> {
    fn check(&mut self, value: &'a Value, depth: usize) -> Result<(), EngineError> {
        if depth > MAX_DEPTH {
            return Err(invalid(format!("it is nested more than {MAX_DEPTH} deep")));
        }
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    self.keyword(key, value, depth)?;
                    self.check(value, depth + 1)?;
                }
                Ok(())
            }
            Value::Array(items) => items.iter().try_for_each(|item| self.check(item, depth + 1)),
            _ => Ok(()),
        }
    }

    fn keyword(&mut self, key: &str, value: &'a Value, depth: usize) -> Result<(), EngineError> {
        match (key, value) {
            ("$ref", Value::String(reference)) => {
                self.count += 1;
                if self.count > MAX_REFERENCES {
                    return Err(invalid(format!("it has more than {MAX_REFERENCES} references")));
                }
                if self.seen.insert(reference, ()).is_none() {
                    self.references.push(pointer(reference)?);
                }
            }
            ("$dynamicRef" | "$recursiveRef", _) => {
                return Err(invalid(format!("{key} is not supported; use $ref")));
            }
            // They would give references another meaning; those of the whole schema are taken off before.
            ("$id" | "$schema", Value::String(_)) if depth > 0 => {
                return Err(invalid(format!("{key} is not supported but at the top of the schema")));
            }
            ("patternProperties", Value::Object(patterns)) => {
                self.patterns += patterns.len();
                if self.patterns > MAX_PATTERNS {
                    return Err(invalid(format!("it has more than {MAX_PATTERNS} patterns of properties")));
                }
                patterns.keys().try_for_each(|pattern| expression(pattern))?;
            }
            ("pattern", Value::String(pattern)) => expression(pattern)?,
            (_, Value::Number(number)) if COUNTS.contains(&key) => {
                let fits = number.as_u64().is_some_and(|count| count <= MAX_COUNT);
                if !fits {
                    return Err(invalid(format!("{key} must be a whole number up to {MAX_COUNT}")));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The pointer in a reference within the schema.
fn pointer(reference: &str) -> Result<String, EngineError> {
    let bad = || {
        let shown = shown(reference);
        invalid(format!("reference {shown:?} is not within the schema; only '#' and '#/...' are supported"))
    };
    let path = reference.strip_prefix('#').ok_or_else(bad)?;
    if !path.is_empty() && !path.starts_with('/') {
        return Err(bad());
    }
    // Percent signs encode bytes in the fragment of a URI.
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let digits = tail.get(..2).and_then(|hex| core::str::from_utf8(hex).ok()).ok_or_else(bad)?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| bad())?);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

fn resolve<'a>(root: &'a Value, pointer: &str) -> Result<&'a Value, EngineError> {
    root.pointer(pointer).ok_or_else(|| {
        invalid(format!("reference {:?} leads nowhere; define it in $defs", shown(&format!("#{pointer}"))))
    })
}

/// Sizes of schemas.
struct Sizes<'a> {
    root: &'a Value,
    /// Sizes of what references lead to, where they are copied; `None` while it is being found.
    of_references: HashMap<String, Option<u64>>,
}

impl Sizes<'_> {
    /// The size of a schema. In a combination, what its references lead to is copied and counts too.
    fn size(&mut self, schema: &Value, combined: bool) -> Result<u64, EngineError> {
        let Value::Object(object) = schema else {
            return match schema {
                Value::Array(items) => self.sum(items, combined),
                _ => Ok(0),
            };
        };
        let parts = parts(object);
        let combined = combined || parts > 1;
        let mut plain = 1u64;
        let mut product = 1u64;
        for (key, value) in object {
            let factor = match (key.as_str(), value) {
                ("allOf", Value::Array(items)) => {
                    let mut product = 1u64;
                    for item in items {
                        product = product.saturating_mul(self.size(item, combined)?.max(1));
                    }
                    product
                }
                ("anyOf" | "oneOf" | "enum" | "const" | "type", value) => {
                    1u64.saturating_add(self.size(value, combined)?)
                }
                ("$ref", Value::String(reference)) if combined => self.copied(reference)?,
                ("properties" | "patternProperties", Value::Object(properties)) => {
                    for value in properties.values() {
                        plain = plain.saturating_add(self.size(value, combined)?.max(1));
                    }
                    1
                }
                (key, _) if ANNOTATIONS.contains(&key) => 1,
                (_, value) => {
                    plain = plain.saturating_add(self.size(value, combined)?);
                    1
                }
            };
            product = product.saturating_mul(factor);
        }
        let size = product.saturating_mul(plain);
        if size > MAX_SIZE { Err(too_large()) } else { Ok(size) }
    }

    fn sum(&mut self, items: &[Value], combined: bool) -> Result<u64, EngineError> {
        let mut sum = 0u64;
        for item in items {
            sum = sum.saturating_add(self.size(item, combined)?.max(1));
        }
        Ok(sum)
    }

    /// The size of a copy of what `reference` leads to.
    fn copied(&mut self, reference: &str) -> Result<u64, EngineError> {
        let pointer = pointer(reference)?;
        match self.of_references.get(&pointer) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => {
                return Err(invalid(format!(
                    "{:?} refers to itself inside allOf or beside other keywords; a recursive $ref must stand alone",
                    shown(reference)
                )));
            }
            None => {}
        }
        self.of_references.insert(pointer.clone(), None);
        let target = resolve(self.root, &pointer)?;
        let size = self.size(target, true)?.max(1);
        self.of_references.insert(pointer, Some(size));
        Ok(size)
    }
}

/// How many parts of a schema are combined with each other: its own keywords are one, each applicator is another.
fn parts(object: &Map<String, Value>) -> usize {
    let mut own = false;
    let mut parts = 0usize;
    for (key, value) in object {
        match (key.as_str(), value) {
            ("allOf", Value::Array(items)) => parts += items.len(),
            ("anyOf" | "oneOf" | "enum" | "const" | "$ref", _) => parts += 1,
            (key, _) if ANNOTATIONS.contains(&key) => {}
            _ => own = true,
        }
    }
    parts + usize::from(own)
}
