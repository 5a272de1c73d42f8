//! A bounded cache of decoded tree nodes in front of the database.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, PoisonError};

use jmt::storage::{Node, NodeKey};

/// Roughly what a cached node takes: inner nodes are one kilobyte, leaves much less.
const NODE_BYTES: usize = 1000;

/// The most recently used nodes, in two generations: when the young one is full it becomes the old one, and
/// the old one is dropped. A hit in the old generation moves the node to the young one. That is close to
/// least-recently-used and costs one map operation.
///
/// A node key names one content for ever, so that nothing is ever invalidated.
pub(crate) struct NodeCache {
    generations: Mutex<Generations>,
    half: usize,
}

#[derive(Default)]
struct Generations {
    young: Nodes,
    old: Nodes,
}

type Nodes = HashMap<NodeKey, Node, BuildHasherDefault<QuickHasher>>;

/// A hash of a few instructions. Paths come from BLAKE3; to crowd one bucket of the map is as much work as to
/// crowd one branch of the tree, and gains as little.
#[derive(Default)]
struct QuickHasher(u64);

impl Hasher for QuickHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(26) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        // The map uses the lowest and the highest bits, a product has its entropy in the highest.
        self.0.rotate_left(26)
    }
}

impl NodeCache {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { generations: Mutex::default(), half: (bytes / NODE_BYTES / 2).max(1) }
    }

    pub(crate) fn get(&self, key: &NodeKey) -> Option<Node> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = generations.young.get(key) {
            return Some(node.clone());
        }
        let (key, node) = generations.old.remove_entry(key)?;
        generations.insert(key, node.clone(), self.half);
        Some(node)
    }

    pub(crate) fn insert(&self, key: NodeKey, node: Node) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.insert(key, node, self.half);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let generations = self.generations.lock().unwrap();
        generations.young.len() + generations.old.len()
    }
}

impl Generations {
    fn insert(&mut self, key: NodeKey, node: Node, half: usize) {
        if self.young.len() >= half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jmt::storage::NibblePath;

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let cache = NodeCache::new(20 * NODE_BYTES);
        let key = |version| NodeKey::new(version, NibblePath::from_iter([]));
        cache.insert(key(0), Node::Null);
        for version in 1..1000 {
            cache.insert(key(version), Node::Null);
            assert!(cache.get(&key(0)).is_some(), "used at every step");
            assert!(cache.len() <= 20);
        }
        assert!(cache.get(&key(1)).is_none());
    }
}
