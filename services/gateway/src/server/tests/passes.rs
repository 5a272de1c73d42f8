//! Budgets and passes at the door: what is refused and with which words, and what is spent.

use std::path::Path;

use freeway_engines::Paid;
use freeway_primitives::{Address, Amount};
use freeway_proofs::work::{LaneId, PRICE_TOKENS};

use super::super::phase::Phases;
use super::super::{Server, routes};
use super::*;
use crate::books::Books;
use crate::{Key, KeySet, OwnerKey, Pass, PassFolder, PassLimits, Payment};

/// One base unit for every token.
fn prices() -> Prices {
    let price = PRICE_TOKENS as u64;
    Prices { input: price, cached: price, output: price }
}

/// An answer that cost `fee`.
fn paid(text: &str, fee: u128) -> Reply {
    let mut events = say(&[text], IM_END);
    let (receipt, host) = (Digest([7; 32]), Address([8; 32]));
    events.push(Event::Paid(Paid { receipt, host, lane: LaneId(3), fee: Amount(fee) }));
    Reply::Events(events)
}

fn fake() -> Fake {
    Fake { prices: Some(prices()), ..Fake::new() }
}

struct Door {
    router: Router,
    fake: Arc<Fake>,
    books: Arc<Books>,
    owner: OwnerKey,
    folder: PassFolder,
    _files: tempfile::TempDir,
}

fn config(passes: &Path) -> Config {
    let mut config = open();
    config.passes = Some(passes.to_owned());
    let words = |text: &str| text.to_owned();
    config.payment =
        Some(Payment { network: words("freeway-test-1"), pay_to: words("fwy1payer"), asset: words("FWY") });
    config
}

fn serve(config: &Config, fake: &Arc<Fake>, books: &Arc<Books>) -> Router {
    let (_, phases) = Phases::new();
    routes::router(Arc::new(Server::new(config, registry(fake), Arc::clone(books), phases)))
}

fn door(fake: Fake) -> Door {
    let files = tempfile::tempdir().expect("a folder");
    let folder = PassFolder::new(files.path().join("passes"));
    let (owner, _) = folder.owner().expect("a key");
    let (fake, books) = (Arc::new(fake), Books::in_memory());
    let router = serve(&config(folder.path()), &fake, &books);
    Door { router, fake, books, owner, folder, _files: files }
}

fn limits() -> PassLimits {
    PassLimits { expires: Some(crate::answer::now() + 3_600), ..PassLimits::default() }
}

impl Door {
    fn pass(&self, budget: u128) -> Pass {
        let limits = PassLimits { budget: Some(Amount(budget)), ..limits() };
        Pass::issue(&self.owner, &limits).expect("a pass")
    }

    fn spent(&self, pass: &Pass) -> u128 {
        self.books.spent(&pass.id().0).0
    }
}

fn with(bearer: &str, more: Value) -> Request<Body> {
    let mut request = request("POST", "/v1/chat/completions", chatting(more).to_string());
    request.headers_mut().insert("authorization", format!("Bearer {bearer}").parse().expect("a header"));
    request
}

async fn ask(router: &Router, bearer: &str, max_tokens: u32) -> Answer {
    send(router, with(bearer, json!({"max_tokens": max_tokens}))).await
}

/// Tokens of the prompt of every request here.
async fn prompt() -> u128 {
    let door = door(fake());
    assert_eq!(ask(&door.router, door.pass(10_000).reveal(), 1).await.status, 200);
    door.fake.asked(0).prompt.len() as u128
}

#[tokio::test]
async fn a_request_spends_what_it_cost_on_the_whole_chain() {
    let prompt = prompt().await;
    let door = door(fake().then(paid("abc", 14)).then(paid("abc", 14)));
    let parent = door.pass(prompt + 50);
    let child = parent.narrow(&PassLimits { budget: Some(Amount(prompt + 40)), ..PassLimits::default() });
    let child = child.expect("narrower");
    let answer = ask(&door.router, child.reveal(), 40).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!((door.spent(&child), door.spent(&parent)), (14, 14));
    // The child has less left than the parent.
    let answer = ask(&door.router, child.reveal(), 27).await;
    assert_eq!(answer.error(), (402, String::new(), "insufficient_budget".into()));
    let json = answer.json();
    assert_eq!((&json["x402Version"], &json["error"]["type"]), (&json!(1), &json!("insufficient_quota")));
    let expected = json!([{
        "scheme": "upto",
        "network": "freeway-test-1",
        "maxAmountRequired": (prompt + 27).to_string(),
        "resource": "http://127.0.0.1:0/v1/chat/completions",
        "description": json["accepts"][0]["description"],
        "mimeType": "application/json",
        "payTo": "fwy1payer",
        "maxTimeoutSeconds": 600,
        "asset": "FWY",
        "extra": {"unit": "nfwy", "left": (prompt + 26).to_string(), "how": json["accepts"][0]["extra"]["how"]},
    }]);
    assert_eq!(json["accepts"], expected);
    assert_eq!(ask(&door.router, parent.reveal(), 36).await.status, 200);
    assert_eq!((door.spent(&child), door.spent(&parent)), (14, 28));
    // Choices and prompts multiply.
    let body = json!({"max_tokens": 9, "n": 3});
    assert_eq!(send(&door.router, with(parent.reveal(), body)).await.status, 402);
    let ids = vec![65; 30];
    let body = json!({"model": "m", "prompt": [ids, ids], "max_tokens": 1});
    let mut two = request("POST", "/v1/completions", body.to_string());
    two.headers_mut()
        .insert("authorization", format!("Bearer {}", parent.reveal()).parse().expect("a header"));
    let (left, answer) = (prompt + 22, send(&door.router, two).await);
    assert_eq!(answer.status == 402, left < 62, "{}", answer.body);
}

