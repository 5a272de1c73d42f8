//! The HTTP interface of a node: its wire types, and a typed client.
//!
//! # Conventions
//!
//! - Addresses, digests and keys are strings, as everywhere in Freeway; heights, epochs, weights and powers are
//!   numbers; so are shares of a whole (from 0 to 1) and H100-equivalents, with up to six decimals.
//! - Amounts are strings of base units (`"12500000000"` is 12.5 FWY), so that no reader of JSON loses digits. Two
//!   documents that people write by hand, the genesis file and the parameters, carry units instead:
//!   `"12.5 FWY"` or `"12500000000nfwy"`, and nothing without a unit.
//! - An error is an [`ErrorBody`]: a `code` for programs, a `message` for people, and often a `hint` that says what
//!   to do next.
//! - Readers ignore fields that they do not know, so that a node may be newer than its clients. What clients send,
//!   and genesis files, must be known to the last field.
//!
//! # Parts
//!
//! | module | wire types of |
//! |---|---|
//! | [`status`] | the node and where its chain stands |
//! | [`blocks`] | blocks and certificates |
//! | [`transactions`] | transactions, on their way in and in blocks |
//! | [`events`] | what happens on the chain, and the stream of it |
//! | [`accounts`], [`hosts`] | who takes part |
//! | [`sprint`], [`weights`] | the race in which compute is proven, and what it proves |
//! | [`models`], [`lanes`] | what is served, and how it is paid for |
//! | [`work`] | what hosts commit to have served, and how it is checked |
//! | [`rewards`], [`endorsements`] | what hosts earn; who answers for outputs |
//! | [`beacon`] | the network's randomness |
//! | [`parameters`], [`genesis`] | the rules, and the file that starts a network |
//! | [`receipts`] | what a payer's gateway keeps |
//! | [`serving`] | requests in lanes, and what verifiers are shown: canonical bytes, beside the chain |
//! | [`trace`] | spans for operators, and how their contexts go from payer to host |
//! | [`reach`] | which addresses of strangers may be connected to |
//! | [`explorer`] | figures and history, of nodes that keep them |
//! | [`peers`], [`proofs`], [`snapshots`] | other nodes, light clients, new nodes |
//! | [`client`] | [`Client`] |

pub mod accounts;
pub mod beacon;
pub mod blocks;
pub mod client;
pub mod endorsements;
pub mod error;
pub mod events;
pub mod explorer;
pub mod genesis;
pub mod hosts;
pub mod lanes;
pub mod models;
pub mod parameters;
pub mod peers;
pub mod proofs;
pub mod reach;
pub mod receipts;
pub mod rewards;
pub mod serving;
pub mod snapshots;
pub mod sprint;
pub mod status;
pub mod text;
pub mod trace;
pub mod transactions;
pub mod weights;
pub mod work;

pub use accounts::{AccountView, DelegateView, QuotaView};
pub use beacon::{BeaconStatus, BeaconValueView, BeaconView};
pub use blocks::{BlockSummary, BlockView, BlocksView, CertificateView, HeaderView, TransactionSummary};
pub use client::{Client, ClientError, EventStream, StreamItem};
pub use endorsements::{EndorsementView, EndorsementsView, ReceiptEndorsementsView, RecordView};
pub use error::{ErrorBody, ErrorDetail};
pub use events::{BlockEvent, EventView, LaggedEvent};
pub use genesis::{GenesisFile, GenesisFileError};
pub use hosts::{
    HostStanding, HostSummary, HostView, HostsView, UnbondingView, ValidatorView, ValidatorsView,
};
pub use lanes::{ConstraintsView, LaneView, LanesView, ShareView};
pub use models::{ModelDetailView, ModelView, ModelsView, NoiseView, PricesView, ServingHostView};
pub use parameters::ParamsView;
pub use peers::{PeerView, PeersView};
pub use proofs::{ProofView, ProofViewError};
pub use receipts::{KeptReceipt, KeptReceiptError, ReceiptSummary, ReceiptsView};
pub use rewards::{BucketView, DutyView, EarningsView, FeesView, GrantView, RewardsView};
pub use snapshots::{SnapshotView, SnapshotsView};
pub use sprint::{
    RaceTotals, SprintHostView, SprintHostsView, SprintResultView, SprintResultsView, SprintStatus,
    SprintView,
};
pub use status::{HealthView, MempoolView, SigningView, Status};
pub use transactions::{
    BodyView, FailureView, MessageView, OutcomeView, ReceiptView, SubmitRequest, SubmitResult, SubmitView,
    TransactionStatus, TransactionView,
};
pub use weights::{WeightView, WeightsView};
pub use work::{
    BranchView, ClaimView, CommitmentSummary, CommitmentView, CommitmentsView, RoundView, SampleView,
    WorkDemandView, WorkMemberView, WorkReportView, WorkTrialView, WorkVerdictView, WorkView,
};
