//! Lines of logs, the latest at the bottom.

use ratatui_core::layout::Rect;

use super::{Canvas, below, first};
use crate::commands::top::logs::{Level, Line, Source};
use crate::commands::top::look::Ink;
use crate::commands::top::model::{Model, View};
use crate::commands::top::text::{grouped, pad, width, wrap};

/// Rows for the whole of a line.
const WHOLE: u16 = 5;

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let lines = model.lines();
    let place = model.place_in(View::Logs);
    let source = model.log_source();
    let title = match source {
        Source::Files => "Logs",
        Source::Chain => "Events of the chain",
    };
    let all = model.data().logs.lines(source).count() as u64;
    let shown = lines.len() as u64;
    let some = if shown == all { grouped(all) } else { format!("{} of {}", grouped(shown), grouped(all)) };
    let follows = place.chosen.is_none();
    let note =
        if follows { format!("{some} lines, following") } else { format!("{some} lines; End follows") };
    let inner = canvas.head(area, title, &note);
    if lines.is_empty() {
        let why = match (place.filter.is_empty(), source) {
            (false, _) => "no line with that text",
            (true, Source::Files) => "nothing is logged yet",
            (true, Source::Chain) => "nothing has happened since",
        };
        canvas.text(inner, 0, &[(why, Ink::Soft)]);
        return;
    }
    // Somebody who looks back reads: the chosen line stands below as a whole.
    let (inner, whole) = match !follows && inner.height >= WHOLE + 4 {
        true => (first(inner, inner.height - WHOLE), below(inner, inner.height - WHOLE)),
        false => (inner, first(inner, 0)),
    };
    let rows = usize::from(inner.height);
    let last = lines.len() - 1;
    let index = if follows { last } else { place.index.min(last) };
    // The chosen line stands at the bottom, as the latest does.
    let start = (index + 1).saturating_sub(rows);
    let who = lines.iter().map(|line| width(&line.source)).max().unwrap_or(0).min(16);
    for (row, line) in lines.iter().enumerate().skip(start).take(rows) {
        let y = (row - start) as u16;
        draw_line(canvas, inner, y, line, who);
        if !follows && row == index {
            let shown = first(below(inner, y), 1);
            canvas.buffer.set_style(shown, canvas.look.chosen());
        }
    }
    if let Some(line) = lines.get(index) {
        draw_whole(canvas, whole, line);
    }
}

/// All of a line, wrapped.
fn draw_whole(canvas: &mut Canvas<'_>, area: Rect, line: &Line) {
    if area.height == 0 {
        return;
    }
    let title = canvas.look.clean(&line.source);
    let note = [line.time.as_str(), line.level.name(), &line.target].join(" ");
    let note = canvas.look.clean(note.trim());
    let inner = canvas.head(area, &title, &note);
    let text = canvas.look.clean(&line.text);
    for (row, text) in (0u16..).zip(wrap(&text, usize::from(inner.width))) {
        canvas.text(inner, row, &[(&text, Ink::Plain)]);
    }
}

fn draw_line(canvas: &mut Canvas<'_>, area: Rect, row: u16, line: &Line, who: usize) {
    let look = canvas.look;
    let ink = match line.level {
        Level::Error => Ink::Bad,
        Level::Warn => Ink::Warn,
        Level::Info => Ink::Good,
        Level::Debug | Level::Trace | Level::Other => Ink::Soft,
    };
    let source = pad(&look.clean(&line.source), who, line.from == Source::Chain, look.cut());
    let (target, text) = (look.clean(&line.target), look.clean(&line.text));
    let wide = area.width >= 100;
    let mut pieces =
        vec![(line.time.as_str(), Ink::Soft), (" ", Ink::Plain), (&source, Ink::Accent), (" ", Ink::Plain)];
    let level = pad(line.level.name(), 5, false, ' ');
    match line.from {
        // The part of the program is the first thing to go: the message says what happened.
        Source::Files => {
            pieces.extend([(level.as_str(), ink), (" ", Ink::Plain)]);
            if wide && !target.is_empty() {
                pieces.extend([(target.as_str(), Ink::Soft), (" ", Ink::Plain)]);
            }
        }
        Source::Chain => pieces.extend([(target.as_str(), ink), (" ", Ink::Plain)]),
    }
    let plain = if line.level == Level::Error { Ink::Bad } else { Ink::Plain };
    pieces.push((&text, plain));
    canvas.text(area, row, &pieces);
}
