//! The race in which hosts prove their compute.

use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use freeway_api::sprint::{DemandView, MAX_DEMANDS, MAX_TRIALS, MemberView, SettledView, TrialView};
use freeway_api::{
    ErrorBody, RaceTotals, SprintHostView, SprintHostsView, SprintResultView, SprintResultsView, SprintView,
};
use freeway_ledger::sprint::{
    self, End, Entry, HostResult, LATEST, Race, Stage, TRIALS, VERDICTS, demands_on, due_reveals,
};
use freeway_ledger::{Fault, Params, Reader};
use freeway_primitives::{Address, Epoch, Height};

use super::error::ApiError;
use super::extract::{Asked, ListQuery, Nothing};
use super::{Context, Server};

/// The default and the greatest length of the list of hosts, each of which has a committee and more.
const DEFAULT_LIMIT: u64 = 50;
const MAX_LIMIT: u64 = 200;
/// The same for results, which are short.
const DEFAULT_RESULTS: u64 = 100;
const MAX_RESULTS: u64 = 1_000;
/// How many entries are read at once.
const PAGE: usize = 256;
/// Totals are counted anew for every block, but are at most this part of the time in the counting: a race of ten
/// thousand hosts has some hundred megabytes of verdicts.
const COUNTING_SHARE: u32 = 20;

/// The race now.
#[utoipa::path(get, path = "/v1/sprint", tag = "sprint", responses(
    (status = 200, description = "The race of the epoch, or the last one.", body = SprintView),
    (status = "4XX", description = "The request is wrong.", body = ErrorBody),
    (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
))]
pub(super) async fn race(
    State(server): State<Arc<Server>>,
    _: Asked<Nothing>,
) -> Result<Json<SprintView>, ApiError> {
    server.race().await.map(Json)
}

/// Totals as they were counted.
pub(super) struct Counted {
    height: Height,
    epoch: Epoch,
    stage: &'static str,
    totals: RaceTotals,
    at: Instant,
    took: Duration,
}

impl Counted {
    fn is_fresh(&self, height: Height, race: &Race, stage: &Stage) -> bool {
        let same = self.epoch == race.epoch && self.stage == stage.name();
        same && (self.height == height || self.at.elapsed() < self.took * COUNTING_SHARE)
    }
}

impl Server {
    /// The race now.
    pub(super) async fn race(&self) -> Result<SprintView, ApiError> {
        let state = self.context.store.view();
        let height = state.height();
        let Some(race) = sprint::race(&state)? else {
            return Ok(SprintView::before_the_first(height, &Params::current(&state)?.sprint));
        };
        let settled = LATEST.require(&state)?;
        let stage = sprint::stage(&race, height.next());
        // Held while counting, so that a race is counted once however many ask for it.
        let mut counted = self.counted.lock().await;
        let totals = match &*counted {
            Some(counted) if counted.is_fresh(height, &race, &stage) => counted.totals,
            _ => {
                let (epoch, stage, copy) = (race.epoch, stage.name(), race.clone());
                let fresh = self
                    .bulk(move |_| {
                        let at = Instant::now();
                        let totals = totals(&state, &copy)?;
                        let took = at.elapsed();
                        Ok(Counted { height, epoch, stage, totals, at: Instant::now(), took })
                    })
                    .await?;
                counted.insert(fresh).totals
            }
        };
        drop(counted);
        Ok(SprintView::new(height, &race, totals, settled.as_ref()))
    }
}

