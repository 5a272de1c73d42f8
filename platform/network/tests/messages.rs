//! How messages travel between real nodes.

mod common;

use common::{Node, config, connected, start};
use freeway_network::{BAN_THRESHOLD, MessageId, Misbehaviour, PublishError, Verdict};

/// Three nodes, of which only neighbours are connected: `a - b - c`.
async fn line() -> (Node, Node, Node) {
    let b = start(config(1, 2)).await;
    let [mut for_a, mut for_c] = [config(1, 1), config(1, 3)];
    for_a.peers = vec![b.address()];
    for_c.peers = vec![b.address()];
    let (a, c) = (start(for_a).await, start(for_c).await);
    connected(&a, &b).await;
    connected(&b, &c).await;
    (a, b, c)
}

#[tokio::test]
async fn a_message_travels_on_only_when_accepted() {
    let (a, mut b, mut c) = line().await;
    a.handle.publish(b"first".to_vec()).unwrap();
    a.handle.publish(b"second".to_vec()).unwrap();
    let (first, second) = (b.receive().await, b.receive().await);
    assert_eq!((first.from, first.id), (a.id(), MessageId::of(b"first")));
    assert_eq!((first.bytes.as_slice(), second.bytes.as_slice()), (&b"first"[..], &b"second"[..]));

    // The later message overtakes the earlier one, whose judgement takes longer.
    b.handle.verdict(second.id, second.from, Verdict::Accept);
    let message = c.receive().await;
    assert_eq!((message.from, message.bytes.as_slice()), (b.id(), &b"second"[..]));
    b.handle.verdict(first.id, first.from, Verdict::Accept);
    b.handle.verdict(first.id, first.from, Verdict::Accept);
    assert_eq!(c.receive().await.bytes, b"first");

    let seen = b.counters(|counters| counters.accepted == 2).await;
    assert_eq!((seen.received, seen.received_bytes, seen.dropped), (2, 11, 0));
    let sent = a.counters(|counters| counters.published == 2).await;
    assert_eq!((sent.published_bytes, sent.received), (11, 0));
}

#[tokio::test]
async fn a_rejected_message_stops_and_its_sender_is_banned() {
    let (a, mut b, mut c) = line().await;
    let (a_id, c_id) = (a.id(), c.id());
    a.handle.publish(b"garbage".to_vec()).unwrap();
    let garbage = b.receive().await;
    b.handle.verdict(garbage.id, garbage.from, Verdict::Reject);
    b.handle.report(garbage.from, Misbehaviour::Malformed);
    let peers = b.peers(|peers| peers.iter().any(|peer| peer.penalty > 0)).await;
    let penalty = peers.iter().find(|peer| peer.id == a_id).unwrap().penalty;
    assert!(penalty > 0 && penalty < BAN_THRESHOLD);

    // What is accepted after it arrives alone: the rejected message went nowhere.
    a.handle.publish(b"sound".to_vec()).unwrap();
    let sound = b.receive().await;
    b.handle.verdict(sound.id, sound.from, Verdict::Accept);
    assert_eq!(c.receive().await.bytes, b"sound");
    assert_eq!(c.handle.counters().received, 1);

    b.handle.report(a_id, Misbehaviour::Malformed);
    b.without(a_id).await;
    a.without(b.id()).await;
    // A dials again, as it must, and is refused.
    let counters = b.counters(|counters| counters.refused > 0).await;
    assert_eq!(counters.bans, 1);
    assert!(b.handle.peers().iter().all(|peer| peer.id == c_id));
    assert_eq!(a.handle.publish(b"more".to_vec()), Err(PublishError::NoPeers));
}

#[tokio::test]
async fn many_rejections_ban_without_a_report() {
    let (a, mut b, _c) = line().await;
    for n in 0..100 {
        // Fails once the ban has disconnected it.
        if a.handle.publish(vec![n]).is_err() {
            break;
        }
        let handle = b.handle.clone();
        tokio::select! {
            message = b.receive() => handle.verdict(message.id, message.from, Verdict::Reject),
            // From the ban on, and a moment before it, nothing more of its messages is heard.
            _ = common::counters(&handle, |counters| counters.bans > 0) => break,
        }
    }
    let counters = b.counters(|counters| counters.bans > 0).await;
    assert!((10..20).contains(&counters.rejected), "{counters:?}");
    b.without(a.id()).await;
}

