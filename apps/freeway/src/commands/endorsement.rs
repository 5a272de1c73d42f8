//! `freeway endorsement`: who answers for outputs, and how that went.

use clap::{Args, Subcommand};
use freeway_api::{EndorsementView, EndorsementsView, ReceiptEndorsementsView};
use freeway_ledger::Message;
use freeway_ledger::endorsements::{self, EndorsementId};
use freeway_primitives::{Amount, Digest};
use serde::Serialize;

use super::endorse::STATEMENT;
use super::submit::Signing;
use crate::cli::{Context, Party};
use crate::hints::Problem;
use crate::output::{Column, Page, Show};

const EXAMPLES: &str = "\
Examples:
  freeway endorsement show 3 --statement \"the translation is faithful\"     is that what was endorsed?
  freeway endorsement list alice                                           with the record of all that are over
  freeway endorsement of RECEIPT
  freeway endorsement award 3 carol 2.5 --from bob                         by the arbiter
  freeway endorsement withdraw 3 --from alice                              when its time is over";

/// The most endorsements that are listed.
const PAGE: u64 = 256;

/// Options of `freeway endorsement`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Endorsement {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show one.
    Show(ShowOne),
    /// List those of an account that are not over, and its record.
    List(List),
    /// List those of a receipt.
    Of(Of),
    /// As its arbiter, give a part of the bond to whom harm was done.
    Award(Award),
    /// As its endorser, take back what is left.
    Withdraw(Withdraw),
}

#[derive(Debug, Args)]
struct ShowOne {
    /// Its number.
    endorsement: u64,

    /// Fail unless this is what was endorsed.
    #[arg(long, value_name = "TEXT")]
    statement: Option<String>,
}

#[derive(Debug, Args)]
struct List {
    /// Whose: an address, or the name of a key here.
    #[arg(value_name = "ADDRESS|NAME")]
    account: Party,
}

#[derive(Debug, Args)]
struct Of {
    /// The receipt: 64 hexadecimal digits.
    #[arg(value_name = "RECEIPT")]
    receipt: Digest,
}

#[derive(Debug, Args)]
struct Award {
    /// Its number.
    endorsement: u64,

    /// Who was harmed: an address, or the name of a key here.
    #[arg(value_name = "TO")]
    claimant: Party,

    /// How much it gets.
    amount: Amount,

    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Args)]
struct Withdraw {
    /// Its number.
    endorsement: u64,

    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct One(EndorsementView);

impl Show for One {
    fn show(&self, page: &mut Page) {
        let one = &self.0;
        page.fields([
            ("endorsement", one.id.to_string()),
            ("endorser", one.endorser.to_string()),
            ("receipt", one.receipt.to_string()),
            ("statement", one.statement.to_string()),
            ("bond", format!("{}, {} of it left", one.bond, one.left)),
            ("arbiter", one.arbiter.to_string()),
            ("harm counts until", format!("height {}", one.until)),
            ("decided until", format!("height {}", one.decided_by)),
        ]);
    }
}

fn table(page: &mut Page, list: &[EndorsementView]) {
    if list.is_empty() {
        page.line("no endorsements whose bonds are not gone");
        return;
    }
    let columns = [
        Column::right("NUMBER"),
        Column::left("RECEIPT"),
        Column::right("BOND"),
        Column::right("LEFT"),
        Column::right("UNTIL"),
        Column::left("ENDORSER"),
    ];
    let rows = list.iter().map(|one| {
        vec![
            one.id.to_string(),
            one.receipt.to_string().chars().take(12).collect(),
            one.bond.to_string(),
            one.left.to_string(),
            one.until.to_string(),
            one.endorser.to_string(),
        ]
    });
    page.table(&columns, rows);
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct OfAccount(EndorsementsView);

impl Show for OfAccount {
    fn show(&self, page: &mut Page) {
        let record = &self.0.record;
        page.fields([
            ("kept", format!("{} with {} in all", record.kept, record.kept_amount)),
            ("lost", format!("{}, of which {} was awarded", record.lost, record.lost_amount)),
            ("active", format!("{} with {} at stake", record.active, record.at_stake)),
        ]);
        page.gap();
        table(page, &self.0.endorsements);
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct OfReceipt(ReceiptEndorsementsView);

impl Show for OfReceipt {
    fn show(&self, page: &mut Page) {
        table(page, &self.0.endorsements);
    }
}

impl Endorsement {
    /// Runs the command.
    ///
    /// # Errors
    /// If a transaction cannot be signed or sent, or fails; if no node answers.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        match self.command {
            Command::Show(ShowOne { endorsement, statement }) => {
                let view = context.connect().await?.client().endorsement(endorsement).await?;
                let digest = statement.map(|text| Digest::of(STATEMENT, text.as_bytes()));
                if digest.is_some_and(|digest| digest != view.statement) {
                    return Err(Problem::new(
                        "other_statement",
                        format!("endorsement {endorsement} is for something else"),
                    )
                    .hint("the text must be the same to the last character; ask the endorser for it"));
                }
                context.output().result(&One(view))
            }
            Command::List(List { account }) => {
                let address = context.address(&account)?;
                let view = context.connect().await?.client().endorsements(&address, None, PAGE).await?;
                context.output().result(&OfAccount(view))
            }
            Command::Of(Of { receipt }) => {
                let node = context.connect().await?;
                let view = node.client().endorsements_of_receipt(&receipt, None, PAGE).await?;
                context.output().result(&OfReceipt(view))
            }
            Command::Award(Award { endorsement, claimant, amount, signing }) => {
                let claimant = context.address(&claimant)?;
                let endorsement = EndorsementId(endorsement);
                let message = endorsements::Message::Award { endorsement, claimant, amount };
                signing.send(context, Message::Endorsements(message)).await
            }
            Command::Withdraw(Withdraw { endorsement, signing }) => {
                let message = endorsements::Message::Withdraw { endorsement: EndorsementId(endorsement) };
                signing.send(context, Message::Endorsements(message)).await
            }
        }
    }
}
