//! Tokens and their likelihood in what servers say.
//!
//! Three dialects are understood. vLLM names tokens `token_id:7` where it is asked to; llama-server tells `id` beside
//! each token; others tell the text alone, and llama-cpp-python leaves out what is not a whole character. Text
//! is turned into the token whose bytes it is. Where that is unclear, the tokens are held until the whole answer is
//! there: what its text has between the others must be cut into as many tokens in one way alone.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use freeway_requests::{LogProb, MAX_TOP_LOGPROBS, Scored, TokenRequest};
use serde_json::{Map, Value};

use super::super::http::bad;
use super::super::score::logprob;
use super::words::{Told, Words};
use crate::error::shown;
use crate::{EngineError, Event, FinishReason, Finished, Token};

/// How vLLM names tokens.
const PREFIX: &str = "token_id:";
/// The most alternatives that are read; servers add the token itself to those that were asked for, and some more
/// than are asked for.
const MAX_LISTED: usize = 4 * MAX_TOP_LOGPROBS as usize;

/// Reads one choice of an answer, whole or piece by piece.
pub(super) struct Reader {
    words: Arc<Words>,
    request: Arc<TokenRequest>,
    choice: u16,
    /// Whether likelihoods are wanted.
    wanted: bool,
    /// Tokens that are known, in order.
    told: u32,
    last: Option<u32>,
    /// Tokens from the first one on that is not known by itself.
    held: Vec<Heard>,
    /// Those before, and all text, as long as tokens are told by text.
    known: Vec<u32>,
    text: String,
    by_text: bool,
    ended: Option<FinishReason>,
    /// The end is one that the server told, and not what the request makes of its tokens.
    theirs: bool,
    /// The server has ended, whatever it was.
    over: bool,
    out: VecDeque<Event>,
}

/// A token as it was told.
struct Heard {
    id: Option<u32>,
    text: String,
    scored: Scored,
}

/// A token before its place in the list is known: what it is, its text, its likelihood.
struct Entry {
    id: Option<u32>,
    text: String,
    logprob: Option<LogProb>,
}

impl Reader {
    /// For the choice `choice`; `claims`: likelihoods are wanted though the request does not ask for them.
    pub(super) fn new(words: Arc<Words>, request: Arc<TokenRequest>, choice: u16, claims: bool) -> Self {
        let wanted = claims || request.top_logprobs.is_some();
        Self {
            words,
            request,
            choice,
            wanted,
            told: 0,
            last: None,
            held: Vec::new(),
            known: Vec::new(),
            text: String::new(),
            by_text: false,
            ended: None,
            theirs: false,
            over: false,
            out: VecDeque::new(),
        }
    }

    /// The next event that is known.
    pub(super) fn event(&mut self) -> Option<Event> {
        self.out.pop_front()
    }

    /// Whether the choice has ended.
    pub(super) fn is_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Whether it has ended at a stop token that the server does not know: it goes on, and is to be stopped.
    pub(super) fn is_cut(&self) -> bool {
        matches!(self.ended, Some(FinishReason::Stop(_))) && !self.over
    }

    /// Takes a part of the choice, or all of it.
    pub(super) fn read(&mut self, part: &Value) -> Result<(), EngineError> {
        self.over |= part.get("finish_reason").is_some_and(|reason| !reason.is_null());
        if self.is_ended() {
            return Ok(());
        }
        let text = match part.get("text") {
            None | Some(Value::Null) => "",
            Some(text) => text.as_str().ok_or_else(|| bad("the upstream server's text is no text"))?,
        };
        self.text.push_str(text);
        let reason = match part.get("finish_reason") {
            None | Some(Value::Null) => None,
            Some(reason) => {
                Some(reason.as_str().ok_or_else(|| bad("the upstream server's finish_reason is no text"))?)
            }
        };
        let heard = match part.get("logprobs") {
            None | Some(Value::Null) => Vec::new(),
            Some(logprobs) => self.heard(logprobs)?,
        };
        if heard.is_empty() && self.told == 0 && self.held.is_empty() && !text.is_empty() {
            return Err(bad(
                "the upstream server tells no tokens beside its text; start it so that it answers `logprobs`",
            ));
        }
        let most = self.request.max_tokens as usize;
        if heard.len() + self.held.len() + self.told as usize > most {
            return Err(bad(format!(
                "the upstream server gave more than the {most} tokens that were asked for"
            )));
        }
        for heard in heard {
            match heard.id {
                Some(id) if self.held.is_empty() => self.tell(id, heard.scored),
                _ => self.held.push(heard),
            }
            if self.is_ended() {
                return Ok(());
            }
        }
        match reason {
            Some(reason) => self.end(reason, part),
            None => Ok(()),
        }
    }

