//! Hosts that do as they are told, over real connections, and a chain in memory.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::{Listener, ListenerExt};
use freeway_api::serving::{Ask, Done, Ending, Frame, frame, most};
use freeway_api::{ErrorBody, ErrorDetail};
use freeway_engines::{
    Capabilities, Engine, EngineError, Event, EventStream, FinishReason, Finished, Health, Job, ModelInfo,
    Stats, TextAssets, Tier, Token,
};
use freeway_ledger::lanes::Message;
use freeway_primitives::{Address, Amount, Canonical, ChainId, Digest, PublicKey, SecretKey};
use freeway_proofs::work::{self, Acceptance, LaneId, Prices, Receipt, Usage};
use freeway_requests::{ModelRoot, TokenRequest};
use futures::StreamExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::lanes::{Chain, ChainError, Lane, LaneEngine, LaneShare, LaneState, LanesConfig, Outcome, Sent};
use crate::text::tests::{CHATML, assets};

pub(super) const CHAIN: ChainId = ChainId(Digest([7; 32]));
pub(super) const PRICES: Prices = Prices { input: 1_000_000, cached: 500_000, output: 2_000_000 };
pub(super) const MODEL: &str = "m";

/// What a host does with the next request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Manner {
    Honest,
    /// Its key is not that of the share.
    ForgedAcceptance,
    /// Other prices than the lane's.
    Dearer,
    WrongFee,
    WrongOutput,
    WrongTotal,
    WrongTrace,
    /// The connection ends after so many tokens.
    DiesAfter(usize),
    /// From this token on it says something else.
    Differs(usize),
    /// It refuses with this code.
    Refuses(&'static str),
    /// It accepts and says nothing more.
    Silent,
    /// It goes on until this many requests have come.
    Waits(usize),
}

#[derive(Debug, Default)]
struct Books {
    /// The highest voucher.
    highest: Option<u64>,
    receipts: u64,
    total: u128,
    under_way: u128,
}

/// A host.
pub(super) struct FakeHost {
    pub(super) key: SecretKey,
    pub(super) manner: Mutex<Manner>,
    /// Requests that came.
    pub(super) asked: AtomicUsize,
    come: watch::Sender<usize>,
    books: Mutex<BTreeMap<u64, Books>>,
    voucher_key: Mutex<Option<PublicKey>>,
    pub(super) url: String,
}

/// What every honest host answers.
pub(super) fn tokens(request: &TokenRequest, choice: u16) -> Vec<u32> {
    let seed = u32::from(request.digest().0[0]) + u32::from(choice);
    (0..request.max_tokens.min(8)).map(|at| u32::from(b'a') + (seed + at * 7) % 26).collect()
}

/// Sends each frame at once, as hosts do.
pub(super) fn prompt(listener: tokio::net::TcpListener) -> impl Listener<Io = TcpStream, Addr = SocketAddr> {
    listener.tap_io(|stream| stream.set_nodelay(true).unwrap())
}

impl FakeHost {
    pub(super) async fn start(number: u8) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Arc::new(Self {
            key: SecretKey::from_seed([number; 32]),
            manner: Mutex::new(Manner::Honest),
            asked: AtomicUsize::new(0),
            come: watch::Sender::new(0),
            books: Mutex::default(),
            voucher_key: Mutex::default(),
            url: format!("http://{}", listener.local_addr().unwrap()),
        });
        let app = Router::new().route("/v1/lanes/{lane}/requests", post(serve)).with_state(Arc::clone(&host));
        tokio::spawn(async move { axum::serve(prompt(listener), app).await });
        host
    }

    pub(super) fn address(&self) -> Address {
        Address::of(&self.key.public())
    }

    pub(super) fn is(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    pub(super) fn total(&self) -> u128 {
        self.books.lock().unwrap().values().map(|books| books.total).sum()
    }

    fn refuse(code: &str) -> Response {
        let body = ErrorBody { error: ErrorDetail::new(code, "no") };
        (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
    }

    /// As hosts do: only what is covered.
    fn check(&self, lane: u64, ask: &Ask) -> Result<u128, &'static str> {
        let voucher = &ask.voucher;
        let key = self.voucher_key.lock().unwrap().unwrap();
        if key.verify(work::VOUCHER, &CHAIN, voucher, &ask.signature).is_err() {
            return Err("bad_signature");
        }
        if voucher.request != ask.request.digest() || voucher.host != self.address() || voucher.lane.0 != lane
        {
            return Err("wrong_request");
        }
        let most = most(&PRICES, &ask.request).0;
        let mut books = self.books.lock().unwrap();
        let books = books.entry(lane).or_default();
        if books.highest.is_some_and(|highest| voucher.sequence + 256 <= highest) {
            return Err("stale_voucher");
        }
        if voucher.limit.0 < books.total + books.under_way + most {
            return Err("over_limit");
        }
        books.highest = books.highest.max(Some(voucher.sequence));
        books.under_way += most;
        Ok(most)
    }
}

