//! What a host signed, against what was asked and what came.

use freeway_api::serving::Done;
use freeway_primitives::{Amount, ChainId, Digest, PublicKey, Signature};
use freeway_proofs::work::{self, Acceptance, Prices, Usage, Voucher};
use freeway_requests::TokenRequest;

/// What a host's words are compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    pub(super) chain: &'a ChainId,
    /// The key of the host's share.
    pub(super) key: &'a PublicKey,
    pub(super) prices: &'a Prices,
    pub(super) voucher: &'a Voucher,
    pub(super) request: &'a TokenRequest,
}

/// What is wrong with a host's words. Whoever signs such a thing does not do its work right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Wrong(pub(super) &'static str);

fn need(holds: bool, otherwise: &'static str) -> Result<(), Wrong> {
    if holds { Ok(()) } else { Err(Wrong(otherwise)) }
}

impl Terms<'_> {
    /// Whether the host promised to do this request at these prices.
    pub(super) fn acceptance(&self, acceptance: &Acceptance, signature: &Signature) -> Result<(), Wrong> {
        let Voucher { lane, host, sequence, request, .. } = *self.voucher;
        let fits = (acceptance.lane, acceptance.host, acceptance.sequence) == (lane, host, sequence);
        need(fits, "the acceptance is for another voucher")?;
        need(acceptance.request == request, "the acceptance is for another request")?;
        need(acceptance.model == self.request.model.0, "the acceptance is for another model")?;
        need(acceptance.prices == *self.prices, "the acceptance names other prices than the lane's")?;
        let signed = self.key.verify(work::ACCEPTANCE, self.chain, acceptance, signature);
        need(signed.is_ok(), "the acceptance is not signed by the host")
    }

    /// Whether the receipt says what happened.
    pub(super) fn done(&self, done: &Done, output: &[Vec<u32>]) -> Result<(), Wrong> {
        let Done { receipt, signature, salt, traces } = done;
        let Voucher { lane, host, request, .. } = *self.voucher;
        need((receipt.lane, receipt.host) == (lane, host), "the receipt is for another share")?;
        need(receipt.request == request, "the receipt is for another request")?;
        let told: Digest = work::output(output.iter().map(Vec::as_slice));
        need(receipt.output == told, "the receipt is for other tokens than those that came")?;
        let tokens: usize = output.iter().map(Vec::len).sum();
        let Usage { prompt, cached, completion } = receipt.usage;
        let counted = prompt as usize == self.request.prompt.len() && completion as usize == tokens;
        need(counted && cached <= prompt, "the receipt counts other tokens")?;
        let fee: Amount = self.prices.fee(&receipt.usage);
        need(receipt.fee == fee, "the fee is not what the lane's prices make of the tokens")?;
        need(traces.len() == output.len(), "there must be one trace for each choice")?;
        let trace = work::salted(salt, &work::traces(traces));
        need(receipt.trace == trace, "the traces are not those of the receipt")?;
        let signed = self.key.verify(work::RECEIPT, self.chain, receipt, signature);
        need(signed.is_ok(), "the receipt is not signed by the host")
    }
}
