//! Reading paths and queries, so that every error names its parameter.

use core::fmt::Display;
use core::str::FromStr;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use freeway_primitives::Height;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// The query of a request. Its fields are `Option<String>` and unknown ones are refused: a typing error in a
/// parameter's name must not look like an answer.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(query)| Self(query))
            .map_err(|error| ApiError::bad_request("bad_query", error.to_string()))
    }
}

/// The variable parts of a path.
pub(crate) struct Place<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Place<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(place)| Self(place))
            .map_err(|error| ApiError::bad_request("bad_path", error.body_text()))
    }
}

/// The only query of endpoints that have none.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// A query for some height.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AtHeight {
    pub(crate) height: Option<String>,
}

/// A query for a page of a list.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    after: Option<String>,
    limit: Option<String>,
}

impl ListQuery {
    /// After which number the page begins, and how long it may be: `default` if nothing is said, at most `most`.
    pub(crate) fn read_number(&self, default: u64, most: u64) -> Result<(Option<u64>, usize), ApiError> {
        let after = self.after.as_deref().map(|after| number("after", after)).transpose()?;
        Ok((after, self.limit(default, most)?))
    }

    /// The same for lists by what has a text of its own: addresses, digests.
    pub(crate) fn read<T: FromStr<Err: Display>>(
        &self,
        default: u64,
        most: u64,
    ) -> Result<(Option<T>, usize), ApiError> {
        let after = self.after.as_deref().map(|after| value("after", after)).transpose()?;
        Ok((after, self.limit(default, most)?))
    }

    fn limit(&self, default: u64, most: u64) -> Result<usize, ApiError> {
        let limit = limit("limit", self.limit.as_deref(), default, most)?;
        Ok(usize::try_from(limit).unwrap_or(usize::MAX))
    }
}

/// A value that has a text of its own.
pub(crate) fn value<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|error| ApiError::parameter(name, error))
}

/// A number; no sign, no spaces.
pub(crate) fn number(name: &str, text: &str) -> Result<u64, ApiError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = if digits { text.parse().ok() } else { None };
    parsed.ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        ApiError::parameter(name, format!("{shown:?} is not a number"))
    })
}

/// A height.
pub(crate) fn height(name: &str, text: &str) -> Result<Height, ApiError> {
    number(name, text).map(Height)
}

/// A number that may be missing, between 1 and `most`.
pub(crate) fn limit(name: &str, text: Option<&str>, default: u64, most: u64) -> Result<u64, ApiError> {
    let Some(text) = text else { return Ok(default) };
    let limit = number(name, text)?;
    if (1..=most).contains(&limit) {
        Ok(limit)
    } else {
        Err(ApiError::parameter(name, format!("{limit} is out of range; it can be 1 to {most}")))
    }
}
