//! What the ledger's messages are on the wire.

use freeway_ledger::verification::{Finding, Proof};
use freeway_ledger::{
    Message, accounts, beacon, endorsements, evidence, hosts, lanes, models, sprint, verification, work,
};
use freeway_primitives::Equivocation;

use super::{DeviceView, JudgementView, MessageView, WorkJudgementView};
use crate::text::limit_of;

/// The name of a message's kind: what its `type` is on the wire.
pub fn kind_of(message: &Message) -> &'static str {
    match message {
        Message::Accounts(accounts::Message::Transfer { .. }) => "accounts.transfer",
        Message::Accounts(accounts::Message::Authorise { .. }) => "accounts.authorise",
        Message::Accounts(accounts::Message::Revoke { .. }) => "accounts.revoke",
        Message::Hosts(hosts::Message::Register { .. }) => "hosts.register",
        Message::Hosts(hosts::Message::Update { .. }) => "hosts.update",
        Message::Hosts(hosts::Message::Leave) => "hosts.leave",
        Message::Hosts(hosts::Message::Deposit { .. }) => "hosts.deposit",
        Message::Hosts(hosts::Message::Withdraw { .. }) => "hosts.withdraw",
        Message::Evidence(evidence::Message::Report(_)) => "evidence.report",
        Message::Sprint(sprint::Message::Commit(_)) => "sprint.commit",
        Message::Sprint(sprint::Message::Verdicts(_)) => "sprint.verdicts",
        Message::Sprint(sprint::Message::Reveal(_)) => "sprint.reveal",
        Message::Sprint(sprint::Message::Demand { .. }) => "sprint.demand",
        Message::Sprint(sprint::Message::Answer { .. }) => "sprint.answer",
        Message::Sprint(sprint::Message::Accuse { .. }) => "sprint.accuse",
        Message::Sprint(sprint::Message::Judge(_)) => "sprint.judge",
        Message::Beacon(beacon::Message::Deal(_)) => "beacon.deal",
        Message::Beacon(beacon::Message::Acknowledge(_)) => "beacon.acknowledge",
        Message::Beacon(beacon::Message::Close(_)) => "beacon.close",
        Message::Models(models::Message::Register { .. }) => "models.register",
        Message::Models(models::Message::Retire { .. }) => "models.retire",
        Message::Models(models::Message::Serve { .. }) => "models.serve",
        Message::Lanes(lanes::Message::Open(_)) => "lanes.open",
        Message::Lanes(lanes::Message::TopUp { .. }) => "lanes.top_up",
        Message::Lanes(lanes::Message::Close { .. }) => "lanes.close",
        Message::Lanes(lanes::Message::Settle(_)) => "lanes.settle",
        Message::Endorsements(endorsements::Message::Endorse { .. }) => "endorsements.endorse",
        Message::Endorsements(endorsements::Message::Award { .. }) => "endorsements.award",
        Message::Endorsements(endorsements::Message::Withdraw { .. }) => "endorsements.withdraw",
        Message::Work(work::Message::Commit { .. }) => "work.commit",
        Message::Verification(verification::Message::Verdicts { .. }) => "verification.verdicts",
        Message::Verification(verification::Message::Reveal(_)) => "verification.reveal",
        Message::Verification(verification::Message::Demand { .. }) => "verification.demand",
        Message::Verification(verification::Message::Answer(_)) => "verification.answer",
        Message::Verification(verification::Message::Accuse(_)) => "verification.accuse",
        Message::Verification(verification::Message::Judge(_)) => "verification.judge",
        Message::Verification(verification::Message::Prove(_)) => "verification.prove",
        Message::Verification(verification::Message::Report(_)) => "verification.report",
        Message::Verification(verification::Message::Include(_)) => "verification.include",
    }
}

