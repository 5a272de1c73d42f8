//! The race in which hosts prove their compute.

use freeway_ledger::Params;
use freeway_ledger::sprint::{self, End, Entry, HostResult, Race, Settled, Stage, Trial};
use freeway_primitives::{Address, Amount, Digest, Height};
use freeway_proofs::sprint::Position;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text::Millionths;
use crate::transactions::DeviceView;
use crate::weights::h100s;

/// What stands for the stage before the first race.
pub const NO_RACE: &str = "none";

/// The race of the epoch, or the last one.
///
/// Heights are `null` until they are known: each follows from one before, and from when the beacon's value that it
/// waits for is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SprintView {
    /// The height of the state that this shows.
    pub height: u64,
    /// The epoch of the race; `null` before the first.
    pub epoch: Option<u64>,
    /// What the next block finds: `none`, `waiting_for_seed`, `racing`, `waiting_for_challenge`, `verdicts`,
    /// `waiting_for_draw`, `revealing`, `judging`, `settled` or `abandoned`.
    #[schema(example = "racing")]
    pub stage: String,
    /// Why it was abandoned, if it was: `no_randomness` or `nothing_proven`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What all weights and inputs come from.
    #[serde(with = "crate::text::option")]
    #[schema(value_type = Option<String>)]
    pub seed: Option<Digest>,
    /// The height whose value is the seed.
    pub seed_height: Option<u64>,
    /// When the seed was known.
    pub started: Option<u64>,
    /// The last height for commitments.
    pub deadline: Option<u64>,
    /// When committees and their leaves were drawn.
    pub challenged: Option<u64>,
    /// The last height for verdicts and demands.
    pub verdicts_until: Option<u64>,
    /// When it was drawn what must be revealed.
    pub drawn: Option<u64>,
    /// The last height for revelations and accusations.
    pub reveals_until: Option<u64>,
    /// When it settles.
    pub settles: Option<u64>,
    /// When it ended.
    pub ended: Option<u64>,
    /// The rules that it is run under; those of the next race before the first.
    pub rules: RulesView,
    /// What has happened in it.
    #[serde(flatten)]
    pub totals: RaceTotals,
    /// The epoch of the latest race that settled: that of `/v1/sprint/results`.
    pub settled: Option<u64>,
}

/// The rules of a race that hosts must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RulesView {
    /// The shape of the function that is computed, by its name.
    #[schema(example = "A")]
    pub shape: String,
    /// Multiply-adds of one nonce.
    pub macs_per_nonce: u64,
    /// The weight is all multiply-adds without so many of the lowest bits.
    pub weight_shift: u32,
    /// Members that check a host.
    pub committee: u32,
    /// Leaves of a host that each member recomputes.
    pub leaves: u32,
    /// Of these, leaves that the host must reveal.
    pub revealed: u32,
    /// Blocks in which a demand must be answered.
    pub answer_blocks: u64,
    /// What a demand puts up for each leaf, in base units.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub demand_bond: Amount,
    /// What an accusation puts up, in base units.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub accusation_bond: Amount,
    /// Share of what is at stake that a wrong leaf costs, in thousandths.
    pub conviction_thousandths: u64,
}

impl From<&sprint::Params> for RulesView {
    fn from(rules: &sprint::Params) -> Self {
        Self {
            shape: rules.shape.to_string(),
            macs_per_nonce: rules.macs_per_nonce,
            weight_shift: rules.weight_shift,
            committee: rules.committee,
            leaves: rules.leaves,
            revealed: rules.revealed,
            answer_blocks: rules.answer_blocks,
            demand_bond: rules.demand_bond,
            accusation_bond: rules.accusation_bond,
            conviction_thousandths: rules.conviction_thousandths,
        }
    }
}

/// What has happened in a race. After it has settled, only verdicts that stood are counted; after it was
/// abandoned, nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RaceTotals {
    /// Hosts that committed.
    pub commitments: u64,
    /// All their nonces.
    pub nonces: u64,
    /// Of the hosts, those whose race counts for nothing.
    pub voids: u64,
    /// Verdicts of members on hosts.
    pub verdicts_given: u64,
    /// Verdicts that the committees owe.
    pub verdicts_owed: u64,
    /// Demanded leaves that wait for an answer.
    pub demands_open: u64,
    /// Leaves on trial that are not decided.
    pub trials_open: u64,
}

impl SprintView {
    /// The state before the first race.
    pub fn before_the_first(height: Height, rules: &sprint::Params) -> Self {
        Self {
            height: height.0,
            epoch: None,
            stage: NO_RACE.into(),
            reason: None,
            seed: None,
            seed_height: None,
            started: None,
            deadline: None,
            challenged: None,
            verdicts_until: None,
            drawn: None,
            reveals_until: None,
            settles: None,
            ended: None,
            rules: rules.into(),
            totals: RaceTotals::default(),
            settled: None,
        }
    }

