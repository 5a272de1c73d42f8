//! One request at one host: the voucher, the acceptance, and what comes after.

use std::sync::Arc;
use std::time::Instant;

use freeway_api::serving::{Ask, Done, Ending, Frame, most};
use freeway_engines::{EngineError, ErrorKind, Token};
use freeway_primitives::{Canonical, ChainId, Digest, Signature};
use freeway_proofs::work::{self, Acceptance, Receipt, Voucher};
use freeway_requests::TokenRequest;

use super::no_host;
use crate::error::shown;
use crate::lanes::account::Record;
use crate::lanes::check::{Terms, Wrong};
use crate::lanes::client::{Answer, Refused};
use crate::lanes::config::Timeouts;
use crate::lanes::engine::Lanes;
use crate::lanes::share::{Busy, Share};
use crate::lanes::store::{self, Write};

/// Why an attempt came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::lanes) enum Trouble {
    /// The connection, or the host's patience, broke.
    #[error("{0}")]
    Broke(String),
    /// The host refuses.
    #[error("it refuses: {message}")]
    Refused {
        /// For programs.
        code: String,
        /// For people.
        message: String,
    },
    /// The host signed or sent what cannot be right.
    #[error("it is wrong: {0}")]
    Lied(&'static str),
    /// Another host answered otherwise.
    #[error("two hosts answered differently")]
    Differs,
    /// Nobody can go on with what the client has: another host of this tier draws other tokens.
    #[error("the answer broke off: {0}")]
    Lost(String),
    /// The record of this gateway cannot be written.
    #[error("{0}")]
    Record(String),
    /// The client has left.
    #[error("the client has left")]
    Gone,
}

impl From<Wrong> for Trouble {
    fn from(wrong: Wrong) -> Self {
        Self::Lied(wrong.0)
    }
}

impl Trouble {
    /// As the client hears of it.
    pub(super) fn error(&self) -> EngineError {
        match self {
            Self::Differs => EngineError::new(
                ErrorKind::BadUpstream,
                "two hosts answered differently, so one of them is wrong; both answers are kept. Ask again",
            )
            .with_code("answers_differ"),
            Self::Lost(_) => EngineError::new(
                ErrorKind::Unavailable,
                format!(
                    "{self}; hosts of the statistical tier cannot go on with each other's answers. Nothing is paid \
                     for it; ask again"
                ),
            )
            .with_code("answer_broke_off")
            .with_retry_after(core::time::Duration::from_secs(1)),
            Self::Refused { code, message } if code == "context_length_exceeded" => {
                EngineError::new(ErrorKind::TooLong, message.clone())
            }
            Self::Record(reason) => EngineError::new(ErrorKind::Internal, reason.clone()),
            other => no_host(other),
        }
    }
}

/// Counts a request against a share until it is known how it ended.
#[derive(Debug)]
struct Held {
    share: Arc<Share>,
    sequence: Option<u64>,
    _busy: Busy,
}

