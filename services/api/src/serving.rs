//! What payers, verifiers and hosts say to each other beside the chain: requests in lanes, and the artifacts of work.
//!
//! | path, on a host's endpoint | body | answer |
//! |---|---|---|
//! | `POST /v1/lanes/{lane}/requests` | [`Ask`] | a stream of [`Frame`]s, see [`frame`] |
//! | `POST /v1/work/{interval}/samples` | [`Asking`] of a member of the committee | [`Samples`] |
//! | `POST /v1/work/artifacts` | [`Asking`] of a member or juror | [`Artifact`] |
//! | `GET /v1/work/{interval}/leaves/{lane}/{sequence}` | | [`LeafShown`] |
//!
//! Bodies are canonical bytes, `application/octet-stream`; errors are [`ErrorBody`](crate::ErrorBody) as everywhere.
//!
//! What a host shows of a request proves itself: the receipt's digest stands in the leaf, and the receipt names the
//! digests of request and output. So whoever has an artifact can pass it on, and a host cannot show one thing to a
//! member and another to a juror.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_ledger::Text;
use freeway_ledger::verification::Leaf;
use freeway_primitives::{
    Address, Amount, Canonical, ChainId, Digest, Domain, PublicKey, SecretKey, Signature,
};
use freeway_proofs::work::{self, Acceptance, Prices, Receipt, Voucher};
use freeway_requests::{Scored, TokenRequest};

/// Signs an [`Asking`].
pub const ASKING: Domain = Domain::new("freeway 1 asking for artifacts");

/// The longest token request: its prompt, its grammar, its biases and stops, and the rest.
pub const MAX_REQUEST_BYTES: usize = 1 << 19;
/// The most tokens that all choices of a request give.
pub const MAX_OUTPUT_TOKENS: usize = 1 << 20;
/// The longest frame of a stream.
pub const MAX_FRAME_BYTES: usize = 64 << 10;
/// The most samples that a host shows at once.
pub const MAX_SAMPLES: usize = 64;

/// A payer asks for a request to be done.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Ask {
    /// How much the host may take.
    pub voucher: Voucher,
    /// Of the lane's key over the voucher, in [`work::VOUCHER`].
    pub signature: Signature,
    /// What is to be done; its digest stands in the voucher.
    pub request: TokenRequest,
}

impl Canonical for Ask {
    const KIND: &'static str = "request in a lane";
    const MAX_BYTES: usize = Voucher::MAX_BYTES + 64 + MAX_REQUEST_BYTES;
}

/// Why a choice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Ending {
    /// This stop token was generated.
    Stop(u32),
    /// The grammar allows nothing more.
    Grammar,
    /// The request's limit or the end of the context was reached.
    Length,
}

/// A part of a host's answer. [`Frame::Accepted`] comes first, [`Frame::Done`] or [`Frame::Failed`] last.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Frame {
    /// The host does it.
    Accepted {
        /// Its promise.
        acceptance: Acceptance,
        /// Of its key over it, in [`work::ACCEPTANCE`].
        signature: Signature,
    },
    /// It left the queue.
    Started {
        /// Tokens of the prompt.
        prompt_tokens: u32,
        /// Those of them that were known.
        cached_tokens: u32,
    },
    /// A choice has one more token.
    Token {
        /// Which of the choices.
        choice: u16,
        /// The token.
        id: u32,
        /// How likely it was, if the request asked for that.
        scored: Option<Scored>,
    },
    /// A choice has ended.
    Finished {
        /// Which of the choices.
        choice: u16,
        /// Why.
        ending: Ending,
        /// Its tokens, a stop token among them.
        completion_tokens: u32,
    },
    /// All choices have ended; what is owed.
    Done(Box<Done>),
    /// The host does not do it, or not to its end. Nothing is owed.
    Failed {
        /// A name for programs, as in the OpenAI interface.
        code: String,
        /// For people.
        message: String,
    },
    /// Nothing happened for a while; the host is alive.
    Alive,
}

