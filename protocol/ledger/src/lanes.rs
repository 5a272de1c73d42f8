//! Lanes: how inference is paid for, without a transaction per request.
//!
//! A payer puts money into a lane for one model. The beacon draws the lane's hosts by their proven compute, among
//! those that serve the model and meet the payer's constraints; each gets an equal share of the escrow. From then on
//! requests and vouchers go from payer to host directly, and the ledger hears of a share once more: when the host
//! settles it.
//!
//! | state | what happens |
//! |---|---|
//! | waiting | the beacon's value of the height at which it was opened draws the hosts |
//! | open | requests; hosts settle what has matured; the payer may add money |
//! | closing | by the payer or at its expiry: no new requests, hosts settle the rest |
//! | over | what is left goes back to the payer by itself, and the lane is gone |
//!
//! # What a host is paid
//!
//! The least of three: what the payer signed for (the voucher's limit), what the host committed to and nobody faulted
//! (the last entry of the lane in one of its matured commitments), and the share's deposit; less what it was paid
//! before. So a voucher settled twice pays once.
//!
//! An entry's total is the host's word for all requests before it, so it is no proof by itself: what a host is paid in
//! all, over all its lanes, never exceeds the fees of its matured commitments ([`CREDITS`]), and every one of these was
//! in reach of the samples. The fees of an interval that did not mature are thereby lost to the host, though it is the
//! payers settled last who gain them. A host that is convicted is paid nothing more from any share that it had then.
//!
//! Prices are the model's when the lane is opened, and stay.

mod draw;
mod end;
mod message;
mod open;
mod params;
pub mod probe;
mod query;
mod settle;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Amount, Digest, Height, PublicKey};
use freeway_proofs::work::{LaneId, Prices};

use crate::context::Context;
use crate::error::Error;
use crate::genesis::{Genesis, Text};
use crate::hosts::Profile;
use crate::models::Tier;
use crate::module::{self, Module};
use crate::receipt;
use crate::state::{Cell, Fault, Reader, Table};
use crate::vaults::Vaults;

pub use draw::{Candidate, candidates};
pub use message::{Event, Failure, Message, Opened, Settlement};
pub use params::Params;
pub(crate) use query::escrow_of;
pub use query::{all, forfeited, lane, number, of_host, of_payer, payable};
pub(crate) use settle::{forfeit, mature, take_earned, take_verifier_pot};

/// All lanes that are not over.
pub const LANES: Table<LaneId, Lane> = Table::new("lanes/lane/");

/// The lanes of a payer.
pub const BY_PAYER: Table<(Address, LaneId), ()> = Table::new("lanes/by-payer/");

/// The lanes in which a host has a share.
pub const BY_HOST: Table<(Address, LaneId), ()> = Table::new("lanes/by-host/");

/// What each host may be paid and was paid. Hosts without matured work have no entry.
pub const CREDITS: Table<Address, Credit> = Table::new("lanes/credit/");

/// Fees that were settled since the last switch and count as served for others.
pub const EARNED: Table<Address, Earned> = Table::new("lanes/earned/");

/// The verifiers' part of fees, until it is paid out.
pub const VERIFIER_POT: Cell<Amount> = Cell::new("lanes/verifier-pot");

/// The training fund's part of fees.
pub const TRAINING: Cell<Amount> = Cell::new("lanes/training");

/// Lanes that wait for their draw, by the height whose value they wait for.
const WAITING: Table<(Height, LaneId), ()> = Table::new("lanes/waiting/");

/// Lanes by the height at which the next thing happens to them by itself.
const ENDS: Table<(Height, LaneId), ()> = Table::new("lanes/end/");

/// What each payer has in lanes. Accounts without a lane have no entry.
pub const PAYERS: Table<Address, Payer> = Table::new("lanes/payer/");

/// The height up to which a host's shares are forfeited, inclusive.
const FORFEITED: Table<Address, Height> = Table::new("lanes/forfeited/");

/// Lanes of [probes](probe) whose hosts are drawn: the value that the requests follow from, and how many each host does.
pub const PROBES: Table<LaneId, (Digest, u32)> = Table::new("lanes/probes/");

/// The last model that was probed.
const PROBED: Cell<Digest> = Cell::new("lanes/probed");

const NEXT: Cell<LaneId> = Cell::new("lanes/next");

const COUNT: Cell<u32> = Cell::new("lanes/count");

/// The most shares of a lane, whatever the parameters say.
pub const MAX_SHARES: u8 = 16;

/// The most regions and the most operators that a lane may ask for.
pub const MAX_CONSTRAINTS: usize = 8;

/// A lane.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Lane {
    /// Who pays, and gets back what is left.
    pub payer: Address,
    /// The key that signs vouchers.
    pub key: PublicKey,
    /// The model's root.
    pub model: Digest,
    /// The model's tier.
    pub tier: Tier,
    /// What requests cost, from opening to end.
    pub prices: Prices,
    /// All that was ever put in.
    pub escrow: Amount,
    /// Which hosts may be drawn.
    pub constraints: Constraints,
    /// How many hosts the payer wants.
    pub wanted: u8,
    /// When it was opened.
    pub opened: Height,
    /// The height at whose beginning it closes by itself.
    pub expires: Height,
    /// Where it stands.
    pub state: State,
    /// Its hosts, in the order drawn; none while it waits.
    pub shares: Vec<Share>,
}

