//! Signals that ask the program to end in order.

/// Waits for Ctrl-C or, on Unix, for SIGTERM or SIGHUP.
pub(crate) async fn stop() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            // No handler can be installed: then the system's own handling ends the process.
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let other = |kind| async move {
            match signal(kind) {
                Ok(mut stream) => {
                    stream.recv().await;
                }
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            () = interrupt => {}
            () = other(SignalKind::terminate()) => {}
            () = other(SignalKind::hangup()) => {}
        }
    }
    #[cfg(not(unix))]
    interrupt.await;
}
