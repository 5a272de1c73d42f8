//! Work: what hosts committed to have served, and how it is checked.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use freeway_api::{
    BranchView, CommitmentSummary, CommitmentView, CommitmentsView, ErrorBody, RoundView, SampleView,
    WorkDemandView, WorkReportView, WorkTrialView, WorkView,
};
use freeway_ledger::state::Key;
use freeway_ledger::verification::{TRIALS, VERDICTS, demands_on, reports_on};
use freeway_ledger::work::{self, Commitment};
use freeway_ledger::{Fault, Params, Reader};
use freeway_primitives::{Address, Height};

use super::error::ApiError;
use super::extract::{self, Asked, ListQuery, Nothing, Place};
use super::{Context, Server};

/// The default and the greatest length of lists.
const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 500;
/// Demands, reports and trials that are shown of a commitment, of each kind.
const MAX_DISPUTES: usize = 256;

/// Where work stands: the interval under way, and the rounds in which earlier ones are checked.
#[utoipa::path(get, path = "/v1/work", tag = "work", responses(
    (status = 200, description = "The interval and the rounds.", body = WorkView),
    (status = "4XX", description = "The request is wrong.", body = ErrorBody),
    (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
))]
pub(super) async fn now(
    State(server): State<Arc<Server>>,
    _: Asked<Nothing>,
) -> Result<Json<WorkView>, ApiError> {
    server.bulk(standing).await.map(Json)
}

fn standing(context: &Context) -> Result<WorkView, ApiError> {
    let state = context.store.view();
    let (height, params) = (state.height(), Params::current(&state)?);
    let interval = work::interval_at(height.next(), &params.work);
    let first = interval.saturating_mul(params.work.interval_blocks);
    let rounds = work::rounds(&state)?;
    Ok(WorkView {
        height: height.0,
        interval,
        first,
        last: first.saturating_add(params.work.interval_blocks).saturating_sub(1),
        last_commit: work::last_commit(interval, &params.work).0,
        window: work::window(&params),
        rounds: rounds.iter().map(|(id, round)| RoundView::new(*id, round, height)).collect(),
    })
}

/// What hosts committed to in an interval.
#[utoipa::path(get, path = "/v1/work/{interval}", tag = "work",
    params(
        ("interval" = u64, Path, description = "The interval."),
        ("after" = Option<String>, Query, description = "Begin after this address: `next` of the page before."),
        ("limit" = Option<u64>, Query, description = "At most so many, 1 to 500; 100 if missing."),
    ),
    responses(
        (status = 200, description = "The commitments, by host; none if they are not kept any more.",
            body = CommitmentsView),
        (status = "4XX", description = "The request is wrong.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn list(
    State(server): State<Arc<Server>>,
    Place(interval): Place<String>,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<CommitmentsView>, ApiError> {
    let interval = extract::number("interval", &interval)?;
    let (after, limit) = query.read(DEFAULT_LIMIT, MAX_LIMIT)?;
    server.bulk(move |context| page(context, interval, after, limit)).await.map(Json)
}

fn page(
    context: &Context,
    interval: u64,
    after: Option<Address>,
    limit: usize,
) -> Result<CommitmentsView, ApiError> {
    let state = context.store.view();
    // One more than asked for tells whether there is a next page.
    let mut all = work::of_interval(&state, interval, after, limit + 1)?;
    let more = all.len() > limit;
    all.truncate(limit);
    Ok(CommitmentsView {
        height: state.height().0,
        interval,
        next: if more { all.last().map(|(host, _)| *host) } else { None },
        commitments: all
            .iter()
            .map(|(host, commitment)| CommitmentSummary::new(interval, *host, commitment))
            .collect(),
    })
}

/// What a host committed to in an interval, and what was said about it.
#[utoipa::path(get, path = "/v1/work/{interval}/{host}", tag = "work",
    params(
        ("interval" = u64, Path, description = "The interval."),
        ("host" = String, Path, description = "The account that owns the host."),
    ),
    responses(
        (status = 200, description = "The commitment.", body = CommitmentView),
        (status = "4XX", description = "The request is wrong, or nothing is kept of that.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn commitment(
    State(server): State<Arc<Server>>,
    Place((interval, host)): Place<(String, String)>,
    _: Asked<Nothing>,
) -> Result<Json<CommitmentView>, ApiError> {
    let interval = extract::number("interval", &interval)?;
    let host: Address = extract::value("host", &host)?;
    server.bulk(move |context| detail(context, interval, host)).await.map(Json)
}

fn detail(context: &Context, interval: u64, host: Address) -> Result<CommitmentView, ApiError> {
    let state = context.store.view();
    let Some(commitment) = work::commitment(&state, interval, &host)? else {
        let message = format!("nothing is known of a commitment of {host} to interval {interval}");
        return Err(ApiError::not_found(message)
            .hint("it did not commit, or that is not kept any more; /v1/work/{interval} lists who did"));
    };
    Ok(view(&state, state.height(), interval, host, &commitment)?)
}

fn view(
    state: &dyn Reader,
    height: Height,
    interval: u64,
    host: Address,
    commitment: &Commitment,
) -> Result<CommitmentView, Fault> {
    let mut branches = Vec::with_capacity(commitment.branches.len());
    for (index, branch) in (0u64..).zip(&commitment.branches) {
        let mut view = BranchView::new(branch);
        for member in &mut view.committee {
            let given = VERDICTS.get(state, &(interval, (host, (index, member.member))))?;
            member.verdict = given.as_ref().map(Into::into);
        }
        branches.push(view);
    }
    let demands = demands_on(state, interval, &host)?;
    let reports = reports_on(state, interval, &host)?;
    let trials = TRIALS.page_under(state, &(interval, host).to_bytes(), None, MAX_DISPUTES)?;
    Ok(CommitmentView {
        height: height.0,
        summary: CommitmentSummary::new(interval, host, commitment),
        branches,
        samples: work::samples(&host, interval, commitment).iter().map(SampleView::from).collect(),
        reveal: commitment.reveal.as_ref().map(|reveal| reveal.sample),
        revealed: commitment.reveal.as_ref().is_some_and(|reveal| reveal.done),
        demands: demands
            .iter()
            .take(MAX_DISPUTES)
            .map(|((_, (_, sample)), demand)| WorkDemandView::new(*sample, demand))
            .collect(),
        reports: reports
            .iter()
            .take(MAX_DISPUTES)
            .map(|(request, report)| WorkReportView::new(*request, report))
            .collect(),
        trials: trials.iter().map(|(case, trial)| WorkTrialView::new(*case, trial)).collect(),
    })
}
