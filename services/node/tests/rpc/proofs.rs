//! Proofs, checked as a light client does: with nothing but the genesis.

use borsh::BorshDeserialize;
use freeway_api::{ProofView, ProofViewError};
use freeway_ledger::accounts::{ACCOUNTS, Account};
use freeway_primitives::{Address, Amount, Canonical, Digest};
use freeway_store::{Proof, ProofError};

use crate::kit::address;
use crate::server::{Served, api_error};

/// What a light client does with an answer.
fn check(served: &Served, view: &ProofView) -> Result<Option<Vec<u8>>, String> {
    let (_, validators) = freeway_ledger::open(&served.kit.genesis).unwrap();
    let root = view.certified_root(&served.kit.chain_id, &validators).map_err(|error| error.to_string())?;
    let proof = Proof::decode(&view.proof_bytes().unwrap()).map_err(|error| error.to_string())?;
    proof.verify(&root, &view.key_bytes().unwrap()).map_err(|error: ProofError| error.to_string())
}

async fn proven(served: &Served, of: &Address) -> Option<Account> {
    let view = served.client.account_proof(of, None).await.unwrap();
    assert_eq!(view.key, hex::encode(ACCOUNTS.key(of)));
    let value = check(served, &view).unwrap();
    assert_eq!(value, view.value.as_ref().map(|value| hex::decode(value).unwrap()));
    value.map(|value| Account::try_from_slice(&value).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_is_proven_to_someone_who_knows_only_the_genesis() {
    let mut served = Served::new().await;
    let transfer = served.kit.transfer("alice", 0, address("bob"), Amount::fwy(5));
    served.kit.submit(&transfer).await;
    served.kit.commit_many(2);
    assert_eq!(proven(&served, &address("bob")).await.unwrap().balance, Amount::fwy(1_005));
    assert_eq!(proven(&served, &address("nobody")).await, None);
    // Across many flushes too.
    served.kit.commit_many(50);
    assert_eq!(proven(&served, &address("alice")).await.unwrap().balance, Amount::fwy(995));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_answer_proves_nothing() {
    let mut served = Served::new().await;
    served.kit.commit_many(2);
    let view = served.client.proof(&ACCOUNTS.key(&address("bob")), None).await.unwrap();
    assert_eq!(view.height, 1);
    check(&served, &view).unwrap();
    let other = served.client.proof(&ACCOUNTS.key(&address("alice")), None).await.unwrap();
    assert!(check(&served, &ProofView { proof: other.proof, ..view.clone() }).is_err());
    assert!(check(&served, &ProofView { key: other.key, ..view.clone() }).is_err());
    assert!(check(&served, &ProofView { root: Digest([1; 32]), ..view.clone() }).is_err());
    assert!(check(&served, &ProofView { header: other.certificate.clone(), ..view.clone() }).is_err());
    assert!(check(&served, &ProofView { height: 2, ..view.clone() }).is_err());
    let (_, validators) = freeway_ledger::open(&served.kit.genesis).unwrap();
    let foreign = freeway_primitives::ChainId(Digest([2; 32]));
    assert!(matches!(view.certified_root(&foreign, &validators), Err(ProofViewError::Mismatch(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn heights_that_cannot_be_proven_are_named() {
    let mut served = Served::new().await;
    let (_, validators) = freeway_ledger::open(&served.kit.genesis).unwrap();
    let genesis = served.client.account_proof(&address("bob"), None).await.unwrap();
    let error = genesis.certified_root(&served.kit.chain_id, &validators).unwrap_err();
    assert_eq!(error, ProofViewError::NotYet(0));
    served.kit.commit_many(40);
    let latest = served.client.account_proof(&address("bob"), Some(40)).await.unwrap();
    assert_eq!((latest.header, latest.certificate), (None, None));
    for height in [0, 41, u64::MAX] {
        let error = served.client.account_proof(&address("bob"), Some(height)).await.unwrap_err();
        assert_eq!(api_error(error), (404, "not_retained".into()), "of {height}");
    }
}
