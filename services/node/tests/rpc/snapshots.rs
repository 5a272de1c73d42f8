//! Snapshots, fetched and restored as a new node does.

use freeway_node::join::Offer;
use freeway_primitives::{Canonical, Height};
use freeway_store::{Config, Manifest, Medium, Restore, chunk_digest};

use crate::server::{Served, api_error};

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_travels_over_http() {
    let mut served = Served::new().await;
    assert!(served.client.snapshots().await.unwrap().snapshots.is_empty());
    served.kit.commit_many(30);
    let height = served.kit.store.flushed_height().0;
    let folder = served.snapshots.join(height.to_string());
    let written = served.kit.store.write_snapshot(&folder, 10_000).unwrap();
    // Neither unfinished ones nor other things are offered.
    std::fs::create_dir_all(served.snapshots.join("99")).unwrap();
    std::fs::write(served.snapshots.join("99").join("chunk-00000"), "half").unwrap();
    std::fs::write(served.snapshots.join("notes"), "text").unwrap();

    let listed = served.client.snapshots().await.unwrap().snapshots;
    let [listed] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((listed.height, listed.root, listed.entries), (height, written.root, written.entries));
    let manifest = Manifest::decode(&served.client.snapshot_manifest(height).await.unwrap()).unwrap();
    assert_eq!(manifest, written);

    let target = served.kit.folder.path().join("restored");
    std::fs::create_dir_all(&target).unwrap();
    let genesis = served.kit.genesis.encode();
    let medium = Medium::Directory(target);
    let config = Config { cache_bytes: 4 << 20, ..Config::default() };
    let mut restore = Restore::begin(medium, config, &genesis, Height(height), manifest.root).unwrap();
    for (index, digest) in (0..).zip(&manifest.chunks) {
        let chunk = served.client.snapshot_chunk(height, index).await.unwrap();
        assert_eq!(chunk_digest(&chunk), *digest);
        let (status, _) = served.get(&format!("/v1/sync/snapshots/{height}/{index}")).await;
        assert_eq!(status, 200);
        restore.add_chunk(&chunk).unwrap();
    }

    for path in [
        "/v1/snapshots/99/manifest".to_owned(),
        "/v1/snapshots/99/chunks/0".to_owned(),
        format!("/v1/snapshots/{height}/chunks/{}", manifest.chunks.len()),
        format!("/v1/snapshots/{height}/chunks/{}", u64::MAX),
        "/v1/snapshots/7/manifest".to_owned(),
    ] {
        assert_eq!(served.refused(&path).await.0, 404, "{path}");
    }
    for path in
        ["/v1/snapshots/..%2f..%2fstore/manifest", "/v1/snapshots/+7/manifest", "/v1/snapshots/7/chunks/-1"]
    {
        assert_eq!(served.refused(path).await.0, 400, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_node_is_offered_what_it_needs() {
    let mut served = Served::new().await;
    let (status, _) = served.get("/v1/sync/offer").await;
    assert_eq!(status, 404, "without a snapshot");
    served.kit.commit_many(30);
    let height = served.kit.store.flushed_height().0;
    served.kit.store.write_snapshot(&served.snapshots.join(height.to_string()), 1 << 20).unwrap();
    let bytes = reqwest::get(format!("{}/v1/sync/offer", served.url)).await.unwrap().bytes().await.unwrap();
    let offer = Offer::decode(&bytes).unwrap();
    assert_eq!(offer.manifest.height, Height(height));
    assert_eq!(offer.next.header.state_root, offer.manifest.root);
    let switches =
        reqwest::get(format!("{}/v1/sync/switches/0", served.url)).await.unwrap().bytes().await.unwrap();
    assert_eq!(&switches[..], 0u32.to_le_bytes(), "there was no switch yet");
    assert_eq!(api_error(served.client.snapshot_manifest(1).await.unwrap_err()).0, 404);
}
