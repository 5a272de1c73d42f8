//! `/v1/embeddings`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use freeway_engines::ForwardPath;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::Server;
use super::body::JsonBody;
use super::completions::{fits, tokens};
use super::guard::Caller;
use super::prepare::not_here;
use crate::answer::{relay, sse};
use crate::error::{ApiError, ErrorBody};
use crate::wire::answers::{EmbeddingItem, EmbeddingList, EmbeddingUsage, Vector};
use crate::wire::embeddings::{self, Encoding};
use crate::wire::schemas::EmbeddingRequest;

/// Texts of one request that are computed at a time.
const AT_A_TIME: usize = 8;

/// Turns texts into vectors of length 1.
#[utoipa::path(post, path = "/v1/embeddings", tag = "inference", request_body = EmbeddingRequest, responses(
    (status = 200, description = "The vectors.", body = EmbeddingList),
    (status = "4XX", description = "The request is wrong, or too many are sent.", body = ErrorBody),
    (status = "5XX", description = "The gateway or an engine cannot answer now.", body = ErrorBody),
))]
pub(super) async fn embeddings(
    State(server): State<Arc<Server>>,
    caller: Caller,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let request = embeddings::embeddings(&body.map)?;
    let target = server.target(&request.model, &caller)?;
    let mut meter = server.meter(caller)?;
    if !target.capabilities.embeddings {
        return Err(not_here("this model gives no embeddings"));
    }
    if !target.capabilities.takes_tokens {
        return relay::relay(&server, &target.route, ForwardPath::Embeddings, body.map, meter).await;
    }
    drop(body);
    let model = server.texts.get(&target.route).await?;
    let text = Arc::clone(&model);
    let inputs = request.inputs;
    let inputs = server.aside(move || tokens(&text, "input", inputs)).await?;
    inputs.iter().try_for_each(|input| fits("input", input, &model))?;
    let route = &target.route;
    let embed = |input: Vec<u32>| async move { route.engine.embed(&route.theirs, input).await };
    let computed = stream::iter(inputs).map(embed).buffered(AT_A_TIME).try_collect::<Vec<_>>();
    let mut phases = server.phases();
    let vectors = tokio::select! {
        vectors = computed => vectors?,
        () = phases.cut() => return Err(sse::stopping()),
    };
    let prompt_tokens = vectors.iter().map(|vector| u64::from(vector.prompt_tokens)).sum();
    meter.prompt(prompt_tokens, 0);
    let mut data = Vec::with_capacity(vectors.len());
    for (index, vector) in vectors.into_iter().enumerate() {
        let width = vector.vector.len();
        if request.dimensions.is_some_and(|wanted| wanted as usize != width) {
            let problem = format!("must be {width} for this model, whose vectors cannot be shortened");
            return Err(ApiError::field("dimensions", problem));
        }
        let vector = unit(vector.vector);
        let embedding = match request.encoding {
            Encoding::Float => Vector::Float(vector),
            Encoding::Base64 => Vector::Base64(base64(&vector)),
        };
        data.push(EmbeddingItem { object: "embedding", index, embedding });
    }
    let usage = EmbeddingUsage { prompt_tokens, total_tokens: prompt_tokens };
    Ok(Json(EmbeddingList { object: "list", data, model: route.name.clone(), usage }).into_response())
}

/// The same direction with length 1. Sums in the order of the vector, in double precision: the same everywhere.
fn unit(vector: Vec<f32>) -> Vec<f32> {
    let square = vector.iter().fold(0.0f64, |sum, &x| sum + f64::from(x) * f64::from(x));
    let length = square.sqrt();
    if length == 0.0 {
        return vector;
    }
    vector.into_iter().map(|x| (f64::from(x) / length) as f32).collect()
}

/// Base64 of little-endian floats, padded.
fn base64(vector: &[f32]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_floats() {
        assert_eq!(base64(&[]), "");
        assert_eq!(base64(&[1.0]), "AACAPw==");
        assert_eq!(base64(&[1.0, -2.0]), "AACAPwAAAMA=");
        assert_eq!(base64(&[1.0, -2.0, 0.5]), "AACAPwAAAMAAAAA/");
    }

    #[test]
    fn length_one() {
        assert_eq!(unit(vec![3.0, 4.0]), [0.6, 0.8]);
        assert_eq!(unit(vec![0.0, 0.0]), [0.0, 0.0]);
    }
}