    /// Checks the number of tokens that the server says it generated.
    pub(super) fn check(&self, usage: &Value) -> Result<(), EngineError> {
        let Some(count) = usage.get("completion_tokens").and_then(Value::as_u64) else { return Ok(()) };
        let told = u64::from(self.told);
        let fits = match self.ended {
            // What comes after it was cut off.
            Some(FinishReason::Stop(_)) if !self.theirs => count >= told,
            // Some count a stop token that they do not tell.
            Some(FinishReason::Stop(_)) => count == told || count.saturating_add(1) == told,
            _ => count == told,
        };
        if fits {
            return Ok(());
        }
        Err(bad(format!(
            "the upstream server generated {count} tokens and told {told} of them; servers that leave out parts of characters cannot be used for such answers"
        )))
    }

    /// The end of the choice; comes once it was checked.
    pub(super) fn finish(&mut self) -> Result<Event, EngineError> {
        let reason = self.ended.ok_or_else(|| bad("the upstream server's answer has no end"))?;
        let (choice, completion_tokens) = (self.choice, self.told);
        Ok(Event::Finished(Finished { choice, reason, completion_tokens, trace: None }))
    }

    fn tell(&mut self, id: u32, mut scored: Scored) {
        scored.top.truncate(usize::from(self.request.top_logprobs.unwrap_or(0)));
        self.push(id, self.wanted.then_some(scored));
        if self.request.stop.contains(&id) {
            self.ended = Some(FinishReason::Stop(id));
        } else if self.is_full() {
            self.ended = Some(FinishReason::Length);
        }
    }

    fn push(&mut self, id: u32, scored: Option<Scored>) {
        self.told = self.told.saturating_add(1);
        self.last = Some(id);
        if self.by_text {
            self.known.push(id);
        }
        self.out.push_back(Event::Token(Token { choice: self.choice, id, scored }));
    }

    /// The server has ended.
    fn end(&mut self, reason: &str, part: &Value) -> Result<(), EngineError> {
        self.release()?;
        if self.is_ended() {
            return Ok(());
        }
        self.theirs = true;
        match reason {
            "length" if self.is_full() => self.ended = Some(FinishReason::Length),
            "length" => {
                return Err(bad(format!(
                    "the upstream server ended its answer after {} of {} tokens; start it with a context of {} tokens",
                    self.told,
                    self.request.max_tokens,
                    self.words.assets().context
                )));
            }
            "stop" => {
                let id = self.unsaid(part)?;
                self.push(id, None);
                self.ended = Some(FinishReason::Stop(id));
            }
            other => {
                return Err(bad(format!("the upstream server ended its answer with {:?}", shown(other))));
            }
        }
        Ok(())
    }

    /// Whether nothing more fits: of the request, or of the model's context.
    fn is_full(&self) -> bool {
        let taken = self.request.prompt.len().saturating_add(self.told as usize);
        self.told >= self.request.max_tokens || taken >= self.words.assets().context as usize
    }

    /// The stop token at the end, which most servers do not tell.
    fn unsaid(&self, part: &Value) -> Result<u32, EngineError> {
        let (stop, eos) = (&self.request.stop, &self.words.assets().eos);
        let told = part.get("stop_reason").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        if let Some(id) = told.filter(|id| stop.contains(id)) {
            return Ok(id);
        }
        let foreign = self.last.is_some_and(|last| eos.contains(&last));
        eos.iter().copied().find(|id| stop.contains(id) && !foreign).ok_or_else(|| {
            bad("the upstream server ended its answer where the request does not; use a server that knows ignore_eos and stop_token_ids")
        })
    }

    /// Tells the tokens that were held back, now that the whole text is there.
    fn release(&mut self) -> Result<(), EngineError> {
        let held = core::mem::take(&mut self.held);
        if held.is_empty() {
            return Ok(());
        }
        let before = self.known.iter().map(|id| Told::Token(*id));
        let behind = held.iter().map(|heard| match heard.id {
            Some(id) => Told::Token(id),
            None => Told::Text(&heard.text),
        });
        let told: Vec<Told<'_>> = before.chain(behind).collect();
        let Some(tokens) = self.words.resolve(&self.text, &told)? else {
            return Err(bad(
                "the tokens of the upstream server's answer cannot be told from its text; use a server that tells the ids of tokens, such as vLLM or llama-server",
            ));
        };
        let tokens: Vec<u32> = tokens.into_iter().skip(self.known.len()).collect();
        for (id, heard) in tokens.into_iter().zip(held) {
            if self.is_ended() {
                break;
            }
            self.tell(id, heard.scored);
        }
        Ok(())
    }

