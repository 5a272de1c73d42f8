//! How things look: few colours of the terminal's own sixteen, or none; drawn characters, or ASCII.
//!
//! Nothing is said by colour alone: what is wrong is also said in words.

use ratatui_core::style::{Color, Modifier, Style};

/// What a terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Whether there are colours.
    pub(super) colour: bool,
    /// Whether there is more than ASCII.
    pub(super) unicode: bool,
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ink {
    /// Values.
    #[default]
    Plain,
    /// Labels and what is beside the point.
    Soft,
    /// Heads.
    Head,
    /// What is as it should be.
    Good,
    /// What deserves a look.
    Warn,
    /// What is wrong.
    Bad,
    /// Keys, and what is chosen.
    Accent,
    /// Bars and curves.
    Curve,
}

impl Look {
    /// What these variables say of the terminal: NO_COLOR, TERM, and the locale (LC_ALL, LC_CTYPE, LANG).
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let term = set("TERM").unwrap_or_default();
        let mono = ["vt1", "vt2"].iter().any(|stem| term.starts_with(stem))
            || ["-m", "-mono"].iter().any(|end| term.ends_with(end))
            || term == "dumb";
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        // Windows has no such variables, and its terminals show everything.
        let wide = cfg!(windows) || locale.contains("utf-8") || locale.contains("utf8");
        // The console of Linux has few drawn characters in its font.
        Self { colour: set("NO_COLOR").is_none() && !mono, unicode: wide && term != "linux" && !mono }
    }

    /// The style of a text.
    pub(super) fn style(self, ink: Ink) -> Style {
        let plain = Style::new();
        let with = |colour: Color| if self.colour { plain.fg(colour) } else { plain };
        match ink {
            Ink::Plain => plain,
            Ink::Soft => plain.add_modifier(Modifier::DIM),
            Ink::Head => plain.add_modifier(Modifier::BOLD),
            Ink::Good => with(Color::Green),
            Ink::Warn => with(Color::Yellow).add_modifier(Modifier::BOLD),
            Ink::Bad => with(Color::Red).add_modifier(Modifier::BOLD),
            Ink::Accent => with(Color::Cyan).add_modifier(Modifier::BOLD),
            Ink::Curve => with(Color::Blue),
        }
    }

    /// The style of the chosen row.
    pub(super) fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// `one` where it can be shown, else `ascii`.
    pub(super) const fn sign(self, one: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { one } else { ascii }
    }

    /// What stands behind a text that was cut.
    pub(super) const fn cut(self) -> char {
        if self.unicode { '…' } else { '~' }
    }

    /// A stranger's text, as this terminal can show it.
    pub(super) fn clean(self, text: &str) -> String {
        let clean = super::text::clean(text);
        if self.unicode { clean } else { clean.replace(|c: char| !c.is_ascii(), "?") }
    }

    /// A bar of so many cells, filled by this share.
    pub(super) fn bar(self, share: f64, cells: usize) -> (String, String) {
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        let (full, track) = (self.sign("█", "#"), self.sign("░", "."));
        let eighths = (share * cells as f64 * 8.0).round() as usize;
        let (mut filled, part) = (eighths / 8, eighths % 8);
        let mut text = full.repeat(filled);
        if part > 0 && filled < cells {
            // What is begun is seen, in ASCII from a half on.
            if self.unicode {
                text.extend(['▏', '▎', '▍', '▌', '▋', '▊', '▉'].get(part - 1));
                filled += 1;
            } else if part >= 4 {
                text.push('#');
                filled += 1;
            }
        }
        (text, track.repeat(cells.saturating_sub(filled)))
    }

    /// The latest of these numbers as a curve of at most so many cells, from nothing to the greatest.
    pub(super) fn spark(self, numbers: &[f64], cells: usize) -> String {
        const DRAWN: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        const ASCII: [char; 8] = ['.', ':', '-', '=', '+', '*', '%', '#'];
        let steps = if self.unicode { DRAWN } else { ASCII };
        let shown = numbers.get(numbers.len().saturating_sub(cells)..).unwrap_or_default();
        let most = shown.iter().copied().filter(|n| n.is_finite()).fold(0.0, f64::max);
        let step = |number: &f64| {
            let share = if most > 0.0 && number.is_finite() { (number / most).clamp(0.0, 1.0) } else { 0.0 };
            steps.get((share * 7.0).round() as usize).copied().unwrap_or(' ')
        };
        shown.iter().map(step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(set: &[(&str, &str)]) -> (bool, bool) {
        let variable =
            |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let Look { colour, unicode } = Look::of(variable);
        (colour, unicode)
    }

    #[cfg(not(windows))]
    #[test]
    fn the_terminal_is_taken_at_its_word() {
        let utf = ("LANG", "en_GB.UTF-8");
        for (set, expected) in [
            (vec![("TERM", "xterm-256color"), utf], (true, true)),
            (vec![("TERM", "xterm-256color"), utf, ("NO_COLOR", "1")], (false, true)),
            (vec![("TERM", "xterm-256color"), utf, ("NO_COLOR", "")], (true, true)),
            (vec![("TERM", "xterm"), ("LANG", "C")], (true, false)),
            (vec![("TERM", "xterm"), ("LC_ALL", "C"), utf], (true, false)),
            (vec![("TERM", "xterm")], (true, false)),
            (vec![("TERM", "linux"), utf], (true, false)),
            (vec![("TERM", "vt220"), utf], (false, false)),
            (vec![("TERM", "screen-m"), ("LC_CTYPE", "C.utf8")], (false, false)),
        ] {
            assert_eq!(look(&set), expected, "{set:?}");
        }
    }

    #[test]
    fn bars_have_their_length() {
        for unicode in [true, false] {
            let look = Look { colour: false, unicode };
            for share in [-1.0, 0.0, 0.01, 0.5, 0.99, 1.0, 7.0, f64::NAN] {
                for cells in [0, 1, 7, 30] {
                    let (full, rest) = look.bar(share, cells);
                    assert_eq!(full.chars().count() + rest.chars().count(), cells, "{share} {cells}");
                }
            }
            assert_eq!(look.bar(1.0, 3).1, "");
            assert_eq!(look.bar(0.0, 3).0, "");
        }
        assert_eq!(Look { colour: false, unicode: true }.bar(0.5, 3), ("█▌".into(), "░".into()));
    }

    #[test]
    fn curves_show_the_latest() {
        let look = Look { colour: false, unicode: false };
        assert_eq!(look.spark(&[9.0, 0.0, 1.0, 2.0], 3), ".+#");
        assert_eq!(look.spark(&[0.0, 0.0], 9), "..");
        assert_eq!(look.spark(&[f64::NAN, f64::INFINITY, 4.0], 9), "..#");
        assert_eq!(look.spark(&[], 9), "");
    }

    #[test]
    fn without_colours_there_are_none() {
        let look = Look { colour: false, unicode: true };
        for ink in [Ink::Good, Ink::Warn, Ink::Bad, Ink::Accent, Ink::Curve, Ink::Head, Ink::Soft] {
            assert_eq!((look.style(ink).fg, look.style(ink).bg), (None, None));
        }
    }
}
