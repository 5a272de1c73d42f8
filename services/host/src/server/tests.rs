//! The server as its clients see it.

use freeway_primitives::{ChainId, Digest, SecretKey};
use tokio::sync::{mpsc, watch};

use super::*;
use crate::openings::Openings;

const MEMBER: Address = Address([3; 32]);

/// Shows [`MEMBER`] something in epoch 3; others have to wait for a value of `release`.
struct Stand {
    asked: mpsc::UnboundedSender<Address>,
    release: watch::Receiver<bool>,
}

impl Show for Stand {
    fn openings(&self, epoch: Epoch, member: Address) -> Result<SignedOpenings, Refusal> {
        let _ = self.asked.send(member);
        match epoch.0 {
            3 if member == MEMBER => {
                let (chain, host) = (ChainId(Digest::ZERO), Address([2; 32]));
                let body = Openings { chain, epoch, host, member, openings: Vec::new() };
                Ok(body.sign(&SecretKey::from_seed([5; 32])))
            }
            3 => {
                let mut release = self.release.clone();
                let handle = tokio::runtime::Handle::current();
                let _ = handle.block_on(release.wait_for(|release| *release));
                Err(Refusal::NotAMember { epoch, member })
            }
            4 => Err(Refusal::NotDrawn(epoch)),
            5 => Err(Refusal::Fault(freeway_ledger::Fault("/secret/path".into()))),
            _ => Err(Refusal::UnknownEpoch { asked: epoch, current: Epoch(3) }),
        }
    }

    fn progress(&self) -> Progress {
        Progress { epoch: 3, stage: "race".into(), nonces: 7, threads: 2, share: 50, ..Progress::default() }
    }
}

struct Running {
    url: String,
    asked: mpsc::UnboundedReceiver<Address>,
    release: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn start() -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, questions) = mpsc::unbounded_channel();
    let (release, released) = watch::channel(false);
    let (stop, mut stopped) = watch::channel(false);
    let ended = async move { drop(stopped.wait_for(|stop| *stop).await) };
    let served = tokio::spawn(serve(listener, Stand { asked, release: released }, Router::new(), ended));
    Running { url, asked: questions, release, stop, served }
}

impl Running {
    async fn get(&self, path: &str) -> (u16, Bytes) {
        let answer = reqwest::get(format!("{}{path}", self.url)).await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap())
    }

    async fn refused(&self, path: &str) -> (u16, String, String) {
        let (status, body) = self.get(path).await;
        let ErrorBody { error } = serde_json::from_slice(&body).unwrap();
        (status, error.code, error.message)
    }
}

#[tokio::test]
async fn a_member_is_shown_its_openings_which_are_made_once() {
    let mut running = start().await;
    let path = format!("/v1/sprint/3/openings/{MEMBER}");
    for _ in 0..3 {
        let (status, body) = running.get(&path).await;
        assert_eq!(status, 200);
        assert_eq!(SignedOpenings::decode(&body).unwrap().body.member, MEMBER);
    }
    let posted = reqwest::Client::new().post(format!("{}{path}", running.url)).send().await.unwrap();
    assert_eq!(posted.status().as_u16(), 200);
    assert_eq!(running.asked.recv().await, Some(MEMBER));
    assert!(running.asked.try_recv().is_err());
}

#[tokio::test]
async fn a_refusal_says_why() {
    let running = start().await;
    running.release.send_replace(true);
    let other = Address([9; 32]);
    let of = |epoch: &str, member: &str| format!("/v1/sprint/{epoch}/openings/{member}");
    for (path, status, code, message) in [
        (of("3", &other.to_string()), 404, "not_a_member", "not in the committee"),
        (of("4", &MEMBER.to_string()), 409, "not_drawn", "ask again after the next block"),
        (of("2", &MEMBER.to_string()), 404, "unknown_epoch", "the race under way is that of epoch 3"),
        (of("9", &MEMBER.to_string()), 409, "unknown_epoch", "the race under way is that of epoch 3"),
        (of("5", &MEMBER.to_string()), 500, "storage", "demand it on chain"),
        (of("x", &MEMBER.to_string()), 400, "bad_parameter", "epoch"),
        (of("3", "fwy1x"), 400, "bad_parameter", "member"),
        ("/v2".into(), 404, "not_found", "/v2"),
    ] {
        let refused = running.refused(&path).await;
        assert_eq!((refused.0, refused.1.as_str()), (status, code), "{path}");
        assert!(refused.2.contains(message) && !refused.2.contains("secret"), "{path}: {}", refused.2);
    }
    let wrong = reqwest::Client::new().delete(format!("{}/v1/sprint/progress", running.url)).send().await;
    assert_eq!(wrong.unwrap().status().as_u16(), 405);
}

#[tokio::test]
async fn past_the_bound_requests_are_told_to_come_back() {
    let mut running = start().await;
    let path = |i: u8| format!("{}/v1/sprint/3/openings/{}", running.url, Address([100 + i; 32]));
    let held: Vec<_> = (0..MAX_REQUESTS as u8).map(|i| tokio::spawn(reqwest::get(path(i)))).collect();
    for _ in &held {
        running.asked.recv().await.unwrap();
    }
    let answer = reqwest::get(format!("{}/v1/sprint/progress", running.url)).await.unwrap();
    assert_eq!(answer.status().as_u16(), 429);
    assert_eq!(answer.headers()["retry-after"], "1");
    running.release.send_replace(true);
    for request in held {
        assert_eq!(request.await.unwrap().unwrap().status().as_u16(), 404);
    }
    assert_eq!(running.get("/v1/sprint/progress").await.0, 200);
}

#[tokio::test]
async fn progress_is_shown_and_the_server_stops_when_told() {
    let running = start().await;
    let (status, body) = running.get("/v1/sprint/progress").await;
    let progress: Progress = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, progress.nonces, progress.stage.as_str()), (200, 7, "race"));
    running.stop.send_replace(true);
    running.served.await.unwrap().unwrap();
}
