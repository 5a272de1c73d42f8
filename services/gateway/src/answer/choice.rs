//! One choice: tokens in, text, calls and log-probabilities out.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use freeway_engines::{FinishReason, Token};
use freeway_requests::Scored;

use crate::text::calls::{Call, Calls, Style};
use crate::text::stops::Stops;
use crate::text::{Decoder, TextModel};
use crate::wire::answers::{TokenLogprob, TopLogprob, nats};

/// What all choices of a request have in common.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) model: Arc<TextModel>,
    /// Tokens that end a choice; they have no text.
    pub(crate) ends: Arc<BTreeSet<u32>>,
    pub(crate) stops: Arc<[String]>,
    /// How calls are written and which tools there are, if there are tools.
    pub(crate) calls: Option<(Style, Arc<[String]>)>,
    /// Whether there may be more than one call.
    pub(crate) parallel: bool,
}

/// Why a choice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Stop,
    Length,
    Calls,
}

impl Reason {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Calls => "tool_calls",
        }
    }
}

/// What is new in a choice.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Delta {
    pub(crate) text: String,
    pub(crate) calls: Vec<Call>,
    pub(crate) logprobs: Vec<TokenLogprob>,
    /// In streams and in whole answers, nothing follows.
    pub(crate) ended: Option<Reason>,
}

impl Delta {
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.calls.is_empty() && self.ended.is_none()
    }
}

/// The state of one choice.
pub(crate) struct Choice {
    settings: Settings,
    decoder: Decoder,
    stops: Stops,
    calls: Option<Calls>,
    /// Bytes of text that tokens made.
    made: usize,
    /// Bytes of text that no stop string can take back.
    kept: usize,
    /// Tokens whose text is not yet kept, and where it begins.
    pending: VecDeque<(usize, u32, Scored)>,
    tokens: u64,
    ended: bool,
}

impl Choice {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            decoder: Decoder::new(&settings.model),
            stops: Stops::new(Arc::clone(&settings.stops)),
            calls: settings.calls.as_ref().map(|(style, names)| Calls::new(*style, Arc::clone(names))),
            settings: settings.clone(),
            made: 0,
            kept: 0,
            pending: VecDeque::new(),
            tokens: 0,
            ended: false,
        }
    }

    /// Tokens that were generated before it ended.
    pub(crate) fn tokens(&self) -> u64 {
        self.tokens
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes a token.
    pub(crate) fn token(&mut self, token: Token) -> Delta {
        if self.ended {
            return Delta::default();
        }
        self.tokens += 1;
        if self.settings.ends.contains(&token.id) {
            return Delta::default();
        }
        let piece = self.decoder.step(&self.settings.model, token.id);
        if let Some(scored) = token.scored {
            self.pending.push_back((self.made, token.id, scored));
        }
        self.take(piece)
    }

    /// Takes text.
    fn take(&mut self, piece: String) -> Delta {
        self.made += piece.len();
        let fed = self.stops.feed(piece);
        let mut delta = self.keep(fed.text);
        if fed.stopped {
            self.end(Reason::Stop, &mut delta);
        } else if !delta.calls.is_empty() && !self.settings.parallel {
            delta.calls.truncate(1);
            self.end(Reason::Calls, &mut delta);
        }
        delta
    }

    /// Text that stays.
    fn keep(&mut self, text: String) -> Delta {
        self.kept += text.len();
        let mut delta = Delta::default();
        while self.pending.front().is_some_and(|(at, ..)| *at < self.kept) {
            if let Some((_, id, scored)) = self.pending.pop_front() {
                delta.logprobs.push(logprob(&self.settings.model, id, &scored));
            }
        }
        match &mut self.calls {
            None => delta.text = text,
            Some(calls) => {
                let found = calls.feed(&text);
                (delta.text, delta.calls) = (found.text, found.calls);
            }
        }
        delta
    }

    fn end(&mut self, reason: Reason, delta: &mut Delta) {
        self.ended = true;
        let mut reason = reason;
        if let Some(calls) = &mut self.calls {
            let first_only = !self.settings.parallel;
            if reason != Reason::Calls {
                let found = calls.finish();
                delta.text.push_str(&found.text);
                delta.calls.extend(found.calls);
                if first_only {
                    delta.calls.truncate(1);
                }
            }
            if calls.found() && reason == Reason::Stop {
                reason = Reason::Calls;
            }
        }
        delta.ended = Some(reason);
    }

    /// The engine has ended the choice.
    pub(crate) fn finish(&mut self, reason: FinishReason) -> Delta {
        if self.ended {
            return Delta::default();
        }
        let rest = self.decoder.finish(&self.settings.model);
        let mut delta = self.take(rest);
        if self.ended {
            return delta;
        }
        let held = self.stops.finish();
        let mut last = self.keep(held);
        for (_, id, scored) in core::mem::take(&mut self.pending) {
            last.logprobs.push(logprob(&self.settings.model, id, &scored));
        }
        delta.text.push_str(&last.text);
        delta.calls.append(&mut last.calls);
        delta.logprobs.append(&mut last.logprobs);
        let reason = match reason {
            FinishReason::Stop(_) | FinishReason::Grammar => Reason::Stop,
            FinishReason::Length => Reason::Length,
        };
        self.end(reason, &mut delta);
        delta
    }
}

/// How likely a token was, in words of the interface.
pub(crate) fn logprob(model: &TextModel, id: u32, scored: &Scored) -> TokenLogprob {
    let named = |id| {
        let bytes = model.bytes(id);
        (String::from_utf8_lossy(&bytes).into_owned(), bytes)
    };
    let (token, bytes) = named(id);
    let top = scored.top.iter().map(|&(id, logprob)| {
        let (token, bytes) = named(id);
        TopLogprob { token, logprob: nats(logprob), bytes }
    });
    TokenLogprob { token, logprob: nats(scored.logprob), bytes, top_logprobs: top.collect() }
}
