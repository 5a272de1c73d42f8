//! What can be asked of verification, and what happens in it.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Amount, Digest, Height, Signature};
use freeway_proofs::sum::{Opening, Sums};
use freeway_proofs::work::{Entry, LaneId, Receipt};

use super::Case;
use crate::accounts::Scope;
use crate::work::Commitment;

/// A member's word for a sample; see [`freeway_proofs::work::tag`].
pub type Tag = [u8; 16];

/// What can be asked of verification.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Message {
    /// A member: this is what I found. In as many transactions as it takes, one verdict per host and branch.
    Verdicts {
        /// The interval.
        interval: u64,
        /// What was found.
        verdicts: Vec<Verdict>,
    },
    /// A host: this is the trace of the drawn sample.
    Reveal(Box<Reveal>),
    /// A member: the host does not show me this sample.
    Demand {
        /// The interval.
        interval: u64,
        /// The host.
        host: Address,
        /// Which of its samples.
        sample: u32,
    },
    /// A host: here it is.
    Answer(Box<Answer>),
    /// This request was not computed right.
    Accuse(Box<Accusation>),
    /// Jurors: I computed these.
    Judge(Vec<Judgement>),
    /// This cannot be honest.
    Prove(Box<Proof>),
    /// The host signed this receipt, and did not commit to it.
    Report(Box<Report>),
    /// A host: it did, here.
    Include(Box<Inclusion>),
}

/// A member's verdict on a branch of a commitment.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Verdict {
    /// The host.
    pub host: Address,
    /// Which of the commitment's branches.
    pub branch: u8,
    /// One per sample of the branch, in order.
    pub findings: Vec<Finding>,
}

/// What a member found about a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Finding {
    /// It is right; bound to the member and the trace that it computed.
    Right(Tag),
    /// It is wrong. That convicts nobody: an accusation must follow.
    Wrong,
    /// It was not shown.
    NotShown,
}

/// A leaf of a commitment, with its place there.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Leaf {
    /// In which branch.
    pub branch: u8,
    /// Its place in that branch's tree.
    pub opening: Opening,
    /// What it says.
    pub entry: Entry,
}

impl Leaf {
    /// What stands before it in its branch, if it is a leaf of that commitment; else `None`.
    pub fn verify(&self, commitment: &Commitment) -> Option<Sums> {
        let branch = commitment.branches.get(usize::from(self.branch))?;
        let named = self.opening.digest == self.entry.digest() && self.opening.sums == self.entry.sums;
        self.opening.verify(&branch.total).filter(|_| named)
    }
}

/// A host's revelation.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Reveal {
    /// The interval.
    pub interval: u64,
    /// The leaf that the drawn sample belongs to.
    pub leaf: Leaf,
    /// Its receipt.
    pub receipt: Receipt,
    /// With which the receipt's trace was salted.
    pub salt: [u8; 32],
    /// The trace.
    pub trace: Digest,
}

/// A host's answer to a demand.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Answer {
    /// The interval.
    pub interval: u64,
    /// Which of its samples.
    pub sample: u32,
    /// The leaf that the sample belongs to.
    pub leaf: Leaf,
    /// Its receipt.
    pub receipt: Receipt,
}

/// An accusation.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Accusation {
    /// The interval.
    pub interval: u64,
    /// The host.
    pub host: Address,
    /// The leaf that is wrong.
    pub leaf: Leaf,
    /// Its receipt.
    pub receipt: Receipt,
}

/// A juror's judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Judgement {
    /// The leaf on trial.
    pub case: Case,
    /// Whether it is wrong.
    pub guilty: bool,
}

/// A receipt as its host signed it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Signed {
    /// The receipt.
    pub receipt: Receipt,
    /// Of the key of the host's share.
    pub signature: Signature,
}

/// Something that no honest host does.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Proof {
    /// Two receipts for one request.
    Receipts {
        /// One.
        first: Signed,
        /// And another.
        second: Signed,
    },
    /// A leaf that is not what its receipt says, or of a lane that does not belong there.
    Leaf {
        /// The interval.
        interval: u64,
        /// The host.
        host: Address,
        /// The leaf.
        leaf: Leaf,
        /// Its receipt, if that is what it contradicts.
        receipt: Option<Receipt>,
    },
    /// Two leaves that cannot both be.
    Leaves {
        /// The host.
        host: Address,
        /// The interval of one.
        interval: u64,
        /// One.
        first: Leaf,
        /// The interval of the other, the same or a later one.
        later: u64,
        /// The other.
        second: Leaf,
    },
}

/// A receipt that is reported missing.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Report {
    /// The receipt.
    pub signed: Signed,
}

/// A host's answer to a report.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Inclusion {
    /// The interval.
    pub interval: u64,
    /// Where the receipt stands.
    pub leaf: Leaf,
}

impl Message {
    /// Whether a block takes it only if it does what it asks. A report is its payer's wish: as many as a host signs
    /// receipts could be made of them.
    pub(crate) fn is_owed(&self) -> bool {
        !matches!(self, Self::Report(_))
    }

    pub(crate) fn scope(&self) -> Option<Scope> {
        match self {
            Self::Reveal(_) | Self::Answer(_) | Self::Include(_) => Some(Scope::Operator),
            Self::Report(_) => Some(Scope::Lane),
            Self::Verdicts { .. }
            | Self::Demand { .. }
            | Self::Accuse(_)
            | Self::Judge(_)
            | Self::Prove(_) => Some(Scope::Verifier),
        }
    }
}

/// What happens in verification.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Event {
    /// A member gave verdicts.
    VerdictsGiven {
        /// The member.
        member: Address,
        /// The interval.
        interval: u64,
        /// So many.
        verdicts: u32,
    },
    /// A host revealed the drawn sample.
    Revealed {
        /// The host.
        host: Address,
        /// The interval.
        interval: u64,
        /// Members whose tag is another.
        contradicted: u32,
    },
    /// A member demands a sample here.
    Demanded {
        /// The host.
        host: Address,
        /// The interval.
        interval: u64,
        /// Which of its samples.
        sample: u32,
        /// The last height for an answer.
        until: Height,
    },
    /// A receipt is reported missing.
    Reported {
        /// The host.
        host: Address,
        /// The interval.
        interval: u64,
        /// The lane.
        lane: LaneId,
        /// The number of the request.
        sequence: u64,
        /// The last height for an answer.
        until: Height,
    },
    /// A host answered a demand or a report.
    Answered {
        /// The host.
        host: Address,
        /// The interval.
        interval: u64,
    },
    /// A leaf is on trial.
    TrialOpened {
        /// The leaf.
        case: Case,
        /// Its receipt.
        receipt: Digest,
        /// The last height for judging.
        until: Height,
    },
    /// A trial ended without a conviction.
    Acquitted {
        /// The leaf.
        case: Case,
    },
    /// A host is convicted.
    Convicted {
        /// The host.
        host: Address,
        /// The interval of what it did.
        interval: u64,
        /// What it lost of its collateral.
        penalty: Amount,
    },
    /// A member's verdict was found false.
    FalseVerdict {
        /// The member.
        member: Address,
        /// The host.
        host: Address,
        /// The interval.
        interval: u64,
    },
}
