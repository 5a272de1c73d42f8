//! Asks other hosts for their openings, their samples and their artifacts.
//!
//! The URL comes from the chain, so from somebody who may be hostile: it is fetched only after a look at where it
//! leads, from exactly the address that was looked at, within bounds of time and size, without following
//! redirects. Whatever does not come back as the signed answer that was asked for counts as no answer.

mod address;

use core::time::Duration;
use std::net::{IpAddr, SocketAddr};

use freeway_api::ErrorBody;
use freeway_ledger::Text;
use freeway_primitives::Canonical;
use reqwest::{Client, Response, StatusCode, Url};

use crate::core::Unreachable;
use crate::openings::{Expected, SignedOpenings};

/// From the look at the address to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest error that is read.
const MAX_ERROR_BYTES: usize = 4 << 10;
/// The longest text of others that is shown.
const MAX_SHOWN: usize = 200;

/// Asks for openings. Cheap to clone.
#[derive(Clone, Copy, Debug)]
pub struct Fetcher {
    allow_private: bool,
    timeout: Duration,
}

impl Fetcher {
    /// With `allow_private`, hosts on this machine and in private networks are asked as well.
    pub fn new(allow_private: bool) -> Self {
        Self { allow_private, timeout: TIMEOUT }
    }

    /// The answer of the first endpoint that gives the expected one.
    ///
    /// # Errors
    /// [`Unreachable`] says what became of each.
    pub async fn fetch(
        &self,
        endpoints: &[impl AsRef<str>],
        expected: &Expected,
    ) -> Result<SignedOpenings, Unreachable> {
        let mut reasons = Vec::new();
        for endpoint in endpoints {
            let endpoint = endpoint.as_ref();
            match tokio::time::timeout(self.timeout, self.ask(endpoint, expected)).await {
                Ok(Ok(signed)) => return Ok(signed),
                Ok(Err(reason)) => reasons.push(format!("{}: {reason}", shown(endpoint))),
                Err(_) => reasons.push(format!("{}: no answer in {:?}", shown(endpoint), self.timeout)),
            }
        }
        if reasons.is_empty() {
            reasons.push("the host has no endpoint".into());
        }
        Err(Unreachable(reasons.join("; ")))
    }

    async fn ask(&self, endpoint: &str, expected: &Expected) -> Result<SignedOpenings, String> {
        let path = format!("/v1/sprint/{}/openings/{}", expected.epoch, expected.member);
        let url = parse(endpoint, &path)?;
        let client = self.client(&url).await?;
        let response = answered(client.get(url).send().await).await?;
        let body = read(response, SignedOpenings::MAX_BYTES).await?;
        let signed = SignedOpenings::decode(&body).map_err(|error| shown(&error.to_string()))?;
        signed.check(expected).map_err(|error| error.to_string())?;
        Ok(signed)
    }

    /// What a host answers to `body` at `path`: of the first of its endpoints that gives one. Whether it is the right
    /// one is for the caller to see.
    ///
    /// # Errors
    /// [`Unreachable`] says what became of each.
    pub async fn post<T: Canonical>(
        &self,
        endpoints: &[Text],
        path: &str,
        body: &[u8],
    ) -> Result<T, Unreachable> {
        let mut reasons = Vec::new();
        for endpoint in endpoints {
            let endpoint = endpoint.as_str();
            match tokio::time::timeout(self.timeout, self.posted(endpoint, path, body)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(reason)) => reasons.push(format!("{}: {reason}", shown(endpoint))),
                Err(_) => reasons.push(format!("{}: no answer in {:?}", shown(endpoint), self.timeout)),
            }
        }
        Err(Unreachable(reasons.join("; ")))
    }

    async fn posted<T: Canonical>(&self, endpoint: &str, path: &str, body: &[u8]) -> Result<T, String> {
        let url = parse(endpoint, path)?;
        let client = self.client(&url).await?;
        let request = client.post(url).header("content-type", "application/octet-stream");
        let response = answered(request.body(body.to_vec()).send().await).await?;
        let body = read(response, T::MAX_BYTES).await?;
        T::decode(&body).map_err(|error| shown(&error.to_string()))
    }

    /// A client of its own, so that it connects to the address that was looked at and to no other.
    async fn client(&self, url: &Url) -> Result<Client, String> {
        let address = self.resolve(url).await?;
        Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .user_agent(concat!("freeway/", env!("CARGO_PKG_VERSION")))
            .resolve(url.host_str().unwrap_or_default(), address)
            .build()
            .map_err(|error| error.to_string())
    }

    /// An address of the URL's host that may be connected to.
    async fn resolve(&self, url: &Url) -> Result<SocketAddr, String> {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err("not a host and a port".into());
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found: Vec<SocketAddr> = match bare.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => {
                tokio::net::lookup_host((host, port)).await.map_err(|error| error.to_string())?.collect()
            }
        };
        let allowed = found.iter().find(|found| address::is_allowed(found.ip(), self.allow_private));
        allowed.copied().ok_or_else(|| match found.first() {
            Some(found) => {
                format!("{} is no public address; allow private ones if this is your own network", found.ip())
            }
            None => "the name has no address".into(),
        })
    }
}

/// A path below a host's endpoint.
fn parse(endpoint: &str, path: &str) -> Result<Url, String> {
    let mut url = Url::parse(endpoint).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" => {}
        "https" => return Err("TLS is not supported here; register an http:// endpoint as well".into()),
        _ => return Err("an endpoint must start with http://".into()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an endpoint must have no name and no password".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("an endpoint must be a host, a port and a path".into());
    }
    let path = format!("{}{path}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

/// An answer that is one; else what is wrong, in the host's own words.
async fn answered(sent: Result<Response, reqwest::Error>) -> Result<Response, String> {
    let response = sent.map_err(|error| why(&error))?;
    let status = response.status();
    if status == StatusCode::OK {
        return Ok(response);
    }
    let body = read(response, MAX_ERROR_BYTES).await.unwrap_or_default();
    let said = serde_json::from_slice::<ErrorBody>(&body).map(|body| body.error.to_string());
    Err(format!("{status} {}", shown(&said.unwrap_or_default())))
}

/// The body, if it is not too long.
async fn read(mut response: Response, limit: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| why(&error))? {
        if body.len() + chunk.len() > limit {
            return Err(format!("the answer is longer than {limit} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An error with its innermost cause, which says most.
fn why(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// A text of others, made fit for a log.
fn shown(text: &str) -> String {
    // A password in a URL is not ours to repeat.
    let text = match (text.find("://"), text.find('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}...{}", &text[..scheme + 3], &text[at..]),
        _ => text.to_owned(),
    };
    text.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect()
}

#[cfg(test)]
mod tests;
