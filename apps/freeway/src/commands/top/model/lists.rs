//! Lists as they are shown: filtered, sorted, and each row with a name of its own.

use core::cmp::Ordering;

use freeway_api::{HostSummary, Status};
use freeway_primitives::Amount;
use serde::Serialize;

use super::{Model, Request, View};
use crate::commands::top::logs::Line;

/// By what a view can be sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands::top) struct Columns(&'static [&'static str]);

impl Columns {
    /// Those of a view; the first is how it begins.
    pub(in crate::commands::top) const fn of(view: View) -> Self {
        Self(match view {
            View::Network | View::Logs => &[],
            View::Sprint => &["NONCES", "HOST", "VERDICTS"],
            View::Hosts => &["POWER", "HOST", "REGION", "WEIGHT", "REP", "EARNED", "STATUS"],
            View::Requests => &["INTERVAL", "HOST", "TOKENS", "FEES", "STATE"],
        })
    }

    /// The heads of the columns.
    pub(in crate::commands::top) const fn names(self) -> &'static [&'static str] {
        self.0
    }
}

/// A host in the race of the epoch, or in the results of the last.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(in crate::commands::top) struct Racer {
    pub(in crate::commands::top) host: String,
    pub(in crate::commands::top) name: String,
    pub(in crate::commands::top) nonces: u64,
    /// What they prove, once that is known.
    pub(in crate::commands::top) weight: Option<u64>,
    pub(in crate::commands::top) verdicts: u64,
    pub(in crate::commands::top) committee: u64,
    /// Leaves revealed, and due.
    pub(in crate::commands::top) revealed: (u64, u64),
    /// Leaves that were demanded and not answered, or are on trial.
    pub(in crate::commands::top) disputes: u64,
    /// Why it counts for nothing, if so.
    pub(in crate::commands::top) void: Option<String>,
}

impl Model {
    /// The names of all rows of this view, in their order.
    pub(super) fn keys(&self) -> Vec<String> {
        match self.view {
            View::Network => Vec::new(),
            View::Sprint => self.racers().into_iter().map(|racer| racer.host).collect(),
            View::Hosts => self.hosts().iter().map(|host| host.address.to_string()).collect(),
            View::Requests => self.requests().iter().map(|request| key_of(request)).collect(),
            View::Logs => self.lines().iter().map(|line| line.number.to_string()).collect(),
        }
    }

