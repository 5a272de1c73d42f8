//! One request, over as many hosts as it takes.

mod attempt;

use std::sync::Arc;
use std::time::Instant;

use freeway_api::serving::{Artifact, Done, Ending};
use freeway_api::trace::TARGET;
use freeway_engines::{
    EngineError, ErrorKind, Event, EventStream, FinishReason, Finished, Paid, Tier, Token,
};
use freeway_primitives::{Address, Digest};
use freeway_proofs::work::LaneId;
use freeway_requests::TokenRequest;
use futures::StreamExt;
use tokio::sync::mpsc;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::account::Misfit;
use super::engine::{Lanes, ModelState};
use super::share::Prompt;
use super::store::{Evidence, Kept, Write};
use crate::answer::now_ms;
use attempt::{Attempt, Heard, Trouble};

/// Events that wait for the client.
const EVENTS: usize = 256;

/// A request under way.
pub(super) struct Flight {
    lanes: Arc<Lanes>,
    model: Arc<ModelState>,
    request: Arc<TokenRequest>,
    digest: Digest,
    prompt: Prompt,
    /// Hosts that were asked.
    tried: Vec<(LaneId, Address)>,
    /// What the client has, of each choice.
    delivered: Vec<Vec<u32>>,
    started: bool,
    /// An answer that broke off after tokens came, in case another one differs.
    broken: Option<super::store::Answer>,
}

impl Flight {
    pub(super) fn new(lanes: Arc<Lanes>, model: Arc<ModelState>, request: Arc<TokenRequest>) -> Self {
        Self {
            digest: request.digest(),
            prompt: Prompt::new(&request.model.0, &request.prompt),
            delivered: vec![Vec::new(); usize::from(request.choices)],
            tried: Vec::new(),
            started: false,
            broken: None,
            lanes,
            model,
            request,
        }
    }

    /// Finds a host that takes it, and gives the events from then on.
    pub(super) async fn begin(mut self) -> Result<EventStream, EngineError> {
        let span = tracing::info_span!(
            target: TARGET,
            "inference",
            otel.kind = "client",
            model = self.model.name,
            prompt_tokens = self.request.prompt.len(),
            lane = Empty,
            host = Empty,
            tries = Empty,
            outcome = Empty
        );
        let first = self.attempt().instrument(span.clone()).await.inspect_err(|error| {
            span.record("outcome", error.code());
        })?;
        let (events, stream) = mpsc::channel(EVENTS);
        tokio::spawn(self.fly(first, events).instrument(span));
        let next = |mut stream: mpsc::Receiver<Event>| async move {
            stream.recv().await.map(|event| (event, stream))
        };
        Ok(futures::stream::unfold(stream, next).boxed())
    }

    /// The next host that takes it.
    async fn attempt(&mut self) -> Result<Attempt, EngineError> {
        let mut last = None;
        while self.tried.len() < self.lanes.config.tries {
            let known = self.lanes.prefixes.known(&self.prompt);
            let Some(share) = self.model.pick(&self.request, &self.tried, &known, Instant::now()) else {
                break;
            };
            self.tried.push((share.lane, share.host.address));
            let span = Span::current();
            span.record("lane", share.lane.0);
            span.record("host", tracing::field::display(share.host.address));
            span.record("tries", self.tried.len());
            match Attempt::begin(&self.lanes, &share, &self.request, self.digest).await {
                Ok(attempt) => {
                    self.lanes.prefixes.learn(&self.prompt, share.host.address);
                    return Ok(attempt);
                }
                Err(trouble) => last = Some(trouble),
            }
        }
        match last {
            Some(trouble) => Err(trouble.error()),
            None if !self.tried.is_empty() => Err(no_host("all of them were asked")),
            None => Err(self.model.unavailable(&self.request, &self.lanes)),
        }
    }

    async fn fly(mut self, first: Attempt, events: mpsc::Sender<Event>) {
        let mut attempt = first;
        loop {
            let ended = tokio::select! {
                ended = self.follow(&mut attempt, &events) => ended,
                // The client has left. Dropping the attempt closes the connection, so the host stops.
                () = events.closed() => {
                    Span::current().record("outcome", "left");
                    return;
                }
            };
            // A receipt is counted and kept also if the client leaves now.
            let ended = match ended {
                Ok((done, ends)) => self.done(&mut attempt, done, &ends, &events).await,
                Err(trouble) => Err(trouble),
            };
            let Err(trouble) = ended else {
                Span::current().record("outcome", "paid");
                return;
            };
            self.lanes.counts.retry();
            tracing::debug!(host = %attempt.share.host.address, %trouble, "a host failed in mid answer");
            if matches!(trouble, Trouble::Gone) {
                return;
            }
            attempt.blame(&self.lanes, &trouble).await;
            let (exact, told) = (attempt.share.tier == Tier::Exact, self.has_told());
            if exact && attempt.output.iter().any(|tokens| !tokens.is_empty()) {
                self.broken = Some(attempt.answer());
            }
            drop(attempt);
            let next = match trouble {
                Trouble::Differs => Err(trouble.error()),
                // What others would say is another answer, which is no sign of anything.
                _ if !exact && told => Err(Trouble::Lost(trouble.to_string()).error()),
                _ => self.attempt().await,
            };
            attempt = match next {
                Ok(next) => next,
                Err(error) => {
                    Span::current().record("outcome", error.code());
                    self.lanes.counts.failure();
                    // The client may have left.
                    let _ = events.send(Event::Failed(error)).await;
                    return;
                }
            };
        }
    }

    /// Whether the client has any token.
    fn has_told(&self) -> bool {
        self.delivered.iter().any(|tokens| !tokens.is_empty())
    }

