//! Reading JSON that others wrote. A body is parsed whole, then read field by field, so that every error can name
//! its field. Unknown fields are ignored, `null` is as good as absent, and whole numbers may be written `5.0`.

use core::ops::RangeInclusive;

use freeway_requests::Q16;
use serde_json::{Map, Value};

use crate::error::{ApiError, shown};

/// Parses a body. The parser refuses more than 128 levels.
pub(crate) fn body(bytes: &[u8]) -> Result<Map<String, Value>, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::bad_request("invalid_json", "the body is empty; a JSON object is expected"));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => {
            let message = format!("the body is {}; a JSON object is expected", kind(&other));
            Err(ApiError::bad_request("invalid_type", message))
        }
        // It names line and column.
        Err(error) => Err(ApiError::bad_request(
            "invalid_json",
            format!("the body is not valid JSON: {}", shown(&error.to_string())),
        )),
    }
}

/// What a value is, in words.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// An error about the type of `value`.
pub(crate) fn wrong(name: &str, value: &Value, expected: &str) -> ApiError {
    ApiError::field(name, format!("is {}; {expected} is expected", kind(value))).code("invalid_type")
}

/// An error about a field that is not there.
pub(crate) fn missing(name: &str) -> ApiError {
    ApiError::field(name, "is missing").code("missing_required_parameter")
}

/// The fields of an object.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    pub(crate) fn new(map: &'a Map<String, Value>) -> Self {
        Self(map)
    }

    /// The fields of `value`, which is called `name`.
    pub(crate) fn of(name: &str, value: &'a Value) -> Result<Self, ApiError> {
        value.as_object().map(Self).ok_or_else(|| wrong(name, value, "an object"))
    }

    /// A field that is there and not null.
    pub(crate) fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(self, name: &str) -> Result<Option<&'a str>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| wrong(name, value, "a string"))
    }

    pub(crate) fn required_text(self, name: &str) -> Result<&'a str, ApiError> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    pub(crate) fn flag(self, name: &str) -> Result<Option<bool>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| wrong(name, value, "true or false"))
    }

    pub(crate) fn list(self, name: &str) -> Result<Option<&'a [Value]>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_array().map(|list| Some(list.as_slice())).ok_or_else(|| wrong(name, value, "an array"))
    }

    pub(crate) fn object(self, name: &str) -> Result<Option<Fields<'a>>, ApiError> {
        self.get(name).map(|value| Self::of(name, value)).transpose()
    }

    pub(crate) fn map(self, name: &str) -> Result<Option<&'a Map<String, Value>>, ApiError> {
        Ok(self.object(name)?.map(|fields| fields.0))
    }

    /// A whole number within `range`.
    pub(crate) fn integer(self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let Some(number) = whole(value) else { return Err(wrong(name, value, "a whole number")) };
        let (low, high) = range.into_inner();
        if let Some(number) = i64::try_from(number).ok().filter(|number| (low..=high).contains(number)) {
            return Ok(Some(number));
        }
        Err(ApiError::field(name, format!("is {number}; it can be {low} to {high}")))
    }

    /// A number within `low` to `high`, as `convert` reads its decimal text.
    pub(crate) fn decimal<T: PartialOrd, E>(
        self,
        name: &str,
        convert: impl Fn(&str) -> Result<T, E>,
        (low, high): (&str, &str),
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        decimal(name, value, convert, (low, high)).map(Some)
    }
}

/// See [`Fields::decimal`].
pub(crate) fn decimal<T: PartialOrd, E>(
    name: &str,
    value: &Value,
    convert: impl Fn(&str) -> Result<T, E>,
    (low, high): (&str, &str),
) -> Result<T, ApiError> {
    let Value::Number(number) = value else { return Err(wrong(name, value, "a number")) };
    let text = number.to_string();
    let outside = || ApiError::field(name, format!("is {}; it can be {low} to {high}", shown(&text)));
    // Rounding to fixed point must not let through what is outside: the exact comparison is of the float's text.
    let number = number.as_f64().ok_or_else(outside)?;
    let bound = |text: &str| text.parse::<f64>().ok();
    if bound(low).is_some_and(|low| number < low) || bound(high).is_some_and(|high| number > high) {
        return Err(outside());
    }
    convert(&text).map_err(|_| outside())
}

/// A number in fixed point.
pub(crate) fn q16(text: &str) -> Result<Q16, ()> {
    Q16::from_decimal(text).map_err(drop)
}

/// A whole number, however it is written.
pub(crate) fn whole(value: &Value) -> Option<i128> {
    let number = value.as_number()?;
    if let Some(whole) = number.as_i128() {
        return Some(whole);
    }
    // Larger ones are outside every range here.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let float = number.as_f64()?;
    (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i128)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(text: &[u8]) -> String {
        body(text).expect_err("an error").told().2.to_owned()
    }

    #[test]
    fn errors_of_json_name_the_place() {
        assert!(parse(b"{\"a\":1,\n \"b\":}").contains("line 2 column 6"));
        assert!(parse(b"  \n").contains("empty"));
        assert!(parse(b"[1]").contains("is an array"));
        assert!(parse(br#"{"a":"\ud800"}"#).contains("hex escape"));
        assert!(parse(br#"{"a":"\udc00 x"}"#).contains("surrogate"));
        assert!(parse(b"{\"a\":\"\xff\"}").contains("unicode"));
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert!(parse(deep.as_bytes()).contains("recursion limit"));
    }

    #[test]
    fn null_is_absent_and_whole_floats_are_whole() {
        let map = json!({"a": null, "b": 5.0, "c": 5.5, "d": 1e300, "e": u64::MAX});
        let fields = Fields::of("x", &map).expect("an object");
        assert_eq!(fields.integer("a", 0..=9), Ok(None));
        assert_eq!(fields.integer("b", 0..=9), Ok(Some(5)));
        assert!(fields.integer("c", 0..=9).is_err());
        assert!(fields.integer("d", 0..=9).is_err());
        let error = fields.integer("e", i64::MIN..=i64::MAX).expect_err("too large");
        assert!(error.told().2.starts_with("is 18446744073709551615"), "{error:?}");
    }

    #[test]
    fn decimals_are_read_by_their_text() {
        let map = json!({"a": 0.7, "b": 2.000001, "c": 1e-300, "d": "1", "e": -0.000001});
        let fields = Fields::of("x", &map).expect("an object");
        let read = |name| fields.decimal(name, q16, ("0", "2"));
        assert_eq!(read("a"), Ok(Some(Q16::from_decimal("0.7").expect("a number"))));
        assert!(read("b").is_err());
        assert_eq!(read("c"), Ok(Some(Q16::ZERO)));
        assert!(read("d").is_err());
        assert!(read("e").is_err());
    }
}
