//! `freeway endorse`: answers for an output with money.

use clap::Args;
use freeway_ledger::{Message, endorsements};
use freeway_primitives::{Amount, Digest, Domain, Height};

use super::submit::Signing;
use crate::cli::{Context, Party};
use crate::hints::Problem;

/// What the digest of a statement is made with.
pub(super) const STATEMENT: Domain = Domain::new("freeway 1 endorsed statement");

const EXAMPLES: &str = "\
Examples:
  freeway endorse RECEIPT --from alice --statement \"the translation is faithful\" --bond 5 --arbiter bob --blocks 5000
  freeway endorse RECEIPT --from alice --digest 64-HEX-DIGITS --bond 5 --arbiter fwy1... --blocks 5000
  freeway endorsement show 3

The chain has digests only: give the statement to whom it is for. The arbiter may give parts of the bond to whom it
finds harmed; what is left comes back afterwards with `freeway endorsement withdraw`.";

/// Options of `freeway endorse`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Endorse {
    /// The receipt of the answer: 64 hexadecimal digits.
    #[arg(value_name = "RECEIPT")]
    receipt: Digest,

    /// What is said about the answer; its digest goes onto the chain.
    #[arg(long, value_name = "TEXT", required_unless_present = "digest")]
    statement: Option<String>,

    /// The digest of what is said about the answer, however that is written.
    #[arg(long, value_name = "HEX", conflicts_with = "statement")]
    digest: Option<Digest>,

    /// How much is put up.
    #[arg(long, value_name = "AMOUNT")]
    bond: Amount,

    /// Who decides what comes of the bond: an address, or the name of a key here.
    #[arg(long, value_name = "ADDRESS|NAME")]
    arbiter: Party,

    /// For how many blocks harm counts.
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u64).range(1..))]
    blocks: u64,

    #[command(flatten)]
    signing: Signing,
}

impl Endorse {
    /// Signs, sends and waits.
    ///
    /// # Errors
    /// If it cannot be signed or sent, or fails.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        let statement = match (&self.digest, &self.statement) {
            (Some(digest), _) => *digest,
            (None, Some(text)) => Digest::of(STATEMENT, text.as_bytes()),
            (None, None) => return Err(Problem::usage("nothing is said").hint("give --statement TEXT")),
        };
        let arbiter = context.address(&self.arbiter)?;
        let node = context.connect().await?;
        let message = endorsements::Message::Endorse {
            receipt: self.receipt,
            statement,
            bond: self.bond,
            arbiter,
            expiry: Height(node.status.height).plus(self.blocks),
        };
        self.signing.send(context, Message::Endorsements(message)).await
    }
}
