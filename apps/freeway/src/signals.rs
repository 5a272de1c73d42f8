//! Signals that ask the program to end in order.

use core::future::Future;

use tokio::io::AsyncReadExt;

/// Waits for Ctrl-C or, on Unix, for SIGTERM or SIGHUP. They are caught from this call on, not from the first poll: whoever
/// says that it is ready can be stopped in order from then on.
pub(crate) fn stop() -> impl Future<Output = ()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(|kind| {
                let caught = signal(kind);
                async move {
                    match caught {
                        Ok(mut stream) => {
                            stream.recv().await;
                        }
                        // No handler can be installed: then the system's own handling ends the process.
                        Err(_) => std::future::pending().await,
                    }
                }
            });
        async move {
            tokio::select! {
                () = interrupt => {}
                () = terminate => {}
                () = hangup => {}
            }
        }
    }
    #[cfg(not(unix))]
    async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Waits for [`stop`] or, if asked, for the end of standard input: a parent process that is gone.
pub(crate) fn stop_or_parent(with_parent: bool) -> impl Future<Output = ()> {
    let stop = stop();
    let parent_gone = async move {
        if !with_parent {
            return std::future::pending().await;
        }
        let mut stdin = tokio::io::stdin();
        let mut buffer = [0; 64];
        // Whatever the parent writes means nothing; only the end does.
        while stdin.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    };
    async move {
        tokio::select! {
            () = stop => {}
            () = parent_gone => {}
        }
    }
}
