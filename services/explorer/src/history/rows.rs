//! Rows that grow while an epoch goes on: loaded when a block touches them, written when it is done.

use core::fmt::Display;
use core::str::FromStr;
use std::collections::BTreeMap;

use freeway_primitives::{Address, Amount};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

/// Places of rows below one height or epoch.
const PLACES: u32 = 20;

/// A number as the file keeps it; what is too large stays at the largest.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The place of a row: its height or epoch, then its number. Rows in order have rising places, which fit into the
/// numbers of scripts.
pub(crate) fn position(height: u64, place: usize) -> i64 {
    let place = (place as u64).min((1 << PLACES) - 1);
    int((height.min(1 << 32) << PLACES) | place)
}

/// A long number in its decimal text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Long(pub(crate) u128);

impl Long {
    pub(crate) fn add(&mut self, more: u128) {
        self.0 = self.0.saturating_add(more);
    }
}

impl From<Amount> for Long {
    fn from(amount: Amount) -> Self {
        Self(amount.0)
    }
}

impl ToSql for Long {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(self.0.to_string().into())
    }
}

impl rusqlite::types::FromSql for Long {
    fn column_result(value: ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        let text = value.as_str()?;
        text.parse().map(Self).map_err(|error| rusqlite::types::FromSqlError::Other(Box::new(error)))
    }
}

/// A value that has a text of its own, read back.
pub(super) fn parsed<T: FromStr<Err: Display>>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error: T::Err| {
        let detail = format!("{column}: {error}");
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, detail.into())
    })
}

/// An epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct EpochRow {
    pub(super) epoch: u64,
    pub(super) start: u64,
    pub(super) ending: Option<u64>,
    pub(super) complete: bool,
    pub(super) time_ms: u64,
    pub(super) blocks: u64,
    pub(super) transactions: u64,
    pub(super) failed: u64,
    pub(super) hosts: u64,
    pub(super) weight: Long,
    pub(super) weight_at_start: Long,
    pub(super) settled_at: Option<u64>,
    pub(super) h100_equivalents: f64,
    pub(super) validators: Option<u64>,
    pub(super) power: Option<u64>,
    pub(super) raced: Option<u64>,
    pub(super) proven: Option<u64>,
    pub(super) nonces: Long,
    pub(super) checks_made: u64,
    pub(super) checks_failed: u64,
    pub(super) tokens: u64,
    pub(super) fees_committed: Long,
    pub(super) fees_settled: Long,
    pub(super) emission: Option<Long>,
    pub(super) busy: Long,
    pub(super) useful_share: Option<f64>,
}

impl EpochRow {
    pub(super) fn load(connection: &Connection, epoch: u64) -> rusqlite::Result<Option<Self>> {
        let mut statement = connection.prepare_cached("SELECT * FROM epochs WHERE epoch = ?1")?;
        let number = |row: &Row<'_>, column: &str| row.get::<_, i64>(column).map(i64::unsigned_abs);
        let maybe = |row: &Row<'_>, column: &str| {
            row.get::<_, Option<i64>>(column).map(|number| number.map(i64::unsigned_abs))
        };
        let read = |row: &Row<'_>| {
            Ok(Self {
                epoch: number(row, "epoch")?,
                start: number(row, "start")?,
                ending: maybe(row, "ending")?,
                complete: row.get("complete")?,
                time_ms: number(row, "time_ms")?,
                blocks: number(row, "blocks")?,
                transactions: number(row, "transactions")?,
                failed: number(row, "failed")?,
                hosts: number(row, "hosts")?,
                weight: row.get("weight")?,
                weight_at_start: row.get("weight_at_start")?,
                settled_at: maybe(row, "settled_at")?,
                h100_equivalents: row.get("h100_equivalents")?,
                validators: maybe(row, "validators")?,
                power: maybe(row, "power")?,
                raced: maybe(row, "raced")?,
                proven: maybe(row, "proven")?,
                nonces: row.get("nonces")?,
                checks_made: number(row, "checks_made")?,
                checks_failed: number(row, "checks_failed")?,
                tokens: number(row, "tokens")?,
                fees_committed: row.get("fees_committed")?,
                fees_settled: row.get("fees_settled")?,
                emission: row.get("emission")?,
                busy: row.get("busy")?,
                useful_share: row.get("useful_share")?,
            })
        };
        statement.query_row([int(epoch)], read).optional()
    }

    pub(super) fn save(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(
            "INSERT OR REPLACE INTO epochs (epoch, start, ending, complete, time_ms, blocks, transactions, failed, \
             hosts, weight, weight_at_start, settled_at, h100_equivalents, validators, power, raced, proven, nonces, \
             checks_made, checks_failed, tokens, fees_committed, fees_settled, emission, busy, useful_share) VALUES \
             (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, \
             ?23, ?24, ?25, ?26)",
        )?;
        let written = statement.execute(params![
            int(self.epoch),
            int(self.start),
            self.ending.map(int),
            self.complete,
            int(self.time_ms),
            int(self.blocks),
            int(self.transactions),
            int(self.failed),
            int(self.hosts),
            self.weight,
            self.weight_at_start,
            self.settled_at.map(int),
            self.h100_equivalents,
            self.validators.map(int),
            self.power.map(int),
            self.raced.map(int),
            self.proven.map(int),
            self.nonces,
            int(self.checks_made),
            int(self.checks_failed),
            int(self.tokens),
            self.fees_committed,
            self.fees_settled,
            self.emission,
            self.busy,
            self.useful_share,
        ]);
        written.map(drop)
    }
}

