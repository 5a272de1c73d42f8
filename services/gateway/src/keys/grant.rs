//! What a caller may do, whether by a key or by a pass.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::rates::{Lease, Reading};
use crate::books::Line;

/// What a caller may do.
#[derive(Debug)]
pub(crate) struct Grant {
    /// For people and logs.
    pub(crate) name: String,
    /// `key` or `pass`.
    pub(crate) what: &'static str,
    /// The models that may be asked; all if there is no list.
    pub(crate) models: Option<BTreeSet<String>>,
    /// The budgets that bound it.
    pub(crate) lines: Arc<[Line]>,
    /// Whether it may ask what costs something at all.
    pub(crate) pays: bool,
}

impl Grant {
    /// Whether it may ask `model`.
    pub(crate) fn allows(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.contains(model))
    }
}

/// A caller who was let in, until it is dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) grant: Arc<Grant>,
    /// One for each account that counts its requests.
    pub(crate) leases: Vec<Lease>,
}

impl Admitted {
    /// Counts tokens that were used.
    pub(crate) fn charge(&self, now: Instant, tokens: u64) {
        self.leases.iter().for_each(|lease| lease.rates().charge(now, tokens));
    }

    /// What is left of requests and of tokens, where least is.
    pub(crate) fn readings(&self, now: Instant) -> (Option<Reading>, Option<Reading>) {
        fn tighter(one: Option<Reading>, other: Option<Reading>) -> Option<Reading> {
            one.into_iter().chain(other).min_by_key(|reading| reading.remaining)
        }
        self.leases
            .iter()
            .map(|lease| lease.rates().readings(now))
            .fold((None, None), |so_far, next| (tighter(so_far.0, next.0), tighter(so_far.1, next.1)))
    }
}
