//! Hosts that lie, and hosts that name hostile addresses.

use core::sync::atomic::Ordering;

use super::world::*;

#[tokio::test]
async fn what_is_signed_wrongly_is_paid_no_more() {
    for manner in [
        Manner::ForgedAcceptance,
        Manner::Dearer,
        Manner::WrongFee,
        Manner::WrongOutput,
        Manner::WrongTotal,
        Manner::WrongTrace,
    ] {
        let folder = tempfile::tempdir().unwrap();
        let chain = FakeChain::new(2).await;
        let engine = open(config(folder.path(), 2, 10_000, 10_000), &chain).await;
        // Both are asked once.
        for host in &chain.hosts {
            host.is(manner.clone());
        }
        let failed = ask(&engine, request(1)).await;
        let failed = match failed {
            Err(error) => error,
            Ok(events) => match events.last() {
                Some(freeway_engines::Event::Failed(error)) => error.clone(),
                other => panic!("{manner:?}: {other:?}"),
            },
        };
        assert_eq!(failed.code(), "no_host", "{manner:?} {failed:?}");
        let asked = || chain.hosts.iter().map(|host| host.asked.load(Ordering::SeqCst)).sum::<usize>();
        assert_eq!(asked(), 2, "{manner:?}");
        // They get no further voucher, whatever they do.
        let shares = engine.lanes().models[MODEL].shares();
        assert!(shares.iter().all(|share| share.account().is_excluded()), "{manner:?}");
        assert!(shares.iter().all(|share| share.account().spent().is_zero()), "{manner:?}");
        chain.all_are(&Manner::Honest);
        let _ = ask(&engine, request(2)).await;
        let first: usize = asked();
        assert!(
            engine.receipts(10).await.unwrap().iter().all(|kept| kept.artifact.receipt.lane.0 > 0),
            "{first}"
        );
    }
}

#[tokio::test]
async fn one_liar_among_honest_hosts_is_not_seen_by_clients() {
    for manner in [Manner::ForgedAcceptance, Manner::WrongFee, Manner::WrongOutput, Manner::WrongTotal] {
        let folder = tempfile::tempdir().unwrap();
        let chain = FakeChain::new(3).await;
        let engine = open(config(folder.path(), 3, 10_000, 10_000), &chain).await;
        chain.hosts[0].is(manner.clone());
        for number in 0..12 {
            let events = ask(&engine, request(number)).await.unwrap();
            assert_eq!(told(&events), (tokens(&request(number), 0), Some(FEE)), "{manner:?}");
        }
        assert!(chain.hosts[0].asked.load(Ordering::SeqCst) <= 1, "{manner:?}");
    }
}

#[tokio::test]
async fn answers_that_differ_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let chain = FakeChain::new(2).await;
    let engine = open(config(folder.path(), 2, 10_000, 10_000), &chain).await;
    // Whoever is first dies after three tokens; the other one says something else from the second on.
    chain.hosts[0].is(Manner::DiesAfter(3));
    chain.hosts[1].is(Manner::Differs(1));
    let mut seen = false;
    for number in 0..8 {
        let Ok(events) = ask(&engine, request(number)).await else { continue };
        let Some(freeway_engines::Event::Failed(error)) = events.last() else { continue };
        if error.code() == "answers_differ" {
            seen = true;
            break;
        }
    }
    assert!(seen);
    let evidence = engine.lanes().store.evidence().unwrap();
    assert_eq!(evidence[0].answers.len(), 2);
    assert_ne!(evidence[0].answers[0].key, evidence[0].answers[1].key);
}

#[tokio::test]
async fn hostile_addresses_are_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let chain = FakeChain::new(3).await;
    let hostile = ["http://user:secret@127.0.0.1:1", "file:///etc/passwd"];
    for (host, url) in chain.hosts.iter().zip(hostile) {
        chain.urls.lock().unwrap().insert(host.address(), url.into());
    }
    let engine = open(config(folder.path(), 3, 10_000, 10_000), &chain).await;
    for number in 0..6 {
        let events = ask(&engine, request(number)).await.unwrap();
        assert_eq!(told(&events).1, Some(FEE));
    }
    assert_eq!(chain.hosts[2].asked.load(Ordering::SeqCst), 6);
    // Where private addresses are not allowed, none of these hosts is asked.
    let folder = tempfile::tempdir().unwrap();
    let mut settings = config(folder.path(), 3, 10_000, 10_000);
    settings.allow_private = false;
    let engine = open(settings, &chain).await;
    let error = ask(&engine, request(9)).await.unwrap_err();
    assert_eq!(error.code(), "no_host");
    assert!(!error.message.contains("secret"), "{}", error.message);
    assert_eq!(chain.hosts[2].asked.load(Ordering::SeqCst), 6);
}
