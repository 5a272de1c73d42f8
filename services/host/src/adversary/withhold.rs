//! Computes honestly and then shows nothing: neither when asked, nor on demand, nor in the end.

use super::Conduct;

pub(super) struct Withhold;

impl Conduct for Withhold {
    fn opens(&self) -> bool {
        false
    }
}
