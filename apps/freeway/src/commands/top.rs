//! `freeway top`: the network on a terminal, live.
//!
//! ```text
//!   keys, signals, time ─┐
//!   source (a node's HTTP) ─► model ─► views ─► terminal
//!   logs (files) ────────┘    plain     pure     the only part that writes
//! ```

mod keys;
mod logs;
mod look;
mod model;
mod snapshot;
mod source;
mod terminal;
mod text;
mod views;

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use crossterm::event::{Event, EventStream};
use futures::{FutureExt, StreamExt};
use tokio::sync::{mpsc, watch};

use crate::cli::{Context, Node};
use crate::hints::Problem;
use crate::network_file::NetworkFile;
use model::{Message, Model, News, Then, View};
use snapshot::Snapshot;
use source::Wanted;
use terminal::Screen;

/// Ages on the screen grow this often.
const TICK: Duration = Duration::from_secs(1);
/// Messages that may wait.
const QUEUE: usize = 1_024;
/// Messages that are taken before something is drawn again.
const MAX_BUNCH: usize = 4_096;

const EXAMPLES: &str = "\
Examples:
  freeway top                                the network of `freeway up` in the default directory
  freeway top --rpc http://127.0.0.1:7700    a node somewhere; over SSH as well
  freeway top --view hosts                   begin with the hosts
  freeway top --once --view sprint           one frame as plain text
  freeway top --json | jq -r '[.status.height, .now.tokens.per_second] | @tsv'
                                             a line for each block

Keys: 1 to 5 or Tab for Network, Sprint, Hosts, Requests and Logs; up and down, Enter for one host; s and r sort,
/ filters, p stops the picture, ? shows all keys, q quits.

Logs are those of the network in --dir, or else what happens on the chain. Colours are the terminal's own sixteen;
NO_COLOR=1 leaves them out, and a locale without UTF-8 gets ASCII.
With --json: at_ms, node {url, reached, since_ms, problem}, status as in `freeway status --json`, now, epochs, sprint,
racers, earnings, requests, lanes; fields are only ever added.";

/// Options of `freeway top`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Top {
    /// What to begin with.
    #[arg(long, value_enum, value_name = "VIEW", default_value_t = View::Network)]
    view: View,

    /// Print it once and end: one frame as plain text, or with --json one line.
    #[arg(long)]
    once: bool,
}

impl Top {
    /// Whether it takes the terminal, and ends by itself when it is interrupted.
    pub(crate) const fn is_screen(&self, json: bool) -> bool {
        !self.once && !json
    }