    /// The name by which this view is sorted.
    fn sorted_by(&self, view: View) -> &'static str {
        Columns::of(view).names().get(self.place_in(view).sort).copied().unwrap_or_default()
    }

    /// Whether a row with these texts passes the filter of a view.
    fn passes(&self, view: View, texts: &[&str]) -> bool {
        let filter = &self.place_in(view).filter;
        filter.is_empty() || {
            let wanted = filter.to_lowercase();
            texts.iter().any(|text| text.to_lowercase().contains(&wanted))
        }
    }

    fn turn(&self, view: View, order: Ordering) -> Ordering {
        if self.place_in(view).reverse { order.reverse() } else { order }
    }

    /// The hosts.
    pub(in crate::commands::top) fn hosts(&self) -> Vec<&HostSummary> {
        let data = self.data();
        let all = data.status.iter().flat_map(|status: &Status| &status.hosts);
        let mut hosts: Vec<_> = all
            .filter(|host| {
                let address = host.address.to_string();
                self.passes(View::Hosts, &[&address, &host.operator, &host.region, &host.status])
            })
            .collect();
        let earned = |host: &HostSummary| data.earned.get(&host.address).map_or(Amount(0), new_money);
        let by = self.sorted_by(View::Hosts);
        hosts.sort_by(|a, b| {
            let order = match by {
                "HOST" => a.operator.cmp(&b.operator),
                "REGION" => a.region.cmp(&b.region),
                "WEIGHT" => b.weight.cmp(&a.weight),
                "REP" => b.reputation.cmp(&a.reputation),
                "EARNED" => earned(b).cmp(&earned(a)),
                "STATUS" => a.status.cmp(&b.status).then(a.silent.cmp(&b.silent)),
                _ => b.power.cmp(&a.power),
            };
            self.turn(View::Hosts, order)
                .then_with(|| a.operator.cmp(&b.operator))
                .then(a.address.cmp(&b.address))
        });
        hosts
    }

    /// Hosts of the race under way; when it is over, of the latest results.
    pub(in crate::commands::top) fn racers(&self) -> Vec<Racer> {
        let data = self.data();
        let running = data.racers.iter().map(|host| Racer {
            host: host.host.to_string(),
            name: host.operator.clone(),
            nonces: host.nonces,
            weight: None,
            verdicts: host.committee.iter().filter(|member| member.given).count() as u64,
            committee: host.committee.len() as u64,
            revealed: (host.reveals_done, host.reveals_due),
            disputes: (host.demands.iter().filter(|demand| !demand.answered).count()
                + host.trials.iter().filter(|trial| trial.ruling.is_none()).count())
                as u64,
            void: host.void.clone(),
        });
        let settled = data.results.iter().flat_map(|results| &results.results).map(|result| Racer {
            name: data.name_of(&result.host),
            host: result.host.to_string(),
            nonces: result.count,
            weight: Some(result.weight),
            verdicts: result.confirmed.into(),
            committee: result.committee.into(),
            void: result.void.clone(),
            ..Racer::default()
        });
        let mut racers: Vec<_> =
            if self.race_runs() { running.collect() } else { settled.collect::<Vec<_>>() };
        racers.retain(|racer| self.passes(View::Sprint, &[&racer.host, &racer.name]));
        let by = self.sorted_by(View::Sprint);
        racers.sort_by(|a, b| {
            let order = match by {
                "HOST" => a.name.cmp(&b.name),
                "VERDICTS" => b.verdicts.cmp(&a.verdicts),
                _ => b.nonces.cmp(&a.nonces),
            };
            self.turn(View::Sprint, order).then_with(|| a.name.cmp(&b.name)).then_with(|| a.host.cmp(&b.host))
        });
        racers
    }

    /// Whether the hosts of a race are known that is not over: while nobody has committed, its predecessor's results
    /// are not the race.
    pub(in crate::commands::top) fn race_runs(&self) -> bool {
        self.data().race.as_ref().is_some_and(|race| {
            race.ended.is_none() && race.epoch.is_some() && race.stage != "waiting_for_seed"
        })
    }

    /// Commitments to served work.
    pub(in crate::commands::top) fn requests(&self) -> Vec<&Request> {
        let data = self.data();
        let mut requests: Vec<_> = data
            .requests
            .all()
            .filter(|request| {
                let place = self.place_in(View::Requests);
                if place.filter.is_empty() {
                    return true;
                }
                let (host, name) = (request.host.to_string(), data.name_of(&request.host));
                self.passes(View::Requests, &[&host, &name, &request.state, &request.interval.to_string()])
            })
            .collect();
        let tokens = |request: &Request| request.detail.as_ref().map_or(0, |detail| detail.tokens);
        let name = |request: &Request| data.name_of(&request.host);
        let by = self.sorted_by(View::Requests);
        requests.sort_by(|a, b| {
            let order = match by {
                "HOST" => name(a).cmp(&name(b)),
                "TOKENS" => tokens(b).cmp(&tokens(a)),
                "FEES" => b.fees.cmp(&a.fees),
                "STATE" => a.state.cmp(&b.state),
                _ => b.interval.cmp(&a.interval),
            };
            let rest = || b.interval.cmp(&a.interval).then(a.host.cmp(&b.host));
            self.turn(View::Requests, order).then_with(rest)
        });
        requests
    }

    /// Lines of the log.
    pub(in crate::commands::top) fn lines(&self) -> Vec<&Line> {
        let source = self.log_source();
        let lines = self.data().logs.lines(source);
        lines
            .filter(|line| {
                self.passes(View::Logs, &[&line.text, &line.source, &line.target, line.level.name()])
            })
            .collect()
    }
}

/// The name of a commitment's row.
pub(in crate::commands::top) fn key_of(request: &Request) -> String {
    format!("{} {}", request.interval, request.host)
}

/// New money that a host ever got: by weight, for serving, for verdicts; vested, bonded or free.
pub(in crate::commands::top) fn new_money(earned: &freeway_api::EarningsView) -> Amount {
    let parts = [earned.granted, earned.bonded, earned.verdicts];
    Amount(parts.iter().fold(0, |sum: u128, part| sum.saturating_add(part.0)))
}
