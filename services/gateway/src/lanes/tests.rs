//! Lanes before hosts that do as they are told.

mod cheats;
mod http;
mod money;
mod overhead;
mod world;

use core::sync::atomic::Ordering;

use freeway_engines::{Engine, Event, Tier};
use futures::future::join_all;
use world::*;

#[tokio::test]
async fn a_request_is_answered_and_paid() {
    let folder = tempfile::tempdir().unwrap();
    let chain = FakeChain::new(2).await;
    let engine = open(config(folder.path(), 2, 10_000, 10_000), &chain).await;
    assert_eq!(engine.prices(MODEL), Some(PRICES));
    let events = ask(&engine, request(1)).await.unwrap();
    assert_eq!(told(&events), (tokens(&request(1), 0), Some(FEE)));
    assert!(matches!(events[0], Event::Started { prompt_tokens: 4, cached_tokens: 1 }), "{events:?}");
    let Some(Event::Paid(paid)) = events.last() else { panic!("{events:?}") };
    let Some(Event::Finished(finished)) = events.iter().rev().nth(1) else { panic!("{events:?}") };
    assert!(finished.trace.is_some());
    let kept = engine.receipt(paid.receipt).await.unwrap().unwrap();
    assert!(kept.artifact.belongs_together());
    let view = super::view::receipt(CHAIN, &kept);
    assert_eq!(view.artifact().unwrap(), kept.artifact);
    assert_eq!(engine.receipts(10).await.unwrap(), [kept]);
}

#[tokio::test]
async fn many_run_at_once_on_all_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let chain = FakeChain::new(4).await;
    let engine = open(config(folder.path(), 4, 100_000, 100_000), &chain).await;
    for round in 0..4 {
        let asked = (0..16).map(|number| ask(&engine, request(round * 16 + number)));
        for events in join_all(asked).await {
            assert_eq!(told(&events.unwrap()).1, Some(FEE));
        }
    }
    let served: Vec<usize> = chain.hosts.iter().map(|host| host.asked.load(Ordering::SeqCst)).collect();
    assert!(served.iter().all(|served| *served > 0), "{served:?}");
    let total: u128 = chain.hosts.iter().map(|host| host.total()).sum();
    assert_eq!(total, 64 * FEE);
    let spent: u128 =
        engine.lanes().models[MODEL].shares().iter().map(|share| share.account().spent().0).sum();
    assert_eq!(spent, total, "payer and hosts agree to the unit");
}

#[tokio::test]
async fn sixteen_at_once_on_one_share_fit_its_limits() {
    let folder = tempfile::tempdir().unwrap();
    let chain = FakeChain::new(1).await;
    chain.all_are(&Manner::Waits(16));
    let engine = open(config(folder.path(), 1, 16 * MOST, 16 * MOST), &chain).await;
    let asked = (0..16).map(|number| ask(&engine, request(number)));
    for events in join_all(asked).await {
        assert_eq!(told(&events.unwrap()).1, Some(FEE));
    }
    assert_eq!(chain.hosts[0].total(), 16 * FEE);
}

#[tokio::test]
async fn the_next_host_goes_on_where_one_died() {
    let folder = tempfile::tempdir().unwrap();
    let chain = FakeChain::new(3).await;
    let mut config = config(folder.path(), 3, 100_000, 100_000);
    config.timeouts.silence = core::time::Duration::from_millis(200);
    let engine = open(config, &chain).await;
    for (number, manner) in
        [Manner::DiesAfter(0), Manner::DiesAfter(3), Manner::Silent, Manner::Refuses("busy")]
            .iter()
            .enumerate()
    {
        chain.hosts[0].is(manner.clone());
        chain.hosts[1].is(manner.clone());
        let events = ask(&engine, request(number as u32)).await.unwrap();
        assert_eq!(told(&events), (tokens(&request(number as u32), 0), Some(FEE)), "{manner:?}");
        let started = events.iter().filter(|event| matches!(event, Event::Started { .. })).count();
        assert_eq!(started, 1);
    }
}

