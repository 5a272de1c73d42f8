//! What keys mean.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::model::View;

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Quit,
    Suspend,
    Redraw,
    Back,
    Help,
    Go(View),
    Next,
    Previous,
    Move(isize),
    Page(isize),
    First,
    Last,
    Sort,
    Reverse,
    Filter,
    Pause,
    Enter,
    ChainLog,
    Type(char),
    Erase,
    EraseAll,
    Accept,
}

/// What the page of keys says: keys, and what they do.
pub(super) const HELP: [(&str, &str); 14] = [
    ("1 2 3 4 5", "Network, Sprint, Hosts, Requests, Logs"),
    ("Tab, left, right", "the view beside"),
    ("up, down, k, j", "one row"),
    ("PgUp, PgDn", "a page"),
    ("Home, End, g, G", "first and last row"),
    ("Enter", "all about the chosen host"),
    ("s", "sort by the next column"),
    ("r", "the other way round"),
    ("/", "only rows with a text in them; Esc shows all again"),
    ("p, Space", "stop the picture, and let it go on"),
    ("e", "in Logs: events of the chain, or log files"),
    ("Ctrl-L", "draw everything anew"),
    ("Ctrl-Z", "back to the shell; fg comes back here"),
    ("q, Esc, Ctrl-C", "quit"),
];

/// What a key means; while a filter is typed, letters are letters.
pub(super) fn action(key: KeyEvent, typing: bool) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Action::Quit),
            KeyCode::Char('z') => Some(Action::Suspend),
            KeyCode::Char('l') => Some(Action::Redraw),
            KeyCode::Char('u') if typing => Some(Action::EraseAll),
            KeyCode::Char('f') => Some(Action::Page(1)),
            KeyCode::Char('b') => Some(Action::Page(-1)),
            _ => None,
        };
    }
    if key.modifiers.contains(KeyModifiers::ALT) {
        return None;
    }
    Some(match key.code {
        KeyCode::Esc => Action::Back,
        KeyCode::Up => Action::Move(-1),
        KeyCode::Down => Action::Move(1),
        KeyCode::PageUp => Action::Page(-1),
        KeyCode::PageDown => Action::Page(1),
        KeyCode::Home => Action::First,
        KeyCode::End => Action::Last,
        KeyCode::Tab => Action::Next,
        KeyCode::BackTab => Action::Previous,
        KeyCode::Enter if typing => Action::Accept,
        KeyCode::Backspace if typing => Action::Erase,
        KeyCode::Char(c) if typing => Action::Type(c),
        KeyCode::Enter => Action::Enter,
        KeyCode::Right => Action::Next,
        KeyCode::Left => Action::Previous,
        KeyCode::Char(digit @ '1'..='5') => {
            let place = (digit as usize).checked_sub('1' as usize)?;
            Action::Go(View::ALL.get(place).copied()?)
        }
        KeyCode::Char('q') => Action::Quit,
        KeyCode::Char('?' | 'h') | KeyCode::F(1) => Action::Help,
        KeyCode::Char('k') => Action::Move(-1),
        KeyCode::Char('j') => Action::Move(1),
        KeyCode::Char('g') => Action::First,
        KeyCode::Char('G') => Action::Last,
        KeyCode::Char('s') => Action::Sort,
        KeyCode::Char('r') => Action::Reverse,
        KeyCode::Char('/') => Action::Filter,
        KeyCode::Char('p' | ' ') => Action::Pause,
        KeyCode::Char('e') => Action::ChainLog,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(code: KeyCode) -> KeyEvent {
        KeyEvent::new(code, KeyModifiers::NONE)
    }

    #[test]
    fn keys_mean_what_the_help_says() {
        for (code, meant) in [
            (KeyCode::Char('q'), Action::Quit),
            (KeyCode::Esc, Action::Back),
            (KeyCode::Char('1'), Action::Go(View::Network)),
            (KeyCode::Char('5'), Action::Go(View::Logs)),
            (KeyCode::Tab, Action::Next),
            (KeyCode::Left, Action::Previous),
            (KeyCode::Char('j'), Action::Move(1)),
            (KeyCode::PageUp, Action::Page(-1)),
            (KeyCode::End, Action::Last),
            (KeyCode::Char('/'), Action::Filter),
            (KeyCode::Enter, Action::Enter),
            (KeyCode::Char('?'), Action::Help),
        ] {
            assert_eq!(action(plain(code), false), Some(meant), "{code:?}");
        }
        assert_eq!(action(plain(KeyCode::Char('6')), false), None);
        assert_eq!(action(plain(KeyCode::Char('x')), false), None);
    }

    #[test]
    fn in_a_filter_letters_are_letters_and_control_stays_control() {
        for c in ['q', '1', 's', '/', '?', ' ', '東'] {
            assert_eq!(action(plain(KeyCode::Char(c)), true), Some(Action::Type(c)));
        }
        assert_eq!(action(plain(KeyCode::Enter), true), Some(Action::Accept));
        assert_eq!(action(plain(KeyCode::Backspace), true), Some(Action::Erase));
        for typing in [false, true] {
            let control = |c| action(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL), typing);
            assert_eq!(control('c'), Some(Action::Quit));
            assert_eq!(control('z'), Some(Action::Suspend));
        }
    }

    #[test]
    fn a_key_that_is_let_go_means_nothing() {
        let key = KeyEvent { kind: KeyEventKind::Release, ..plain(KeyCode::Char('q')) };
        assert_eq!(action(key, false), None);
    }
}
