//! Whom a command asks that is no node: a gateway with its key, or a host.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use freeway_engines::Secret;
use freeway_primitives::Digest;
use futures::StreamExt;
use reqwest::{Client, Response, StatusCode, redirect};
use serde::de::DeserializeOwned;

use crate::cli::Context;
use crate::files::read_bounded;
use crate::hints::Problem;
use crate::network_file::NetworkFile;

/// The file with the key of a local network's gateways.
pub(crate) const KEY_FILE: &str = "api-key";
/// Largest file with a key.
const MAX_KEY_BYTES: u64 = 64 << 10;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest answer: a receipt with its request and output, twice as long as its bytes.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// The longest error.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// Which gateway.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct WhichGateway {
    /// An OpenAI-compatible server, as URL ending in /v1 [default: the network of the directory].
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// A file with the key for it [default: the network's, or the variable FREEWAY_API_KEY].
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl WhichGateway {
    /// Its URL, without a slash at the end.
    ///
    /// # Errors
    /// If none is named and the network of the directory has none.
    pub(super) fn url(&self, context: &Context) -> Result<String, Problem> {
        let url = match &self.url {
            Some(url) => url.clone(),
            None => NetworkFile::read(&context.directory()?)?.gateway().ok_or_else(|| {
                Problem::new("no_gateway", "the network here serves no models")
                    .hint("start it again with this version's `freeway up`, or name a server with --url")
            })?,
        };
        Ok(url.trim_end_matches('/').to_owned())
    }

    /// The key for it, if there is one.
    ///
    /// # Errors
    /// If its file cannot be read.
    pub(super) fn key(&self, directory: &Path) -> Result<Option<Secret>, Problem> {
        if let Some(file) = &self.key_file {
            return read_key(file).map(Some);
        }
        if let Ok(key) = std::env::var("FREEWAY_API_KEY")
            && !key.is_empty()
        {
            return Ok(Some(Secret::new(key)));
        }
        // The key of the local network is for nobody else.
        let file = directory.join(KEY_FILE);
        if self.url.is_none() && file.exists() { read_key(&file).map(Some) } else { Ok(None) }
    }

    /// Ready to be asked.
    ///
    /// # Errors
    /// As [`WhichGateway::url`] and [`WhichGateway::key`].
    pub(super) fn gateway(&self, context: &Context) -> Result<Gateway, Problem> {
        let key = self.key(&context.directory()?)?;
        Ok(Gateway { http: http()?, url: self.url(context)?, key })
    }
}

/// The key in a file: its last word, so that a line `NAME KEY` will do.
pub(crate) fn read_key(file: &Path) -> Result<Secret, Problem> {
    let text = String::from_utf8(read_bounded(file, MAX_KEY_BYTES)?)
        .map_err(|_| Problem::file("read", file, "it is not text"))?;
    let line = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#'));
    match line.and_then(|line| line.split_whitespace().nth(1).or_else(|| line.split_whitespace().next())) {
        Some(key) => Ok(Secret::new(key)),
        None => Err(Problem::file("read", file, "it has no key")),
    }
}

/// A gateway, for questions that are no requests to a model.
pub(crate) struct Gateway {
    http: Client,
    url: String,
    key: Option<Secret>,
}

impl Gateway {
    /// What it says at this path below `/v1`.
    ///
    /// # Errors
    /// If it does not answer, refuses, or answers what cannot be used.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        let url = format!("{}/{path}", self.url);
        let mut request = self.http.get(&url);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose());
        }
        let response = request.send().await.map_err(|error| silent(&url, &error))?;
        let status = response.status();
        let limit = if status == StatusCode::OK { MAX_ANSWER_BYTES } else { MAX_ERROR_BYTES };
        let body = read(&url, response, limit).await?;
        if status != StatusCode::OK {
            return Err(refused(&url, status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| {
            Problem::new("unexpected_answer", format!("{url} answers what is none: {error}"))
                .hint("it may be no gateway of Freeway, or one of another version")
        })
    }

    /// The kept receipt of this digest.
    ///
    /// # Errors
    /// As [`Gateway::get`].
    pub(super) async fn receipt(&self, digest: &Digest) -> Result<freeway_api::KeptReceipt, Problem> {
        let kept: freeway_api::KeptReceipt = self.get(&format!("receipts/{digest}")).await?;
        if kept.summary.digest != *digest {
            return Err(Problem::new("unexpected_answer", "the gateway shows another receipt")
                .hint("ask another gateway, or read the receipt from a file with --file"));
        }
        Ok(kept)
    }
}

/// The bytes that somebody else shows at `url`; `None` if there is nothing.
///
/// # Errors
/// If it does not answer.
pub(super) async fn fetch(url: &str, limit: usize) -> Result<Option<Vec<u8>>, Problem> {
    let response = http()?.get(url).send().await.map_err(|error| silent(url, &error))?;
    if response.status() != StatusCode::OK {
        return Ok(None);
    }
    read(url, response, limit).await.map(Some)
}

/// A client that goes where it is sent and nowhere else.
fn http() -> Result<Client, Problem> {
    Client::builder()
        .timeout(PATIENCE)
        .redirect(redirect::Policy::none())
        .build()
        .map_err(|error| Problem::new("defect", format!("there can be no HTTP: {error}")))
}

async fn read(url: &str, response: Response, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut body = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| silent(url, &error))?;
        if body.len().saturating_add(piece.len()) > limit {
            return Err(Problem::new("unexpected_answer", format!("{url} answers more than {limit} bytes"))
                .hint("it may be no gateway or host of Freeway"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn silent(url: &str, error: &reqwest::Error) -> Problem {
    let what = if error.is_timeout() { "is silent" } else { "cannot be reached" };
    Problem::new("unreachable", format!("{url} {what}"))
        .hint("see whether the network runs with `freeway status`; start one with `freeway up`")
}

/// An error in the shape of the OpenAI interface.
fn refused(url: &str, status: StatusCode, body: &[u8]) -> Problem {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let error = &value["error"];
    let message = error["message"].as_str().map_or_else(|| format!("{url}: HTTP {status}"), str::to_owned);
    let code = error["code"].as_str().or_else(|| error["type"].as_str()).unwrap_or("refused").to_owned();
    let problem = Problem::told(code, message);
    match status {
        StatusCode::UNAUTHORIZED => problem.or_hint("give the gateway's key with --key-file FILE"),
        StatusCode::NOT_FOUND => problem.or_hint("`freeway receipt list` shows what the gateway keeps"),
        _ => problem.or_hint("name another gateway with --url"),
    }
}
