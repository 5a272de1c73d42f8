//! Accuses leaves that are right, at the price of its bonds.

use super::Conduct;

pub(super) struct Accuse;

impl Conduct for Accuse {
    fn slanders(&self) -> bool {
        true
    }
}