    /// Runs the command.
    ///
    /// # Errors
    /// If there is no terminal for it, or no node answers at the beginning.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        let is_screen = self.is_screen(context.output().json);
        if is_screen {
            terminal::check()?;
        }
        let node = context.connect().await?;
        let model = Model::new(self.view, now_ms());
        match (is_screen, self.once) {
            (true, _) => screen(context, node, model).await,
            (false, true) => once(context, node, model).await,
            (false, false) => lines(context, node, model).await,
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The directory whose logs belong to the node that is asked.
fn log_directory(context: &Context, url: &str) -> Option<PathBuf> {
    let directory = context.directory().ok()?;
    let network = NetworkFile::read(&directory).ok()?;
    // A node that was named may be that of another network.
    let is_of_it = |known: &String| known.trim_end_matches('/') == url;
    (context.global().rpc.is_none() || network.rpc.iter().any(is_of_it)).then_some(directory)
}

/// Shows it on the terminal until somebody quits.
async fn screen(context: &Context, node: Node, mut model: Model) -> Result<(), Problem> {
    let (to, mut messages) = mpsc::channel(QUEUE);
    let (look, looked) = watch::channel(wanted(&model));
    let logs = log_directory(context, node.url()).map(|directory| tokio::spawn(logs::follow(directory, to)));
    let (tell, mut news) = mpsc::channel(QUEUE);
    // In one task: asking waits for the network, and drawing takes no time.
    let ended = tokio::select! {
        ended = shown(&mut model, &mut messages, &mut news, &look) => ended,
        () = source::ask(context, node, looked, tell) => Ok(()),
    };
    if let Some(logs) = logs {
        logs.abort();
    }
    ended
}

async fn shown(
    model: &mut Model,
    messages: &mut mpsc::Receiver<Message>,
    news: &mut mpsc::Receiver<News>,
    look: &watch::Sender<Wanted>,
) -> Result<(), Problem> {
    let mut screen = Screen::open()?;
    let mut keys = EventStream::new();
    let mut stop = std::pin::pin!(crate::signals::stop());
    let mut continued = Continued::new();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut has_logs = true;
    loop {
        screen.draw(model)?;
        let message = tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            () = continued.next() => {
                screen.renew()?;
                continue;
            }
            key = keys.next() => match key {
                Some(Ok(Event::Key(key))) => {
                    keys::action(key, model.typing.is_some()).map(Message::Do)
                }
                // Another size, or what means nothing: it is drawn anew.
                Some(Ok(_)) => None,
                // The terminal is gone.
                Some(Err(_)) | None => return Ok(()),
            },
            said = news.recv() => match said {
                Some(said) => Some(Message::News(Box::new(said))),
                None => return Ok(()),
            },
            line = messages.recv(), if has_logs => {
                has_logs = line.is_some();
                line
            }
            _ = tick.tick() => Some(Message::Tick),
        };
        let mut then = message.map_or(Then::On, |message| model.update(message, now_ms()));
        // What is there already is drawn at once, not one by one.
        for _ in 0..MAX_BUNCH {
            let Some(Some(said)) = news.recv().now_or_never() else { break };
            model.update(Message::News(Box::new(said)), now_ms());
        }
        let wanted = wanted(model);
        look.send_if_modified(|known| std::mem::replace(known, wanted) != wanted);
        if then == Then::Suspend {
            screen.suspend().await?;
            // The screen was taken again already.
            continued = Continued::new();
            then = Then::On;
        }
        match then {
            Then::Quit => return Ok(()),
            Then::Redraw => screen.renew()?,
            Then::On | Then::Suspend => {}
        }
    }
}

const fn wanted(model: &Model) -> Wanted {
    Wanted { view: model.view, host: model.open, all: false }
}

/// When the process goes on after it was stopped by somebody else: the terminal may be in any state.
struct Continued {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Continued {
    #[cfg(unix)]
    fn new() -> Self {
        let kind = tokio::signal::unix::SignalKind::from_raw(rustix::process::Signal::CONT.as_raw());
        Self { signal: tokio::signal::unix::signal(kind).ok() }
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        match &mut self.signal {
            Some(signal) => {
                signal.recv().await;
            }
            None => std::future::pending().await,
        }
    }

    #[cfg(not(unix))]
    const fn new() -> Self {
        Self {}
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        std::future::pending().await
    }
}

/// Prints one frame, or one line of JSON.
async fn once(context: &Context, node: Node, mut model: Model) -> Result<(), Problem> {
    let output = context.output();
    let directory = log_directory(context, node.url());
    let host = None;
    let wanted = Wanted { view: model.view, host, all: output.json };
    let (tell, mut news) = mpsc::channel(QUEUE);
    let listen = async {
        while let Some(said) = news.recv().await {
            model.update(Message::News(Box::new(said)), now_ms());
        }
    };
    let ask = async move { source::once(node, wanted, &tell).await };
    let (asked, ()) = tokio::join!(ask, listen);
    asked?;
    if output.json {
        return output.result(&Snapshot::of(&model));
    }
    if model.view == View::Logs
        && let Some(directory) = directory
    {
        let (to, mut messages) = mpsc::channel(QUEUE);
        let following = tokio::spawn(logs::follow(directory, to));
        // Whether there are files comes first, then their lines.
        for _ in 0..2 {
            let Some(message) = messages.recv().await else { break };
            let empty = matches!(message, Message::Files(false));
            model.update(message, now_ms());
            if empty {
                break;
            }
        }
        following.abort();
    }
    let look = look::Look { colour: false, ..terminal::this_look() };
    output.raw(views::plain(&mut model, look, terminal::area(terminal::size())).as_bytes())
}

/// Prints a line of JSON for each block, and when the node goes away or comes back.
async fn lines(context: &Context, node: Node, mut model: Model) -> Result<(), Problem> {
    let output = context.output();
    let (tell, mut news) = mpsc::channel(QUEUE);
    let (_look, looked) = watch::channel(Wanted { all: true, ..wanted(&model) });
    let mut printed = None;
    let print = async {
        loop {
            let Some(said) = news.recv().await else { return Ok(()) };
            let is_end = matches!(said, News::Whole | News::Lost { .. });
            model.update(Message::News(Box::new(said)), now_ms());
            let data = model.data();
            let mark = (data.status.as_ref().map(|status| status.height), data.link.reached);
            // Attempts to come back are no news.
            if is_end && printed != Some(mark) {
                printed = Some(mark);
                output.result(&Snapshot::of(&model))?;
            }
        }
    };
    tokio::select! {
        ended = print => ended,
        () = source::ask(context, node, looked, tell) => Ok(()),
    }
}