#[tokio::test]
async fn what_is_not_paid_costs_nothing() {
    let prompt = prompt().await;
    let failed = vec![Event::Failed(EngineError::new(freeway_engines::ErrorKind::Internal, "broken"))];
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let script = fake()
        .then(Reply::Refuse(EngineError::new(freeway_engines::ErrorKind::Busy, "full; wait")))
        .then(Reply::Events(failed))
        .then(Reply::Live(receiver))
        .then(paid("x", 9));
    let door = door(script);
    let pass = door.pass(prompt + 10);
    assert_eq!(ask(&door.router, pass.reveal(), 10).await.status, 503);
    assert_eq!(ask(&door.router, pass.reveal(), 10).await.status, 500);
    // Under way it is set aside; left by its client it is free again.
    let body = json!({"max_tokens": 10, "stream": true});
    let response = door.router.clone().oneshot(with(pass.reveal(), body)).await.expect("an answer");
    assert_eq!(ask(&door.router, pass.reveal(), 1).await.status, 402);
    drop((response, sender));
    while door.books.len() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(ask(&door.router, pass.reveal(), 10).await.status, 200);
    assert_eq!(door.spent(&pass), 9);
}

#[tokio::test]
async fn concurrent_requests_share_a_budget() {
    let prompt = prompt().await;
    let mut fake = fake();
    for _ in 0..40 {
        fake = fake.then(paid("x", prompt + 3));
    }
    let door = door(fake);
    // Five times the most, or nine times what it costs in the end and some.
    let pass = door.pass(5 * (prompt + 3));
    let asks = (0..40).map(|_| {
        let child = pass.narrow(&PassLimits { rate: Some(60), ..PassLimits::default() }).expect("narrower");
        let router = door.router.clone();
        tokio::spawn(async move { ask(&router, child.reveal(), 3).await.status.as_u16() })
    });
    let mut counts = (0, 0);
    for status in futures::future::join_all(asks).await {
        match status.expect("a task") {
            200 => counts.0 += 1,
            402 => counts.1 += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(counts, (5, 35));
    assert_eq!(door.spent(&pass), 5 * (prompt + 3));
}

#[tokio::test]
async fn passes_that_are_no_good_are_told_so() {
    let door = door(fake());
    let issue = |limits: PassLimits| Pass::issue(&door.owner, &limits).expect("a pass");
    let now = crate::answer::now();
    let stranger = OwnerKey::generate().expect("random bytes");
    let expired = issue(PassLimits { expires: Some(now - 1), ..limits() });
    let elsewhere = issue(PassLimits { network: Some("freeway-main".to_owned()), ..limits() });
    let revoked = door.pass(1_000);
    let below = revoked.narrow(&PassLimits { rate: Some(9), ..PassLimits::default() }).expect("narrower");
    door.folder.revoke(revoked.id(), "lost").expect("written");
    let foreign = Pass::issue(&stranger, &limits()).expect("a pass");
    for (pass, code) in [
        ("fwp_", "invalid_pass"),
        ("fwp_EsQBClQKDG", "invalid_pass"),
        (foreign.reveal(), "foreign_pass"),
        (expired.reveal(), "expired_pass"),
        (elsewhere.reveal(), "wrong_network"),
        (revoked.reveal(), "revoked_pass"),
        (below.reveal(), "revoked_pass"),
    ] {
        let answer = ask(&door.router, pass, 1).await;
        assert_eq!(answer.error(), (401, String::new(), code.into()), "{}", answer.body);
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        assert!(pass.len() < 8 || !answer.body.contains(&pass[5..]));
    }
    assert_eq!(door.books.len(), 0);
    // A list that cannot be read refuses everything.
    let broken = door_with_broken_list();
    let pass = broken.pass(5);
    assert_eq!(ask(&broken.router, pass.reveal(), 1).await.error(), (503, String::new(), "busy".into()));
}

fn door_with_broken_list() -> Door {
    let door = door(fake());
    std::fs::write(door.folder.path().join("revoked"), "what\n").expect("written");
    door
}

#[tokio::test]
async fn a_pass_without_a_budget_asks_what_is_free() {
    let door = door(fake());
    let pass = Pass::issue(&door.owner, &limits()).expect("a pass");
    assert_eq!(ask(&door.router, pass.reveal(), 1).await.error().2, "no_budget");
    let free = Arc::new(Fake::new());
    let router = serve(&config(door.folder.path()), &free, &door.books);
    assert_eq!(ask(&router, pass.reveal(), 1).await.status, 200);
}

#[tokio::test]
async fn models_are_bounded() {
    let door = door(fake());
    let models = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    let pass = Pass::issue(&door.owner, &PassLimits { models: models(&["org/m", "x"]), ..limits() });
    let pass = pass.expect("a pass");
    let answer = ask(&door.router, pass.reveal(), 1).await;
    assert_eq!(answer.error(), (403, "model".into(), "model_not_allowed".into()));
    assert!(answer.body.contains("org/m, x"), "{}", answer.body);
    let listed = |pass: &Pass| {
        let mut list = request("GET", "/v1/models", Body::empty());
        list.headers_mut()
            .insert("authorization", format!("Bearer {}", pass.reveal()).parse().expect("a header"));
        list
    };
    let answer = send(&door.router, listed(&pass)).await.json();
    assert_eq!(
        (answer["data"].as_array().map(Vec::len), &answer["data"][0]["id"]),
        (Some(1), &json!("org/m"))
    );
    let none =
        pass.narrow(&PassLimits { models: models(&["x"]), ..PassLimits::default() }).expect("narrower");
    assert_eq!(send(&door.router, listed(&none)).await.json()["data"], json!([]));
}

#[tokio::test]
async fn rates_bound_the_sum_of_all_that_was_narrowed() {
    let free = Fake::new();
    let door = door(free);
    let rate = |rate| PassLimits { rate: Some(rate), ..PassLimits::default() };
    let pass = Pass::issue(&door.owner, &PassLimits { rate: Some(3), ..limits() }).expect("a pass");
    let (one, other) = (pass.narrow(&rate(1)).expect("narrower"), pass.narrow(&rate(3)).expect("narrower"));
    let answer = ask(&door.router, one.reveal(), 1).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["x-ratelimit-remaining-requests"], "0");
    // Used up below: the parent's rate is not touched by what is refused.
    for _ in 0..3 {
        let answer = ask(&door.router, one.reveal(), 1).await;
        assert_eq!(answer.error(), (429, String::new(), "rate_limit_exceeded".into()));
    }
    assert_eq!(ask(&door.router, other.reveal(), 1).await.status, 200);
    assert_eq!(ask(&door.router, pass.reveal(), 1).await.status, 200);
    assert_eq!(ask(&door.router, other.reveal(), 1).await.status, 429);
}

#[tokio::test]
async fn keys_have_budgets_that_outlive_the_gateway() {
    let prompt = prompt().await;
    let files = tempfile::tempdir().expect("a folder");
    let (key, free) = (Key::generate().expect("random bytes"), Key::generate().expect("random bytes"));
    let set = || {
        let mut keys = KeySet::new();
        keys.add_line(&format!("agent {} budget={}nfwy models=m", key.reveal(), prompt + 20)).expect("a key");
        keys.add_line(&format!("me {}", free.reveal())).expect("a key");
        Config::new(([127, 0, 0, 1], 0).into(), Access::Keys(keys))
    };
    // Without a place for what is spent it does not start.
    let engines = registry(&Arc::new(fake()));
    let error = crate::Gateway::start(set(), engines).await.expect_err("no folder").to_string();
    assert!(error.contains("folder"), "{error}");
    for (round, left) in [(0, 20), (1, 10), (2, 0)] {
        let fake = Arc::new(fake().then(paid("x", 10)));
        let books = loop {
            // The thread of the books before may need a moment.
            match Books::open(files.path(), 0) {
                Ok(books) => break books,
                Err(error) => assert!(error.to_string().contains("another gateway"), "{error}"),
            }
        };
        let router = serve(&set(), &fake, &books);
        assert_eq!(ask(&router, key.reveal(), left + 1).await.error().0, 402, "{round}");
        let answer = ask(&router, key.reveal(), left.max(1)).await;
        assert_eq!(answer.status == 200, left > 0, "{round}: {}", answer.body);
        // A key without a budget has its gateway's.
        assert_eq!(ask(&router, free.reveal(), 999).await.status, 200);
    }
}
