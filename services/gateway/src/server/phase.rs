//! How far the end of a gateway is.

use tokio::sync::watch;

/// From the start to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Everything is as usual.
    Serving,
    /// What runs may end; nothing new begins.
    Draining,
    /// What runs is told that it must end.
    Cut,
    /// Connections are closed.
    Closed,
}

/// Tells the phase.
#[derive(Clone, Debug)]
pub(crate) struct Phases(watch::Receiver<Phase>);

impl Phases {
    pub(crate) fn new() -> (watch::Sender<Phase>, Self) {
        let (sender, receiver) = watch::channel(Phase::Serving);
        (sender, Self(receiver))
    }

    pub(crate) fn now(&self) -> Phase {
        *self.0.borrow()
    }

    /// Resolves when `phase` is reached; never if nobody is left to tell.
    pub(crate) async fn reached(&mut self, phase: Phase) {
        if self.0.wait_for(|now| *now >= phase).await.is_err() {
            core::future::pending::<()>().await;
        }
    }

    /// Resolves when streams must end.
    pub(crate) async fn cut(&mut self) {
        self.reached(Phase::Cut).await;
    }
}
