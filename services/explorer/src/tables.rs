//! The tables as they are asked for: a page at a time, as JSON or CSV.

mod csv;

use core::fmt::Write as _;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, params_from_iter};
use serde_json::Value as Json;

use crate::error::Problem;
use crate::history::{position, reach};

pub(crate) use csv::csv;

/// The default and the greatest length of a page.
const DEFAULT_LIMIT: u64 = 100;
pub(crate) const MAX_LIMIT: u64 = 10_000;
/// Kinds of events that are asked for at once.
const MAX_KINDS: usize = 16;
/// Bytes of a text in a query; no name, address or hash is longer.
const MAX_TEXT_BYTES: usize = 200;
/// Numbers beyond these are no heights, and not exact in scripts.
const MAX_NUMBER: u64 = 1 << 53;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A number or a text, as the file has it.
    Plain,
    /// 0 or 1.
    Flag,
    /// JSON in text.
    Nested,
}

/// A column: its name for people, and in the file.
type Column = (&'static str, &'static str, Kind);

/// What rows can be chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Text(&'static str),
    Number(&'static str),
    Flag(&'static str),
    Kinds(&'static str),
    From(&'static str),
    To(&'static str),
    /// From the first place of this height or epoch on.
    FromPlace,
    /// Up to the last place of this height or epoch.
    ToPlace,
}

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    source: &'static str,
    /// The column that orders it.
    key: &'static str,
    columns: &'static [Column],
    filters: &'static [(&'static str, By)],
}

const fn plain(name: &'static str) -> Column {
    (name, name, Kind::Plain)
}

const fn named(name: &'static str, column: &'static str) -> Column {
    (name, column, Kind::Plain)
}

/// All tables.
pub(crate) const TABLES: [Table; 8] = [
    Table {
        name: "epochs",
        source: "epochs",
        key: "epoch",
        columns: &[
            plain("epoch"),
            plain("start"),
            named("end", "ending"),
            ("complete", "complete", Kind::Flag),
            plain("time_ms"),
            plain("blocks"),
            plain("transactions"),
            plain("failed"),
            plain("hosts"),
            plain("weight"),
            plain("h100_equivalents"),
            plain("settled_at"),
            plain("validators"),
            plain("power"),
            plain("raced"),
            plain("proven"),
            plain("nonces"),
            plain("checks_made"),
            plain("checks_failed"),
            plain("tokens"),
            plain("fees_committed"),
            plain("fees_settled"),
            plain("emission"),
            plain("useful_share"),
        ],
        filters: &[("from", By::From("epoch")), ("to", By::To("epoch"))],
    },
    Table {
        name: "host-epochs",
        source: "host_epochs",
        key: "position",
        columns: &[
            plain("position"),
            plain("epoch"),
            plain("host"),
            plain("weight"),
            plain("before"),
            plain("reputation"),
            plain("power"),
            plain("nonces"),
            plain("granted"),
            plain("verdict_reward"),
            plain("fees_committed"),
            plain("fees_settled"),
            plain("fees_paid"),
            plain("tokens"),
            plain("checks_made"),
            plain("checks_failed"),
        ],
        filters: &[
            ("host", By::Text("host")),
            ("epoch", By::Number("epoch")),
            ("from", By::FromPlace),
            ("to", By::ToPlace),
        ],
    },
    Table {
        name: "blocks",
        source: "blocks",
        key: "height",
        columns: &[
            plain("height"),
            plain("id"),
            plain("time_ms"),
            plain("epoch"),
            plain("phase"),
            plain("proposer"),
            plain("round"),
            plain("signers"),
            plain("transactions"),
            plain("failed"),
            plain("events"),
            plain("tokens"),
            plain("fees_committed"),
            plain("bytes"),
        ],
        filters: &[("from", By::From("height")), ("to", By::To("height"))],
    },
    Table {
        name: "transactions",
        source: "transactions",
        key: "position",
        columns: &[
            plain("position"),
            plain("height"),
            named("index", "place"),
            plain("id"),
            plain("kind"),
            plain("sender"),
            ("ok", "ok", Kind::Flag),
            plain("failure"),
            plain("events"),
            plain("bytes"),
        ],
        filters: &[
            ("kind", By::Kinds("kind")),
            ("sender", By::Text("sender")),
            ("ok", By::Flag("ok")),
            ("from", By::FromPlace),
            ("to", By::ToPlace),
        ],
    },
    Table {
        name: "events",
        source: "events",
        key: "position",
        columns: &[
            plain("position"),
            plain("height"),
            named("index", "place"),
            plain("tx"),
            plain("kind"),
            plain("subject"),
            plain("lane"),
            plain("model"),
            plain("epoch"),
            plain("interval"),
            ("data", "data", Kind::Nested),
        ],
        filters: &[
            ("kinds", By::Kinds("kind")),
            ("subject", By::Text("subject")),
            ("lane", By::Number("lane")),
            ("model", By::Text("model")),
            ("epoch", By::Number("epoch")),
            ("interval", By::Number("interval")),
            ("tx", By::Text("tx")),
            ("from", By::FromPlace),
            ("to", By::ToPlace),
        ],
    },
    Table {
        name: "prices",
        source: "prices",
        key: "position",
        columns: &[
            plain("position"),
            plain("height"),
            plain("epoch"),
            plain("model"),
            plain("name"),
            plain("input"),
            plain("cached"),
            plain("output"),
            plain("utilisation"),
        ],
        filters: &[("model", By::Text("model")), ("from", By::FromPlace), ("to", By::ToPlace)],
    },
    Table {
        name: "lanes",
        source: "lanes",
        key: "lane",
        columns: &[
            plain("lane"),
            plain("payer"),
            plain("model"),
            plain("name"),
            plain("escrow"),
            plain("state"),
            ("hosts", "hosts", Kind::Nested),
            plain("opened"),
            plain("drawn"),
            plain("ended"),
            plain("fees_settled"),
            plain("paid"),
            plain("refund"),
        ],
        filters: &[("payer", By::Text("payer")), ("model", By::Text("model")), ("state", By::Text("state"))],
    },
    Table {
        name: "endorsements",
        source: "endorsements",
        key: "endorsement",
        columns: &[
            plain("endorsement"),
            plain("endorser"),
            plain("receipt"),
            plain("bond"),
            named("left", "remaining"),
            plain("awarded"),
            plain("arbiter"),
            plain("until"),
            plain("state"),
            plain("height"),
            plain("ended"),
            plain("tx"),
        ],
        filters: &[
            ("endorser", By::Text("endorser")),
            ("receipt", By::Text("receipt")),
            ("state", By::Text("state")),
        ],
    },
];

/// The table of that name.
pub(crate) fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Csv,
}

