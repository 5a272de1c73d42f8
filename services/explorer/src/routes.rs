//! The table of routes.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Response, Uri, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use freeway_primitives::Address;

use crate::Shared;
use crate::assets::INDEX;
use crate::error::Problem;
use crate::relay::Wanted;
use crate::tables::{self, Format, TABLES, number};

/// A query as it stands in the address.
type Pairs = Vec<(String, String)>;

/// The query, with errors as all others.
struct Asked(Pairs);

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs = Query::try_from_uri(&parts.uri);
        pairs.map(|Query(pairs)| Self(pairs)).map_err(|error| Problem::query(error.to_string()))
    }
}

/// The variable part of the path, with errors as all others.
struct Place(String);

impl<S: Send + Sync> FromRequestParts<S> for Place {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(place)| Self(place)).map_err(|error| Problem::query(error.body_text()))
    }
}

/// The page that talks to a gateway.
const TRY: &str = "/try";
/// Addresses that show the page; what stands on it the page's scripts decide.
const PAGES: [&str; 23] = [
    "/",
    "/accounts/{address}",
    "/blocks",
    "/blocks/{height}",
    "/endorsements",
    "/endorsements/{endorsement}",
    "/epochs",
    "/epochs/{epoch}",
    "/events",
    "/hosts",
    "/hosts/{address}",
    "/lanes",
    "/lanes/{lane}",
    "/models",
    "/models/{model}",
    "/parameters",
    "/prices",
    "/requests",
    "/requests/{*receipt}",
    "/sprint",
    "/transactions",
    TRY,
    "/tx/{transaction}",
];

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let mut router = Router::new();
    for page in PAGES {
        router = router.route(page, get(index));
    }
    router
        .route("/assets/{*name}", get(asset))
        .route("/explorer/v1/now", get(now))
        .route("/explorer/v1/live", get(live))
        .route("/explorer/v1/hosts/{address}/history", get(host_history))
        .route("/explorer/v1/leaf/{interval}/{host}/{lane}/{sequence}", get(leaf))
        .route("/explorer/v1/{table}", get(rows))
        .with_state(shared)
}

async fn now(State(shared): State<Arc<Shared>>, Asked(query): Asked) -> Result<Response<Body>, Problem> {
    nothing(&query)?;
    Ok(fresh(Json(shared.now())))
}

async fn live(State(shared): State<Arc<Shared>>, Asked(query): Asked) -> Result<Response<Body>, Problem> {
    nothing(&query)?;
    shared.live.stream(|| shared.now_frame())
}

async fn rows(
    State(shared): State<Arc<Shared>>,
    Place(name): Place,
    Asked(query): Asked,
) -> Result<Response<Body>, Problem> {
    let Some(table) = tables::table(&name) else {
        let names: Vec<_> = TABLES.iter().map(|table| table.name).collect();
        let shown: String = name.chars().take(40).collect();
        let hint = format!("there are {}", names.join(", "));
        return Err(Problem::not_found(format!("there is no table {shown:?}"), &hint));
    };
    page(&shared, tables::Query::read(table, &query)?).await
}

async fn host_history(
    State(shared): State<Arc<Shared>>,
    Place(address): Place,
    Asked(mut query): Asked,
) -> Result<Response<Body>, Problem> {
    let address: Address = address.parse().map_err(|error| Problem::parameter("address", error))?;
    query.push(("host".into(), address.to_string()));
    let Some(table) = tables::table("host-epochs") else {
        return Err(Problem::no_history("there is no such table"));
    };
    page(&shared, tables::Query::read(table, &query)?).await
}

/// A leaf of a host's commitment, in its canonical bytes.
async fn leaf(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, String, String, String)>, PathRejection>,
    Asked(query): Asked,
) -> Result<Response<Body>, Problem> {
    nothing(&query)?;
    let Path((interval, host, lane, sequence)) = path.map_err(|error| Problem::query(error.body_text()))?;
    let wanted = Wanted {
        interval: number("interval", &interval)?,
        host: host.parse().map_err(|error| Problem::parameter("host", error))?,
        lane: number("lane", &lane)?,
        sequence: number("sequence", &sequence)?,
    };
    let bytes = shared.relay.leaf(&shared, wanted).await?;
    let mut response = fresh(bytes);
    let octets = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, octets);
    Ok(response)
}

/// A page of a table, read where it may take long.
async fn page(shared: &Arc<Shared>, query: tables::Query) -> Result<Response<Body>, Problem> {
    let permit = Arc::clone(&shared.queries).acquire_owned().await;
    let (work, format) = (Arc::clone(shared), query.format);
    let read = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let page = work.readers.read(|connection| query.page(connection))?;
        Ok::<_, rusqlite::Error>(match format {
            Format::Json => fresh(Json(page.json())),
            Format::Csv => file_of(page.file_name(), page.csv()),
        })
    });
    match read.await {
        Ok(Ok(response)) => Ok(response),
        // Before the first block is written there is no file.
        Ok(Err(error)) => {
            tracing::debug!(%error, "a table cannot be read");
            let problem = shared.problem();
            Err(Problem::no_history(problem.unwrap_or_else(|| "the history is not ready yet".into())))
        }
        Err(_) => Err(Problem::no_history("the table could not be read")),
    }
}

fn file_of(name: String, text: String) -> Response<Body> {
    let disposition = format!("attachment; filename=\"{name}\"");
    let mut response = fresh(text);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

/// An answer that is true at this moment only, and never anything but data.
fn fresh(answer: impl IntoResponse) -> Response<Body> {
    let mut response = answer.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The only query of what has none.
fn nothing(query: &Pairs) -> Result<(), Problem> {
    match query.first() {
        None => Ok(()),
        Some(_) => Err(Problem::query("there are no parameters here")),
    }
}

async fn index(State(shared): State<Arc<Shared>>, uri: Uri, asked: HeaderMap) -> Response<Body> {
    found(shared.assets.page(uri.path() == TRY, &asked), INDEX)
}

async fn asset(State(shared): State<Arc<Shared>>, Place(name): Place, asked: HeaderMap) -> Response<Body> {
    found(shared.assets.response(&name, &asked), &name)
}

fn found(file: Option<Response<Body>>, name: &str) -> Response<Body> {
    file.unwrap_or_else(|| {
        let shown: String = name.chars().take(100).collect();
        let problem = Problem::not_found(format!("there is no file {shown:?}"), "load the page again");
        problem.into_response()
    })
}
