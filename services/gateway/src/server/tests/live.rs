//! Over real connections: pieces as they come, clients that leave, and the end of a gateway.

use core::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::*;
use crate::{Gateway, KeySet, Running, StartError};

async fn start(fake: Fake) -> (Running, Arc<Fake>) {
    let fake = Arc::new(fake);
    let mut config = open();
    config.limits.keep_alive = Duration::from_millis(10);
    (Gateway::start(config, registry(&fake)).await.expect("a gateway"), fake)
}

fn live() -> (Fake, UnboundedSender<Event>) {
    let (sender, receiver) = unbounded_channel();
    (Fake::new().then(Reply::Live(receiver)), sender)
}

async fn begin(running: &Running, more: Value) -> reqwest::Response {
    let client = reqwest::Client::new();
    let url = format!("{}/chat/completions", running.api());
    client.post(url).json(&chatting(more)).send().await.expect("an answer")
}

/// Reads until `text` has come.
async fn until(response: &mut reqwest::Response, text: &str) -> String {
    let mut all = String::new();
    while !all.contains(text) {
        let piece = response.chunk().await.expect("a piece").expect("more");
        all.push_str(&String::from_utf8_lossy(&piece));
    }
    all
}

#[tokio::test]
async fn pieces_come_as_they_are_made() {
    let (fake, sender) = live();
    let (running, _) = start(fake).await;
    let mut response = begin(&running, json!({"stream": true})).await;
    until(&mut response, "\"role\":\"assistant\"").await;
    // Nothing happens: comments.
    until(&mut response, ": keep-alive\n\n").await;
    for event in say(&["x"], IM_END) {
        sender.send(event).expect("a receiver");
    }
    let all = until(&mut response, "[DONE]").await;
    assert!(all.contains("\"content\":\"x\""), "{all}");
    running.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn whoever_leaves_stops_the_engine() {
    for stream in [true, false] {
        let (fake, sender) = live();
        let (running, fake) = start(fake).await;
        if stream {
            let mut response = begin(&running, json!({"stream": true})).await;
            until(&mut response, "assistant").await;
            drop(response);
        } else {
            let asking = tokio::time::timeout(Duration::from_millis(200), begin(&running, json!({})));
            assert!(asking.await.is_err(), "there is no answer yet");
        }
        // The engine's side of the stream is gone.
        sender.closed().await;
        assert_eq!(fake.dropped.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn what_runs_may_end() {
    let (fake, sender) = live();
    let (running, _) = start(fake).await;
    let address = running.addr();
    let mut response = begin(&running, json!({"stream": true})).await;
    until(&mut response, "assistant").await;
    let stopping = tokio::spawn(running.shutdown(Duration::from_secs(60)));
    // New connections are not taken any more.
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    for event in say(&["late"], IM_END) {
        sender.send(event).expect("a receiver");
    }
    until(&mut response, "[DONE]").await;
    drop(response);
    stopping.await.expect("the end");
}

#[tokio::test]
async fn what_does_not_end_is_told_so() {
    let (fake, sender) = live();
    let (running, _) = start(fake).await;
    let mut response = begin(&running, json!({"stream": true})).await;
    until(&mut response, "assistant").await;
    let stopping = tokio::spawn(running.shutdown(Duration::ZERO));
    let all = until(&mut response, "\"error\"").await;
    assert!(all.contains("stopping") && !all.contains("[DONE]"), "{all}");
    sender.closed().await;
    stopping.await.expect("the end");
}

#[tokio::test]
async fn without_keys_only_this_machine() {
    let registry = Arc::new(Registry::new());
    let everywhere = ([0, 0, 0, 0], 0).into();
    let refused = Gateway::start(Config::new(everywhere, Access::Open), Arc::clone(&registry)).await;
    assert!(matches!(refused, Err(StartError::OpenToAll(_))));
    let config = Config::new(everywhere, Access::Keys(KeySet::new()));
    drop(Gateway::start(config, Arc::clone(&registry)).await.expect("a gateway"));
    let config = Config { cors: vec![String::new()], ..open() };
    assert!(matches!(Gateway::start(config, Arc::clone(&registry)).await, Err(StartError::Origins)));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let config = Config::new(taken.local_addr().expect("an address"), Access::Open);
    assert!(matches!(Gateway::start(config, registry).await, Err(StartError::Listen { .. })));
}
