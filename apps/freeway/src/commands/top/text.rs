//! Text for cells of a terminal: cleaned of what could steer or distort it, cut by the width that it takes.

use freeway_primitives::Amount;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Base units of a coin.
const NFWY: u128 = 1_000_000_000;
/// Decimals of an amount in base units.
const DECIMALS: usize = 9;
/// Characters of a stranger's text that are looked at.
const MOST: usize = 4_096;

/// A stranger's text as one line that cannot do harm: no control, no invisible or combining characters, nothing whose
/// width terminals disagree about or that turns the direction of what follows, nothing that imitates frames.
pub(super) fn clean(text: &str) -> String {
    text.chars().take(MOST).filter_map(harmless).collect()
}

/// What stands for a character; nothing for one that takes no place.
fn harmless(c: char) -> Option<char> {
    match c {
        ' '..='~' => Some(c),
        '\t' | '\n' | '\r' => Some(' '),
        _ if c.is_control() => Some('?'),
        // Marks of direction, joiners, selectors and modifiers: they only change what stands beside them.
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => None,
        '\u{2060}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{1f3fb}'..='\u{1f3ff}' => None,
        '\u{e0000}'..='\u{e0fff}' => None,
        // Written from right to left: terminals that turn it would turn numbers beside it as well.
        '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' => Some('?'),
        '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}' => Some('?'),
        _ => match c.width() {
            None | Some(0) => None,
            Some(1) if c.is_alphanumeric() || is_mark(c) => Some(c),
            Some(2) if is_wide(c) => Some(c),
            Some(_) => Some('?'),
        },
    }
}

/// Punctuation, signs and currencies that every font has at one cell.
const fn is_mark(c: char) -> bool {
    matches!(c, '\u{a1}'..='\u{ff}' | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' | '\u{20a0}'..='\u{20bf}')
}

/// East Asian scripts, which take two cells everywhere.
const fn is_wide(c: char) -> bool {
    matches!(c,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{303e}' | '\u{3041}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff01}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}'
        | '\u{20000}'..='\u{3fffd}')
}

/// The cells that a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// The text if it fits; else as much of it as fits with `end` behind.
pub(super) fn fit(text: &str, cells: usize, end: char) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    if cells == 0 {
        return String::new();
    }
    let mut cut = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > cells {
            break;
        }
        cut.push(c);
    }
    cut.push(end);
    cut
}

/// The text in exactly so many cells.
pub(super) fn pad(text: &str, cells: usize, right: bool, end: char) -> String {
    let text = fit(text, cells, end);
    let space = " ".repeat(cells.saturating_sub(width(&text)));
    if right { space + &text } else { text + &space }
}

/// The text in rows of so many cells.
pub(super) fn wrap(text: &str, cells: usize) -> Vec<String> {
    let (mut rows, mut row, mut used) = (Vec::new(), String::new(), 0);
    for c in text.chars() {
        let takes = c.width().unwrap_or(0);
        if used + takes > cells && !row.is_empty() {
            rows.push(std::mem::take(&mut row));
            used = 0;
        }
        row.push(c);
        used += takes;
    }
    rows.push(row);
    rows
}

/// `12,345,678`.
pub(super) fn grouped(number: impl Into<u128>) -> String {
    let digits = number.into().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate with as many digits as matter: `0.123`, `1.4`, `57`, `1,234`.
pub(super) fn rate(number: f64) -> String {
    match number {
        n if !n.is_finite() || n < 0.0005 => "0".into(),
        n if n < 1.0 => format!("{n:.3}"),
        n if n < 20.0 => format!("{n:.1}"),
        n => grouped(n.round() as u64),
    }
}

/// A share of a whole: `12.3 %`.
pub(super) fn percent(share: f64) -> String {
    let percent = if share.is_finite() { share.clamp(0.0, 9.99) * 100.0 } else { 0.0 };
    if percent > 0.0 && percent < 0.05 { "< 0.1 %".into() } else { format!("{percent:.1} %") }
}

/// An amount in coins with so many decimals, rounded down; `< 0.001` for less than can be shown.
pub(super) fn coins(amount: Amount, decimals: usize) -> String {
    let decimals = decimals.min(DECIMALS);
    let (whole, rest) = (amount.0 / NFWY, amount.0 % NFWY);
    let digits = format!("{rest:09}");
    let shown = digits.get(..decimals).unwrap_or_default();
    if whole == 0 && rest > 0 && shown.bytes().all(|digit| digit == b'0') {
        return format!("< 0.{:0>decimals$}", 1);
    }
    if decimals == 0 { grouped(whole) } else { format!("{}.{shown}", grouped(whole)) }
}

/// Bytes: `12 B`, `3.4 KiB`, `5.6 MiB`.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..1_024 => format!("{count} B"),
        1_024..1_048_576 => format!("{:.1} KiB", count as f64 / 1_024.0),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}

