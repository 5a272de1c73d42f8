//! "Did you mean": the candidates nearest to what somebody typed.

/// At most this many typing errors between a word and a suggestion for it.
const MAX_ERRORS: usize = 2;
/// Longest word for which a suggestion is looked for: the work grows with its length.
const MAX_CHARS: usize = 64;

/// The candidates with the fewest typing errors to `word`, at most two each, in their own order.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let length = word.chars().count();
    if length > MAX_CHARS {
        return Vec::new();
    }
    // Of a short word, two errors leave nothing over: "zo" is no hint at "box".
    let mut limit = MAX_ERRORS.min(length.saturating_sub(1));
    let mut found = Vec::new();
    for candidate in candidates {
        let errors = typing_errors(word, candidate);
        if errors < limit {
            found.clear();
            limit = errors;
        }
        if errors == limit {
            found.push(candidate);
        }
    }
    found
}

/// How many insertions, deletions, replacements and swaps of neighbours turn `a` into `b` (optimal string
/// alignment).
fn typing_errors(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut above: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let mut best = (row[j] + usize::from(x != y)).min(row[j + 1] + 1).min(next[j] + 1);
            if j > 0 && previous == Some(y) && b[j - 1] == x {
                best = best.min(above[j - 1] + 1);
            }
            next.push(best);
        }
        above = std::mem::replace(&mut row, next);
        previous = Some(x);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted() {
        for (a, b, errors) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("alice", "alice", 0),
            ("alcie", "alice", 1),
            ("ab", "ba", 1),
            ("kitten", "sitting", 3),
            ("validator", "validtor", 1),
        ] {
            assert_eq!(typing_errors(a, b), errors, "{a} {b}");
            assert_eq!(typing_errors(b, a), errors, "{b} {a}");
        }
    }

    #[test]
    fn only_near_words_are_suggested() {
        let names = ["alice", "bob", "alise"];
        assert_eq!(nearest("alcie", names), ["alice"]);
        assert_eq!(nearest("alie", names), ["alice", "alise"]);
        assert!(nearest("carol", names).is_empty());
        assert!(nearest("", names).is_empty());
        assert!(nearest(&"a".repeat(10_000), names).is_empty());
    }
}
