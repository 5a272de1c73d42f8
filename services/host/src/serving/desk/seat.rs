//! A request from its acceptance to its end.

use std::sync::Arc;

use freeway_api::serving::{Ask, Ending};
use freeway_ledger::lanes::{State, lane};
use freeway_ledger::{Params, work};
use freeway_primitives::{Amount, Digest, Domain};
use freeway_proofs::work::Usage;

use super::{Desk, Seatless, Tally};
use crate::serving::store::{Finished, Record};
use crate::serving::view::Facts;

const SALT: Domain = Domain::new("freeway 1 salt of a trace");

/// A request under way. Dropping it ends it unpaid.
pub(crate) struct Seat {
    pub(super) desk: Arc<Desk>,
    pub(crate) ask: Ask,
    pub(crate) facts: Arc<Facts>,
    pub(crate) promise: Seatless,
    pub(super) most: u128,
    pub(super) end: End,
}

/// How a seat is given up.
#[derive(Clone, Copy)]
pub(super) enum End {
    /// The payer left.
    Left,
    /// The host could not do it.
    Failed,
    /// It is paid.
    Paid { fee: Amount, total: Amount },
}

/// What came of a request.
pub(crate) struct Outcome {
    pub(crate) output: Vec<Vec<u32>>,
    pub(crate) endings: Vec<Ending>,
    pub(crate) traces: Vec<Digest>,
    pub(crate) claims: Option<Vec<Vec<i32>>>,
    pub(crate) cached: u32,
}

impl Seat {
    /// Whether what ends now can still be checked and paid before its lane is over. Otherwise it must not be committed
    /// to: nobody could check a sample of it, and everything else of the interval would be lost with it.
    pub(crate) fn is_in_time(&self) -> bool {
        let mut found = Ok(true);
        self.desk.view.look(&mut |state, height| {
            found = lane(state, self.ask.voucher.lane).and_then(|lane| {
                let params = Params::current(state)?;
                // The store may name the next interval, if this one is being committed to.
                let interval = work::interval_at(height, &params.work).saturating_add(1);
                let decided = work::last_commit(interval, &params.work).plus(work::window(&params));
                Ok(lane.is_some_and(|lane| match lane.state {
                    State::Closing { until } => until >= decided,
                    _ => true,
                }))
            });
        });
        found.unwrap_or_else(|fault| {
            tracing::error!(%fault, "the state cannot be read");
            false
        })
    }

    /// What is to be kept of a request that has ended well. May block on the disk.
    pub(crate) fn finished(&self, outcome: Outcome) -> Finished {
        let (desk, ask) = (&self.desk, &self.ask);
        let prompt = ask.request.prompt.len() as u32;
        let tokens: usize = outcome.output.iter().map(Vec::len).sum();
        let honest = Usage {
            prompt,
            cached: outcome.cached.min(prompt),
            completion: u32::try_from(tokens).unwrap_or(u32::MAX),
        };
        let usage = desk.adversary.map_or(honest, |cheat| cheat.usage(honest));
        let latest = desk.books().tallies.get(&ask.voucher.lane).and_then(Tally::highest);
        let mut secret = desk.salts.to_vec();
        secret.extend_from_slice(&ask.voucher.lane.0.to_le_bytes());
        secret.extend_from_slice(&ask.voucher.sequence.to_le_bytes());
        secret.extend_from_slice(ask.voucher.request.as_bytes());
        Finished {
            voucher: ask.voucher,
            voucher_signature: ask.signature,
            latest: latest.unwrap_or((ask.voucher, ask.signature)),
            model: self.facts.lane.model,
            constraints: self.facts.lane.constraints.clone(),
            request: Arc::new(ask.request.clone()),
            output: outcome.output,
            endings: outcome.endings,
            usage,
            fee: self.facts.lane.prices.fee(&usage),
            salt: Digest::of(SALT, &secret).0,
            traces: outcome.traces,
            claims: outcome.claims,
            interval: desk.interval(),
        }
    }

    /// Ends it: it is paid by this receipt.
    pub(crate) fn paid(mut self, record: &Record) {
        self.end = End::Paid { fee: record.receipt.fee, total: record.receipt.total };
    }

    /// Ends it: the host could not do it.
    pub(crate) fn failed(mut self) {
        self.end = End::Failed;
    }

    pub(crate) fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.desk.release(self.ask.voucher.lane, self.ask.voucher.sequence, self.most, self.end);
    }
}