/// A duration: `0.7 s`, `59 s`, `3 min`, `2 h`, `4 d`.
pub(super) fn span(ms: u64) -> String {
    if ms < 9_950 { format!("{:.1} s", ms as f64 / 1_000.0) } else { crate::output::time::span(ms) }
}

/// `3 hosts`, `1 host`.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// The time of day of a moment, in UTC: `05:09:31`.
pub(super) fn clock(ms: u64) -> String {
    let seconds = ms / 1_000 % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// An address, digest or key cut in its middle: `fwy1ug7tv..2m48`.
pub(super) fn ends(text: &str, first: usize, last: usize) -> String {
    let text = clean(text);
    let count = text.chars().count();
    if count <= first + last + 2 {
        return text;
    }
    let head: String = text.chars().take(first).collect();
    let tail: String = text.chars().skip(count - last).collect();
    format!("{head}..{tail}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_names_are_harmless() {
        for (hostile, shown) in [
            ("\x1b[2J\x1b]0;owned\x07boo", "?[2J?]0;owned?boo"),
            ("a\u{202e}evil\u{2066}b", "aevilb"),
            ("line\nline\ttab", "line line tab"),
            ("z\u{300}\u{301}\u{302}algo", "zalgo"),
            ("│ box █", "? box ?"),
            ("東京の主機", "東京の主機"),
            ("한국", "한국"),
            ("Zürich – 5 €", "Zürich – 5 €"),
            ("👨‍👩‍👧‍👦", "????"),
            ("שלום", "????"),
            ("\u{9b}31mred", "?31mred"),
        ] {
            assert_eq!(clean(hostile), shown, "{hostile:?}");
        }
        assert!(clean(&"x".repeat(1 << 20)).len() <= MOST);
    }

    #[test]
    fn texts_are_cut_by_the_cells_that_they_take() {
        assert_eq!(fit("abcdef", 6, '…'), "abcdef");
        assert_eq!(fit("abcdef", 4, '…'), "abc…");
        assert_eq!(fit("東京の主機", 10, '~'), "東京の主機");
        assert_eq!(fit("東京の主機", 6, '~'), "東京~");
        assert_eq!(fit("東京", 1, '~'), "~");
        assert_eq!(fit("東京", 0, '~'), "");
        assert_eq!(pad("ab", 4, true, '~'), "  ab");
        assert_eq!(wrap("abcdefg", 3), ["abc", "def", "g"]);
        assert_eq!(wrap("a東京b", 3), ["a東", "京b"]);
        assert_eq!(wrap("", 3), [""]);
        assert_eq!(pad("東京の", 4, false, '~'), "東~ ");
    }

    #[test]
    fn numbers_are_read_at_a_glance() {
        assert_eq!([0u64, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 0.1234, 1.43, 57.4, 1_234.4].map(rate), ["0", "0.123", "1.4", "57", "1,234"]);
        assert_eq!([0.0, 0.0001, 0.123, 1.0].map(percent), ["0.0 %", "< 0.1 %", "12.3 %", "100.0 %"]);
        let amounts = [0u128, 4, 850_763_025, 12_500_000_000_000].map(|units| coins(Amount(units), 6));
        assert_eq!(amounts, ["0.000000", "< 0.000001", "0.850763", "12,500.000000"]);
        assert_eq!(coins(Amount(u128::MAX), 0), "340,282,366,920,938,463,463,374,607,431");
        assert_eq!([700, 59_000, 200_000].map(span), ["0.7 s", "59 s", "3 min"]);
        assert_eq!([5, 2_048, 3 << 20].map(bytes), ["5 B", "2.0 KiB", "3.0 MiB"]);
        assert_eq!(
            (count(1, "host", "hosts"), count(4, "host", "hosts")),
            ("1 host".into(), "4 hosts".into())
        );
        assert_eq!(ends("fwy1ug7tvrs44qulnpjuwrs5l6", 9, 4), "fwy1ug7tv..s5l6");
        assert_eq!(clock(1_795_410_590_861), "05:09:50");
    }

    proptest! {
        #[test]
        fn whatever_comes_fits(text: String, cells in 0usize..40) {
            let clean = clean(&text);
            prop_assert!(!clean.chars().any(char::is_control));
            let sum: usize = clean.chars().filter_map(|c| c.width()).sum();
            prop_assert!(width(&fit(&clean, cells, '~')) <= cells);
            prop_assert!(sum >= width(&clean));
            prop_assert_eq!(width(&pad(&clean, cells, false, '~')), cells);
        }
    }
}
