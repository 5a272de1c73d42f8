//! `freeway join`: a node of this machine in a network that is there, and a host if its owner wants one.

mod find;
mod layout;
mod owner;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use freeway_api::Client;
use freeway_primitives::{Address, Amount, ChainId};
use serde::Serialize;

use super::launch::{Children, Folder, Listens, follow};
use crate::cli::{Context, Party};
use crate::hints::Problem;
use crate::network_file::NetworkFile;
use crate::output::{Output, Page, Show};

use crate::telemetry::Otlp;
use find::Found;
pub(super) use layout::{NODE, is_joined};
use owner::Owner;

/// Nodes that are asked, at most.
const MAX_NODES: usize = 8;
/// How long the node may take until it listens. Before that it fetches and checks a snapshot.
const START_TIMEOUT: Duration = Duration::from_secs(30 * 60);

const EXAMPLES: &str = "\
Examples:
  freeway join http://192.168.1.10:7700             follow the network of that node; Ctrl-C stops
  freeway join                                      go on with it
  freeway join http://192.168.1.10:7700 --chain 06aa4253096730b14ecbbadac1bcc283d47db1f41274cfe1feb2d909809a118e
                                                    only if it is this network
  freeway keys new me                               an account that owns a host
  freeway join http://192.168.1.10:7700 --host me   lend this machine: sprint, serve the guide, earn

While it runs, in another terminal:
  freeway status
  freeway host show me
  freeway sprint show

Nothing that the named nodes say is trusted but the genesis, which is the network: compare its identity, `chain`, with
what its people say, or give it with --chain. The rest is checked from there. On the machine of a network that
`freeway up` made, that needs --address to be reached from others.";

/// Options of `freeway join`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Join {
    /// Nodes of the network, as URLs; the more, the less it depends on each. Needed the first time only.
    #[arg(value_name = "URL", num_args = 0..=MAX_NODES)]
    nodes: Vec<String>,

    /// Join this network only: its identity, as `freeway status` shows it.
    #[arg(long, value_name = "ID")]
    chain: Option<ChainId>,

    /// Be a host, owned by this account: the name of a key, or an address. Kept for the next start.
    #[arg(long, value_name = "ACCOUNT")]
    host: Option<Party>,

    /// What the account puts at stake when it registers its host.
    #[arg(long, value_name = "AMOUNT", default_value = "100 FWY", help_heading = "Host")]
    collateral: Amount,

    /// Who runs the host. Hosts of one operator are capped together.
    #[arg(long, default_value = "", help_heading = "Host")]
    operator: String,

    /// Where it stands.
    #[arg(long, default_value = "", help_heading = "Host")]
    region: String,

    /// Threads that sprint; 0 takes one for each core [default: 0, or as before].
    #[arg(long, value_name = "N", help_heading = "Host", value_parser = clap::value_parser!(u16).range(0..=4_096))]
    sprint_threads: Option<u16>,

    /// The part of the time in which they do, in percent [default: 100, or as before].
    #[arg(long, value_name = "PERCENT", help_heading = "Host", value_parser = clap::value_parser!(u8).range(1..=100))]
    sprint_share: Option<u8>,

    /// The address at which other machines reach this one [default: the one from which it reaches the network].
    #[arg(long, value_name = "IP", value_parser = crate::cli::address_of_one)]
    address: Option<IpAddr>,

    #[command(flatten)]
    otlp: Otlp,
}

/// Printed once the node listens.
#[derive(Debug, Serialize)]
struct Ready {
    ready: bool,
    dir: PathBuf,
    rpc: Vec<String>,
    pids: Vec<u32>,
    chain: String,
    name: String,
    #[serde(with = "freeway_api::text::option")]
    host: Option<Address>,
}

