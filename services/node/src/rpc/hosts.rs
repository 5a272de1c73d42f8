//! Hosts and validators.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use freeway_api::{ErrorBody, HostStanding, HostSummary, HostView, HostsView, ValidatorsView};
use freeway_ledger::epochs::{self, VALIDATORS};
use freeway_ledger::hosts::{HOSTS, Host};
use freeway_ledger::{Fault, Params, Reader, weights};
use freeway_primitives::{Address, ValidatorSet};

use super::error::ApiError;
use super::extract::{self, Asked, AtHeight, ListQuery, Nothing, Place};
use super::{Context, Server};

/// The default and the greatest length of lists.
const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1_000;

/// What hosts are besides their records.
pub(super) struct Standings {
    params: Params,
    pub(super) validators: ValidatorSet,
    silent: BTreeSet<Address>,
}

impl Standings {
    pub(super) fn read(state: &dyn Reader) -> Result<Self, Fault> {
        let params = Params::current(state)?;
        let silent = epochs::silent(state, &params.epochs)?.into_iter().collect();
        Ok(Self { validators: VALIDATORS.require(state)?, silent, params })
    }

    pub(super) fn of(&self, state: &dyn Reader, host: &Address) -> Result<HostStanding, Fault> {
        let power = self.validators.get(host).map_or(0, |member| member.power);
        let proven = weights::of(state, host)?;
        Ok(HostStanding::new(power, self.silent.contains(host), proven, &self.params))
    }

    pub(super) fn view(&self, state: &dyn Reader, address: Address, host: &Host) -> Result<HostView, Fault> {
        Ok(HostView::new(address, host, &self.of(state, &address)?))
    }

    pub(super) fn summary(
        &self,
        state: &dyn Reader,
        address: Address,
        host: &Host,
    ) -> Result<HostSummary, Fault> {
        Ok(HostSummary::new(address, host, &self.of(state, &address)?))
    }
}

/// A page of hosts, by address.
#[utoipa::path(get, path = "/v1/hosts", tag = "hosts",
    params(
        ("after" = Option<String>, Query, description = "Begin after this address: `next` of the page before."),
        ("limit" = Option<u64>, Query, description = "At most so many, 1 to 1000; 100 if missing."),
    ),
    responses(
        (status = 200, description = "The hosts.", body = HostsView),
        (status = "4XX", description = "The request is wrong.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn list(
    State(server): State<Arc<Server>>,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<HostsView>, ApiError> {
    let (after, limit) = query.read(DEFAULT_LIMIT, MAX_LIMIT)?;
    server.bulk(move |context| page(context, after, limit)).await.map(Json)
}

fn page(context: &Context, after: Option<Address>, limit: usize) -> Result<HostsView, ApiError> {
    let state = context.store.view();
    let standings = Standings::read(&state)?;
    // One more than asked for tells whether there is a next page.
    let mut hosts = HOSTS.page(&state, after.as_ref(), limit + 1)?;
    let more = hosts.len() > limit;
    hosts.truncate(limit);
    Ok(HostsView {
        height: state.height().0,
        next: if more { hosts.last().map(|(address, _)| *address) } else { None },
        hosts: hosts
            .iter()
            .map(|(address, host)| standings.view(&state, *address, host))
            .collect::<Result<_, Fault>>()?,
    })
}

/// A host.
#[utoipa::path(get, path = "/v1/hosts/{address}", tag = "hosts",
    params(("address" = String, Path, description = "The account that owns the host.")),
    responses(
        (status = 200, description = "The host.", body = HostView),
        (status = "4XX", description = "The request is wrong, or the account owns no host.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn host(
    State(server): State<Arc<Server>>,
    Place(address): Place<String>,
    _: Asked<Nothing>,
) -> Result<Json<HostView>, ApiError> {
    let address = extract::value("address", &address)?;
    let state = server.context.store.view();
    match HOSTS.get(&state, &address)? {
        Some(host) => Ok(Json(Standings::read(&state)?.view(&state, address, &host)?)),
        None => Err(ApiError::not_found(format!("{address} owns no host")).hint("/v1/hosts lists all hosts")),
    }
}

/// The validators of a height.
#[utoipa::path(get, path = "/v1/validators", tag = "hosts",
    params(("height" = Option<u64>, Query, description = "The height that they sign; if missing, the next one.")),
    responses(
        (status = 200, description = "The validators.", body = ValidatorsView),
        (status = "4XX", description = "The request is wrong, or they are not known here.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn validators(
    State(server): State<Arc<Server>>,
    Asked(query): Asked<AtHeight>,
) -> Result<Json<ValidatorsView>, ApiError> {
    let state = server.context.store.view();
    let next = state.height().next();
    let height = query.height.as_deref().map(|text| extract::height("height", text)).transpose()?;
    let height = height.unwrap_or(next);
    if height > next {
        let message =
            format!("the validators of height {height} are not known yet; the next height is {next}");
        return Err(ApiError::not_found(message));
    }
    let set = if height == next {
        Some(VALIDATORS.require(&state)?)
    } else if height == freeway_primitives::Height::GENESIS {
        None
    } else {
        epochs::set_at(&state, height)?
    };
    match set {
        Some(set) => Ok(Json(ValidatorsView::new(height.0, &set))),
        None => {
            let message = format!("the validators of height {height} are not kept in the state");
            Err(ApiError::not_found(message).hint("the sets of the latest four epochs are"))
        }
    }
}
