//! A conversation with a model, and what it cost.

use std::time::{Duration, Instant};

use freeway_engines::{Engine, EngineError, ErrorKind, Forward, ForwardPath, Forwarded, Upstream};
use freeway_primitives::{Amount, Digest};
use futures::StreamExt;
use serde::Serialize;
use serde_json::{Value, json};

use crate::hints::Problem;

/// A conversation.
pub(super) struct Session {
    server: Upstream,
    model: String,
    system: Option<String>,
    messages: Vec<Value>,
    pub(super) temperature: Option<f64>,
    pub(super) max_tokens: u32,
    pub(super) seed: Option<i64>,
    pub(super) totals: Totals,
    pub(super) last: Option<Answer>,
}

/// What the whole conversation took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) answers: u64,
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
}

/// What a model said.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Answer {
    pub(super) content: String,
    pub(super) finish_reason: Option<String>,
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
    pub(super) first_token_ms: u64,
    pub(super) total_ms: u64,
    /// What the gateway adds of its own: the model's root, the trace, the seed.
    pub(super) freeway: Value,
}

impl Answer {
    /// The digest of the host's receipt, if a host was paid.
    pub(super) fn receipt(&self) -> Option<Digest> {
        self.freeway["receipt"].as_str()?.parse().ok()
    }

    /// Who was paid for it, and how far that is checked.
    pub(super) fn receipt_line(&self) -> Option<String> {
        let receipt = self.receipt()?;
        let host = self.freeway["host"].as_str().unwrap_or_default();
        let fee = self.freeway["fee"].as_str().and_then(|fee| fee.parse().ok()).map(Amount);
        let price = fee.map_or_else(|| "?".to_owned(), |fee| fee.to_string());
        Some(format!(
            "{} · {} in, {} out · {price} · signed, tokens and fee checked · receipt {}",
            super::super::receipt::short(host),
            self.prompt_tokens,
            self.completion_tokens,
            receipt.to_string().chars().take(12).collect::<String>(),
        ))
    }

    /// Tokens a second after the first.
    pub(super) fn pace(&self) -> f64 {
        let milliseconds = self.total_ms.saturating_sub(self.first_token_ms).max(1);
        self.completion_tokens.saturating_sub(1) as f64 * 1_000.0 / milliseconds as f64
    }
}

impl Session {
    pub(super) fn new(server: Upstream, model: String, system: Option<String>) -> Self {
        Self {
            server,
            model,
            system,
            messages: Vec::new(),
            temperature: None,
            max_tokens: 512,
            seed: None,
            totals: Totals::default(),
            last: None,
        }
    }

    /// Forgets the conversation.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
    }

    /// Tells the model something else beforehand, from now on.
    pub(super) fn set_system(&mut self, system: Option<String>) {
        self.system = system;
        self.clear();
    }

    pub(super) fn model(&self) -> &str {
        &self.model
    }

    /// Asks, and hands every piece of the answer to `show`. What fails is not part of the conversation.
    pub(super) async fn ask(
        &mut self,
        question: &str,
        mut show: impl FnMut(&str) -> Result<(), Problem>,
    ) -> Result<Answer, Problem> {
        let mut messages: Vec<Value> =
            self.system.iter().map(|text| json!({ "role": "system", "content": text })).collect();
        messages.extend(self.messages.iter().cloned());
        let asked = json!({ "role": "user", "content": question });
        messages.push(asked.clone());
        let mut body = json!({
            "model": self.model,
            "messages": messages,
            "max_tokens": self.max_tokens,
            "stream_options": { "include_usage": true },
        });
        if let Some(temperature) = self.temperature {
            body["temperature"] = json!(temperature);
        }
        if let Some(seed) = self.seed {
            body["seed"] = json!(seed);
        }

        let start = Instant::now();
        let request = Forward { path: ForwardPath::Chat, body, stream: true };
        let answered = self.server.forward(&self.model, request).await.map_err(refused)?;
        let mut answer = Answer::default();
        match answered {
            Forwarded::Json(whole) => {
                take(&mut answer, &whole, &whole["choices"][0]["message"], start, &mut show)?;
            }
            Forwarded::Stream(mut pieces) => {
                while let Some(piece) = pieces.next().await {
                    let piece = piece.map_err(refused)?;
                    take(&mut answer, &piece, &piece["choices"][0]["delta"], start, &mut show)?;
                }
            }
        }
        answer.total_ms = milliseconds(start.elapsed());
        self.messages.push(asked);
        self.messages.push(json!({ "role": "assistant", "content": answer.content }));
        self.totals.answers += 1;
        self.totals.prompt_tokens += answer.prompt_tokens;
        self.totals.completion_tokens += answer.completion_tokens;
        self.last = Some(answer.clone());
        Ok(answer)
    }
}

/// Adds a piece to an answer.
fn take(
    answer: &mut Answer,
    piece: &Value,
    said: &Value,
    start: Instant,
    show: &mut impl FnMut(&str) -> Result<(), Problem>,
) -> Result<(), Problem> {
    if let Some(text) = said["content"].as_str()
        && !text.is_empty()
    {
        if answer.content.is_empty() {
            answer.first_token_ms = milliseconds(start.elapsed());
        }
        answer.content.push_str(text);
        show(text)?;
    }
    if let Some(reason) = piece["choices"][0]["finish_reason"].as_str() {
        answer.finish_reason = Some(reason.to_owned());
    }
    if let Some(count) = piece["usage"]["prompt_tokens"].as_u64() {
        answer.prompt_tokens = count;
    }
    if let Some(count) = piece["usage"]["completion_tokens"].as_u64() {
        answer.completion_tokens = count;
    }
    if piece["freeway"].is_object() {
        answer.freeway = piece["freeway"].clone();
    }
    Ok(())
}

fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

/// What a server's refusal means here.
fn refused(error: EngineError) -> Problem {
    let code = error.code.clone().unwrap_or_else(|| "refused".to_owned());
    let problem = Problem::told(code, &error.message);
    match error.kind {
        ErrorKind::Unavailable | ErrorKind::Timeout => {
            problem.or_hint("see whether the network runs with `freeway status`; start one with `freeway up`")
        }
        ErrorKind::UnknownModel => problem.or_hint("`freeway model list` shows the models of this machine"),
        ErrorKind::TooLong => problem.or_hint("begin a new conversation with /clear"),
        ErrorKind::Busy | ErrorKind::RateLimited => problem.or_hint("try again in a moment"),
        _ => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_paid_for_says_so() {
        let mut answer = Answer { prompt_tokens: 12, completion_tokens: 40, ..Answer::default() };
        assert_eq!(answer.receipt_line(), None);
        answer.freeway = json!({ "receipt": "ab".repeat(32), "fee": "160000", "lane": 3,
            "host": freeway_primitives::Address([1; 32]).to_string() });
        let line = answer.receipt_line().unwrap();
        assert!(line.contains("12 in, 40 out · 0.00016 FWY") && line.contains("abababababab"), "{line}");
        // Whatever a server says, it is shown or left out.
        answer.freeway = json!({ "receipt": "ab".repeat(32), "fee": 7, "host": [] });
        assert!(answer.receipt_line().unwrap().contains("· ? ·"));
        answer.freeway = json!({ "receipt": "nonsense" });
        assert_eq!(answer.receipt_line(), None);
    }
}
