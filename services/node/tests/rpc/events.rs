//! The stream of blocks.

use freeway_api::{BlockEvent, EventStream, EventView, StreamItem};
use freeway_primitives::Amount;

use crate::kit::{Kit, address};
use crate::server::{Served, api_error};

async fn block(stream: &mut EventStream) -> BlockEvent {
    match stream.next().await.unwrap() {
        Some(StreamItem::Block(block)) => *block,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_replays_and_then_follows() {
    let mut served = Served::new().await;
    served.kit.commit_many(3);
    let mut stream = served.client.events(Some(2)).await.unwrap();
    // Committed before anything is read: whichever way it comes, it comes once.
    let transfer = served.kit.transfer("alice", 0, address("bob"), Amount::fwy(5));
    let hash = served.kit.submit(&transfer).await;
    let id = served.kit.commit();
    for height in 2..=4 {
        assert_eq!(block(&mut stream).await.height, height);
    }
    served.kit.commit_many(9);
    for height in 5..=13 {
        assert_eq!(block(&mut stream).await.height, height);
    }

    let mut again = served.client.events(Some(4)).await.unwrap();
    let fourth = block(&mut again).await;
    assert_eq!((fourth.height, fourth.id, fourth.epoch, fourth.phase.as_str()), (4, id.0, 0, "sprint"));
    let [receipt] = fourth.transactions.as_slice() else { panic!("{:?}", fourth.transactions) };
    assert_eq!(receipt.hash, hash);
    assert!(matches!(receipt.events.as_slice(), [EventView::Transferred { .. }]));
    for height in 5..=13 {
        let block = block(&mut again).await;
        assert_eq!(block.height, height);
        let phase = if height <= 12 { "sprint" } else { "commit_grace" };
        assert_eq!(block.phase, phase, "of {height}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_a_start_begins_with_the_next_block() {
    let mut served = Served::new().await;
    served.kit.commit_many(2);
    let mut stream = served.client.events(None).await.unwrap();
    let mut later = served.client.events(Some(5)).await.unwrap();
    served.kit.commit_many(4);
    assert_eq!(block(&mut stream).await.height, 3);
    assert_eq!(block(&mut later).await.height, 5, "blocks before the start are left out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_continues_where_it_was() {
    let mut served = Served::new().await;
    served.kit.commit_many(3);
    let response = reqwest::Client::new()
        .get(format!("{}/v1/events", served.url))
        .header("Last-Event-ID", "2")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut response = response;
    let mut text = String::new();
    while !text.contains("\n\n") {
        text.push_str(&String::from_utf8_lossy(&response.chunk().await.unwrap().unwrap()));
    }
    assert!(text.contains("event: block\nid: 3\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_when_the_node_stops() {
    let mut served = Served::new().await;
    served.kit.commit();
    let mut stream = served.client.events(Some(1)).await.unwrap();
    assert_eq!(block(&mut stream).await.height, 1);
    let reader = tokio::spawn(async move { stream.next().await });
    served.stop().await;
    assert!(matches!(reader.await.unwrap(), Ok(None)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_told_what_it_missed() {
    let mut served = Served::new().await;
    served.kit.commit();
    let mut stream = served.client.events(None).await.unwrap();
    // More than a stream may be behind; how many it misses is a matter of luck.
    let blocks = 1_000;
    served.kit.commit_many(blocks);
    let (mut last, mut missed) = (1, 0);
    while last < 1 + blocks as u64 {
        match stream.next().await.unwrap().unwrap() {
            StreamItem::Block(block) => {
                assert_eq!(block.height, last + 1, "no block twice, none missing unsaid");
                last = block.height;
            }
            StreamItem::Lagged(lagged) => {
                assert_eq!(lagged.from, last + 1);
                missed += lagged.missed;
                last += lagged.missed;
            }
        }
    }
    assert!(missed < blocks as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_cannot_begin_too_far_back() {
    let mut kit = Kit::new();
    kit.commit_many(1_001);
    let served = Served::around(kit).await;
    let error = served.client.events(Some(1)).await.unwrap_err();
    assert_eq!(api_error(error), (400, "bad_parameter".into()));
    let mut stream = served.client.events(Some(2)).await.unwrap();
    for height in 2..=1_001 {
        let block = block(&mut stream).await;
        assert_eq!((block.height, block.epoch), (height, (height - 1) / 60));
    }
}
