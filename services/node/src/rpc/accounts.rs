//! Accounts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use freeway_api::{AccountView, DelegateView, ErrorBody, QuotaView};
use freeway_ledger::Params;
use freeway_ledger::accounts::{ACCOUNTS, Account, delegates};
use freeway_ledger::epochs::CLOCK;
use freeway_ledger::hosts::HOSTS;
use freeway_ledger::lanes::PAYERS;
use freeway_primitives::{Address, Amount, Height};

use super::error::ApiError;
use super::extract::{self, Asked, Nothing, Place};
use super::hosts::Standings;
use super::{Context, Server};

/// The most delegates that are shown.
const MAX_DELEGATES: usize = 256;

/// An account. One that was never used is shown as empty.
#[utoipa::path(get, path = "/v1/accounts/{address}", tag = "accounts",
    params(("address" = String, Path, description = "The account's address.")),
    responses(
        (status = 200, description = "The account.", body = AccountView),
        (status = "4XX", description = "The request is wrong.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn account(
    State(server): State<Arc<Server>>,
    Place(address): Place<String>,
    _: Asked<Nothing>,
) -> Result<Json<AccountView>, ApiError> {
    let address = extract::value("address", &address)?;
    view(&server.context, address).map(Json)
}

fn view(context: &Context, address: Address) -> Result<AccountView, ApiError> {
    let state = context.store.view();
    let params = Params::current(&state)?;
    let found = ACCOUNTS.get(&state, &address)?;
    let exists = found.is_some();
    let account = found.unwrap_or_default();
    let host = HOSTS.get(&state, &address)?;
    let next = state.height().next();
    let epoch = CLOCK.require(&state)?.at(next, &params.epochs).epoch;
    let collateral = host.as_ref().map_or(Amount::ZERO, |host| host.collateral);
    let in_lanes = PAYERS.get(&state, &address)?.unwrap_or_default().escrow;
    let elsewhere = collateral.checked_add(in_lanes).unwrap_or(collateral);
    let mempool = context.submitter.mempool();
    let delegates = delegates(&state, &address, None, MAX_DELEGATES)?;
    let delegates = delegates.iter().map(|delegate| {
        let signer = Address::of(&delegate.key);
        DelegateView::new(delegate, mempool.next_sequence(&address, &signer, delegate.sequence))
    });
    Ok(AccountView {
        address,
        height: state.height().0,
        exists,
        balance: account.balance,
        sequence: mempool.next_sequence(&address, &address, account.sequence),
        committed_sequence: account.sequence,
        delegates: delegates.collect(),
        quota: quota(&account, elsewhere, next, epoch, &params),
        host: host.map(|host| Standings::read(&state)?.view(&state, address, &host)).transpose()?,
    })
}

/// The quota as it stands for the block at `next`, for an account with so much in collateral and lanes: by the same rule
/// as in the ledger.
fn quota(
    account: &Account,
    elsewhere: Amount,
    next: Height,
    epoch: freeway_primitives::Epoch,
    params: &Params,
) -> QuotaView {
    let quota = account.quota;
    let renewed = quota.epoch != epoch;
    let held = || account.balance.checked_add(elsewhere).unwrap_or(account.balance);
    let basis = if renewed { held() } else { quota.basis };
    let used_in_epoch = if renewed { 0 } else { quota.used_in_epoch };
    let units = basis.0 / params.accounts.quota_unit.0.max(1);
    if units == 0 {
        return QuotaView { limit: 1, period: "epoch".into(), used: used_in_epoch, used_in_epoch, basis };
    }
    let used = if renewed || quota.height != next { 0 } else { quota.used_at_height };
    let limit = u32::try_from(units).unwrap_or(u32::MAX).min(params.accounts.max_per_block);
    QuotaView { limit, period: "block".into(), used, used_in_epoch, basis }
}