#[tokio::test]
async fn a_message_reaches_every_node_of_a_ring() {
    let mut nodes = vec![start(config(1, 1)).await];
    for n in 2..=8 {
        let mut next = config(1, n);
        next.peers = nodes.last().map(Node::address).into_iter().collect();
        nodes.push(start(next).await);
    }
    nodes[0].handle.add_peer(nodes[7].address()).await.unwrap();
    for n in 0..8 {
        connected(&nodes[n], &nodes[(n + 1) % 8]).await;
    }
    nodes[3].handle.publish(b"all around".to_vec()).unwrap();
    // Distance from the author grows in this order, so each has what it passes on.
    for n in [4, 2, 5, 1, 6, 0, 7] {
        let message = nodes[n].receive().await;
        assert_eq!(message.bytes, b"all around");
        nodes[n].handle.verdict(message.id, message.from, Verdict::Accept);
    }
    // Both arms of the ring meet: the second copy is a duplicate.
    assert!(nodes.iter().all(|node| node.handle.counters().received <= 1));
}

#[tokio::test]
async fn equal_bytes_are_one_message() {
    let (a, mut b, c) = line().await;
    a.handle.publish(b"same".to_vec()).unwrap();
    let first = b.receive().await;
    c.handle.publish(b"same".to_vec()).unwrap();
    c.handle.publish(b"other".to_vec()).unwrap();
    let second = b.receive().await;
    assert_eq!((first.bytes.as_slice(), second.bytes.as_slice()), (&b"same"[..], &b"other"[..]));
    assert_eq!(second.from, c.id());
}

#[tokio::test]
async fn the_longest_message_fits_and_a_longer_one_is_refused() {
    let (a, mut b, mut c) = line().await;
    let limit = config(1, 1).max_message_bytes;
    let refused = a.handle.publish(vec![7; limit + 1]);
    assert_eq!(refused, Err(PublishError::TooLarge { actual: limit + 1, limit }));
    a.handle.publish(vec![7; limit]).unwrap();
    let message = b.receive().await;
    b.handle.verdict(message.id, message.from, Verdict::Accept);
    assert_eq!(c.receive().await.bytes.len(), limit);
}

#[tokio::test]
async fn a_message_beyond_the_receivers_limit_counts_against_its_sender() {
    let mut small = config(1, 1);
    small.max_message_bytes = 1 << 10;
    let mut a = start(small).await;
    let mut larger = config(1, 2);
    larger.peers = vec![a.address()];
    let b = start(larger).await;
    connected(&a, &b).await;
    b.handle.publish(vec![1; 2 << 10]).unwrap();
    let peers = a.peers(|peers| peers.iter().any(|peer| peer.penalty > 0)).await;
    assert_eq!(peers[0].penalty, Misbehaviour::Oversized.points());
    b.handle.publish(vec![1; 1 << 10]).unwrap();
    assert_eq!(a.receive().await.bytes.len(), 1 << 10);
}

#[tokio::test]
async fn full_queues_drop_and_never_block() {
    let mut few = config(1, 1);
    few.receive_queue = 2;
    let mut a = start(few).await;
    let mut single = config(1, 2);
    single.peers = vec![a.address()];
    single.publish_queue = 1;
    let b = start(single).await;
    connected(&a, &b).await;

    // The runtime has one thread: nothing leaves the queue between the two calls.
    b.handle.publish(vec![0]).unwrap();
    assert_eq!(b.handle.publish(vec![1]), Err(PublishError::Full));
    b.counters(|counters| counters.published == 1).await;
    for n in 1..10 {
        b.handle.publish(vec![n]).unwrap();
        b.counters(|counters| counters.published == u64::from(n) + 1).await;
    }
    let counters = a.counters(|counters| counters.received == 10).await;
    assert_eq!(counters.dropped, 8);

    // Taking messages out makes no room, judging them does: until then they are the node's to hold.
    let (first, second) = (a.receive().await, a.receive().await);
    b.handle.publish(vec![10]).unwrap();
    assert_eq!(a.counters(|counters| counters.received == 11).await.dropped, 9);
    for message in [&first, &second] {
        a.handle.verdict(message.id, message.from, Verdict::Accept);
    }
    a.counters(|counters| counters.accepted == 2).await;
    b.handle.publish(vec![11]).unwrap();
    assert_eq!(a.receive().await.bytes, [11]);
}

#[tokio::test]
async fn a_node_alone_says_so() {
    let node = start(config(1, 1)).await;
    assert_eq!(node.handle.publish(vec![1]), Err(PublishError::NoPeers));
    node.handle.shutdown().await;
    assert_eq!(node.handle.publish(vec![1]), Err(PublishError::Stopped));
    // Neither hangs nor panics.
    node.handle.verdict(MessageId::of(&[1]), node.id(), Verdict::Accept);
    node.handle.shutdown().await;
}
