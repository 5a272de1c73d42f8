//! The commands that change a lane.

use clap::Args;
use freeway_ledger::lanes::{self, Constraints, Opened};
use freeway_ledger::{Message, Text};
use freeway_primitives::Amount;
use freeway_proofs::work::LaneId;

use crate::cli::{Context, Party};
use crate::commands::delegate::WhichKey;
use crate::commands::submit::Signing;
use crate::hints::Problem;

#[derive(Debug, Args)]
pub(super) struct Open {
    /// The model: its name on the network, or its root.
    #[arg(long, value_name = "MODEL")]
    model: String,

    /// How much to put in: all hosts get the same part.
    #[arg(long, value_name = "AMOUNT")]
    escrow: Amount,

    /// How many hosts; fewer if there are no more.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    hosts: u8,

    /// Blocks until it closes by itself.
    #[arg(long, value_name = "BLOCKS", default_value_t = 20_000)]
    lifetime: u64,

    /// Only hosts in this region; may be given several times.
    #[arg(long = "region", value_name = "NAME", value_parser = text)]
    regions: Vec<Text>,

    /// Only hosts of this operator; may be given several times.
    #[arg(long = "operator", value_name = "NAME", value_parser = text)]
    operators: Vec<Text>,

    /// The key that signs vouchers: 64 hexadecimal digits, or the name of a key here [default: that of --from].
    #[arg(long, value_name = "KEY|NAME")]
    key: Option<WhichKey>,

    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The lane's number.
    lane: u64,

    /// How much.
    amount: Amount,

    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Args)]
pub(super) struct Close {
    /// The lane's number.
    lane: u64,

    #[command(flatten)]
    signing: Signing,
}

fn text(text: &str) -> Result<Text, String> {
    Text::new(text).map_err(|error| format!("{error}; shorten it, and write it in one plain line"))
}

impl Open {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let key = match self.key {
            Some(key) => key.resolve(context)?,
            None => context.entry(&Party::Name(self.signing.signer().clone()))?.public_key,
        };
        let node = context.connect().await?;
        let model = node.client().model(&self.model, None, 1).await?;
        if model.serving == 0 {
            return Err(Problem::new("no_hosts", format!("nobody serves {} now", model.model.name)).hint(
                "`freeway model list --chain` shows which models are served; hosts name theirs in [serve]",
            ));
        }
        if node.beacon().await?.latest.is_none() {
            // The value of its height would never come, and the lane would wait for it for long.
            return Err(Problem::new(
                "no_randomness",
                "the network has no randomness yet, which draws a lane's hosts",
            )
            .hint("a new network has it after its first epoch; `freeway beacon` shows it"));
        }
        let opened = Opened {
            model: model.model.root,
            escrow: self.escrow,
            shares: self.hosts,
            constraints: Constraints { regions: self.regions, operators: self.operators },
            key,
            lifetime: self.lifetime,
        };
        self.signing.send(context, Message::Lanes(lanes::Message::Open(Box::new(opened)))).await
    }
}

impl Add {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let message = lanes::Message::TopUp { lane: LaneId(self.lane), amount: self.amount };
        self.signing.send(context, Message::Lanes(message)).await
    }
}

impl Close {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let message = lanes::Message::Close { lane: LaneId(self.lane) };
        self.signing.send(context, Message::Lanes(message)).await
    }
}