    /// The tokens of one part, in either of the two forms.
    fn heard(&mut self, logprobs: &Value) -> Result<Vec<Heard>, EngineError> {
        if let Some(content) = logprobs.get("content").filter(|content| !content.is_null()) {
            let content = content.as_array().ok_or_else(|| broken("they are no list"))?;
            self.bounded(content.len())?;
            let one = |entry: &Value| {
                let top = entry.get("top_logprobs").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                limited(top.len())?;
                let own = self.entry(entry)?;
                let top = top.iter().map(|entry| self.entry(entry)).collect::<Result<Vec<_>, _>>()?;
                self.scored(own, top)
            };
            let heard = content.iter().map(one).collect::<Result<Vec<_>, _>>()?;
            self.by_text |= heard.iter().any(|heard| heard.id.is_none());
            return Ok(heard);
        }
        let list = |name: &str| logprobs.get(name).and_then(Value::as_array);
        let tokens = list("tokens").ok_or_else(|| broken("they name no tokens"))?;
        let values = list("token_logprobs").ok_or_else(|| broken("they have no token_logprobs"))?;
        let tops = list("top_logprobs");
        if values.len() != tokens.len() || tops.is_some_and(|tops| tops.len() != tokens.len()) {
            return Err(broken("they are not one for each token"));
        }
        self.bounded(tokens.len())?;
        self.by_text |=
            tokens.iter().any(|token| token.as_str().is_none_or(|text| !text.starts_with(PREFIX)));
        let mut heard = Vec::with_capacity(tokens.len());
        for (at, (token, value)) in tokens.iter().zip(values).enumerate() {
            let text = token.as_str().ok_or_else(|| broken("a token is no text"))?;
            let own = self.named(text, value.as_f64())?;
            let top = tops.and_then(|tops| tops.get(at)).and_then(Value::as_object);
            heard.push(self.scored(own, self.listed(top)?)?);
        }
        Ok(heard)
    }

    fn listed(&self, top: Option<&Map<String, Value>>) -> Result<Vec<Entry>, EngineError> {
        let Some(top) = top else { return Ok(Vec::new()) };
        limited(top.len())?;
        top.iter().map(|(text, value)| self.named(text, value.as_f64())).collect()
    }

    fn bounded(&self, count: usize) -> Result<(), EngineError> {
        let most = self.request.max_tokens as usize;
        if count <= most {
            return Ok(());
        }
        Err(bad(format!("the upstream server gave more than the {most} tokens that were asked for")))
    }

    /// A token by its name: `token_id:7`, or its text.
    fn named(&self, text: &str, nats: Option<f64>) -> Result<Entry, EngineError> {
        let id = match text.strip_prefix(PREFIX).and_then(|id| id.parse::<u32>().ok()) {
            Some(id) => Some(id),
            None => self.words.named(text)?,
        };
        Ok(Entry { id, text: text.to_owned(), logprob: nats.map(logprob) })
    }

    /// A token as an object, with as much as the server tells: `id`, `bytes`, `token`.
    fn entry(&self, entry: &Value) -> Result<Entry, EngineError> {
        let text = entry.get("token").and_then(Value::as_str).unwrap_or_default();
        let nats = entry.get("logprob").and_then(Value::as_f64);
        let id = entry.get("id").filter(|id| !id.is_null());
        if let Some(id) = id {
            let id =
                id.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| broken("an id is none"))?;
            return Ok(Entry { id: Some(id), text: text.to_owned(), logprob: nats.map(logprob) });
        }
        if let Some(bytes) = entry.get("bytes").and_then(Value::as_array) {
            let byte = |byte: &Value| byte.as_u64().and_then(|byte| u8::try_from(byte).ok());
            let bytes: Option<Vec<u8>> = bytes.iter().map(byte).collect();
            let bytes = bytes.ok_or_else(|| broken("a token's bytes are none"))?;
            let id = self.words.token(&bytes)?;
            return Ok(Entry { id, text: text.to_owned(), logprob: nats.map(logprob) });
        }
        self.named(text, nats)
    }

    /// A token with its place among the alternatives that were told.
    fn scored(&self, own: Entry, listed: Vec<Entry>) -> Result<Heard, EngineError> {
        let vocabulary = self.words.assets().vocabulary;
        if let Some(id) = own.id.filter(|id| *id >= vocabulary) {
            return Err(broken(&format!("token {id} is none of the package's {vocabulary}")));
        }
        let own_logprob = own.logprob.ok_or_else(|| broken("a token has none"))?;
        let mut seen = BTreeSet::new();
        let known = |entry: Entry| entry.id.zip(entry.logprob);
        // Servers may have more tokens than the package, to fill their tables; and two texts may be of one token.
        let mut top: Vec<(u32, LogProb)> = listed
            .into_iter()
            .filter_map(known)
            .filter(|(id, _)| *id < vocabulary && seen.insert(*id))
            .collect();
        top.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        let place = top.iter().position(|(id, _)| Some(*id) == own.id).unwrap_or(top.len());
        let rank = u32::try_from(place).unwrap_or(u32::MAX).saturating_add(1);
        Ok(Heard { id: own.id, text: own.text, scored: Scored { logprob: own_logprob, rank, top } })
    }
}

fn broken(what: &str) -> EngineError {
    bad(format!("the upstream server's log-probabilities cannot be used: {what}"))
}

fn limited(count: usize) -> Result<(), EngineError> {
    if count <= MAX_LISTED {
        return Ok(());
    }
    Err(broken(&format!("a token has more than {MAX_LISTED} alternatives")))
}