impl From<&Message> for MessageView {
    fn from(message: &Message) -> Self {
        match message {
            Message::Accounts(accounts::Message::Transfer { to, amount }) => {
                Self::Transfer { to: *to, amount: *amount }
            }
            Message::Accounts(accounts::Message::Authorise { key, scopes, expires, allowance }) => {
                Self::Authorise {
                    key: *key,
                    scopes: scopes.iter().map(|scope| scope.name().into()).collect(),
                    expires: limit_of(*expires),
                    allowance: *allowance,
                }
            }
            Message::Accounts(accounts::Message::Revoke { key }) => Self::Revoke { key: *key },
            Message::Hosts(hosts::Message::Register { profile, collateral }) => {
                Self::Register { profile: profile.into(), collateral: *collateral }
            }
            Message::Hosts(hosts::Message::Update { profile }) => Self::Update { profile: profile.into() },
            Message::Hosts(hosts::Message::Leave) => Self::Leave,
            Message::Hosts(hosts::Message::Deposit { amount }) => Self::Deposit { amount: *amount },
            Message::Hosts(hosts::Message::Withdraw { amount }) => Self::Withdraw { amount: *amount },
            Message::Evidence(evidence::Message::Report(proof)) => Self::Report {
                accused: proof.validator(),
                height: proof.height().0,
                offence: match **proof {
                    Equivocation::Votes(..) => "votes".into(),
                    Equivocation::Proposals(..) => "proposals".into(),
                },
            },
            Message::Sprint(message) => message.into(),
            Message::Beacon(message) => message.into(),
            Message::Models(message) => message.into(),
            Message::Lanes(message) => message.into(),
            Message::Endorsements(message) => message.into(),
            Message::Work(work::Message::Commit { interval, claims }) => {
                Self::CommitWork { interval: *interval, claims: claims.iter().map(Into::into).collect() }
            }
            Message::Verification(message) => message.into(),
        }
    }
}

impl From<&sprint::Message> for MessageView {
    fn from(message: &sprint::Message) -> Self {
        use sprint::Message;
        match message {
            Message::Commit(commitment) => Self::Commit {
                count: commitment.total(),
                devices: commitment.devices.iter().map(DeviceView::from).collect(),
            },
            Message::Verdicts(verdicts) => Self::Verdicts {
                hosts: verdicts.iter().map(|verdict| verdict.host).collect(),
                leaves: verdicts.iter().map(|verdict| verdict.tags.len() as u64).sum(),
            },
            Message::Reveal(reveals) => Self::Reveal {
                members: reveals.iter().map(|reveal| reveal.member).collect(),
                leaves: reveals.iter().map(|reveal| reveal.revelations.len() as u64).sum(),
            },
            Message::Demand { host, positions } => Self::Demand { host: *host, positions: positions.clone() },
            Message::Answer { member, openings } => {
                Self::Answer { member: *member, leaves: openings.len() as u64 }
            }
            Message::Accuse { host, opening } => {
                Self::Accuse { host: *host, device: opening.position.device, nonce: opening.position.nonce }
            }
            Message::Judge(judgements) => Self::Judge {
                judgements: judgements
                    .iter()
                    .map(|judgement| JudgementView {
                        host: judgement.host,
                        device: judgement.position.device,
                        nonce: judgement.position.nonce,
                        guilty: judgement.guilty,
                    })
                    .collect(),
            },
        }
    }
}

impl From<&beacon::Message> for MessageView {
    fn from(message: &beacon::Message) -> Self {
        use beacon::Message;
        match message {
            Message::Deal(bytes) => Self::Deal { bytes: bytes.len() as u64 },
            Message::Acknowledge(bytes) => Self::Acknowledge { bytes: bytes.len() as u64 },
            Message::Close(bytes) => Self::Close { bytes: bytes.len() as u64 },
        }
    }
}

impl From<&models::Message> for MessageView {
    fn from(message: &models::Message) -> Self {
        use models::Message;
        match message {
            Message::Register { root, description } => {
                let models::Description { name, tier, context, vocabulary, work, prices, noise } =
                    description;
                Self::RegisterModel {
                    root: *root,
                    name: name.to_string(),
                    tier: tier.name().into(),
                    context: *context,
                    vocabulary: *vocabulary,
                    work: *work,
                    prices: prices.into(),
                    noise: noise.as_ref().map(Into::into),
                }
            }
            Message::Retire { root } => Self::RetireModel { root: *root },
            Message::Serve { models } => Self::Serve { models: models.clone() },
        }
    }
}

