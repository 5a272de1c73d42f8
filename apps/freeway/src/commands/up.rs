//! `freeway up`: a whole network on this machine, one process for each host, and a gateway that pays them.

mod layout;
mod local;
mod register;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use freeway_api::Client;
use freeway_models::guide;
use serde::Serialize;
use tokio::time::Instant;

use super::engine::WhichEngine;
use super::launch::{Children, Listens, follow};
use super::model::{FOLDER, find};
use super::node::READY_TIMEOUT;
use crate::cli::Context;
use crate::hints::Problem;
use crate::network_file::NetworkFile;
use crate::output::{Output, Page, Show};
use crate::telemetry::Otlp;
use layout::{Layout, Wishes};

/// The most hosts on one machine.
const MAX_HOSTS: usize = 20;
/// How long the network may take until it decides its first block.
const FIRST_BLOCK_TIMEOUT: Duration = Duration::from_secs(90);
/// How often a waiting `up` looks whether the network has begun.
const LOOK: Duration = Duration::from_millis(100);

const EXAMPLES: &str = "\
Examples:
  freeway up                      four hosts in the default directory; Ctrl-C stops them
  freeway up --dir /tmp/net       the same, elsewhere; a second start goes on from its data
  freeway up --fresh              throw away what is there and begin anew
  freeway up --json | head -1     one line for scripts once the network decides blocks
  freeway up --address 192.168.1.10 --rpc-port 7700
                                  reachable for other machines: they `freeway join` it
  freeway up --adversary fake:5   the last host fakes 5 % of its sprint; see it lose its power
  freeway up --fresh --model big --engine http://127.0.0.1:8080/v1
                                  the hosts serve the package `big` of DIR/models too:
                                  that server answers, and its answers are scored
  freeway up --adversary serve:coarser
                                  the last host answers with a coarser model; see it lose its collateral

While it runs, in another terminal:
  freeway chat
  freeway receipt list
  freeway receipt verify --last 1
  freeway host earnings host-1
  freeway status --watch
  freeway send --from developer host-1 5

The API is a gateway that pays the hosts from the account `developer`, by a lane. Until the lane is open, a minute or so
after the first start, it answers by itself, free of charge and without receipts.";

/// Options of `freeway up`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Up {
    /// How many hosts; each is a process of its own. An existing network keeps its number.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_HOSTS as i64))]
    hosts: Option<u16>,

    /// Begin anew: delete the network in the directory first.
    #[arg(long)]
    fresh: bool,

    /// The address of this machine at which all of it listens, so that other machines can join. A network keeps its
    /// address [default: 127.0.0.1].
    #[arg(long, value_name = "IP", value_parser = crate::cli::address_of_one)]
    address: Option<IpAddr>,

    /// First of the ports for HTTP, one for each host [default: free ones].
    #[arg(long, value_name = "PORT")]
    rpc_port: Option<u16>,

    /// Threads with which each host sprints. The hosts of a new network use one each, for 40, 30, 20 and 10 % of
    /// the time, so that their weights differ.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    sprint_threads: Option<u16>,

    /// Make a host cheat, to see what becomes of it: KIND, for the last host, or HOST=KIND. In the race: fake:PERCENT,
    /// replay, overcommit:FACTOR, withhold, lazy:copy, lazy:guess, accuse, late. In paid work: serve:coarser,
    /// serve:truncate, serve:inflate, serve:inject, work:withhold, verify:lazy; with --engine also serve:forge and
    /// serve:rescore. A conviction for paid work takes three hosts beside the accused.
    #[arg(long, value_name = "[HOST=]KIND")]
    adversary: Vec<Adversary>,

    /// Start a host, or the gateway, again when its process ends by itself.
    #[arg(long)]
    restart: bool,

    #[command(flatten)]
    otlp: Otlp,

    /// A package of `models` in the directory that the hosts serve beside the guide.
    #[arg(long, value_name = "PACKAGE")]
    model: Option<String>,

    /// Lets a server answer for the package of --model, or for the guide.
    #[command(flatten)]
    engine: WhichEngine,
}

