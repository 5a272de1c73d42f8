//! Canonical decoders: no input panics, and what decodes is the one encoding of its value.
//!
//! The first byte selects the type. Add a type at the end of the list: saved inputs keep their meaning.

#![no_main]

use core::fmt::Debug;

use freeway_primitives::{Block, Canonical, Certificate, Equivocation, Header, Proposal, ValidatorSet, Vote};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((selector, bytes)) = data.split_first() else { return };
    match selector {
        0 => block(bytes),
        1 => drop(decode::<Certificate>(bytes)),
        2 => drop(decode::<Header>(bytes)),
        3 => drop(decode::<Vote>(bytes)),
        4 => drop(decode::<Proposal>(bytes)),
        5 => drop(decode::<Equivocation>(bytes)),
        6 => validator_set(bytes),
        _ => {}
    }
});

/// Decodes; a value must encode to the bytes that it came from, within its bound.
fn decode<T: Canonical + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let value = T::decode(bytes).ok()?;
    assert!(bytes.len() <= T::MAX_BYTES, "longer than a {} may be", T::KIND);
    assert_eq!(value.encode(), bytes, "two encodings of one {}", T::KIND);
    Some(value)
}

/// A block's commitments can be computed whatever is in it.
fn block(bytes: &[u8]) {
    if let Some(block) = decode::<Block>(bytes) {
        block.id();
        block.is_consistent();
    }
}

/// A set that decodes is one that could have been built.
fn validator_set(bytes: &[u8]) {
    if let Some(set) = decode::<ValidatorSet>(bytes) {
        assert_eq!(ValidatorSet::new(set.members().to_vec()).as_ref(), Ok(&set));
        assert!(set.is_quorum(set.total_power()));
    }
}
