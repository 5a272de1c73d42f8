//! The terminal: taken when the screen begins, given back as it was however it ends.
//!
//! Colours are written as the sixteen that every terminal with colours has (SGR 30 to 37 and 90 to 97), as the usual
//! back ends write sequences for 256 that old ones misread.

use std::io::{self, IsTerminal, Stdout, Write};
use std::sync::Once;

use crossterm::{cursor, execute, queue, style, terminal};
use ratatui_core::backend::{Backend, ClearType, WindowSize};
use ratatui_core::buffer::Cell;
use ratatui_core::layout::{Position, Rect, Size};
use ratatui_core::style::{Color, Modifier};
use ratatui_core::terminal::Terminal;

use super::model::Model;
use super::{look::Look, views};
use crate::hints::Problem;

/// The screen, as long as it lives.
pub(super) struct Screen {
    terminal: Terminal<Sixteen<Stdout>>,
    look: Look,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// If stdin or stdout is none, or it cannot show a screen.
    pub(super) fn open() -> Result<Self, Problem> {
        restore_after_panics();
        let screen = take().and_then(|()| Terminal::new(Sixteen { out: io::stdout() }));
        match screen {
            Ok(terminal) => Ok(Self { terminal, look: this_look() }),
            Err(error) => {
                give_back();
                Err(failed(&error))
            }
        }
    }

    /// Draws what the model says; tells the model how many rows a page has.
    ///
    /// # Errors
    /// If the terminal cannot be written to.
    pub(super) fn draw(&mut self, model: &mut Model) -> Result<(), Problem> {
        let look = self.look;
        let drawn = self.terminal.draw(|frame| views::draw(frame, model, look));
        let area = drawn.map_err(|error| failed(&error))?.area;
        model.page = views::page_rows(area);
        Ok(())
    }

    /// Takes the terminal again after somebody else had it, and forgets what was on it.
    ///
    /// # Errors
    /// As [`Screen::open`].
    pub(super) fn renew(&mut self) -> Result<(), Problem> {
        // What was taken once is not taken again before it was given back; the shell may have changed everything.
        let _ = terminal::disable_raw_mode();
        take().and_then(|()| self.terminal.clear()).map_err(|error| failed(&error))
    }

    /// Gives the terminal to the shell until somebody says `fg`.
    ///
    /// # Errors
    /// As [`Screen::open`].
    #[cfg(unix)]
    pub(super) async fn suspend(&mut self) -> Result<(), Problem> {
        use std::time::Duration;
        use tokio::signal::unix::{SignalKind, signal};

        // Long enough for the signal to arrive; not waited for where nobody can stop us, as in a pane without a shell.
        const ARRIVES: Duration = Duration::from_millis(250);
        let Ok(mut again) = signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw())) else {
            return Ok(());
        };
        give_back();
        // The whole group, as Ctrl-Z does it elsewhere: `cargo run` must stop as well.
        if rustix::process::kill_current_process_group(rustix::process::Signal::TSTP).is_ok() {
            tokio::select! {
                _ = again.recv() => {}
                () = tokio::time::sleep(ARRIVES) => {}
            }
        }
        self.renew()
    }

    /// There is nothing to go back to.
    #[cfg(not(unix))]
    pub(super) async fn suspend(&mut self) -> Result<(), Problem> {
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Says why there can be no screen here, if so.
///
/// # Errors
/// If stdin or stdout is no terminal, or one that cannot move its cursor.
pub(super) fn check() -> Result<(), Problem> {
    let hint = "`freeway status --watch` prints lines; `freeway top --once` prints one frame, --json one line a block";
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        let message = "`freeway top` draws on a terminal, and its input or output is none";
        return Err(Problem::new("no_terminal", message).hint(hint));
    }
    if std::env::var("TERM").is_ok_and(|term| term == "dumb") {
        let message = "this terminal says that it cannot move its cursor (TERM=dumb)";
        return Err(Problem::new("no_terminal", message).hint(hint));
    }
    Ok(())
}

/// How this process's terminal wants things.
pub(super) fn this_look() -> Look {
    Look::of(|name| std::env::var(name).ok())
}

/// Columns and rows of the terminal; those of COLUMNS and LINES where there is none, or the usual ones.
pub(super) fn size() -> (u16, u16) {
    if io::stdout().is_terminal()
        && let Ok(size) = terminal::size()
    {
        return size;
    }
    let number = |name: &str| std::env::var(name).ok()?.parse::<u16>().ok();
    (number("COLUMNS").unwrap_or(80).clamp(40, 500), number("LINES").unwrap_or(24).clamp(10, 500))
}

fn failed(error: &io::Error) -> Problem {
    Problem::new("no_terminal", format!("the terminal does not do what it should: {error}"))
        .hint("`freeway status --watch` needs less of it")
}

fn take() -> io::Result<()> {
    terminal::enable_raw_mode()?;
    execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)
}

/// Puts the terminal back as it was. What fails is not reported: there is no place left to report to.
fn give_back() {
    let _ = execute!(
        io::stdout(),
        style::ResetColor,
        style::SetAttribute(style::Attribute::Reset),
        terminal::LeaveAlternateScreen,
        cursor::Show
    );
    let _ = terminal::disable_raw_mode();
}

/// A panic is readable only on a terminal that is in order.
fn restore_after_panics() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
    });
}