    /// A race as the state of `height` knows it.
    pub fn new(height: Height, race: &Race, totals: RaceTotals, settled: Option<&Settled>) -> Self {
        let (started, challenged, drawn) = (&race.started, &race.challenged, &race.drawn);
        let (ended, reason) = match race.end {
            Some(End::Settled { height }) => (Some(height.0), None),
            Some(End::Abandoned { height, reason }) => (Some(height.0), Some(reason.name().into())),
            None => (None, None),
        };
        Self {
            height: height.0,
            epoch: Some(race.epoch.0),
            stage: sprint::stage(race, height.next()).name().into(),
            reason,
            seed: started.as_ref().map(|started| started.seed),
            seed_height: Some(race.seed_height.0),
            started: started.as_ref().map(|started| started.height.0),
            deadline: started.as_ref().map(|started| started.deadline.0),
            challenged: challenged.as_ref().map(|challenged| challenged.height.0),
            verdicts_until: challenged.as_ref().map(|challenged| challenged.until.0),
            drawn: drawn.as_ref().map(|drawn| drawn.height.0),
            reveals_until: drawn.as_ref().map(|drawn| drawn.until.0),
            settles: drawn.as_ref().map(|drawn| drawn.settles.0),
            ended,
            rules: (&race.rules).into(),
            totals,
            settled: settled.map(|settled| settled.epoch.0),
        }
    }

    /// The height up to which this stage lasts, if that is known: a stage that waits for the beacon has no end.
    pub fn stage_until(&self) -> Option<u64> {
        match self.stage.as_str() {
            "racing" => self.deadline,
            "verdicts" => self.verdicts_until,
            "revealing" => self.reveals_until,
            "judging" => self.settles.map(|height| height.saturating_sub(1)),
            _ => None,
        }
    }
}

/// A host in the race under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SprintHostView {
    /// The host.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub host: Address,
    /// Its operator when it committed.
    pub operator: String,
    /// All its nonces.
    pub nonces: u64,
    /// Its devices.
    pub devices: Vec<DeviceView>,
    /// Why its race counts for nothing, if so: `withheld`, `unrevealed` or `convicted`.
    pub void: Option<String>,
    /// Who checks it; empty until committees are drawn.
    pub committee: Vec<MemberView>,
    /// Leaves that it must reveal; 0 until they are drawn.
    pub reveals_due: u64,
    /// Of these, leaves that it has revealed.
    pub reveals_done: u64,
    /// Leaves that were demanded of it, at most 256.
    pub demands: Vec<DemandView>,
    /// Its leaves on trial, open or decided, at most 64.
    pub trials: Vec<TrialView>,
}

/// The most demands of one host that are shown.
pub const MAX_DEMANDS: usize = 256;
/// The most trials of one host that are shown.
pub const MAX_TRIALS: usize = 64;

impl SprintHostView {
    /// A host that committed; what came after is to be filled in.
    pub fn new(host: Address, entry: &Entry) -> Self {
        Self {
            host,
            operator: entry.operator.to_string(),
            nonces: entry.commitment.total(),
            devices: entry.commitment.devices.iter().map(DeviceView::from).collect(),
            void: entry.void.map(|reason| reason.name().into()),
            committee: Vec::new(),
            reveals_due: 0,
            reveals_done: 0,
            demands: Vec::new(),
            trials: Vec::new(),
        }
    }
}

/// A member of a committee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberView {
    /// The member.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub member: Address,
    /// Whether it gave its verdict on the host.
    pub given: bool,
}

/// A demanded leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DemandView {
    /// Who demands it.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub member: Address,
    /// Which of the member's leaves.
    pub index: u16,
    /// The last height for an answer.
    pub until: u64,
    /// Whether it was answered.
    pub answered: bool,
}

/// A leaf on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrialView {
    /// The leaf's device.
    pub device: u32,
    /// The leaf's nonce.
    pub nonce: u64,
    /// Who accused; `null` if a verdict and a revelation contradicted each other.
    #[serde(with = "crate::text::option")]
    #[schema(value_type = Option<String>)]
    pub accuser: Option<Address>,
    /// When it was opened.
    pub opened: u64,
    /// Power that said guilty.
    pub guilty: u64,
    /// Power that said innocent.
    pub innocent: u64,
    /// How it ended: `guilty`, `innocent` or `moot`; `null` while it is open.
    pub ruling: Option<String>,
}

impl TrialView {
    /// A trial of the ledger.
    pub fn new(position: Position, trial: &Trial) -> Self {
        Self {
            device: position.device,
            nonce: position.nonce,
            accuser: trial.accuser,
            opened: trial.opened.0,
            guilty: trial.guilty,
            innocent: trial.innocent,
            ruling: trial.ruling.map(|ruling| ruling.name().into()),
        }
    }
}

/// A page of hosts in the race under way, by address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SprintHostsView {
    /// The height of the state that this shows.
    pub height: u64,
    /// The epoch of the race; `null` before the first.
    pub epoch: Option<u64>,
    /// What the next block finds; see `/v1/sprint`.
    pub stage: String,
    /// The hosts. None once the race is over: `/v1/sprint/results` has what came of it.
    pub hosts: Vec<SprintHostView>,
    /// If there are more: what to give as `after` for the next page.
    #[serde(with = "crate::text::option")]
    #[schema(value_type = Option<String>)]
    pub next: Option<Address>,
}

