//! Connections within bounds: how many, how long a request may take to arrive, how long one may be idle, and how
//! long one may go on after the node was told to stop.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, Sleep};

/// Connections at a time; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 2_048;
/// From the first byte of a request to the end of its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Without any byte in either direction. Longer than a request may wait, and than a stream is silent.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// From the signal to stop until connections are cut.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Resolves when the node is told to stop, or when nobody is left to tell it.
pub(crate) async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the sender is gone.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A listener whose connections are bounded.
pub(crate) struct Bounded {
    inner: TcpListener,
    permits: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

impl Bounded {
    pub(crate) fn new(inner: TcpListener, stop: watch::Receiver<bool>) -> Self {
        Self { inner, permits: Arc::new(Semaphore::new(MAX_CONNECTIONS)), stop }
    }
}

impl Listener for Bounded {
    type Io = Guarded;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guarded, SocketAddr) {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        // Retries errors, such as too many open files, after a pause.
        let (stream, address) = Listener::accept(&mut self.inner).await;
        // Answers are written whole; waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        (Guarded::new(stream, permit, self.stop.clone()), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// Tells a connection what becomes of its requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity(Arc<Requests>);

#[derive(Debug, Default)]
struct Requests {
    /// Whether one is being answered.
    answering: AtomicBool,
    /// How many have arrived.
    arrived: AtomicU64,
}

impl Activity {
    /// A request has arrived, and is being answered until the result is dropped.
    pub(crate) fn begin(&self) -> Answering {
        self.0.arrived.fetch_add(1, Ordering::Relaxed);
        self.0.answering.store(true, Ordering::Relaxed);
        Answering(self.clone())
    }

    fn is_answering(&self) -> bool {
        self.0.answering.load(Ordering::Relaxed)
    }

    fn arrived(&self) -> u64 {
        self.0.arrived.load(Ordering::Relaxed)
    }
}

impl Connected<IncomingStream<'_, Bounded>> for Activity {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        stream.io().activity.clone()
    }
}

/// While it lives, a request is being answered.
pub(crate) struct Answering(Activity);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.0.answering.store(false, Ordering::Relaxed);
    }
}

/// How long a connection may still stand still. Time is an argument.
#[derive(Clone, Copy, Debug)]
struct Patience {
    head: Option<Head>,
    last_progress: Instant,
}

/// The head of a request that has begun to arrive.
#[derive(Clone, Copy, Debug)]
struct Head {
    /// When it must be complete.
    deadline: Instant,
    /// How many requests had arrived before it.
    after: u64,
}

impl Patience {
    fn new(now: Instant) -> Self {
        Self { head: None, last_progress: now }
    }

    /// Bytes went out.
    fn wrote(&mut self, now: Instant) {
        self.last_progress = now;
    }

    /// Bytes came in.
    fn heard(&mut self, now: Instant, activity: &Activity) {
        self.last_progress = now;
        let after = activity.arrived();
        // What arrives while a request is answered is its body.
        if !activity.is_answering() && self.head.is_none_or(|head| head.after != after) {
            self.head = Some(Head { deadline: now + HEAD_TIMEOUT, after });
        }
    }

    fn deadline(&self, activity: &Activity) -> Instant {
        let idle = self.last_progress + IDLE_TIMEOUT;
        match self.head {
            Some(head) if head.after == activity.arrived() => head.deadline.min(idle),
            // Complete: its request has arrived.
            _ => idle,
        }
    }
}

/// A connection that ends when it takes too long.
pub(crate) struct Guarded {
    stream: TcpStream,
    activity: Activity,
    patience: Patience,
    timer: Pin<Box<Sleep>>,
    cut: Pin<Box<dyn Future<Output = ()> + Send>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Guarded {
    fn new(stream: TcpStream, permit: Option<OwnedSemaphorePermit>, stop: watch::Receiver<bool>) -> Self {
        let now = Instant::now();
        let cut = Box::pin(async move {
            stopped(stop).await;
            tokio::time::sleep(DRAIN_TIMEOUT).await;
        });
        Self {
            stream,
            activity: Activity::default(),
            patience: Patience::new(now),
            timer: Box::pin(tokio::time::sleep_until(now + IDLE_TIMEOUT)),
            cut,
            _permit: permit,
        }
    }

    /// While there is nothing to read or no room to write: an error once a bound is reached.
    fn check(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(io::Error::new(io::ErrorKind::ConnectionAborted, "the node stops"));
        }
        loop {
            let deadline = self.patience.deadline(&self.activity);
            if deadline <= Instant::now() {
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the connection stood still"));
            }
            if self.timer.deadline() != deadline {
                self.timer.as_mut().reset(deadline);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Pending => this.check(cx).map(Err),
            Poll::Ready(result) => {
                if buf.filled().len() > before {
                    this.patience.heard(Instant::now(), &this.activity);
                }
                Poll::Ready(result)
            }
        }
    }
}

impl Guarded {
    fn wrote(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Pending => self.check(cx).map(Err),
            ready => {
                self.patience.wrote(Instant::now());
                ready
            }
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.wrote(cx, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.wrote(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
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
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_head_must_be_complete_in_time() {
        let (start, activity) = (Instant::now(), Activity::default());
        let mut patience = Patience::new(start);
        assert_eq!(patience.deadline(&activity), start + IDLE_TIMEOUT);
        patience.heard(start + SECOND, &activity);
        // One byte a second does not help.
        patience.heard(start + SECOND * 2, &activity);
        assert_eq!(patience.deadline(&activity), start + SECOND + HEAD_TIMEOUT);
    }

    #[test]
    fn a_request_that_has_arrived_may_be_answered_for_long() {
        let (start, activity) = (Instant::now(), Activity::default());
        let mut patience = Patience::new(start);
        patience.heard(start, &activity);
        let answering = activity.begin();
        assert_eq!(patience.deadline(&activity), start + IDLE_TIMEOUT);
        patience.heard(start + SECOND, &activity);
        assert_eq!(patience.deadline(&activity), start + SECOND + IDLE_TIMEOUT, "its body");
        // The head of the answer is out, but an event stream goes on for ever.
        drop(answering);
        patience.wrote(start + SECOND * 60);
        assert_eq!(patience.deadline(&activity), start + SECOND * 60 + IDLE_TIMEOUT);
    }

    #[test]
    fn every_head_has_its_own_time() {
        let (start, activity) = (Instant::now(), Activity::default());
        let mut patience = Patience::new(start);
        patience.heard(start, &activity);
        drop(activity.begin());
        patience.heard(start + SECOND * 50, &activity);
        assert_eq!(patience.deadline(&activity), start + SECOND * 50 + HEAD_TIMEOUT);
        drop(activity.begin());
        assert_eq!(patience.deadline(&activity), start + SECOND * 50 + IDLE_TIMEOUT);
    }
}
