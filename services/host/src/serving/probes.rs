//! Requests of the network itself, done one after the other while nobody else asks for anything.
//!
//! What is to be done follows from the chain ([`freeway_ledger::lanes::probe`]); the host signs the voucher for it with
//! the key that everybody has, and from there on it is a request like any other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use freeway_api::serving::{Ask, most};
use freeway_ledger::lanes::probe::{self, PROBER};
use freeway_ledger::lanes::{self, State};
use freeway_ledger::{Fault, Reader};
use freeway_primitives::Amount;
use freeway_proofs::work::{LaneId, VOUCHER, Voucher};
use tokio::sync::mpsc;

use super::desk::{Admitted, Asker, Desk};
use super::run;

/// Lanes of probes that are looked at: more than there can be.
const MAX_LANES: usize = 1_024;

/// Does probes.
#[derive(Debug)]
pub struct Prober {
    desk: Arc<Desk>,
    is_busy: AtomicBool,
}

impl Prober {
    /// Does them at this desk.
    pub fn new(desk: Arc<Desk>) -> Self {
        Self { desk, is_busy: AtomicBool::new(false) }
    }

    /// Does all that is to be done now, unless that is being done, or payers wait. For every block.
    pub async fn round(self: Arc<Self>) {
        if self.is_busy.swap(true, Ordering::AcqRel) {
            return;
        }
        while self.desk.running() == 0 && self.one().await {}
        self.is_busy.store(false, Ordering::Release);
    }

    /// Does one; whether there may be another.
    async fn one(&self) -> bool {
        let desk = Arc::clone(&self.desk);
        let begun = tokio::task::spawn_blocking(move || desk.begin_probe()).await;
        let Ok(Some(seat)) = begun else { return false };
        let lane = seat.ask.voucher.lane;
        let (payer, mut pieces) = mpsc::channel(run::WAITING);
        let heard = async { while pieces.recv().await.is_some() {} };
        let before = self.desk.store().share(lane).map_or(0, |share| share.next);
        let (ended, ()) = tokio::join!(tokio::spawn(run::run(*seat, payer)), heard);
        let after = self.desk.store().share(lane).map_or(0, |share| share.next);
        // What failed is tried again at the next block.
        ended.is_ok() && after > before
    }
}

impl Desk {
    /// Takes the next probe, if there is one to be done.
    fn begin_probe(self: &Arc<Self>) -> Option<Box<super::desk::Seat>> {
        let mut found = Ok(None);
        self.view().look(&mut |state, _| found = self.next_probe(state));
        let (lane, ask) = match found {
            Ok(found) => found?,
            Err(fault) => {
                tracing::error!(%fault, "the state cannot be read; no probe is done");
                return None;
            }
        };
        match self.take(lane, ask, Asker::Network) {
            Ok(Admitted::New(seat)) => Some(seat),
            // It was done, and its receipt is kept.
            Ok(Admitted::Again(_)) => None,
            Err(refusal) => {
                tracing::debug!(lane = lane.0, %refusal, "a probe is not done now");
                None
            }
        }
    }

    fn next_probe(&self, state: &dyn Reader) -> Result<Option<(LaneId, Ask)>, Fault> {
        let signer = self.signer();
        for id in lanes::of_payer(state, &PROBER, None, MAX_LANES)? {
            let Some(lane) = lanes::lane(state, id)?.filter(|lane| lane.state == State::Open) else {
                continue;
            };
            let Some(share) = lane.share(&signer.host) else { continue };
            let Some(probes) = probe::probes(state, id, &lane)? else { continue };
            let known = self.store().share(id);
            let (number, spent) = known.as_ref().map_or((0, Amount::ZERO), |known| (known.next, known.total));
            if number >= probes.most || self.model(&lane.model).is_none() || lanes::forfeited(state, share)? {
                continue;
            }
            let request = probe::request(&probes.value, &lane.model, probes.vocabulary, &signer.host, number);
            let limit = spent.checked_add(most(&lane.prices, &request));
            let Some(limit) = limit.filter(|limit| *limit <= share.deposit) else { continue };
            let sequence = self.next_voucher(id);
            let voucher =
                Voucher { lane: id, host: signer.host, sequence, spent, limit, request: request.digest() };
            let signature = probe::voucher_key().sign(VOUCHER, &signer.chain, &voucher);
            return Ok(Some((id, Ask { voucher, signature, request })));
        }
        Ok(None)
    }
}
