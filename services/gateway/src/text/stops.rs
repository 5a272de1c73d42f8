//! Stop strings across the borders of tokens.

/// Looks for stop strings in a text that arrives in pieces, and holds back no more than could begin one.
#[derive(Clone, Debug)]
pub(crate) struct Stops {
    stops: std::sync::Arc<[String]>,
    held: String,
}

/// What became of a piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fed {
    /// Text that no stop string can take back.
    pub(crate) text: String,
    /// Whether a stop string was found: the text ends before it.
    pub(crate) stopped: bool,
}

impl Stops {
    pub(crate) fn new(stops: std::sync::Arc<[String]>) -> Self {
        Self { stops, held: String::new() }
    }

    /// Takes the next piece.
    pub(crate) fn feed(&mut self, piece: String) -> Fed {
        if self.stops.is_empty() {
            return Fed { text: piece, stopped: false };
        }
        self.held.push_str(&piece);
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.held.truncate(at);
            return Fed { text: core::mem::take(&mut self.held), stopped: true };
        }
        let keep = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        Fed { text: core::mem::replace(&mut self.held, rest), stopped: false }
    }

    /// The text that was held back: nothing follows that would make it a stop string.
    pub(crate) fn finish(&mut self) -> String {
        core::mem::take(&mut self.held)
    }
}

/// Bytes of the longest end of `text` that begins `stop` without being all of it.
pub(crate) fn overlap(text: &str, stop: &str) -> usize {
    // The longest first; the last of them is 0.
    let mut ends = stop.char_indices().rev().map(|(at, _)| at);
    ends.find(|&end| text.ends_with(&stop[..end])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (Vec<String>, bool) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut stops = Stops::new(stops.into());
        let mut out = Vec::new();
        for piece in pieces {
            let fed = stops.feed((*piece).to_owned());
            out.push(fed.text);
            if fed.stopped {
                return (out, true);
            }
        }
        out.push(stops.finish());
        (out, false)
    }

    #[test]
    fn no_more_is_held_than_could_be_a_stop() {
        assert_eq!(run(&["STOP"], &["abS", "Tx", "y"]).0, ["ab", "STx", "y", ""]);
        assert_eq!(
            run(&["STOP"], &["abS", "TO", "Pxyz"]),
            (vec!["ab".into(), String::new(), String::new()], true)
        );
        assert_eq!(run(&["\n\n"], &["a\n", "b\n", "\nc"]).0, ["a", "\nb", ""]);
    }

    #[test]
    fn the_earliest_wins() {
        assert_eq!(run(&["cd", "b"], &["abcd"]), (vec!["a".into()], true));
        assert_eq!(run(&["bcd", "bc"], &["ab", "cd"]), (vec!["a".into(), String::new()], true));
    }

    proptest! {
        #[test]
        fn cutting_changes_nothing(text in "[abé]{0,40}", cuts in prop::collection::vec(0usize..40, 0..6), stops in prop::collection::vec("[abé]{1,4}", 0..4)) {
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|&cut| text.is_char_boundary(cut) && cut < text.len()).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts { pieces.push(&text[from..cut]); from = cut; }
            pieces.push(&text[from..]);
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let (out, stopped) = run(&stops, &pieces);
            let at = stops.iter().filter_map(|stop| text.find(stop)).min();
            prop_assert_eq!(stopped, at.is_some());
            // A stop that is seen first may begin later than one that is complete later.
            let whole = out.concat();
            prop_assert!(text.starts_with(&whole));
            if !stopped { prop_assert_eq!(whole, text) } else { prop_assert!(whole.len() >= at.unwrap_or(0)) }
        }
    }
}