impl SprintHostsView {
    /// A page without hosts.
    pub fn empty(height: Height, race: Option<(&Race, &Stage)>) -> Self {
        Self {
            height: height.0,
            epoch: race.map(|(race, _)| race.epoch.0),
            stage: race.map_or(NO_RACE, |(_, stage)| stage.name()).into(),
            hosts: Vec::new(),
            next: None,
        }
    }
}

/// What the latest settled race found about a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SprintResultView {
    /// The host.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub host: Address,
    /// Nonces it committed to; 0 if it did not race.
    pub count: u64,
    /// The weight that they prove; 0 if void.
    pub weight: u64,
    /// The weight in H100-equivalents.
    #[schema(value_type = f64, example = 1.25)]
    pub h100_equivalents: Millionths,
    /// Why its race counts for nothing, if so: `withheld`, `unrevealed` or `convicted`.
    pub void: Option<String>,
    /// Members of its committee.
    pub committee: u32,
    /// Of these: members whose verdict on it stood every revelation.
    pub confirmed: u32,
    /// Hosts whose committees it sat in.
    pub owed: u32,
    /// Of these: hosts on which it gave a verdict that was not contradicted.
    pub done: u32,
}

impl SprintResultView {
    /// A result of the ledger.
    pub fn new(host: Address, result: &HostResult, params: &Params) -> Self {
        Self {
            host,
            count: result.count,
            weight: result.weight,
            h100_equivalents: h100s(u128::from(result.weight), params),
            void: result.void.map(|reason| reason.name().into()),
            committee: result.committee,
            confirmed: result.confirmed,
            owed: result.owed,
            done: result.done,
        }
    }
}

/// A race that has settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettledView {
    /// Its epoch.
    pub epoch: u64,
    /// When it settled.
    pub height: u64,
    /// Hosts that committed.
    pub hosts: u32,
    /// Of these, hosts with weight.
    pub proven: u32,
    /// All weight.
    pub weight: u64,
    /// All weight in H100-equivalents.
    #[schema(value_type = f64, example = 12.5)]
    pub h100_equivalents: Millionths,
}

impl SettledView {
    /// A race of the ledger.
    pub fn new(settled: &Settled, params: &Params) -> Self {
        Self {
            epoch: settled.epoch.0,
            height: settled.height.0,
            hosts: settled.hosts,
            proven: settled.proven,
            weight: u64::try_from(settled.weight).unwrap_or(u64::MAX),
            h100_equivalents: h100s(settled.weight, params),
        }
    }
}

/// A page of results of the latest settled race, by address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SprintResultsView {
    /// The height of the state that this shows.
    pub height: u64,
    /// The race; `null` before the first has settled.
    pub race: Option<SettledView>,
    /// Hosts that raced, or had others to check.
    pub results: Vec<SprintResultView>,
    /// If there are more: what to give as `after` for the next page.
    #[serde(with = "crate::text::option")]
    #[schema(value_type = Option<String>)]
    pub next: Option<Address>,
}

/// The race in a node's status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SprintStatus {
    /// The epoch of the race; `null` before the first.
    pub epoch: Option<u64>,
    /// What the next block finds; see `/v1/sprint`.
    #[schema(example = "racing")]
    pub stage: String,
    /// The last height of this stage, if it is known.
    pub stage_until: Option<u64>,
    /// What all weights and inputs come from.
    #[serde(with = "crate::text::option")]
    #[schema(value_type = Option<String>)]
    pub seed: Option<Digest>,
    /// Hosts that committed.
    pub commitments: u64,
    /// All their nonces.
    pub nonces: u64,
    /// Verdicts of members on hosts.
    pub verdicts: u64,
    /// Verdicts that the committees owe.
    pub verdicts_owed: u64,
    /// The epoch of the latest race that settled.
    pub settled_epoch: Option<u64>,
    /// The weight of all hosts: what they proved then, or what genesis gave them before the first race settles.
    pub weight: u64,
    /// That weight in H100-equivalents.
    #[schema(value_type = f64, example = 12.5)]
    pub h100_equivalents: Millionths,
}

impl SprintStatus {
    /// A race, in a network whose hosts have this weight.
    pub fn new(view: &SprintView, weight: u128, params: &Params) -> Self {
        Self {
            weight: u64::try_from(weight).unwrap_or(u64::MAX),
            h100_equivalents: h100s(weight, params),
            epoch: view.epoch,
            stage: view.stage.clone(),
            stage_until: view.stage_until(),
            seed: view.seed,
            commitments: view.totals.commitments,
            nonces: view.totals.nonces,
            verdicts: view.totals.verdicts_given,
            verdicts_owed: view.totals.verdicts_owed,
            settled_epoch: view.settled,
        }
    }
}