impl Held {
    fn nothing_owed(&mut self) {
        if let Some(sequence) = self.sequence.take() {
            self.share.account().nothing_owed(sequence);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(sequence) = self.sequence.take() {
            self.share.account().lost(sequence, Instant::now());
        }
    }
}

/// What a host says.
#[derive(Debug)]
pub(super) enum Heard {
    Started { prompt_tokens: u32, cached_tokens: u32 },
    Token(Token),
    Finished(u16, Ending),
    Done(Box<Done>),
}

/// A request that a host has accepted.
#[derive(Debug)]
pub(in crate::lanes) struct Attempt {
    pub(super) share: Arc<Share>,
    pub(super) voucher: Voucher,
    pub(super) signature: Signature,
    acceptance: (Acceptance, Signature),
    /// What came, of each choice.
    pub(super) output: Vec<Vec<u32>>,
    max_tokens: usize,
    prompt: usize,
    scored: bool,
    answer: Answer,
    /// When it last got on.
    moved: Instant,
    held: Held,
}

impl Attempt {
    /// Asks a host, and waits for its acceptance.
    pub(super) async fn begin(
        lanes: &Lanes,
        share: &Arc<Share>,
        request: &Arc<TokenRequest>,
        digest: Digest,
    ) -> Result<Self, Trouble> {
        let began = Instant::now();
        let promise = share.account().promise(most(&share.prices, request), began);
        let promise = promise.ok_or_else(|| Trouble::Broke("its share has no room".into()))?;
        let mut held =
            Held { share: Arc::clone(share), sequence: Some(promise.sequence), _busy: share.host.begins() };
        if let Some(record) = promise.write {
            let write = Write::Share(share.lane, share.host.address, record);
            if let Err(error) = lanes.store.write(vec![write]).await {
                held.nothing_owed();
                return Err(Trouble::Record(error.to_string()));
            }
            share.account().written(&record);
        }
        let voucher = Voucher {
            lane: share.lane,
            host: share.host.address,
            sequence: promise.sequence,
            spent: promise.spent,
            limit: promise.limit,
            request: digest,
        };
        let signature = lanes.voucher_key.sign(work::VOUCHER, &lanes.chain_id, &voucher);
        let ask = Ask { voucher, signature, request: (**request).clone() }.encode();
        let accepted = tokio::time::timeout(lanes.config.timeouts.accept, accept(lanes, share, ask)).await;
        let accepted = accepted.unwrap_or_else(|_| Err(Trouble::Broke("it does not accept in time".into())));
        let checked = accepted.and_then(|(answer, acceptance, signed)| {
            let terms = Terms {
                chain: &lanes.chain_id,
                key: &share.key,
                prices: &share.prices,
                voucher: &voucher,
                request,
            };
            terms.acceptance(&acceptance, &signed)?;
            Ok((answer, (acceptance, signed)))
        });
        match checked {
            Ok((answer, acceptance)) => {
                let now = Instant::now();
                share.host.accepted(now.saturating_duration_since(began));
                Ok(Self {
                    share: Arc::clone(share),
                    voucher,
                    signature,
                    acceptance,
                    output: vec![Vec::new(); usize::from(request.choices)],
                    max_tokens: request.max_tokens as usize,
                    prompt: request.prompt.len(),
                    scored: request.top_logprobs.is_some(),
                    answer,
                    moved: now,
                    held,
                })
            }
            Err(trouble) => {
                tracing::debug!(host = %share.host.address, %trouble, "a host did not take a request");
                if matches!(trouble, Trouble::Refused { .. }) {
                    held.nothing_owed();
                }
                blame(lanes, share, &trouble).await;
                Err(trouble)
            }
        }
    }

    /// What the host says next, if it can be right so far.
    pub(super) async fn next(
        &mut self,
        timeouts: &Timeouts,
        ends: &[Option<Ending>],
    ) -> Result<Heard, Trouble> {
        loop {
            let frame = tokio::time::timeout(timeouts.silence, self.answer.next()).await;
            let frame = frame.map_err(|_| Trouble::Broke("it is silent".into()))?;
            let frame = frame.map_err(|reason| Trouble::Broke(shown(&reason)))?;
            let frame = frame.ok_or_else(|| Trouble::Broke("its answer broke off".into()))?;
            let now = Instant::now();
            if !matches!(frame, Frame::Alive) {
                self.moved = now;
            } else if now.saturating_duration_since(self.moved) > timeouts.stall {
                return Err(Trouble::Broke("it does not get on".into()));
            }
            match frame {
                Frame::Alive => {}
                Frame::Accepted { .. } => return Err(Trouble::Lied("it accepted twice")),
                Frame::Started { prompt_tokens, cached_tokens } => {
                    if prompt_tokens as usize != self.prompt || cached_tokens > prompt_tokens {
                        return Err(Trouble::Lied("it counts another prompt"));
                    }
                    return Ok(Heard::Started { prompt_tokens, cached_tokens });
                }
                Frame::Token { choice, id, scored } => {
                    let open = matches!(ends.get(usize::from(choice)), Some(None));
                    let length = self.output.get(usize::from(choice)).map_or(usize::MAX, Vec::len);
                    if !open || length >= self.max_tokens || scored.is_some() != self.scored {
                        return Err(Trouble::Lied("it sent what was not asked for"));
                    }
                    return Ok(Heard::Token(Token { choice, id, scored }));
                }
                Frame::Finished { choice, ending, completion_tokens } => {
                    let open = matches!(ends.get(usize::from(choice)), Some(None));
                    let length = self.output.get(usize::from(choice)).map_or(0, Vec::len);
                    if !open || length != completion_tokens as usize {
                        return Err(Trouble::Lied("it counts other tokens"));
                    }
                    return Ok(Heard::Finished(choice, ending));
                }
                Frame::Done(done) => return Ok(Heard::Done(done)),
                Frame::Failed { code, message } => {
                    self.held.nothing_owed();
                    return Err(Trouble::Refused { code: shown(&code), message: shown(&message) });
                }
            }
        }
    }

