//! Whether what came is what a page shows.
//!
//! Numbers, names and times differ from run to run. So of every shown line the first words count, and of those the ones
//! that could not differ: a word with a digit or `…` in it, or a path in the reader's home (`~/`), stands for any word. A shown line must be found in the output
//! behind the one before it; `...` stands for any lines, and so does nothing at all.

/// Words of a line that count.
const WORDS: usize = 3;

/// The first shown line that is not found in what came, with its number among the shown ones, from 0.
pub fn first_missing<'a>(shown: &'a [String], came: &str) -> Option<&'a str> {
    let mut lines = came.lines();
    shown
        .iter()
        .map(String::as_str)
        .filter(|line| !line.trim().is_empty() && line.trim() != "...")
        .find(|line| !lines.any(|came| alike(line, came)))
}

/// Whether a line may be what a page shows.
fn alike(shown: &str, came: &str) -> bool {
    let mut words = came.split_whitespace();
    shown.split_whitespace().take(WORDS).all(|shown| words.next().is_some_and(|came| stands_for(shown, came)))
}

fn stands_for(shown: &str, came: &str) -> bool {
    shown == came
        || shown.starts_with("~/")
        || shown.chars().any(|c| c.is_ascii_digit() || c == '…')
        || shown.contains("...")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(shown: &str, came: &str) -> Option<String> {
        let shown: Vec<_> = shown.lines().map(str::to_owned).collect();
        first_missing(&shown, came).map(str::to_owned)
    }

    #[test]
    fn numbers_and_names_may_differ() {
        assert_eq!(missing("height  12\nhost   fwy19…", "height  99\nmore\nhost   fwy1abcdef"), None);
        assert_eq!(missing("directory  ~/x", "directory  /tmp/y"), None);
        assert_eq!(missing("a\n...\nc", "a\nb\nc\nd"), None);
        assert_eq!(missing("valid   yes", "valid   yes"), None);
        assert_eq!(missing("one two three four", "one two three five"), None);
    }

    #[test]
    fn stale_words_are_found() {
        assert_eq!(missing("valid   yes", "valid   no").as_deref(), Some("valid   yes"));
        assert_eq!(missing("waiting  0", "height 1").as_deref(), Some("waiting  0"));
        assert_eq!(missing("b\na", "a\nb").as_deref(), Some("a"));
        assert_eq!(missing("a b", "a").as_deref(), Some("a b"));
        assert_eq!(missing("a", "").as_deref(), Some("a"));
    }
}
