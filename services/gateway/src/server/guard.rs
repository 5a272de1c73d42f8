//! Around every request: its id, what is counted, web pages, keys, and panics.

use core::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use freeway_api::trace::TARGET;
use tracing::Instrument;
use tracing::field::Empty;

use super::Server;
use super::listener::Activity;
use super::phase::Phase;
use crate::answer::random_hex;
use crate::error::ApiError;
use crate::keys::grant::Admitted;
use crate::keys::rates::{Reading, Refusal};
use crate::keys::{self, Holder, Key};
use crate::pass::PASS_PREFIX;
use crate::pass::desk::{Checked, Desk};

/// Names a request in logs and in answers.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of an id that a client chose.
const MAX_ID_BYTES: usize = 128;
/// Seconds for which a browser may remember what it was allowed.
const CORS_MAX_AGE: &str = "600";
/// What scripts of web pages may read of an answer's head.
const CORS_EXPOSED: &str = "x-request-id, x-freeway-receipt, retry-after, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, \
                            x-ratelimit-reset-requests, x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, \
                            x-ratelimit-reset-tokens";

/// The outermost layer.
pub(super) async fn guard(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let activity = request.extensions().get::<ConnectInfo<Activity>>().map(|info| info.0.clone());
    let _answering = activity.as_ref().map(Activity::begin);
    let began = Instant::now();
    let id = match request_id(request.headers()) {
        Ok(id) => id,
        Err(error) => return error.into_response(),
    };
    let route = super::routes::label(request.extensions().get::<MatchedPath>().map(MatchedPath::as_str));
    let origin = allowed_origin(&server.cors, request.headers());
    let span = match *request.method() {
        Method::POST => tracing::info_span!(
            target: TARGET,
            "request",
            otel.kind = "server",
            http.route = route,
            http.response.status_code = Empty,
            request.id = id.to_str().unwrap_or_default()
        ),
        _ => tracing::Span::none(),
    };
    let mut response = match &origin {
        Some(_) if request.method() == Method::OPTIONS => preflight(request.headers()),
        _ => next.run(request).instrument(span.clone()).await,
    };
    let status = response.status().as_u16();
    span.record("http.response.status_code", status);
    tracing::debug!(route, status, id = id.to_str().unwrap_or_default(), "answered");
    server.metrics.answered(route, status, began.elapsed());
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(CORS_EXPOSED));
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
    response
}

/// The client's id if it is a fit one, or a new one.
fn request_id(headers: &HeaderMap) -> Result<HeaderValue, ApiError> {
    let fits = |id: &&HeaderValue| {
        let bytes = id.as_bytes();
        let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
        !bytes.is_empty() && bytes.len() <= MAX_ID_BYTES && bytes.iter().all(good)
    };
    if let Some(id) = headers.get(REQUEST_ID).filter(fits) {
        return Ok(id.clone());
    }
    let id = format!("req-{}", random_hex::<16>()?);
    HeaderValue::from_str(&id).map_err(|_| ApiError::internal())
}

fn allowed_origin(allowed: &[String], headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let fits = |known: &String| known == "*" || known.as_bytes() == origin.as_bytes();
    allowed.iter().any(fits).then(|| origin.clone())
}