/// Printed once the network decides blocks.
#[derive(Debug, Serialize)]
struct Ready {
    ready: bool,
    dir: PathBuf,
    rpc: Vec<String>,
    pids: Vec<u32>,
    chain: String,
    height: u64,
    /// The OpenAI interface of the gateway that pays hosts, and the key for it.
    api: String,
    key: String,
    gateway_pid: Option<u32>,
    /// The OpenAI interfaces of all hosts.
    apis: Vec<String>,
    /// The node to join through.
    join: Option<String>,
    /// Whether other machines can reach it.
    #[serde(skip)]
    is_reachable: bool,
}

impl Show for Ready {
    fn show(&self, page: &mut Page) {
        page.line(format!("The network is up, at height {}.", self.height));
        page.gap();
        let mut fields = vec![("directory", self.dir.display().to_string()), ("chain", self.chain.clone())];
        for (rpc, pid) in self.rpc.iter().zip(&self.pids) {
            fields.push(("host", format!("{rpc}  (process {pid})")));
        }
        let process = self.gateway_pid.map(|pid| format!("  (process {pid})")).unwrap_or_default();
        fields.push(("API", format!("{}{process}", self.api)));
        fields.push(("key", self.key.clone()));
        if let Some(pages) = self.rpc.first() {
            fields.push(("pages", format!("{pages}/")));
        }
        page.fields(fields);
        if let Some(node) = self.join.as_ref().filter(|_| self.is_reachable) {
            page.gap();
            page.line(format!("Another machine joins with: freeway join {node}"));
        }
        page.gap();
        page.line(examples(&self.api, &self.key));
        page.gap();
        page.line("Ctrl-C stops it; the next `freeway up` goes on from here.");
    }
}

/// The API from a shell, Python and JavaScript, ready to paste.
fn examples(api: &str, key: &str) -> String {
    format!(
        r#"curl {api}/chat/completions -H 'authorization: Bearer {key}' -H 'content-type: application/json' \
  -d '{{"model":"guide","messages":[{{"role":"user","content":"What is Freeway?"}}]}}'

# pip install openai
from openai import OpenAI
client = OpenAI(base_url="{api}", api_key="{key}")
answer = client.chat.completions.create(model="guide", messages=[{{"role": "user", "content": "What is Freeway?"}}])
print(answer.choices[0].message.content)

// npm install openai
import OpenAI from "openai";
const client = new OpenAI({{ baseURL: "{api}", apiKey: "{key}" }});
const answer = await client.chat.completions.create({{ model: "guide", messages: [{{ role: "user", content: "What is Freeway?" }}] }});
console.log(answer.choices[0].message.content);"#
    )
}

impl Up {
    /// Runs the command.
    ///
    /// # Errors
    /// [`Problem`] says what failed and what to do.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        self.otlp.check()?;
        let output = context.output();
        let layout = Layout::open(context.directory()?)?;
        if self.fresh {
            layout.clear()?;
        }
        let model = match &self.model {
            Some(name) => Some(find(&layout.directory().join(FOLDER), name)?),
            None => self.engine.is_named().then(guide::package),
        };
        let server = match &model {
            Some(model) => self.engine.config(model.name())?,
            None => None,
        };
        let network = layout.network(
            &Wishes {
                hosts: self.hosts.map(usize::from),
                address: self.address,
                rpc_port: self.rpc_port,
                sprint_threads: self.sprint_threads.map(usize::from),
                model,
                server,
            },
            &output,
        )?;
        let adversaries = adversaries(self.adversary, &network)?;
        for (host, kind) in &adversaries {
            output.note(format!("{host} will cheat: {kind}"));
        }
        let stop = crate::signals::stop();
        let otlp = self.otlp.url().map(str::to_owned);
        let mut children = Children::start(&network.hosts, &adversaries, self.restart, otlp)?;
        let result = tokio::select! {
            result = serve(&mut children, &layout, &network, output) => result,
            () = stop => Ok(()),
        };
        output.note("stopping");
        children.stop().await;
        layout.folder().forget_running();
        result
    }
}

