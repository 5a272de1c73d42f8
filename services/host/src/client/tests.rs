//! Hosts that answer, hosts that do not, and hosts that should not be asked.

use std::sync::Arc;

use freeway_primitives::{Address, ChainId, Digest, Epoch, SecretKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::*;
use crate::openings::Openings;

fn key() -> SecretKey {
    SecretKey::from_seed([5; 32])
}

fn expected() -> Expected {
    Expected {
        chain: ChainId(Digest([1; 32])),
        epoch: Epoch(3),
        host: Address([2; 32]),
        member: Address([3; 32]),
        key: key().public(),
    }
}

fn signed(key: &SecretKey) -> SignedOpenings {
    let Expected { chain, epoch, host, member, .. } = expected();
    Openings { chain, epoch, host, member, openings: Vec::new() }.sign(key)
}

fn ok(body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend(body);
    answer
}

/// A server that reads each request's head and then gives this answer; the heads it has read.
async fn server(answer: Vec<u8>) -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (heads, seen) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = heads.send(head(&mut stream).await);
            let _ = stream.write_all(&answer).await;
        }
    });
    (url, seen)
}

async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

fn fetcher() -> Fetcher {
    Fetcher::new(true)
}

async fn reason(fetcher: Fetcher, endpoint: &str) -> String {
    fetcher.fetch(&[endpoint], &expected()).await.unwrap_err().to_string()
}

#[tokio::test]
async fn the_expected_answer_is_taken() {
    let (url, mut seen) = server(ok(&signed(&key()).encode())).await;
    assert_eq!(fetcher().fetch(&[format!("{url}/below/")], &expected()).await, Ok(signed(&key())));
    let head = seen.recv().await.unwrap();
    let path = format!("GET /below/v1/sprint/3/openings/{} HTTP/1.1\r\n", expected().member);
    assert!(head.starts_with(&path), "{head}");
}

#[tokio::test]
async fn the_next_endpoint_is_tried() {
    let (bad, _bad) = server(ok(b"nonsense")).await;
    let (good, _good) = server(ok(&signed(&key()).encode())).await;
    let answer = fetcher().fetch(&["ftp://x", &bad, &good], &expected()).await;
    assert_eq!(answer, Ok(signed(&key())));
    let none: [&str; 0] = [];
    assert!(fetcher().fetch(&none, &expected()).await.is_err());
}

#[tokio::test]
async fn an_answer_of_somebody_else_is_none() {
    let other = SecretKey::from_seed([6; 32]);
    let (url, _seen) = server(ok(&signed(&other).encode())).await;
    assert!(reason(fetcher(), &url).await.contains("not signed with the host's registered consensus key"));
    let mut foreign = signed(&key()).body;
    foreign.host = Address([9; 32]);
    let (url, _seen) = server(ok(&foreign.sign(&key()).encode())).await;
    assert!(reason(fetcher(), &url).await.contains("another network, race, host or member"));
}

#[tokio::test]
async fn what_is_too_long_is_not_read_to_the_end() {
    let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    endless.resize(SignedOpenings::MAX_BYTES + 1_000, b'x');
    let (url, _seen) = server(endless).await;
    assert!(reason(fetcher(), &url).await.contains("longer than"));
    let (url, _seen) = server(ok(&[b'x'; 100])).await;
    assert!(reason(fetcher(), &url).await.contains("not a canonical signed openings"));
}

#[tokio::test]
async fn who_does_not_answer_in_time_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let accepted = Arc::new(Notify::new());
    let told = Arc::clone(&accepted);
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = head(&mut stream).await;
        told.notify_one();
        // Never answers; ends when the other side hangs up.
        stream.read_u8().await.is_err()
    });
    let hasty = Fetcher { timeout: Duration::from_millis(300), ..fetcher() };
    assert!(reason(hasty, &url).await.contains("no answer in 300ms"));
    accepted.notified().await;
    assert!(server.await.unwrap(), "the connection is closed");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (target, mut seen) = server(ok(&signed(&key()).encode())).await;
    let answer = format!("HTTP/1.1 302 Found\r\nlocation: {target}/\r\ncontent-length: 0\r\n\r\n");
    let (url, _seen) = server(answer.into_bytes()).await;
    assert!(reason(fetcher(), &url).await.contains("302"));
    assert!(seen.try_recv().is_err());
}

#[tokio::test]
async fn a_refusal_is_repeated_in_its_own_words() {
    let body = br#"{"error":{"code":"not_drawn","message":"wait for the next block"}}"#;
    let answer = format!("HTTP/1.1 409 Conflict\r\ncontent-length: {}\r\n\r\n", body.len());
    let (url, _seen) = server([answer.as_bytes(), &body[..]].concat()).await;
    assert!(reason(fetcher(), &url).await.contains("409 Conflict wait for the next block"));
}

#[tokio::test]
async fn private_addresses_are_not_connected_to() {
    let (url, mut seen) = server(ok(&signed(&key()).encode())).await;
    let port = url.rsplit(':').next().unwrap().to_owned();
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433", "0.0.0.0"] {
        let reason = reason(Fetcher::new(false), &format!("http://{host}:{port}")).await;
        assert!(reason.contains("no public address"), "{host}: {reason}");
    }
    let reason = reason(Fetcher::new(false), "http://169.254.169.254/latest").await;
    assert!(reason.contains("no public address"));
    assert!(seen.try_recv().is_err(), "nobody connected");
}

#[tokio::test]
async fn only_plain_urls_are_fetched() {
    for (endpoint, problem) in [
        ("https://host.example", "TLS is not supported"),
        ("file:///etc/passwd", "must start with http://"),
        ("http://name:secret@127.0.0.1:1", "no name and no password"),
        ("http://127.0.0.1:1/?a=b", "a host, a port and a path"),
        ("nonsense", "relative URL"),
    ] {
        let reason = reason(fetcher(), endpoint).await;
        assert!(reason.contains(problem) && !reason.contains("secret"), "{endpoint}: {reason}");
    }
}