/// The end of a request that was done.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Done {
    /// What was done.
    pub receipt: Receipt,
    /// Of the host's key over it, in [`work::RECEIPT`].
    pub signature: Signature,
    /// With which the receipt's trace is salted.
    pub salt: [u8; 32],
    /// The trace roots of the choices; [`work::traces`] of them is what was salted.
    pub traces: Vec<Digest>,
}

impl Canonical for Frame {
    const KIND: &'static str = "frame of an answer";
    const MAX_BYTES: usize = MAX_FRAME_BYTES;
}

/// A frame as it goes over the wire: its length in four bytes, little-endian, then its canonical bytes.
pub fn frame(frame: &Frame) -> Vec<u8> {
    let body = frame.encode();
    let mut bytes = Vec::with_capacity(4 + body.len());
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// Puts frames together from pieces as they come.
#[derive(Debug, Default)]
pub struct Frames {
    pending: Vec<u8>,
}

/// A stream that is none of frames.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than any frame.
    #[error("a frame of {0} bytes is longer than any may be")]
    TooLong(usize),
    /// Not a frame.
    #[error(transparent)]
    Decode(#[from] freeway_primitives::DecodeError),
}

impl Frames {
    /// Adds what has come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    /// [`FrameError`]: the rest of the stream is of no use.
    #[allow(clippy::should_implement_trait, reason = "an iterator could not report an error and go on")]
    pub fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some((length, rest)) = self.pending.split_first_chunk() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > MAX_FRAME_BYTES {
            return Err(FrameError::TooLong(length));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let frame = Frame::decode(body)?;
        self.pending.drain(..4 + length);
        Ok(Some(frame))
    }
}

/// What an [`Asking`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Subject {
    /// The asked host's samples of an interval.
    Samples(u64),
    /// What belongs to a receipt, by its digest.
    Artifact(Digest),
}

/// A verifier asks for what not everybody may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Question {
    /// The network.
    pub chain: ChainId,
    /// The host that is asked.
    pub host: Address,
    /// Who asks.
    pub asker: Address,
    /// What about.
    pub subject: Subject,
}

impl Canonical for Question {
    const KIND: &'static str = "question of a verifier";
    const MAX_BYTES: usize = 32 + 32 + 32 + 1 + 32;
}

/// A [`Question`] under the signature of the asker's consensus key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Asking {
    /// The question.
    pub question: Question,
    /// Of the asker's consensus key, in [`ASKING`].
    pub signature: Signature,
}

impl Canonical for Asking {
    const KIND: &'static str = "signed question of a verifier";
    const MAX_BYTES: usize = Question::MAX_BYTES + 64;
}

impl Asking {
    /// Signs a question.
    pub fn sign(question: Question, key: &SecretKey) -> Self {
        Self { signature: key.sign(ASKING, &question.chain, &question), question }
    }

    /// Whether `key` signed it.
    pub fn holds(&self, key: &PublicKey) -> bool {
        key.verify(ASKING, &self.question.chain, &self.question, &self.signature).is_ok()
    }
}

/// All that is needed to do a request again.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Artifact {
    /// What the host said that it did.
    pub receipt: Receipt,
    /// Of the key of the host's share over it.
    pub signature: Signature,
    /// The payer's voucher for it.
    pub voucher: Voucher,
    /// Of the lane's key over the voucher.
    pub voucher_signature: Signature,
    /// The request.
    pub request: TokenRequest,
    /// The tokens of each choice.
    pub output: Vec<Vec<u32>>,
    /// On the statistical tier what the host says of the tokens' likelihoods; the receipt's trace is of that.
    pub claims: Option<Claims>,
}

/// What a host says of the tokens that it gave, where no bit can be computed again.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Claims {
    /// With which the receipt's trace is salted.
    pub salt: [u8; 32],
    /// For each choice the log-probability of each token in millionths of a nat, or [`UNSAID`].
    pub logprobs: Vec<Vec<i32>>,
}

