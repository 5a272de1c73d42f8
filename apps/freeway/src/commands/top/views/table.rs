//! Tables that fit: columns leave when there is no room for them, the least important first.

use ratatui_core::layout::Rect;

use super::Canvas;
use crate::commands::top::look::Ink;
use crate::commands::top::text::{pad, width};

/// Between two columns.
const GAP: usize = 2;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) head: &'static str,
    /// Whether it holds numbers.
    pub(super) right: bool,
    /// The most cells that it takes.
    pub(super) most: usize,
    /// Columns with the smallest number leave first; 0 takes what the others leave free, and stays.
    pub(super) rank: u8,
}

impl Column {
    /// A column of texts.
    pub(super) const fn left(head: &'static str, most: usize, rank: u8) -> Self {
        Self { head, right: false, most, rank }
    }

    /// A column of numbers.
    pub(super) const fn right(head: &'static str, rank: u8) -> Self {
        Self { head, right: true, most: 24, rank }
    }
}

/// A cell. What is in it is clean.
pub(super) type Cell = (String, Ink);

/// What is shown of a list.
pub(super) struct Table<'a> {
    pub(super) columns: &'a [Column],
    pub(super) rows: Vec<Vec<Cell>>,
    /// The chosen row.
    pub(super) chosen: Option<usize>,
    /// The head by which it is sorted, and whether the other way round.
    pub(super) sorted: Option<(&'static str, bool)>,
}

/// The first row that is shown of `count`, so that the chosen one is among `rows`, in the middle if it can be.
pub(super) fn window(count: usize, rows: usize, chosen: usize) -> usize {
    chosen.saturating_sub(rows / 2).min(count.saturating_sub(rows))
}

impl Table<'_> {
    /// Draws the head and as many rows as fit.
    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let look = canvas.look;
        let heads: Vec<String> = self.columns.iter().map(|column| self.head_of(column, canvas)).collect();
        let widths = self.widths(&heads, usize::from(area.width));
        let line = |cells: &dyn Fn(usize) -> (String, Ink)| {
            let mut pieces: Vec<(String, Ink)> = Vec::new();
            for (place, column) in self.columns.iter().enumerate() {
                let Some(Some(cells_wide)) = widths.get(place).copied() else { continue };
                if !pieces.is_empty() {
                    pieces.push((" ".repeat(GAP), Ink::Plain));
                }
                let (text, ink) = cells(place);
                pieces.push((pad(&text, cells_wide, column.right, look.cut()), ink));
            }
            pieces
        };
        let head = line(&|place| (heads.get(place).cloned().unwrap_or_default(), Ink::Soft));
        draw_line(canvas, area, 0, &head);
        let room = usize::from(area.height.saturating_sub(1));
        let start = window(self.rows.len(), room, self.chosen.unwrap_or(0));
        for (place, row) in self.rows.iter().enumerate().skip(start).take(room) {
            let pieces = line(&|column| row.get(column).cloned().unwrap_or_default());
            let y = (place - start) as u16 + 1;
            draw_line(canvas, area, y, &pieces);
            if self.chosen == Some(place) {
                let shown = Rect::new(area.x, area.y + y, area.width, 1).intersection(area);
                canvas.buffer.set_style(shown, look.chosen());
            }
        }
    }

    fn head_of(&self, column: &Column, canvas: &Canvas<'_>) -> String {
        match self.sorted {
            Some((head, reverse)) if head == column.head => {
                let sign = match reverse {
                    false => canvas.look.sign("▼", "v"),
                    true => canvas.look.sign("▲", "^"),
                };
                format!("{head}{sign}")
            }
            _ => column.head.to_owned(),
        }
    }

    /// The cells of each column; nothing for one that has to leave.
    fn widths(&self, heads: &[String], room: usize) -> Vec<Option<usize>> {
        let natural = |(place, column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|row| row.get(place)).map(|(text, _)| width(text));
            let head = heads.get(place).map_or(0, |head| width(head));
            Some(cells.max().unwrap_or(0).min(column.most).max(head))
        };
        let mut widths: Vec<Option<usize>> = self.columns.iter().enumerate().map(natural).collect();
        loop {
            let taken: usize =
                widths.iter().flatten().map(|cells| cells + GAP).sum::<usize>().saturating_sub(GAP);
            let Some(over) = taken.checked_sub(room).filter(|over| *over > 0) else { return widths };
            // A column that can be narrower becomes so before another has to leave.
            let flexible = self.columns.iter().zip(&widths).position(|(column, cells)| {
                column.rank == 0 && cells.is_some_and(|cells| cells > FLEXIBLE_LEAST)
            });
            if let Some(cells) = flexible.and_then(|place| widths.get_mut(place)) {
                *cells = cells.map(|cells| cells.saturating_sub(over).max(FLEXIBLE_LEAST));
                continue;
            }
            let ranked = self.columns.iter().enumerate();
            let present = ranked
                .filter(|(place, column)| column.rank > 0 && widths.get(*place).is_some_and(Option::is_some));
            let Some((leaves, _)) = present.min_by_key(|(_, column)| column.rank) else { return widths };
            if let Some(cells) = widths.get_mut(leaves) {
                *cells = None;
            }
        }
    }
}

/// A column that gives way keeps so many cells.
const FLEXIBLE_LEAST: usize = 16;

fn draw_line(canvas: &mut Canvas<'_>, area: Rect, row: u16, pieces: &[(String, Ink)]) {
    let pieces: Vec<_> = pieces.iter().map(|(text, ink)| (text.as_str(), *ink)).collect();
    canvas.text(area, row, &pieces);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_row_is_always_seen() {
        for count in [0, 1, 5, 100] {
            for rows in [1, 5, 20] {
                for chosen in 0..count {
                    let start = window(count, rows, chosen);
                    assert!(start <= chosen && chosen < start + rows, "{count} {rows} {chosen}");
                    assert!(start == 0 || start + rows <= count);
                }
            }
        }
    }

    #[test]
    fn columns_leave_by_their_rank() {
        let columns = [Column::left("NAME", 30, 0), Column::right("A", 2), Column::right("B", 1)];
        let cell = |text: &str| (text.to_owned(), Ink::Plain);
        let rows = vec![vec![cell(&"n".repeat(20)), cell("12345"), cell("12345")]];
        let table = Table { columns: &columns, rows, chosen: None, sorted: None };
        let widths = |room| table.widths(&["NAME".into(), "A".into(), "B".into()], room);
        assert_eq!(widths(40), [Some(20), Some(5), Some(5)]);
        assert_eq!(widths(30), [Some(16), Some(5), Some(5)]);
        assert_eq!(widths(20), [Some(16), None, None]);
        assert_eq!(widths(25), [Some(16), Some(5), None]);
        assert_eq!(widths(5), [Some(16), None, None]);
    }
}
