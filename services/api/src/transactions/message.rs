//! What a transaction asks for.

use freeway_ledger::hosts::Profile;
use freeway_primitives::{Address, Amount, Digest, PublicKey};
use freeway_proofs::sprint::DeviceCommitment;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::lanes::ConstraintsView;
use crate::models::{NoiseView, PricesView};
use crate::work::ClaimView;

/// A host's profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProfileView {
    /// The key of its votes.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub consensus_key: PublicKey,
    /// Where it can be reached.
    pub endpoints: Vec<String>,
    /// Where it stands.
    pub region: String,
    /// Who runs it.
    pub operator: String,
    /// Its machine.
    pub hardware: String,
}

impl From<&Profile> for ProfileView {
    fn from(profile: &Profile) -> Self {
        Self {
            consensus_key: profile.consensus_key,
            endpoints: profile.endpoints.iter().map(ToString::to_string).collect(),
            region: profile.region.to_string(),
            operator: profile.operator.to_string(),
            hardware: profile.hardware.to_string(),
        }
    }
}

/// What is asked of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type")]
pub enum MessageView {
    /// Pay.
    #[serde(rename = "accounts.transfer")]
    Transfer {
        /// To whom.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        to: Address,
        /// How much, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// Give a key rights.
    #[serde(rename = "accounts.authorise")]
    Authorise {
        /// The key.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        key: PublicKey,
        /// What it may do.
        scopes: Vec<String>,
        /// The last height at which it may act; `null` for no end.
        expires: Option<u64>,
        /// How much it may move, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        allowance: Amount,
    },
    /// Take a key's rights away.
    #[serde(rename = "accounts.revoke")]
    Revoke {
        /// The key.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        key: PublicKey,
    },
    /// Become a host.
    #[serde(rename = "hosts.register")]
    Register {
        /// What it says of itself.
        profile: ProfileView,
        /// First collateral, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        collateral: Amount,
    },
    /// Replace a host's profile.
    #[serde(rename = "hosts.update")]
    Update {
        /// The new profile.
        profile: ProfileView,
    },
    /// Stop being a host.
    #[serde(rename = "hosts.leave")]
    Leave,
    /// Put more at stake.
    #[serde(rename = "hosts.deposit")]
    Deposit {
        /// How much, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// Begin to take collateral back.
    #[serde(rename = "hosts.withdraw")]
    Withdraw {
        /// How much, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// Report that a validator signed two different things.
    #[serde(rename = "evidence.report")]
    Report {
        /// Who is accused.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        accused: Address,
        /// The height of the offence.
        height: u64,
        /// What was signed twice: `votes` or `proposals`.
        offence: String,
    },
    /// A host commits to what it computed in the race.
    #[serde(rename = "sprint.commit")]
    Commit {
        /// All its nonces.
        count: u64,
        /// Its devices.
        devices: Vec<DeviceView>,
    },
    /// A member of committees says what it found.
    #[serde(rename = "sprint.verdicts")]
    Verdicts {
        /// The hosts that it checked.
        #[serde(with = "crate::text::list")]
        #[schema(value_type = Vec<String>)]
        hosts: Vec<Address>,
        /// Leaves that it recomputed, of all of them.
        leaves: u64,
    },
    /// A host shows the drawn traces.
    #[serde(rename = "sprint.reveal")]
    Reveal {
        /// The members to whose verdicts they belong.
        #[serde(with = "crate::text::list")]
        #[schema(value_type = Vec<String>)]
        members: Vec<Address>,
        /// Leaves, of all of them.
        leaves: u64,
    },
    /// A member demands leaves that a host does not show.
    #[serde(rename = "sprint.demand")]
    Demand {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// Which of the member's leaves.
        positions: Vec<u16>,
    },
    /// A host answers a demand.
    #[serde(rename = "sprint.answer")]
    Answer {
        /// Who demanded.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        member: Address,
        /// So many leaves.
        leaves: u64,
    },
    /// A host says that a leaf of another is wrong.
    #[serde(rename = "sprint.accuse")]
    Accuse {
        /// The accused host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// The leaf's device.
        device: u32,
        /// The leaf's nonce.
        nonce: u64,
    },
    /// A validator says what it found of leaves on trial.
    #[serde(rename = "sprint.judge")]
    Judge {
        /// Its judgements.
        judgements: Vec<JudgementView>,
    },
    /// A holder of seats posts its part of the beacon's next key.
    #[serde(rename = "beacon.deal")]
    Deal {
        /// The length of the part in bytes.
        bytes: u64,
    },
    /// A holder of seats says which parts it can use.
    #[serde(rename = "beacon.acknowledge")]
    Acknowledge {
        /// The length of the message in bytes.
        bytes: u64,
    },
    /// A holder of seats answers those who could not use its part.
    #[serde(rename = "beacon.close")]
    Close {
        /// The length of the answer in bytes.
        bytes: u64,
    },
    /// Add a model.
    #[serde(rename = "models.register")]
    RegisterModel {
        /// The root of its content.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        root: Digest,
        /// Its name.
        name: String,
        /// How its answers can be checked: `exact` or `statistical`.
        tier: String,
        /// Tokens of its context.
        context: u32,
        /// Tokens that it knows.
        vocabulary: u32,
        /// How many multiply-adds of the race take as long as one generated token.
        work: u64,
        /// What it costs at first.
        prices: PricesView,
        /// How much honest machines differ in it, where it has been measured.
        noise: Option<NoiseView>,
    },
    /// Take a model back, and its bond.
    #[serde(rename = "models.retire")]
    RetireModel {
        /// Its root.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        root: Digest,
    },
    /// A host says which models it serves.
    #[serde(rename = "models.serve")]
    Serve {
        /// Their roots.
        #[serde(with = "crate::text::list")]
        #[schema(value_type = Vec<String>)]
        models: Vec<Digest>,
    },
    /// Open a lane.
    #[serde(rename = "lanes.open")]
    OpenLane {
        /// The model's root.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        model: Digest,
        /// How much to put in, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        escrow: Amount,
        /// How many hosts.
        shares: u8,
        /// Which hosts.
        constraints: ConstraintsView,
        /// The key that will sign vouchers.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        key: PublicKey,
        /// Blocks until it closes by itself.
        lifetime: u64,
    },
    /// Put more into a lane.
    #[serde(rename = "lanes.top_up")]
    TopUpLane {
        /// The lane.
        lane: u64,
        /// How much, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// No more requests in a lane.
    #[serde(rename = "lanes.close")]
    CloseLane {
        /// The lane.
        lane: u64,
    },
    /// A host asks for what it earned in a lane.
    #[serde(rename = "lanes.settle")]
    SettleLane {
        /// The lane.
        lane: u64,
        /// What the payer signed for, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        limit: Amount,
        /// The interval of the commitment in which its last request stands.
        interval: u64,
        /// The number of that request.
        sequence: u64,
        /// What all requests up to it cost, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        total: Amount,
    },
    /// Answer for an output.
    #[serde(rename = "endorsements.endorse")]
    Endorse {
        /// The digest of its receipt.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        receipt: Digest,
        /// The digest of what is said about it.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        statement: Digest,
        /// What is put up, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        bond: Amount,
        /// Who may award it.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        arbiter: Address,
        /// The last height at which harm counts.
        until: u64,
    },
    /// The arbiter gives a part of the bond to whom was harmed.
    #[serde(rename = "endorsements.award")]
    Award {
        /// The endorsement.
        endorsement: u64,
        /// Who was harmed.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        claimant: Address,
        /// How much it gets, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// The endorser takes back what is left.
    #[serde(rename = "endorsements.withdraw")]
    WithdrawBond {
        /// The endorsement.
        endorsement: u64,
    },
    /// A host commits to what it served.
    #[serde(rename = "work.commit")]
    CommitWork {
        /// The interval.
        interval: u64,
        /// One for each class of lanes.
        claims: Vec<ClaimView>,
    },
    /// A member of committees says what it found.
    #[serde(rename = "verification.verdicts")]
    WorkVerdicts {
        /// The interval.
        interval: u64,
        /// The hosts that it checked.
        #[serde(with = "crate::text::list")]
        #[schema(value_type = Vec<String>)]
        hosts: Vec<Address>,
        /// Samples that it looked at, of all of them.
        samples: u64,
        /// Of these, those that it found right.
        right: u64,
    },
    /// A host shows the trace of the drawn sample.
    #[serde(rename = "verification.reveal")]
    WorkReveal {
        /// The interval.
        interval: u64,
        /// Which of its trees.
        branch: u8,
        /// The leaf's index in it.
        leaf: u64,
        /// The receipt's digest.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        receipt: Digest,
    },
    /// A member demands a sample that it is not shown.
    #[serde(rename = "verification.demand")]
    WorkDemand {
        /// The interval.
        interval: u64,
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// Which of its samples.
        sample: u32,
    },
    /// A host answers a demand.
    #[serde(rename = "verification.answer")]
    WorkAnswer {
        /// The interval.
        interval: u64,
        /// Which of its samples.
        sample: u32,
        /// The receipt's digest.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        receipt: Digest,
    },
    /// Somebody says that a request was not computed right.
    #[serde(rename = "verification.accuse")]
    WorkAccuse {
        /// The interval.
        interval: u64,
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// Which of its trees.
        branch: u8,
        /// The leaf's index in it.
        leaf: u64,
        /// The receipt's digest.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        receipt: Digest,
    },
    /// A juror says what it found of leaves on trial.
    #[serde(rename = "verification.judge")]
    WorkJudge {
        /// Its judgements.
        judgements: Vec<WorkJudgementView>,
    },
    /// Somebody shows what no honest host does.
    #[serde(rename = "verification.prove")]
    Prove {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// What it is: `receipts`, `leaf` or `leaves`.
        proof: String,
    },
    /// Somebody says that a receipt is not in the commitment.
    #[serde(rename = "verification.report")]
    ReportReceipt {
        /// The interval.
        interval: u64,
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// The receipt's digest.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        receipt: Digest,
    },
    /// A host answers a report.
    #[serde(rename = "verification.include")]
    Include {
        /// The interval.
        interval: u64,
        /// Which of its trees.
        branch: u8,
        /// The leaf's index in it.
        leaf: u64,
    },
    /// A message of a newer node that this program does not know.
    #[serde(other, rename = "unknown")]
    Unknown,
}

/// What a device computed in a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceView {
    /// Its nonces: from 0 on, without gaps.
    pub count: u64,
    /// The root of the tree of their leaves.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub root: Digest,
}

impl From<&DeviceCommitment> for DeviceView {
    fn from(device: &DeviceCommitment) -> Self {
        Self { count: device.count, root: device.root }
    }
}

/// A judgement on a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JudgementView {
    /// The host.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub host: Address,
    /// The leaf's device.
    pub device: u32,
    /// The leaf's nonce.
    pub nonce: u64,
    /// Whether the leaf is wrong.
    pub guilty: bool,
}

/// A judgement on a leaf of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkJudgementView {
    /// The host.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub host: Address,
    /// The interval.
    pub interval: u64,
    /// Which of its trees.
    pub branch: u64,
    /// The leaf's index in it.
    pub leaf: u64,
    /// Whether the leaf is wrong.
    pub guilty: bool,
}
