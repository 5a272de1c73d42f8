//! The routes of those who check work: committees, juries, and for leaves everybody.

use core::time::Duration;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use freeway_api::serving::{Asking, Subject};
use freeway_primitives::Canonical;
use freeway_proofs::work::LaneId;
use tokio::sync::Semaphore;

use super::store::Signer;
use super::{Refusal, http};
use crate::work::{self, ShowWork};

/// Signed questions that are answered at a time.
const MAX_QUESTIONS: usize = 16;
/// Leaves that are shown at a time. Everybody may ask for them, so they take no place of a verifier's.
const MAX_LEAVES: usize = 4;
/// How long an answer may take to be found.
const TIMEOUT: Duration = Duration::from_secs(10);

struct Verifiers {
    own: Signer,
    show: Arc<dyn ShowWork>,
    questions: Semaphore,
    leaves: Semaphore,
}

pub(super) fn routes(own: Signer, show: Arc<dyn ShowWork>) -> Router {
    let (questions, leaves) = (Semaphore::new(MAX_QUESTIONS), Semaphore::new(MAX_LEAVES));
    let verifiers = Arc::new(Verifiers { own, show, questions, leaves });
    Router::new()
        .route("/v1/work/{interval}/samples", post(samples))
        .route("/v1/work/artifacts", post(artifacts))
        .route("/v1/work/{interval}/leaves/{lane}/{sequence}", get(leaf))
        .with_state(verifiers)
}

type Shown = Result<Vec<u8>, Refusal>;

/// Answers within the bounds of `room`; `find` may block.
async fn answer(
    verifiers: Arc<Verifiers>,
    room: fn(&Verifiers) -> &Semaphore,
    find: impl FnOnce(&Verifiers) -> Shown + Send + 'static,
) -> Shown {
    let held = Arc::clone(&verifiers);
    let Ok(_permit) = room(&held).try_acquire() else {
        return Err(Refusal::busy("too many questions at once; ask again in a second"));
    };
    let found = tokio::task::spawn_blocking(move || find(&verifiers));
    match tokio::time::timeout(TIMEOUT, found).await {
        Ok(Ok(shown)) => shown,
        Ok(Err(_)) => Err(Refusal::internal()),
        Err(_) => Err(Refusal::busy("the answer takes long to be found; ask again")),
    }
}

fn response(shown: Shown) -> Response {
    match shown {
        Ok(bytes) => ([(header::CONTENT_TYPE, http::octets())], bytes).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

impl Verifiers {
    /// Whether the question is this host's to answer, and asked by whom it says.
    fn check(&self, asking: &Asking) -> Result<(), Refusal> {
        let (question, own) = (&asking.question, &self.own);
        if question.chain != own.chain {
            return Err(Refusal::new("wrong_chain", format!("this host is on {}", own.chain)));
        }
        if question.host != own.host {
            return Err(Refusal::new("wrong_host", format!("this is {}", own.host)));
        }
        let key = self.show.key_of(question.asker).map_err(|refusal| refused(&refusal))?;
        if !asking.holds(&key) {
            let message = "the question is not signed by the consensus key that its asker has on chain";
            return Err(Refusal::new("bad_signature", message).with_status(403));
        }
        Ok(())
    }
}

fn refused(refusal: &work::Refusal) -> Refusal {
    Refusal::new(refusal.code(), refusal.to_string()).with_status(404)
}

async fn samples(
    State(verifiers): State<Arc<Verifiers>>,
    Path(interval): Path<String>,
    request: Request,
) -> Response {
    response(match http::read::<Asking>(request.into_body()).await {
        Ok(asking) => {
            answer(
                verifiers,
                |all| &all.questions,
                move |verifiers| {
                    let interval = number("interval", &interval)?;
                    if asking.question.subject != Subject::Samples(interval) {
                        return Err(Refusal::new(
                            "wrong_subject",
                            "the question is about something else than the path",
                        ));
                    }
                    verifiers.check(&asking)?;
                    let shown = verifiers.show.samples(interval, asking.question.asker);
                    Ok(shown.map_err(|refusal| refused(&refusal))?.encode())
                },
            )
            .await
        }
        Err(refusal) => Err(refusal),
    })
}

async fn artifacts(State(verifiers): State<Arc<Verifiers>>, request: Request) -> Response {
    response(match http::read::<Asking>(request.into_body()).await {
        Ok(asking) => {
            answer(
                verifiers,
                |all| &all.questions,
                move |verifiers| {
                    let Subject::Artifact(receipt) = asking.question.subject else {
                        return Err(Refusal::new("wrong_subject", "the question names no receipt"));
                    };
                    verifiers.check(&asking)?;
                    let shown = verifiers.show.artifact(receipt, asking.question.asker);
                    Ok(shown.map_err(|refusal| refused(&refusal))?.encode())
                },
            )
            .await
        }
        Err(refusal) => Err(refusal),
    })
}

async fn leaf(
    State(verifiers): State<Arc<Verifiers>>,
    Path((interval, lane, sequence)): Path<(String, String, String)>,
) -> Response {
    let find = move |verifiers: &Verifiers| {
        let interval = number("interval", &interval)?;
        let (lane, sequence) = (LaneId(number("lane", &lane)?), number("sequence", &sequence)?);
        let shown = verifiers.show.leaf(interval, lane, sequence);
        Ok(shown.map_err(|refusal| refused(&refusal))?.encode())
    };
    response(answer(verifiers, |all| &all.leaves, find).await)
}

fn number(name: &str, text: &str) -> Result<u64, Refusal> {
    text.parse().map_err(|_| Refusal::new("bad_parameter", format!("{name}: a number is expected")))
}