fn preflight(asked: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    let wanted = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let wanted = wanted.unwrap_or(HeaderValue::from_static("authorization, content-type"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(CORS_MAX_AGE));
    response
}

/// Who calls: nobody in particular, or the holder of a key or a pass.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller(pub(super) Option<Arc<Admitted>>);

impl Caller {
    /// Whether nothing bounds what it may ask, so that it may see what all others did.
    pub(super) fn is_owner(&self) -> bool {
        self.0.as_ref().is_none_or(|caller| {
            let grant = &caller.grant;
            grant.what == "key" && grant.models.is_none() && grant.lines.is_empty()
        })
    }

    /// Whether this model may be asked.
    pub(super) fn allows(&self, model: &str) -> bool {
        self.0.as_ref().is_none_or(|caller| caller.grant.allows(model))
    }
}

/// What somebody came with.
enum Shown<'a> {
    Key(Arc<Holder>),
    Pass(&'a Desk, Arc<Checked>),
}

impl Shown<'_> {
    fn admit(&self, now: Instant) -> Result<Admitted, Refusal> {
        match self {
            Self::Key(holder) => {
                let lease = holder.rates.admit(now)?;
                Ok(Admitted { grant: Arc::clone(&holder.grant), leases: vec![lease] })
            }
            Self::Pass(desk, checked) => desk.admit(checked, now),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Key(holder) => &holder.grant.name,
            Self::Pass(_, checked) => &checked.grant().name,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get().cloned().ok_or_else(ApiError::internal)
    }
}

/// Lets in who may come in. For everything under `/v1`.
pub(super) async fn admit(State(server): State<Arc<Server>>, mut request: Request, next: Next) -> Response {
    if server.phases.now() > Phase::Serving {
        return crate::answer::sse::stopping().into_response();
    }
    let headers = request.headers().clone();
    let shown = match shown(&server, &headers) {
        Ok(shown) => shown,
        Err(error) => return error.into_response(),
    };
    let Some(shown) = shown else {
        request.extensions_mut().insert(Caller(None));
        return next.run(request).await;
    };
    let (mut response, (requests, tokens)) = match shown.admit(Instant::now()) {
        Ok(admitted) => {
            let admitted = Arc::new(admitted);
            request.extensions_mut().insert(Caller(Some(Arc::clone(&admitted))));
            let response = next.run(request).await;
            (response, admitted.readings(Instant::now()))
        }
        Err(refusal) => {
            tracing::debug!(name = shown.name(), "an allowance is used up");
            let response = ApiError::limited(refusal.message, refusal.after).into_response();
            let readings = match &shown {
                Shown::Key(holder) => holder.rates.readings(Instant::now()),
                Shown::Pass(..) => (None, None),
            };
            (response, readings)
        }
    };
    for (what, reading) in [("requests", requests), ("tokens", tokens)] {
        if let Some(reading) = reading {
            rate_headers(response.headers_mut(), what, reading);
        }
    }
    response
}

/// The key or pass that is sent; none where none is needed.
fn shown<'a>(server: &'a Server, headers: &HeaderMap) -> Result<Option<Shown<'a>>, ApiError> {
    let refused = |message: &str| ApiError::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message);
    let given = headers.get(header::AUTHORIZATION);
    let text = given.and_then(|given| given.to_str().ok()).unwrap_or_default();
    let bearer = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let bearer = bearer.map(|(_, bearer)| bearer.trim());
    // A pass counts also where nothing is needed: its holder is bound by it.
    if let (Some(desk), Some(pass)) = (&server.desk, bearer.filter(|bearer| bearer.starts_with(PASS_PREFIX)))
    {
        let checked = desk.look(pass, Instant::now(), crate::answer::now())?;
        return Ok(Some(Shown::Pass(desk, checked)));
    }
    let Some(accounts) = &server.accounts else { return Ok(None) };
    if given.is_none() {
        return Err(refused("a key is needed; send it as \"authorization: Bearer fw-...\""));
    }
    let key = bearer.and_then(|key| Key::parse(key).ok());
    let holder = key.and_then(|key| keys::find(accounts, key.hash()));
    holder.map(|holder| Some(Shown::Key(holder))).ok_or_else(|| {
        refused("the key is not known here; send a key of this gateway as \"authorization: Bearer fw-...\"")
    })
}

fn rate_headers(headers: &mut HeaderMap, what: &str, reading: Reading) {
    let reset = format!("{:.3}s", reading.reset.as_secs_f64());
    let limit = reading.limit.to_string();
    let remaining = reading.remaining.to_string();
    for (which, value) in [("limit", limit), ("remaining", remaining), ("reset", reset)] {
        let name = HeaderName::from_bytes(format!("x-ratelimit-{which}-{what}").as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
            headers.insert(name, value);
        }
    }
}

/// What is answered instead of a panic.
pub(super) fn on_panic(panic: Box<dyn Any + Send + 'static>) -> axum::http::Response<Body> {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("unknown"), "a request met a defect");
    ApiError::internal().into_response()
}
