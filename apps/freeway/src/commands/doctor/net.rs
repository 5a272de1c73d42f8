//! Asking others, each within a bounded time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use freeway_api::{Client, Status};
use freeway_primitives::ChainId;
use freeway_store::Look;
use futures::StreamExt;
use futures::future::join_all;
use reqwest::redirect;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::scope::{Scope, Subject};

/// How long anybody may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(4);
/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 4 << 20;
/// The most other nodes that are asked.
const MAX_OTHERS: usize = 16;
/// The most that is done at a time.
pub(super) const AT_ONCE: usize = 16;

/// What a node said of itself, and when.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) url: String,
    pub(super) status: Status,
    /// How far its clock is ahead of this machine's, in milliseconds: negative if it is behind.
    pub(super) ahead_ms: i64,
    /// How much that may be wrong: half of the time that the question took.
    pub(super) within_ms: i64,
}

/// What can be seen of a node from outside, and of those that it is compared with.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Where it was asked; nothing if that cannot be known.
    pub(super) url: Option<String>,
    /// What it said; or why it said nothing.
    pub(super) answer: Option<Result<Answer, String>>,
    /// Its network, by the genesis in its folder.
    pub(super) chain: Option<ChainId>,
    /// Its data, if it said nothing: whether a process has it, and whose it is.
    pub(super) data: Option<Result<Look, String>>,
    /// Other nodes of the network that were asked, with what they said.
    pub(super) others: Vec<(String, Result<Answer, String>)>,
    /// What speaks to it.
    pub(super) client: Option<Client>,
}

impl Seen {
    /// Asks the node, and the others, at the same time.
    pub(super) async fn of(scope: &Scope, subject: &Subject) -> Self {
        let config = subject.config.as_ref().ok();
        let url = config.map(|config| config.rpc.listen).filter(|listen| listen.port() != 0).map(local_url);
        let mut others: Vec<String> = scope.rpc.iter().chain(&scope.network).cloned().collect();
        others.extend(config.into_iter().flat_map(|config| config.join.snapshot_from.iter().cloned()));
        others.retain(|other| url.as_ref() != Some(other));
        others.truncate(MAX_OTHERS);
        let asked = join_all(others.iter().map(|other| ask(other)));
        let (answer, answers) = futures::join!(
            async {
                match &url {
                    Some(url) => Some(ask(url).await),
                    None => None,
                }
            },
            asked
        );
        let chain =
            subject.genesis.as_ref().and_then(|genesis| genesis.as_ref().ok()).map(|genesis| genesis.chain());
        let data = match (config, &answer) {
            (Some(_), Some(Ok(_))) | (None, _) => None,
            (Some(config), _) => Some(look(config.data.join("store")).await),
        };
        let client = url.as_ref().and_then(|url| Client::new(url).ok());
        Self { url, answer, chain, data, others: others.into_iter().zip(answers).collect(), client }
    }

    /// A node of which only the address is known.
    pub(super) async fn at(url: &str) -> Self {
        Self {
            answer: Some(ask(url).await),
            url: Some(shown(url)),
            client: Client::new(url).ok(),
            ..Self::default()
        }
    }

    /// What the node itself said, if it is the one that its folder describes.
    pub(super) fn status(&self) -> Option<&Status> {
        let status = &self.answer.as_ref()?.as_ref().ok()?.status;
        self.chain.is_none_or(|chain| chain == status.chain).then_some(status)
    }

    /// Whether a process has its data, though it does not answer.
    pub(super) fn is_deaf(&self) -> bool {
        matches!(self.data, Some(Ok(Look::InUse)))
    }

    /// Waits for an answer of the node's own interface.
    pub(super) async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&Client) -> Result<T, freeway_api::ClientError>,
    ) -> Result<T, String> {
        let client = self.client.as_ref().ok_or("it has no known address")?;
        let answer = timeout(PATIENCE, question(client)).await;
        answer.map_err(|_| silent())?.map_err(|error| first_half(&error.to_string()))
    }
}

