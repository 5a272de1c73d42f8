//! Fetches the one thing that a page needs from a host itself: the leaf of a request in its commitment.
//!
//! A page cannot ask hosts, which are other sites to it. The node asks for it, but only hosts of the chain at the
//! endpoints that they have there, only for leaves, a few at a time. Endpoints come from strangers: only an address that
//! may be reached is connected to, the one that was looked at, without redirects, within bounds of time and size. The
//! page checks the leaf against the commitment on the chain; here it is bytes.

use core::time::Duration;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use freeway_api::reach;
use freeway_api::serving::LeafShown;
use freeway_ledger::hosts::{HOSTS, MAX_ENDPOINTS};
use freeway_primitives::{Address, Canonical};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use tokio::sync::Semaphore;

use crate::Shared;
use crate::error::Problem;

/// From the look at the address to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Hosts that are asked at a time.
const MAX_ASKED: usize = 8;

/// Asks hosts.
#[derive(Debug)]
pub(crate) struct Relay {
    allow_private: bool,
    permits: Arc<Semaphore>,
}

/// A request in a host's commitment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) interval: u64,
    pub(crate) host: Address,
    pub(crate) lane: u64,
    pub(crate) sequence: u64,
}

/// What an endpoint gave.
enum Given {
    Leaf(Vec<u8>),
    /// It says that there is none.
    Nothing,
}

impl Relay {
    /// With `allow_private`, hosts on this machine and in private networks are asked as well.
    pub(crate) fn new(allow_private: bool) -> Self {
        Self { allow_private, permits: Arc::new(Semaphore::new(MAX_ASKED)) }
    }

    /// The canonical bytes of the leaf, as the host shows them.
    ///
    /// # Errors
    /// [`Problem`]: the host is unknown, says that there is none, or cannot be asked.
    pub(crate) async fn leaf(&self, shared: &Shared, wanted: Wanted) -> Result<Vec<u8>, Problem> {
        let _permit =
            self.permits.try_acquire().map_err(|_| Problem::busy("the node asks as many hosts as it can"))?;
        let known = HOSTS.get(&shared.context.store.view(), &wanted.host);
        let known = known.map_err(|_| Problem::no_history("the node's state cannot be read"))?;
        let Some(host) = known else {
            let message = format!("{} is no host", wanted.host);
            return Err(Problem::not_found(message, "/v1/hosts lists all hosts"));
        };
        let Wanted { interval, lane, sequence, .. } = wanted;
        let path = format!("/v1/work/{interval}/leaves/{lane}/{sequence}");
        let (mut said, mut reasons) = (false, Vec::new());
        for endpoint in host.profile.endpoints.iter().take(MAX_ENDPOINTS) {
            match tokio::time::timeout(TIMEOUT, self.ask(endpoint.as_str(), &path)).await {
                Ok(Ok(Given::Leaf(bytes))) => return Ok(bytes),
                Ok(Ok(Given::Nothing)) => said = true,
                Ok(Err(reason)) => reasons.push(reason),
                Err(_) => reasons.push(format!("no answer in {} s", TIMEOUT.as_secs())),
            }
        }
        if said {
            let hint = "it shows leaves from its commitment on, for some intervals";
            return Err(Problem::not_found("the host says that it has no such leaf", hint));
        }
        if reasons.is_empty() {
            reasons.push("it has no endpoint on the chain".into());
        }
        Err(Problem::unreachable(format!("the host cannot be asked: {}", reasons.join("; "))))
    }

    async fn ask(&self, endpoint: &str, path: &str) -> Result<Given, String> {
        let url = parse(endpoint, path)?;
        let address = self.resolve(&url).await?;
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .user_agent(concat!("freeway/", env!("CARGO_PKG_VERSION")))
            .resolve(url.host_str().unwrap_or_default(), address)
            .build()
            .map_err(|error| error.without_url().to_string())?;
        let told = |error: reqwest::Error| error.without_url().to_string();
        let mut response = client.get(url).send().await.map_err(told)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(Given::Nothing),
            status => return Err(format!("it answers {status}")),
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(told)? {
            if body.len().saturating_add(chunk.len()) > LeafShown::MAX_BYTES {
                return Err("its answer is longer than any leaf".into());
            }
            body.extend_from_slice(&chunk);
        }
        match LeafShown::decode(&body) {
            Ok(_) => Ok(Given::Leaf(body)),
            Err(_) => Err("its answer is no leaf".into()),
        }
    }

    /// An address of the URL's host that may be connected to.
    async fn resolve(&self, url: &Url) -> Result<SocketAddr, String> {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err("its endpoint is not a host and a port".into());
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found: Vec<SocketAddr> = match bare.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => {
                let found = tokio::net::lookup_host((host, port)).await;
                found.map_err(|_| "its name has no address")?.collect()
            }
        };
        let allowed = found.iter().find(|found| reach::is_allowed(found.ip(), self.allow_private));
        allowed.copied().ok_or_else(|| "its endpoint is at no public address".to_owned())
    }
}

/// A path below a host's endpoint.
fn parse(endpoint: &str, path: &str) -> Result<Url, String> {
    let mut url = Url::parse(endpoint).map_err(|_| "its endpoint is no URL")?;
    let plain = url.username().is_empty() && url.password().is_none();
    if url.scheme() != "http" || !plain || url.query().is_some() || url.fragment().is_some() {
        return Err("its endpoint is not a plain http:// address".into());
    }
    let path = format!("{}{path}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_endpoints_are_asked() {
        let path = "/v1/work/1/leaves/2/3";
        let url = parse("http://example.org:80/below/", path).map(String::from);
        assert_eq!(url.as_deref(), Ok("http://example.org/below/v1/work/1/leaves/2/3"));
        for endpoint in [
            "https://example.org",
            "file:///etc/passwd",
            "http://me:secret@example.org",
            "http://example.org/?x=1",
            "http://example.org/#x",
            "javascript:alert(1)",
            "nothing",
            "",
        ] {
            assert!(parse(endpoint, path).is_err(), "{endpoint}");
        }
    }

    #[tokio::test]
    async fn private_addresses_are_asked_only_if_allowed() {
        for endpoint in ["http://127.0.0.1:1", "http://10.0.0.1", "http://[::1]:8", "http://169.254.169.254"]
        {
            let Ok(url) = Url::parse(endpoint) else { continue };
            assert!(Relay::new(false).resolve(&url).await.is_err(), "{endpoint}");
        }
        let Ok(url) = Url::parse("http://127.0.0.1:7") else { return };
        assert!(Relay::new(true).resolve(&url).await.is_ok());
    }
}
