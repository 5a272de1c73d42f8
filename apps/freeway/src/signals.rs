//! Signals that ask the program to end in order.

use tokio::io::AsyncReadExt;

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

/// Waits for [`stop`] or, if asked, for the end of standard input: a parent process that is gone.
pub(crate) async fn stop_or_parent(with_parent: bool) {
    let parent_gone = async {
        if !with_parent {
            return std::future::pending().await;
        }
        let mut stdin = tokio::io::stdin();
        let mut buffer = [0; 64];
        // Whatever the parent writes means nothing; only the end does.
        while stdin.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    };
    tokio::select! {
        () = stop() => {}
        () = parent_gone => {}
    }
}
