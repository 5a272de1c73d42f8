//! What chat and plain completions have in common: how tokens are chosen and when to stop.

use freeway_requests::{Q16, Sampling, Share};

use super::read::{self, Fields, q16, whole, wrong};
use crate::error::{ApiError, shown};

/// Choices of one request.
pub(crate) const MAX_CHOICES: i64 = 16;
/// Stop strings of one request.
pub(crate) const MAX_STOPS: usize = 4;
/// Characters of one stop string.
pub(crate) const MAX_STOP_CHARACTERS: usize = 512;
/// Most likely tokens that are told for each token.
pub(crate) const MAX_TOP: i64 = 20;
/// Tokens of a completion that can be asked for.
pub(crate) const MAX_TOKENS: i64 = freeway_requests::MAX_NEW_TOKENS as i64;
/// Ids in `top_k`: more than any vocabulary.
const MAX_TOP_K: i64 = 1 << 20;

/// How tokens are chosen, and when to stop.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tuning {
    pub(crate) sampling: Sampling,
    pub(crate) choices: u16,
    pub(crate) seed: Option<i64>,
    pub(crate) stops: Vec<String>,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
}

/// Reads them.
pub(crate) fn tuning(fields: Fields<'_>) -> Result<Tuning, ApiError> {
    let stream = fields.flag("stream")?.unwrap_or(false);
    let include_usage = match fields.object("stream_options")? {
        Some(options) => {
            options.flag("include_usage").map_err(|e| e.within("stream_options"))?.unwrap_or(false)
        }
        None => false,
    };
    let _ = user(fields)?;
    Ok(Tuning {
        sampling: sampling(fields)?,
        choices: fields.integer("n", 1..=MAX_CHOICES)?.map_or(1, |n| n as u16),
        seed: fields.integer("seed", i64::MIN..=i64::MAX)?,
        stops: stops(fields)?,
        stream,
        include_usage,
    })
}

/// Who asks, by the client's word: checked, and not used.
pub(crate) fn user(fields: Fields<'_>) -> Result<Option<&str>, ApiError> {
    fields.text("user")
}

fn sampling(fields: Fields<'_>) -> Result<Sampling, ApiError> {
    let share = |text: &str| Share::from_decimal(text).map_err(drop);
    let penalty = |name| fields.decimal(name, q16, ("-2", "2"));
    let off = Sampling::default();
    let mut sampling = Sampling {
        temperature: fields.decimal("temperature", q16, ("0", "2"))?.unwrap_or(off.temperature),
        top_p: fields.decimal("top_p", share, ("0", "1"))?.unwrap_or(off.top_p),
        min_p: fields.decimal("min_p", share, ("0", "1"))?.unwrap_or(off.min_p),
        // Other servers write "off" as -1.
        top_k: fields.integer("top_k", -1..=MAX_TOP_K)?.map_or(off.top_k, |k| k.max(0) as u32),
        repetition_penalty: fields
            .decimal("repetition_penalty", q16, ("0.0625", "16"))?
            .unwrap_or(off.repetition_penalty),
        frequency_penalty: penalty("frequency_penalty")?.unwrap_or(off.frequency_penalty),
        presence_penalty: penalty("presence_penalty")?.unwrap_or(off.presence_penalty),
        ..off
    };
    if let Some(bias) = fields.map("logit_bias")? {
        if bias.len() > freeway_requests::MAX_LOGIT_BIAS {
            let problem =
                format!("has {} entries; {} are allowed", bias.len(), freeway_requests::MAX_LOGIT_BIAS);
            return Err(ApiError::field("logit_bias", problem));
        }
        for (id, value) in bias {
            let token = token_id(id).ok_or_else(|| {
                let problem = format!("has the key {:?}; token ids are expected as keys", shown(id));
                ApiError::field("logit_bias", problem)
            })?;
            let value: Q16 =
                read::decimal(id, value, q16, ("-100", "100")).map_err(|error| error.within("logit_bias"))?;
            sampling.logit_bias.insert(token, value);
        }
    }
    Ok(sampling)
}

/// A token id as the key of an object.
fn token_id(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn stops(fields: Fields<'_>) -> Result<Vec<String>, ApiError> {
    let Some(value) = fields.get("stop") else { return Ok(Vec::new()) };
    let one = core::slice::from_ref(value);
    let list = match value {
        serde_json::Value::Array(list) => list.as_slice(),
        serde_json::Value::String(_) => one,
        other => return Err(wrong("stop", other, "a string or an array of strings")),
    };
    if list.len() > MAX_STOPS {
        return Err(ApiError::field("stop", format!("has {} strings; {MAX_STOPS} are allowed", list.len())));
    }
    let mut stops = Vec::with_capacity(list.len());
    for value in list {
        let Some(text) = value.as_str() else { return Err(wrong("stop", value, "a string")) };
        let length = text.chars().count();
        if length == 0 || length > MAX_STOP_CHARACTERS {
            let problem =
                format!("has a string of {length} characters; 1 to {MAX_STOP_CHARACTERS} are allowed");
            return Err(ApiError::field("stop", problem));
        }
        stops.push(text.to_owned());
    }
    Ok(stops)
}

/// A limit of tokens.
pub(crate) fn max_tokens(fields: Fields<'_>, name: &str, least: i64) -> Result<Option<u32>, ApiError> {
    Ok(fields.integer(name, least..=MAX_TOKENS)?.map(|tokens| tokens as u32))
}

/// Token ids of a prompt.
pub(crate) fn tokens(name: &str, list: &[serde_json::Value]) -> Result<Vec<u32>, ApiError> {
    let id = |(index, value)| {
        whole(value).and_then(|id| u32::try_from(id).ok()).ok_or_else(|| {
            ApiError::field(
                &format!("{name}[{index}]"),
                "is not a token id; a whole number from 0 is expected",
            )
        })
    };
    list.iter().enumerate().map(id).collect()
}
