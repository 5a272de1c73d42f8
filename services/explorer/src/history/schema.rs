//! The tables.

use freeway_primitives::ChainId;
use rusqlite::{Connection, OptionalExtension, params};

use super::Bounds;

/// The file's name in the node's folder.
pub(crate) const FILE: &str = "explorer.sqlite";
/// Counted up whenever tables or their meaning change: files of other versions are built anew.
const VERSION: u32 = 1;

/// Amounts and weights are decimal text, as they may be longer than the file's integers. Of `hosts` and `models` only
/// the present is known, for what later blocks do not say again.
const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE hosts (
  host TEXT PRIMARY KEY, weight TEXT NOT NULL, before TEXT NOT NULL, reputation INTEGER NOT NULL,
  power INTEGER, gone INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE models (
  root TEXT PRIMARY KEY, name TEXT NOT NULL, work TEXT NOT NULL, input TEXT NOT NULL, cached TEXT NOT NULL,
  output TEXT NOT NULL, utilisation INTEGER, height INTEGER NOT NULL, retired INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE epochs (
  epoch INTEGER PRIMARY KEY, start INTEGER NOT NULL, ending INTEGER, complete INTEGER NOT NULL,
  time_ms INTEGER NOT NULL, blocks INTEGER NOT NULL, transactions INTEGER NOT NULL, failed INTEGER NOT NULL,
  hosts INTEGER NOT NULL, weight TEXT NOT NULL, weight_at_start TEXT NOT NULL, settled_at INTEGER,
  h100_equivalents REAL NOT NULL, validators INTEGER, power INTEGER, raced INTEGER, proven INTEGER,
  nonces TEXT NOT NULL, checks_made INTEGER NOT NULL, checks_failed INTEGER NOT NULL, tokens INTEGER NOT NULL,
  fees_committed TEXT NOT NULL, fees_settled TEXT NOT NULL, emission TEXT, busy TEXT NOT NULL,
  useful_share REAL);
CREATE TABLE host_epochs (
  position INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, host TEXT NOT NULL, weight TEXT, before TEXT,
  reputation INTEGER, power INTEGER, nonces TEXT NOT NULL, granted TEXT NOT NULL, verdict_reward TEXT NOT NULL,
  fees_committed TEXT NOT NULL, fees_settled TEXT NOT NULL, fees_paid TEXT NOT NULL, tokens INTEGER NOT NULL,
  checks_made INTEGER NOT NULL, checks_failed INTEGER NOT NULL, UNIQUE (epoch, host));
CREATE INDEX host_epochs_by_host ON host_epochs (host, position);
CREATE TABLE blocks (
  height INTEGER PRIMARY KEY, id TEXT NOT NULL, time_ms INTEGER NOT NULL, epoch INTEGER NOT NULL, phase TEXT NOT NULL,
  proposer TEXT NOT NULL, round INTEGER, signers INTEGER, transactions INTEGER NOT NULL, failed INTEGER NOT NULL,
  events INTEGER NOT NULL, tokens INTEGER NOT NULL, fees_committed TEXT NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE transactions (
  position INTEGER PRIMARY KEY, height INTEGER NOT NULL, place INTEGER NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL,
  sender TEXT NOT NULL, ok INTEGER NOT NULL, failure TEXT, events INTEGER NOT NULL, bytes INTEGER NOT NULL);
CREATE INDEX transactions_by_sender ON transactions (sender, position);
CREATE INDEX transactions_by_kind ON transactions (kind, position);
CREATE INDEX transactions_failed ON transactions (position) WHERE ok = 0;
CREATE TABLE events (
  position INTEGER PRIMARY KEY, height INTEGER NOT NULL, place INTEGER NOT NULL, tx TEXT, kind TEXT NOT NULL,
  subject TEXT, lane INTEGER, model TEXT, epoch INTEGER, interval INTEGER, data TEXT NOT NULL);
CREATE INDEX events_by_kind ON events (kind, position);
CREATE INDEX events_by_subject ON events (subject, position) WHERE subject IS NOT NULL;
CREATE INDEX events_by_lane ON events (lane, position) WHERE lane IS NOT NULL;
CREATE INDEX events_by_model ON events (model, position) WHERE model IS NOT NULL;
CREATE INDEX events_by_interval ON events (interval, position) WHERE interval IS NOT NULL;
CREATE INDEX events_by_tx ON events (tx, position) WHERE tx IS NOT NULL;
CREATE TABLE prices (
  position INTEGER PRIMARY KEY, height INTEGER NOT NULL, epoch INTEGER NOT NULL, model TEXT NOT NULL,
  name TEXT NOT NULL, input TEXT NOT NULL, cached TEXT NOT NULL, output TEXT NOT NULL, utilisation INTEGER);
CREATE INDEX prices_by_model ON prices (model, position);
CREATE TABLE lanes (
  lane INTEGER PRIMARY KEY, payer TEXT NOT NULL, model TEXT NOT NULL, name TEXT NOT NULL, escrow TEXT NOT NULL,
  state TEXT NOT NULL, hosts TEXT NOT NULL, opened INTEGER NOT NULL, drawn INTEGER, ended INTEGER,
  output_price TEXT NOT NULL, fees_settled TEXT NOT NULL, paid TEXT NOT NULL, refund TEXT);
CREATE INDEX lanes_by_payer ON lanes (payer, lane);
CREATE INDEX lanes_by_model ON lanes (model, lane);
CREATE TABLE endorsements (
  endorsement INTEGER PRIMARY KEY, endorser TEXT NOT NULL, receipt TEXT NOT NULL, bond TEXT NOT NULL,
  remaining TEXT NOT NULL, awarded TEXT NOT NULL, arbiter TEXT NOT NULL, until INTEGER NOT NULL, state TEXT NOT NULL,
  height INTEGER NOT NULL, ended INTEGER, tx TEXT);
CREATE INDEX endorsements_by_endorser ON endorsements (endorser, endorsement);
CREATE INDEX endorsements_by_receipt ON endorsements (receipt, endorsement);
";

/// What a file must say of itself to be used.
pub(super) fn fingerprint(chain: &ChainId, bounds: Bounds) -> String {
    format!("{VERSION} {chain} {} {}", bounds.epochs, bounds.rows)
}

/// Makes the tables of an empty file.
pub(super) fn create(connection: &Connection, print: &str) -> Result<(), rusqlite::Error> {
    connection.execute_batch(&format!("BEGIN; {TABLES} COMMIT;"))?;
    set_meta(connection, "fingerprint", print)
}

/// Empties all tables.
pub(super) fn clear(connection: &Connection) -> Result<(), rusqlite::Error> {
    let tables =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name != 'meta'";
    let names: Vec<String> =
        connection.prepare(tables)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut empty = String::from("BEGIN; DELETE FROM meta WHERE key != 'fingerprint';");
    for name in names {
        empty.push_str(&format!(" DELETE FROM {name};"));
    }
    empty.push_str(" COMMIT;");
    connection.execute_batch(&empty)
}

/// What a file says of itself; nothing if it is no history.
pub(super) fn found(connection: &Connection) -> Result<Option<String>, rusqlite::Error> {
    let tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'meta'";
    if connection.query_row(tables, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(None);
    }
    meta(connection, "fingerprint")
}

pub(super) fn meta(connection: &Connection, key: &str) -> Result<Option<String>, rusqlite::Error> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    statement.query_row([key], |row| row.get(0)).optional()
}

pub(super) fn set_meta(connection: &Connection, key: &str, value: &str) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?;
    statement.execute(params![key, value]).map(drop)
}
