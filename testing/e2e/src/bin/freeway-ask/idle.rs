//! Streams in which nothing happens.

use std::process::Stdio;
use std::time::Duration;

use eyre::{Result, WrapErr, ensure, eyre};
use freeway_e2e::freeway_binary;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;

/// How long the gateway may take to start, and each stream to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// Memory of the gateway's process.
pub(crate) struct Idle {
    pub(crate) before_mib: f64,
    pub(crate) after_mib: f64,
}

/// Opens so many streams, and looks at the gateway's memory before and after.
pub(crate) async fn measure(streams: usize) -> Result<Idle> {
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let upstream = format!("http://{}/v1", silent.local_addr()?);
    tokio::spawn(stay_silent(silent));
    let mut gateway = Command::new(freeway_binary()?)
        .args([
            "gateway",
            "--json",
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            &upstream,
            "--forward",
            "silent",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let pid = gateway.id().ok_or_else(|| eyre!("the gateway ended"))?;
    let stdout = gateway.stdout.take().ok_or_else(|| eyre!("no output"))?;
    let mut line = String::new();
    timeout(PATIENCE, BufReader::new(stdout).read_line(&mut line)).await.wrap_err("it does not start")??;
    let ready: Value = serde_json::from_str(&line).wrap_err("not a ready line")?;
    let api = ready["api"].as_str().and_then(|api| api.strip_prefix("http://")?.strip_suffix("/v1"));
    let address = api.ok_or_else(|| eyre!("no address in {line}"))?.to_owned();

    // One first, so that what is made once is counted before.
    let mut open = vec![begin(&address).await?];
    let before_mib = resident_mib(pid)?;
    for _ in 1..streams {
        open.push(begin(&address).await?);
    }
    let after_mib = resident_mib(pid)?;
    ensure!(open.len() == streams);
    Ok(Idle { before_mib, after_mib })
}

/// Answers every request with the head of a stream, and never says anything more.
async fn stay_silent(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut buffer = [0; 4_096];
            let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: here\n\n";
            if stream.read(&mut buffer).await.is_ok() && stream.write_all(head).await.is_ok() {
                // Until the gateway goes away.
                while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
            }
        });
    }
}

/// Asks for a stream and waits for the head of the answer.
async fn begin(address: &str) -> Result<TcpStream> {
    let body =
        json!({ "model": "silent", "stream": true, "messages": [{ "role": "user", "content": "hello" }] })
            .to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; 512];
    let count = timeout(PATIENCE, stream.read(&mut head)).await.wrap_err("no answer")??;
    let head = String::from_utf8_lossy(&head[..count]);
    ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    Ok(stream)
}

/// Memory of a process that is in use.
fn resident_mib(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or_else(|| eyre!("no VmRSS"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1_024.0)
}
