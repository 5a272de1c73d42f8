//! Requests for `/v1/embeddings`.

use serde_json::{Map, Value};

use super::completions::{Prompt, prompts};
use super::read::Fields;
use super::tuning;
use crate::error::{ApiError, shown};

/// Texts of one request.
pub(crate) const MAX_INPUTS: usize = 256;
/// The widest vector that can be asked for.
const MAX_DIMENSIONS: i64 = 1 << 20;

/// How vectors are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As numbers.
    #[default]
    Float,
    /// As base64 of little-endian 32-bit floats.
    Base64,
}

/// A request to turn texts into vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Embeddings {
    pub(crate) model: String,
    pub(crate) inputs: Vec<Prompt>,
    pub(crate) encoding: Encoding,
    pub(crate) dimensions: Option<u32>,
}

/// Reads a request.
pub(crate) fn embeddings(body: &Map<String, Value>) -> Result<Embeddings, ApiError> {
    let fields = Fields::new(body);
    let _ = tuning::user(fields)?;
    let encoding = match fields.text("encoding_format")? {
        None | Some("float") => Encoding::Float,
        Some("base64") => Encoding::Base64,
        Some(other) => {
            let problem = format!("is {:?}; float or base64 is expected", shown(other));
            return Err(ApiError::field("encoding_format", problem));
        }
    };
    Ok(Embeddings {
        model: super::model(fields)?,
        inputs: prompts(fields, "input", MAX_INPUTS)?,
        encoding,
        dimensions: fields.integer("dimensions", 1..=MAX_DIMENSIONS)?.map(|n| n as u32),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            (json!({"model": "m"}), "input"),
            (json!({"input": "a"}), "model"),
            (json!({"model": "m", "input": ""}), "input"),
            (json!({"model": "m", "input": "a", "encoding_format": "hex"}), "encoding_format"),
            (json!({"model": "m", "input": "a", "dimensions": 0}), "dimensions"),
        ];
        for (body, expected) in cases {
            let error = embeddings(body.as_object().expect("an object")).expect_err("an error");
            assert_eq!(error.told().1, Some(expected), "{body}");
        }
    }
}
