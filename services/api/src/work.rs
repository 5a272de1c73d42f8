//! Work: what hosts commit to have served, and how it is checked.

use freeway_ledger::verification::{Case, Demanded, Finding, Given, Reported, Request, Trial};
use freeway_ledger::work::{Branch, Claim, Commitment, Round, RoundId, Sample, Stage, stage};
use freeway_primitives::{Address, Amount, Digest, Height};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::lanes::ConstraintsView;

/// What a host served in lanes of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClaimView {
    /// One of these lanes.
    pub lane: u64,
    /// The root of the tree over all requests in them.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub root: Digest,
    /// How many requests.
    pub count: u64,
    /// What they cost, in base units.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub fees: Amount,
    /// Their tokens.
    pub tokens: u64,
}

impl From<&Claim> for ClaimView {
    fn from(claim: &Claim) -> Self {
        let Claim { lane, total } = claim;
        Self {
            lane: lane.0,
            root: total.root,
            count: total.count,
            fees: Amount(total.sums.fees),
            tokens: total.sums.tokens,
        }
    }
}

/// Where work stands: the interval under way, and what is being checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkView {
    /// The height of the state that this shows.
    pub height: u64,
    /// The interval of the next block.
    pub interval: u64,
    /// Its first height.
    pub first: u64,
    /// Its last height.
    pub last: u64,
    /// The last height for commitments to it.
    pub last_commit: u64,
    /// Blocks from an interval's end until its fees may be settled, if all goes well.
    pub window: u64,
    /// Rounds of checking that are not over, by interval and number.
    pub rounds: Vec<RoundView>,
}

/// A round of checking an interval's commitments. Heights are `null` until they are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoundView {
    /// The interval.
    pub interval: u64,
    /// The round's number, from 0.
    pub round: u64,
    /// What the next block finds: `committing`, `waiting` for the beacon's value of the height `until`, `verdicts`,
    /// `revealing` or `judging`.
    #[schema(example = "verdicts")]
    pub stage: String,
    /// The last height of this stage; the height whose value is waited for; in judging, the height that decides.
    pub until: u64,
    /// The height whose value draws who checks.
    pub draws_from: u64,
    /// When committees were drawn.
    pub drawn: Option<u64>,
    /// The last height for verdicts and demands.
    pub verdicts_until: Option<u64>,
    /// When it was drawn what must be revealed.
    pub closing: Option<u64>,
    /// The last height for revelations, accusations and reports.
    pub reveals_until: Option<u64>,
    /// The height at whose beginning commitments mature.
    pub settles: Option<u64>,
}

impl RoundView {
    /// A round as the state of `height` knows it.
    pub fn new((interval, number): RoundId, round: &Round, height: Height) -> Self {
        let (name, until) = match stage(round, height.next()) {
            Stage::Committing { until } => ("committing", until),
            Stage::Waiting { height } => ("waiting", height),
            Stage::Verdicts { until } => ("verdicts", until),
            Stage::Revealing { until } => ("revealing", until),
            Stage::Judging { settles } => ("judging", settles),
        };
        let (drawn, closing) = (round.drawn.as_ref(), round.closing.as_ref());
        Self {
            interval,
            round: number,
            stage: name.into(),
            until: until.0,
            draws_from: round.from.0,
            drawn: drawn.map(|drawn| drawn.height.0),
            verdicts_until: drawn.map(|drawn| drawn.until.0),
            closing: closing.map(|closing| closing.height.0),
            reveals_until: closing.map(|closing| closing.until.0),
            settles: closing.map(|closing| closing.settles.0),
        }
    }
}

/// What hosts committed to in an interval: a page, by host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommitmentsView {
    /// The height of the state that this shows.
    pub height: u64,
    /// The interval.
    pub interval: u64,
    /// The commitments.
    pub commitments: Vec<CommitmentSummary>,
    /// If there are more: what to give as `after` for the next page.
    #[serde(with = "crate::text::option")]
    #[schema(value_type = Option<String>)]
    pub next: Option<Address>,
}

/// A host's commitment in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommitmentSummary {
    /// The interval.
    pub interval: u64,
    /// The host.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub host: Address,
    /// Its operator when it committed.
    pub operator: String,
    /// The fees of all its trees, in base units.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub fees: Amount,
    /// `open`, `matured`, `convicted`, or why it pays nothing: `withheld`, `unrevealed`, `omitted`, `unchecked`,
    /// `no_randomness` or `forfeited`.
    #[schema(example = "open")]
    pub state: String,
    /// The round that it is in, from 0.
    pub round: u64,
    /// Demands, reports and trials that are undecided.
    pub disputes: u32,
}

impl CommitmentSummary {
    /// A commitment of the ledger.
    pub fn new(interval: u64, host: Address, commitment: &Commitment) -> Self {
        Self {
            interval,
            host,
            operator: commitment.operator.to_string(),
            fees: commitment.fees,
            state: commitment.state.name().into(),
            round: commitment.round,
            disputes: commitment.open,
        }
    }
}

/// Everything about a host's commitment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommitmentView {
    /// The height of the state that this shows.
    pub height: u64,
    /// What lists show.
    #[serde(flatten)]
    pub summary: CommitmentSummary,
    /// One tree for each class of lanes.
    pub branches: Vec<BranchView>,
    /// The samples, in order; none before they are drawn.
    pub samples: Vec<SampleView>,
    /// Which of the samples must be revealed; `null` if none, or not yet.
    pub reveal: Option<u32>,
    /// Whether it was.
    pub revealed: bool,
    /// Demands of members, also those that were answered.
    pub demands: Vec<WorkDemandView>,
    /// Receipts that were reported missing, also those that were answered.
    pub reports: Vec<WorkReportView>,
    /// Leaves on trial, also those that are decided.
    pub trials: Vec<WorkTrialView>,
}