/// A host in an epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HostRow {
    position: i64,
    pub(super) weight: Option<Long>,
    pub(super) before: Option<Long>,
    pub(super) reputation: Option<u8>,
    pub(super) power: Option<u64>,
    pub(super) nonces: Long,
    pub(super) granted: Long,
    pub(super) verdict_reward: Long,
    pub(super) fees_committed: Long,
    pub(super) fees_settled: Long,
    pub(super) fees_paid: Long,
    pub(super) tokens: u64,
    pub(super) checks_made: u64,
    pub(super) checks_failed: u64,
}

/// The hosts of one epoch that a block touches.
pub(super) struct HostRows<'a> {
    connection: &'a Connection,
    epoch: u64,
    touched: BTreeMap<Address, HostRow>,
}

impl<'a> HostRows<'a> {
    pub(super) fn new(connection: &'a Connection, epoch: u64) -> Self {
        Self { connection, epoch, touched: BTreeMap::new() }
    }

    /// The row of a host, which is made if it is missing.
    pub(super) fn row(&mut self, host: Address) -> rusqlite::Result<&mut HostRow> {
        use std::collections::btree_map::Entry;
        match self.touched.entry(host) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let row = match load_host(self.connection, self.epoch, &host)? {
                    Some(row) => row,
                    None => new_host(self.connection, self.epoch, &host)?,
                };
                Ok(entry.insert(row))
            }
        }
    }

    pub(super) fn save(self) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "UPDATE host_epochs SET weight = ?2, before = ?3, reputation = ?4, power = ?5, nonces = ?6, granted = ?7, \
             verdict_reward = ?8, fees_committed = ?9, fees_settled = ?10, fees_paid = ?11, tokens = ?12, \
             checks_made = ?13, checks_failed = ?14 WHERE position = ?1",
        )?;
        for row in self.touched.values() {
            statement.execute(params![
                row.position,
                row.weight,
                row.before,
                row.reputation,
                row.power.map(int),
                row.nonces,
                row.granted,
                row.verdict_reward,
                row.fees_committed,
                row.fees_settled,
                row.fees_paid,
                int(row.tokens),
                int(row.checks_made),
                int(row.checks_failed),
            ])?;
        }
        Ok(())
    }
}

fn load_host(connection: &Connection, epoch: u64, host: &Address) -> rusqlite::Result<Option<HostRow>> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM host_epochs WHERE epoch = ?1 AND host = ?2")?;
    let number = |row: &Row<'_>, column: &str| row.get::<_, i64>(column).map(i64::unsigned_abs);
    let read = |row: &Row<'_>| {
        Ok(HostRow {
            position: row.get("position")?,
            weight: row.get("weight")?,
            before: row.get("before")?,
            reputation: row.get("reputation")?,
            power: row.get::<_, Option<i64>>("power")?.map(i64::unsigned_abs),
            nonces: row.get("nonces")?,
            granted: row.get("granted")?,
            verdict_reward: row.get("verdict_reward")?,
            fees_committed: row.get("fees_committed")?,
            fees_settled: row.get("fees_settled")?,
            fees_paid: row.get("fees_paid")?,
            tokens: number(row, "tokens")?,
            checks_made: number(row, "checks_made")?,
            checks_failed: number(row, "checks_failed")?,
        })
    };
    statement.query_row(params![int(epoch), host.to_string()], read).optional()
}

/// A new row, after the others of its epoch; power and reputation are those of the present.
fn new_host(connection: &Connection, epoch: u64, host: &Address) -> rusqlite::Result<HostRow> {
    let mut last = connection
        .prepare_cached("SELECT max(position) FROM host_epochs WHERE position BETWEEN ?1 AND ?2")?;
    let bounds = params![position(epoch, 0), position(epoch, usize::MAX)];
    let last: Option<i64> = last.query_row(bounds, |row| row.get(0))?;
    let place = last.map_or(position(epoch, 0), |last| last.saturating_add(1));
    let mut known = connection.prepare_cached("SELECT reputation, power FROM hosts WHERE host = ?1")?;
    let read = |row: &Row<'_>| Ok((row.get::<_, u8>(0)?, row.get::<_, Option<i64>>(1)?));
    let known = known.query_row([host.to_string()], read).optional()?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO host_epochs (position, epoch, host, nonces, granted, verdict_reward, fees_committed, \
         fees_settled, fees_paid, tokens, checks_made, checks_failed) VALUES (?1, ?2, ?3, '0', '0', '0', '0', '0', \
         '0', 0, 0, 0)",
    )?;
    insert.execute(params![place, int(epoch), host.to_string()])?;
    Ok(HostRow {
        position: place,
        reputation: known.map(|(reputation, _)| reputation),
        power: known.and_then(|(_, power)| power).map(i64::unsigned_abs),
        ..HostRow::default()
    })
}
