//! Asks one node: after each block for what is looked at, and again when the look changes. Nothing is asked while
//! nothing happens.

use std::collections::BTreeSet;
use std::time::Duration;

use freeway_api::explorer::{EpochRow, EventRow, HostEpochRow, LaneRow};
use freeway_api::{BlockEvent, Client, ClientError, EventStream, EventView, Status, StreamItem};
use freeway_primitives::Address;
use futures::{FutureExt, StreamExt};
use tokio::sync::{mpsc, watch};

use super::model::{Detail, MAX_EPOCHS, News, View};
use crate::cli::{Context, Node};
use crate::hints::Problem;

/// A node that takes longer to answer is gone.
const PATIENCE: Duration = Duration::from_secs(10);
/// Waits between attempts to reach a node: the first, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Hosts and results of a race on a page, and pages at most.
const PAGE: u64 = 200;
const MAX_PAGES: usize = 20;
/// Blocks whose certificates are asked for at once.
const BLOCKS: u64 = 100;
/// Hosts whose earnings are asked for after a block, and commitments.
const MAX_ASKED: usize = 256;
const MAX_COMMITMENTS: usize = 60;
/// Questions at a time.
const ABREAST: usize = 8;
/// Rows of tables of the history.
const WORK_ROWS: u64 = 240;
const LANE_ROWS: u64 = 100;
const HOST_ROWS: u64 = 60;
/// Blocks back from which events are told at the beginning.
const EVENTS_BACK: u64 = 200;
/// Blocks that came in a bunch are taken together.
const MAX_BUNCH: usize = 1_000;

/// The code of having missed blocks.
const LAGGED: &str = "lagged";

/// What is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) view: View,
    /// The host that is looked at closely.
    pub(super) host: Option<Address>,
    /// Whether all of it is wanted, as programs do.
    pub(super) all: bool,
}

impl Wanted {
    fn has(self, view: View) -> bool {
        self.all || self.view == view
    }
}

