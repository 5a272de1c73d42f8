//! What people type and paste: no text panics, and what parses is shown so that it parses to the same.

#![no_main]

use core::fmt::{Debug, Display};
use core::str::FromStr;

use freeway_primitives::{Address, Amount, ChainId, Digest, PublicKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    reads_back::<Address>(text);
    reads_back::<Amount>(text);
    reads_back::<ChainId>(text);
    reads_back::<Digest>(text);
    reads_back::<PublicKey>(text);
});

fn reads_back<T: FromStr<Err: Display> + Display + PartialEq + Debug>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => assert_eq!(value.to_string().parse().ok(), Some(value)),
        // Messages quote the text: they must stay short, however long it is.
        Err(error) => assert!(error.to_string().len() < 2_000),
    }
}
