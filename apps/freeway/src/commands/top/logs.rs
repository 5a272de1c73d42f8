//! Lines of logs: of the files that `freeway up` writes, and of what happens on the chain.

mod follow;

use std::collections::VecDeque;

use freeway_api::{BlockEvent, EventView};
use freeway_primitives::Amount;
use serde_json::Value;

pub(super) use follow::follow;

use super::text::{clean, coins, ends};

/// Lines that are remembered of each source.
const MOST: usize = 5_000;
/// The longest line that is kept; the end of a longer one is cut.
const MAX_LINE: usize = 2_000;
/// Fields of events that are amounts in base units.
const AMOUNTS: [&str; 11] = [
    "amount", "fees", "paid", "penalty", "escrow", "refund", "emission", "pooled", "bond", "left", "capacity",
];
/// Fields of events that name accounts.
const ACCOUNTS: [&str; 9] =
    ["host", "member", "from", "to", "account", "payer", "endorser", "claimant", "arbiter"];

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// A line that does not say.
    Other,
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Other => "",
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }

    fn read(word: &str) -> Option<Self> {
        let all = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error];
        all.into_iter().find(|level| level.name() == word)
    }
}

/// Where lines come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Log files of the network in the directory.
    Files,
    /// Events of the chain.
    Chain,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Counts all lines.
    pub(super) number: u64,
    pub(super) from: Source,
    /// The time of day, in UTC.
    pub(super) time: String,
    /// All of the time, for the order of lines.
    pub(super) moment: String,
    pub(super) level: Level,
    /// Whose log it is, or the height of the block.
    pub(super) source: String,
    /// The part of the program.
    pub(super) target: String,
    pub(super) text: String,
}

/// The latest lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Logs {
    files: VecDeque<Line>,
    chain: VecDeque<Line>,
    has_files: bool,
    count: u64,
}

impl Logs {
    /// Whether there are log files here.
    pub(super) const fn has_files(&self) -> bool {
        self.has_files
    }

    pub(super) const fn set_files(&mut self, any: bool) {
        self.has_files = any;
    }

    /// Lines of a source, oldest first.
    pub(super) fn lines(&self, source: Source) -> impl Iterator<Item = &Line> {
        match source {
            Source::Files => self.files.iter(),
            Source::Chain => self.chain.iter(),
        }
    }

    /// Adds lines, in their order.
    pub(super) fn add(&mut self, lines: Vec<Line>) {
        for mut line in lines {
            line.number = self.count;
            self.count += 1;
            let kept = match line.from {
                Source::Files => &mut self.files,
                Source::Chain => &mut self.chain,
            };
            if kept.len() >= MOST {
                kept.pop_front();
            }
            kept.push_back(line);
        }
    }
}

/// A line of the log of `source`, as [`crate::logging`] writes them for people; others are taken as they are.
pub(super) fn read(source: &str, line: &str) -> Line {
    let line = without_escapes(line);
    let mut shown = Line {
        number: 0,
        from: Source::Files,
        time: String::new(),
        moment: String::new(),
        level: Level::Other,
        source: clean(source),
        target: String::new(),
        text: clean(&line),
    };
    // 2026-11-23T05:09:31.227019Z  INFO freeway_node::beacon: what happened
    let mut words = line.splitn(2, char::is_whitespace);
    let (Some(moment), Some(rest)) = (words.next(), words.next()) else { return shown };
    let mut words = rest.trim_start().splitn(2, ' ');
    let (Some(level), Some(rest)) = (words.next().and_then(Level::read), words.next()) else { return shown };
    let is_moment = moment.len() >= 20 && moment.is_ascii() && moment.as_bytes().get(10) == Some(&b'T');
    let Some((target, text)) = rest.split_once(": ").filter(|_| is_moment) else { return shown };
    shown.time = clean(moment.get(11..19).unwrap_or_default());
    shown.moment = clean(moment);
    shown.level = level;
    shown.target = clean(target);
    shown.text = clean(text);
    shown
}

/// The line, not too long, without the sequences that colour it.
fn without_escapes(line: &str) -> String {
    let mut text = String::with_capacity(line.len().min(MAX_LINE));
    let mut chars = line.chars().take(MAX_LINE);
    while let Some(c) = chars.next() {
        if c != '\x1b' {
            text.push(c);
            continue;
        }
        // `ESC [ parameters letter`; anything else loses its escape only.
        let mut rest = chars.clone();
        if rest.next() == Some('[') && rest.any(|c| ('\x40'..='\x7e').contains(&c)) {
            chars = rest;
        }
    }
    text
}

/// What happened in a block, line by line; `name` says what people call an account.
pub(super) fn of_block(block: &BlockEvent, name: impl Fn(&str) -> String) -> Vec<Line> {
    let height = block.height.to_string();
    let line = |level, target: String, text: String| Line {
        number: 0,
        from: Source::Chain,
        time: super::text::clock(block.time_ms),
        moment: String::new(),
        level,
        source: height.clone(),
        target,
        text,
    };
    let mut lines = Vec::new();
    for receipt in &block.transactions {
        if let Some(failure) = &receipt.failure {
            let text = format!("{}: {}", ends(&receipt.hash.to_string(), 8, 4), clean(&failure.message));
            lines.push(line(Level::Warn, "transaction failed".into(), text));
        }
    }
    let of_transactions = block.transactions.iter().flat_map(|receipt| &receipt.events);
    for event in of_transactions.chain(&block.events) {
        let (kind, text) = described(event, &name);
        lines.push(line(weight_of(&kind), kind, text));
    }
    lines
}

