//! What is said over HTTP: requests, read strictly where it matters and tolerantly elsewhere, and answers.

pub(crate) mod answers;
pub(crate) mod chat;
pub(crate) mod completions;
pub(crate) mod embeddings;
pub(crate) mod read;
pub(crate) mod schemas;
pub(crate) mod tools;
pub(crate) mod tuning;

use crate::error::ApiError;
use read::Fields;

/// Characters of a model's name.
const MAX_MODEL_CHARACTERS: usize = 256;

/// The model that a request asks for.
pub(crate) fn model(fields: Fields<'_>) -> Result<String, ApiError> {
    let name = fields.required_text("model")?;
    let length = name.chars().count();
    if length == 0 || length > MAX_MODEL_CHARACTERS {
        let problem = format!("has {length} characters; a name of 1 to {MAX_MODEL_CHARACTERS} is expected");
        return Err(ApiError::field("model", problem));
    }
    Ok(name.to_owned())
}
