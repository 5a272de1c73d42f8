//! How `config.json` states rotary positions, in its older and its newer form.

use serde_json::Value;

use super::{Json, unsupported};
use crate::rope::{Scaling, yarn_magnitude};
use crate::source::SourceError;
use crate::text::short;

/// The base of rope where nothing is said.
const DEFAULT_BASE: f64 = 10_000.0;

/// The base and the scaling; `trained` positions are what the model was made for.
pub(super) fn read(json: &Json, trained: f64) -> Result<(f64, Scaling), SourceError> {
    let key = if json.get("rope_parameters").is_some() { "rope_parameters" } else { "rope_scaling" };
    let own = json.float("rope_theta")?;
    let Some(value) = json.get(key) else { return Ok((own.unwrap_or(DEFAULT_BASE), Scaling::None)) };
    let inner = Json { file: json.file.clone(), value: value.clone() };
    if !value.is_object() {
        return Err(json.wrong(key, "an object"));
    }
    let base = inner.float("rope_theta")?.or(own).unwrap_or(DEFAULT_BASE);
    if inner.float("partial_rotary_factor")?.is_some_and(|factor| factor != 1.0) {
        return Err(unsupported("`partial_rotary_factor` other than 1 is not supported"));
    }
    let kind = inner.get("rope_type").or(inner.get("type")).and_then(Value::as_str).unwrap_or("default");
    let needed =
        |name: &str| inner.float(name)?.ok_or_else(|| json.wrong(name, "given with this scaling of rope"));
    let original = inner.float("original_max_position_embeddings")?;
    let scaling = match kind {
        "default" => Scaling::None,
        "linear" => Scaling::Linear { factor: needed("factor")? },
        "llama3" => Scaling::Llama3 {
            factor: needed("factor")?,
            low: needed("low_freq_factor")?,
            high: needed("high_freq_factor")?,
            original: original.unwrap_or(trained),
        },
        "yarn" => {
            let factor = needed("factor")?;
            let magnitude = match (
                inner.float("attention_factor")?,
                inner.float("mscale")?,
                inner.float("mscale_all_dim")?,
            ) {
                (Some(given), ..) => Some(given),
                // A zero counts as not given.
                (None, Some(one), Some(all)) if one != 0.0 && all != 0.0 => {
                    Some(yarn_magnitude(factor, one) / yarn_magnitude(factor, all))
                }
                _ => None,
            };
            Scaling::Yarn {
                factor,
                original: original.unwrap_or(trained),
                fast: inner.float("beta_fast")?.unwrap_or(32.0),
                slow: inner.float("beta_slow")?.unwrap_or(1.0),
                magnitude,
                whole: inner.flag("truncate")?.unwrap_or(true),
            }
        }
        other => {
            return Err(unsupported(format!(
                "rope scaling {:?} is not supported; supported are linear, llama3 and yarn",
                short(other)
            )));
        }
    };
    Ok((base, scaling))
}
