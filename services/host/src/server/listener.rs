//! Connections within bounds: how many at a time, and how long one may last. Openings are short answers to rare
//! questions: a connection that lives longer than that is closed, whatever it does, unless a [`Lease`] keeps it.

use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use crate::serving::Lease;

/// Connections at a time; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 256;
/// From the connection to its end.
const LIFETIME: Duration = Duration::from_secs(30);

/// A listener whose connections are bounded.
pub(super) struct Bounded {
    inner: TcpListener,
    permits: Arc<Semaphore>,
    lifetime: Duration,
}

impl Bounded {
    pub(super) fn new(inner: TcpListener) -> Self {
        Self { inner, permits: Arc::new(Semaphore::new(MAX_CONNECTIONS)), lifetime: LIFETIME }
    }
}

impl Listener for Bounded {
    type Io = Limited;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Limited, SocketAddr) {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        // Retries errors, such as too many open files, after a pause.
        let (stream, address) = Listener::accept(&mut self.inner).await;
        // Each token is a frame of its own; waiting to fill a packet delays it by as much as the other side waits to
        // acknowledge the one before.
        let _ = stream.set_nodelay(true);
        let end = Box::pin(tokio::time::sleep(self.lifetime));
        let (lifetime, lease) = (self.lifetime, Lease::default());
        (Limited { stream, end, lifetime, lease, _permit: permit }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A connection that ends when its time is over.
pub(super) struct Limited {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    lifetime: Duration,
    lease: Lease,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Limited {
    /// What waits, waits no longer than the connection lives.
    fn bound<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        while result.is_pending() && self.end.as_mut().poll(cx).is_ready() {
            if self.lease.is_held(self.lifetime) {
                self.end.as_mut().reset(Instant::now() + self.lifetime);
                continue;
            }
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the connection took too long")));
        }
        result
    }
}

impl Connected<IncomingStream<'_, Bounded>> for Lease {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        stream.io().lease.clone()
    }
}

impl AsyncRead for Limited {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_read(cx, buf);
        this.bound(cx, result)
    }
}

impl AsyncWrite for Limited {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.bound(cx, result)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_connection_that_stands_still_ends() {
        let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut listener = Bounded { lifetime: Duration::from_millis(50), ..Bounded::new(inner) };
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(b"GET /v1").await.unwrap();
        let (mut io, _) = listener.accept().await;
        let error = io.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn an_answer_under_way_keeps_its_connection() {
        let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut listener = Bounded { lifetime: Duration::from_millis(50), ..Bounded::new(inner) };
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut io, _) = listener.accept().await;
        let holding = io.lease.hold();
        let mut byte = [0];
        let early = tokio::time::timeout(Duration::from_millis(300), io.read(&mut byte)).await;
        assert!(early.is_err(), "it ended while it was held");
        client.write_all(b"x").await.unwrap();
        assert_eq!(io.read(&mut byte).await.unwrap(), 1);
        drop(holding);
        let error = io.read(&mut byte).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn frames_do_not_wait_for_each_other() {
        let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = inner.local_addr().unwrap();
        let mut listener = Bounded::new(inner);
        let (_client, (io, _)) = tokio::join!(TcpStream::connect(address), listener.accept());
        assert!(io.stream.nodelay().unwrap());
    }
}
