//! A host that serves over loopback: a chain that is a table, engines that are small.

use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use freeway_api::ErrorBody;
use freeway_api::serving::{Ask, Done, Frame, Frames, most};
use freeway_engines::{
    Capabilities, Engine, EngineError, Event, EventStream, Exact, ExactOptions, FinishReason, Finished,
    Health, Job, ModelInfo, Registry, Stats, Tier, Token,
};
use freeway_host::adversary::Serve;
use freeway_host::core::Refusal;
use freeway_host::openings::SignedOpenings;
use freeway_host::server::{self, Progress, Show};
use freeway_host::serving::store::{Signer, WorkStore};
use freeway_host::serving::view::View;
use freeway_host::serving::{self, Desk, Limits, Serving};
use freeway_inference::{EngineOptions, ModelOptions};
use freeway_ledger::lanes::{Constraints, LANES, Lane, Share, State};
use freeway_ledger::{Genesis, GenesisAccount, GenesisHost, MemoryState, Preset, Reader, Text, models, open};
use freeway_models::synthetic::{Recipe, coarser};
use freeway_models::{Group, Package};
use freeway_primitives::{Address, Amount, Canonical, ChainId, Digest, Epoch, Height, SecretKey};
use freeway_proofs::work::{LaneId, Prices, VOUCHER, Voucher};
use freeway_requests::{LogProb, ModelRoot, Q16, Sampling, Scored, Seed, TokenRequest};
use freeway_store::Medium;
use futures::StreamExt;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// The lane of the real model, and that of one that never answers.
pub(crate) const LANE: LaneId = LaneId(3);
pub(crate) const STUCK_LANE: LaneId = LaneId(4);
pub(crate) const STUCK: Digest = Digest([0x55; 32]);
/// The lane of the real model as one of the statistical tier, and that of a server that does not keep to its word.
pub(crate) const LIKELY_LANE: LaneId = LaneId(5);
pub(crate) const LOOSE_LANE: LaneId = LaneId(6);
pub(crate) const LOOSE: Digest = Digest([0x66; 32]);
/// What ends an answer of that server.
pub(crate) const STOP: u32 = 40;
pub(crate) const PRICES: Prices = Prices { input: 1_000_000, cached: 100_000, output: 3_000_000 };

pub(crate) fn host_key() -> SecretKey {
    SecretKey::from_seed([9; 32])
}

pub(crate) fn lane_key() -> SecretKey {
    SecretKey::from_seed([7; 32])
}

pub(crate) fn host() -> Address {
    Address::of(&SecretKey::from_seed([8; 32]).public())
}

pub(crate) fn package() -> Package {
    Recipe::llama().package(Group::G32).unwrap()
}

/// Never answers; says when it was dropped.
struct Stuck(mpsc::UnboundedSender<()>);