/// Gives what was set aside back.
struct UnderWay(Arc<FakeHost>, u64, u128);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.books.lock().unwrap().get_mut(&self.1).unwrap().under_way -= self.2;
    }
}

async fn serve(State(host): State<Arc<FakeHost>>, Path(lane): Path<u64>, body: Bytes) -> Response {
    let ask = Ask::decode(&body).unwrap();
    host.asked.fetch_add(1, Ordering::SeqCst);
    host.come.send_modify(|come| *come += 1);
    let manner = host.manner.lock().unwrap().clone();
    if let Manner::Refuses(code) = manner {
        return FakeHost::refuse(code);
    }
    let most = match host.check(lane, &ask) {
        Ok(most) => most,
        Err(code) => return FakeHost::refuse(code),
    };
    let under_way = UnderWay(Arc::clone(&host), lane, most);
    let (sender, receiver) = tokio::sync::mpsc::channel::<Vec<u8>>(64);
    tokio::spawn(async move {
        let mut sender = Some(sender);
        answer(&host, under_way, &ask, &manner, &mut sender).await;
        if manner == Manner::Silent {
            sender.unwrap().closed().await;
        }
    });
    let pieces = futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|bytes| (Ok::<_, std::io::Error>(Bytes::from(bytes)), receiver))
    });
    Response::new(Body::from_stream(pieces))
}

async fn answer(
    host: &Arc<FakeHost>,
    under_way: UnderWay,
    ask: &Ask,
    manner: &Manner,
    sender: &mut Option<tokio::sync::mpsc::Sender<Vec<u8>>>,
) {
    let Ask { voucher, request, .. } = ask;
    let say = async |said: Frame| {
        let sender = sender.as_ref().unwrap();
        sender.send(frame(&said)).await.is_ok()
    };
    let prices = if *manner == Manner::Dearer { Prices { input: 9, ..PRICES } } else { PRICES };
    let acceptance = Acceptance {
        lane: voucher.lane,
        host: voucher.host,
        sequence: voucher.sequence,
        model: request.model.0,
        request: voucher.request,
        prices,
    };
    let other = SecretKey::from_seed([99; 32]);
    let key = if *manner == Manner::ForgedAcceptance { &other } else { &host.key };
    let signature = key.sign(work::ACCEPTANCE, &CHAIN, &acceptance);
    say(Frame::Accepted { acceptance, signature }).await;
    if *manner == Manner::Silent {
        return;
    }
    if let Manner::Waits(most) = manner {
        let mut come = host.come.subscribe();
        come.wait_for(|come| come >= most).await.unwrap();
    }
    let prompt_tokens = request.prompt.len() as u32;
    say(Frame::Started { prompt_tokens, cached_tokens: 1 }).await;
    let mut output = Vec::new();
    for choice in 0..request.choices {
        let mut said = tokens(request, choice);
        if let Manner::Differs(at) = manner {
            said.iter_mut().skip(*at).for_each(|token| *token ^= 1);
        }
        for (at, id) in said.iter().enumerate() {
            if *manner == Manner::DiesAfter(at) {
                return;
            }
            if !say(Frame::Token { choice, id: *id, scored: None }).await {
                return;
            }
        }
        let completion_tokens = said.len() as u32;
        say(Frame::Finished { choice, ending: Ending::Length, completion_tokens }).await;
        output.push(said);
    }
    let completion = output.iter().map(Vec::len).sum::<usize>() as u32;
    let usage = Usage { prompt: prompt_tokens, cached: 1, completion };
    let fee = PRICES.fee(&usage).0 + u128::from(*manner == Manner::WrongFee);
    let traces: Vec<Digest> = (0..request.choices).map(|choice| Digest([choice as u8 + 1; 32])).collect();
    let (salt, wrong) = ([3; 32], [4; 32]);
    let salted =
        work::salted(if *manner == Manner::WrongTrace { &wrong } else { &salt }, &work::traces(&traces));
    let (sequence, total) = {
        let mut books = host.books.lock().unwrap();
        let books = books.get_mut(&voucher.lane.0).unwrap();
        books.total += fee;
        books.receipts += 1;
        books.under_way -= under_way.2;
        (books.receipts - 1, books.total + u128::from(*manner == Manner::WrongTotal))
    };
    core::mem::forget(under_way);
    if *manner == Manner::WrongOutput {
        output[0][0] ^= 1;
    }
    let receipt = Receipt {
        lane: voucher.lane,
        host: voucher.host,
        sequence,
        interval: 1,
        request: voucher.request,
        output: work::output(output.iter().map(Vec::as_slice)),
        trace: salted,
        usage,
        fee: Amount(fee),
        total: Amount(total),
    };
    let signature = host.key.sign(work::RECEIPT, &CHAIN, &receipt);
    say(Frame::Done(Box::new(Done { receipt, signature, salt, traces }))).await;
}

