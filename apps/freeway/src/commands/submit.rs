//! Signing a message, sending it and waiting for its block: what all commands that change the chain share.

use clap::Args;
use freeway_api::{AccountView, EventView, OutcomeView, ReceiptView};
use freeway_ledger::{Body, Message};
use freeway_primitives::{Address, Canonical, ChainId, Digest, Height, SecretKey};
use serde::Serialize;

use crate::cli::{Context, Node, Party};
use crate::hints::Problem;
use crate::keystore::KeyName;
use crate::output::{Page, Show};

/// How long a transaction may wait for a block unless said otherwise: about a minute and a half at the pace of
/// either preset. Short, so that one that got lost is known to be lost soon.
const DEFAULT_LIFETIME_BLOCKS: u64 = 100;

/// How often a transaction is signed anew when another one of the same key was faster.
const ATTEMPTS: usize = 3;

/// The code with which a node refuses a sequence that another transaction has taken.
const OVERTAKEN: &str = "sequence_used";

/// The code with which it refuses one that another transaction will take, which still waits for its block.
const BEHIND: &str = "sequence_taken";

/// How many blocks are waited for others of the same key.
const PATIENCE_BLOCKS: usize = 10;

/// Who signs, for whom, and whether to wait.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Transaction")]
pub(super) struct Signing {
    /// The key that signs: its name here.
    #[arg(long, value_name = "NAME")]
    from: KeyName,

    /// Act for this account, which has authorised the key (see `freeway delegate`).
    #[arg(long, value_name = "ADDRESS|NAME")]
    on_behalf_of: Option<Party>,

    /// How many blocks it may wait; after that it can never happen.
    #[arg(long, value_name = "BLOCKS", default_value_t = DEFAULT_LIFETIME_BLOCKS)]
    expires_in: u64,

    /// Sign for this network only [default: the one in --dir, else the node's].
    #[arg(long, value_name = "ID")]
    chain: Option<ChainId>,

    /// Wait until it is in a block; this is the default.
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,

    /// Return as soon as a node has stored it.
    #[arg(long)]
    no_wait: bool,
}

/// A transaction that was sent.
#[derive(Debug, Serialize)]
struct Sent {
    #[serde(with = "freeway_api::text")]
    hash: Digest,
    /// `pending` or `included`.
    status: &'static str,
    height: Option<u64>,
    outcome: Option<OutcomeView>,
    /// The account that acted.
    #[serde(with = "freeway_api::text")]
    account: Address,
    sequence: u64,
    expiry: u64,
    /// The lane that it opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    lane: Option<u64>,
    /// The endorsement that it made.
    #[serde(skip_serializing_if = "Option::is_none")]
    endorsement: Option<u64>,
}

impl Show for Sent {
    fn show(&self, page: &mut Page) {
        let outcome = self.outcome.map_or_else(|| self.status.to_owned(), |o| o.name().to_owned());
        let height = self.height.map(|height| height.to_string()).unwrap_or_default();
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        page.fields([
            ("transaction", self.hash.to_string()),
            ("height", height),
            ("outcome", outcome),
            ("lane", number(self.lane)),
            ("endorsement", number(self.endorsement)),
        ]);
    }
}

/// What is known before a transaction is signed.
struct Signer<'a> {
    node: &'a Node,
    chain: ChainId,
    key: SecretKey,
    on_behalf_of: Option<Address>,
    lifetime: u64,
}

/// A transaction that a node has stored.
struct Stored {
    hash: Digest,
    account: Address,
    sequence: u64,
    expiry: u64,
    /// The lowest height at which it can be.
    from: u64,
}

impl Signing {
    /// The key that signs.
    pub(super) fn signer(&self) -> &KeyName {
        &self.from
    }

    /// The account that acts.
    pub(super) fn account(&self, context: &Context) -> Result<Address, Problem> {
        context.address(self.on_behalf_of.as_ref().unwrap_or(&Party::Name(self.from.clone())))
    }

    /// Signs `message`, sends it and, unless told otherwise, waits for its block.
    pub(super) async fn send(&self, context: &Context, message: Message) -> Result<(), Problem> {
        let on_behalf_of = self.on_behalf_of.as_ref().map(|party| context.address(party)).transpose()?;
        // The node first: nobody should type a passphrase for nothing.
        let node = context.connect().await?;
        if let Some(wanted) = self.chain {
            node.require_chain(&wanted)?;
        }
        let key = context.unlock(&self.from)?;
        let chain = node.status.chain;
        let signer = Signer { node: &node, chain, key, on_behalf_of, lifetime: self.expires_in };
        let stored = signer.submit(&message).await?;
        let Stored { hash, account, sequence, expiry, .. } = stored;
        let sent = Sent {
            hash,
            status: "pending",
            height: None,
            outcome: None,
            account,
            sequence,
            expiry,
            lane: None,
            endorsement: None,
        };
        if self.no_wait {
            return context.output().result(&sent);
        }
        context.output().detail(format_args!("{hash} is stored; waiting for its block"));
        let (height, receipt) = included(context, node, &stored).await?;
        if let Some(failure) = receipt.failure {
            let told = advised(Problem::told(failure.code, failure.message));
            let message = format!("failed in block {height}: {}", told.message());
            return Err(told.saying(message).and_hint(format!("`freeway transaction {hash}` shows it")));
        }
        let (lane, endorsement) = numbers(&receipt.events);
        let outcome = Some(receipt.outcome);
        let sent = Sent { status: "included", height: Some(height), outcome, lane, endorsement, ..sent };
        context.output().result(&sent)
    }
}

