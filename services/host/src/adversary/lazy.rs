//! Verifies without computing. A tag is bound to its member, its leaf and its trace, so neither a copied one nor
//! one made from the leaf alone survives the revelation.

use freeway_proofs::sprint::{Tag, Trace, tag};

use super::{Case, Conduct, made_up};

/// Takes another member's verdict on the same host.
pub(super) struct Copy;

impl Conduct for Copy {
    fn recomputes(&self) -> bool {
        false
    }

    fn tags(&self, case: &Case<'_>) -> Option<Vec<Tag>> {
        let other = case.others.first()?;
        Some((0..case.positions.len()).filter_map(|i| other.get(i % other.len().max(1)).copied()).collect())
    }
}

/// Treats the leaf it is shown as if it were the trace, and makes one up where nothing is shown.
pub(super) struct Guess;

impl Conduct for Guess {
    fn recomputes(&self) -> bool {
        false
    }

    fn tags(&self, case: &Case<'_>) -> Option<Vec<Tag>> {
        let guess = |position| match case.shown.get(position) {
            Some(opening) => Trace(opening.leaf.0),
            None => made_up(&case.part, position.nonce),
        };
        let part = &case.part;
        let tag = |position| tag(&part.chain, part.epoch, &part.host, &case.host, &guess(position));
        Some(case.positions.iter().map(tag).collect())
    }
}
