//! Models, and who serves them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use freeway_api::{ErrorBody, ModelDetailView, ModelView, ModelsView, ServingHostView};
use freeway_ledger::hosts::HOSTS;
use freeway_ledger::models::{self, Model};
use freeway_ledger::{Fault, Reader, Text, pricing, weights};
use freeway_primitives::{Address, Digest, Height};

use super::error::ApiError;
use super::extract::{Asked, ListQuery, Place};
use super::{Context, Server};

/// The default and the greatest length of lists.
const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1_000;
/// Hosts that are counted at once.
const PAGE: usize = 1_024;

/// A page of models, by root.
#[utoipa::path(get, path = "/v1/models", tag = "models",
    params(
        ("after" = Option<String>, Query, description = "Begin after this root: `next` of the page before."),
        ("limit" = Option<u64>, Query, description = "At most so many, 1 to 1000; 100 if missing."),
    ),
    responses(
        (status = 200, description = "The models.", body = ModelsView),
        (status = "4XX", description = "The request is wrong.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn list(
    State(server): State<Arc<Server>>,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<ModelsView>, ApiError> {
    let (after, limit) = query.read(DEFAULT_LIMIT, MAX_LIMIT)?;
    server.bulk(move |context| page(context, after, limit)).await.map(Json)
}

fn page(context: &Context, after: Option<Digest>, limit: usize) -> Result<ModelsView, ApiError> {
    let state = context.store.view();
    // One more than asked for tells whether there is a next page.
    let mut models = models::models(&state, after, limit + 1)?;
    let more = models.len() > limit;
    models.truncate(limit);
    Ok(ModelsView {
        height: state.height().0,
        next: if more { models.last().map(|(root, _)| *root) } else { None },
        models: models
            .iter()
            .map(|(root, model)| view(&state, *root, model))
            .collect::<Result<_, Fault>>()?,
    })
}

fn view(state: &dyn Reader, root: Digest, model: &Model) -> Result<ModelView, Fault> {
    let (utilisation, lanes) = (pricing::utilisation(state, &root)?, models::uses(state, &root)?);
    Ok(ModelView::new(root, model, utilisation, lanes))
}

/// A model, and who serves it.
#[utoipa::path(get, path = "/v1/models/{model}", tag = "models",
    params(
        ("model" = String, Path, description = "The model's root or name."),
        ("after" = Option<String>, Query, description = "Begin after this host: `next` of the page before."),
        ("limit" = Option<u64>, Query, description = "At most so many hosts, 1 to 1000; 100 if missing."),
    ),
    responses(
        (status = 200, description = "The model and a page of the hosts that serve it.", body = ModelDetailView),
        (status = "4XX", description = "The request is wrong, or there is no such model.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn model(
    State(server): State<Arc<Server>>,
    Place(model): Place<String>,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<ModelDetailView>, ApiError> {
    let (after, limit) = query.read(DEFAULT_LIMIT, MAX_LIMIT)?;
    server.bulk(move |context| detail(context, &model, after, limit)).await.map(Json)
}

fn detail(
    context: &Context,
    model: &str,
    after: Option<Address>,
    limit: usize,
) -> Result<ModelDetailView, ApiError> {
    let state = context.store.view();
    let Some((root, model)) = find(&state, model)? else {
        let shown: String = model.chars().take(100).collect();
        let message = format!("no model has the root or name {shown:?}");
        return Err(ApiError::not_found(message).hint("/v1/models lists all models"));
    };
    let mut hosts = models::serving(&state, &root, after, limit + 1)?;
    let more = hosts.len() > limit;
    hosts.truncate(limit);
    Ok(ModelDetailView {
        height: state.height().0,
        model: view(&state, root, &model)?,
        serving: count(&state, &root)?,
        next: if more { hosts.last().map(|(host, _)| *host) } else { None },
        hosts: hosts
            .iter()
            .filter_map(|(host, since)| serving(&state, *host, *since).transpose())
            .collect::<Result<_, Fault>>()?,
    })
}

/// A root comes before a name that looks like one.
fn find(state: &dyn Reader, text: &str) -> Result<Option<(Digest, Model)>, Fault> {
    if let Ok(root) = text.parse::<Digest>()
        && let Some(model) = models::model(state, &root)?
    {
        return Ok(Some((root, model)));
    }
    match Text::new(text) {
        Ok(name) => models::named(state, &name),
        Err(_) => Ok(None),
    }
}

fn serving(state: &dyn Reader, address: Address, since: Height) -> Result<Option<ServingHostView>, Fault> {
    let Some(host) = HOSTS.get(state, &address)? else { return Ok(None) };
    Ok(Some(ServingHostView {
        host: address,
        since: since.0,
        power: weights::power(state, &address)?,
        operator: host.profile.operator.to_string(),
        region: host.profile.region.to_string(),
        endpoints: host.profile.endpoints.iter().map(ToString::to_string).collect(),
    }))
}

/// At most as many as there are hosts.
fn count(state: &dyn Reader, root: &Digest) -> Result<u64, Fault> {
    let (mut count, mut after) = (0u64, None);
    loop {
        let page = models::serving(state, root, after, PAGE)?;
        count = count.saturating_add(page.len() as u64);
        match page.last() {
            Some((last, _)) if page.len() == PAGE => after = Some(*last),
            _ => return Ok(count),
        }
    }
}
