//! A token request in the words of the completions interface, with the usual extensions of vLLM and llama.cpp.

use freeway_requests::{Q16, Share, TokenRequest};
use serde_json::{Map, Value, json};

/// What tells one choice of a request from the others: seeds of servers are numbers.
const SEED_MASK: u32 = 0x7fff_ffff;

/// The body that asks for choice `choice` of `request`, after `prompt` in the server's form. Whether a server stops at
/// its own ends of text is told by `ends`.
///
/// Stop tokens go as tokens, never as strings: a string would also be found within other tokens. A server that does not
/// know them goes on, and its answer is cut.
pub(super) fn body(request: &TokenRequest, choice: u16, prompt: Value, ends: bool) -> Map<String, Value> {
    let sampling = &request.sampling;
    let penalty = number(sampling.repetition_penalty);
    let body = json!({
        "prompt": prompt,
        "max_tokens": request.max_tokens,
        "temperature": number(sampling.temperature),
        "top_k": sampling.top_k,
        // None at all is refused by some, and the smallest share leaves the same one token.
        "top_p": share(Share(sampling.top_p.0.max(1))),
        "min_p": share(sampling.min_p),
        "repetition_penalty": penalty,
        "repeat_penalty": penalty,
        "repeat_last_n": -1,
        "presence_penalty": number(sampling.presence_penalty),
        "frequency_penalty": number(sampling.frequency_penalty),
        // The order of the contract, for llama.cpp, whose own has the temperature last.
        "samplers": ["penalties", "temperature", "top_k", "top_p", "min_p"],
        "seed": seed(request, choice),
        "stop_token_ids": request.stop,
        "ignore_eos": !ends,
        // Tokens are told beside their likelihood, so it is always asked for.
        "logprobs": request.top_logprobs.unwrap_or(0).max(1),
        "return_tokens_as_token_ids": true,
    });
    let Value::Object(mut body) = body else { return Map::new() };
    if !sampling.logit_bias.is_empty() {
        let biases =
            sampling.logit_bias.iter().map(|(token, bias)| (token.to_string(), json!(number(*bias))));
        body.insert("logit_bias".to_owned(), Value::Object(biases.collect()));
    }
    body
}

/// Both types are exact in a float.
fn number(value: Q16) -> f64 {
    f64::from(value.0) / f64::from(Q16::ONE.0)
}

fn share(value: Share) -> f64 {
    f64::from(value.0) / f64::from(Share::ONE.0)
}

/// A number that servers take, so that the same request is likely to give the same answer.
fn seed(request: &TokenRequest, choice: u16) -> u32 {
    let [a, b, c, d, ..] = request.seed.0;
    u32::from_le_bytes([a, b, c, d]).wrapping_add(u32::from(choice)) & SEED_MASK
}
