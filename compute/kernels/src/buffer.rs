//! Zeroed memory on cache line boundaries, in huge pages where they pay.

use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error};

/// Alignment of every buffer: a cache line, and a vector of 512 bits.
const LINE_BYTES: usize = 64;
/// The size of a huge page. Buffers of at least two begin at one, since weights are read once per batch and a
/// table walk every 4 KiB would show.
const HUGE_BYTES: usize = 2 << 20;

/// What a [`Buffer`] can hold.
///
/// # Safety
///
/// A value whose bytes are all zero is valid, and values may be shared between threads.
pub unsafe trait Element: Copy + Send + Sync + 'static {}

// SAFETY: an integer.
unsafe impl Element for i8 {}
// SAFETY: an integer.
unsafe impl Element for u8 {}
// SAFETY: an integer.
unsafe impl Element for u16 {}
// SAFETY: an integer.
unsafe impl Element for i32 {}
// SAFETY: an integer.
unsafe impl Element for u32 {}
// SAFETY: an integer.
unsafe impl Element for i64 {}
// SAFETY: an integer.
unsafe impl Element for u64 {}
// SAFETY: a float, and all bits zero is 0.
unsafe impl Element for f32 {}

/// A slice on the heap, zeroed at first, that begins at a cache line.
pub struct Buffer<T: Element> {
    pointer: NonNull<T>,
    length: usize,
    layout: Layout,
}

// SAFETY: a buffer owns its memory alone, and its elements are plain numbers.
unsafe impl<T: Element> Send for Buffer<T> {}
// SAFETY: as above; a shared buffer can only be read.
unsafe impl<T: Element> Sync for Buffer<T> {}

impl<T: Element> Buffer<T> {
    /// A buffer of `length` zeros.
    ///
    /// # Panics
    ///
    /// If its size overflows an `isize`. Like `Vec`, the process is aborted when there is no memory.
    pub fn zeroed(length: usize) -> Self {
        let bytes = length.checked_mul(size_of::<T>()).expect("the size of a buffer fits in a usize");
        let align = if bytes >= 2 * HUGE_BYTES { HUGE_BYTES } else { LINE_BYTES };
        let layout = Layout::from_size_align(bytes.max(LINE_BYTES), align)
            .expect("a buffer fits in the address space");
        let huge = align == HUGE_BYTES;
        // SAFETY: the size of the layout is at least a line, so not zero.
        let pointer = unsafe { if huge { alloc(layout) } else { alloc_zeroed(layout) } };
        let Some(pointer) = NonNull::new(pointer) else { handle_alloc_error(layout) };
        if huge {
            // Before anything is written: pages that exist keep their size.
            advise_huge_pages(pointer, layout.size());
            // SAFETY: the allocation has this size.
            unsafe { pointer.write_bytes(0, layout.size()) };
        }
        Self { pointer: pointer.cast(), length, layout }
    }
}

/// Asks for huge pages; without them the program is slower and nothing else.
#[cfg(target_os = "linux")]
fn advise_huge_pages(pointer: NonNull<u8>, bytes: usize) {
    unsafe extern "C" {
        fn madvise(
            address: *mut core::ffi::c_void,
            length: usize,
            advice: core::ffi::c_int,
        ) -> core::ffi::c_int;
    }
    const MADV_HUGEPAGE: core::ffi::c_int = 14;
    // SAFETY: the range is one allocation of ours, it starts at a page, and this advice changes no content.
    unsafe { madvise(pointer.as_ptr().cast(), bytes, MADV_HUGEPAGE) };
}

/// Other systems decide for themselves.
#[cfg(not(target_os = "linux"))]
fn advise_huge_pages(_: NonNull<u8>, _: usize) {}

impl<T: Element> Drop for Buffer<T> {
    fn drop(&mut self) {
        // SAFETY: allocated with exactly this layout, and dropped once.
        unsafe { dealloc(self.pointer.as_ptr().cast(), self.layout) };
    }
}

impl<T: Element> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the allocation holds `length` elements, initialised to zero, and lives as long as `self`.
        unsafe { core::slice::from_raw_parts(self.pointer.as_ptr(), self.length) }
    }
}

impl<T: Element> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as for `deref`, and `self` is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.pointer.as_ptr(), self.length) }
    }
}

impl<T: Element> core::fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Buffer of {} elements", self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_zeroed_and_aligned() {
        for length in [0, 1, 1000, HUGE_BYTES, 3 * HUGE_BYTES] {
            let mut buffer = Buffer::<i8>::zeroed(length);
            assert_eq!(buffer.as_ptr() as usize % LINE_BYTES, 0);
            assert_eq!(buffer.len(), length);
            assert!(buffer.iter().all(|byte| *byte == 0));
            buffer.fill(1);
        }
    }
}
