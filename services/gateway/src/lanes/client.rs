//! Requests to hosts.
//!
//! The address comes from the chain, so from somebody who may be hostile: it is used only after a look at where it
//! leads, and then exactly the address that was looked at, without following redirects, and what comes back is read in
//! bounded frames. Connections are kept for a while, so that most requests need no new one.

use core::time::Duration;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use freeway_api::serving::{Frame, FrameError, Frames};
use freeway_api::trace;
use freeway_api::{ErrorBody, reach};
use freeway_proofs::work::LaneId;
use reqwest::{Client, Response, StatusCode, Url, header};

use crate::error::shown;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// Shorter than hosts keep idle connections.
const IDLE: Duration = Duration::from_secs(15);
/// How long a look at an address is good for.
const FRESH: Duration = Duration::from_secs(300);
/// The most hosts whose connections are kept.
const MAX_CLIENTS: usize = 1_024;
/// The longest error that is read.
const MAX_ERROR_BYTES: usize = 4 << 10;

/// Why a host did not take a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Its code and what it says, made fit to be shown.
    Said(String, String),
    /// It cannot be reached, or does not answer like a host.
    Unreachable(String),
}

/// Asks hosts.
#[derive(Debug)]
pub(super) struct HostClient {
    allow_private: bool,
    clients: Mutex<HashMap<String, (Client, Url, Instant)>>,
}

/// The frames of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    response: Response,
    frames: Frames,
}

impl Answer {
    /// The next frame; `None` at the end. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// In words.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, String> {
        loop {
            if let Some(frame) = self.frames.next().map_err(|error: FrameError| error.to_string())? {
                return Ok(Some(frame));
            }
            match self.response.chunk().await.map_err(|error| why(&error))? {
                Some(bytes) => self.frames.push(&bytes),
                None => return Ok(None),
            }
        }
    }
}

impl HostClient {
    pub(super) fn new(allow_private: bool) -> Self {
        Self { allow_private, clients: Mutex::default() }
    }

    /// Asks for a request to be done; the answer begins with what comes back.
    pub(super) async fn ask(&self, endpoint: &str, lane: LaneId, ask: Vec<u8>) -> Result<Answer, Refused> {
        let (client, base) = self.client(endpoint).await.map_err(Refused::Unreachable)?;
        let mut url = base;
        url.set_path(&format!("{}/v1/lanes/{}/requests", url.path().trim_end_matches('/'), lane.0));
        let request = client.post(url).header(header::CONTENT_TYPE, "application/octet-stream").body(ask);
        // The host goes on with this trace, if both keep any.
        let request = match trace::header() {
            Some(context) => request.header(trace::HEADER, context),
            None => request,
        };
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                // Its name may lead elsewhere by now.
                self.forget(endpoint);
                return Err(Refused::Unreachable(why(&error)));
            }
        };
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(Answer { response, frames: Frames::default() });
        }
        let body = read(response).await;
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(ErrorBody { error }) => Err(Refused::Said(shown(&error.code), shown(&error.message))),
            Err(_) => Err(Refused::Unreachable(format!("it answers HTTP {status}"))),
        }
    }

    fn forget(&self, endpoint: &str) {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).remove(endpoint);
    }

    async fn client(&self, endpoint: &str) -> Result<(Client, Url), String> {
        let now = Instant::now();
        {
            let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((client, url, since)) = clients.get(endpoint)
                && now.saturating_duration_since(*since) < FRESH
            {
                return Ok((client.clone(), url.clone()));
            }
        }
        let url = parse(endpoint)?;
        let address = tokio::time::timeout(CONNECT, self.resolve(&url));
        let address = address.await.map_err(|_| "its name is not resolved in time".to_owned())??;
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            .user_agent(concat!("freeway/", env!("CARGO_PKG_VERSION")))
            // It connects to the address that was looked at, and to no other.
            .resolve(url.host_str().unwrap_or_default(), address)
            .build()
            .map_err(|error| error.to_string())?;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(endpoint.to_owned(), (client.clone(), url.clone(), now));
        Ok((client, url))
    }

    /// An address of the URL's host that may be connected to.
    async fn resolve(&self, url: &Url) -> Result<SocketAddr, String> {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err("it names no host and port".into());
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found: Vec<SocketAddr> = match bare.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => {
                tokio::net::lookup_host((host, port)).await.map_err(|error| error.to_string())?.collect()
            }
        };
        let allowed = found.iter().find(|found| reach::is_allowed(found.ip(), self.allow_private));
        allowed.copied().ok_or_else(|| match found.first() {
            Some(found) => {
                format!("{} is no public address; allow private ones if this is your own network", found.ip())
            }
            None => "its name has no address".into(),
        })
    }
}

/// A host's endpoint.
fn parse(endpoint: &str) -> Result<Url, String> {
    let url = Url::parse(endpoint).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" => {}
        "https" => return Err("TLS is not supported here; the host must offer an http:// endpoint".into()),
        _ => return Err("an endpoint must start with http://".into()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an endpoint must have no name and no password".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("an endpoint must be a host, a port and a path".into());
    }
    Ok(url)
}

/// The beginning of a body.
async fn read(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        if body.len() + chunk.len() > MAX_ERROR_BYTES {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    body
}

/// An error with its innermost cause, which says most.
fn why(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hostile_addresses_are_not_asked() {
        let client = HostClient::new(false);
        for endpoint in [
            "http://127.0.0.1:1",
            "http://[::1]:1",
            "http://169.254.169.254/latest",
            "http://10.0.0.1:80",
            "http://localhost:1",
            "https://example.org",
            "file:///etc/passwd",
            "ftp://example.org",
            "http://user:secret@1.1.1.1",
            "http://1.1.1.1/?a=b",
            "http://1.1.1.1/#a",
            "nothing",
            "",
        ] {
            let refused = client.ask(endpoint, LaneId(1), Vec::new()).await.map(drop);
            let Err(Refused::Unreachable(reason)) = refused else { panic!("{endpoint}: {refused:?}") };
            assert!(!reason.contains("secret"), "{reason}");
        }
        let never = HostClient::new(true).ask("http://0.0.0.0:1", LaneId(1), Vec::new()).await;
        assert!(never.is_err());
    }
}
