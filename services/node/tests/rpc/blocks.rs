//! Blocks.

use freeway_api::{EventView, OutcomeView};
use freeway_primitives::Amount;

use crate::kit::address;
use crate::server::Served;

#[tokio::test(flavor = "multi_thread")]
async fn a_block_shows_what_it_did() {
    let mut served = Served::new().await;
    assert!(served.client.latest_block().await.unwrap_err().is_not_found());
    let good = served.kit.transfer("alice", 0, address("bob"), Amount::fwy(5));
    let bad = served.kit.transfer("bob", 0, address("alice"), Amount::fwy(5_000));
    let (good, bad) = (served.kit.submit(&good).await, served.kit.submit(&bad).await);
    let id = served.kit.commit();
    let second = served.kit.commit();

    let block = served.client.block(1).await.unwrap();
    assert_eq!((block.id, block.header.height), (id.0, 1));
    assert_eq!(block.parent_certificate, None);
    assert_eq!((block.certificate.block, block.certificate.height), (id.0, 1));
    assert_eq!(block.certificate.signers, [address("host")]);
    let [first, other] = block.transactions.as_slice() else { panic!("{:?}", block.transactions) };
    assert_eq!((first.hash, first.kind.as_str(), first.from), (good, "accounts.transfer", address("alice")));
    assert_eq!((first.outcome, &first.failure), (OutcomeView::Done, &None));
    assert_eq!((other.hash, other.outcome), (bad, OutcomeView::Failed));
    assert_eq!(other.failure.as_ref().unwrap().code, "insufficient_balance");
    assert!(block.events.contains(&EventView::PhaseStarted { epoch: 0, phase: "sprint".into() }));

    let latest = served.client.latest_block().await.unwrap();
    assert_eq!((latest.id, latest.header.parent), (second.0, id.0));
    assert_eq!(latest.parent_certificate.unwrap().block, id.0);
    assert!(served.client.block(3).await.unwrap_err().is_not_found());
    assert!(served.client.block(0).await.unwrap_err().is_not_found());
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_listed_within_bounds() {
    let mut served = Served::new().await;
    assert!(served.client.blocks(None, 5).await.unwrap().blocks.is_empty());
    served.kit.commit_many(30);
    let heights = |view: freeway_api::BlocksView| view.blocks.iter().map(|b| b.height).collect::<Vec<_>>();
    assert_eq!(heights(served.client.blocks(None, 3).await.unwrap()), [28, 29, 30]);
    assert_eq!(heights(served.client.blocks(Some(5), 2).await.unwrap()), [5, 6]);
    assert_eq!(heights(served.client.blocks(Some(29), 100).await.unwrap()), [29, 30]);
    assert_eq!(heights(served.client.blocks(Some(0), 1).await.unwrap()), [1]);
    assert!(heights(served.client.blocks(Some(31), 1).await.unwrap()).is_empty());
    assert_eq!(served.client.blocks(Some(u64::MAX), 100).await.unwrap().latest, 30);
    let list = served.client.blocks(None, 1).await.unwrap();
    assert_eq!((list.latest, list.oldest), (30, 1));
    assert_eq!((list.blocks[0].signers, list.blocks[0].proposer), (1, address("host")));
}
