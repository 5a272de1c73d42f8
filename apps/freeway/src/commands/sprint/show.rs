//! `freeway sprint show`.

use clap::Args;
use freeway_api::sprint::SettledView;
use freeway_api::{
    SprintHostView, SprintHostsView, SprintResultView, SprintResultsView, SprintStatus, SprintView,
};
use serde::Serialize;

use crate::cli::{Context, Node};
use crate::hints::Problem;
use crate::output::{Column, Page, Show};

const EXAMPLES: &str = "\
Examples:
  freeway sprint show
  freeway sprint show --json | jq '.race.stage, .results.results[].weight'";

/// The most that a node gives at once.
const HOSTS_PAGE: u64 = 200;
const RESULTS_PAGE: u64 = 1_000;

/// Options of `freeway sprint show`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ShowSprint {}

/// The race, its hosts, and what came of the last one.
#[derive(Debug, Serialize)]
struct Shown {
    race: SprintView,
    hosts: Vec<SprintHostView>,
    results: Results,
}

/// What came of the latest settled race.
#[derive(Debug, Serialize)]
struct Results {
    race: Option<SettledView>,
    results: Vec<SprintResultView>,
}

impl Show for Shown {
    fn show(&self, page: &mut Page) {
        let race = &self.race;
        let height = |height: Option<u64>| height.map(|height| height.to_string()).unwrap_or_default();
        let rules = &race.rules;
        let waits = match race.stage.as_str() {
            "waiting_for_seed" => race.seed_height,
            "waiting_for_challenge" => race.deadline,
            "waiting_for_draw" => race.verdicts_until,
            _ => None,
        };
        page.fields([
            ("race", Line::from(race).to_string()),
            ("height", race.height.to_string()),
            ("waits for", waits.map(|of| format!("the beacon's value of height {of}")).unwrap_or_default()),
            ("abandoned", race.reason.clone().unwrap_or_default()),
            ("seed", race.seed.map(|seed| seed.to_string()).unwrap_or_default()),
            ("started", height(race.started)),
            ("commit until", height(race.deadline)),
            ("challenged", height(race.challenged)),
            ("verdicts until", height(race.verdicts_until)),
            ("drawn", height(race.drawn)),
            ("reveal until", height(race.reveals_until)),
            ("settles", height(race.settles)),
            ("ended", height(race.ended)),
            ("shape", format!("{}, {} multiply-adds a nonce", rules.shape, rules.macs_per_nonce)),
            (
                "checks",
                format!(
                    "{} members recompute {} leaves each, {} are revealed",
                    rules.committee, rules.leaves, rules.revealed
                ),
            ),
            (
                "demands",
                match race.totals.demands_open {
                    0 => String::new(),
                    open => format!("{open} leaves wait for an answer"),
                },
            ),
            (
                "trials",
                match race.totals.trials_open {
                    0 => String::new(),
                    open => format!("{open} leaves are not decided"),
                },
            ),
        ]);
        if !self.hosts.is_empty() {
            page.gap();
            hosts(page, &self.hosts);
        }
        page.gap();
        results(page, &self.results);
    }
}

/// A race in one line.
pub(in crate::commands) struct Line<'a> {
    epoch: Option<u64>,
    stage: &'a str,
    until: Option<u64>,
    commitments: u64,
    nonces: u64,
    verdicts: u64,
    owed: u64,
}

impl<'a> From<&'a SprintView> for Line<'a> {
    fn from(race: &'a SprintView) -> Self {
        Self {
            epoch: race.epoch,
            stage: &race.stage,
            until: race.stage_until(),
            commitments: race.totals.commitments,
            nonces: race.totals.nonces,
            verdicts: race.totals.verdicts_given,
            owed: race.totals.verdicts_owed,
        }
    }
}

impl<'a> From<&'a SprintStatus> for Line<'a> {
    fn from(race: &'a SprintStatus) -> Self {
        Self {
            epoch: race.epoch,
            stage: &race.stage,
            until: race.stage_until,
            commitments: race.commitments,
            nonces: race.nonces,
            verdicts: race.verdicts,
            owed: race.verdicts_owed,
        }
    }
}