/// The numbers of what a transaction made.
fn numbers(events: &[EventView]) -> (Option<u64>, Option<u64>) {
    let lane = events.iter().find_map(|event| match event {
        EventView::LaneOpened { lane, .. } => Some(*lane),
        _ => None,
    });
    let endorsement = events.iter().find_map(|event| match event {
        EventView::Endorsed { endorsement, .. } => Some(*endorsement),
        _ => None,
    });
    (lane, endorsement)
}

impl Signer<'_> {
    async fn submit(&self, message: &Message) -> Result<Stored, Problem> {
        let (mut attempt, mut waited) = (1, 0);
        loop {
            let (transaction, stored) = self.sign(message.clone()).await?;
            match self.node.submit(&transaction).await {
                Ok(_) => return Ok(stored),
                // Such as what `freeway up` sends by itself at the start.
                Err(problem) if problem.code() == BEHIND && waited < PATIENCE_BLOCKS => {
                    waited += 1;
                    let mut blocks = self.node.blocks(stored.from).await?;
                    if blocks.next().await.is_none() {
                        return Err(problem.hint("let that be included first, then send this again"));
                    }
                }
                // Refused for good, so that signing the same once more cannot make it happen twice.
                Err(problem) if problem.code() == OVERTAKEN && attempt < ATTEMPTS => attempt += 1,
                Err(problem) => return Err(advised(problem)),
            }
        }
    }

    async fn sign(&self, message: Message) -> Result<(Vec<u8>, Stored), Problem> {
        let own = Address::of(&self.key.public());
        let account = self.on_behalf_of.unwrap_or(own);
        let view = self.node.account(&account).await?;
        let sequence = if account == own { view.sequence } else { self.delegated(&view)? };
        let expiry = Height(view.height).plus(self.lifetime);
        let body = Body {
            chain: self.chain,
            signer: self.key.public(),
            // Spelling out the signer's own account would make another transaction of it.
            on_behalf_of: self.on_behalf_of.filter(|account| *account != own),
            sequence,
            expiry,
            message,
        };
        let transaction = body.sign(&self.key);
        let stored = Stored {
            hash: transaction.hash(),
            account,
            sequence,
            expiry: expiry.0,
            from: view.height.saturating_add(1),
        };
        Ok((transaction.encode(), stored))
    }

    /// The key's next sequence for the account that it acts for.
    fn delegated(&self, account: &AccountView) -> Result<u64, Problem> {
        let key = self.key.public();
        let found = account.delegates.iter().find(|delegate| delegate.key == key);
        found.map(|delegate| delegate.sequence).ok_or_else(|| {
            Problem::new("not_authorised", format!("this key may not act for {}", account.address)).hint(
                format!("its owner can allow it: `freeway delegate add {key} --scope spend --from OWNER`"),
            )
        })
    }
}

/// Waits for the block of a transaction.
async fn included(context: &Context, mut node: Node, sent: &Stored) -> Result<(u64, ReceiptView), Problem> {
    let mut progress = context.output().progress();
    let (mut next, hash) = (sent.from, sent.hash);
    let unknown = |problem: Problem| {
        let chance = format!("the transaction may still happen until height {}", sent.expiry);
        problem.and_hint(format!("{chance}; `freeway transaction {hash}` tells"))
    };
    loop {
        let first = next;
        let mut blocks = node.blocks(next).await.map_err(unknown)?;
        while let Some(block) = blocks.next().await {
            next = block.height.saturating_add(1);
            let receipts = block.transactions;
            if let Some(receipt) = receipts.into_iter().find(|receipt| receipt.hash == hash) {
                return Ok((block.height, receipt));
            }
            if block.height >= sent.expiry {
                return Err(expired(sent));
            }
            progress.set(format_args!("height {}; expires at {}", block.height, sent.expiry));
        }
        if next == first {
            return Err(unknown(blocks.end()));
        }
        // The node may have stopped; another one knows just as well.
        node = context.connect().await.map_err(unknown)?;
    }
}

fn expired(sent: &Stored) -> Problem {
    let message = format!("the transaction {} was in no block up to height {}", sent.hash, sent.expiry);
    Problem::new("expired", message)
        .hint("it can never happen now; send it again, with a larger --expires-in if the network is busy")
}

/// What the ledger says, with what to do here where it leaves that open.
fn advised(problem: Problem) -> Problem {
    let next = match problem.code() {
        "insufficient_balance" => "`freeway account` shows what there is; send less, or fill it up first",
        "allowance_exceeded" | "scope_missing" => {
            "the account's owner can allow more: `freeway delegate add` replaces the key's rights"
        }
        "invalid_delegation" | "zero_amount" => "check the values on the command line",
        "unknown_model" => "`freeway model list --chain` shows the models of the network",
        "unknown_lane" => "`freeway lane list ACCOUNT` shows those that are not over",
        _ => return problem,
    };
    problem.or_hint(next)
}
