//! What serving needs of the chain.

use freeway_ledger::lanes::{self, Lane, Share};
use freeway_ledger::models::{self, Model};
use freeway_ledger::work::{self, COMMITS};
use freeway_ledger::{Fault, Params, Reader};
use freeway_primitives::{Address, Amount, Height};
use freeway_proofs::work::LaneId;

/// The chain as serving sees it.
pub trait View: Send + Sync + 'static {
    /// Shows the latest state and its height.
    fn look(&self, see: &mut dyn FnMut(&dyn Reader, Height));

    /// Whether that is about now, and not on the way there.
    fn is_current(&self) -> bool;

    /// A request has ended.
    fn ended(&self, end: Ended) {
        let _ = end;
    }
}

/// How a paid request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With a receipt over this fee.
    Paid(Amount),
    /// The host could not do it.
    Failed,
    /// The payer left.
    Left,
}

/// A lane with this host's share of it.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The lane.
    pub lane: Lane,
    /// This host's share, if it has one.
    pub share: Option<Share>,
    /// Whether the share pays nothing any more.
    pub forfeited: bool,
    /// The lane's model, which stays as long as there are lanes for it.
    pub model: Option<Model>,
}

impl Facts {
    /// What the state says of a lane; `None` if there is no such lane.
    ///
    /// # Errors
    /// [`Fault`] if the state cannot be read.
    pub fn read(state: &dyn Reader, id: LaneId, host: &Address) -> Result<Option<Self>, Fault> {
        let Some(lane) = lanes::lane(state, id)? else { return Ok(None) };
        let share = lane.share(host).cloned();
        let lost = share.as_ref().map(|share| lanes::forfeited(state, share)).transpose()?;
        let forfeited = lost.unwrap_or_default();
        let model = models::model(state, &lane.model)?;
        Ok(Some(Self { lane, share, forfeited, model }))
    }
}

/// What a host may have open, and what it has.
#[derive(Clone, Debug)]
pub struct Exposure {
    /// The numbers of work.
    pub rules: work::Params,
    /// The most fees that may be open.
    pub limit: Amount,
    /// Fees of commitments that are undecided.
    pub open: Amount,
    /// Fees of receipts that may still be committed to.
    pub pending: u128,
}

impl Exposure {
    /// What the state says, for a host that has these fees in these intervals.
    ///
    /// # Errors
    /// [`Fault`] if the state cannot be read.
    pub fn read(
        state: &dyn Reader,
        height: Height,
        host: &Address,
        fees: impl IntoIterator<Item = (u64, u128)>,
    ) -> Result<Self, Fault> {
        let rules = Params::current(state)?.work;
        let (limit, open) = work::limit(state, host, height)?;
        let mut pending: u128 = 0;
        for (interval, fees) in fees {
            // Between its end on this host and its commitment on chain an interval is in neither's books.
            let may_land = work::last_commit(interval, &rules) > height;
            if may_land && !COMMITS.contains(state, &(interval, *host))? {
                pending = pending.saturating_add(fees);
            }
        }
        Ok(Self { rules, limit, open, pending })
    }
}