    /// Passes on what one host says, to its end.
    async fn follow(
        &mut self,
        attempt: &mut Attempt,
        events: &mpsc::Sender<Event>,
    ) -> Result<(Done, Vec<Option<Ending>>), Trouble> {
        let mut ends: Vec<Option<Ending>> = vec![None; attempt.output.len()];
        loop {
            match attempt.next(&self.lanes.config.timeouts, &ends).await? {
                Heard::Started { prompt_tokens, cached_tokens } => {
                    if !core::mem::replace(&mut self.started, true) {
                        send(events, Event::Started { prompt_tokens, cached_tokens }).await?;
                    }
                }
                Heard::Token(token) => self.token(attempt, token, events).await?,
                Heard::Finished(choice, ending) => {
                    if let Some(end) = ends.get_mut(usize::from(choice)) {
                        *end = Some(ending);
                    }
                }
                Heard::Done(done) => return Ok((*done, ends)),
            }
        }
    }

    async fn token(
        &mut self,
        attempt: &mut Attempt,
        token: Token,
        events: &mpsc::Sender<Event>,
    ) -> Result<(), Trouble> {
        let choice = usize::from(token.choice);
        let at = attempt.output.get(choice).map_or(0, Vec::len);
        let Some(delivered) = self.delivered.get_mut(choice) else { return Err(Trouble::Lied("a choice")) };
        attempt.output[choice].push(token.id);
        match delivered.get(at) {
            // The client has it from another host.
            Some(known) if *known == token.id => Ok(()),
            Some(_) => self.differs(attempt).await,
            None => {
                delivered.push(token.id);
                send(events, Event::Token(token)).await
            }
        }
    }

    /// Two hosts gave different answers: one of them is wrong, and nobody here knows which.
    async fn differs(&mut self, attempt: &Attempt) -> Result<(), Trouble> {
        let answers = self.broken.take().into_iter().chain([attempt.answer()]).collect();
        let evidence = Evidence { request: (*self.request).clone(), answers };
        tracing::warn!(request = %self.digest, "two hosts answered differently; both answers are kept");
        // What cannot be written is in the log.
        let _ = self.lanes.store.write(vec![Write::Evidence(Box::new(evidence))]).await;
        Err(Trouble::Differs)
    }

    async fn done(
        &mut self,
        attempt: &mut Attempt,
        done: Done,
        ends: &[Option<Ending>],
        events: &mpsc::Sender<Event>,
    ) -> Result<(), Trouble> {
        if attempt.output != self.delivered {
            return self.differs(attempt).await;
        }
        if ends.iter().any(Option::is_none) {
            return Err(Trouble::Lied("the answer ended before its choices"));
        }
        attempt.check(&self.lanes.chain_id, &self.request, &done)?;
        let record = attempt.settle(&done.receipt)?;
        let share = &attempt.share;
        let Done { receipt, signature, salt, traces } = done;
        let kept = Kept {
            artifact: Artifact {
                receipt,
                signature,
                voucher: attempt.voucher,
                voucher_signature: attempt.signature,
                request: (*self.request).clone(),
                output: core::mem::take(&mut attempt.output),
                // Those are between the host and its verifiers.
                claims: None,
            },
            key: share.key,
            prices: share.prices,
            salt,
            traces: traces.clone(),
            model: self.model.name.clone(),
            time_ms: now_ms(),
        };
        let exact = share.tier == Tier::Exact;
        let writes =
            vec![Write::Share(share.lane, share.host.address, record), Write::Receipt(Box::new(kept))];
        let written = self.lanes.store.write(writes).await;
        share.host.succeeded();
        self.lanes.counts.done(&receipt.usage);
        for (choice, ending) in (0u16..).zip(ends) {
            let tokens = self.delivered.get(usize::from(choice)).map_or(0, Vec::len);
            let finished = Finished {
                choice,
                reason: reason(ending),
                completion_tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
                // On the other tier it is a digest of the host's claims, which nobody can compute.
                trace: traces.get(usize::from(choice)).copied().filter(|_| exact),
            };
            send(events, Event::Finished(finished)).await?;
        }
        if written.is_ok() {
            let paid =
                Paid { receipt: receipt.digest(), host: receipt.host, lane: receipt.lane, fee: receipt.fee };
            send(events, Event::Paid(paid)).await?;
        }
        Ok(())
    }
}

fn reason(ending: &Option<Ending>) -> FinishReason {
    match ending {
        Some(Ending::Stop(token)) => FinishReason::Stop(*token),
        Some(Ending::Grammar) => FinishReason::Grammar,
        Some(Ending::Length) | None => FinishReason::Length,
    }
}

async fn send(events: &mpsc::Sender<Event>, event: Event) -> Result<(), Trouble> {
    events.send(event).await.map_err(|_| Trouble::Gone)
}

impl From<Misfit> for Trouble {
    fn from(misfit: Misfit) -> Self {
        match misfit {
            Misfit::Repeated => Self::Lied("its receipt has the number of another"),
            Misfit::Total => Self::Lied("its receipt's total does not follow from those before"),
            Misfit::Gap => Self::Lied("its receipt leaves out numbers"),
            Misfit::Late => Self::Broke("its receipt comes too late".into()),
        }
    }
}

/// An error of all hosts that were asked.
pub(super) fn no_host(reason: impl core::fmt::Display) -> EngineError {
    EngineError::new(
        ErrorKind::Unavailable,
        format!("no host of the lane answered ({reason}); try again in a moment"),
    )
    .with_code("no_host")
    .with_retry_after(core::time::Duration::from_secs(1))
}