impl core::fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Some(epoch) = self.epoch else { return f.write_str("none yet: the first is in epoch 1") };
        write!(f, "of epoch {epoch}: {}", self.stage.replace('_', " "))?;
        if let Some(height) = self.until {
            write!(f, " until height {height}")?;
        }
        match self.commitments {
            0 => {}
            1 => write!(f, "; 1 host committed {} nonces", self.nonces)?,
            hosts => write!(f, "; {hosts} hosts committed {} nonces", self.nonces)?,
        }
        if self.owed > 0 {
            write!(f, "; {} of {} verdicts", self.verdicts, self.owed)?;
        }
        Ok(())
    }
}

fn hosts(page: &mut Page, hosts: &[SprintHostView]) {
    let row = |host: &SprintHostView| {
        let given = host.committee.iter().filter(|member| member.given).count();
        let of = |part: u64, whole: u64| if whole == 0 { "-".into() } else { format!("{part} of {whole}") };
        let answered = host.demands.iter().filter(|demand| demand.answered).count();
        let open = host.trials.iter().filter(|trial| trial.ruling.is_none()).count();
        vec![
            host.host.to_string(),
            host.nonces.to_string(),
            host.devices.len().to_string(),
            of(given as u64, host.committee.len() as u64),
            of(host.reveals_done, host.reveals_due),
            of(answered as u64, host.demands.len() as u64),
            of(open as u64, host.trials.len() as u64),
            host.void.clone().unwrap_or_default(),
        ]
    };
    let columns = [
        Column::left("HOST"),
        Column::right("NONCES"),
        Column::right("DEVICES"),
        Column::right("VERDICTS"),
        Column::right("REVEALED"),
        Column::right("ANSWERED"),
        Column::right("ON TRIAL"),
        Column::left("VOID"),
    ];
    page.table(&columns, hosts.iter().map(row));
}

fn results(page: &mut Page, results: &Results) {
    let Some(race) = results.race else {
        page.line("no race has settled yet");
        return;
    };
    page.line(format_args!(
        "results of epoch {}: {} of {} hosts proved weight {} ({} H100s), settled at height {}",
        race.epoch, race.proven, race.hosts, race.weight, race.h100_equivalents, race.height
    ));
    let row = |result: &SprintResultView| {
        vec![
            result.host.to_string(),
            result.count.to_string(),
            result.weight.to_string(),
            result.h100_equivalents.to_string(),
            format!("{} of {}", result.confirmed, result.committee),
            format!("{} of {}", result.done, result.owed),
            result.void.clone().unwrap_or_default(),
        ]
    };
    let columns = [
        Column::left("HOST"),
        Column::right("NONCES"),
        Column::right("WEIGHT"),
        Column::right("H100S"),
        Column::right("CONFIRMED"),
        Column::right("DUTIES"),
        Column::left("VOID"),
    ];
    page.table(&columns, results.results.iter().map(row));
}

impl ShowSprint {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let node = context.connect().await?;
        let race = node.sprint().await?;
        let (hosts, results) = (all_hosts(&node).await?, all_results(&node).await?);
        context.output().result(&Shown { race, hosts, results })
    }
}

/// All hosts in the race, page by page.
async fn all_hosts(node: &Node) -> Result<Vec<SprintHostView>, Problem> {
    let SprintHostsView { mut hosts, mut next, .. } = node.sprint_hosts(None, HOSTS_PAGE).await?;
    while let Some(after) = next {
        let page = node.sprint_hosts(Some(&after), HOSTS_PAGE).await?;
        // A page goes on after `after`: a node that repeats itself would keep us here for ever.
        next = page.next.filter(|next| *next > after);
        hosts.extend(page.hosts);
    }
    hosts.sort_by_key(|host| (core::cmp::Reverse(host.nonces), host.host));
    Ok(hosts)
}

/// All results of the latest settled race, page by page.
async fn all_results(node: &Node) -> Result<Results, Problem> {
    let SprintResultsView { race, mut results, mut next, .. } =
        node.sprint_results(None, RESULTS_PAGE).await?;
    while let Some(after) = next {
        let page = node.sprint_results(Some(&after), RESULTS_PAGE).await?;
        next = page.next.filter(|next| *next > after);
        results.extend(page.results);
    }
    results.sort_by_key(|result| (core::cmp::Reverse(result.weight), result.host));
    Ok(Results { race, results })
}
