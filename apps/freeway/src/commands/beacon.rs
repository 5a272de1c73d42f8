//! `freeway beacon`: the network's randomness.

use clap::Args;
use freeway_api::beacon::{DealingView, GroupView};
use freeway_api::{BeaconValueView, BeaconView};
use serde::Serialize;

use crate::cli::Context;
use crate::hints::Problem;
use crate::output::{Column, Page, Show};

const EXAMPLES: &str = "\
Examples:
  freeway beacon                       who signs, whose key is being made, the latest value
  freeway beacon 1200 --json | jq -r .value";

/// Options of `freeway beacon`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Beacon {
    /// The height whose value is shown.
    #[arg(value_name = "HEIGHT", value_parser = clap::value_parser!(u64).range(1..))]
    height: Option<u64>,
}

/// The beacon.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Shown(BeaconView);

impl Show for Shown {
    fn show(&self, page: &mut Page) {
        let Self(beacon) = self;
        let group = match &beacon.group {
            Some(group) => group_line(group),
            None => "none yet: the first signs from epoch 1 on, once its key is made".into(),
        };
        page.fields([
            ("height", beacon.height.to_string()),
            ("group", group),
            ("key", beacon.group.as_ref().map(|group| group.key.clone()).unwrap_or_default()),
            ("next key", beacon.dealing.as_ref().map(dealing_line).unwrap_or_default()),
            (
                "latest of",
                beacon.latest.map(|latest| format!("height {}", latest.height)).unwrap_or_default(),
            ),
            ("value", beacon.latest.map(|latest| latest.value.to_string()).unwrap_or_default()),
        ]);
        if let Some(group) = &beacon.group {
            page.gap();
            let rows = group.holders.iter();
            page.table(
                &[Column::left("VALIDATOR"), Column::right("SEATS")],
                rows.map(|holder| vec![holder.validator.to_string(), holder.seats.to_string()]),
            );
        }
    }
}

fn group_line(group: &GroupView) -> String {
    let GroupView { epoch, start, seats, majority, holders, .. } = group;
    let holders = holders.len();
    format!(
        "of epoch {epoch}, since height {start}: {majority} of {seats} seats make a value, {holders} validators"
    )
}

fn dealing_line(dealing: &DealingView) -> String {
    let DealingView { epoch, stage, switch, holders, dealt, acknowledged, .. } = dealing;
    format!(
        "of epoch {epoch}, due at height {switch}, stage {stage}: {dealt} of {holders} dealt, {acknowledged} acknowledged"
    )
}

/// The value of a height.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct ShownValue(BeaconValueView);

impl Show for ShownValue {
    fn show(&self, page: &mut Page) {
        let Self(value) = self;
        page.fields([
            ("height", value.height.to_string()),
            ("value", value.value.to_string()),
            ("signature", value.signature.clone()),
            ("recorded in", value.recorded_in.to_string()),
            ("group of epoch", value.group_epoch.map(|epoch| epoch.to_string()).unwrap_or_default()),
            ("group key", value.group_key.clone().unwrap_or_default()),
        ]);
    }
}

impl Beacon {
    /// Asks and prints.
    ///
    /// # Errors
    /// If no node answers, or the value of the height is not recorded.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        let node = context.connect().await?;
        match self.height {
            Some(height) => context.output().result(&ShownValue(node.beacon_value(height).await?)),
            None => context.output().result(&Shown(node.beacon().await?)),
        }
    }
}
