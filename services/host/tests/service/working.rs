//! Whole hosts that work for money: requests over HTTP, receipts on disk, samples and artifacts fetched from each other.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use freeway_api::serving::{Ask, Done, Frame, Frames};
use freeway_engines::{
    Capabilities, Engine, EngineError, Event, EventStream, FinishReason, Finished, Health, Job, ModelInfo,
    Registry, Stats, Token, Verified, VerifyJob,
};
use freeway_host::Serving;
use freeway_ledger::hosts::HOSTS;
use freeway_ledger::lanes::{self, LANES, Lane, Opened};
use freeway_ledger::models::{self, Description, SERVES, Tier};
use freeway_ledger::work::{self, State};
use freeway_ledger::{Message, Params, Preset, Text};
use freeway_primitives::{Address, Amount, Canonical, Digest, Domain};
use freeway_proofs::work::{LaneId, Prices, RECEIPT, Receipt, VOUCHER, Voucher};
use freeway_requests::{ModelRoot, TokenRequest};
use futures::StreamExt;

use crate::world::{World, address, payer, vote_key};
use crate::{PROCESSOR, Process, run_to};

const MODEL: Digest = Digest([0x44; 32]);
const HOSTS_AT_WORK: u8 = 5;
/// The one that serves a coarser model.
const CHEAT: u8 = 4;

/// A model that is one hash; a coarse one gives another last token.
struct Hash {
    is_coarse: bool,
}

impl Hash {
    fn compute(&self, request: &TokenRequest) -> (Vec<u32>, Digest) {
        let digest = request.digest();
        let mut tokens: Vec<u32> =
            (0..request.max_tokens).map(|i| u32::from(digest.0[i as usize % 32])).collect();
        if self.is_coarse {
            *tokens.last_mut().unwrap() += 1;
        }
        let trace =
            Digest::of(Domain::new("test trace"), &[&digest.0[..], &[u8::from(self.is_coarse)]].concat());
        (tokens, trace)
    }
}