/// What is asked of a table.
#[derive(Debug)]
pub(crate) struct Query {
    table: &'static Table,
    pub(crate) format: Format,
    limit: u64,
    rising: bool,
    after: Option<u64>,
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Query {
    /// Reads a query: pairs of names and values as they stand in the address.
    ///
    /// # Errors
    /// [`Problem`] names the first that is unknown, twice or out of range.
    pub(crate) fn read(table: &'static Table, pairs: &[(String, String)]) -> Result<Self, Problem> {
        let mut query = Self {
            table,
            format: Format::Json,
            limit: DEFAULT_LIMIT,
            rising: false,
            after: None,
            conditions: Vec::new(),
            values: Vec::new(),
        };
        for (index, (name, value)) in pairs.iter().enumerate() {
            if pairs.iter().take(index).any(|(earlier, _)| earlier == name) {
                return Err(Problem::query(format!("{} stands twice", shown(name))));
            }
            if value.len() > MAX_TEXT_BYTES && name != "kinds" && name != "kind" {
                return Err(Problem::parameter(name, "longer than anything that could be asked for"));
            }
            query.parameter(name, value)?;
        }
        Ok(query)
    }

    fn parameter(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        match name {
            "limit" => {
                let limit = number(name, value)?;
                if !(1..=MAX_LIMIT).contains(&limit) {
                    let problem = format!("{limit} is out of range; it can be 1 to {MAX_LIMIT}");
                    return Err(Problem::parameter(name, problem));
                }
                self.limit = limit;
            }
            "after" => self.after = Some(number(name, value)?),
            "order" => self.rising = choice(name, value, &["new", "old"])? == 1,
            "format" => {
                self.format =
                    if choice(name, value, &["json", "csv"])? == 1 { Format::Csv } else { Format::Json };
            }
            _ => {
                let known = self.table.filters.iter().find(|(filter, _)| *filter == name);
                let Some((_, by)) = known else {
                    let filters: Vec<_> = self.table.filters.iter().map(|(filter, _)| *filter).collect();
                    return Err(Problem::query(format!(
                        "{} is no parameter of this table; there are limit, after, order, format, {}",
                        shown(name),
                        filters.join(", "),
                    )));
                };
                self.filter(name, *by, value)?;
            }
        }
        Ok(())
    }

    /// Adds a condition; what is given always stands beside the statement, never in it.
    fn filter(&mut self, name: &str, by: By, value: &str) -> Result<(), Problem> {
        let (column, comparison, value) = match by {
            By::Text(column) => (column, "=", Value::Text(value.to_owned())),
            By::Number(column) => (column, "=", integer(number(name, value)?)),
            By::From(column) => (column, ">=", integer(number(name, value)?)),
            By::To(column) => (column, "<=", integer(number(name, value)?)),
            By::FromPlace => ("position", ">=", Value::Integer(position(number(name, value)?, 0))),
            By::ToPlace => ("position", "<=", Value::Integer(position(number(name, value)?, usize::MAX))),
            By::Flag(column) => {
                (column, "=", Value::Integer((choice(name, value, &["false", "true"])? == 1).into()))
            }
            By::Kinds(column) => return self.kinds(name, column, value),
        };
        self.values.push(value);
        self.conditions.push(format!("{column} {comparison} ?{}", self.values.len()));
        Ok(())
    }

    fn kinds(&mut self, name: &str, column: &str, list: &str) -> Result<(), Problem> {
        let kinds: Vec<&str> = list.split(',').map(str::trim).collect();
        if kinds.len() > MAX_KINDS {
            return Err(Problem::parameter(name, format!("at most {MAX_KINDS} kinds")));
        }
        let mut any = Vec::new();
        for kind in kinds {
            let (stem, all) = kind.strip_suffix('*').map_or((kind, false), |stem| (stem, true));
            let legal = |byte: u8| byte.is_ascii_lowercase() || byte == b'_' || byte == b'.';
            if stem.is_empty() || stem.len() > MAX_TEXT_BYTES || !stem.bytes().all(legal) {
                let problem =
                    format!("{} is no kind; kinds look like sprint.proven or sprint.*", shown(kind));
                return Err(Problem::parameter(name, problem));
            }
            self.values.push(Value::Text(stem.to_owned()));
            let first = self.values.len();
            if all {
                // Below the next text of that length; kinds are plain letters.
                self.values.push(Value::Text(format!("{stem}\u{7f}")));
                any.push(format!("({column} >= ?{first} AND {column} < ?{})", first + 1));
            } else {
                any.push(format!("{column} = ?{first}"));
            }
        }
        self.conditions.push(format!("({})", any.join(" OR ")));
        Ok(())
    }

    /// Reads the page.
    ///
    /// # Errors
    /// The file's, if it cannot be read.
    pub(crate) fn page(mut self, connection: &Connection) -> Result<Page, rusqlite::Error> {
        let Table { source, key, columns, .. } = self.table;
        let (comparison, direction) = if self.rising { (">", "ASC") } else { ("<", "DESC") };
        if let Some(after) = self.after {
            self.values.push(integer(after));
            self.conditions.push(format!("{key} {comparison} ?{}", self.values.len()));
        }
        let names: Vec<_> = columns.iter().map(|(_, column, _)| *column).collect();
        let mut statement = format!("SELECT {}, {key} FROM {source}", names.join(", "));
        for (index, condition) in self.conditions.iter().enumerate() {
            let _ = write!(statement, " {} {condition}", if index == 0 { "WHERE" } else { "AND" });
        }
        // One more than asked for tells whether there is a next page.
        let _ = write!(statement, " ORDER BY {key} {direction} LIMIT {}", self.limit + 1);
        let mut statement = connection.prepare(&statement)?;
        let mut found = statement.query(params_from_iter(self.values.iter()))?;
        let (mut rows, mut last, mut more) = (Vec::new(), None, false);
        while let Some(row) = found.next()? {
            if rows.len() as u64 == self.limit {
                more = true;
                break;
            }
            let cell = |(index, (_, _, kind)): (usize, &Column)| Ok(cell(row.get_ref(index)?, *kind));
            rows.push(columns.iter().enumerate().map(cell).collect::<Result<_, rusqlite::Error>>()?);
            last = row.get::<_, Option<i64>>(columns.len())?;
        }
        let next = if more { last.map(i64::unsigned_abs) } else { None };
        Ok(Page { table: self.table, height: reach(connection)?, rows, next })
    }
}

/// A page of a table.
#[derive(Debug)]
pub(crate) struct Page {
    table: &'static Table,
    height: u64,
    rows: Vec<Vec<Json>>,
    next: Option<u64>,
}

impl Page {
    /// The page as a document.
    pub(crate) fn json(self) -> Json {
        let Self { table, height, rows, next } = self;
        let row = |cells: Vec<Json>| -> Json {
            let names = table.columns.iter().map(|(name, _, _)| (*name).to_owned());
            Json::Object(names.zip(cells).collect())
        };
        serde_json::json!({
            "height": height,
            "table": table.name,
            "rows": rows.into_iter().map(row).collect::<Vec<_>>(),
            "next": next.map(|next| next.to_string()),
        })
    }

