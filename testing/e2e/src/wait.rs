//! Waiting for something to happen, with a deadline.

use core::fmt::Debug;
use core::future::Future;
use std::time::Duration;

use eyre::{Result, eyre};
use freeway_api::{Client, StreamItem};
use tokio::time::{Instant, sleep, timeout_at};

/// How often something without an event of its own is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Looks until `look` gives something.
///
/// # Errors
/// If it gives nothing within `limit`; names `what`, and the last error.
pub async fn until<T, E, F>(limit: Duration, what: &str, mut look: impl FnMut() -> F) -> Result<T>
where
    E: Debug,
    F: Future<Output = Result<Option<T>, E>>,
{
    let deadline = Instant::now() + limit;
    let mut last = None;
    loop {
        match timeout_at(deadline, look()).await {
            Ok(Ok(Some(found))) => return Ok(found),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => last = Some(error),
            Err(_) => return Err(late(limit, what, &last)),
        }
        if Instant::now() >= deadline {
            return Err(late(limit, what, &last));
        }
        sleep(LOOK).await;
    }
}

fn late(limit: Duration, what: &str, last: &Option<impl Debug>) -> eyre::Report {
    match last {
        Some(error) => eyre!("not within {limit:?}: {what}; the last error was {error:?}"),
        None => eyre!("not within {limit:?}: {what}"),
    }
}

/// Follows a node's blocks until it has one at `height` or above: that block's height. A node that is not there
/// yet, or goes and comes back meanwhile, is waited for.
///
/// # Errors
/// If it has none within `limit`.
pub async fn height(client: &Client, height: u64, limit: Duration) -> Result<u64> {
    let what = format!("a block at height {height} or above at {}", client.url());
    until(limit, &what, || async {
        let status = client.status().await?;
        if status.height >= height {
            return Ok(Some(status.height));
        }
        let mut events = client.events(None).await?;
        while let Some(item) = events.next().await? {
            match item {
                StreamItem::Block(block) if block.height >= height => return Ok(Some(block.height)),
                StreamItem::Block(_) | StreamItem::Lagged(_) => {}
            }
        }
        Ok::<_, freeway_api::ClientError>(None)
    })
    .await
}

/// Waits until a node has decided `count` blocks more than it has now: its height then.
///
/// # Errors
/// If it has not within `limit`.
pub async fn more_blocks(client: &Client, count: u64, limit: Duration) -> Result<u64> {
    let now = until(limit, "an answer of the node", || async { client.status().await.map(Some) }).await?;
    height(client, now.height + count, limit).await
}
