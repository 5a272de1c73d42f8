//! The guide: a small chat model that is part of the program, so that a fresh machine answers at once.
//!
//! It was trained by `compute/training` on text that the project makes itself, and packed by `freeway model pack`. How to make it
//! again stands in that crate. It knows Freeway, small sums, and what it does not know.

use std::sync::LazyLock;

use crate::package::Package;

/// What people call it.
pub const NAME: &str = "guide";

static BYTES: &[u8] = include_bytes!("../guide/guide.freeway");

static PACKAGE: LazyLock<Package> = LazyLock::new(|| {
    Package::from_bytes(BYTES).expect("a test opens and verifies the package that is built in")
});

/// The package. It is copied to an aligned place once, and shared from then on.
pub fn package() -> Package {
    PACKAGE.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_is_sound_and_small() {
        let package = package();
        assert_eq!(package.name(), NAME);
        package.verify(&mut |_| ()).unwrap();
        assert!(package.bytes() < 10 << 20, "{} bytes", package.bytes());
        assert!(package.chat_template().is_some());
    }
}
