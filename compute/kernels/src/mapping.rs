//! Files mapped into memory, and typed views of their bytes.

use core::ops::Range;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::buffer::Buffer;

/// The bytes of a file, mapped read-only; or bytes in memory, on a cache line boundary.
///
/// Views of wider types exist where the bytes are aligned for them, on little-endian machines: files hold
/// little-endian numbers, and are not converted.
///
/// A mapped file must not be changed or truncated while it is mapped: what is read then may change as well, or the
/// process may be ended by the system. Packages are written under another name and renamed, never changed in place.
#[derive(Debug)]
pub struct Mapping(Source);

#[derive(Debug)]
enum Source {
    File(memmap2::Mmap),
    Memory(Buffer<u8>),
}

/// A type of which every pattern of bits is a value, and which has no padding.
trait Plain: Copy {}
impl Plain for i8 {}
impl Plain for u16 {}
impl Plain for f32 {}
impl Plain for u64 {}

impl Mapping {
    /// Maps the file at `path`.
    ///
    /// # Errors
    ///
    /// If it cannot be opened or mapped.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::of(&File::open(path)?)
    }

    /// Maps an open file.
    ///
    /// # Errors
    ///
    /// If it cannot be mapped.
    pub fn of(file: &File) -> io::Result<Self> {
        if file.metadata()?.len() == 0 {
            // Some systems refuse to map nothing.
            return Ok(Self::from_bytes(&[]));
        }
        // SAFETY: the mapping is read-only. That nobody changes the file meanwhile is beyond what a process can
        // ensure; the documentation of the type demands it.
        let map = unsafe { memmap2::Mmap::map(file)? };
        // Larger pages save table walks where the file system has them; without them it is slower and no more.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Self(Source::File(map)))
    }

    /// Reads the file at `path` into memory of its own, in huge pages where the system has them.
    ///
    /// Products with few rows wait for memory, and with pages of 4 KiB also for table walks: weights that were read
    /// come up to 1.7 times as fast as mapped ones. In exchange they cannot be shared by processes or dropped by the
    /// system when memory is short.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or read, or changes its length meanwhile.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let mut buffer = Buffer::zeroed(length);
        file.read_exact(&mut buffer)?;
        Ok(Self(Source::Memory(buffer)))
    }

    /// A copy of `bytes` that begins at a cache line: for models inside a binary, and for tests.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut buffer = Buffer::zeroed(bytes.len());
        buffer.copy_from_slice(bytes);
        Self(Source::Memory(buffer))
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Source::File(map) => map,
            Source::Memory(buffer) => buffer,
        }
    }

    /// The bytes in `range` as integers of 8 bits. `None` if the range is not inside.
    pub fn i8s(&self, range: Range<usize>) -> Option<&[i8]> {
        self.view(range)
    }

    /// The bytes in `range` as integers of 16 bits, or the bits of half-precision floats. `None` if the range is not
    /// inside, not aligned, not a whole number of elements, or if this machine is not little-endian.
    pub fn u16s(&self, range: Range<usize>) -> Option<&[u16]> {
        self.view(range)
    }

    /// The bytes in `range` as floats, which may be NaN. `None` as for [`u16s`](Self::u16s).
    pub fn f32s(&self, range: Range<usize>) -> Option<&[f32]> {
        self.view(range)
    }

    /// The bytes in `range` as integers of 64 bits. `None` as for [`u16s`](Self::u16s).
    pub fn u64s(&self, range: Range<usize>) -> Option<&[u64]> {
        self.view(range)
    }

    fn view<T: Plain>(&self, range: Range<usize>) -> Option<&[T]> {
        let bytes = self.bytes().get(range)?;
        if !bytes.len().is_multiple_of(size_of::<T>()) || (cfg!(target_endian = "big") && size_of::<T>() > 1)
        {
            return None;
        }
        let pointer = bytes.as_ptr().cast::<T>();
        // SAFETY: the bytes are borrowed from `self`, they are aligned, there are as many as the elements have, and
        // every pattern of bits is a value of the type.
        pointer
            .is_aligned()
            .then(|| unsafe { core::slice::from_raw_parts(pointer, bytes.len() / size_of::<T>()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_checked() {
        let bytes: Vec<u8> = (0..32).collect();
        let mapping = Mapping::from_bytes(&bytes);
        assert_eq!(mapping.bytes(), bytes);
        assert_eq!(mapping.i8s(3..6), Some(&[3, 4, 5][..]));
        assert_eq!(mapping.u16s(2..6), Some(&[0x0302, 0x0504][..]));
        assert_eq!(mapping.u64s(8..16), Some(&[0x0f0e_0d0c_0b0a_0908][..]));
        assert_eq!(mapping.f32s(4..8), Some(&[f32::from_bits(0x0706_0504)][..]));
        assert_eq!(mapping.f32s(32..32), Some(&[][..]));
        // Misaligned, no whole number of elements, outside, backwards.
        assert_eq!(mapping.u16s(1..3), None);
        assert_eq!(mapping.f32s(4..9), None);
        assert_eq!(mapping.u64s(24..40), None);
        assert_eq!(mapping.i8s(0..usize::MAX), None);
        #[expect(clippy::reversed_empty_ranges, reason = "hostile offsets")]
        let backwards = 8..4;
        assert_eq!(mapping.i8s(backwards), None);
    }

    #[test]
    fn files_are_mapped() {
        let path = std::env::temp_dir().join(format!("freeway-mapping-{}", std::process::id()));
        for length in [0, 5, 70_000] {
            let bytes: Vec<u8> = (0..length).map(|i| i as u8).collect();
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(Mapping::open(&path).unwrap().bytes(), bytes);
            assert_eq!(Mapping::read(&path).unwrap().bytes(), bytes);
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Mapping::open(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
