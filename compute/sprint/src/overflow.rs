//! Why no integer of the function overflows.
//!
//! Overflow would not make results wrong as long as everybody wraps, but some instructions saturate, some languages
//! panic, and a float matrix unit rounds: the function is defined on true integers, and here is why 32 bits (64 in the
//! norm) hold them. Each bound is a constant with an assertion; the tests of `freeway-kernels` reach the largest sums of
//! products, norm and attention on every backend, and the reference in `tests/sprint/reference.rs` checks every step.
//!
//! Notation: `|x|` is the largest magnitude. Operands have `|x| <= 127` because each is a byte other than -128 or was
//! clamped by `c8`; states have `|h| <= 2^23 - 1` because each was clamped by `clamp23` or is zero.
//!
//! | quantity | bound | holds in |
//! |---|---|---|
//! | sum of a product, `K <= 65,536` | `K * 127^2` = [`SUM`] < 2^30 | `i32` |
//! | the same as VNNI computes it, `(a + 128) * w` | `K * 255 * 127` < 2^31, and modulo 2^32 anyway | `i32` |
//! | `sum + 2^(s-1)` in `rs`, `s <= 14` | [`SUM`] + 2^13 < 2^31 | `i32` |
//! | injection `h + (i << 5)` | [`STATE`] + 127 * 32 < 2^24 | `i32` |
//! | residual `h + rs(sum, s)`, `s >= 3` | [`STATE`] + [`SUM`] / 8 + 1 < 2^28 | `i32` |
//! | norm's sum of squares, `D <= 65,536` | `D * `[`STATE`]`^2` = [`SQUARES`] < 2^62 | `i64`, `u64` |
//! | norm's inverse, `2^29 / rms`, `rms >= 1` | [`INVERSE`] = 2^29 | `i32` |
//! | norm's `h * inverse + 2^23` | [`STATE`]` * 2^29 + 2^23` < 2^53 | `i64` |
//! | attention's score | `64 * 127^2` = [`SCORE`] < 2^20 | `i32` |
//! | best score less another | `2 * `[`SCORE`] < 2^21 | `i32` |
//! | sum `Z` of exponentials, `S <= 64` | `64 * 2^15` = [`EXPONENTIALS`] = 2^21 | `i32` |
//! | `127 p + Z / 2` | 127 * 2^15 + 2^20 < 2^23 | `u32` |
//! | sum of attention's weights | [`WEIGHTS`]: each is at most `127 p / Z + 1/2` | `i16` |
//! | attention's output before `rs` | [`WEIGHTS`]` * 127` < 2^15 | `i16` |
//! | gate times value | 127^2 < 2^14 | `i32` |
//!
//! A weight of attention is a rounded quotient, so at most half above it; the quotients add up to 127, hence
//! [`WEIGHTS`] `= 127 + 64 / 2`. `Z` is never 0: the best score itself contributes 2^15.

use freeway_kernels::arithmetic::{EXP2, MAX_OPERAND, MAX_STATE};

use crate::shape::{FRACTION_BITS, HEAD, MAX_TOKENS, MAX_WIDTH, Shape};

/// An operand.
pub const OPERAND: i64 = MAX_OPERAND as i64;
/// An element of the state.
pub const STATE: i64 = MAX_STATE as i64;
/// A sum of a product.
pub const SUM: i64 = MAX_WIDTH as i64 * OPERAND * OPERAND;
/// The sum of squares of a row.
pub const SQUARES: i64 = MAX_WIDTH as i64 * STATE * STATE;
/// What norm multiplies with.
pub const INVERSE: i64 = 1 << 29;
/// A score of attention.
pub const SCORE: i64 = HEAD as i64 * OPERAND * OPERAND;
/// The sum of the exponentials of a query.
pub const EXPONENTIALS: i64 = MAX_TOKENS as i64 * EXP2[0] as i64;
/// The sum of the weights of a query.
pub const WEIGHTS: i64 = OPERAND + MAX_TOKENS as i64 / 2;

const I32: i64 = i32::MAX as i64;
const LARGEST_SHIFT: u32 = Shape::shift(MAX_WIDTH as usize);
const SMALLEST_SHIFT: u32 = Shape::shift(HEAD as usize) - FRACTION_BITS;

const _: () = assert!(SUM < 1 << 30);
const _: () = assert!(MAX_WIDTH as i64 * 255 * OPERAND <= I32);
const _: () = assert!(LARGEST_SHIFT == 14 && SUM + (1 << (LARGEST_SHIFT - 1)) <= I32);
const _: () = assert!(STATE + (OPERAND << 5) < 1 << 24);
const _: () = assert!(SMALLEST_SHIFT == 3 && STATE + (SUM >> SMALLEST_SHIFT) + 1 < 1 << 28);
const _: () = assert!(SQUARES < 1 << 62);
const _: () = assert!(STATE * INVERSE + (1 << 23) < 1 << 53);
const _: () = assert!(2 * SCORE < 1 << 21);
const _: () = assert!(EXPONENTIALS == 1 << 21);
const _: () = assert!(OPERAND * EXP2[0] as i64 + EXPONENTIALS / 2 < 1 << 23);
const _: () = assert!(WEIGHTS * OPERAND <= i16::MAX as i64);
const _: () = assert!(OPERAND * OPERAND < 1 << 14);