async fn look(store: std::path::PathBuf) -> Result<Look, String> {
    let looked = tokio::task::spawn_blocking(move || freeway_store::look(&store)).await;
    looked.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

/// What a node says of itself.
async fn ask(url: &str) -> Result<Answer, String> {
    let client = Client::new(url).map_err(|error| first_half(&error.to_string()))?;
    let (began, sent_ms) = (Instant::now(), now_ms());
    let answer = timeout(PATIENCE, client.status()).await.map_err(|_| silent())?;
    let status = answer.map_err(|error| first_half(&error.to_string()))?;
    let within_ms = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX) / 2;
    let theirs_ms = i64::try_from(status.time_ms.saturating_add(status.behind_ms)).unwrap_or(i64::MAX);
    let ahead_ms = theirs_ms.saturating_sub(sent_ms.saturating_add(within_ms));
    Ok(Answer { url: client.url().to_owned(), status, ahead_ms, within_ms })
}

/// A URL by which this machine reaches its own listener.
pub(super) fn local_url(listen: SocketAddr) -> String {
    format!("http://{}", reachable(listen))
}

/// Where this machine reaches its own listener.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Whether somebody accepts a connection there.
pub(super) async fn connects(place: &str) -> Result<(), String> {
    match timeout(PATIENCE, tokio::net::TcpStream::connect(place)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(silent()),
    }
}

/// Does the same with all, some at a time, in order.
pub(super) async fn each<T, F: Future<Output = T>>(work: impl Iterator<Item = F>) -> Vec<T> {
    futures::stream::iter(work).buffered(AT_ONCE).collect().await
}

/// What is answered at a URL, as JSON; with a key if there is one.
pub(super) async fn get<T: DeserializeOwned>(url: &str, key: Option<&str>) -> Result<T, String> {
    let got = async {
        let client = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("freeway/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| why(&error))?;
        let mut request = client.get(url);
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        let mut response = request.send().await.map_err(|error| why(&error))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| why(&error))? {
            if body.len() + piece.len() > MAX_ANSWER_BYTES {
                return Err("the answer is too long".to_owned());
            }
            body.extend_from_slice(&piece);
        }
        if !status.is_success() {
            return Err(format!("HTTP {status}"));
        }
        serde_json::from_slice(&body).map_err(|_| "the answer is not what this program expects".to_owned())
    };
    timeout(PATIENCE, got).await.unwrap_or_else(|_| Err(silent()))
}

/// A URL as it may be shown: without a name and password in it.
pub(super) fn shown(url: &str) -> String {
    match reqwest::Url::parse(url) {
        Ok(mut parsed) if !parsed.username().is_empty() || parsed.password().is_some() => {
            // Fails only for URLs that cannot have them.
            let _ = (parsed.set_password(None), parsed.set_username(""));
            parsed.to_string()
        }
        _ => url.to_owned(),
    }
}

/// The innermost cause, which says most.
fn why(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn silent() -> String {
    format!("no answer in {} s", PATIENCE.as_secs())
}

/// An error's first half: what to do is for the check to say.
pub(super) fn first_half(sentence: &str) -> String {
    sentence.split_once("; ").map_or(sentence, |(what, _)| what).to_owned()
}

/// Milliseconds since 1970.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_reached_on_loopback() {
        for (listen, reached) in [
            ("0.0.0.0:7700", "http://127.0.0.1:7700"),
            ("[::]:7700", "http://[::1]:7700"),
            ("10.1.2.3:1", "http://10.1.2.3:1"),
        ] {
            assert_eq!(local_url(listen.parse().unwrap()), reached);
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        assert_eq!(shown("http://name:secret@a:1/v1"), "http://a:1/v1");
        assert_eq!(shown("http://a:1"), "http://a:1");
        assert_eq!(shown("nothing"), "nothing");
    }

    #[tokio::test]
    async fn a_connection_is_made_or_refused() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap().to_string();
        assert_eq!(connects(&place).await, Ok(()));
        drop(listener);
        assert!(connects(&place).await.is_err());
        assert!(ask(&format!("http://{place}")).await.is_err());
    }
}
