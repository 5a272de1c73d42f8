//! The pages over loopback, around a chain that is fed by hand.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

#[path = "../../node/tests/kit/mod.rs"]
mod kit;

use std::sync::Arc;

use freeway_api::Client;
use freeway_api::explorer::{EpochRow, EventRow, LaneRow};
use freeway_explorer::{HISTORY_FILE, mount};
use freeway_ledger::Text;
use freeway_node::config::ExplorerConfig;
use freeway_node::rpc::{Mounted, serve_with};
use freeway_primitives::Amount;
use freeway_store::Config;
use futures::StreamExt;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::kit::{Kit, address, genesis};

/// A kit that is served, with its pages.
struct Served {
    kit: Kit,
    url: String,
    stop: watch::Sender<bool>,
    server: JoinHandle<std::io::Result<()>>,
    work: JoinHandle<()>,
}

impl Served {
    async fn new() -> Self {
        Self::around(Kit::new()).await
    }

    async fn around(kit: Kit) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = watch::channel(false);
        let (fatal, _) = mpsc::channel(8);
        let context = Arc::new(kit.context(fatal));
        let make = mount(ExplorerConfig::default(), kit.folder.path(), true);
        let Mounted { router, work } = make(Arc::clone(&context), stopped.clone());
        let work = tokio::spawn(work);
        let server = tokio::spawn(serve_with(listener, context, router, stopped));
        Self { kit, url, stop, server, work }
    }

    async fn stop(self) -> Kit {
        self.stop.send_replace(true);
        self.work.await.unwrap();
        self.server.await.unwrap().unwrap();
        self.kit
    }

    /// A response, on a connection of its own.
    async fn ask(&self, path: &str) -> reqwest::Response {
        reqwest::get(format!("{}{path}", self.url)).await.unwrap()
    }

    async fn json(&self, path: &str) -> Value {
        let response = self.ask(path).await;
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.unwrap()
    }

    /// The code of an error.
    async fn refused(&self, path: &str) -> (u16, String) {
        let response = self.ask(path).await;
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        assert!(body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{path}");
        (status, body["error"]["code"].as_str().unwrap().to_owned())
    }

    /// Waits, block by block in the live stream, until the history has this height; then the present.
    async fn reaches(&self, height: u64) -> Value {
        loop {
            let now = self.json("/explorer/v1/now").await;
            if now["history"]["height"].as_u64() >= Some(height) {
                return now;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// The events of a live stream.
struct Events {
    stream: std::pin::Pin<Box<dyn futures::Stream<Item = String> + Send>>,
    text: String,
}

impl Events {
    async fn new(served: &Served) -> Self {
        let response = served.ask("/explorer/v1/live").await;
        assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
        let chunks = response.bytes_stream();
        let text = chunks.map(|chunk| String::from_utf8(chunk.unwrap().to_vec()).unwrap());
        Self { stream: Box::pin(text), text: String::new() }
    }

    /// The next event: its name and data; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let field =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                let Some(name) = field("event:") else { continue };
                return Some((name.to_owned(), serde_json::from_str(field("data:").unwrap()).unwrap()));
            }
            let chunk = self.stream.next().await?;
            self.text.push_str(&chunk);
        }
    }

    /// The next event of that name.
    async fn next_of(&mut self, name: &str) -> Value {
        loop {
            let (found, data) = self.next().await.unwrap();
            if found == name {
                return data;
            }
        }
    }
}

#[tokio::test]
async fn every_page_is_the_page_and_unknown_paths_stay_errors() {
    let served = Served::new().await;
    for path in
        ["/", "/hosts", "/hosts/anything", "/blocks/12", "/tx/zz", "/try", "/requests/a/b", "/events?x=1"]
    {
        let response = served.ask(path).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8", "{path}");
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert!(response.text().await.unwrap().starts_with("<!"), "{path}");
    }
    assert_eq!(served.refused("/nothing").await, (404, "not_found".into()));
    assert_eq!(served.refused("/assets/nothing.js").await, (404, "not_found".into()));
    assert_eq!(served.refused("/assets/..%2f..%2fCargo.toml").await, (404, "not_found".into()));
    assert_eq!(served.refused("/explorer/v1/nothing").await, (404, "not_found".into()));
    assert_eq!(served.json("/v1/status").await["height"], 0, "the interface is where it was");
    served.stop().await;
}

#[tokio::test]
async fn a_browser_revalidates_and_gets_compressed_files() {
    let served = Served::new().await;
    let client = reqwest::Client::new();
    let get = |tag: Option<String>| {
        let mut request = client.get(&served.url).header(ACCEPT_ENCODING, "gzip, br");
        if let Some(tag) = tag {
            request = request.header("if-none-match", tag);
        }
        request.send()
    };
    let first = get(None).await.unwrap();
    assert_eq!(first.headers()[CONTENT_ENCODING], "gzip");
    let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
    assert_eq!(get(Some(tag)).await.unwrap().status(), 304);
    drop(client);
    served.stop().await;
}

#[tokio::test]
async fn blocks_show_in_the_tables_and_in_the_live_stream() {
    let mut served = Served::new().await;
    let mut events = Events::new(&served).await;
    let now = events.next_of("now").await;
    assert_eq!((now["height"].as_u64(), now["name"].as_str()), (Some(0), Some("kit")));
    assert_eq!(now["node"]["synced"], false, "a node without a block is not synced");

    let transfer = served.kit.transfer("alice", 0, address("bob"), Amount::fwy(3));
    let hash = served.kit.submit(&transfer).await.to_string();
    served.kit.commit();
    let block = events.next_of("block").await;
    assert_eq!((block["height"].as_u64(), block["transactions"].as_u64()), (Some(1), Some(1)));
    assert_eq!(block["kinds"]["accounts.transferred"], 1);
    assert_eq!((block["epoch"].as_u64(), block["phase"].as_str()), (Some(0), Some("sprint")));

    let now = served.reaches(1).await;
    assert_eq!(
        (now["history"]["state"].as_str(), now["history"]["complete"].as_bool()),
        (Some("current"), Some(true))
    );
    assert_eq!(
        (now["capacity"]["weight"].as_str(), now["capacity"]["proven"].as_bool()),
        (Some("100"), Some(false))
    );
    // The chain's clock stands in 2023: what a node shows that has not caught up.
    assert_eq!(now["node"]["synced"], false);
    assert!(now["node"]["behind_ms"].as_u64() > Some(1_000_000));

    let found = served.json("/explorer/v1/transactions?kind=accounts.transfer").await;
    assert_eq!(
        (found["rows"][0]["id"].as_str(), found["rows"][0]["ok"].as_bool()),
        (Some(hash.as_str()), Some(true))
    );
    assert_eq!(found["rows"][0]["sender"], address("alice").to_string());
    let found = served.json(&format!("/explorer/v1/events?tx={hash}")).await;
    assert_eq!(found["rows"][0]["data"]["to"], address("bob").to_string());
    let history = served.json(&format!("/explorer/v1/hosts/{}/history", address("host"))).await;
    assert_eq!(
        (history["rows"][0]["epoch"].as_u64(), history["rows"].as_array().unwrap().len()),
        (Some(0), 1)
    );
    assert!(history["rows"][0]["power"].as_u64() > Some(0), "{history}");

    let response = served.ask("/explorer/v1/blocks?format=csv").await;
    assert_eq!(response.headers()[CONTENT_TYPE], "text/csv; charset=utf-8");
    assert!(response.headers()["content-disposition"].to_str().unwrap().contains("freeway-blocks-1.csv"));
    let text = response.text().await.unwrap();
    assert!(text.starts_with("height,id,time_ms,") && text.lines().count() == 2, "{text}");
    drop(events);
    served.stop().await;
}

/// The types by which programs read what is written here.
#[tokio::test]
async fn the_typed_client_reads_the_figures_and_the_tables() {
    let mut served = Served::new().await;
    let transfer = served.kit.transfer("alice", 0, address("bob"), Amount::fwy(3));
    served.kit.submit(&transfer).await;
    served.kit.commit();
    let told = served.reaches(1).await;
    let client = Client::new(&served.url).unwrap();
    let now = client.explorer_now().await.unwrap();
    assert_eq!((now.height, now.clock.phase.as_str(), now.history.state.as_str()), (1, "sprint", "current"));
    assert_eq!(now.clock.phases.len(), told["clock"]["phases"].as_array().unwrap().len());
    assert_eq!(now.capacity.unwrap().hosts, told["capacity"]["hosts"].as_u64().unwrap());
    assert_eq!(now.checks.unwrap().made, 0);
    let epochs = client.explorer_rows::<EpochRow>(&[], 10).await.unwrap();
    assert_eq!((epochs.height, epochs.rows.len(), epochs.rows[0].blocks), (1, 1, 1));
    let filters = [("kinds", "accounts.transferred".to_owned())];
    let events = client.explorer_rows::<EventRow>(&filters, 10).await.unwrap();
    assert_eq!((events.rows[0].height, events.rows[0].kind.as_str()), (1, "accounts.transferred"));
    assert_eq!(events.rows[0].data["to"], address("bob").to_string());
    assert!(client.explorer_rows::<LaneRow>(&[], 10).await.unwrap().rows.is_empty());
    let hosts = client.explorer_host(&address("host"), 10).await.unwrap();
    assert_eq!((hosts.rows.len(), hosts.rows[0].epoch), (1, 0));
    served.stop().await;
}

#[tokio::test]
async fn wrong_questions_get_reasons() {
    let mut served = Served::new().await;
    served.kit.commit();
    served.reaches(1).await;
    for (path, code) in [
        ("/explorer/v1/blocks?limit=100000", "bad_parameter"),
        ("/explorer/v1/blocks?from=-1", "bad_parameter"),
        ("/explorer/v1/blocks?to=99999999999999999999999999", "bad_parameter"),
        ("/explorer/v1/blocks?colour=red", "bad_query"),
        ("/explorer/v1/now?x=1", "bad_query"),
        ("/explorer/v1/hosts/nobody/history", "bad_parameter"),
    ] {
        assert_eq!(served.refused(path).await, (400, code.into()), "{path}");
    }
    let empty = served.json("/explorer/v1/blocks?from=9007199254740992").await;
    assert!(empty["rows"].as_array().unwrap().is_empty());
    served.stop().await;
}

#[tokio::test]
async fn leaves_are_fetched_from_hosts_of_the_chain_alone() {
    let served = Served::new().await;
    let leaf = |host: &str| format!("/explorer/v1/leaf/1/{host}/2/3");
    let stranger = leaf(&address("alice").to_string());
    assert_eq!(served.refused(&stranger).await, (404, "not_found".into()));
    // The kit's host names a port at which nobody listens.
    let host = leaf(&address("host").to_string());
    assert_eq!(served.refused(&host).await, (502, "host_unreachable".into()));
    assert_eq!(served.refused(&leaf("nobody")).await, (400, "bad_parameter".into()));
    assert_eq!(served.refused(&host.replace("/1/", "/x/")).await, (400, "bad_parameter".into()));
    served.stop().await;
}

#[tokio::test]
async fn a_restarted_node_goes_on_with_its_history() {
    let mut served = Served::new().await;
    served.kit.commit_many(5);
    served.reaches(5).await;
    let path = served.kit.folder.path().join(HISTORY_FILE);
    let mut kit = served.stop().await;
    let kept = std::fs::metadata(&path).unwrap().modified().unwrap();
    kit.commit_many(3);
    let served = Served::around(kit).await;
    let now = served.reaches(8).await;
    assert_eq!(now["history"]["first"], 1);
    assert_eq!(served.json("/explorer/v1/blocks?limit=10").await["rows"].as_array().unwrap().len(), 8);
    assert!(std::fs::metadata(&path).unwrap().modified().unwrap() >= kept);
    let kit = served.stop().await;

    // Another network in the same folder begins anew, and so does one whose file is damaged.
    std::fs::write(&path, b"not a database").unwrap();
    let served = Served::around(kit).await;
    assert_eq!(served.reaches(8).await["history"]["state"], "current");
    let folder = served.stop().await.folder;
    let mut other = genesis();
    other.name = Text::new("other").unwrap();
    let mut kit = Kit::with(other, Config::default());
    kit.folder = folder;
    kit.commit_many(2);
    let served = Served::around(kit).await;
    assert_eq!(served.reaches(2).await["history"]["height"], 2);
    assert_eq!(served.json("/explorer/v1/blocks").await["rows"].as_array().unwrap().len(), 2);
    served.stop().await;
}

#[tokio::test]
async fn a_history_that_cannot_be_written_is_said_and_the_node_goes_on() {
    let kit = Kit::new();
    let path = kit.folder.path().join(HISTORY_FILE);
    std::fs::create_dir(&path).unwrap();
    let mut served = Served::around(kit).await;
    let mut events = Events::new(&served).await;
    loop {
        let now = events.next_of("now").await;
        if now["history"]["state"] == "stopped" {
            assert!(now["history"]["problem"].as_str().unwrap().contains(HISTORY_FILE), "{now}");
            break;
        }
        // It was there before the first try: the next one is after a failure.
        if served.json("/explorer/v1/now").await["history"]["state"] == "stopped" {
            break;
        }
    }
    assert_eq!(served.refused("/explorer/v1/blocks").await, (503, "no_history".into()));
    served.kit.commit();
    assert_eq!(events.next_of("block").await["height"], 1, "live pages go on");
    assert_eq!(served.json("/v1/status").await["height"], 1);
    drop(events);
    served.stop().await;
}

#[tokio::test]
async fn a_chain_that_was_cut_begins_where_its_blocks_do() {
    let mut kit = Kit::with(genesis(), Config { retain_blocks: 4, flush_every: 1, ..Config::default() });
    kit.commit_many(40);
    let served = Served::around(kit).await;
    let now = served.reaches(40).await;
    assert_eq!(now["history"]["complete"], false, "{now}");
    assert!(now["history"]["first"].as_u64() > Some(1));
    assert_eq!(now["capacity"]["weight"], "100");
    served.stop().await;
}

#[tokio::test]
async fn streams_end_when_the_node_stops() {
    let served = Served::new().await;
    let mut events = Events::new(&served).await;
    assert_eq!(events.next().await.unwrap().0, "now");
    let stopped = tokio::spawn(served.stop());
    assert!(events.next().await.is_none());
    stopped.await.unwrap();
}
