//! Budgets, top-ups, restarts.

use freeway_ledger::lanes::Message;

use super::world::*;

/// Asks until money was put in or it is said that there is none.
async fn until_refused(engine: &crate::lanes::LaneEngine, most: u32) -> (u32, Option<String>) {
    for number in 0..most {
        match ask(engine, request(number)).await {
            Ok(events) => assert_eq!(told(&events).1, Some(FEE)),
            Err(error) => return (number, Some(error.code().to_owned())),
        }
    }
    (most, None)
}

#[tokio::test]
async fn the_budget_is_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let chain = FakeChain::new(1).await;
    let engine = open(config(folder.path(), 1, 4 * MOST, 8 * MOST), &chain).await;
    let mut answered = 0;
    let mut code = String::new();
    for number in 0..200 {
        match ask(&engine, request(number)).await {
            Ok(events) => {
                assert_eq!(told(&events).1, Some(FEE));
                answered += 1;
            }
            Err(error) if error.code() == "gateway_budget" => {
                code = error.code().to_owned();
                break;
            }
            Err(error) => {
                assert_eq!(error.code(), "lane_full");
                chain.advance(1);
                tokio::time::sleep(core::time::Duration::from_millis(50)).await;
            }
        }
    }
    assert_eq!((answered, code.as_str()), (8, "gateway_budget"));
    let sent = chain.sent.lock().unwrap().clone();
    assert!(matches!(sent.as_slice(), [Message::Open(_), Message::TopUp { .. }]), "{sent:?}");
    assert_eq!(chain.hosts[0].total(), 8 * FEE);
}

#[tokio::test]
async fn a_restart_goes_on_with_the_same_lane_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let chain = FakeChain::new(1).await;
    let settings = config(folder.path(), 1, 100 * MOST, 100 * MOST);
    let engine = open(settings.clone(), &chain).await;
    assert_eq!(until_refused(&engine, 5).await, (5, None));
    let receipts = engine.receipts(100).await.unwrap();
    engine.shutdown().await;
    drop(engine);
    let engine = open(settings.clone(), &chain).await;
    assert_eq!(engine.receipts(100).await.unwrap(), receipts);
    // The fake host refuses numbers and limits that do not go on.
    assert_eq!(until_refused(&engine, 5).await, (5, None));
    assert_eq!(chain.sent.lock().unwrap().len(), 1, "no second lane");
    let mut numbers: Vec<u64> =
        engine.receipts(100).await.unwrap().iter().map(|kept| kept.artifact.voucher.sequence).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 10, "no number twice");
    assert_eq!(chain.hosts[0].total(), 10 * FEE);
}

#[tokio::test]
async fn a_lane_is_replaced_before_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let chain = FakeChain::new(1).await;
    let mut settings = config(folder.path(), 1, 100 * MOST, 1_000 * MOST);
    settings.lifetime = 80;
    let engine = open(settings, &chain).await;
    chain.advance(72);
    let opened = || chain.sent.lock().unwrap().iter().filter(|sent| matches!(sent, Message::Open(_))).count();
    while opened() < 2 {
        tokio::time::sleep(core::time::Duration::from_millis(20)).await;
    }
    assert_eq!(told(&ask(&engine, request(1)).await.unwrap()).1, Some(FEE));
    let closed = engine.close().await.unwrap();
    assert!(!closed.is_empty());
}

#[tokio::test]
async fn another_networks_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let chain = FakeChain::new(1).await;
    let engine = open(config(folder.path(), 1, 1_000, 1_000), &chain).await;
    let id = freeway_primitives::ChainId(freeway_primitives::Digest([8; 32]));
    let again = crate::lanes::store::Store::open(folder.path(), &id, 10);
    assert!(again.unwrap_err().to_string().contains("another gateway"));
    engine.shutdown().await;
    drop(engine);
    let again = crate::lanes::store::Store::open(folder.path(), &id, 10);
    assert!(again.unwrap_err().to_string().contains("belongs to network"));
}
