//! What happens to rows between products: injection, norm and attention.
//!
//! Norm and attention have one body in plain Rust, compiled once for each width of vectors: the compiler
//! vectorises it, and as everything is integer arithmetic without overflow, all of them compute the same.
//! Injection is dominated by ChaCha, which has vectors of its own.

use crate::activations::{Activations, LINE, Lines};
use crate::arithmetic::HEAD;
use crate::backend::Backend;
use crate::chacha::Key;
use crate::threads;

mod body;
mod inject;

pub use inject::INPUT_STREAM;

/// The longest sequence that attention takes.
pub const MAX_TOKENS: usize = 64;

/// Compiles a function once for each level, and calls the one for the level that is asked for.
macro_rules! at_level {
    ($level:expr, $body:path, ($($name:ident: $type:ty = $value:expr),* $(,)?)) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        fn avx2($($name: $type),*) {
            $body($($name),*);
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
        fn avx512($($name: $type),*) {
            $body($($name),*);
        }
        match $level {
            $crate::backend::Level::Scalar => $body($($value),*),
            // SAFETY: a level exists only for a backend that was checked to be available.
            #[cfg(target_arch = "x86_64")]
            $crate::backend::Level::Avx2 => unsafe { avx2($($value),*) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            $crate::backend::Level::Avx512 => unsafe { avx512($($value),*) },
        }
    }};
}
pub(crate) use at_level;

/// Adds each nonce's own input to the residual stream: `h = clamp23(h + (operand(byte) << 5))`, where the bytes
/// of token `t`, elements `64 b` to `64 b + 63`, are block `b` of stream `(layer, t, 2)` of the nonce's key.
///
/// `h` has `keys.len() * tokens` rows of `width`.
///
/// # Panics
///
/// If `backend` is not available, or `h` has another length, or `width` is not a multiple of 64.
pub fn inject(
    backend: Backend,
    threads: usize,
    h: &mut [i32],
    width: usize,
    tokens: usize,
    keys: &[Key],
    layer: u32,
) {
    let level = backend.level();
    assert!(width > 0 && width.is_multiple_of(LINE) && tokens > 0);
    assert_eq!(h.len(), keys.len() * tokens * width, "the stream has other rows than these nonces");
    // A block costs about as much as 1,000 multiply-adds.
    let threads = threads::useful(threads, h.len() as u64 * 16, keys.len());
    let part = keys.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        for (h, keys) in h.chunks_mut(part * tokens * width).zip(keys.chunks(part)) {
            let mut work = move || inject::run(level, h, width, tokens, keys, layer);
            if threads == 1 {
                work();
            } else {
                scope.spawn(work);
            }
        }
    });
}

/// Scales rows to a root mean square of 32: `x = c8((h * inv + 2^23) >> 24)` with
/// `inv = 2^29 / max(1, isqrt(sum of squares / width))`.
///
/// # Panics
///
/// If `backend` is not available, if `out` was made for another one, or if `h` has other dimensions than `out`.
pub fn norm(backend: Backend, threads: usize, h: &[i32], out: &mut Activations) {
    let level = backend.level();
    let (rows, width) = (out.rows(), out.width());
    assert_eq!(out.backend(), backend, "the activations were made for another backend");
    assert_eq!(h.len(), rows * width, "the stream has other rows than the activations");
    let lines = Lines::new(out);
    let threads = threads::useful(threads, h.len() as u64 * 8, rows);
    threads::ranges(threads, rows, |rows| {
        at_level!(
            level,
            body::norm,
            (h: &[i32] = h, width: usize = width, rows: core::ops::Range<usize> = rows, lines: &Lines = &lines)
        );
    });
}

/// Attention of every token to every token, within each sequence of `tokens` rows, for each head of 64 elements.
///
/// A row of `qkv` holds queries, keys and values, `width` elements each. For a query and all positions:
/// `score = q . k`, `p = exponential(max - score)`, `w = (127 p + Z/2) / Z` with `Z` the sum of all `p`, and
/// `o = c8(rs(sum w v, 7))`.
///
/// # Panics
///
/// If `backend` is not available, if `out` was made for another one, if `tokens` is not 1 to [`MAX_TOKENS`] or
/// does not divide the rows of `out`, or if `qkv` does not have three times as many elements as `out`.
pub fn attention(backend: Backend, threads: usize, qkv: &[i8], tokens: usize, out: &mut Activations) {
    let level = backend.level();
    let (rows, width) = (out.rows(), out.width());
    assert_eq!(out.backend(), backend, "the activations were made for another backend");
    assert_eq!(qkv.len(), 3 * rows * width, "there are not three vectors for each row");
    assert!((1..=MAX_TOKENS).contains(&tokens), "sequences of {tokens} tokens, at most {MAX_TOKENS}");
    assert!(rows.is_multiple_of(tokens), "{rows} rows are no whole number of sequences of {tokens}");
    let lines = Lines::new(out);
    let sequences = rows / tokens;
    let threads = threads::useful(threads, (rows * tokens * width) as u64 * 2, sequences);
    threads::ranges(threads, sequences, |sequences| {
        at_level!(
            level,
            body::attention,
            (
                qkv: &[i8] = qkv,
                width: usize = width,
                tokens: usize = tokens,
                sequences: core::ops::Range<usize> = sequences,
                lines: &Lines = &lines,
            )
        );
    });
}

const _: () = assert!(HEAD == LINE, "a head is a line, so that its output is stored at once");

#[cfg(test)]
mod tests;