/// What has happened in a race.
fn totals(state: &dyn Reader, race: &Race) -> Result<RaceTotals, Fault> {
    match race.end {
        Some(End::Settled { .. }) => return totals_of_results(state),
        // Its records are being swept away.
        Some(End::Abandoned { .. }) => return Ok(RaceTotals::default()),
        None => {}
    }
    let mut totals = RaceTotals::default();
    let mut after = None;
    loop {
        let page = sprint::entries(state, after, PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        for (host, entry) in page {
            totals.commitments += 1;
            totals.nonces += entry.commitment.total();
            totals.voids += u64::from(entry.void.is_some());
            if race.challenged.is_none() {
                continue;
            }
            let members = sprint::committee(state, &host)?.len();
            totals.verdicts_owed += members as u64;
            totals.verdicts_given += VERDICTS.page_under(state, &host.0, None, members)?.len() as u64;
            let demands = demands_on(state, &host)?;
            let open = demands.iter().flat_map(|(_, items)| items).filter(|item| item.leaf.is_none());
            totals.demands_open += if entry.void.is_some() { 0 } else { open.count() as u64 };
        }
    }
    if race.challenged.is_some() {
        totals.trials_open = sprint::open_trials(state)?.len() as u64;
    }
    Ok(totals)
}

/// What had happened in the race that settled last.
fn totals_of_results(state: &dyn Reader) -> Result<RaceTotals, Fault> {
    let mut totals = RaceTotals::default();
    let mut after = None;
    loop {
        let page = sprint::results(state, after, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(totals) };
        after = Some(*last);
        for (_, HostResult { count, void, owed, done, .. }) in page {
            totals.commitments += u64::from(count > 0);
            totals.nonces += count;
            totals.voids += u64::from(void.is_some());
            totals.verdicts_owed += u64::from(owed);
            totals.verdicts_given += u64::from(done);
        }
    }
}

/// The hosts in the race under way.
#[utoipa::path(get, path = "/v1/sprint/hosts", tag = "sprint",
    params(
        ("after" = Option<String>, Query, description = "Begin after this address: `next` of the page before."),
        ("limit" = Option<u64>, Query, description = "At most so many, 1 to 200; 50 if missing."),
    ),
    responses(
        (status = 200, description = "The hosts that committed, by address.", body = SprintHostsView),
        (status = "4XX", description = "The request is wrong.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn hosts(
    State(server): State<Arc<Server>>,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<SprintHostsView>, ApiError> {
    let (after, limit) = query.read(DEFAULT_LIMIT, MAX_LIMIT)?;
    server.bulk(move |context| host_page(context, after, limit)).await.map(Json)
}

fn host_page(context: &Context, after: Option<Address>, limit: usize) -> Result<SprintHostsView, ApiError> {
    let state = context.store.view();
    let height = state.height();
    let Some(race) = sprint::race(&state)? else { return Ok(SprintHostsView::empty(height, None)) };
    let stage = sprint::stage(&race, height.next());
    let mut view = SprintHostsView::empty(height, Some((&race, &stage)));
    if race.end.is_some() {
        return Ok(view);
    }
    // One more than asked for tells whether there is a next page.
    let mut entries = sprint::entries(&state, after, limit + 1)?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    view.next = if more { entries.last().map(|(host, _)| *host) } else { None };
    view.hosts =
        entries.iter().map(|(host, entry)| host_view(&state, *host, entry)).collect::<Result<_, Fault>>()?;
    Ok(view)
}

fn host_view(state: &dyn Reader, host: Address, entry: &Entry) -> Result<SprintHostView, Fault> {
    let mut view = SprintHostView::new(host, entry);
    for member in sprint::committee(state, &host)? {
        let given = VERDICTS.get(state, &(host, member))?.is_some();
        view.committee.push(MemberView { member, given });
    }
    let due = due_reveals(state, &host)?;
    view.reveals_due = due.len() as u64;
    view.reveals_done = due.iter().filter(|due| due.revealed).count() as u64;
    let demands = demands_on(state, &host)?;
    let demand = |(member, item): (Address, &sprint::Demanded)| DemandView {
        member,
        index: item.index,
        until: item.until.0,
        answered: item.leaf.is_some(),
    };
    let demands = demands.iter().flat_map(|(member, items)| items.iter().map(|item| (*member, item)));
    view.demands = demands.map(demand).take(MAX_DEMANDS).collect();
    let trials = TRIALS.page_under(state, &host.0, None, MAX_TRIALS)?;
    view.trials = trials.iter().map(|((_, position), trial)| TrialView::new(*position, trial)).collect();
    Ok(view)
}

/// What the latest settled race found.
#[utoipa::path(get, path = "/v1/sprint/results", tag = "sprint",
    params(
        ("after" = Option<String>, Query, description = "Begin after this address: `next` of the page before."),
        ("limit" = Option<u64>, Query, description = "At most so many, 1 to 1000; 100 if missing."),
    ),
    responses(
        (status = 200, description = "The results, by address.", body = SprintResultsView),
        (status = "4XX", description = "The request is wrong.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn results(
    State(server): State<Arc<Server>>,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<SprintResultsView>, ApiError> {
    let (after, limit) = query.read(DEFAULT_RESULTS, MAX_RESULTS)?;
    server.bulk(move |context| result_page(context, after, limit)).await.map(Json)
}

fn result_page(
    context: &Context,
    after: Option<Address>,
    limit: usize,
) -> Result<SprintResultsView, ApiError> {
    let state = context.store.view();
    let params = Params::current(&state)?;
    let settled = LATEST.require(&state)?;
    let mut results = sprint::results(&state, after, limit + 1)?;
    let more = results.len() > limit;
    results.truncate(limit);
    Ok(SprintResultsView {
        height: state.height().0,
        race: settled.map(|settled| SettledView::new(&settled, &params)),
        next: if more { results.last().map(|(host, _)| *host) } else { None },
        results: results.iter().map(|(host, result)| SprintResultView::new(*host, result, &params)).collect(),
    })
}
