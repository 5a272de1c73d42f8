//! Who gets connected to whom, and who stays connected.

mod common;

use std::net::TcpListener;

use common::{config, connected, start};
use freeway_network::{AddPeerError, Network, NetworkError, PeerAddress, PublishError, peer_id_of};

#[tokio::test]
async fn networks_do_not_mix() {
    let a = start(config(1, 1)).await;
    let mut other_chain = config(2, 2);
    other_chain.peers = vec![a.address()];
    let b = start(other_chain).await;
    // Whichever side notices first hangs up.
    tokio::select! {
        _ = a.counters(|counters| counters.foreign > 0) => {}
        _ = b.counters(|counters| counters.foreign > 0) => {}
    }
    a.without(b.id()).await;
    assert_eq!(a.handle.publish(b"hello".to_vec()), Err(PublishError::NoPeers));
    assert_eq!(b.handle.publish(b"hello".to_vec()), Err(PublishError::NoPeers));
}

#[tokio::test]
async fn a_private_network_refuses_other_keys() {
    let mut private = config(1, 1);
    private.allowed = Some([peer_id_of([2; 32])].into());
    let a = start(private).await;
    let (mut friend, mut stranger) = (config(1, 2), config(1, 3));
    friend.peers = vec![a.address()];
    stranger.peers = vec![a.address()];
    let (b, c) = (start(friend).await, start(stranger).await);
    connected(&a, &b).await;
    a.counters(|counters| counters.refused > 0).await;
    c.without(a.id()).await;
    assert!(a.handle.peers().iter().all(|peer| peer.id == b.id()));
    assert_eq!(c.handle.publish(b"hello".to_vec()), Err(PublishError::NoPeers));
}

#[tokio::test]
async fn an_impostor_at_a_peers_address_is_not_accepted() {
    let impostor = start(config(1, 1)).await;
    let mut victim = config(1, 2);
    victim.peers = vec![impostor.address().with_id(peer_id_of([9; 32]))];
    let victim = start(victim).await;
    victim.counters(|counters| counters.failed_dials > 0).await;
    assert!(victim.handle.peers().is_empty());
}

#[tokio::test]
async fn connections_beyond_the_bound_are_refused() {
    let mut small = config(1, 1);
    small.max_peers = 1;
    let a = start(small).await;
    let (mut first, mut second) = (config(1, 2), config(1, 3));
    first.peers = vec![a.address()];
    second.peers = vec![a.address()];
    let b = start(first).await;
    connected(&a, &b).await;
    let c = start(second).await;
    a.counters(|counters| counters.refused > 0).await;
    c.without(a.id()).await;
    assert_eq!(a.handle.peers().len(), 1);
}

#[tokio::test]
async fn a_restarted_peer_is_found_again() {
    let mut a = start(config(1, 1)).await;
    let mut for_b = config(1, 2);
    for_b.peers = vec![a.address()];
    let b = start(for_b).await;
    connected(&a, &b).await;
    let (listen, id) = (a.handle.listen_address(), a.id());
    a.handle.shutdown().await;
    assert_eq!(a.incoming.recv().await, None);
    assert!(a.handle.peers().is_empty());
    b.without(id).await;

    // The port is free at once, and the same key answers there.
    let mut again = config(1, 1);
    again.listen = listen;
    let mut a = start(again).await;
    assert_eq!(a.id(), id);
    connected(&a, &b).await;
    b.handle.publish(b"welcome back".to_vec()).unwrap();
    assert_eq!(a.receive().await.bytes, b"welcome back");
}

