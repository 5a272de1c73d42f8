//! HTTP by hand, for requests that no proper client sends.

use std::net::SocketAddr;
use std::time::Duration;

use eyre::{Result, WrapErr, eyre};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(40);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// The code of the error in it.
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or("none")
    }
}

/// Sends these bytes on a connection of their own and reads what comes until the node closes it.
pub(crate) async fn raw(address: SocketAddr, request: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    // A node that has seen enough may close before it has read all.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    timeout(TIMEOUT, stream.read_to_end(&mut answer)).await.wrap_err("no answer")?.ok();
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Sends a request with a body.
pub(crate) async fn post(address: SocketAddr, path: &str, content: &str, body: &[u8]) -> Result<Answer> {
    let length = body.len();
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: node\r\ncontent-type: {content}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n"
    )
    .into_bytes();
    request.extend_from_slice(body);
    parse(&raw(address, &request).await?)
}

/// Asks for something.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n");
    parse(&raw(address, request.as_bytes()).await?)
}

fn parse(answer: &str) -> Result<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| eyre!("no answer: {answer:?}"))?;
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    Ok(Answer {
        status: status.ok_or_else(|| eyre!("no status: {head:?}"))?,
        body: serde_json::from_str(body).unwrap_or(Value::String(body.to_owned())),
    })
}