/// Asks, and sends what it hears, until nobody listens.
pub(super) async fn ask(
    context: &Context,
    first: Node,
    mut wanted: watch::Receiver<Wanted>,
    to: mpsc::Sender<News>,
) {
    let mut node = Some(first);
    let mut next = None;
    let mut wait = FIRST_WAIT;
    loop {
        let reached = match node.take() {
            Some(node) => Ok(node),
            None => context.connect().await,
        };
        let problem = match reached {
            Ok(node) => {
                let mut asker = Asker::new(node, next, &to);
                let ended = asker.follow(&mut wanted).await;
                next = asker.next;
                if asker.came_far {
                    wait = FIRST_WAIT;
                }
                match ended {
                    Ended::Unheard => return,
                    // The node is there; what was missed is asked for.
                    Ended::Lost(problem) if problem.code() == LAGGED => continue,
                    Ended::Lost(problem) => problem,
                }
            }
            Err(problem) => problem,
        };
        let news = News::Lost { problem: problem.message().to_owned() };
        if to.send(news).await.is_err() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = to.closed() => return,
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Asks once for everything that is wanted.
///
/// # Errors
/// If the node does not answer, or refuses.
pub(super) async fn once(node: Node, wanted: Wanted, to: &mpsc::Sender<News>) -> Result<(), Problem> {
    let mut asker = Asker::new(node, None, to);
    match asker.begin(wanted).await {
        Ok(()) => Ok(()),
        Err(Ended::Lost(problem)) => Err(problem),
        Err(Ended::Unheard) => Ok(()),
    }
}

/// Why asking ended.
enum Ended {
    /// Nobody listens.
    Unheard,
    /// The node is gone.
    Lost(Problem),
}

impl From<Problem> for Ended {
    fn from(problem: Problem) -> Self {
        Self::Lost(problem)
    }
}

impl From<ClientError> for Ended {
    fn from(error: ClientError) -> Self {
        Self::Lost(error.into())
    }
}

/// Asks one node, and remembers what need not be asked again.
struct Asker<'a> {
    client: Client,
    to: &'a mpsc::Sender<News>,
    /// The status of the connection, until it is told.
    status: Option<Status>,
    /// The next block.
    next: Option<u64>,
    /// Whether the node has answered everything once.
    came_far: bool,
    has_explorer: bool,
    /// Of the latest certificate.
    certified: Option<u64>,
    /// What the rows of epochs were asked for.
    epochs: Option<(u64, u64, u64)>,
    /// The race whose results are known.
    settled: Option<u64>,
    /// Hosts whose earnings are known.
    earned: BTreeSet<Address>,
    /// Whether work or lanes have changed since they were asked for.
    work: bool,
    lanes: bool,
    /// Commitments that are known and decided.
    decided: BTreeSet<(u64, Address)>,
}

impl<'a> Asker<'a> {
    fn new(node: Node, next: Option<u64>, to: &'a mpsc::Sender<News>) -> Self {
        Self {
            client: node.client().clone(),
            to,
            status: Some(node.status),
            next,
            came_far: false,
            has_explorer: true,
            certified: None,
            epochs: None,
            settled: None,
            earned: BTreeSet::new(),
            work: true,
            lanes: true,
            decided: BTreeSet::new(),
        }
    }

    async fn tell(&self, news: News) -> Result<(), Ended> {
        self.to.send(news).await.map_err(|_| Ended::Unheard)
    }

    /// Says that the node answers, and everything that is wanted.
    async fn begin(&mut self, wanted: Wanted) -> Result<(), Ended> {
        self.tell(News::Reached { url: self.client.url().to_owned() }).await?;
        self.refresh(wanted).await?;
        self.came_far = true;
        Ok(())
    }

    async fn follow(&mut self, wanted: &mut watch::Receiver<Wanted>) -> Ended {
        match self.blocks(wanted).await {
            Ok(problem) => Ended::Lost(problem),
            Err(ended) => ended,
        }
    }

    /// Follows blocks until the connection ends, and says why it did.
    async fn blocks(&mut self, wanted: &mut watch::Receiver<Wanted>) -> Result<Problem, Ended> {
        let height = self.status.as_ref().map_or(0, |status| status.height);
        let oldest = self.status.as_ref().map_or(0, |status| status.oldest_block);
        // Nodes tell a thousand blocks back; a chain that is shorter than what was seen is another one.
        let known =
            self.next.filter(|next| *next <= height + 1 && height.saturating_sub(*next) < EVENTS_BACK);
        let from = known.unwrap_or(height.saturating_sub(EVENTS_BACK)).max(oldest).max(1);
        let mut stream = self.client.events(Some(from)).await?;
        let now = *wanted.borrow_and_update();
        self.begin(now).await?;
        loop {
            let item = tokio::select! {
                item = stream.next() => item,
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return Err(Ended::Unheard);
                    }
                    let now = *wanted.borrow_and_update();
                    self.refresh(now).await?;
                    continue;
                }
                () = self.to.closed() => return Err(Ended::Unheard),
            };
            let Some(ended) = self.bunch(item, &mut stream).await? else {
                let now = *wanted.borrow_and_update();
                self.refresh(now).await?;
                continue;
            };
            return Ok(ended);
        }
    }

    /// Takes a block and all that are there already; why the stream ended, if it did.
    async fn bunch(
        &mut self,
        first: Result<Option<StreamItem>, ClientError>,
        stream: &mut EventStream,
    ) -> Result<Option<Problem>, Ended> {
        let mut item = first;
        for _ in 0..MAX_BUNCH {
            match item {
                Ok(Some(StreamItem::Block(block))) => self.block(block).await?,
                Ok(Some(StreamItem::Lagged(lagged))) => {
                    self.next = Some(lagged.from);
                    return Ok(Some(Problem::new(LAGGED, "the node was faster than this terminal")));
                }
                Ok(None) => return Ok(Some(Problem::new("ended", "the node ended the connection"))),
                Err(error) => return Ok(Some(error.into())),
            }
            match stream.next().now_or_never() {
                Some(more) => item = more,
                None => break,
            }
        }
        Ok(None)
    }

    async fn block(&mut self, block: Box<BlockEvent>) -> Result<(), Ended> {
        self.next = Some(block.height.saturating_add(1));
        let of_transactions = block.transactions.iter().flat_map(|receipt| &receipt.events);
        for event in of_transactions.chain(&block.events) {
            self.notice(event);
        }
        self.tell(News::Block(block)).await
    }

    /// Forgets what an event has changed.
    fn notice(&mut self, event: &EventView) {
        match event {
            EventView::Granted { host, .. }
            | EventView::Released { host, .. }
            | EventView::RewardsForfeited { host, .. }
            | EventView::LanesForfeited { host, .. } => {
                self.earned.remove(host);
            }
            EventView::LaneSettled { host, .. } => {
                self.earned.remove(host);
                self.lanes = true;
            }
            EventView::WorkMatured { host, .. } => {
                self.earned.remove(host);
                self.work = true;
            }
            EventView::WorkCommitted { .. }
            | EventView::WorkDrawn { .. }
            | EventView::WorkClosing { .. }
            | EventView::WorkVoided { .. }
            | EventView::WorkVerdictsGiven { .. }
            | EventView::WorkRevealed { .. }
            | EventView::WorkDemanded { .. }
            | EventView::WorkAnswered { .. }
            | EventView::ReceiptReported { .. }
            | EventView::WorkTrialOpened { .. }
            | EventView::WorkAcquitted { .. }
            | EventView::WorkFalseVerdict { .. }
            | EventView::WorkConvicted { .. } => self.work = true,
            EventView::LaneOpened { .. }
            | EventView::LaneDrawn { .. }
            | EventView::LaneToppedUp { .. }
            | EventView::LaneClosing { .. }
            | EventView::LaneEnded { .. } => self.lanes = true,
            _ => {}
        }
    }

    /// Asks for what is looked at. A node that does not answer in time is gone.
    async fn refresh(&mut self, wanted: Wanted) -> Result<(), Ended> {
        let url = self.client.url().to_owned();
        match tokio::time::timeout(PATIENCE, self.asked(wanted)).await {
            Ok(asked) => asked,
            Err(_) => {
                let message = format!("{url} does not answer within {} s", PATIENCE.as_secs());
                Err(Problem::new("timed_out", message).into())
            }
        }
    }

    async fn asked(&mut self, wanted: Wanted) -> Result<(), Ended> {
        let status = match self.status.take() {
            Some(status) => status,
            None => self.client.status().await?,
        };
        let hosts: Vec<Address> = status.hosts.iter().map(|host| host.address).collect();
        self.tell(News::Status(Box::new(status))).await?;
        self.figures(wanted).await?;
        if wanted.has(View::Network) {
            self.certificates().await?;
        }
        if wanted.has(View::Sprint) {
            self.race().await?;
        }
        if wanted.has(View::Hosts) || wanted.has(View::Requests) {
            self.earnings(&hosts).await?;
        }
        if let Some(host) = wanted.host {
            self.host(host).await?;
        }
        if wanted.has(View::Requests) {
            self.requests().await?;
        }
        self.tell(News::Whole).await
    }

    /// The explorer's figures, and epochs when one of them has changed.
    async fn figures(&mut self, wanted: Wanted) -> Result<(), Ended> {
        if !self.has_explorer {
            return Ok(());
        }
        let Some(now) = optional(self.client.explorer_now().await)? else {
            self.has_explorer = false;
            return self.tell(News::Now(None)).await;
        };
        let race = now.capacity.as_ref().map_or(0, |capacity| capacity.epoch);
        let tokens = now.tokens.as_ref().map_or(0, |tokens| tokens.total);
        let mark = (now.clock.epoch, race, tokens);
        self.tell(News::Now(Some(Box::new(now)))).await?;
        if wanted.has(View::Network) && self.epochs != Some(mark) {
            let rows = optional(self.client.explorer_rows::<EpochRow>(&[], MAX_EPOCHS).await)?;
            if let Some(page) = rows {
                self.epochs = Some(mark);
                self.tell(News::Epochs(page.rows)).await?;
            }
        }
        Ok(())
    }

    /// Blocks with their certificates, from the last known one on.
    async fn certificates(&mut self) -> Result<(), Ended> {
        let from = self.certified.map(|height| height.saturating_add(1));
        let mut page = self.client.blocks(from, BLOCKS).await?;
        if from.is_some_and(|from| page.latest > from.saturating_add(BLOCKS)) {
            // It was not looked at for long: the latest are what counts.
            page = self.client.blocks(None, BLOCKS).await?;
        }
        page.blocks.sort_by_key(|block| block.height);
        self.certified = page.blocks.last().map(|block| block.height).or(self.certified);
        self.tell(News::Blocks(page.blocks)).await
    }

    async fn race(&mut self) -> Result<(), Ended> {
        let race = self.client.sprint().await?;
        let settled = race.settled;
        let mut racers = Vec::new();
        let mut after = None;
        for _ in 0..MAX_PAGES {
            let page = self.client.sprint_hosts(after.as_ref(), PAGE).await?;
            racers.extend(page.hosts);
            // A page goes on after `after`: a node that repeats itself would keep us here.
            after = page.next.filter(|next| after.is_none_or(|after| *next > after));
            if after.is_none() {
                break;
            }
        }
        self.tell(News::Race(Box::new(race), racers)).await?;
        if settled.is_some() && settled != self.settled {
            let results = self.client.sprint_results(None, PAGE).await?;
            self.settled = settled;
            self.tell(News::Results(Box::new(results))).await?;
        }
        Ok(())
    }

    /// What hosts earn, of those whose earnings are not known or have changed.
    async fn earnings(&mut self, hosts: &[Address]) -> Result<(), Ended> {
        let unknown = hosts.iter().filter(|host| !self.earned.contains(host)).take(MAX_ASKED);
        let client = self.client.clone();
        let questions = unknown.copied().map(|host| {
            let client = client.clone();
            async move { client.earnings(&host).await }
        });
        let answers: Vec<_> = futures::stream::iter(questions).buffer_unordered(ABREAST).collect().await;
        for answer in answers {
            let earned = answer?;
            self.earned.insert(earned.host);
            self.tell(News::Earned(Box::new(earned))).await?;
        }
        Ok(())
    }

    async fn host(&mut self, address: Address) -> Result<(), Ended> {
        let Some(host) = optional(self.client.host(&address).await)? else { return Ok(()) };
        let lanes = self.client.lanes_of_host(&address, None, PAGE).await?.lanes;
        let history: Vec<HostEpochRow> = match self.has_explorer {
            true => optional(self.client.explorer_host(&address, HOST_ROWS).await)?
                .map(|page| page.rows)
                .unwrap_or_default(),
            false => Vec::new(),
        };
        self.tell(News::Host(Box::new(Detail { host, lanes, history }))).await
    }

    /// Commitments to served work, and lanes.
    async fn requests(&mut self) -> Result<(), Ended> {
        // Its stages change with blocks in which nothing happens.
        let work = self.client.work().await?;
        let rounds: Vec<u64> = work.rounds.iter().map(|round| round.interval).collect();
        self.tell(News::Rounds(Box::new(work))).await?;
        if self.work {
            let mut known: Vec<(u64, Address)> = Vec::new();
            if self.has_explorer {
                let kinds = "work.committed,work.matured,work.voided,verification.convicted".to_owned();
                let filters = [("kinds", kinds)];
                let rows = optional(self.client.explorer_rows::<EventRow>(&filters, WORK_ROWS).await)?;
                let rows = rows.map(|page| page.rows).unwrap_or_default();
                known.extend(
                    rows.iter()
                        .filter_map(|row| Some((row.interval?, row.subject.as_deref()?.parse().ok()?))),
                );
                self.tell(News::Work(rows)).await?;
            } else {
                for interval in rounds {
                    let page = self.client.commitments(interval, None, PAGE).await?;
                    known.extend(page.commitments.iter().map(|one| (one.interval, one.host)));
                }
            }
            self.commitments(known).await?;
            self.work = false;
        }
        if self.lanes && self.has_explorer {
            if let Some(page) = optional(self.client.explorer_rows::<LaneRow>(&[], LANE_ROWS).await)? {
                self.tell(News::Lanes(page.rows)).await?;
            }
            self.lanes = false;
        }
        Ok(())
    }

    /// Details of the latest of these commitments, of those that are not decided and known.
    async fn commitments(&mut self, mut known: Vec<(u64, Address)>) -> Result<(), Ended> {
        known.sort_unstable_by(|a, b| b.cmp(a));
        known.dedup();
        known.truncate(MAX_COMMITMENTS);
        known.retain(|key| !self.decided.contains(key));
        let client = self.client.clone();
        let questions = known.into_iter().map(|(interval, host)| {
            let client = client.clone();
            async move { ((interval, host), client.commitment(interval, &host).await) }
        });
        let answers: Vec<_> = futures::stream::iter(questions).buffer_unordered(ABREAST).collect().await;
        for (key, answer) in answers {
            let view = optional(answer)?;
            // What the chain has forgotten is decided.
            if view.as_ref().is_none_or(|view| view.summary.state != "open") {
                self.decided.insert(key);
            }
            if let Some(view) = view {
                self.tell(News::Commitment(Box::new(view))).await?;
            }
        }
        // As many as are looked at, twice over.
        while self.decided.len() > 2 * MAX_COMMITMENTS {
            self.decided.pop_first();
        }
        Ok(())
    }
}

/// Nothing where the node says that there is no such thing, or that it cannot tell now.
fn optional<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(ClientError::Api { status: 404 | 503, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