/// A chain that does at once what it is asked.
pub(super) struct FakeChain {
    height: watch::Sender<u64>,
    lanes: Mutex<Vec<Lane>>,
    pub(super) hosts: Vec<Arc<FakeHost>>,
    /// Where hosts say that they are, if not where they are.
    pub(super) urls: Mutex<BTreeMap<Address, String>>,
    pub(super) sent: Mutex<Vec<Message>>,
    /// Why it takes nothing.
    pub(super) refuses: Mutex<Option<ChainError>>,
    pub(super) serving: Mutex<Option<u64>>,
    pub(super) draws: Mutex<bool>,
    /// That of the model.
    pub(super) tier: Mutex<Tier>,
}

impl FakeChain {
    pub(super) async fn new(hosts: u8) -> Arc<Self> {
        let mut started = Vec::new();
        for number in 1..=hosts {
            started.push(FakeHost::start(number).await);
        }
        Arc::new(Self {
            height: watch::Sender::new(100),
            lanes: Mutex::default(),
            hosts: started,
            urls: Mutex::default(),
            sent: Mutex::default(),
            refuses: Mutex::default(),
            serving: Mutex::new(Some(3)),
            draws: Mutex::new(true),
            tier: Mutex::new(Tier::Exact),
        })
    }

    pub(super) fn advance(&self, blocks: u64) {
        self.height.send_modify(|height| *height += blocks);
    }

    pub(super) fn host(&self, address: &Address) -> &Arc<FakeHost> {
        self.hosts.iter().find(|host| host.address() == *address).unwrap()
    }

    pub(super) fn all_are(&self, manner: &Manner) {
        self.hosts.iter().for_each(|host| host.is(manner.clone()));
    }

    fn spread(lane: &mut Lane, amount: Amount) {
        lane.escrow = Amount(lane.escrow.0 + amount.0);
        let count = lane.shares.len() as u128;
        for share in &mut lane.shares {
            share.deposit = Amount(share.deposit.0 + amount.0 / count);
        }
    }
}

#[async_trait]
impl Chain for FakeChain {
    fn id(&self) -> ChainId {
        CHAIN
    }

    async fn height(&self) -> Result<u64, ChainError> {
        Ok(*self.height.borrow())
    }

    async fn wait(&self, after: u64) {
        self.height.subscribe().wait_for(|height| *height > after).await.unwrap();
    }

    async fn serving(&self, _: &Digest) -> Result<Option<u64>, ChainError> {
        Ok(*self.serving.lock().unwrap())
    }

    async fn draws(&self) -> Result<bool, ChainError> {
        Ok(*self.draws.lock().unwrap())
    }

    async fn lanes(&self) -> Result<Vec<Lane>, ChainError> {
        Ok(self.lanes.lock().unwrap().clone())
    }

    async fn endpoints(&self, host: &Address) -> Result<Vec<String>, ChainError> {
        let other = self.urls.lock().unwrap().get(host).cloned();
        Ok(vec![other.unwrap_or_else(|| self.host(host).url.clone())])
    }