/// A host's tree over what it served in lanes of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BranchView {
    /// The tree, named by one of its lanes.
    #[serde(flatten)]
    pub claim: ClaimView,
    /// The lanes' model.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub model: Digest,
    /// Its tier.
    pub tier: String,
    /// What the lanes' payers ask of hosts.
    pub constraints: ConstraintsView,
    /// Who checks its samples, over all rounds.
    pub committee: Vec<WorkMemberView>,
}

impl BranchView {
    /// A branch of the ledger, without what members said.
    pub fn new(branch: &Branch) -> Self {
        let claim = Claim { lane: branch.lane, total: branch.total };
        let asked = branch.asked as usize;
        let member = |(place, member): (usize, &Address)| WorkMemberView {
            member: *member,
            earlier: place < asked,
            verdict: None,
        };
        Self {
            claim: (&claim).into(),
            model: branch.model,
            tier: branch.tier.name().into(),
            constraints: (&branch.constraints).into(),
            committee: branch.committee.iter().enumerate().map(member).collect(),
        }
    }
}

/// A member of a committee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkMemberView {
    /// The member.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub member: Address,
    /// Whether it was asked in an earlier round.
    pub earlier: bool,
    /// What it said, if it did.
    pub verdict: Option<WorkVerdictView>,
}

/// What a member said about the samples of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkVerdictView {
    /// Samples that it found right.
    pub right: u32,
    /// Samples that it found wrong.
    pub wrong: u32,
    /// Samples that it was not shown.
    pub not_shown: u32,
    /// Of those found right, those that what the host revealed contradicts.
    pub contradicted: u32,
    /// Whether the verdict was found false.
    #[serde(rename = "false")]
    pub is_false: bool,
}

impl From<&Given> for WorkVerdictView {
    fn from(given: &Given) -> Self {
        let mut view = Self { right: 0, wrong: 0, not_shown: 0, contradicted: 0, is_false: given.is_false };
        for finding in &given.findings {
            let counted = match finding {
                Finding::Right(_) => &mut view.right,
                Finding::Wrong => &mut view.wrong,
                Finding::NotShown => &mut view.not_shown,
            };
            *counted = counted.saturating_add(1);
        }
        view.contradicted = given.contradicted.count_ones();
        view
    }
}

/// A sample of a commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SampleView {
    /// In which tree it lies.
    pub branch: u64,
    /// A point below the fees of the tree: the leaf that it belongs to is looked at.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub point: u128,
}

impl From<&Sample> for SampleView {
    fn from(sample: &Sample) -> Self {
        Self { branch: sample.branch as u64, point: sample.point }
    }
}

/// A sample that a member demands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkDemandView {
    /// Which of the samples.
    pub sample: u64,
    /// The member.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub member: Address,
    /// The last height for an answer.
    pub until: u64,
    /// Whether it was answered.
    pub answered: bool,
}

impl WorkDemandView {
    /// A demand of the ledger for that sample.
    pub fn new(sample: u64, demand: &Demanded) -> Self {
        Self { sample, member: demand.member, until: demand.until.0, answered: demand.answered }
    }
}

/// A receipt that is reported missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkReportView {
    /// The lane.
    pub lane: u64,
    /// The number of the request.
    pub sequence: u64,
    /// Who reports.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub by: Address,
    /// The receipt's digest.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub receipt: Digest,
    /// The last height for an answer.
    pub until: u64,
    /// Whether it was answered.
    pub answered: bool,
}

impl WorkReportView {
    /// A report of the ledger about that request.
    pub fn new((_, (_, (lane, sequence))): Request, report: &Reported) -> Self {
        Self {
            lane: lane.0,
            sequence,
            by: report.by,
            receipt: report.receipt,
            until: report.until.0,
            answered: report.answered,
        }
    }
}

/// A leaf on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkTrialView {
    /// In which tree the leaf stands.
    pub branch: u64,
    /// Its index there.
    pub leaf: u64,
    /// The receipt that is judged.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub receipt: Digest,
    /// Who accused; `null` if it follows from what was revealed.
    #[serde(with = "crate::text::option")]
    #[schema(value_type = Option<String>)]
    pub accuser: Option<Address>,
    /// How many judge.
    pub jurors: u64,
    /// How many said guilty.
    pub guilty: u32,
    /// How many said innocent.
    pub innocent: u32,
    /// Whether collateral is at stake.
    pub slashes: bool,
    /// The last height for judging.
    pub until: u64,
    /// How it ended: `guilty`, `innocent`, `undecided` or `moot`; `null` if it is open.
    pub ruling: Option<String>,
}

impl WorkTrialView {
    /// A trial of the ledger about that leaf.
    pub fn new((_, (_, (branch, leaf))): Case, trial: &Trial) -> Self {
        Self {
            branch,
            leaf,
            receipt: trial.receipt,
            accuser: trial.accuser,
            jurors: trial.jury.len() as u64,
            guilty: trial.guilty.count_ones(),
            innocent: trial.innocent.count_ones(),
            slashes: trial.slashes,
            until: trial.until.0,
            ruling: trial.ruling.map(|ruling| ruling.name().into()),
        }
    }
}
