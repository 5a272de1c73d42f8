//! Transactions: in one at a time and in bulk, waited for, refused.

use std::time::Duration;

use freeway_api::{EventView, MessageView, OutcomeView, TransactionStatus};
use freeway_primitives::{Amount, Canonical, Digest};

use crate::kit::address;
use crate::server::{Served, api_error, error_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_followed_from_submission_to_inclusion() {
    let mut served = Served::new().await;
    let transfer = served.kit.transfer("alice", 0, address("bob"), Amount::fwy(5));
    let hash = served.client.submit(&transfer).await.unwrap();
    assert_eq!(hash, transfer.hash());
    let pending = served.client.transaction(&hash).await.unwrap();
    assert_eq!((pending.status, pending.height, pending.outcome), (TransactionStatus::Pending, None, None));
    let to = MessageView::Transfer { to: address("bob"), amount: Amount::fwy(5) };
    assert_eq!((pending.body.account, &pending.body.message), (address("alice"), &to));

    let client = served.client.clone();
    let waiting =
        tokio::spawn(async move { client.wait_for_transaction(&hash, Duration::from_secs(60)).await });
    served.kit.commit();
    let included = waiting.await.unwrap().unwrap();
    assert_eq!(
        (included.status, included.height, included.index),
        (TransactionStatus::Included, Some(1), Some(0))
    );
    assert_eq!((included.outcome, &included.failure), (Some(OutcomeView::Done), &None));
    let amount = Amount::fwy(5);
    let transferred = EventView::Transferred { from: address("alice"), to: address("bob"), amount };
    assert_eq!(included.events, [transferred]);
    assert_eq!(included, served.client.transaction(&hash).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_is_over_answers_with_what_there_is() {
    let served = Served::new().await;
    let transfer = served.kit.transfer("alice", 0, address("bob"), Amount::fwy(5));
    let hash = served.client.submit(&transfer).await.unwrap();
    let view = served.client.wait_for_transaction(&hash, Duration::from_millis(1)).await.unwrap();
    assert_eq!(view.status, TransactionStatus::Pending);
    let unknown = Digest([3; 32]);
    let error = served.client.wait_for_transaction(&unknown, Duration::from_millis(1)).await.unwrap_err();
    assert!(error.is_not_found());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_a_status_and_a_code() {
    let mut served = Served::new().await;
    let amount = Amount::fwy(1);
    let first = served.kit.transfer("alice", 0, address("bob"), amount);
    served.client.submit(&first).await.unwrap();
    let refused = async |transaction| api_error(served.client.submit(transaction).await.unwrap_err());
    assert_eq!(refused(&first).await, (409, "duplicate".into()));
    let other = served.kit.transfer("alice", 0, address("host"), amount);
    assert_eq!(refused(&other).await, (409, "sequence_taken".into()));
    let ahead = served.kit.transfer("alice", 10_000, address("bob"), amount);
    assert_eq!(refused(&ahead).await, (409, "sequence_ahead".into()));
    let mut forged = served.kit.transfer("bob", 0, address("alice"), amount);
    forged.signature.0[0] ^= 1;
    assert_eq!(refused(&forged).await, (400, "bad_signature".into()));
    let mut late = first.body.clone();
    late.expiry.0 = 1_000_000;
    let late = late.sign(&crate::kit::key("alice"));
    assert_eq!(refused(&late).await, (400, "expiry_too_far".into()));
    let mut foreign = first.body.clone();
    foreign.chain.0 = Digest([9; 32]);
    let foreign = foreign.sign(&crate::kit::key("alice"));
    assert_eq!(refused(&foreign).await, (400, "wrong_chain".into()));
    let malformed = served.client.submit_bytes(b"nonsense").await.unwrap_err();
    assert_eq!(api_error(malformed), (400, "malformed".into()));
    served.kit.commit();
    let replayed = served.client.submit(&first).await.unwrap_err();
    assert_eq!(api_error(replayed), (409, "sequence_used".into()));
    // An account with nothing has one transaction an epoch.
    let poor = |sequence| served.kit.transfer("poor", sequence, address("bob"), amount);
    let (one, two) = (poor(0), poor(1));
    served.client.submit(&one).await.unwrap();
    served.kit.commit();
    let error = served.client.submit(&two).await.unwrap_err();
    assert_eq!(api_error(error), (429, "quota_exceeded".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_judged_one_by_one() {
    let mut served = Served::new().await;
    let transfer = |sequence| served.kit.transfer("alice", sequence, address("bob"), Amount::fwy(1)).encode();
    let mut batch: Vec<Vec<u8>> = (0..60).map(transfer).collect();
    batch.insert(30, b"nonsense".to_vec());
    let results = served.client.submit_many(&batch).await.unwrap();
    assert_eq!(results.len(), 61);
    for (at, result) in results.iter().enumerate() {
        match result {
            Ok(hash) => assert_eq!(*hash, freeway_ledger::Transaction::hash_of(&batch[at])),
            Err(error) => assert_eq!((at, error.code.as_str()), (30, "malformed")),
        }
    }
    served.kit.commit();
    assert_eq!(served.client.latest_block().await.unwrap().transactions.len(), 60);

    let many = ["bob", "host"]
        .map(|name| hex::encode(served.kit.transfer(name, 0, address("alice"), Amount::fwy(1)).encode()));
    let body = serde_json::json!({ "transactions": many }).to_string();
    let (status, answer) = served.post("application/json; charset=utf-8", body.into()).await;
    assert_eq!(status, 200, "{answer}");
    let answers: Vec<freeway_api::SubmitResult> = serde_json::from_str(&answer).unwrap();
    assert!(answers.len() == 2 && answers.iter().all(|answer| answer.hash.is_some()), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_bodies_are_refused_by_what_is_wrong() {
    let served = Served::new().await;
    let json = "application/json";
    let binary = "application/octet-stream";
    let count = |count: u32| count.to_le_bytes().to_vec();
    let mut trailing = borsh::to_vec(&vec![vec![1u8]]).unwrap();
    trailing.push(0);
    for (kind, body, status, code) in [
        (json, b"{".to_vec(), 400, "bad_json"),
        (json, b"{}".to_vec(), 400, "bad_json"),
        (json, br#"{"transaction":"00","transactions":["00"]}"#.to_vec(), 400, "bad_json"),
        (json, br#"{"transaction":"00","fee":1}"#.to_vec(), 400, "bad_json"),
        (json, br#"{"transaction":"0g"}"#.to_vec(), 400, "bad_parameter"),
        (json, br#"{"transactions":[]}"#.to_vec(), 400, "bad_count"),
        (json, format!("{{\"transaction\":\"{}\"}}", "00".repeat(40_000)).into_bytes(), 400, "too_large"),
        (binary, Vec::new(), 400, "bad_borsh"),
        (binary, count(0), 400, "bad_count"),
        (binary, count(4_097), 400, "bad_count"),
        (binary, count(u32::MAX), 400, "bad_count"),
        (binary, count(2), 400, "bad_borsh"),
        (binary, trailing, 400, "bad_borsh"),
        ("text/plain", b"{}".to_vec(), 415, "unsupported_media_type"),
        (binary, vec![0; (8 << 20) + 1], 413, "body_too_large"),
    ] {
        let (got, answer) = served.post(kind, body).await;
        assert_eq!((got, error_of(&answer).code.as_str()), (status, code), "{answer}");
    }
}