/// Writes cells with the sixteen colours of every terminal.
pub(super) struct Sixteen<W> {
    pub(super) out: W,
}

/// The parameter of a colour of the text; 10 more for that behind it. Other colours are the terminal's own.
const fn code(colour: Color) -> u8 {
    match colour {
        Color::Black => 30,
        Color::Red => 31,
        Color::Green => 32,
        Color::Yellow => 33,
        Color::Blue => 34,
        Color::Magenta => 35,
        Color::Cyan => 36,
        Color::Gray => 37,
        Color::DarkGray => 90,
        Color::LightRed => 91,
        Color::LightGreen => 92,
        Color::LightYellow => 93,
        Color::LightBlue => 94,
        Color::LightMagenta => 95,
        Color::LightCyan => 96,
        Color::White => 97,
        Color::Reset | Color::Rgb(..) | Color::Indexed(_) => 39,
    }
}

/// All of a cell's style, in one sequence.
fn sequence(cell: &Cell) -> String {
    let mut text = "\x1b[0".to_owned();
    let modifiers = [
        (Modifier::BOLD, ";1"),
        (Modifier::DIM, ";2"),
        (Modifier::ITALIC, ";3"),
        (Modifier::UNDERLINED, ";4"),
        (Modifier::REVERSED, ";7"),
    ];
    for (modifier, parameter) in modifiers {
        if cell.modifier.contains(modifier) {
            text.push_str(parameter);
        }
    }
    for colour in [code(cell.fg), code(cell.bg) + 10] {
        if !matches!(colour, 39 | 49) {
            text.push_str(&format!(";{colour}"));
        }
    }
    text.push('m');
    text
}

impl<W: Write> Backend for Sixteen<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut at = None;
        let mut style = None;
        for (x, y, cell) in content {
            if at != Some((x, y)) {
                queue!(self.out, cursor::MoveTo(x, y))?;
            }
            let wanted = sequence(cell);
            if style.as_ref() != Some(&wanted) {
                self.out.write_all(wanted.as_bytes())?;
                style = Some(wanted);
            }
            self.out.write_all(cell.symbol().as_bytes())?;
            // Behind a wide character the place is given anew: terminals may differ about its width.
            at = cell.symbol().is_ascii().then(|| (x.saturating_add(1), y));
        }
        self.out.write_all(b"\x1b[0m")
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        execute!(self.out, cursor::Hide)
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        execute!(self.out, cursor::Show)
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        // It is hidden, and nothing is drawn where it is.
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let Position { x, y } = position.into();
        execute!(self.out, cursor::MoveTo(x, y))
    }

    fn clear(&mut self) -> io::Result<()> {
        execute!(self.out, terminal::Clear(terminal::ClearType::All))
    }

    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        let all = match clear_type {
            ClearType::All => terminal::ClearType::All,
            ClearType::AfterCursor => terminal::ClearType::FromCursorDown,
            ClearType::BeforeCursor => terminal::ClearType::FromCursorUp,
            ClearType::CurrentLine => terminal::ClearType::CurrentLine,
            ClearType::UntilNewLine => terminal::ClearType::UntilNewLine,
        };
        execute!(self.out, terminal::Clear(all))
    }

    fn size(&self) -> io::Result<Size> {
        let (width, height) = terminal::size()?;
        Ok(Size { width, height })
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: self.size()?, pixels: Size::ZERO })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The whole of a screen of that size, for a frame that is printed.
pub(super) const fn area((width, height): (u16, u16)) -> Rect {
    Rect::new(0, 0, width, height)
}

#[cfg(test)]
mod tests {
    use ratatui_core::style::Style;

    use super::*;

    fn drawn(cells: &[(u16, u16, Cell)]) -> String {
        let mut backend = Sixteen { out: Vec::new() };
        backend.draw(cells.iter().map(|(x, y, cell)| (*x, *y, cell))).unwrap();
        String::from_utf8(backend.out).unwrap()
    }

    fn cell(symbol: &'static str, style: Style) -> Cell {
        let mut cell = Cell::new(symbol);
        cell.set_style(style);
        cell
    }

    #[test]
    fn colours_are_of_the_sixteen() {
        let red = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
        let cells = [(0, 0, cell("a", red)), (1, 0, cell("b", red)), (2, 0, cell("c", Style::new()))];
        assert_eq!(drawn(&cells), "\x1b[1;1H\x1b[0;1;31mab\x1b[0mc\x1b[0m");
        let bright = Style::new().fg(Color::LightCyan).bg(Color::DarkGray);
        assert_eq!(drawn(&[(4, 2, cell("x", bright))]), "\x1b[3;5H\x1b[0;96;100mx\x1b[0m");
        for colour in [Color::Indexed(7), Color::Rgb(1, 2, 3)] {
            assert!(!drawn(&[(0, 0, cell("x", Style::new().fg(colour)))]).contains("38;"));
        }
    }

    #[test]
    fn behind_wide_characters_the_place_is_given_anew() {
        let plain = Style::new();
        let cells = [(0, 0, cell("東", plain)), (2, 0, cell("a", plain)), (3, 0, cell("b", plain))];
        assert_eq!(drawn(&cells), "\x1b[1;1H\x1b[0m東\x1b[1;3Hab\x1b[0m");
    }
}