/// A host that shall cheat, and how.
#[derive(Clone, Debug)]
struct Adversary {
    host: Option<String>,
    kind: freeway_host::Adversary,
}

impl std::str::FromStr for Adversary {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, kind) = match text.split_once('=') {
            Some((host, kind)) => (Some(host.to_owned()), kind),
            None => (None, text),
        };
        Ok(Self { host, kind: kind.parse().map_err(|error| format!("{error}"))? })
    }
}

/// Which hosts of the network cheat, and how.
fn adversaries(
    wanted: Vec<Adversary>,
    network: &layout::Network,
) -> Result<BTreeMap<String, String>, Problem> {
    let mut found = BTreeMap::new();
    for Adversary { host, kind } in wanted {
        let host = match host {
            Some(host) if network.hosts.iter().any(|(name, _)| *name == host) => host,
            Some(host) => {
                return Err(Problem::new("unknown_host", format!("there is no host {host} here"))
                    .hint("the hosts are named host-1, host-2 and so on"));
            }
            None => network.hosts.last().map(|(name, _)| name.clone()).unwrap_or_default(),
        };
        found.insert(host, kind.to_string());
    }
    Ok(found)
}

/// Waits until the network decides blocks, says so, and shows its state until it fails.
async fn serve(
    children: &mut Children,
    layout: &Layout,
    network: &layout::Network,
    output: Output,
) -> Result<(), Problem> {
    let listens = children.all_listen(READY_TIMEOUT).await?;
    let apis = listens.iter().filter_map(|Listens { api, .. }| api.clone()).collect();
    let rpc: Vec<_> = listens.into_iter().map(|Listens { rpc, .. }| rpc).collect();
    let client = Client::new(&rpc[0]).map_err(|error| Problem::told("defect", error))?;
    let api = children.start_gateway(&network.gateway).await?;
    let height = first_block(&client, children).await?;
    let file = NetworkFile {
        rpc,
        pids: children.pids(),
        apis,
        api: Some(api.clone()),
        gateway_pid: children.gateway_pid(),
        chain: network.chain.clone(),
    };
    layout.folder().announce(&file)?;
    let ready = Ready {
        ready: true,
        dir: layout.directory().to_owned(),
        rpc: file.rpc.clone(),
        pids: file.pids.clone(),
        chain: file.chain.clone(),
        height,
        api,
        gateway_pid: file.gateway_pid,
        key: network.key.clone(),
        apis: file.apis.clone(),
        join: file.rpc.first().cloned(),
        is_reachable: !network.address.is_loopback(),
    };
    output.result(&ready)?;
    // The gateway waits for the models, and the hosts serve them as soon as they are there.
    let registering = register::models(&file.rpc, &network.served, layout.developer()?, output);
    let followed = follow(children, layout.folder(), file.clone(), output);
    tokio::select! {
        ended = followed => ended,
        () = async { registering.await; std::future::pending().await } => Ok(()),
    }
}

/// The height once a block was decided in this run.
async fn first_block(client: &Client, children: &mut Children) -> Result<u64, Problem> {
    let deadline = Instant::now() + FIRST_BLOCK_TIMEOUT;
    let mut tick = tokio::time::interval(LOOK);
    let mut start = None;
    while Instant::now() < deadline {
        tick.tick().await;
        children.check_all_alive()?;
        // A node that is just starting may not answer yet.
        let Ok(status) = client.status().await else { continue };
        let begun = *start.get_or_insert(status.height);
        if status.height > begun || (begun == 0 && status.height > 0) {
            return Ok(status.height);
        }
    }
    Err(Problem::new("no_block", format!("no block was decided within {} s", FIRST_BLOCK_TIMEOUT.as_secs()))
        .hint("look into the hosts' node.log files in the directory; the machine may be overloaded"))
}
