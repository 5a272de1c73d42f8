//! Tables, as Markdown or JSON.

use crate::lab::Outcome;

/// A table of text.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        Self { title: title.into(), columns, rows: Vec::new() }
    }

    /// A table of cheats.
    pub(crate) fn of_outcomes(title: impl Into<String>) -> Self {
        let columns = [
            "cheat",
            "leaves right",
            "final digests",
            "all digests",
            "elements",
            "correlation",
            "work saved",
        ];
        Self::new(title, &columns)
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn outcome(&mut self, name: impl Into<String>, outcome: Outcome) {
        let Outcome { nonces, finals, leaves, boundaries, elements, correlation, saved } = outcome;
        let of = |share: f64| format!("{:.0}/{nonces}", share * nonces as f64);
        let cells =
            [of(leaves), of(finals), percent(boundaries), percent(elements), format!("{correlation:.3}")];
        self.row([name.into()].into_iter().chain(cells).chain([percent(saved)]));
    }

    pub(crate) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = vec!["---".to_owned(); self.columns.len()].join("|");
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("### {}\n\n{}|{rule}|\n{rows}", self.title, line(&self.columns))
    }

    pub(crate) fn json(&self) -> String {
        let list = |items: Vec<String>| format!("[{}]", items.join(","));
        let texts = |items: &[String]| list(items.iter().map(|item| quoted(item)).collect());
        let rows = list(self.rows.iter().map(|row| texts(row)).collect());
        format!(r#"{{"title":{},"columns":{},"rows":{rows}}}"#, quoted(&self.title), texts(&self.columns))
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A share as a percentage, exact at both ends: nothing is rounded to 0 or to all.
pub(crate) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        0.0 => "0 %".to_owned(),
        100.0 => "100 %".to_owned(),
        _ if percent < 0.01 => "< 0.01 %".to_owned(),
        _ if percent > 99.99 => "> 99.99 %".to_owned(),
        _ if !(10.0..=99.0).contains(&percent) => format!("{percent:.2} %"),
        _ => format!("{percent:.1} %"),
    }
}
