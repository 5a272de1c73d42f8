//! Probes: requests of the network itself, in lanes of its own.
//!
//! A host that nobody asks could serve nothing at all and be thought ready. So at the beginning of an epoch the network
//! opens a lane for some of the models of the exact tier, one after the other through the list, and pays out of the
//! common pool at the lowest price that there is. The beacon draws the hosts as for any other lane. What they are to do
//! follows from the lane's value, the host and the receipt's number ([`request`]): fresh each time, the same for whoever
//! checks it, and known to nobody before the draw.
//!
//! Everything else is as with other payers: receipts, commitments, samples, settlement. As there is nobody to sign
//! vouchers, the key for them is one that everybody knows ([`voucher_key`]), and a host signs them itself. It cannot
//! gain by that: what it commits to must be answers to these requests, not more of them than the network wanted, and no
//! host takes requests in such a lane from anybody.
//!
//! The lowest price, whatever the model's is: otherwise a model with a high price of its own, served by friends, would
//! empty the pool.

use freeway_primitives::{Address, Amount, Digest, Domain, SecretKey};
use freeway_proofs::draw::Stream;
use freeway_proofs::work::{LaneId, Prices};
use freeway_requests::{ModelRoot, TokenRequest};

use super::{COUNT, Constraints, Lane, PROBED, PROBES, State, open};
use crate::context::Context;
use crate::models::{MODELS, Model, SERVED, Tier};
use crate::state::{Fault, Reader};
use crate::vaults::{Vault, vaults};

/// The payer of probes: no key has this address.
pub const PROBER: Address = Address(*b"freeway: requests of the network");

/// Tokens of a probe's prompt.
pub const PROMPT_TOKENS: u32 = 32;

/// Tokens of its answer. It has no stop tokens, so they are always as many.
pub const OUTPUT_TOKENS: u32 = 16;

/// How many models are read at once.
const PAGE: usize = 64;

const KEY: Domain = Domain::new("freeway 1 voucher key of probes");
const PROMPT: Domain = Domain::new("freeway 1 prompt of a probe");

/// The key that signs the vouchers of probes. Everybody has it.
pub fn voucher_key() -> SecretKey {
    SecretKey::from_seed(Digest::of(KEY, &[]).0)
}

/// What a host is to do for its receipt of this number in a lane of probes with this value.
pub fn request(value: &Digest, model: &Digest, vocabulary: u32, host: &Address, number: u64) -> TokenRequest {
    let mut stream = Stream::new(value, PROMPT, &[&model.0, &host.0, &number.to_le_bytes()]);
    let token = |stream: &mut Stream| stream.below(u64::from(vocabulary)) as u32;
    let prompt = (0..PROMPT_TOKENS).map(|_| token(&mut stream)).collect();
    TokenRequest::greedy(ModelRoot(*model), prompt, OUTPUT_TOKENS)
}

/// What a host may do in a lane of probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probes {
    /// The value that the requests follow from.
    pub value: Digest,
    /// Tokens that the model knows.
    pub vocabulary: u32,
    /// How many requests each host does, at most.
    pub most: u64,
}

/// What is to be done in a lane, if it is one of probes.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn probes(state: &dyn Reader, id: LaneId, lane: &Lane) -> Result<Option<Probes>, Fault> {
    let Some((value, most)) = PROBES.get(state, &id)? else { return Ok(None) };
    let vocabulary = MODELS.get(state, &lane.model)?.map_or(0, |model| model.vocabulary);
    Ok(Some(Probes { value, vocabulary, most: u64::from(most) }))
}

/// What one probe costs at these prices.
fn cost(prices: &Prices) -> Amount {
    prices.most(PROMPT_TOKENS, OUTPUT_TOKENS)
}

/// Opens this epoch's lanes of probes, in its first block.
pub(super) fn run(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    let params = &context.params.lanes;
    if context.block.height != context.clock.start || params.probe_models == 0 || params.probes == 0 {
        return Ok(());
    }
    let mut left = params.probe_models;
    let mut cursor = PROBED.get(context.state)?;
    // Once through the list at most, from where the last epoch ended, and then from its beginning.
    let last = cursor;
    let mut wrapped = cursor.is_none();
    loop {
        let page = MODELS.page(context.state, cursor.as_ref(), PAGE)?;
        for (root, model) in &page {
            if left == 0 || (wrapped && last.is_some_and(|last| *root > last)) {
                return Ok(());
            }
            cursor = Some(*root);
            if is_probed(context, root, model)? {
                if !open_for(context, root)? {
                    return Ok(());
                }
                PROBED.set(context.state, root);
                left -= 1;
            }
        }
        if page.len() < PAGE {
            if wrapped {
                return Ok(());
            }
            (cursor, wrapped) = (None, true);
        }
    }
}

fn is_probed(context: &Context<'_, '_>, root: &Digest, model: &Model) -> Result<bool, Fault> {
    let served = !SERVED.page_under(context.state, &root.0, None, 1)?.is_empty();
    Ok(served && model.tier == Tier::Exact && model.context >= PROMPT_TOKENS + OUTPUT_TOKENS)
}

/// Opens a lane of probes; `false` if there is no money or no room for it.
fn open_for(context: &mut Context<'_, '_>, root: &Digest) -> Result<bool, Fault> {
    let (params, prices) = (&context.params.lanes, context.params.pricing.floor);
    let (shares, count) = (params.max_shares, COUNT.require(context.state)?);
    let requests = u128::from(params.probes) * u128::from(shares);
    // Bounded by the parameters' bounds.
    let escrow = Amount(cost(&prices).0.saturating_mul(requests));
    if vaults(context.state)?.pool < escrow || count >= params.max_lanes {
        return Ok(false);
    }
    context.shift(Vault::Pool, Vault::Lanes, escrow)?;
    let height = context.block.height;
    let lane = Lane {
        payer: PROBER,
        key: voucher_key().public(),
        model: *root,
        tier: Tier::Exact,
        prices,
        escrow,
        constraints: Constraints::default(),
        wanted: shares,
        opened: height,
        expires: height.plus(context.params.epochs.epoch_blocks),
        state: State::Waiting { value_of: height },
        shares: Vec::new(),
    };
    open::enter(context, &lane)?;
    Ok(true)
}
