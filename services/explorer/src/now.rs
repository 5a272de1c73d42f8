//! The present in figures: computed once per block, each with what leads to the transactions that it comes from.

use freeway_ledger::Params;
use freeway_node::config::ReferencePrice;
use freeway_primitives::Height;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use crate::history::{Calendar, History, Long};

/// Intervals of work over which tokens are counted.
const TOKEN_INTERVALS: u64 = 4;
/// Blocks over which the rate of blocks is taken.
const RATE_BLOCKS: u64 = 100;
/// The most blocks that a rate looks back.
const MAX_LOOK_BACK: u64 = 10_000;
/// The most models with a price.
const MAX_PRICES: u32 = 64;
/// Events that say what was checked and what that found.
const CHECKS: [&str; 7] = [
    "sprint.verdicts_given",
    "verification.verdicts_given",
    "sprint.voided",
    "verification.convicted",
    "work.voided",
    "evidence.convicted",
    "sprint.convicted",
];

/// Where the rows are that a figure comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Trace {
    /// Kinds of events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kinds: Vec<&'static str>,
    /// A kind of transactions.
    #[serde(skip_serializing_if = "Option::is_none")]
    transactions: Option<&'static str>,
    /// A model's root.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    from: u64,
    to: u64,
}

impl Trace {
    fn events(kinds: &[&'static str], from: u64, to: u64) -> Self {
        Self { kinds: kinds.to_vec(), from, to, ..Self::default() }
    }

    fn transactions(kind: &'static str, from: u64, to: u64) -> Self {
        Self { transactions: Some(kind), from, to, ..Self::default() }
    }
}

/// What hosts have proven.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Capacity {
    h100_equivalents: f64,
    weight: String,
    hosts: u64,
    /// The epoch of the race.
    epoch: u64,
    /// Whether any race has settled; else genesis says what hosts have.
    proven: bool,
    trace: Trace,
}

/// Tokens to which hosts committed of late.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Tokens {
    per_second: f64,
    tokens: u64,
    fees: String,
    seconds: f64,
    /// In all epochs of the history.
    total: u64,
    trace: Trace,
}

/// What a million tokens of a model cost, in base units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Price {
    model: String,
    name: String,
    input: String,
    cached: String,
    output: String,
    /// How busy its hosts were, in thousandths, when the price changed last.
    utilisation: Option<u64>,
    height: u64,
    trace: Trace,
}

/// The part of all proven compute that paid work took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Useful {
    share: f64,
    epoch: u64,
    trace: Trace,
}

/// Verdicts, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Checks {
    epoch: u64,
    made: u64,
    failed: u64,
    total_made: u64,
    total_failed: u64,
    trace: Trace,
}

/// Blocks of late.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Blocks {
    per_second: f64,
    transactions: u64,
    failed: u64,
    seconds: f64,
    from: u64,
    to: u64,
}

/// New money and fees of the last whole epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Money {
    emission: String,
    fees_settled: String,
    epoch: u64,
    trace: Trace,
}

/// What changes with what happens, and not with every block.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Figures {
    pub(crate) capacity: Option<Capacity>,
    pub(crate) tokens: Option<Tokens>,
    pub(crate) prices: Vec<Price>,
    pub(crate) reference_prices: Vec<ReferencePrice>,
    pub(crate) useful: Option<Useful>,
    pub(crate) checks: Option<Checks>,
    pub(crate) blocks: Option<Blocks>,
    pub(crate) money: Option<Money>,
}

impl Figures {
    /// Whether a reader would see another figure, apart from those that move with every block.
    pub(crate) fn differ(&self, earlier: &Self) -> bool {
        let tokens = |figures: &Self| figures.tokens.as_ref().map(|tokens| (tokens.tokens, tokens.total));
        let checks = |figures: &Self| {
            figures.checks.as_ref().map(|checks| (checks.epoch, checks.total_made, checks.total_failed))
        };
        let share = |figures: &Self| figures.useful.as_ref().map(|useful| useful.epoch);
        self.capacity != earlier.capacity
            || tokens(self) != tokens(earlier)
            || checks(self) != checks(earlier)
            || share(self) != share(earlier)
            || self.prices != earlier.prices
            || self.money != earlier.money
    }