    async fn send(&self, message: Message) -> Result<Sent, ChainError> {
        if let Some(error) = self.refuses.lock().unwrap().clone() {
            return Err(error);
        }
        let height = *self.height.borrow();
        {
            let mut lanes = self.lanes.lock().unwrap();
            match &message {
                Message::Open(opened) => {
                    let share = |host: &Arc<FakeHost>| {
                        *host.voucher_key.lock().unwrap() = Some(opened.key);
                        LaneShare {
                            host: host.address(),
                            key: host.key.public(),
                            deposit: Amount::ZERO,
                            paid: Amount::ZERO,
                            forfeited: false,
                        }
                    };
                    let mut lane = Lane {
                        id: LaneId(lanes.len() as u64),
                        key: opened.key,
                        model: opened.model,
                        tier: *self.tier.lock().unwrap(),
                        prices: PRICES,
                        escrow: Amount::ZERO,
                        state: LaneState::Open,
                        opened: height,
                        expires: height + opened.lifetime,
                        shares: self.hosts.iter().take(opened.shares.into()).map(share).collect(),
                    };
                    Self::spread(&mut lane, opened.escrow);
                    lanes.push(lane);
                }
                Message::TopUp { lane, amount } => {
                    let lane = lanes.iter_mut().find(|known| known.id == *lane).unwrap();
                    Self::spread(lane, *amount);
                }
                Message::Close { lane } => {
                    lanes.iter_mut().find(|known| known.id == *lane).unwrap().state = LaneState::Closing;
                }
                Message::Settle(_) => {}
            }
        }
        self.sent.lock().unwrap().push(message);
        self.advance(1);
        Ok(Sent { hash: Digest([1; 32]), expiry: height + 20 })
    }

    async fn outcome(&self, _: &Digest) -> Result<Outcome, ChainError> {
        Ok(Outcome::Done)
    }
}

/// The engine beside: tokenizer and fallback.
pub(super) struct Local;

#[async_trait]
impl Engine for Local {
    fn label(&self) -> &str {
        "local"
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, EngineError> {
        Ok(vec![ModelInfo {
            name: MODEL.into(),
            root: Some(root()),
            context: Some(2_048),
            tier: Tier::Exact,
            owned_by: "here".into(),
            created: 0,
        }])
    }

    fn capabilities(&self, _: &str) -> Option<Capabilities> {
        Some(Capabilities { exact: true, can_execute: true, takes_tokens: true, ..Capabilities::default() })
    }

    async fn text(&self, _: &str) -> Result<TextAssets, EngineError> {
        Ok(TextAssets { root: root(), ..assets(Some(CHATML)) })
    }

    async fn generate(&self, _: &str, job: Job) -> Result<EventStream, EngineError> {
        let said = tokens(&job.request, 0);
        let prompt_tokens = job.request.prompt.len() as u32;
        let mut events = vec![Event::Started { prompt_tokens, cached_tokens: 0 }];
        let completion_tokens = said.len() as u32;
        events.extend(said.into_iter().map(|id| Event::Token(Token { choice: 0, id, scored: None })));
        let reason = FinishReason::Length;
        events.push(Event::Finished(Finished { choice: 0, reason, completion_tokens, trace: None }));
        Ok(futures::stream::iter(events).boxed())
    }

    async fn health(&self) -> Health {
        Health { ok: true, detail: String::new() }
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }
}

pub(super) fn root() -> ModelRoot {
    assets(None).root
}

pub(super) fn request(number: u32) -> Arc<TokenRequest> {
    Arc::new(TokenRequest::greedy(root(), vec![97, 98, 99, number % 250], 8))
}

/// What a request of [`request`] costs at its most: 4 tokens of prompt at 1, 8 at 2.
pub(super) const MOST: u128 = 20;
/// What it costs with one known token, rounded up.
pub(super) const FEE: u128 = 20;

pub(super) fn config(folder: &std::path::Path, shares: u8, escrow: u128, budget: u128) -> LanesConfig {
    let account = Address([5; 32]);
    let key = SecretKey::from_seed([6; 32]);
    let mut config = LanesConfig::new(Vec::new(), account, key, folder.to_owned());
    (config.shares, config.escrow, config.budget) = (shares, Amount(escrow), Amount(budget));
    (config.allow_private, config.lifetime) = (true, 10_000);
    config
}

pub(super) async fn open(config: LanesConfig, chain: &Arc<FakeChain>) -> Arc<LaneEngine> {
    let chain: Arc<dyn Chain> = chain.clone();
    let engine = LaneEngine::with_chain(config, chain, Arc::new(Local)).await.unwrap();
    engine.opened(MODEL).await;
    engine
}

pub(super) async fn ask(engine: &LaneEngine, request: Arc<TokenRequest>) -> Result<Vec<Event>, EngineError> {
    let events = engine.generate(MODEL, Job { request, trace: true, claims: false }).await?;
    Ok(events.collect().await)
}

/// The tokens of the first choice, and the fee if it was paid.
pub(super) fn told(events: &[Event]) -> (Vec<u32>, Option<u128>) {
    let mut said = Vec::new();
    let mut paid = None;
    for event in events {
        match event {
            Event::Token(token) => said.push(token.id),
            Event::Paid(fee) => paid = Some(fee.fee.0),
            _ => {}
        }
    }
    (said, paid)
}