impl Show for Ready {
    fn show(&self, page: &mut Page) {
        page.line(format!("This machine has a node in the network {:?}.", self.name));
        page.gap();
        let mut fields = vec![("directory", self.dir.display().to_string()), ("chain", self.chain.clone())];
        for (rpc, pid) in self.rpc.iter().zip(&self.pids) {
            fields.push(("node", format!("{rpc}  (process {pid})")));
            fields.push(("pages", format!("{rpc}/")));
        }
        fields.push((
            "host",
            self.host.map_or_else(|| "none: it only follows".into(), |host| host.to_string()),
        ));
        page.fields(fields);
        page.gap();
        page.line("Ctrl-C stops it; the next `freeway join` goes on from here.");
    }
}

impl Join {
    /// Runs the command.
    ///
    /// # Errors
    /// [`Problem`] says what failed and what to do.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        let output = context.output();
        self.otlp.check()?;
        let folder = Folder::open(context.directory()?)?;
        let found = if self.nodes.is_empty() {
            None
        } else {
            output.detail(format_args!("asking {}", self.nodes.join(", ")));
            Some(find::ask(&self.nodes, self.chain, &output).await?)
        };
        let wishes = layout::Wishes {
            found: found.as_ref(),
            chain: self.chain,
            host: self.host.as_ref().map(|party| context.address(party)).transpose()?,
            address: self.address,
            sprint_threads: self.sprint_threads.map(usize::from),
            sprint_share: self.sprint_share,
        };
        let member = layout::prepare(&folder, &wishes, &output)?;
        let owner = match member.host {
            Some(address) => self.owner(context, &member, address, found.as_ref()).await?,
            None => None,
        };
        let nodes = [("the node".to_owned(), member.config.clone())];
        let stop = crate::signals::stop();
        let mut children =
            Children::start(&nodes, &BTreeMap::new(), false, self.otlp.url().map(str::to_owned))?;
        let result = tokio::select! {
            result = serve(&mut children, &folder, &member, owner, output) => result,
            () = stop => Ok(()),
        };
        output.note("stopping");
        children.stop().await;
        folder.forget_running();
        result
    }

    /// What registers the host, if it is not registered yet and its owner's key is here. Asked before the node starts, as
    /// somebody may have to type a passphrase.
    async fn owner(
        &self,
        context: &Context,
        member: &layout::Member,
        address: Address,
        found: Option<&Found>,
    ) -> Result<Option<Owner>, Problem> {
        let profile = member.profile(&self.operator, &self.region)?;
        for client in found.iter().flat_map(|found| &found.clients) {
            if client.host(&address).await.is_ok() {
                // Whether it is this node is looked at when it runs.
                return Ok(Some(Owner { address, key: None, profile, collateral: self.collateral }));
            }
        }
        let key = match &self.host {
            Some(Party::Name(name)) => Some(context.unlock(name)?),
            _ => None,
        };
        Ok(Some(Owner { address, key, profile, collateral: self.collateral }))
    }
}

/// Waits until the node listens, says so, and shows how it is doing until it ends.
async fn serve(
    children: &mut Children,
    folder: &Folder,
    member: &layout::Member,
    owner: Option<Owner>,
    output: Output,
) -> Result<(), Problem> {
    let listens = children.all_listen(START_TIMEOUT).await?;
    let rpc: Vec<String> = listens.into_iter().map(|Listens { rpc, .. }| rpc).collect();
    let file =
        NetworkFile { rpc, pids: children.pids(), chain: member.chain.to_string(), ..NetworkFile::default() };
    folder.announce(&file)?;
    layout::has_started(member)?;
    output.result(&Ready {
        ready: true,
        dir: folder.directory().to_owned(),
        rpc: file.rpc.clone(),
        pids: file.pids.clone(),
        chain: file.chain.clone(),
        name: member.name.clone(),
        host: member.host,
    })?;
    let clients: Vec<Client> = file.rpc.iter().filter_map(|url| Client::new(url).ok()).collect();
    let becoming = async {
        if let Some(owner) = owner {
            owner.register(&clients, output).await;
        }
        std::future::pending().await
    };
    tokio::select! {
        ended = follow(children, folder, file, output) => ended,
        () = becoming => Ok(()),
    }
}