    /// The figures after the latest block of a history.
    ///
    /// # Errors
    /// The file's, if it cannot be read.
    pub(crate) fn read(
        history: &History,
        calendar: &Calendar,
        references: &[ReferencePrice],
    ) -> Result<Self, rusqlite::Error> {
        let mut figures = Self { reference_prices: references.to_vec(), ..Self::default() };
        let Some(mark) = history.mark() else { return Ok(figures) };
        let (connection, height) = (history.connection(), mark.height);
        let clock = calendar.clock(height);
        figures.capacity = capacity(connection, clock.epoch.0)?;
        figures.tokens = tokens(connection, &calendar.params, height)?;
        figures.prices = prices(connection)?;
        figures.useful = useful(connection)?;
        figures.checks = checks(connection, clock.epoch.0, clock.start.0, height.0)?;
        figures.blocks = blocks(connection, height)?;
        figures.money = money(connection)?;
        Ok(figures)
    }
}

fn unsigned(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    row.get::<_, Option<i64>>(index).map(|number| number.unwrap_or_default().unsigned_abs())
}

fn capacity(connection: &Connection, epoch: u64) -> rusqlite::Result<Option<Capacity>> {
    let mut statement =
        connection.prepare_cached("SELECT h100_equivalents, weight, hosts FROM epochs WHERE epoch = ?1")?;
    let now = statement
        .query_row([epoch as i64], |row| Ok((row.get(0)?, row.get::<_, Long>(1)?, unsigned(row, 2)?)))
        .optional()?;
    let Some((h100_equivalents, weight, hosts)) = now else { return Ok(None) };
    let mut statement = connection.prepare_cached(
        "SELECT epoch, settled_at FROM epochs WHERE settled_at IS NOT NULL ORDER BY epoch DESC LIMIT 1",
    )?;
    let settled = statement.query_row([], |row| Ok((unsigned(row, 0)?, unsigned(row, 1)?))).optional()?;
    let (race, height) = settled.unwrap_or_default();
    Ok(Some(Capacity {
        h100_equivalents,
        weight: weight.0.to_string(),
        hosts,
        epoch: race,
        proven: settled.is_some(),
        trace: Trace::events(&["sprint.proven", "weights.changed", "sprint.race_settled"], height, height),
    }))
}

/// The time of the first kept block at or after a height, and its height.
fn time_from(connection: &Connection, height: u64) -> rusqlite::Result<Option<(u64, u64)>> {
    let mut statement = connection
        .prepare_cached("SELECT height, time_ms FROM blocks WHERE height >= ?1 ORDER BY height LIMIT 1")?;
    statement.query_row([height as i64], |row| Ok((unsigned(row, 0)?, unsigned(row, 1)?))).optional()
}

/// Seconds between two kept blocks.
fn seconds(connection: &Connection, from: u64, to: u64) -> rusqlite::Result<f64> {
    let (first, last) = (time_from(connection, from)?, time_from(connection, to)?);
    let milliseconds = match (first, last) {
        (Some((_, first)), Some((_, last))) => last.saturating_sub(first),
        _ => 0,
    };
    Ok(milliseconds as f64 / 1_000.0)
}

fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

fn tokens(connection: &Connection, params: &Params, height: Height) -> rusqlite::Result<Option<Tokens>> {
    let look_back = params.work.interval_blocks.saturating_mul(TOKEN_INTERVALS).clamp(1, MAX_LOOK_BACK);
    let from = height.0.saturating_sub(look_back).max(1);
    let mut statement = connection
        .prepare_cached("SELECT tokens, fees_committed FROM blocks WHERE height > ?1 AND tokens > 0")?;
    let mut rows = statement.query([from as i64])?;
    let (mut tokens, mut fees) = (0u64, Long::default());
    while let Some(row) = rows.next()? {
        tokens = tokens.saturating_add(unsigned(row, 0)?);
        fees.add(row.get::<_, Long>(1)?.0);
    }
    let mut statement = connection.prepare_cached("SELECT sum(tokens) FROM epochs")?;
    let total = statement.query_row([], |row| unsigned(row, 0))?;
    let seconds = seconds(connection, from, height.0)?;
    Ok(Some(Tokens {
        per_second: per_second(tokens, seconds),
        tokens,
        fees: fees.0.to_string(),
        seconds,
        total,
        trace: Trace::transactions("work.commit", from + 1, height.0),
    }))
}

