//! What a block says, as the history needs it.

use freeway_api::EventView;
use freeway_api::transactions::kind_of;
use freeway_ledger::{Event, Outcome, Receipt, Transaction, sprint, verification};
use freeway_node::chain::BlockResults;
use freeway_primitives::{Address, Block, BlockId, Canonical, DecodeError, Digest, Header, Height};
use freeway_store::{Store, StoreError};
use serde_json::Value;

/// Why a block cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FactsError {
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something stored does not decode.
    #[error("a stored value is damaged: {0}")]
    Damaged(#[from] DecodeError),
}

/// A block and what it caused.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) id: BlockId,
    pub(crate) header: Header,
    /// Bytes of the block.
    pub(crate) bytes: u64,
    /// The round in which its parent was decided, and how many signed it, as this block has it for good.
    pub(crate) parent: Option<(u32, u64)>,
    /// The block's own events.
    pub(crate) events: Vec<Event>,
    pub(crate) transactions: Vec<Included>,
}

/// A transaction in a block.
#[derive(Debug)]
pub(crate) struct Included {
    pub(crate) hash: Digest,
    pub(crate) transaction: Transaction,
    /// Its length.
    pub(crate) bytes: u64,
    pub(crate) receipt: Receipt,
}

impl Included {
    /// The account that acts.
    pub(crate) fn sender(&self) -> Address {
        self.transaction.body.account()
    }

    /// The name of its message's kind.
    pub(crate) fn kind(&self) -> &'static str {
        kind_of(&self.transaction.body.message)
    }

    pub(crate) fn succeeded(&self) -> bool {
        self.receipt.outcome == Outcome::Done
    }

    /// What a commitment to served work claims: all its fees and tokens.
    pub(crate) fn claimed(&self) -> Option<&[freeway_ledger::work::Claim]> {
        match &self.transaction.body.message {
            freeway_ledger::Message::Work(freeway_ledger::work::Message::Commit { claims, .. })
                if self.succeeded() =>
            {
                Some(claims)
            }
            _ => None,
        }
    }
}

impl Facts {
    /// The block at `height` with its results; `None` if this node has not, or not any more, or if it was executed
    /// elsewhere, as the block of a snapshot is.
    ///
    /// # Errors
    /// [`FactsError`] if the store cannot be read or what it has does not decode.
    pub(crate) fn load(store: &Store, height: Height) -> Result<Option<Self>, FactsError> {
        let Some((bytes, _)) = store.block(height)? else { return Ok(None) };
        let Some(results) = store.block_results(height)? else { return Ok(None) };
        let block = Block::decode(&bytes)?;
        let results = BlockResults::decode(&results)?;
        if results.transactions.len() != block.transactions.len() {
            return Ok(None);
        }
        let mut transactions = Vec::with_capacity(block.transactions.len());
        for (bytes, hash) in block.transactions.iter().zip(&results.transactions) {
            let Some((_, _, receipt)) = store.receipt(hash)? else { return Ok(None) };
            transactions.push(Included {
                hash: *hash,
                transaction: Transaction::decode(bytes)?,
                bytes: bytes.len() as u64,
                receipt: Receipt::decode(&receipt)?,
            });
        }
        let parent = block.parent_certificate.as_ref();
        Ok(Some(Self {
            id: block.id(),
            bytes: bytes.len() as u64,
            parent: parent.map(|certificate| (certificate.round, certificate.signatures.len() as u64)),
            header: block.header,
            events: results.events,
            transactions,
        }))
    }

    pub(crate) fn height(&self) -> Height {
        self.header.height
    }

    /// All events in order: those of transactions with their index, then the block's own.
    pub(crate) fn all_events(&self) -> impl Iterator<Item = (Option<usize>, &Event)> {
        let of_transactions = self.transactions.iter().enumerate().flat_map(|(index, included)| {
            included.receipt.events.iter().map(move |event| (Some(index), event))
        });
        of_transactions.chain(self.events.iter().map(|event| (None, event)))
    }

    /// Transactions that changed nothing.
    pub(crate) fn failed(&self) -> u64 {
        self.transactions.iter().filter(|included| !included.succeeded()).count() as u64
    }

    /// Tokens to which hosts committed in this block.
    pub(crate) fn tokens(&self) -> u64 {
        let claims = self.transactions.iter().filter_map(Included::claimed).flatten();
        claims.fold(0, |tokens, claim| tokens.saturating_add(claim.total.sums.tokens))
    }
}

impl Facts {
    /// Verdicts given in this block.
    pub(crate) fn checks(&self) -> u64 {
        let verdicts = |event: &Event| match event {
            Event::Sprint(sprint::Event::VerdictsGiven { hosts, .. }) => u64::from(*hosts),
            Event::Verification(verification::Event::VerdictsGiven { verdicts, .. }) => u64::from(*verdicts),
            _ => 0,
        };
        self.all_events().map(|(_, event)| verdicts(event)).fold(0, u64::saturating_add)
    }
}

/// The name of an event's kind, as `/v1` has it.
pub(crate) fn kind_of_event(event: &Event) -> String {
    let data = serde_json::to_value(EventView::from(event)).unwrap_or_default();
    data.get("type").and_then(Value::as_str).unwrap_or("unknown").to_owned()
}

/// An event as it is kept: its parts by which it is found, and the whole.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) kind: String,
    pub(crate) subject: Option<String>,
    pub(crate) lane: Option<u64>,
    pub(crate) model: Option<String>,
    pub(crate) epoch: Option<u64>,
    pub(crate) interval: Option<u64>,
    pub(crate) data: String,
}

impl Told {
    /// An event as `/v1` shows it, taken apart.
    pub(crate) fn new(event: &Event) -> Self {
        let mut data = serde_json::to_value(EventView::from(event)).unwrap_or_default();
        let text = |name: &str| data.get(name).and_then(Value::as_str).map(str::to_owned);
        let number = |name: &str| data.get(name).and_then(Value::as_u64);
        let subjects = ["host", "member", "from", "account", "endorser", "payer"];
        let kind = text("type").unwrap_or_else(|| "unknown".into());
        let of_model = kind.starts_with("models.") || kind.starts_with("pricing.");
        let (subject, lane) = (subjects.into_iter().find_map(text), number("lane"));
        let model = text("model").or_else(|| if of_model { text("root") } else { None });
        let (epoch, interval) = (number("epoch"), number("interval"));
        if let Some(fields) = data.as_object_mut() {
            // It stands beside.
            fields.shift_remove("type");
        }
        Self { kind, subject, lane, model, epoch, interval, data: data.to_string() }
    }
}