    /// Whether the receipt says what happened.
    pub(super) fn check(&self, chain: &ChainId, request: &TokenRequest, done: &Done) -> Result<(), Trouble> {
        let (key, prices, voucher) = (&self.share.key, &self.share.prices, &self.voucher);
        Terms { chain, key, prices, voucher, request }.done(done, &self.output)?;
        Ok(())
    }

    /// Counts the receipt.
    pub(super) fn settle(&mut self, receipt: &Receipt) -> Result<Record, Trouble> {
        let sequence = self.voucher.sequence;
        let record = self.share.account().receipt(sequence, receipt)?;
        self.held.sequence = None;
        Ok(record)
    }

    /// What the host promised and sent.
    pub(super) fn answer(&self) -> store::Answer {
        store::Answer {
            voucher: self.voucher,
            acceptance: self.acceptance.0.encode(),
            signature: self.acceptance.1,
            key: self.share.key,
            output: self.output.clone(),
        }
    }

    /// Lets the host feel what it did.
    pub(super) async fn blame(&mut self, lanes: &Lanes, trouble: &Trouble) {
        if matches!(trouble, Trouble::Lied(_)) {
            // It gets nothing for this, nor any further voucher.
            self.held.nothing_owed();
        }
        blame(lanes, &self.share, trouble).await;
    }
}

async fn accept(
    lanes: &Lanes,
    share: &Arc<Share>,
    ask: Vec<u8>,
) -> Result<(Answer, Acceptance, Signature), Trouble> {
    let mut reasons = Vec::new();
    for endpoint in share.host.endpoints() {
        match lanes.client.ask(&endpoint, share.lane, ask.clone()).await {
            Ok(mut answer) => loop {
                let frame = answer.next().await.map_err(|reason| Trouble::Broke(shown(&reason)))?;
                match frame {
                    Some(Frame::Accepted { acceptance, signature }) => {
                        return Ok((answer, acceptance, signature));
                    }
                    Some(Frame::Alive) => {}
                    Some(Frame::Failed { code, message }) => {
                        return Err(Trouble::Refused { code: shown(&code), message: shown(&message) });
                    }
                    Some(_) => return Err(Trouble::Lied("it began without an acceptance")),
                    None => return Err(Trouble::Broke("its answer broke off".into())),
                }
            },
            Err(Refused::Said(code, message)) => return Err(Trouble::Refused { code, message }),
            // Never reached, so the next endpoint gets the same voucher.
            Err(Refused::Unreachable(reason)) => reasons.push(shown(&reason)),
        }
    }
    Err(Trouble::Broke(format!("it cannot be reached: {}", reasons.join("; "))))
}

async fn blame(lanes: &Lanes, share: &Share, trouble: &Trouble) {
    let now = Instant::now();
    match trouble {
        // What was lost was another trouble before.
        Trouble::Gone | Trouble::Record(_) | Trouble::Lost(_) => {}
        Trouble::Lied(what) => {
            tracing::warn!(host = %share.host.address, lane = share.lane.0, what, "a host gets no further voucher");
            let record = share.account().exclude();
            let write = Write::Share(share.lane, share.host.address, record);
            // It is excluded in memory at any rate.
            let _ = lanes.store.write(vec![write]).await;
            share.host.failed(now);
        }
        Trouble::Refused { code, .. } => match code.as_str() {
            "busy" | "over_exposed" => share.host.busy(now),
            "over_limit" | "stale_voucher" => {
                share.account().doubt();
                share.host.busy(now);
            }
            _ => share.host.failed(now),
        },
        Trouble::Broke(_) | Trouble::Differs => share.host.failed(now),
    }
}
