//! What can be asked about endorsements. Nothing here changes state.

use freeway_primitives::{Address, Digest};

use super::{BY_ENDORSER, BY_RECEIPT, ENDORSEMENTS, Endorsement, EndorsementId, RECORDS, Record};
use crate::state::{Fault, Reader};

/// An endorsement, if there is one of that number whose bond is not gone.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn endorsement(state: &dyn Reader, id: EndorsementId) -> Result<Option<Endorsement>, Fault> {
    ENDORSEMENTS.get(state, &id)
}

/// What became of an account's endorsements; nothing of one that never endorsed.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn record(state: &dyn Reader, endorser: &Address) -> Result<Record, Fault> {
    Ok(RECORDS.get(state, endorser)?.unwrap_or_default())
}

/// An account's endorsements whose bonds are not gone: at most `limit` after `after`.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn of_endorser(
    state: &dyn Reader,
    endorser: &Address,
    after: Option<EndorsementId>,
    limit: usize,
) -> Result<Vec<(EndorsementId, Endorsement)>, Fault> {
    let after = after.map(|id| (*endorser, id));
    let page = BY_ENDORSER.page_under(state, &endorser.0, after.as_ref(), limit)?;
    load(state, page.into_iter().map(|((_, id), ())| id))
}

/// The endorsements of a receipt whose bonds are not gone: at most `limit` after `after`.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn of_receipt(
    state: &dyn Reader,
    receipt: &Digest,
    after: Option<EndorsementId>,
    limit: usize,
) -> Result<Vec<(EndorsementId, Endorsement)>, Fault> {
    let after = after.map(|id| (*receipt, id));
    let page = BY_RECEIPT.page_under(state, &receipt.0, after.as_ref(), limit)?;
    load(state, page.into_iter().map(|((_, id), ())| id))
}

fn load(
    state: &dyn Reader,
    ids: impl Iterator<Item = EndorsementId>,
) -> Result<Vec<(EndorsementId, Endorsement)>, Fault> {
    let mut all = Vec::new();
    for id in ids {
        if let Some(endorsement) = ENDORSEMENTS.get(state, &id)? {
            all.push((id, endorsement));
        }
    }
    Ok(all)
}
