//! Frames: each view draws the model into an area, and changes nothing.

mod frame;
mod hosts;
mod logs;
mod network;
mod requests;
mod sprint;
mod table;

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::terminal::Frame;
use ratatui_core::text::{Line, Span};

use super::look::{Ink, Look};
use super::model::{Model, View};
use super::text;

/// The least that anything can be shown on.
const LEAST: (u16, u16) = (40, 10);

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, look: Look) {
    let area = frame.area();
    paint(frame.buffer_mut(), area, model, look);
}

/// Rows that a page of a list has, on a screen of that size.
pub(super) fn page_rows(area: Rect) -> usize {
    usize::from(area.height.saturating_sub(7)).max(1)
}

/// A frame as lines of plain text.
pub(super) fn plain(model: &mut Model, look: Look, area: Rect) -> String {
    model.page = page_rows(area);
    let mut buffer = Buffer::empty(area);
    paint(&mut buffer, area, model, look);
    lines_of(&buffer)
}

/// The text of a buffer, without spaces at the ends of lines.
pub(super) fn lines_of(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in buffer.area.top()..buffer.area.bottom() {
        let mut row = String::new();
        // Behind a wide character its second cell says nothing.
        let mut skip = 0;
        for x in buffer.area.left()..buffer.area.right() {
            let symbol = buffer.cell((x, y)).map_or(" ", ratatui_core::buffer::Cell::symbol);
            if skip == 0 {
                row.push_str(symbol);
            }
            skip = skip.max(text::width(symbol)).saturating_sub(1);
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

fn paint(buffer: &mut Buffer, area: Rect, model: &Model, look: Look) {
    let mut canvas = Canvas { buffer, look };
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let message = format!("terminal too small: {} x {}", area.width, area.height);
        canvas.text(area, 0, &[(&message, Ink::Warn)]);
        canvas.text(area, 1, &[(&format!("it takes {} x {}", LEAST.0, LEAST.1), Ink::Plain)]);
        return;
    }
    let body = frame::draw(&mut canvas, area, model);
    if model.help {
        frame::help(&mut canvas, body);
        return;
    }
    match model.view {
        View::Network => network::draw(&mut canvas, body, model),
        View::Sprint => sprint::draw(&mut canvas, body, model),
        View::Hosts if model.open.is_some() => hosts::detail(&mut canvas, body, model),
        View::Hosts => hosts::draw(&mut canvas, body, model),
        View::Requests => requests::draw(&mut canvas, body, model),
        View::Logs => logs::draw(&mut canvas, body, model),
    }
}

/// What is drawn on.
struct Canvas<'a> {
    buffer: &'a mut Buffer,
    look: Look,
}

/// Pieces of a line.
type Pieces<'a> = [(&'a str, Ink)];

impl Canvas<'_> {
    /// A line of pieces in a row of an area; cut at its end.
    fn text(&mut self, area: Rect, row: u16, pieces: &Pieces<'_>) {
        if row >= area.height {
            return;
        }
        let mut left = usize::from(area.width);
        let mut spans = Vec::new();
        for (text, ink) in pieces {
            let shown = text::fit(text, left, self.look.cut());
            left -= text::width(&shown).min(left);
            spans.push(Span::styled(shown, self.look.style(*ink)));
        }
        self.line(area, row, &Line::from(spans));
    }

    /// A line that fits.
    fn line(&mut self, area: Rect, row: u16, line: &Line<'_>) {
        if row < area.height {
            self.buffer.set_line(area.x, area.y + row, line, area.width);
        }
    }

    /// A head over an area, with a note and a rule to its right end; what is below it is left.
    fn head(&mut self, area: Rect, title: &str, note: &str) -> Rect {
        let look = self.look;
        let rule = look.sign("─", "-");
        let width = usize::from(area.width);
        let title = text::fit(title, width.saturating_sub(1), look.cut());
        let mut left = width.saturating_sub(text::width(&title) + 1);
        let note = match left.checked_sub(6) {
            Some(room) if !note.is_empty() => text::fit(note, room, look.cut()),
            _ => String::new(),
        };
        let before = rule.repeat(if note.is_empty() { 0 } else { 2 });
        let mut pieces = vec![(title.as_str(), Ink::Head), (" ", Ink::Plain)];
        if !note.is_empty() {
            pieces.extend([
                (before.as_str(), Ink::Soft),
                (" ", Ink::Plain),
                (&note, Ink::Soft),
                (" ", Ink::Plain),
            ]);
            left = left.saturating_sub(text::width(&note) + 4);
        }
        let rest = rule.repeat(left);
        pieces.push((&rest, Ink::Soft));
        self.text(area, 0, &pieces);
        below(area, 1)
    }

    /// A label with its value, at a column that all labels leave free.
    fn field(&mut self, area: Rect, row: u16, label: &str, value: &Pieces<'_>) {
        let label = text::pad(label, LABEL, false, self.look.cut());
        let mut pieces = vec![(label.as_str(), Ink::Soft)];
        pieces.extend_from_slice(value);
        self.text(area, row, &pieces);
    }
}

/// The cells of a label.
const LABEL: usize = 12;

/// What is left of an area below so many rows.
fn below(area: Rect, rows: u16) -> Rect {
    let rows = rows.min(area.height);
    Rect { y: area.y + rows, height: area.height - rows, ..area }
}

/// The first so many rows of an area.
fn first(area: Rect, rows: u16) -> Rect {
    Rect { height: rows.min(area.height), ..area }
}

/// The area in two columns with a gap between.
fn halves(area: Rect) -> (Rect, Rect) {
    let left = area.width.saturating_sub(2) / 2;
    let right = Rect { x: area.x + left + 2, width: area.width.saturating_sub(left + 2), ..area };
    (Rect { width: left, ..area }, right)
}

#[cfg(test)]
pub(super) mod samples;
#[cfg(test)]
mod tests;
