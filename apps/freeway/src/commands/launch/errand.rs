//! Something that a running network's process sees to on the chain by itself: it looks, sends a transaction if one is
//! needed, and looks again until it is done.

use std::time::Duration;

use freeway_api::{Client, ClientError, Status};
use freeway_ledger::{Body, Message};
use freeway_primitives::{Address, Canonical, Height, SecretKey};
use tokio::time::{MissedTickBehavior, interval};

use crate::hints::Problem;

/// How often the network is asked whether it is done.
const LOOK: Duration = Duration::from_secs(1);
/// How many blocks the transaction may wait.
const LIFETIME: u64 = 30;
/// How often it is sent.
const TRIES: u32 = 5;
/// The errors of a transaction whose number another one of the same key has taken, or will take.
const OVERTAKEN: [&str; 2] = ["sequence_used", "sequence_taken"];

/// What a look at the chain finds.
pub(crate) enum Want {
    /// All is as it should be.
    Nothing,
    /// It is not time yet.
    Wait,
    /// This is to be sent.
    Send(Box<Message>),
}

/// Why an errand does not get on.
pub(crate) enum Failed {
    /// The node does not answer: another one may.
    Silent,
    /// It would fail again.
    For(Problem),
}

/// Looks and sends until there is nothing left to do. Without a key it only looks: somebody else sends. `gave_up` says
/// what failed when it was tried often enough.
///
/// # Errors
/// What `look` says would fail again, a transaction that is refused, or `gave_up`.
pub(crate) async fn run_errand(
    clients: &[Client],
    key: Option<&SecretKey>,
    mut look: impl AsyncFnMut(&Client, &Status) -> Result<Want, Failed>,
    gave_up: impl Fn() -> Problem,
) -> Result<(), Problem> {
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = Sent::default();
    loop {
        tick.tick().await;
        for client in clients {
            let Ok(status) = client.status().await else { continue };
            let message = match look(client, &status).await {
                Ok(Want::Nothing) => return Ok(()),
                Ok(Want::Wait) => break,
                Ok(Want::Send(message)) => *message,
                Err(Failed::Silent) => continue,
                Err(Failed::For(problem)) => return Err(problem),
            };
            let Some(key) = key else { break };
            if sent.until.is_some_and(|until| status.height <= until) {
                break;
            }
            if sent.times >= TRIES {
                return Err(gave_up());
            }
            match submit(client, &status, key, message).await {
                Ok(Some(expiry)) => {
                    sent = Sent { times: sent.times + 1, until: Some(expiry) };
                    break;
                }
                Ok(None) => break,
                Err(Failed::Silent) => {}
                Err(Failed::For(problem)) => return Err(problem),
            }
        }
    }
}

/// What was sent so far.
#[derive(Default)]
struct Sent {
    times: u32,
    /// The height until which the latest may come.
    until: Option<u64>,
}

/// Signs and sends: the height until which it may come; `None` if another transaction of the key was faster.
async fn submit(
    client: &Client,
    status: &Status,
    key: &SecretKey,
    message: Message,
) -> Result<Option<u64>, Failed> {
    let account = client.account(&Address::of(&key.public())).await.map_err(|_| Failed::Silent)?;
    let expiry = Height(status.height).plus(LIFETIME);
    let body = Body {
        chain: status.chain,
        signer: key.public(),
        on_behalf_of: None,
        sequence: account.sequence,
        expiry,
        message,
    };
    match client.submit_bytes(&body.sign(key).encode()).await {
        Ok(_) => Ok(Some(expiry.0)),
        Err(error) if OVERTAKEN.contains(&error.code()) => Ok(None),
        Err(error @ ClientError::Api { status: 400..500, .. }) => Err(Failed::For(error.into())),
        Err(_) => Err(Failed::Silent),
    }
}
