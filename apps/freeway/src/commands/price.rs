//! `freeway price`: what models cost.

use clap::Args;
use freeway_api::{ModelDetailView, ModelView};
use serde::Serialize;

use super::lane::price;
use crate::cli::{Context, Node};
use crate::hints::Problem;
use crate::output::{Column, Page, Show};

const EXAMPLES: &str = "\
Examples:
  freeway price                 all models of the network
  freeway price guide
  freeway price guide --json | jq -r .prices.output      in base units, for a million tokens

Prices move with use, by at most a small step in each interval of work. A lane keeps those of its opening.";

/// The most models that a node gives at once.
const PAGE: u64 = 256;
/// The most models that are listed; a network allows no more.
const MOST: usize = 4_096;

/// Options of `freeway price`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Price {
    /// The model: its name on the network, or its root; all of them without.
    model: Option<String>,
}

/// The models of a network.
#[derive(Debug, Serialize)]
pub(super) struct Models {
    pub(super) height: u64,
    pub(super) models: Vec<ModelView>,
}

impl Models {
    /// All of them.
    pub(super) async fn of(node: &Node) -> Result<Self, Problem> {
        let mut found = Self { height: node.status.height, models: Vec::new() };
        let mut after = None;
        loop {
            let page = node.client().models(after.as_ref(), PAGE).await?;
            found.height = page.height;
            found.models.extend(page.models);
            // A page goes on after `after`: a node that repeats itself would keep us here for ever.
            after = page.next.filter(|next| after.is_none_or(|after| *next > after));
            if after.is_none() || found.models.len() >= MOST {
                found.models.sort_by(|one, other| one.name.cmp(&other.name));
                return Ok(found);
            }
        }
    }
}

impl Show for Models {
    fn show(&self, page: &mut Page) {
        if self.models.is_empty() {
            page.line("no models: register one with `freeway model register`");
            return;
        }
        let columns = [
            Column::left("MODEL"),
            Column::left("TIER"),
            Column::right("INPUT"),
            Column::right("KNOWN"),
            Column::right("OUTPUT"),
            Column::right("BUSY"),
            Column::right("LANES"),
            Column::left("ROOT"),
        ];
        let row = |model: &ModelView| {
            vec![
                model.name.clone(),
                model.tier.clone(),
                price(model.prices.input),
                price(model.prices.cached),
                price(model.prices.output),
                busy(model.utilisation),
                model.lanes.to_string(),
                model.root.to_string().chars().take(12).collect(),
            ]
        };
        page.table(&columns, self.models.iter().map(row));
        page.line("prices are for a million tokens");
    }
}

/// How busy hosts are.
fn busy(thousandths: Option<u64>) -> String {
    thousandths.map_or_else(|| "-".to_owned(), |part| format!("{}.{} %", part / 10, part % 10))
}

/// One model and who serves it.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct One(ModelDetailView);

impl Show for One {
    fn show(&self, page: &mut Page) {
        let ModelDetailView { model, serving, hosts, .. } = &self.0;
        page.fields([
            ("model", model.name.clone()),
            ("root", model.root.to_string()),
            ("tier", model.tier.clone()),
            ("prices", super::lane::prices(&model.prices)),
            ("busy", busy(model.utilisation)),
            ("hosts", serving.to_string()),
            ("lanes", model.lanes.to_string()),
            ("context", format!("{} tokens", model.context)),
            ("registered by", model.by.to_string()),
        ]);
        if hosts.is_empty() {
            return;
        }
        page.gap();
        let columns = [
            Column::left("HOST"),
            Column::left("OPERATOR"),
            Column::left("REGION"),
            Column::right("POWER"),
            Column::right("SINCE"),
        ];
        let rows = hosts.iter().map(|host| {
            vec![
                host.host.to_string(),
                host.operator.clone(),
                host.region.clone(),
                host.power.to_string(),
                host.since.to_string(),
            ]
        });
        page.table(&columns, rows);
    }
}

impl Price {
    /// Asks and prints.
    ///
    /// # Errors
    /// If no node answers, or there is no such model.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        let node = context.connect().await?;
        match &self.model {
            None => context.output().result(&Models::of(&node).await?),
            Some(name) => {
                let found = node.client().model(name, None, PAGE).await.map_err(Problem::from);
                let found = found
                    .map_err(|problem| problem.or_hint("`freeway price` lists the models of the network"))?;
                context.output().result(&One(found))
            }
        }
    }
}