    /// The page as lines.
    pub(crate) fn csv(&self) -> String {
        csv(self.table.columns.iter().map(|(name, _, _)| *name), &self.rows)
    }

    /// A name for the file of it.
    pub(crate) fn file_name(&self) -> String {
        format!("freeway-{}-{}.csv", self.table.name, self.height)
    }
}

fn cell(value: ValueRef<'_>, kind: Kind) -> Json {
    match (value, kind) {
        (ValueRef::Integer(number), Kind::Flag) => Json::Bool(number != 0),
        (ValueRef::Integer(number), _) => number.into(),
        (ValueRef::Real(number), _) => serde_json::Number::from_f64(number).map_or(Json::Null, Json::Number),
        (ValueRef::Text(text), Kind::Nested) => serde_json::from_slice(text).unwrap_or_default(),
        (ValueRef::Text(text), _) => String::from_utf8_lossy(text).into(),
        (ValueRef::Null | ValueRef::Blob(_), _) => Json::Null,
    }
}

fn integer(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

/// A number; no sign, no spaces.
pub(crate) fn number(name: &str, text: &str) -> Result<u64, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed: Option<u64> = if digits { text.parse().ok() } else { None };
    match parsed {
        Some(number) if number <= MAX_NUMBER => Ok(number),
        Some(_) => Err(Problem::parameter(name, "greater than any height or number here can be")),
        None => Err(Problem::parameter(name, format!("{} is not a number", shown(text)))),
    }
}

/// Which of the words it is.
fn choice(name: &str, text: &str, words: &[&str]) -> Result<usize, Problem> {
    words
        .iter()
        .position(|word| *word == text)
        .ok_or_else(|| Problem::parameter(name, format!("{} is none of {}", shown(text), words.join(", "))))
}

/// What a client sent, short enough to be sent back.
fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}