#[tokio::test]
async fn nodes_that_dial_each_other_keep_one_connection() {
    let (mut a, mut b) = (start(config(1, 1)).await, start(config(1, 2)).await);
    let (to_a, to_b) = (a.address(), b.address());
    let (added, also) = tokio::join!(a.handle.add_peer(to_b), b.handle.add_peer(to_a));
    added.and(also).unwrap();
    connected(&a, &b).await;
    assert_eq!((a.handle.peers().len(), b.handle.peers().len()), (1, 1));
    a.handle.publish(b"ping".to_vec()).unwrap();
    assert_eq!(b.receive().await.bytes, b"ping");
    b.handle.publish(b"pong".to_vec()).unwrap();
    assert_eq!(a.receive().await.bytes, b"pong");
    // The smaller id's connection is the one that both sides keep in the end.
    let a_is_smaller = a.id() < b.id();
    a.peers(|peers| peers.iter().any(|peer| peer.ready && peer.dialled == a_is_smaller)).await;
    b.peers(|peers| peers.iter().any(|peer| peer.ready && peer.dialled != a_is_smaller)).await;
}

#[tokio::test]
async fn a_shared_list_of_peers_may_name_the_node_itself() {
    let a = start(config(1, 1)).await;
    let own: PeerAddress = a.handle.listen_address().into();
    a.handle.add_peer(own.clone()).await.unwrap();
    let mut for_b = config(1, 2);
    // The same node twice, once by name; who answers there is learned, not configured.
    for_b.peers = vec![own, format!("localhost:{}", a.handle.listen_address().port()).parse().unwrap()];
    let b = start(for_b).await;
    connected(&a, &b).await;
    assert_eq!(b.peers(|peers| !peers.is_empty()).await.len(), 1);
    assert!(a.handle.peers().iter().all(|peer| peer.id == b.id()));
}

#[tokio::test]
async fn latency_is_measured() {
    let a = start(config(1, 1)).await;
    let b = start(config(1, 2)).await;
    a.handle.add_peer(b.address()).await.unwrap();
    a.peers(|peers| peers.iter().any(|peer| peer.latency.is_some())).await;
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let a = start(config(1, 1)).await;
    let mut same_port = config(1, 2);
    same_port.listen = a.handle.listen_address();
    let addr = same_port.listen;
    let error = Network::start(same_port).await.unwrap_err();
    assert!(matches!(error, NetworkError::PortInUse { addr: named } if named == addr), "{error}");
    assert!(error.to_string().contains(&addr.to_string()));

    let foreign = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut taken = config(1, 3);
    taken.listen = foreign.local_addr().unwrap();
    assert!(matches!(Network::start(taken).await, Err(NetworkError::PortInUse { .. })));

    let mut elsewhere = config(1, 4);
    elsewhere.listen = ([203, 0, 113, 7], 0).into();
    assert!(matches!(Network::start(elsewhere).await, Err(NetworkError::Listen { .. })));
}

#[tokio::test]
async fn all_interfaces_can_be_listened_on() {
    let mut everywhere = config(1, 1);
    everywhere.listen = ([0, 0, 0, 0], 0).into();
    let a = start(everywhere).await;
    let listen = a.handle.listen_address();
    assert!(listen.ip().is_unspecified() && listen.port() != 0);
    let mut for_b = config(1, 2);
    for_b.peers = vec![format!("{}@127.0.0.1:{}", a.id(), listen.port()).parse().unwrap()];
    let b = start(for_b).await;
    connected(&a, &b).await;
}

#[tokio::test]
async fn a_network_without_handles_stops() {
    let mut a = start(config(1, 1)).await;
    let mut for_b = config(1, 2);
    for_b.peers = vec![a.address()];
    let b = start(for_b).await;
    connected(&a, &b).await;
    let id = a.id();
    drop(a.handle);
    assert_eq!(a.incoming.recv().await, None);
    b.without(id).await;
}

#[tokio::test]
async fn a_stopped_network_says_so() {
    let a = start(config(1, 1)).await;
    a.handle.shutdown().await;
    let added = a.handle.add_peer("127.0.0.1:1".parse().unwrap()).await;
    assert_eq!(added, Err(AddPeerError::Stopped));
}