/// Stands for a log-probability that the host does not know: that of a stop token, which servers do not tell. Nothing
/// else may go unsaid.
pub const UNSAID: i32 = i32::MIN;

impl Claims {
    /// The trace roots of the choices.
    pub fn traces(&self) -> Vec<Digest> {
        self.logprobs.iter().map(|choice| work::claimed(choice.iter().copied())).collect()
    }

    /// Whether they are of these tokens, each said but for a stop token of the request at the end.
    fn are_of(&self, request: &TokenRequest, output: &[Vec<u32>]) -> bool {
        let is_whole = |(said, tokens): (&Vec<i32>, &Vec<u32>)| {
            let stops = tokens.last().is_some_and(|last| request.stop.contains(last));
            let known = said
                .split_last()
                .map_or(&[][..], |(last, rest)| if stops && *last == UNSAID { rest } else { said });
            said.len() == tokens.len() && known.iter().all(|logprob| *logprob <= 0 && *logprob != UNSAID)
        };
        self.logprobs.len() == output.len() && self.logprobs.iter().zip(output).all(is_whole)
    }
}

impl Canonical for Artifact {
    const KIND: &'static str = "artifact of work";
    const MAX_BYTES: usize = Receipt::MAX_BYTES
        + Voucher::MAX_BYTES
        + 128
        + MAX_REQUEST_BYTES
        + 8 * MAX_OUTPUT_TOKENS
        + 16 * 128
        + 64;
}

impl Artifact {
    /// Whether all of it belongs to the receipt: request and output are those that it names, and the voucher is for
    /// this request on this share; claims, if there are any, are those of the trace. Signatures are another matter: see [`work::RECEIPT`] and [`work::VOUCHER`].
    pub fn belongs_together(&self) -> bool {
        let Self { receipt, voucher, request, output, claims, .. } = self;
        let fits = |claims: &Claims| {
            claims.are_of(request, output)
                && work::salted(&claims.salt, &work::traces(&claims.traces())) == receipt.trace
        };
        let digest = request.digest();
        receipt.request == digest
            && voucher.request == digest
            && (voucher.lane, voucher.host) == (receipt.lane, receipt.host)
            && receipt.output == work::output(output.iter().map(Vec::as_slice))
            && claims.as_ref().is_none_or(fits)
    }
}

/// A host's samples of an interval, for the members of its committee.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Samples {
    /// In the order of the samples; a leaf that several samples hit is there once for each.
    pub samples: Vec<ShownSample>,
}

/// A sample as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ShownSample {
    /// Which of the samples.
    pub sample: u32,
    /// The leaf that it hits.
    pub leaf: Leaf,
    /// The receipt's digest stands in the leaf; its artifact is asked for with [`Subject::Artifact`].
    pub receipt: Receipt,
}

impl Canonical for Samples {
    const KIND: &'static str = "samples of work";
    const MAX_BYTES: usize = 4 + MAX_SAMPLES * (8 << 10);
}

/// A leaf of a host's commitment, and the interval of that. Everybody may see it: it names digests alone.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LeafShown {
    /// The interval.
    pub interval: u64,
    /// The leaf.
    pub leaf: Leaf,
}

impl Canonical for LeafShown {
    const KIND: &'static str = "leaf of work";
    const MAX_BYTES: usize = 8 << 10;
}

/// The most that a request can cost: what payer and host count it at while it is under way.
pub fn most(prices: &Prices, request: &TokenRequest) -> Amount {
    let prompt = u32::try_from(request.prompt.len()).unwrap_or(u32::MAX);
    prices.most(prompt, request.max_tokens.saturating_mul(u32::from(request.choices)))
}

/// The endpoint of a host's that is asked, with this path.
pub fn url(endpoint: &Text, path: &str) -> String {
    format!("{}{path}", endpoint.as_str().trim_end_matches('/'))
}