#[async_trait]
impl Engine for Hash {
    fn label(&self) -> &str {
        "hash"
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, EngineError> {
        Ok(Vec::new())
    }

    fn capabilities(&self, _: &str) -> Option<Capabilities> {
        Some(Capabilities { exact: true, can_execute: true, takes_tokens: true, ..Capabilities::default() })
    }

    async fn generate(&self, _: &str, job: Job) -> Result<EventStream, EngineError> {
        let (tokens, trace) = self.compute(&job.request);
        let mut events =
            vec![Event::Started { prompt_tokens: job.request.prompt.len() as u32, cached_tokens: 0 }];
        let completion_tokens = tokens.len() as u32;
        events.extend(tokens.into_iter().map(|id| Event::Token(Token { choice: 0, id, scored: None })));
        let (choice, reason) = (0, FinishReason::Length);
        events.push(Event::Finished(Finished { choice, reason, completion_tokens, trace: Some(trace) }));
        Ok(futures::stream::iter(events).boxed())
    }

    async fn verify(&self, _: &str, job: VerifyJob) -> Result<Verified, EngineError> {
        let (tokens, trace) = self.compute(&job.request);
        let differs = (job.output != [tokens]).then_some((0, 0));
        Ok(Verified { differs, traces: vec![trace] })
    }

    async fn health(&self) -> Health {
        Health { ok: true, detail: String::new() }
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }
}

fn serving() -> Serving {
    let engines = Registry::new();
    engines.add("m", Arc::new(Hash { is_coarse: false }), "m").unwrap();
    engines.add("m-coarse", Arc::new(Hash { is_coarse: true }), "m").unwrap();
    Serving {
        engines: Arc::new(engines),
        models: vec![("m".into(), MODEL)],
        scorers: Vec::new(),
        requests: 16,
    }
}

/// One long epoch: the race is another test's.
pub(crate) fn params() -> Params {
    let mut params = Preset::Local.params();
    params.epochs.epoch_blocks = 2_000;
    params.hosts.unbonding_blocks = 2_500;
    params
}

async fn start(world: &Arc<World>, i: u8, folder: &Path) -> Process {
    let adversary = (i == CHEAT).then(|| "serve:coarser".parse().unwrap());
    Process::start_as(world, i, folder, Some(serving()), adversary).await
}

pub(crate) fn pays(world: &World, message: Message) {
    world.submit(&payer(), Address::of(&payer().public()), message);
}

pub(crate) fn lane_of(world: &World, id: LaneId) -> Lane {
    LANES.get(&world.state().0, &id).unwrap().unwrap()
}

/// Asks a host of a lane for a request, and reads the whole answer.
pub(crate) async fn ask(world: &World, url: &str, voucher: Voucher, request: TokenRequest) -> Done {
    let signature = payer().sign(VOUCHER, &world.id, &voucher);
    let body = Ask { voucher, signature, request }.encode();
    let url = format!("{url}/v1/lanes/{}/requests", voucher.lane.0);
    let response = reqwest::Client::new().post(url).body(body).send().await.unwrap();
    assert_eq!(response.status(), 200, "{:?}", response.text().await);
    let mut frames = Frames::default();
    frames.push(&response.bytes().await.unwrap());
    while let Some(frame) = frames.next().unwrap() {
        match frame {
            Frame::Done(done) => return *done,
            Frame::Failed { message, .. } => panic!("{message}"),
            _ => {}
        }
    }
    panic!("the answer has no end");
}

/// Every host serves so many requests, one after the other. Gives the last receipts.
async fn serve(world: &World, processes: &[Process], lane: LaneId, count: u64) -> BTreeMap<Address, Receipt> {
    let prices = lane_of(world, lane).prices;
    let mut last: BTreeMap<Address, Receipt> = BTreeMap::new();
    for (i, process) in (0..HOSTS_AT_WORK).zip(processes) {
        let (host, url) = (address(i), format!("http://{}", process.host.address()));
        for sequence in 0..count {
            let prompt = vec![1, 2, u32::from(i), sequence as u32];
            let request = TokenRequest::greedy(ModelRoot(MODEL), prompt, 6);
            let spent = last.get(&host).map_or(Amount::ZERO, |receipt| receipt.total);
            let limit = spent.checked_add(prices.most(4, 6)).unwrap();
            let voucher = Voucher { lane, host, sequence, spent, limit, request: request.digest() };
            let Done { receipt, signature, .. } = ask(world, &url, voucher, request).await;
            assert!(vote_key(i).public().verify(RECEIPT, &world.id, &receipt, &signature).is_ok());
            assert_eq!((receipt.sequence, receipt.usage.completion), (sequence, 6));
            last.insert(host, receipt);
        }
    }
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paid_work_is_checked_by_others_over_http_and_pays_only_the_honest() {
    let _processor = PROCESSOR.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let world = World::with(HOSTS_AT_WORK, params());
    let mut processes = Vec::new();
    for i in 0..HOSTS_AT_WORK {
        processes.push(start(&world, i, folder.path()).await);
    }
    let description = Description {
        name: Text::new("a-model").unwrap(),
        tier: Tier::Exact,
        context: 4_096,
        vocabulary: 32_000,
        work: 1_000_000,
        prices: Prices { input: 1_000_000, cached: 100_000, output: 2_000_000 },
        noise: None,
    };
    pays(&world, Message::Models(models::Message::Register { root: MODEL, description }));
    run_to(&world, 5).await;
    let serves = |i| SERVES.get(&world.state().0, &address(i)).unwrap();
    assert!((0..HOSTS_AT_WORK).all(|i| serves(i) == Some(vec![MODEL])));
    let opened = Opened {
        model: MODEL,
        escrow: Amount::fwy(20),
        shares: HOSTS_AT_WORK,
        constraints: lanes::Constraints::default(),
        key: payer().public(),
        lifetime: 1_000,
    };
    pays(&world, Message::Lanes(lanes::Message::Open(Box::new(opened))));
    run_to(&world, 13).await;
    let payers = Address::of(&payer().public());
    let lane = lanes::of_payer(&world.state().0, &payers, None, 1).unwrap()[0];
    assert_eq!(lane_of(&world, lane).shares.len(), usize::from(HOSTS_AT_WORK));
    let last = serve(&world, &processes, lane, 3).await;
    let interval = last[&address(0)].interval;
    assert_eq!(interval, 1);
    // In the midst of it a host's process ends, and comes back elsewhere.
    run_to(&world, 28).await;
    processes.remove(0).end().await;
    processes.insert(0, start(&world, 0, folder.path()).await);
    let decided = |i: u8| {
        let known = work::commitment(&world.state().0, interval, &address(i)).unwrap();
        known.map(|commitment| commitment.state)
    };
    run_to(&world, 62).await;
    for i in 0..CHEAT {
        assert_eq!(decided(i), Some(State::Matured), "{i}: {:?}", world.rejected());
    }
    assert_eq!(decided(CHEAT), Some(State::Convicted));
    let stake = |i: u8| HOSTS.get(&world.state().0, &address(i)).unwrap().unwrap().collateral;
    assert!(stake(CHEAT) < stake(0));
    pays(&world, Message::Lanes(lanes::Message::Close { lane }));
    run_to(&world, 70).await;
    let paid = |i: u8| lane_of(&world, lane).share(&address(i)).unwrap().paid;
    for i in 0..CHEAT {
        assert_eq!(paid(i), last[&address(i)].total, "{i}");
    }
    assert_eq!(paid(CHEAT), Amount::ZERO);
    let stats = *processes[1].host.stats().borrow();
    assert!(
        stats.work.commitments == 1 && stats.work.verdicts > 0 && stats.work.settlements >= 1,
        "{stats:?}"
    );
    for process in processes {
        process.end().await;
    }
}
