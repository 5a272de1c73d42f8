//! A request from its acceptance to its receipt.

use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use freeway_api::serving::{Done, Ending, Frame, MAX_OUTPUT_TOKENS, frame};
use freeway_api::trace::TARGET;
use freeway_engines::{Engine, EngineError, ErrorKind, Event, EventStream, FinishReason, Job};
use freeway_ledger::models::Tier;
use freeway_primitives::Digest;
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::claims::{self, Said};
use super::desk::{Outcome, Seat, Seatless};
use super::store::{Body, Record};
use crate::work::ends;

/// After so much silence the payer is told that the host is alive.
const ALIVE: Duration = Duration::from_secs(5);
/// How long a request may wait for its payer to take what is there, all together: then the payer has left. Otherwise
/// a few slow readers could hold all seats.
const STALL: Duration = Duration::from_secs(30);
/// Pieces that wait for the payer.
pub(super) const WAITING: usize = 64;
/// A piece is no longer than this, if its frames are not.
const PIECE_BYTES: usize = 8 << 10;

/// Why a request ended without a receipt.
enum Stop {
    /// The payer left.
    Left,
    /// It could not be done.
    Failed(EngineError),
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Self::Failed(error)
    }
}

/// Where frames go.
struct Sink {
    payer: mpsc::Sender<Bytes>,
    piece: Vec<u8>,
    /// How long it has waited for the payer.
    waited: Duration,
}

impl Sink {
    fn new(payer: mpsc::Sender<Bytes>) -> Self {
        Self { payer, piece: Vec::new(), waited: Duration::ZERO }
    }

    fn add(&mut self, part: &Frame) {
        self.piece.extend_from_slice(&frame(part));
    }

    async fn flush(&mut self) -> Result<(), Stop> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(core::mem::take(&mut self.piece));
        let (began, left) = (Instant::now(), STALL.saturating_sub(self.waited));
        let sent = timeout(left, self.payer.send(piece)).await;
        self.waited = self.waited.saturating_add(began.elapsed());
        match sent {
            Ok(Ok(())) => Ok(()),
            _ => Err(Stop::Left),
        }
    }
}

/// Does a request, and tells `payer` all of it. Ends early if nobody listens.
pub(super) async fn run(seat: Seat, payer: mpsc::Sender<Bytes>) {
    let mut sink = Sink::new(payer);
    let lane = seat.ask.voucher.lane.0;
    match work(&seat, &mut sink).await {
        Ok(outcome) => settle(seat, outcome, sink).await,
        Err(Stop::Left) => {
            Span::current().record("outcome", "left");
            tracing::debug!(lane, "the payer left; nothing is owed");
        }
        Err(Stop::Failed(error)) => {
            Span::current().record("outcome", error.code());
            tracing::debug!(lane, %error, "a request cannot be done");
            seat.failed();
            refuse(sink, &error).await;
        }
    }
}

async fn refuse(mut sink: Sink, error: &EngineError) {
    let message = error.message.chars().take(1_000).collect();
    sink.add(&Frame::Failed { code: error.code().to_owned(), message });
    let _ = sink.flush().await;
}

fn accepted(promise: &Seatless) -> Frame {
    Frame::Accepted { acceptance: promise.acceptance, signature: promise.signature }
}

/// Does all but the receipt.
async fn work(seat: &Seat, sink: &mut Sink) -> Result<Outcome, Stop> {
    sink.add(&accepted(&seat.promise));
    sink.flush().await?;
    let root = seat.facts.lane.model;
    let Some((engine, name)) = seat.desk().model(&root) else {
        return Err(Stop::Failed(EngineError::unknown_model("of this lane")));
    };
    let exact = seat.facts.lane.tier == Tier::Exact;
    let job = Job { request: Arc::new(seat.ask.request.clone()), trace: exact, claims: !exact };
    let job = claims::asking(&*engine, &name, job);
    let span = tracing::info_span!(
        target: TARGET,
        "engine",
        engine = engine.label(),
        model = name,
        prompt_tokens = job.request.prompt.len(),
        cached_tokens = Empty,
        completion_tokens = Empty
    );
    compute(seat, engine, name, job, sink).instrument(span).await
}

/// Lets the engine answer, and tells what happens.
async fn compute(
    seat: &Seat,
    engine: Arc<dyn Engine>,
    name: String,
    job: Job,
    sink: &mut Sink,
) -> Result<Outcome, Stop> {
    // Models are loaded and grammars compiled when they are first asked for.
    let mut begun = core::pin::pin!(async move { engine.generate(&name, job).await });
    let events = loop {
        let closed = sink.payer.clone();
        tokio::select! {
            begun = timeout(ALIVE, &mut begun) => match begun {
                Ok(events) => break events?,
                Err(_) => sink.add(&Frame::Alive),
            },
            () = closed.closed() => return Err(Stop::Left),
        }
        sink.flush().await?;
    };
    follow(seat, events, sink).await
}

