//! Scoring by servers that tell the log-probabilities of their prompt, as vLLM does.

use freeway_requests::{LogProb, Scored};
use serde_json::{Map, Value, json};

use super::http::bad;
use crate::{EngineError, ScoreJob, Scores};

/// Micro-nats in a nat.
const MICRO: f64 = 1e6;

/// The request that scores `job` with the server's model `model`.
pub(super) fn request(model: &str, job: &ScoreJob) -> Value {
    let tokens: Vec<u32> = job.prompt.iter().chain(&job.continuation).copied().collect();
    json!({
        "model": model,
        "prompt": tokens,
        "max_tokens": 1,
        "temperature": 0,
        "prompt_logprobs": job.top.max(1),
    })
}

/// The scores in its answer.
pub(super) fn scores(job: &ScoreJob, answer: &Value) -> Result<Scores, EngineError> {
    let wrong = |what: &str| bad(format!("the upstream server's log-probabilities cannot be used: {what}"));
    let listed = answer.pointer("/choices/0/prompt_logprobs").or_else(|| answer.get("prompt_logprobs"));
    let listed = listed.and_then(Value::as_array).ok_or_else(|| wrong("there are none"))?;
    if listed.len() != job.prompt.len() + job.continuation.len() {
        return Err(wrong("they are not one for each token"));
    }
    let of_continuation = listed.iter().skip(job.prompt.len());
    let tokens = of_continuation.zip(&job.continuation).map(|(entry, token)| {
        let entry = entry.as_object().ok_or_else(|| wrong("a token has none"))?;
        scored(entry, *token, job.top).ok_or_else(|| wrong("a token is missing among them"))
    });
    Ok(Scores { tokens: tokens.collect::<Result<_, _>>()?, trace: None, cached_tokens: 0 })
}

/// Whether an answer to [`request`] has log-probabilities of its prompt.
pub(super) fn has_scores(answer: &Value) -> bool {
    let listed = answer.pointer("/choices/0/prompt_logprobs").or_else(|| answer.get("prompt_logprobs"));
    listed.is_some_and(Value::is_array)
}

fn scored(entry: &Map<String, Value>, token: u32, top: u8) -> Option<Scored> {
    let mut best = Vec::with_capacity(entry.len());
    for (id, value) in entry {
        best.push((id.parse::<u32>().ok()?, logprob(value.get("logprob")?.as_f64()?)));
    }
    best.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let logprob = best.iter().find(|(id, _)| *id == token)?.1;
    let own = entry.get(&token.to_string())?;
    let rank = own.get("rank").and_then(Value::as_u64).and_then(|rank| u32::try_from(rank).ok())?;
    best.truncate(usize::from(top));
    Some(Scored { logprob, rank: rank.max(1), top: best })
}

pub(super) fn logprob(nats: f64) -> LogProb {
    // The conversion saturates; a server's "minus infinity" becomes the floor, and no number becomes 0.
    LogProb(((nats * MICRO).round() as i32).clamp(LogProb::FLOOR.0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_servers_say() {
        let job = ScoreJob { prompt: vec![5], continuation: vec![7], top: 1 };
        let entry = json!({"7": {"logprob": -0.5, "rank": 2}, "9": {"logprob": -0.1, "rank": 1}});
        let answer = json!({"choices": [{"prompt_logprobs": [null, entry]}]});
        let scores = scores(&job, &answer).unwrap();
        assert_eq!(scores.tokens[0].logprob, LogProb(-500_000));
        assert_eq!(scores.tokens[0].rank, 2);
        assert_eq!(scores.tokens[0].top, [(9, LogProb(-100_000))]);
        assert_eq!(logprob(f64::NEG_INFINITY), LogProb::FLOOR);
        assert_eq!(logprob(3.0), LogProb(0));
    }

    #[test]
    fn hostile_answers() {
        let job = ScoreJob { prompt: vec![5], continuation: vec![7], top: 1 };
        for listed in [
            json!(null),
            json!([]),
            json!([null]),
            json!([null, null]),
            json!([null, {"x": 1}]),
            json!([null, {"9": {"logprob": -1.0}}]),
        ] {
            let answer = json!({"choices": [{"prompt_logprobs": listed}]});
            assert!(scores(&job, &answer).is_err(), "{answer}");
        }
    }
}