impl From<&lanes::Message> for MessageView {
    fn from(message: &lanes::Message) -> Self {
        use lanes::Message;
        match message {
            Message::Open(opened) => Self::OpenLane {
                model: opened.model,
                escrow: opened.escrow,
                shares: opened.shares,
                constraints: (&opened.constraints).into(),
                key: opened.key,
                lifetime: opened.lifetime,
            },
            Message::TopUp { lane, amount } => Self::TopUpLane { lane: lane.0, amount: *amount },
            Message::Close { lane } => Self::CloseLane { lane: lane.0 },
            Message::Settle(settlement) => Self::SettleLane {
                lane: settlement.voucher.lane.0,
                limit: settlement.voucher.limit,
                interval: settlement.interval,
                sequence: settlement.entry.sequence,
                total: settlement.entry.total,
            },
        }
    }
}

impl From<&endorsements::Message> for MessageView {
    fn from(message: &endorsements::Message) -> Self {
        use endorsements::Message;
        match *message {
            Message::Endorse { receipt, statement, bond, arbiter, expiry } => {
                Self::Endorse { receipt, statement, bond, arbiter, until: expiry.0 }
            }
            Message::Award { endorsement, claimant, amount } => {
                Self::Award { endorsement: endorsement.0, claimant, amount }
            }
            Message::Withdraw { endorsement } => Self::WithdrawBond { endorsement: endorsement.0 },
        }
    }
}

impl From<&verification::Message> for MessageView {
    fn from(message: &verification::Message) -> Self {
        use verification::Message;
        match message {
            Message::Verdicts { interval, verdicts } => {
                let findings = || verdicts.iter().flat_map(|verdict| &verdict.findings);
                Self::WorkVerdicts {
                    interval: *interval,
                    hosts: verdicts.iter().map(|verdict| verdict.host).collect(),
                    samples: findings().count() as u64,
                    right: findings().filter(|found| matches!(found, Finding::Right(_))).count() as u64,
                }
            }
            Message::Reveal(reveal) => Self::WorkReveal {
                interval: reveal.interval,
                branch: reveal.leaf.branch,
                leaf: reveal.leaf.opening.index,
                receipt: reveal.receipt.digest(),
            },
            Message::Demand { interval, host, sample } => {
                Self::WorkDemand { interval: *interval, host: *host, sample: *sample }
            }
            Message::Answer(answer) => Self::WorkAnswer {
                interval: answer.interval,
                sample: answer.sample,
                receipt: answer.receipt.digest(),
            },
            Message::Accuse(accusation) => Self::WorkAccuse {
                interval: accusation.interval,
                host: accusation.host,
                branch: accusation.leaf.branch,
                leaf: accusation.leaf.opening.index,
                receipt: accusation.receipt.digest(),
            },
            Message::Judge(judgements) => Self::WorkJudge {
                judgements: judgements
                    .iter()
                    .map(|judgement| {
                        let (interval, (host, (branch, leaf))) = judgement.case;
                        WorkJudgementView { host, interval, branch, leaf, guilty: judgement.guilty }
                    })
                    .collect(),
            },
            Message::Prove(proof) => match &**proof {
                Proof::Receipts { first, .. } => {
                    Self::Prove { host: first.receipt.host, proof: "receipts".into() }
                }
                Proof::Leaf { host, .. } => Self::Prove { host: *host, proof: "leaf".into() },
                Proof::Leaves { host, .. } => Self::Prove { host: *host, proof: "leaves".into() },
            },
            Message::Report(report) => {
                let receipt = &report.signed.receipt;
                Self::ReportReceipt {
                    interval: receipt.interval,
                    host: receipt.host,
                    receipt: receipt.digest(),
                }
            }
            Message::Include(inclusion) => Self::Include {
                interval: inclusion.interval,
                branch: inclusion.leaf.branch,
                leaf: inclusion.leaf.opening.index,
            },
        }
    }
}