fn prices(connection: &Connection) -> rusqlite::Result<Vec<Price>> {
    let mut statement = connection.prepare_cached(
        "SELECT root, name, input, cached, output, utilisation, height FROM models WHERE retired = 0 \
         ORDER BY name LIMIT ?1",
    )?;
    let read = |row: &Row<'_>| {
        let (root, height): (String, u64) = (row.get(0)?, unsigned(row, 6)?);
        let kinds = vec!["pricing.changed", "models.registered"];
        let trace = Trace { kinds, model: Some(root.clone()), from: 1, to: height, ..Trace::default() };
        Ok(Price {
            model: root,
            name: row.get(1)?,
            input: row.get(2)?,
            cached: row.get(3)?,
            output: row.get(4)?,
            utilisation: row.get::<_, Option<i64>>(5)?.map(i64::unsigned_abs),
            height,
            trace,
        })
    };
    statement.query_map([MAX_PRICES], read)?.collect()
}

/// Of the latest whole epoch; before there is one, of the epoch under way.
fn useful(connection: &Connection) -> rusqlite::Result<Option<Useful>> {
    let mut statement = connection.prepare_cached(
        "SELECT useful_share, epoch, start, coalesce(ending, start + blocks - 1) FROM epochs \
         WHERE useful_share IS NOT NULL ORDER BY ending IS NULL, epoch DESC LIMIT 1",
    )?;
    let read = |row: &Row<'_>| {
        let (epoch, from, to) = (unsigned(row, 1)?, unsigned(row, 2)?, unsigned(row, 3)?);
        Ok(Useful { share: row.get(0)?, epoch, trace: Trace::transactions("work.commit", from, to) })
    };
    statement.query_row([], read).optional()
}

fn checks(connection: &Connection, epoch: u64, start: u64, height: u64) -> rusqlite::Result<Option<Checks>> {
    let mut statement =
        connection.prepare_cached("SELECT sum(checks_made), sum(checks_failed) FROM epochs")?;
    let (total_made, total_failed) =
        statement.query_row([], |row| Ok((unsigned(row, 0)?, unsigned(row, 1)?)))?;
    let mut statement =
        connection.prepare_cached("SELECT checks_made, checks_failed FROM epochs WHERE epoch = ?1")?;
    let read = |row: &Row<'_>| {
        let (made, failed) = (unsigned(row, 0)?, unsigned(row, 1)?);
        let trace = Trace::events(&CHECKS, start, height);
        Ok(Checks { epoch, made, failed, total_made, total_failed, trace })
    };
    statement.query_row([epoch as i64], read).optional()
}

fn blocks(connection: &Connection, height: Height) -> rusqlite::Result<Option<Blocks>> {
    let from = height.0.saturating_sub(RATE_BLOCKS).max(1);
    let Some((from, _)) = time_from(connection, from)? else { return Ok(None) };
    let mut statement = connection.prepare_cached(
        "SELECT sum(transactions), sum(failed) FROM blocks WHERE height > ?1 AND height <= ?2",
    )?;
    let (transactions, failed) = statement
        .query_row(params![from as i64, height.0 as i64], |row| Ok((unsigned(row, 0)?, unsigned(row, 1)?)))?;
    let seconds = seconds(connection, from, height.0)?;
    let per_second = per_second(height.0.saturating_sub(from), seconds);
    Ok(Some(Blocks { per_second, transactions, failed, seconds, from, to: height.0 }))
}

fn money(connection: &Connection) -> rusqlite::Result<Option<Money>> {
    let mut statement = connection.prepare_cached(
        "SELECT emission, fees_settled, epoch, start, ending FROM epochs WHERE ending IS NOT NULL \
         AND emission IS NOT NULL ORDER BY epoch DESC LIMIT 1",
    )?;
    let read = |row: &Row<'_>| {
        let kinds = ["rewards.emitted", "rewards.granted", "lanes.settled"];
        Ok(Money {
            emission: row.get(0)?,
            fees_settled: row.get(1)?,
            epoch: unsigned(row, 2)?,
            trace: Trace::events(&kinds, unsigned(row, 3)?, unsigned(row, 4)?),
        })
    };
    statement.query_row([], read).optional()
}
