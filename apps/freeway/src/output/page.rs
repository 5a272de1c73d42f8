//! Plain text for people: lines, aligned fields, aligned tables.

use std::fmt::Display;

/// Between two columns.
const GAP: &str = "  ";

/// A result as text.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

/// The head of a column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    name: &'static str,
    right: bool,
}

impl Column {
    /// A column of texts.
    pub const fn left(name: &'static str) -> Self {
        Self { name, right: false }
    }

    /// A column of numbers.
    pub const fn right(name: &'static str) -> Self {
        Self { name, right: true }
    }
}

impl Page {
    /// Adds a line, or several.
    pub fn line(&mut self, text: impl Display) {
        let text = text.to_string();
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    /// Adds an empty line.
    pub fn gap(&mut self) {
        self.line("");
    }

    /// Adds names with their values, aligned. What has an empty value is left out.
    pub fn fields<'a>(&mut self, fields: impl IntoIterator<Item = (&'a str, String)>) {
        let fields: Vec<_> = fields.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        for (name, value) in fields {
            self.line(format_args!("{name:width$}{GAP}{value}"));
        }
    }

    /// Adds a table with a head line. A row has a cell for each column.
    pub fn table(&mut self, columns: &[Column], rows: impl IntoIterator<Item = Vec<String>>) {
        let head = columns.iter().map(|column| column.name.to_owned()).collect();
        let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
        let width = |index: usize| {
            rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns.len()).map(width).collect();
        for row in &rows {
            let cells = row.iter().zip(columns).zip(&widths).map(|((cell, column), &width)| {
                if column.right { format!("{cell:>width$}") } else { format!("{cell:width$}") }
            });
            self.line(cells.collect::<Vec<_>>().join(GAP));
        }
    }

    /// The text.
    pub fn into_text(self) -> String {
        printable(&self.text)
    }
}

/// The text without anything that could steer a terminal: names and messages come from strangers.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut page = Page::default();
        let row = |name: &str, power: &str| vec![name.to_owned(), power.to_owned()];
        page.table(
            &[Column::left("NAME"), Column::right("POWER")],
            [row("a", "5"), row("bcdefg", "1234567")],
        );
        assert_eq!(page.into_text(), "NAME      POWER\na             5\nbcdefg  1234567\n");
    }

    #[test]
    fn empty_fields_are_left_out() {
        let mut page = Page::default();
        page.fields([("one", "1".to_owned()), ("three", "3".to_owned()), ("none", String::new())]);
        assert_eq!(page.into_text(), "one    1\nthree  3\n");
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let mut page = Page::default();
        page.line("\x1b[2Jhello\r\u{9b}1m");
        assert_eq!(page.into_text(), "\u{fffd}[2Jhello\u{fffd}\u{fffd}1m\n");
    }
}
