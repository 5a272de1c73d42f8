//! `freeway doctor`: looks at a machine, the folder of a node and the node that runs there, and says what to do.
//!
//! Each group of checks is a file below. A check has two halves: what is measured, which may fail and takes a bounded
//! time, and what is thought of it, which is a function of the measurement alone.

mod chain;
mod clock;
mod config;
mod disk;
mod engines;
mod finding;
mod gateway;
mod host;
mod machine;
mod models;
mod net;
mod peers;
mod ports;
mod report;
mod scope;

use std::path::PathBuf;

use clap::Args;
use futures::future::join_all;

use crate::cli::Context;
use crate::hints::Problem;
use finding::Check;
use report::Report;
use scope::{Scope, Subject};

const EXAMPLES: &str = "\
Examples:
  freeway doctor                                  the network of `freeway up` in the default directory
  freeway doctor --home ~/node                    a node's folder, before its first start or while it runs
  freeway doctor --config /etc/freeway/node.toml --rpc http://node-a:7700
                                                  the same, compared with another node
  freeway doctor --gateway gateway.toml           a gateway that pays hosts
  freeway doctor --json | jq '.checks[] | select(.status == \"failed\")'

It changes nothing (a small file is written and removed, to see how fast the disk is), asks for no passphrase, and may
run beside the node, as the same user. Exit code 0 when no check failed, 1 else.

With --json: {\"checks\":[{\"id\",\"group\",\"status\",\"found\",\"remedy\"}...],\"ok\"}, with \"node\" where several are
looked at; a status is ok, warning, failed or not_applicable.";

/// Options of `freeway doctor`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Doctor {
    /// A node's configuration.
    #[arg(long, value_name = "FILE", conflicts_with = "home")]
    config: Option<PathBuf>,

    /// A node's folder, as `freeway node init` makes it.
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,

    /// The configuration of a gateway, as `freeway gateway --config` reads it.
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,

    /// Leave out what takes more than a moment: the speed of this machine, and the weights of packages.
    #[arg(long)]
    fast: bool,
}

impl Doctor {
    /// Runs the command.
    ///
    /// # Errors
    /// If a check failed, or the report cannot be printed.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        let config = self.config.or_else(|| self.home.map(|home| home.join("node.toml")));
        let scope = Scope::find(context, config, self.gateway, self.fast)?;
        let report = Report::new(examine(&scope).await);
        context.output().result(&report.shown(context.output().verbose > 0))?;
        match report.failed() {
            0 => Ok(()),
            failed => {
                let what = if failed == 1 { "a check".to_owned() } else { format!("{failed} checks") };
                Err(Problem::new("unhealthy", format!("{what} failed")).hint(
                    "do what stands under what failed, from top to bottom, then run `freeway doctor` again",
                ))
            }
        }
    }
}

/// All checks, in the order in which they are shown. Parts that ask others do so at the same time.
async fn examine(scope: &Scope) -> Vec<Check> {
    let subjects = join_all(scope.nodes.iter().map(|node| examine_node(scope, node)));
    let (machine, nodes, gateway) =
        futures::join!(machine::checks(scope), subjects, gateway::of_file(scope.gateway.as_ref()));
    let mut checks = machine;
    match (scope.nodes.as_slice(), &scope.rpc, &scope.gateway) {
        ([], Some(url), _) => checks.extend(chain::checks(&net::Seen::at(url).await).await),
        ([], None, None) => {
            checks.push(Check::new("config", "file", scope::nothing(scope.directory.as_deref())))
        }
        _ => {}
    }
    for (node, of_node) in scope.nodes.iter().zip(nodes) {
        checks.extend(of_node.into_iter().map(|check| check.of(node.name.as_deref())));
    }
    let name = (scope.nodes.len() > 1).then_some("gateway");
    checks.extend(gateway.into_iter().map(|check| check.of(name)));
    checks
}

async fn examine_node(scope: &Scope, subject: &Subject) -> Vec<Check> {
    // What runs is asked once, and everything else judged by what it said.
    let seen = net::Seen::of(scope, subject).await;
    let mut checks = config::checks(subject, &seen).await;
    // Without a configuration nobody knows where to look further.
    let Ok(config) = &subject.config else { return checks };
    let (disk, clock, ports, peers, models, engines, chain, host, gateway) = futures::join!(
        disk::checks(config),
        clock::checks(config, &seen),
        ports::checks(config, &seen),
        peers::checks(config, &seen, subject.is_local),
        models::checks(config, scope.fast),
        engines::checks(config),
        chain::checks(&seen),
        host::checks(config, &seen),
        gateway::of_node(config, &seen),
    );
    for part in [disk, clock, ports, peers, models, engines, chain, host, gateway] {
        checks.extend(part);
    }
    checks
}