/// Tells what happens, and keeps what the receipt is made of.
async fn follow(seat: &Seat, mut events: EventStream, sink: &mut Sink) -> Result<Outcome, Stop> {
    let request = &seat.ask.request;
    let choices = usize::from(request.choices);
    let mut output = vec![Vec::new(); choices];
    let mut ends: Vec<Option<(Ending, Option<Digest>)>> = vec![None; choices];
    let mut said = (seat.facts.lane.tier == Tier::Statistical).then(|| Said::new(choices));
    let (mut cached, mut tokens) = (0, 0usize);
    let broken = || {
        let message = "the engine gave what it must not; the host's log says more";
        Stop::Failed(EngineError::new(ErrorKind::Internal, message))
    };
    while ends.iter().any(Option::is_none) {
        let closed = sink.payer.clone();
        let event = tokio::select! {
            event = timeout(ALIVE, events.next()) => event,
            () = closed.closed() => return Err(Stop::Left),
        };
        let Ok(event) = event else {
            sink.add(&Frame::Alive);
            sink.flush().await?;
            continue;
        };
        // Whatever else has happened goes into the same piece.
        let mut next = Some(event);
        while let Some(event) = next.take() {
            match event.ok_or_else(broken)? {
                Event::Started { prompt_tokens, cached_tokens } => {
                    cached = cached_tokens;
                    sink.add(&Frame::Started { prompt_tokens, cached_tokens });
                }
                Event::Token(token) => {
                    tokens = tokens.saturating_add(1);
                    let choice = output.get_mut(usize::from(token.choice)).ok_or_else(broken)?;
                    if tokens > MAX_OUTPUT_TOKENS {
                        return Err(broken());
                    }
                    choice.push(token.id);
                    if let Some(said) = &mut said {
                        let stops = request.stop.contains(&token.id);
                        said.add(token.choice, token.scored.as_ref(), stops).ok_or_else(broken)?;
                    }
                    let scored = claims::shown(token.scored, request.top_logprobs);
                    sink.add(&Frame::Token { choice: token.choice, id: token.id, scored });
                }
                Event::Finished(finished) => {
                    let ending = match finished.reason {
                        FinishReason::Stop(id) => Ending::Stop(id),
                        FinishReason::Grammar => Ending::Grammar,
                        FinishReason::Length => Ending::Length,
                    };
                    if finished.trace.is_none() && said.is_none() {
                        return Err(broken());
                    }
                    let end = (ending, finished.trace);
                    *ends.get_mut(usize::from(finished.choice)).ok_or_else(broken)? = Some(end);
                    let (choice, completion_tokens) = (finished.choice, finished.completion_tokens);
                    sink.add(&Frame::Finished { choice, ending, completion_tokens });
                }
                Event::Paid(_) => {}
                Event::Failed(error) => return Err(Stop::Failed(error)),
            }
            if sink.piece.len() < PIECE_BYTES && ends.iter().any(Option::is_none) {
                next = events.next().now_or_never();
            }
        }
        sink.flush().await?;
    }
    Span::current().record("cached_tokens", cached).record("completion_tokens", tokens);
    let (endings, traces): (_, Vec<Option<Digest>>) = ends.into_iter().flatten().unzip();
    let traces = match &said {
        Some(said) => said.traces(),
        None => traces.into_iter().flatten().collect(),
    };
    if said.is_some() && !is_whole(seat, &output) {
        tracing::warn!(
            "a server ends answers before their end; does it have the context that its model has on chain?"
        );
        let message = "the host's server ended an answer before its end; nothing is owed; ask another host";
        return Err(Stop::Failed(EngineError::new(ErrorKind::BadUpstream, message)));
    }
    Ok(Outcome { output, endings, traces, claims: said.map(Said::into_logprobs), cached })
}

/// Whether each choice ends where it may. Members would call anything else wrong: a server whose context is smaller than
/// the model's is no reason to lose a reputation.
fn is_whole(seat: &Seat, output: &[Vec<u32>]) -> bool {
    let Some(model) = seat.facts.model.as_ref().filter(|_| seat.desk().is_honest()) else { return true };
    output.iter().all(|tokens| ends(&seat.ask.request, tokens, model.context))
}

/// Makes the receipt, keeps it, and only then shows it.
async fn settle(seat: Seat, outcome: Outcome, mut sink: Sink) {
    let made = tokio::task::spawn_blocking(move || {
        let finished = seat.is_in_time().then(|| seat.finished(outcome));
        let kept = finished.map(|finished| seat.desk().store().complete(finished));
        (seat, kept)
    });
    let Ok((seat, kept)) = made.await else { return };
    let Some(kept) = kept else {
        seat.failed();
        let message =
            "the lane was closed too long ago for this to be checked; nothing is owed; open another";
        refuse(sink, &EngineError::new(ErrorKind::Unavailable, message)).await;
        return;
    };
    match kept.await {
        Ok(record) => {
            seat.paid(&record);
            Span::current().record("outcome", "paid");
            sink.add(&done(record));
            // If the payer has gone, it asks again.
            let _ = sink.flush().await;
        }
        Err(error) => {
            tracing::error!(%error, "a request was done for nothing");
            seat.desk().drain();
            seat.failed();
            let message = "the host cannot keep what it served; nothing is owed; ask another host";
            refuse(sink, &EngineError::new(ErrorKind::Internal, message)).await;
        }
    }
}

fn done(record: Record) -> Frame {
    let Record { receipt, signature, salt, traces, .. } = record;
    Frame::Done(Box::new(Done { receipt, signature, salt, traces }))
}

/// Tells once more what a request came to. Log-probabilities are not kept.
pub(super) async fn again(promise: Seatless, record: Record, body: Body, payer: mpsc::Sender<Bytes>) {
    let mut sink = Sink::new(payer);
    sink.add(&accepted(&promise));
    let usage = record.receipt.usage;
    sink.add(&Frame::Started { prompt_tokens: usage.prompt, cached_tokens: usage.cached });
    for ((choice, tokens), ending) in (0u16..).zip(&body.output).zip(&body.endings) {
        for id in tokens {
            sink.add(&Frame::Token { choice, id: *id, scored: None });
            if sink.piece.len() >= PIECE_BYTES && sink.flush().await.is_err() {
                return;
            }
        }
        let completion_tokens = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
        sink.add(&Frame::Finished { choice, ending: *ending, completion_tokens });
    }
    sink.add(&done(record));
    let _ = sink.flush().await;
}
