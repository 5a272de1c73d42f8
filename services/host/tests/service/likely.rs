//! Whole hosts on the statistical tier: claims over HTTP, scored by the others on the real engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use freeway_api::serving::Done;
use freeway_engines::{Exact, ExactOptions, Registry};
use freeway_host::Serving;
use freeway_ledger::hosts::HOSTS;
use freeway_ledger::lanes::{self, Opened};
use freeway_ledger::models::{self, Description, Tier};
use freeway_ledger::work::{self, State, Void};
use freeway_ledger::{Message, Text};
use freeway_models::synthetic::{Recipe, coarser};
use freeway_models::{Group, Package};
use freeway_primitives::{Address, Amount};
use freeway_proofs::work::{LaneId, Prices, Receipt, Voucher};
use freeway_requests::TokenRequest;
use freeway_requests::evidence::Noise;

use crate::working::{ask, lane_of, params, pays};
use crate::world::{World, address, payer};
use crate::{PROCESSOR, Process, run_to};

const HOSTS_AT_WORK: u8 = 5;
/// The one that cheats.
const CHEAT: u8 = 4;
/// Tokens of an answer.
const ANSWER: u32 = 24;

fn serving(package: &Package) -> Serving {
    let exact = Exact::new(ExactOptions::default());
    exact.add("m", package.clone()).unwrap();
    exact.add("m-coarse", coarser(package).unwrap()).unwrap();
    let (exact, engines) = (Arc::new(exact), Registry::new());
    for name in ["m", "m-coarse"] {
        engines.add(name, Arc::<Exact>::clone(&exact), name).unwrap();
    }
    let models = vec![("m".into(), package.root().0)];
    Serving { engines: Arc::new(engines), models, scorers: Vec::new(), requests: 16 }
}

async fn start(world: &Arc<World>, i: u8, folder: &Path, serving: &Serving, cheat: &str) -> Process {
    let adversary = (i == CHEAT).then(|| cheat.parse().unwrap());
    Process::start_as(world, i, folder, Some(serving.clone()), adversary).await
}

/// Every host serves so many greedy requests. Gives the last receipts.
async fn serve(
    world: &World,
    processes: &[Process],
    package: &Package,
    lane: LaneId,
    count: u64,
) -> BTreeMap<Address, Receipt> {
    let prices = lane_of(world, lane).prices;
    let mut last: BTreeMap<Address, Receipt> = BTreeMap::new();
    for (i, process) in (0..HOSTS_AT_WORK).zip(processes) {
        let (host, url) = (address(i), format!("http://{}", process.host.address()));
        for sequence in 0..count {
            let prompt = vec![1, 2, u32::from(i), sequence as u32];
            let request = TokenRequest::greedy(package.root(), prompt, ANSWER);
            let spent = last.get(&host).map_or(Amount::ZERO, |receipt| receipt.total);
            let limit = spent.checked_add(prices.most(4, ANSWER)).unwrap();
            let voucher = Voucher { lane, host, sequence, spent, limit, request: request.digest() };
            let Done { receipt, .. } = ask(world, &url, voucher, request).await;
            last.insert(host, receipt);
        }
    }
    last
}

/// All serve, one of them in its way; it is suspected, unpaid and not slashed, and the others are paid.
async fn only_the_honest_are_paid(cheat: &str) {
    let _processor = PROCESSOR.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let world = World::with(HOSTS_AT_WORK, params());
    let package = Recipe::llama().package(Group::G32).unwrap();
    let serving = serving(&package);
    let mut processes = Vec::new();
    for i in 0..HOSTS_AT_WORK {
        processes.push(start(&world, i, folder.path(), &serving, cheat).await);
    }
    let (root, config) = (package.root().0, package.config());
    let description = Description {
        name: Text::new("a-model").unwrap(),
        tier: Tier::Statistical,
        context: config.context,
        vocabulary: config.vocabulary,
        work: 1_000_000,
        prices: Prices { input: 1_000_000, cached: 100_000, output: 2_000_000 },
        // All hosts compute the same bits here.
        noise: Some(Noise { gap: 1_000, rate: 1_000, allowance: [1_000, 3_000, 3_000] }),
    };
    pays(&world, Message::Models(models::Message::Register { root, description }));
    run_to(&world, 5).await;
    let opened = Opened {
        model: root,
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
    let last = serve(&world, &processes, &package, lane, 4).await;
    let interval = last[&address(0)].interval;
    // In the midst of it a host's process ends, and comes back elsewhere.
    run_to(&world, 28).await;
    processes.remove(0).end().await;
    processes.insert(0, start(&world, 0, folder.path(), &serving, cheat).await);
    run_to(&world, 62).await;
    let decided = |i: u8| {
        let known = work::commitment(&world.state().0, interval, &address(i)).unwrap();
        known.map(|commitment| commitment.state)
    };
    for i in 0..CHEAT {
        assert_eq!(decided(i), Some(State::Matured), "{i}: {:?}", world.rejected());
    }
    assert_eq!(decided(CHEAT), Some(State::Void(Void::Unchecked)));
    let stake = |i: u8| HOSTS.get(&world.state().0, &address(i)).unwrap().unwrap().collateral;
    assert_eq!(stake(CHEAT), stake(0));
    pays(&world, Message::Lanes(lanes::Message::Close { lane }));
    run_to(&world, 70).await;
    let paid = |i: u8| lane_of(&world, lane).share(&address(i)).unwrap().paid;
    for i in 0..CHEAT {
        assert_eq!(paid(i), last[&address(i)].total, "{i}");
    }
    assert_eq!(paid(CHEAT), Amount::ZERO);
    let all = processes.iter().map(|process| process.host.stats().borrow().work);
    assert!(all.clone().any(|work| work.suspected > 0) && all.clone().all(|work| work.accusations == 0));
    for process in processes {
        process.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_likelihoods_are_found_over_http_and_cost_fees_alone() {
    only_the_honest_are_paid("serve:forge").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rescored_coarser_model_is_found_over_http_and_costs_fees_alone() {
    only_the_honest_are_paid("serve:rescore").await;
}
