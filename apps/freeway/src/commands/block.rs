//! `freeway block`: a block, or one after the other as they come.

use core::str::FromStr;

use clap::Args;
use freeway_api::{BlockEvent, BlockView, OutcomeView, TransactionSummary};
use serde::Serialize;

use crate::cli::{Context, Node};
use crate::hints::Problem;
use crate::output::time::utc;
use crate::output::{Column, Page, Show};

const EXAMPLES: &str = "\
Examples:
  freeway block                        the latest block
  freeway block 1200 --json | jq .certificate.signers
  freeway block 1 --follow             every block from the first, then those that come";

/// Options of `freeway block`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Block {
    /// Which block.
    #[arg(value_name = "HEIGHT|latest", default_value = "latest")]
    at: At,

    /// Show this block and all that follow, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
}

/// Which block is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Latest,
    Height(u64),
}

impl FromStr for At {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "latest" => Ok(Self::Latest),
            // The number's own parser would take a plus sign.
            _ if text.bytes().all(|byte| byte.is_ascii_digit()) => match text.parse() {
                Ok(height) if height > 0 => Ok(Self::Height(height)),
                Ok(_) => Err("height 0 is genesis, which is no block; the first block has height 1"),
                Err(_) => Err("no height is as large; write a smaller one, or latest"),
            },
            _ => Err("this is no height; write a whole number from 1, or latest"),
        }
    }
}

/// A block.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Shown(BlockView);

impl Show for Shown {
    fn show(&self, page: &mut Page) {
        let Self(block) = self;
        let (header, certificate) = (&block.header, &block.certificate);
        page.fields([
            ("height", header.height.to_string()),
            ("block", block.id.to_string()),
            ("time", utc(header.time_ms)),
            ("proposer", header.proposer.to_string()),
            ("parent", header.parent.to_string()),
            ("state root", format!("{} (of height {})", header.state_root, header.height.saturating_sub(1))),
            ("final", format!("in round {}, {} signed", certificate.round, certificate.signers.len())),
            ("size", format!("{} bytes, {} transactions", block.bytes, block.transactions.len())),
        ]);
        if !block.transactions.is_empty() {
            page.gap();
            transactions(page, &block.transactions);
        }
        for event in &block.events {
            // An event is at its clearest as it is on the wire.
            page.line(format_args!("event {}", serde_json::to_string(event).unwrap_or_default()));
        }
    }
}

fn transactions(page: &mut Page, transactions: &[TransactionSummary]) {
    let row = |transaction: &TransactionSummary| {
        let outcome = match &transaction.failure {
            Some(failure) => format!("failed: {}", failure.message),
            None => transaction.outcome.name().to_owned(),
        };
        let hash = transaction.hash.to_string();
        vec![hash, transaction.kind.clone(), transaction.from.to_string(), outcome]
    };
    let columns = ["TRANSACTION", "KIND", "FROM", "OUTCOME"].map(Column::left);
    page.table(&columns, transactions.iter().map(row));
}

/// A block in a row of blocks.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Line(BlockEvent);

impl Show for Line {
    fn show(&self, page: &mut Page) {
        let Self(block) = self;
        let failed = block.transactions.iter().filter(|t| t.outcome == OutcomeView::Failed).count();
        let failures = if failed == 0 { String::new() } else { format!(" ({failed} failed)") };
        let id: String = block.id.to_string().chars().take(12).collect();
        page.line(format_args!(
            "{:>8}  {}  {id}  epoch {} {:<12}  {} transactions{failures}",
            block.height,
            utc(block.time_ms),
            block.epoch,
            block.phase,
            block.transactions.len(),
        ));
    }
}

impl Block {
    /// Asks and prints.
    ///
    /// # Errors
    /// If no node answers, or has no such block.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        let node = context.connect().await?;
        let height = match self.at {
            At::Height(height) => Some(height),
            At::Latest => None,
        };
        if self.follow {
            let first = height.unwrap_or(node.status.height.max(1));
            return follow(context, node, first).await;
        }
        let block = node.block(height).await?;
        context.output().result(&Shown(block))
    }
}

/// Prints blocks from `next` on, for ever. When a connection ends, another one goes on where it stopped.
async fn follow(context: &Context, mut node: Node, mut next: u64) -> Result<(), Problem> {
    loop {
        let first = next;
        let mut blocks = node.blocks(next).await?;
        while let Some(block) = blocks.next().await {
            next = block.height.saturating_add(1);
            context.output().result(&Line(block))?;
        }
        if next == first {
            return Err(blocks.end());
        }
        context.output().detail("the connection ended; looking for a node again");
        node = context.connect().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_plain_numbers() {
        assert_eq!("latest".parse(), Ok(At::Latest));
        assert_eq!("12".parse(), Ok(At::Height(12)));
        for text in ["", "0", "+1", "-1", "1.5", "Latest", "99999999999999999999999"] {
            assert!(text.parse::<At>().unwrap_err().contains("; "), "{text}");
        }
    }
}