/// Where each host draws its own tokens, nobody can go on with another one's answer.
#[tokio::test]
async fn on_the_statistical_tier_the_next_host_is_asked_only_before_the_first_token() {
    let folder = tempfile::tempdir().unwrap();
    let chain = FakeChain::new(2).await;
    *chain.tier.lock().unwrap() = Tier::Statistical;
    let mut config = config(folder.path(), 2, 100_000, 100_000);
    config.timeouts.silence = core::time::Duration::from_millis(200);
    let engine = open(config, &chain).await;
    assert_eq!(engine.models().await.unwrap()[0].tier, Tier::Statistical);
    assert!(!engine.capabilities(MODEL).unwrap().exact);
    // Before any token it is as everywhere.
    for (number, manner) in [Manner::DiesAfter(0), Manner::Silent, Manner::Refuses("busy")].iter().enumerate()
    {
        chain.hosts[0].is(manner.clone());
        let events = ask(&engine, request(number as u32)).await.unwrap();
        assert_eq!(told(&events), (tokens(&request(number as u32), 0), Some(FEE)), "{manner:?}");
        let Some(Event::Finished(finished)) = events.iter().rev().nth(1) else { panic!("{events:?}") };
        assert_eq!(finished.trace, None, "nobody can compute it again");
    }
    // After it the client is told, and neither another host nor any fee is in it.
    chain.all_are(&Manner::DiesAfter(3));
    let asked = || chain.hosts.iter().map(|host| host.asked.load(Ordering::SeqCst)).sum::<usize>();
    let before = asked();
    let events = ask(&engine, request(9)).await.unwrap();
    assert_eq!(told(&events), (tokens(&request(9), 0)[..3].to_vec(), None));
    let Some(Event::Failed(error)) = events.last() else { panic!("{events:?}") };
    assert_eq!((error.code(), error.status()), ("answer_broke_off", 503));
    assert!(error.message.contains("ask again"), "{}", error.message);
    assert_eq!(asked(), before + 1);
    assert_eq!(engine.lanes().store.evidence().unwrap(), []);
    // Nothing is lost: payer and hosts agree on what was paid, and the next request is answered.
    chain.all_are(&Manner::Honest);
    assert_eq!(told(&ask(&engine, request(10)).await.unwrap()).1, Some(FEE));
    let total: u128 = chain.hosts.iter().map(|host| host.total()).sum();
    let shares = engine.lanes().models[MODEL].shares();
    assert_eq!(shares.iter().map(|share| share.account().spent().0).sum::<u128>(), total);
}

#[tokio::test]
async fn a_client_that_leaves_stops_its_host() {
    let folder = tempfile::tempdir().unwrap();
    let chain = FakeChain::new(1).await;
    chain.all_are(&Manner::Silent);
    let engine = open(config(folder.path(), 1, 10 * MOST, 10 * MOST), &chain).await;
    let job = freeway_engines::Job { request: request(1), trace: true, claims: false };
    let events = engine.generate(MODEL, job).await.unwrap();
    let share = engine.lanes().models[MODEL].shares().remove(0);
    assert_eq!(share.account().running(), 1);
    drop(events);
    while share.account().running() > 0 {
        tokio::task::yield_now().await;
    }
    // Its end is unknown, so it counts until a receipt tells.
    chain.all_are(&Manner::Honest);
    assert_eq!(told(&ask(&engine, request(2)).await.unwrap()).1, Some(FEE));
}

#[tokio::test]
async fn without_a_lane_the_local_engine_answers_or_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let chain = FakeChain::new(1).await;
    *chain.refuses.lock().unwrap() = Some(super::ChainError::new("insufficient_balance", "no money"));
    let mut settings = config(folder.path(), 1, 1_000, 1_000);
    settings.fallback = true;
    let engine =
        super::LaneEngine::with_chain(settings, chain.clone(), std::sync::Arc::new(Local)).await.unwrap();
    let events = ask(&engine, request(1)).await.unwrap();
    assert_eq!(told(&events), (tokens(&request(1), 0), None));
    engine.shutdown().await;
    drop(engine);
    let folder = tempfile::tempdir().unwrap();
    let settings = config(folder.path(), 1, 1_000, 1_000);
    let engine =
        super::LaneEngine::with_chain(settings, chain.clone(), std::sync::Arc::new(Local)).await.unwrap();
    let error = ask(&engine, request(1)).await.unwrap_err();
    assert_eq!((error.code(), error.status()), ("no_lane", 503));
    assert!(error.retry_after.is_some());
}

#[tokio::test]
async fn lanes_are_opened_when_hosts_can_be_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let chain = FakeChain::new(1).await;
    *chain.serving.lock().unwrap() = None;
    *chain.draws.lock().unwrap() = false;
    let local = std::sync::Arc::new(Local);
    let settings = config(folder.path(), 1, 1_000, 1_000);
    let engine = super::LaneEngine::with_chain(settings, chain.clone(), local).await.unwrap();
    for (serving, said) in [(None, "register"), (Some(0), "no host serves"), (Some(1), "beacon")] {
        *chain.serving.lock().unwrap() = serving;
        loop {
            let error = ask(&engine, request(1)).await.unwrap_err();
            assert_eq!(error.code(), "no_lane");
            if error.message.contains(said) {
                break;
            }
            chain.advance(1);
            tokio::time::sleep(core::time::Duration::from_millis(20)).await;
        }
    }
    assert!(chain.sent.lock().unwrap().is_empty());
    *chain.draws.lock().unwrap() = true;
    chain.advance(1);
    engine.opened(MODEL).await;
    assert_eq!(told(&ask(&engine, request(1)).await.unwrap()).1, Some(FEE));
}
