//! A package as bytes.

use core::ops::Range;

use super::Package;
use crate::slot::Stored;

impl Package {
    /// The whole file.
    pub(crate) fn file(&self) -> &[u8] {
        self.0.mapping.bytes()
    }

    /// Where in the file the weights of each matrix are.
    pub(crate) fn tiles(&self) -> Vec<Range<usize>> {
        let stored = Stored::all(self.config()).into_iter();
        let matrices = stored.filter(|stored| matches!(stored, Stored::Matrix(_)));
        let entries = matrices.map(|stored| self.entry(stored));
        entries.map(|entry| self.range(entry.offset, entry.length)).collect()
    }
}
