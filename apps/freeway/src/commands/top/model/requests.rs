//! Paid work as the chain knows it: what hosts committed to in each interval, and what became of it.

use std::collections::BTreeMap;

use freeway_api::explorer::EventRow;
use freeway_api::{BlockEvent, CommitmentView, EventView};
use freeway_primitives::{Address, Amount};
use serde::Serialize;

/// Commitments that are remembered.
const MOST: usize = 500;
/// The state of a commitment that is being checked.
const OPEN: &str = "open";

/// A commitment of a host to what it served in an interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::commands::top) struct Request {
    pub(in crate::commands::top) interval: u64,
    #[serde(with = "freeway_api::text")]
    pub(in crate::commands::top) host: Address,
    /// All its fees, in base units.
    #[serde(with = "freeway_api::text::nfwy")]
    pub(in crate::commands::top) fees: Amount,
    /// `open`, `matured`, `convicted`, or why it pays nothing.
    pub(in crate::commands::top) state: String,
    /// What is known of it beside; the chain forgets that in time.
    pub(in crate::commands::top) detail: Option<Detail>,
}

/// What is checked of a commitment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::commands::top) struct Detail {
    /// A lane of each of its trees.
    pub(in crate::commands::top) lanes: Vec<u64>,
    /// Roots of the models.
    pub(in crate::commands::top) models: Vec<String>,
    pub(in crate::commands::top) requests: u64,
    pub(in crate::commands::top) tokens: u64,
    pub(in crate::commands::top) samples: u64,
    pub(in crate::commands::top) verdicts: u64,
    pub(in crate::commands::top) members: u64,
    /// Samples that members found wrong, or were not shown.
    pub(in crate::commands::top) wrong: u64,
    pub(in crate::commands::top) disputes: u64,
}

/// Whether what a commitment earned has been paid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands::top) enum Settled {
    /// Nothing to settle yet, or never.
    No,
    /// It may be settled.
    Due,
    /// All of the host's is.
    Yes,
    /// It is not known.
    Unknown,
}

impl Request {
    fn new(interval: u64, host: Address, fees: Amount) -> Self {
        Self { interval, host, fees, state: OPEN.into(), detail: None }
    }

    /// Whether anything may still change.
    pub(in crate::commands::top) fn is_open(&self) -> bool {
        self.state == OPEN
    }

    /// The price of a million of its tokens, in base units.
    pub(in crate::commands::top) fn price(&self) -> Option<Amount> {
        let tokens = self.detail.as_ref()?.tokens;
        self.fees.0.saturating_mul(1_000_000).checked_div(tokens.into()).map(Amount)
    }

    fn is_matured(&self) -> bool {
        self.state == "matured"
    }
}

/// The latest commitments, by interval and host.
#[derive(Clone, Debug, Default)]
pub(in crate::commands::top) struct Requests(BTreeMap<(u64, Address), Request>);

impl Requests {
    /// All that are known, newest first.
    pub(in crate::commands::top) fn all(&self) -> impl Iterator<Item = &Request> {
        self.0.values().rev()
    }

    /// Whether a commitment was paid out, as far as the host's account says: `to_settle` is what it has not settled
    /// of all that matured. The oldest is settled first.
    pub(in crate::commands::top) fn settled(&self, request: &Request, to_settle: Option<Amount>) -> Settled {
        if !request.is_matured() {
            return Settled::No;
        }
        let Some(to_settle) = to_settle else { return Settled::Unknown };
        let newer = self.all().take_while(|other| other.interval > request.interval);
        let newer = newer.filter(|other| other.host == request.host && other.is_matured());
        let owed = newer.fold(0u128, |sum, other| sum.saturating_add(other.fees.0));
        if owed < to_settle.0 { Settled::Due } else { Settled::Yes }
    }

    fn entry(&mut self, interval: u64, host: Address) -> &mut Request {
        let entry = self.0.entry((interval, host));
        entry.or_insert_with(|| Request::new(interval, host, Amount(0)))
    }

    fn bound(&mut self) {
        while self.0.len() > MOST {
            self.0.pop_first();
        }
    }

    pub(super) fn block(&mut self, block: &BlockEvent) {
        let of_transactions = block.transactions.iter().flat_map(|receipt| &receipt.events);
        for event in of_transactions.chain(&block.events) {
            match event {
                EventView::WorkCommitted { host, interval, fees } => {
                    self.entry(*interval, *host).fees = *fees;
                }
                EventView::WorkMatured { host, interval, fees } => {
                    let request = self.entry(*interval, *host);
                    request.fees = *fees;
                    request.state = "matured".into();
                }
                EventView::WorkVoided { host, interval, reason } => {
                    self.entry(*interval, *host).state = reason.clone();
                }
                EventView::WorkConvicted { host, interval, .. } => {
                    self.entry(*interval, *host).state = "convicted".into();
                }
                _ => {}
            }
        }
        self.bound();
    }

    /// Events of the history, newest first.
    pub(super) fn history(&mut self, events: &[EventRow]) {
        for event in events.iter().rev() {
            let host = event.subject.as_deref().and_then(|host| host.parse().ok());
            let (Some(interval), Some(host)) = (event.interval, host) else { continue };
            let text = |name: &str| event.data.get(name).and_then(serde_json::Value::as_str);
            let fees = text("fees").and_then(|fees| fees.parse().ok()).map(Amount);
            let state = match event.kind.as_str() {
                "work.committed" => None,
                "work.matured" => Some("matured".to_owned()),
                "work.voided" => Some(text("reason").unwrap_or("void").to_owned()),
                "verification.convicted" => Some("convicted".to_owned()),
                _ => continue,
            };
            let request = self.entry(interval, host);
            request.fees = fees.unwrap_or(request.fees);
            if let Some(state) = state {
                request.state = state;
            }
        }
        self.bound();
    }

    pub(super) fn commitment(&mut self, view: CommitmentView) {
        let CommitmentView { summary, branches, samples, .. } = view;
        let members = || branches.iter().flat_map(|branch| &branch.committee);
        let verdicts = || members().filter_map(|member| member.verdict);
        let detail = Detail {
            lanes: branches.iter().map(|branch| branch.claim.lane).collect(),
            models: branches.iter().map(|branch| branch.model.to_string()).collect(),
            requests: branches.iter().fold(0, |sum, branch| sum.saturating_add(branch.claim.count)),
            tokens: branches.iter().fold(0, |sum, branch| sum.saturating_add(branch.claim.tokens)),
            samples: samples.len() as u64,
            verdicts: verdicts().count() as u64,
            members: members().count() as u64,
            wrong: verdicts().map(|verdict| u64::from(verdict.wrong) + u64::from(verdict.not_shown)).sum(),
            disputes: summary.disputes.into(),
        };
        let request = self.entry(summary.interval, summary.host);
        request.fees = summary.fees;
        request.state = summary.state;
        request.detail = Some(detail);
        self.bound();
    }
}