struct Dropped(mpsc::UnboundedSender<()>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[async_trait]
impl Engine for Stuck {
    fn label(&self) -> &str {
        "stuck"
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, EngineError> {
        let (name, owned_by) = ("stuck".to_owned(), "test".to_owned());
        let root = Some(ModelRoot(STUCK));
        Ok(vec![ModelInfo { name, root, context: None, tier: Tier::Exact, owned_by, created: 0 }])
    }

    fn capabilities(&self, _: &str) -> Option<Capabilities> {
        None
    }

    async fn generate(&self, _: &str, _: Job) -> Result<EventStream, EngineError> {
        let dropped = Dropped(self.0.clone());
        let first = futures::stream::iter([Event::Started { prompt_tokens: 1, cached_tokens: 0 }]);
        let rest = futures::stream::poll_fn(move |_| {
            let _dropped = &dropped;
            core::task::Poll::Pending
        });
        Ok(first.chain(rest).boxed())
    }

    async fn health(&self) -> Health {
        Health { ok: true, detail: String::new() }
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }
}

/// A server that tells likelihoods. What it does is the first token of the prompt: 0 for what it should, 1 to end too
/// early, 2 to leave a token's likelihood out, 3 to go on behind the stop token.
struct Loose;

#[async_trait]
impl Engine for Loose {
    fn label(&self) -> &str {
        "loose"
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, EngineError> {
        let (name, owned_by) = ("loose".to_owned(), "test".to_owned());
        let root = Some(ModelRoot(LOOSE));
        Ok(vec![ModelInfo { name, root, context: None, tier: Tier::Statistical, owned_by, created: 0 }])
    }

    fn capabilities(&self, _: &str) -> Option<Capabilities> {
        Some(Capabilities { can_execute: true, takes_tokens: true, ..Capabilities::default() })
    }

    async fn generate(&self, _: &str, job: Job) -> Result<EventStream, EngineError> {
        assert!(job.claims && !job.trace);
        let how = job.request.prompt[0];
        let top = (0..5).map(|id| (id, LogProb(-1_000))).collect();
        let scored = Scored { logprob: LogProb(-1_500), rank: 2, top };
        let token = |id, scored| Event::Token(Token { choice: 0, id, scored });
        let mut events = vec![Event::Started { prompt_tokens: 1, cached_tokens: 0 }];
        let (likely, stops) = (Some(scored.clone()), how != 1);
        events.push(token(7, likely.clone()));
        events.push(token(8, likely.filter(|_| how != 2)));
        events.extend(stops.then(|| token(STOP, None)));
        events.extend((how == 3).then(|| token(9, Some(scored))));
        let reason = if stops { FinishReason::Stop(STOP) } else { FinishReason::Length };
        events.push(Event::Finished(Finished { choice: 0, reason, completion_tokens: 3, trace: None }));
        Ok(futures::stream::iter(events).boxed())
    }

    async fn health(&self) -> Health {
        Health { ok: true, detail: String::new() }
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }
}

/// A chain that is a table.
pub(crate) struct Table {
    pub(crate) chain: ChainId,
    inner: Mutex<(MemoryState, Height)>,
    /// What becomes of a lane after somebody looks the next time.
    then: Mutex<Option<(LaneId, Lane)>>,
}

impl Table {
    pub(crate) fn set_lane(&self, id: LaneId, lane: &Lane) {
        let mut inner = self.inner.lock().unwrap();
        inner.0.0.insert(LANES.key(&id), borsh::to_vec(lane).unwrap());
        inner.1 = inner.1.next();
    }

    /// Puts something else into the state.
    pub(crate) fn set(&self, key: Vec<u8>, value: &impl borsh::BorshSerialize) {
        self.inner.lock().unwrap().0.0.insert(key, borsh::to_vec(value).unwrap());
    }

    pub(crate) fn set_lane_after_look(&self, id: LaneId, lane: Lane) {
        *self.then.lock().unwrap() = Some((id, lane));
    }

    pub(crate) fn lane(&self, id: LaneId) -> Lane {
        LANES.get(&self.inner.lock().unwrap().0, &id).unwrap().unwrap()
    }
}

struct Look(Arc<Table>);

impl View for Look {
    fn look(&self, see: &mut dyn FnMut(&dyn Reader, Height)) {
        {
            let inner = self.0.inner.lock().unwrap();
            see(&inner.0, inner.1);
        }
        if let Some((id, lane)) = self.0.then.lock().unwrap().take() {
            self.0.set_lane(id, &lane);
        }
    }

    fn is_current(&self) -> bool {
        true
    }
}

fn table(root: Digest) -> Arc<Table> {
    let text = |text: &str| Text::new(text).unwrap();
    let genesis = Genesis {
        name: text("test"),
        time_ms: 1,
        params: Preset::Local.params(),
        accounts: vec![GenesisAccount { address: host(), balance: Amount::fwy(100) }],
        hosts: vec![GenesisHost {
            address: host(),
            consensus_key: host_key().public(),
            weight: 100,
            collateral: Amount::fwy(10),
            operator: text("operator"),
            region: text("somewhere"),
            endpoints: Vec::new(),
        }],
    };
    let (delta, _) = open(&genesis).unwrap();
    let mut state = MemoryState::default();
    state.apply(&delta);
    let table = Arc::new(Table {
        chain: genesis.chain(),
        inner: Mutex::new((state, Height(20))),
        then: Mutex::default(),
    });
    let share = Share {
        host: host(),
        key: host_key().public(),
        operator: text("operator"),
        drawn: Height(5),
        deposit: Amount(1_000_000),
        paid: Amount::ZERO,
        arms_length: true,
    };
    let (exact, likely) = (models::Tier::Exact, models::Tier::Statistical);
    let model = models::Model {
        name: text("loose"),
        tier: likely,
        context: 64,
        vocabulary: 64,
        work: 1,
        by: host(),
        bond: Amount::ZERO,
        since: Epoch(0),
        prices: PRICES,
        noise: None,
    };
    table.inner.lock().unwrap().0.0.insert(models::MODELS.key(&LOOSE), borsh::to_vec(&model).unwrap());
    let lanes = [
        (LANE, root, exact),
        (STUCK_LANE, STUCK, exact),
        (LIKELY_LANE, root, likely),
        (LOOSE_LANE, LOOSE, likely),
    ];
    for (id, model, tier) in lanes {
        let lane = Lane {
            payer: Address([1; 32]),
            key: lane_key().public(),
            model,
            tier,
            prices: PRICES,
            escrow: Amount(1_000_000),
            constraints: Constraints::default(),
            wanted: 1,
            opened: Height(4),
            expires: Height(400),
            state: State::Open,
            shares: vec![share.clone()],
        };
        table.set_lane(id, &lane);
    }
    table
}

/// Shows nothing of races.
struct Nothing;

impl Show for Nothing {
    fn openings(&self, _: Epoch, _: Address) -> Result<SignedOpenings, Refusal> {
        Err(Refusal::NoRace)
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }
}

/// A host that serves.
pub(crate) struct Running {
    pub(crate) url: String,
    pub(crate) table: Arc<Table>,
    pub(crate) store: Arc<WorkStore>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) package: Package,
    /// Tells of each request that was dropped by the engine that never answers.
    pub(crate) dropped: mpsc::UnboundedReceiver<()>,
    stop: watch::Sender<bool>,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
}

/// How a payer's request ended.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) frames: Vec<Frame>,
    pub(crate) tokens: Vec<Vec<u32>>,
    pub(crate) done: Done,
}

impl Running {
    pub(crate) async fn start(folder: &Path, adversary: Option<Serve>) -> Self {
        let package = package();
        let table = table(package.root().0);
        Self::start_on(folder, table, package, adversary, Limits::default()).await
    }

    pub(crate) async fn start_on(
        folder: &Path,
        table: Arc<Table>,
        package: Package,
        adversary: Option<Serve>,
        limits: Limits,
    ) -> Self {
        let exact = Exact::new(ExactOptions {
            model: ModelOptions { threads: 1, ..ModelOptions::default() },
            engine: EngineOptions { cache_bytes: 16 << 20, ..EngineOptions::default() },
            ..ExactOptions::default()
        });
        exact.add("tiny", package.clone()).unwrap();
        if matches!(adversary, Some(Serve::Coarser | Serve::Rescore)) {
            exact.add("tiny-coarse", coarser(&package).unwrap()).unwrap();
        }
        let (tell, dropped) = mpsc::unbounded_channel();
        let engines = Arc::new(Registry::new());
        engines.add_engine(Arc::new(exact)).await.unwrap();
        engines.add_engine(Arc::new(Stuck(tell))).await.unwrap();
        engines.add_engine(Arc::new(Loose)).await.unwrap();
        let models = [("tiny", package.root().0), ("stuck", STUCK), ("loose", LOOSE)];
        let models = models.map(|(name, root)| (name.to_owned(), root)).to_vec();
        let serving = Serving { engines, models, scorers: Vec::new(), requests: limits.requests };
        let signer = Signer { chain: table.chain, host: host(), key: host_key() };
        let store = Arc::new(WorkStore::open(Medium::Directory(folder.into()), signer.clone()).unwrap());
        let view = Box::new(Look(Arc::clone(&table)));
        let desk = Arc::new(Desk::new(view, Arc::clone(&store), signer, &serving, limits, adversary));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, mut stopped) = watch::channel(false);
        let ended = async move { drop(stopped.wait_for(|stop| *stop).await) };
        let routes = serving::routes(Arc::clone(&desk));
        let served = tokio::spawn(server::serve(listener, Nothing, routes, ended));
        Self { url, table, store, desk, package, dropped, stop, served }
    }

    /// Stops it; whoever has its folder may start another.
    pub(crate) async fn stop(self) -> (Arc<Table>, Package) {
        self.stop.send_replace(true);
        self.served.await.unwrap().unwrap();
        (self.table, self.package)
    }

    pub(crate) fn request(&self, seed: i64) -> TokenRequest {
        TokenRequest {
            choices: 2,
            sampling: Sampling { temperature: Q16::ONE, ..Sampling::default() },
            seed: Seed::of_number(seed),
            ..TokenRequest::greedy(self.package.root(), vec![3, 4, 5, 6, 7], 12)
        }
    }

    pub(crate) fn stuck_request(&self) -> TokenRequest {
        TokenRequest::greedy(ModelRoot(STUCK), vec![3], 4)
    }

    pub(crate) fn loose_request(&self, how: u32) -> TokenRequest {
        let stop = [STOP].into_iter().collect();
        TokenRequest { stop, ..TokenRequest::greedy(ModelRoot(LOOSE), vec![how], 12) }
    }

    /// A request under a voucher with this number, which allows `before` beside it.
    pub(crate) fn ask(&self, lane: LaneId, sequence: u64, before: u128, request: TokenRequest) -> Ask {
        let limit = Amount(before + most(&PRICES, &request).0);
        let spent = Amount(before);
        let voucher = Voucher { lane, host: host(), sequence, spent, limit, request: request.digest() };
        self.sign(voucher, request)
    }

    pub(crate) fn sign(&self, voucher: Voucher, request: TokenRequest) -> Ask {
        let signature = lane_key().sign(VOUCHER, &self.table.chain, &voucher);
        Ask { voucher, signature, request }
    }

    pub(crate) async fn post(&self, lane: LaneId, ask: &Ask) -> reqwest::Response {
        let url = format!("{}/v1/lanes/{}/requests", self.url, lane.0);
        reqwest::Client::new().post(url).body(ask.encode()).send().await.unwrap()
    }

    /// A request that the engine has: one that its payer leaves before that was never there for it.
    pub(crate) async fn begun(&self, lane: LaneId, ask: &Ask) -> reqwest::Response {
        let mut response = self.post(lane, ask).await;
        let mut frames = Frames::default();
        loop {
            match frames.next().unwrap() {
                Some(Frame::Started { .. }) => return response,
                Some(_) => {}
                None => frames.push(&response.chunk().await.unwrap().unwrap()),
            }
        }
    }

    /// The code with which a request is refused.
    pub(crate) async fn refused(&self, ask: &Ask) -> String {
        let response = self.post(ask.voucher.lane, ask).await;
        assert!(!response.status().is_success(), "it was taken");
        response.json::<ErrorBody>().await.unwrap().error.code
    }

    pub(crate) async fn done(&self, ask: &Ask) -> Answer {
        let response = self.post(ask.voucher.lane, ask).await;
        assert!(response.status().is_success(), "{}", response.text().await.unwrap());
        let mut frames = Frames::default();
        frames.push(&response.bytes().await.unwrap());
        let (mut all, mut tokens) = (Vec::new(), vec![Vec::new(); usize::from(ask.request.choices)]);
        while let Some(frame) = frames.next().unwrap() {
            if let Frame::Token { choice, id, .. } = &frame {
                tokens[usize::from(*choice)].push(*id);
            }
            all.push(frame);
        }
        let Some(Frame::Done(done)) = all.last().cloned() else { panic!("it ended with {:?}", all.last()) };
        Answer { frames: all, tokens, done: *done }
    }
}
