//! Receipts as a payer's gateway keeps and shows them.
//!
//! | path, below a gateway's `/v1` | answer |
//! |---|---|
//! | `GET receipts?limit=N` | [`ReceiptsView`], newest first |
//! | `GET receipts/{digest}` | [`KeptReceipt`] |
//!
//! A [`KeptReceipt`] has everything that checking it takes beside the chain: whoever has it, and the model, can do the
//! request again. It holds the request itself, so it is for the payer alone to give away.

use freeway_primitives::{Address, Amount, Canonical, ChainId, Digest, PublicKey};
use freeway_proofs::work::{Prices, Receipt, Usage};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::models::PricesView;
use crate::serving::Artifact;

/// A receipt in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceiptSummary {
    /// The receipt's digest, by which it is asked for.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub digest: Digest,
    /// When it came, in milliseconds since 1970.
    pub time_ms: u64,
    /// The model's name at the gateway.
    pub model: String,
    /// The host.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub host: Address,
    /// The lane.
    pub lane: u64,
    /// The number of the receipt on the host's share of it.
    pub sequence: u64,
    /// The interval of work in which the host commits to it.
    pub interval: u64,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Those of them that the host still knew.
    pub cached_tokens: u32,
    /// Tokens that were generated.
    pub completion_tokens: u32,
    /// What it cost, in base units.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub fee: Amount,
    /// What it and all before it on this share cost, in base units.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub total: Amount,
}

impl ReceiptSummary {
    /// A receipt for an answer of `model`, which came at `time_ms`.
    pub fn new(model: &str, time_ms: u64, receipt: &Receipt) -> Self {
        let Usage { prompt, cached, completion } = receipt.usage;
        Self {
            digest: receipt.digest(),
            time_ms,
            model: model.to_owned(),
            host: receipt.host,
            lane: receipt.lane.0,
            sequence: receipt.sequence,
            interval: receipt.interval,
            prompt_tokens: prompt,
            cached_tokens: cached,
            completion_tokens: completion,
            fee: receipt.fee,
            total: receipt.total,
        }
    }
}

/// Receipts, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceiptsView {
    /// The receipts.
    pub receipts: Vec<ReceiptSummary>,
}

/// A receipt with all that checking it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeptReceipt {
    /// What lists show.
    #[serde(flatten)]
    pub summary: ReceiptSummary,
    /// The network.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub chain: ChainId,
    /// The model's root.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub root: Digest,
    /// The key of the host's share, which signed the receipt.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub key: PublicKey,
    /// The lane's prices.
    pub prices: PricesView,
    /// Receipt, voucher, their signatures, request and output: the canonical bytes of an
    /// [`Artifact`], as hexadecimal digits.
    pub artifact: String,
    /// With which the receipt's trace is salted, as hexadecimal digits.
    pub salt: String,
    /// The trace roots of the choices.
    #[serde(with = "crate::text::list")]
    #[schema(value_type = Vec<String>)]
    pub traces: Vec<Digest>,
}