/// Where a lane stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum State {
    /// Its hosts are not drawn.
    Waiting {
        /// The height whose value draws them.
        value_of: Height,
    },
    /// In use.
    Open,
    /// Only settled any more.
    Closing {
        /// The last height at which it can be settled.
        until: Height,
    },
}

impl State {
    /// The state's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting { .. } => "waiting",
            Self::Open => "open",
            Self::Closing { .. } => "closing",
        }
    }
}

/// Which hosts a lane may have. An empty list allows all.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Constraints {
    /// One of these regions.
    pub regions: Vec<Text>,
    /// One of these operators.
    pub operators: Vec<Text>,
}

impl Constraints {
    /// Whether they allow every host.
    pub fn is_none(&self) -> bool {
        self.regions.is_empty() && self.operators.is_empty()
    }

    /// Whether they allow a host.
    pub fn allow(&self, profile: &Profile) -> bool {
        self.allow_at(&profile.region, &profile.operator)
    }

    /// Whether they allow a host of that operator in that region.
    pub fn allow_at(&self, region: &Text, operator: &Text) -> bool {
        let among = |list: &[Text], text: &Text| list.is_empty() || list.contains(text);
        among(&self.regions, region) && among(&self.operators, operator)
    }

    fn is_valid(&self) -> bool {
        let lists = [&self.regions, &self.operators];
        lists.iter().all(|list| list.len() <= MAX_CONSTRAINTS && list.iter().all(Text::is_valid))
    }
}

/// A host's part of a lane.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Share {
    /// The host.
    pub host: Address,
    /// The key that signs its acceptances and receipts: its consensus key at the draw.
    pub key: PublicKey,
    /// Its operator at the draw.
    pub operator: Text,
    /// When it was drawn.
    pub drawn: Height,
    /// Its part of the escrow.
    pub deposit: Amount,
    /// Of this, what the host has settled.
    pub paid: Amount,
    /// Whether the host has nothing to do with the payer, as far as is known.
    pub arms_length: bool,
}

impl Lane {
    /// What the lane holds.
    pub fn left(&self) -> Amount {
        let paid = |left: Amount, share: &Share| left.checked_sub(share.paid).unwrap_or_default();
        self.shares.iter().fold(self.escrow, paid)
    }

    /// A host's share.
    pub fn share(&self, host: &Address) -> Option<&Share> {
        self.shares.iter().find(|share| share.host == *host)
    }
}

/// What a payer has in lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Payer {
    /// How many.
    pub lanes: u32,
    /// What they hold. The account's quota follows it as it follows its balance.
    pub escrow: Amount,
}

/// What a host may be paid and was paid, over all its lanes and for all time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Credit {
    /// The fees of its commitments that matured.
    pub matured: Amount,
    /// What was settled, all parts together.
    pub settled: Amount,
}

impl Credit {
    /// What may still be settled.
    pub fn left(&self) -> Amount {
        self.matured.checked_sub(self.settled).unwrap_or_default()
    }
}

/// What a host has settled from unconstrained lanes of payers at arm's length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Earned {
    /// All parts together.
    pub fees: Amount,
    /// Of these, what went neither to the host nor to the payer: the verifiers' and the training fund's parts.
    pub others: Amount,
}

fn fail<T>(failure: Failure) -> Result<T, Error> {
    Err(Error::Failed(failure.into()))
}

/// The rules of lanes.
pub struct Lanes;

impl Module for Lanes {
    type Message = Message;

    fn genesis(context: &mut Context<'_, '_>, _: &Genesis) -> Result<(), Fault> {
        NEXT.set(context.state, &LaneId(0));
        COUNT.set(context.state, &0);
        VERIFIER_POT.set(context.state, &Amount::ZERO);
        TRAINING.set(context.state, &Amount::ZERO);
        Ok(())
    }

    fn begin(context: &mut Context<'_, '_>) -> Result<(), Fault> {
        draw::run(context)?;
        end::run(context)?;
        probe::run(context)
    }

    fn apply(context: &mut Context<'_, '_>, message: &Message) -> Result<(), Error> {
        match message {
            Message::Open(opened) => open::open(context, opened),
            Message::TopUp { lane, amount } => open::top_up(context, *lane, *amount),
            Message::Close { lane } => end::close(context, *lane),
            Message::Settle(settlement) => settle::settle(context, settlement),
        }
    }

    fn end(_: &mut Context<'_, '_>) -> Result<(), Fault> {
        Ok(())
    }

    fn holdings(state: &dyn Reader, totals: &mut Vaults) -> Result<(), Fault> {
        module::add(&mut totals.rewards, VERIFIER_POT.require(state)?)?;
        module::add(&mut totals.training, TRAINING.require(state)?)?;
        let mut after = None;
        loop {
            let page = LANES.page(state, after.as_ref(), 256)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(*last);
            for (_, lane) in &page {
                module::add(&mut totals.lanes, lane.left())?;
            }
        }
    }
}

fn emit(context: &mut Context<'_, '_>, event: Event) {
    context.emit(receipt::Event::Lanes(event));
}