/// How much an event matters.
fn weight_of(kind: &str) -> Level {
    let (_, what) = kind.split_once('.').unwrap_or(("", kind));
    match what {
        "convicted" | "slashed" | "forfeited" => Level::Error,
        "voided" | "false_verdict" | "trial_opened" | "demanded" | "reported" | "race_abandoned" => {
            Level::Warn
        }
        "switch_held" | "dealing_failed" | "no_hosts" | "no_randomness" => Level::Warn,
        _ => Level::Info,
    }
}

/// An event's kind, and its fields in a line.
fn described(event: &EventView, name: &impl Fn(&str) -> String) -> (String, String) {
    let value = serde_json::to_value(event).unwrap_or_default();
    let kind = value.get("type").and_then(Value::as_str).map(clean).unwrap_or_default();
    let mut fields = Vec::new();
    for (field, value) in value.as_object().into_iter().flatten() {
        if field != "type" {
            fields.push(format!("{field}={}", shown(field, value, name)));
        }
    }
    (kind, fields.join(" "))
}

fn shown(field: &str, value: &Value, name: &impl Fn(&str) -> String) -> String {
    match value {
        Value::String(text) if AMOUNTS.contains(&field) => match text.parse() {
            Ok(units) => format!("{} FWY", coins(Amount(units), 6)),
            Err(_) => clean(text),
        },
        Value::String(text) if ACCOUNTS.contains(&field) => clean(&name(text)),
        Value::String(text) => ends(text, 12, 4),
        Value::Array(items) => {
            let items: Vec<_> = items
                .iter()
                .map(|item| item.as_str().map_or_else(|| clean(&item.to_string()), |text| clean(&name(text))))
                .collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<_> = fields
                .iter()
                .map(|(field, value)| format!("{field}={}", shown(field, value, name)))
                .collect();
            format!("{{{}}}", fields.join(" "))
        }
        other => clean(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use freeway_primitives::{Address, Digest};

    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let line = read("host-1", "2026-11-23T05:09:31.227019Z  WARN freeway_node::gossip: peer left peer=7");
        assert_eq!(
            (line.time.as_str(), line.level, line.target.as_str()),
            ("05:09:31", Level::Warn, "freeway_node::gossip")
        );
        assert_eq!((line.source.as_str(), line.text.as_str()), ("host-1", "peer left peer=7"));
    }

    #[test]
    fn a_line_of_another_shape_stays_as_it_is() {
        for text in [
            "",
            "thread 'main' panicked at x.rs:1:2",
            "  INFO a: b",
            "2026 INFO a: b",
            "äöü äöü äöü äöü äöü INFO x: y",
        ] {
            let line = read("g", text);
            assert_eq!((line.level, line.text.as_str()), (Level::Other, text));
        }
    }

    #[test]
    fn lines_cannot_steer_the_terminal() {
        let line = read("\x1b[2Jg", "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2");
        assert_eq!((line.source.as_str(), line.text.as_str()), ("?[2Jg", "red ]0;title? [2"));
        assert!(read("g", &"x".repeat(1 << 20)).text.len() <= MAX_LINE);
    }

    #[test]
    fn old_lines_are_forgotten_and_sources_kept_apart() {
        let mut logs = Logs::default();
        for number in 0..MOST + 10 {
            logs.add(vec![read("g", &number.to_string())]);
        }
        let first = logs.lines(Source::Files).next().unwrap();
        assert_eq!((first.number, first.text.as_str()), (10, "10"));
        assert_eq!((logs.lines(Source::Files).count(), logs.lines(Source::Chain).count()), (MOST, 0));
    }

    #[test]
    fn events_are_told_in_words_with_names() {
        let host = Address([7; 32]);
        let block = BlockEvent {
            height: 9,
            id: Digest([0; 32]),
            time_ms: 3_661_000,
            epoch: 1,
            phase: "serve".into(),
            transactions: Vec::new(),
            events: vec![
                EventView::WorkMatured { host, interval: 5, fees: Amount(12_500_000_000) },
                EventView::Slashed { host, amount: Amount(4) },
            ],
        };
        let lines = of_block(&block, |_| "berlin\x1b[2J".into());
        let told: Vec<_> =
            lines.iter().map(|line| (line.level, line.target.as_str(), line.text.as_str())).collect();
        assert_eq!(
            told,
            [
                (Level::Info, "work.matured", "host=berlin?[2J interval=5 fees=12.500000 FWY"),
                (Level::Error, "hosts.slashed", "host=berlin?[2J amount=< 0.000001 FWY"),
            ]
        );
        assert_eq!((lines[0].time.as_str(), lines[0].source.as_str()), ("01:01:01", "9"));
    }
}