/// A receipt's JSON that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeptReceiptError {
    /// Not hexadecimal digits, or too few or many of them.
    #[error("the receipt's {0} is damaged; get the receipt again from the gateway that keeps it")]
    Digits(&'static str),
    /// Not an artifact.
    #[error("the receipt's artifact is damaged: {0}; get the receipt again from the gateway that keeps it")]
    Artifact(#[from] freeway_primitives::DecodeError),
    /// It says one thing for people and another in its signed bytes.
    #[error("the receipt's {0} is not what the host signed; somebody has changed the file")]
    Contradiction(&'static str),
}

impl KeptReceipt {
    /// A receipt that was kept. `prices` and `key` are those of the lane and of the host's share of it.
    pub fn new(
        summary: ReceiptSummary,
        (chain, root, key): (ChainId, Digest, PublicKey),
        prices: Prices,
        artifact: &Artifact,
        (salt, traces): (&[u8; 32], &[Digest]),
    ) -> Self {
        Self {
            summary,
            chain,
            root,
            key,
            prices: (&prices).into(),
            artifact: hex::encode(artifact.encode()),
            salt: hex::encode(salt),
            traces: traces.to_vec(),
        }
    }

    /// What was done. Fails if it does not read, or if what is said of it is not what it says.
    ///
    /// # Errors
    /// [`KeptReceiptError`]
    pub fn artifact(&self) -> Result<Artifact, KeptReceiptError> {
        let bytes = hex::decode(&self.artifact).map_err(|_| KeptReceiptError::Digits("artifact"))?;
        let artifact = Artifact::decode(&bytes)?;
        let said = ReceiptSummary::new(&self.summary.model, self.summary.time_ms, &artifact.receipt);
        for (same, what) in [
            (said.digest == self.summary.digest, "digest"),
            (said.host == self.summary.host, "host"),
            (said.fee == self.summary.fee && said.total == self.summary.total, "fee"),
            (said == self.summary, "description"),
        ] {
            if !same {
                return Err(KeptReceiptError::Contradiction(what));
            }
        }
        Ok(artifact)
    }

    /// With which the trace is salted.
    ///
    /// # Errors
    /// [`KeptReceiptError`]
    pub fn salt(&self) -> Result<[u8; 32], KeptReceiptError> {
        let mut salt = [0; 32];
        hex::decode_to_slice(&self.salt, &mut salt).map_err(|_| KeptReceiptError::Digits("salt"))?;
        Ok(salt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use freeway_primitives::Signature;
    use freeway_proofs::work::{LaneId, Voucher};
    use freeway_requests::{ModelRoot, Sampling, Seed, TokenRequest};

    fn artifact() -> Artifact {
        let request = TokenRequest {
            model: ModelRoot(Digest([2; 32])),
            prompt: vec![1, 2, 3],
            max_tokens: 4,
            choices: 1,
            sampling: Sampling::default(),
            stop: Default::default(),
            grammar: None,
            top_logprobs: None,
            seed: Seed::of_number(1),
        };
        let digest = request.digest();
        let output = vec![vec![7, 8]];
        let (lane, host) = (LaneId(5), Address([1; 32]));
        let receipt = Receipt {
            lane,
            host,
            sequence: 2,
            interval: 9,
            request: digest,
            output: freeway_proofs::work::output(output.iter().map(Vec::as_slice)),
            trace: Digest([3; 32]),
            usage: Usage { prompt: 3, cached: 1, completion: 2 },
            fee: Amount(10),
            total: Amount(30),
        };
        let voucher =
            Voucher { lane, host, sequence: 4, spent: Amount(20), limit: Amount(60), request: digest };
        let signature = Signature([9; 64]);
        Artifact { receipt, signature, voucher, voucher_signature: signature, request, output, claims: None }
    }

    fn view() -> KeptReceipt {
        let artifact = artifact();
        let summary = ReceiptSummary::new("guide", 1_000, &artifact.receipt);
        let ids = (ChainId(Digest([1; 32])), Digest([2; 32]), PublicKey([3; 32]));
        KeptReceipt::new(summary, ids, Prices::default(), &artifact, (&[4; 32], &[Digest([5; 32])]))
    }

    #[test]
    fn what_is_kept_reads_back() {
        let json = serde_json::to_string(&view()).unwrap();
        let read: KeptReceipt = serde_json::from_str(&json).unwrap();
        assert_eq!(read, view());
        assert_eq!(read.artifact(), Ok(artifact()));
        assert_eq!(read.salt(), Ok([4; 32]));
        assert!(json.contains("\"fee\":\"10\""), "{json}");
    }

    #[test]
    fn what_was_changed_is_found() {
        let mut cheaper = view();
        cheaper.summary.fee = Amount(9);
        assert_eq!(cheaper.artifact(), Err(KeptReceiptError::Contradiction("fee")));
        let mut other = view();
        other.summary.prompt_tokens += 1;
        assert_eq!(other.artifact(), Err(KeptReceiptError::Contradiction("description")));
        let mut short = view();
        short.artifact.truncate(20);
        assert!(matches!(short.artifact(), Err(KeptReceiptError::Artifact(_))));
        short.artifact.push('x');
        assert_eq!(short.artifact(), Err(KeptReceiptError::Digits("artifact")));
        short.salt.push('0');
        assert_eq!(short.salt(), Err(KeptReceiptError::Digits("salt")));
    }
}
