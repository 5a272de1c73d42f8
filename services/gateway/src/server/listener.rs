//! Connections within bounds: how many, how long the head of a request may take to arrive, and how long a connection
//! may stand still. While a request is being answered, it may.

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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use super::phase::{Phase, Phases};

/// From the first byte of a request to the end of its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Without any byte in either direction. Streams are never silent for so long.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// A listener whose connections are bounded.
pub(super) struct Bounded {
    inner: TcpListener,
    permits: Arc<Semaphore>,
    phases: Phases,
}

impl Bounded {
    pub(super) fn new(inner: TcpListener, most: usize, phases: Phases) -> Self {
        Self { inner, permits: Arc::new(Semaphore::new(most)), phases }
    }
}

impl Listener for Bounded {
    type Io = Guarded;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guarded, SocketAddr) {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        // Retries errors, such as too many open files, after a pause.
        let (stream, address) = Listener::accept(&mut self.inner).await;
        // Pieces of streams are small, and must not wait for each other.
        let _ = stream.set_nodelay(true);
        (Guarded::new(stream, permit, self.phases.clone()), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// Tells a connection what becomes of its requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Activity(Arc<Requests>);

#[derive(Debug, Default)]
struct Requests {
    answering: AtomicBool,
    /// How many have arrived.
    arrived: AtomicU64,
}

impl Activity {
    /// A request has arrived, and is being answered until the result is dropped.
    pub(super) fn begin(&self) -> Answering {
        self.0.arrived.fetch_add(1, Ordering::Relaxed);
        self.0.answering.store(true, Ordering::Relaxed);
        Answering(self.clone())
    }
}

impl Connected<IncomingStream<'_, Bounded>> for Activity {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        stream.io().activity.clone()
    }
}

/// While it lives, a request is being answered.
pub(super) struct Answering(Activity);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.0.answering.store(false, Ordering::Relaxed);
    }
}

/// How long a connection may still stand still. Time is an argument.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// When the head that has begun to arrive must be complete, and how many requests had arrived before it.
    head: Option<(Instant, u64)>,
    last_progress: Instant,
}

impl Patience {
    fn heard(&mut self, now: Instant, activity: &Activity) {
        self.last_progress = now;
        let arrived = activity.0.arrived.load(Ordering::Relaxed);
        // What arrives while a request is answered is its body.
        let answering = activity.0.answering.load(Ordering::Relaxed);
        if !answering && self.head.is_none_or(|(_, after)| after != arrived) {
            self.head = Some((now + HEAD_TIMEOUT, arrived));
        }
    }

    /// `None`: for ever. A reader that waits has nothing to wait for while its request is answered, but a writer has.
    fn deadline(&self, activity: &Activity, writing: bool) -> Option<Instant> {
        if !writing && activity.0.answering.load(Ordering::Relaxed) {
            return None;
        }
        let idle = self.last_progress + IDLE_TIMEOUT;
        Some(match self.head {
            Some((deadline, after)) if after == activity.0.arrived.load(Ordering::Relaxed) => {
                deadline.min(idle)
            }
            // Complete: its request has arrived.
            _ => idle,
        })
    }
}

/// A connection that ends when it takes too long.
pub(super) struct Guarded {
    stream: TcpStream,
    activity: Activity,
    patience: Patience,
    timer: Pin<Box<Sleep>>,
    closed: Pin<Box<dyn Future<Output = ()> + Send>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Guarded {
    fn new(stream: TcpStream, permit: Option<OwnedSemaphorePermit>, mut phases: Phases) -> Self {
        let now = Instant::now();
        Self {
            stream,
            activity: Activity::default(),
            patience: Patience { head: None, last_progress: now },
            timer: Box::pin(tokio::time::sleep_until(now + IDLE_TIMEOUT)),
            closed: Box::pin(async move { phases.reached(Phase::Closed).await }),
            _permit: permit,
        }
    }

    /// While there is nothing to read or no room to write: an error once a bound is reached.
    fn check(&mut self, cx: &mut Context<'_>, writing: bool) -> Poll<io::Error> {
        if self.closed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(io::Error::new(io::ErrorKind::ConnectionAborted, "the gateway stops"));
        }
        loop {
            let Some(deadline) = self.patience.deadline(&self.activity, writing) else {
                return Poll::Pending;
            };
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

    fn wrote(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Pending => self.check(cx, true).map(Err),
            ready => {
                self.patience.last_progress = Instant::now();
                ready
            }
        }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Pending => this.check(cx, false).map(Err),
            Poll::Ready(result) => {
                if buf.filled().len() > before {
                    this.patience.heard(Instant::now(), &this.activity);
                }
                Poll::Ready(result)
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

    fn begin() -> (Instant, Activity, Patience) {
        let start = Instant::now();
        (start, Activity::default(), Patience { head: None, last_progress: start })
    }

    #[test]
    fn a_head_must_be_complete_in_time() {
        let (start, activity, mut patience) = begin();
        assert_eq!(patience.deadline(&activity, false), Some(start + IDLE_TIMEOUT));
        patience.heard(start + SECOND, &activity);
        // One byte a second does not help.
        patience.heard(start + SECOND * 2, &activity);
        assert_eq!(patience.deadline(&activity, false), Some(start + SECOND + HEAD_TIMEOUT));
    }

    #[test]
    fn an_answer_may_take_long_but_must_be_read() {
        let (start, activity, mut patience) = begin();
        patience.heard(start, &activity);
        let answering = activity.begin();
        patience.heard(start + SECOND, &activity);
        assert_eq!(patience.deadline(&activity, false), None);
        assert_eq!(patience.deadline(&activity, true), Some(start + SECOND + IDLE_TIMEOUT));
        drop(answering);
        assert_eq!(patience.deadline(&activity, false), Some(start + SECOND + IDLE_TIMEOUT));
        patience.heard(start + SECOND * 50, &activity);
        assert_eq!(patience.deadline(&activity, false), Some(start + SECOND * 50 + HEAD_TIMEOUT));
    }
}
