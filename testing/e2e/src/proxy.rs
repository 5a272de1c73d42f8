//! A node's HTTP interface with some answers changed: a peer that lies.

use std::net::SocketAddr;
use std::sync::Arc;

use eyre::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The longest request head.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// Changes the body of the answer to a path.
type Change = dyn Fn(&str, &mut Vec<u8>) + Send + Sync;

/// Passes requests without a body on to a node and changes the answers. Ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A proxy of the node at `target`; `change` is called with the path and the body of each answer.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start(
        target: SocketAddr,
        change: impl Fn(&str, &mut Vec<u8>) + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let change: Arc<Change> = Arc::new(change);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let change = Arc::clone(&change);
                tokio::spawn(async move {
                    // A broken connection is the caller's to notice.
                    let _ = pass(stream, target, change.as_ref()).await;
                });
            }
        });
        Ok(Self { address, task })
    }

    /// The proxy's address as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut stream: TcpStream, target: SocketAddr, change: &Change) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD_BYTES {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split_whitespace().nth(1).unwrap_or("/").to_owned();
    let mut node = TcpStream::connect(target).await?;
    // Version 1.0: one answer, which ends with the connection, in one piece.
    let request = format!("GET {path} HTTP/1.0\r\nhost: {target}\r\n\r\n");
    node.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    node.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    let mut body = answer.split_off(end);
    let status = String::from_utf8_lossy(&answer).lines().next().unwrap_or("HTTP/1.0 502 Bad").to_owned();
    change(&path, &mut body);
    let head = format!("{status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await
}
