//! A bounded cache of tree nodes in front of the database.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use crate::tree::Node;

/// What a cached node takes, with its share of the maps.
const NODE_BYTES: usize = size_of::<Node>() + 100;

/// The most recently used nodes by their hash, in two generations: when the young one is full it becomes the
/// old one, and the old one is dropped. A hit in the old generation moves the node to the young one. That is
/// close to least-recently-used and costs one map operation.
///
/// A hash names one content for ever, so that nothing is ever invalidated.
pub(crate) struct NodeCache {
    generations: Mutex<Generations>,
    half: usize,
}

#[derive(Default)]
struct Generations {
    young: Nodes,
    old: Nodes,
}

type Nodes = HashMap<[u8; 32], Arc<Node>, QuickHash>;

impl NodeCache {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { generations: Mutex::default(), half: (bytes / NODE_BYTES / 2).max(1) }
    }

    pub(crate) fn get(&self, hash: &[u8; 32]) -> Option<Arc<Node>> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = generations.young.get(hash) {
            return Some(Arc::clone(node));
        }
        let node = generations.old.remove(hash)?;
        generations.insert(*hash, Arc::clone(&node), self.half);
        Some(node)
    }

    pub(crate) fn insert(&self, hash: [u8; 32], node: Arc<Node>) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.insert(hash, node, self.half);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let generations = self.generations.lock().unwrap();
        generations.young.len() + generations.old.len()
    }
}

impl Generations {
    fn insert(&mut self, hash: [u8; 32], node: Arc<Node>, half: usize) {
        if self.young.len() >= half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash, node);
    }
}

/// For maps whose keys are digests, or parts of them.
pub(crate) type QuickHash = BuildHasherDefault<QuickHasher>;

/// A hash of a few instructions. Keys come from BLAKE3; to crowd one bucket of a map is as much work as to
/// crowd one branch of the tree, and gains as little.
#[derive(Default)]
pub(crate) struct QuickHasher(u64);

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
        // The maps use the lowest and the highest bits; a product mixes best into the highest.
        self.0.rotate_left(26)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Slot;

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let cache = NodeCache::new(20 * NODE_BYTES);
        let node = || Arc::new(Node::new([Slot::Empty; 16]));
        cache.insert([0; 32], node());
        for i in 1..200 {
            cache.insert([i; 32], node());
            assert!(cache.get(&[0; 32]).is_some(), "used at every step");
            assert!(cache.len() <= 20);
        }
        assert!(cache.get(&[1; 32]).is_none());
    }
}
