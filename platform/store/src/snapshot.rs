//! Snapshots: the whole state of one height in chunks, each with its proof.
//!
//! A chunk holds consecutive entries in the order of the tree, and the hashes to the right of the
//! last one's path. Whoever has all chunks before it can compute the rest of that path, and so check against
//! the certified root that every chunk so far is complete and true, before the next one arrives.

use std::fs;
use std::io::Write;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_ledger::state::Pair;
use freeway_primitives::{Canonical, Digest, Domain, Height};

use crate::base::Base;
use crate::medium::sync_directory;
use crate::proof::{Descent, MAX_DEPTH, bit};
use crate::tree::{Place, place_of};
use crate::{MAX_KEY_BYTES, MAX_VALUE_BYTES, StoreError};

const CHUNK: Domain = Domain::new("freeway 1 snapshot chunk");

/// The longest encoding of a chunk.
pub const MAX_CHUNK_BYTES: usize = 8 << 20;
/// The most chunks of a snapshot.
pub const MAX_CHUNKS: usize = 1 << 16;
/// The name of the manifest in a snapshot's directory.
pub const MANIFEST_NAME: &str = "manifest";

/// A chunk without its entries: two counts, the depth, the hashes to the right.
const CHUNK_FRAME_BYTES: usize = 4 + 2 + 4 + MAX_DEPTH * 32;
/// The lengths before an entry's key and value.
const ENTRY_FRAME_BYTES: usize = 8;
const _: () =
    assert!(CHUNK_FRAME_BYTES + ENTRY_FRAME_BYTES + MAX_KEY_BYTES + MAX_VALUE_BYTES <= MAX_CHUNK_BYTES);

/// What a snapshot consists of. Written and sent by a peer, hence not to be trusted: `height` and `root` must
/// be compared with a certified header, and the chunk digests only help to tell peers apart.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Manifest {
    /// The height whose state this is.
    pub height: Height,
    /// The root of that state.
    pub root: Digest,
    /// Number of keys.
    pub entries: u64,
    /// [`chunk_digest`] of each chunk, in order.
    pub chunks: Vec<Digest>,
}

impl Canonical for Manifest {
    const KIND: &'static str = "snapshot manifest";
    const MAX_BYTES: usize = 8 + 32 + 8 + 4 + MAX_CHUNKS * 32;
}

/// The digest by which a manifest names a chunk.
pub fn chunk_digest(bytes: &[u8]) -> Digest {
    Digest::of(CHUNK, bytes)
}

/// The name of a chunk's file in a snapshot's directory.
pub fn chunk_name(index: usize) -> String {
    format!("chunk-{index:05}")
}

/// A part of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Chunk {
    /// Keys and values, by ascending place in the tree.
    pub(crate) entries: Vec<Pair>,
    /// Length in bits of the last key's path in the whole tree.
    pub(crate) depth: u16,
    /// The hashes to the right of that path, from the root down.
    pub(crate) right: Vec<Digest>,
}

impl Canonical for Chunk {
    const KIND: &'static str = "snapshot chunk";
    const MAX_BYTES: usize = MAX_CHUNK_BYTES;
}

impl Chunk {
    /// The number of entries.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }
}

/// Reads a snapshot out of a store, chunk by chunk, while the chain goes on.
pub struct Snapshot {
    base: Arc<Base>,
    entry_bytes: usize,
    last: Option<Place>,
    manifest: Manifest,
}

impl Snapshot {
    pub(crate) fn new(base: Arc<Base>, max_chunk_bytes: usize) -> Result<Self, StoreError> {
        if !base.initialised {
            return Err(StoreError::Uninitialised);
        }
        let manifest =
            Manifest { height: base.height, root: base.root.digest(), entries: 0, chunks: Vec::new() };
        let entry_bytes = max_chunk_bytes.min(MAX_CHUNK_BYTES).saturating_sub(CHUNK_FRAME_BYTES);
        Ok(Self { base, entry_bytes, last: None, manifest })
    }

    /// The next chunk's canonical bytes; `None` after the last. A chunk is at most as long as asked for, but
    /// has at least one entry.
    ///
    /// # Errors
    /// [`StoreError`] if the state cannot be read, or has more than [`MAX_CHUNKS`] chunks of this size.
    pub fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let entries = self.next_entries()?;
        let Some((last, _)) = entries.last() else {
            return Ok(None);
        };
        if self.manifest.chunks.len() == MAX_CHUNKS {
            let actual = MAX_CHUNKS + 1;
            return Err(StoreError::Limit { what: "a snapshot in chunks", actual, limit: MAX_CHUNKS });
        }
        let place = place_of(last);
        let end = Descent::to(&place, &*self.base, self.base.root)?;
        if end.leaf.is_none_or(|(key, _)| key != place) {
            return Err(self.base.damaged("a key of the state is not in its tree"));
        }
        let depth = u16::try_from(end.siblings.len()).unwrap_or(u16::MAX);
        let right = end.siblings.iter().enumerate().filter(|(i, _)| !bit(&place, *i));
        let right = right.map(|(_, hash)| Digest(*hash)).collect();
        self.last = Some(place);
        self.manifest.entries += entries.len() as u64;
        let bytes = Chunk { entries, depth, right }.encode();
        self.manifest.chunks.push(chunk_digest(&bytes));
        Ok(Some(bytes))
    }

    /// The manifest of the chunks so far; complete when [`Snapshot::next_chunk`] has returned `None`.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn next_entries(&self) -> Result<Vec<Pair>, StoreError> {
        let start = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        self.base.contain(|| {
            let (mut entries, mut bytes) = (Vec::new(), 0);
            for found in self.base.keys.range::<[u8; 32]>((start, Bound::Unbounded))? {
                let key = found?.1.value().to_vec();
                let value = self.base.values.get(key.as_slice())?;
                let value = value.ok_or_else(|| self.base.damaged("a key of the state has no value"))?;
                bytes += ENTRY_FRAME_BYTES + key.len() + value.value().len();
                if bytes > self.entry_bytes && !entries.is_empty() {
                    break;
                }
                entries.push((key, value.value().to_vec()));
            }
            Ok(entries)
        })
    }

    /// Writes the chunks and then the manifest into `directory`, which is created if missing. Whoever finds a
    /// manifest there finds all its chunks.
    pub(crate) fn write(mut self, directory: &Path) -> Result<Manifest, StoreError> {
        fs::create_dir_all(directory).map_err(|error| StoreError::io(directory, &error))?;
        while let Some(bytes) = self.next_chunk()? {
            write_file(&directory.join(chunk_name(self.manifest.chunks.len() - 1)), &bytes)?;
        }
        let unfinished = directory.join("manifest.unfinished");
        write_file(&unfinished, &self.manifest.encode())?;
        fs::rename(&unfinished, directory.join(MANIFEST_NAME))
            .map_err(|error| StoreError::io(directory, &error))?;
        sync_directory(directory)?;
        Ok(self.manifest)
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let written = fs::File::create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| StoreError::io(path, &error))
}
