//! One block, written into the tables.

use std::collections::BTreeSet;

use freeway_api::weights::h100s;
use freeway_ledger::epochs::{Clock, Phase};
use freeway_ledger::lanes::{Lane, State};
use freeway_ledger::models::{self, Model};
use freeway_ledger::{
    Event, Message, Outcome, endorsements, evidence, hosts, lanes, pricing, rewards, sprint, verification,
    weights, work,
};
use freeway_primitives::{Address, Digest, Height, ValidatorSet};
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{EpochRow, HostRows, Long, int, parsed, position};
use super::{Bounds, Calendar, HistoryError};
use crate::facts::{Facts, Included, Told};

/// Blocks between two times at which the oldest rows go.
const PRUNE_EVERY: u64 = 16;
/// Prices are for so many tokens.
const PRICE_TOKENS: u128 = 1_000_000;

/// What blocks do not say.
pub(crate) trait Beside {
    /// What hosts have proven when the history begins at `height`.
    ///
    /// # Errors
    /// If the state cannot be read.
    fn hosts(&self, height: Height) -> Result<Vec<(Address, weights::Record)>, HistoryError>;

    /// The models that exist when the history begins at `height`.
    ///
    /// # Errors
    /// If the state cannot be read.
    fn models(&self, height: Height) -> Result<Vec<(Digest, Model)>, HistoryError>;

    /// The lanes that are not over when the history begins at `height`.
    ///
    /// # Errors
    /// If the state cannot be read.
    fn lanes(&self, height: Height) -> Result<Vec<(u64, Lane)>, HistoryError>;

    /// Who signs `height`, if that is known.
    ///
    /// # Errors
    /// If it cannot be read.
    fn validators(&self, height: Height) -> Result<Option<ValidatorSet>, HistoryError>;
}

/// What is there before the first block of the history.
pub(super) fn begin(
    connection: &Connection,
    height: Height,
    beside: &dyn Beside,
) -> Result<(), HistoryError> {
    for (host, record) in beside.hosts(height)? {
        set_host(connection, &host, &record)?;
    }
    for (root, model) in beside.models(height)? {
        set_model(connection, &root, &model, 0)?;
    }
    for (id, lane) in beside.lanes(height)? {
        set_lane(connection, id, &lane)?;
    }
    Ok(())
}

fn set_host(connection: &Connection, host: &Address, record: &weights::Record) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO hosts (host, weight, before, reputation, power, gone) VALUES (?1, ?2, ?3, ?4, NULL, 0) \
         ON CONFLICT (host) DO UPDATE SET weight = excluded.weight, before = excluded.before, \
         reputation = excluded.reputation, gone = 0",
    )?;
    let (now, before) = (Long(record.now.into()), Long(record.before.into()));
    statement.execute(params![host.to_string(), now, before, record.reputation]).map(drop)
}

fn set_model(connection: &Connection, root: &Digest, model: &Model, height: u64) -> rusqlite::Result<()> {
    let Model { name, work, prices, .. } = model;
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO models (root, name, work, input, cached, output, utilisation, height, retired) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL, ?7, 0)",
    )?;
    let [work, input, cached, output] =
        [*work, prices.input, prices.cached, prices.output].map(|number| number.to_string());
    statement
        .execute(params![root.to_string(), name.to_string(), work, input, cached, output, int(height)])
        .map(drop)
}

fn set_lane(connection: &Connection, id: u64, lane: &Lane) -> Result<(), HistoryError> {
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO lanes (lane, payer, model, name, escrow, state, hosts, opened, output_price, \
         fees_settled, paid) VALUES (?1, ?2, ?3, coalesce((SELECT name FROM models WHERE root = ?3), ''), ?4, ?5, \
         ?6, ?7, ?8, '0', '0')",
    )?;
    let hosts = lane.shares.iter().map(|share| share.host);
    let state = match lane.state {
        State::Waiting { .. } => "waiting",
        State::Open => "open",
        State::Closing { .. } => "closing",
    };
    statement.execute(params![
        int(id),
        lane.payer.to_string(),
        lane.model.to_string(),
        Long::from(lane.escrow),
        state,
        list(hosts),
        int(lane.opened.0),
        lane.prices.output.to_string(),
    ])?;
    Ok(())
}

fn list(hosts: impl Iterator<Item = Address>) -> String {
    serde_json::Value::from(hosts.map(|host| host.to_string()).collect::<Vec<_>>()).to_string()
}

/// Writes a block. `whole` says whether the history has its epoch from the beginning. The result is how many
/// transactions and events it had.
pub(super) fn block(
    connection: &Connection,
    calendar: &Calendar,
    facts: &Facts,
    whole: bool,
    beside: &dyn Beside,
) -> Result<(u64, u64), HistoryError> {
    let height = facts.height();
    let clock = calendar.clock(height);
    let phase = clock.phase(height, &calendar.params.epochs);
    let mut step = Step {
        connection,
        calendar,
        facts,
        clock,
        epoch: match EpochRow::load(connection, clock.epoch.0)? {
            Some(epoch) => epoch,
            None => EpochRow { blocks: 0, ..EpochRow::default() },
        },
        hosts: HostRows::new(connection, clock.epoch.0),
        settled: false,
        changed: BTreeSet::new(),
    };
    if step.epoch.blocks == 0 {
        step.begin_epoch(whole, beside)?;
    }
    step.epoch.blocks += 1;
    step.epoch.transactions += facts.transactions.len() as u64;
    step.epoch.failed += facts.failed();
    let fees = step.transactions()?;
    let events = step.events()?;
    if step.settled {
        step.settle()?;
    }
    if phase == Phase::Switch {
        step.epoch.ending = Some(height.0);
    }
    step.epoch.useful_share = step.useful_share();
    step.epoch.save(connection)?;
    step.hosts.save()?;
    write_block(connection, facts, clock, phase, fees, events)?;
    Ok((facts.transactions.len() as u64, events))
}

fn write_block(
    connection: &Connection,
    facts: &Facts,
    clock: Clock,
    phase: Phase,
    fees: Long,
    events: u64,
) -> rusqlite::Result<()> {
    let height = facts.height();
    if let Some((round, signers)) = facts.parent {
        // What the next block says of it does not change any more.
        let mut parent =
            connection.prepare_cached("UPDATE blocks SET round = ?2, signers = ?3 WHERE height = ?1")?;
        parent.execute(params![int(height.minus(1).0), round, int(signers)])?;
    }
    let mut statement = connection.prepare_cached(
        "INSERT INTO blocks (height, id, time_ms, epoch, phase, proposer, transactions, failed, events, tokens, \
         fees_committed, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?;
    let written = statement.execute(params![
        int(height.0),
        facts.id.to_string(),
        int(facts.header.time_ms),
        int(clock.epoch.0),
        phase.name(),
        facts.header.proposer.to_string(),
        int(facts.transactions.len() as u64),
        int(facts.failed()),
        int(events),
        int(facts.tokens()),
        fees,
        int(facts.bytes),
    ]);
    written.map(drop)
}

/// A block on its way into the tables.
struct Step<'a> {
    connection: &'a Connection,
    calendar: &'a Calendar,
    facts: &'a Facts,
    clock: Clock,
    epoch: EpochRow,
    hosts: HostRows<'a>,
    /// Whether a race settles in it.
    settled: bool,
    /// Hosts whose weight it says.
    changed: BTreeSet<Address>,
}

impl Step<'_> {
    fn begin_epoch(&mut self, whole: bool, beside: &dyn Beside) -> Result<(), HistoryError> {
        let height = self.facts.height();
        if let Some(set) = beside.validators(height)? {
            self.connection.execute("UPDATE hosts SET power = 0", [])?;
            let mut power = self.connection.prepare_cached("UPDATE hosts SET power = ?2 WHERE host = ?1")?;
            for member in set.members() {
                power.execute(params![member.address.to_string(), int(member.power)])?;
            }
            self.epoch.validators = Some(set.members().len() as u64);
            self.epoch.power = Some(set.total_power());
        } else {
            self.connection.execute("UPDATE hosts SET power = NULL", [])?;
        }
        self.epoch.epoch = self.clock.epoch.0;
        self.epoch.start = self.clock.start.0;
        self.epoch.complete = whole;
        self.epoch.time_ms = self.facts.header.time_ms;
        self.weigh()?;
        self.epoch.weight_at_start = self.epoch.weight;
        for host in self.present()? {
            self.hosts.row(host)?;
        }
        Ok(())
    }

    /// Hosts that have not left.
    fn present(&self) -> rusqlite::Result<Vec<Address>> {
        let mut statement =
            self.connection.prepare_cached("SELECT host FROM hosts WHERE gone = 0 ORDER BY host")?;
        let rows = statement.query_map([], |row| parsed(row, "host"))?;
        rows.collect()
    }

    /// Adds up the weights as they are.
    fn weigh(&mut self) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached("SELECT weight, gone FROM hosts")?;
        let mut rows = statement.query([])?;
        let (mut weight, mut hosts) = (Long::default(), 0);
        while let Some(row) = rows.next()? {
            weight.add(row.get::<_, Long>(0)?.0);
            hosts += u64::from(!row.get::<_, bool>(1)?);
        }
        (self.epoch.weight, self.epoch.hosts) = (weight, hosts);
        self.epoch.h100_equivalents = h100s(weight.0, &self.calendar.params).number();
        Ok(())
    }

    /// A race has settled: what hosts proved holds from here on.
    fn settle(&mut self) -> rusqlite::Result<()> {
        // Of hosts that are gone nothing is said any more.
        let mut statement = self.connection.prepare_cached("SELECT host FROM hosts WHERE gone = 1")?;
        let gone: Vec<Address> =
            statement.query_map([], |row| parsed(row, "host"))?.collect::<Result<_, _>>()?;
        for host in gone.iter().filter(|host| !self.changed.contains(*host)) {
            self.connection.execute("DELETE FROM hosts WHERE host = ?1", [host.to_string()])?;
        }
        self.weigh()?;
        self.epoch.settled_at = Some(self.facts.height().0);
        let mut statement = self
            .connection
            .prepare_cached("SELECT host, weight, before, reputation FROM hosts WHERE gone = 0")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let known = self.hosts.row(parsed(row, "host")?)?;
            (known.weight, known.before) = (Some(row.get(1)?), Some(row.get(2)?));
            known.reputation = Some(row.get(3)?);
        }
        Ok(())
    }

    /// The part of all compute so far in the epoch, at the rate at which hosts raced, that paid work stands for.
    fn useful_share(&self) -> Option<f64> {
        let params = &self.calendar.params;
        let rate = self.epoch.weight_at_start.0.checked_shl(params.sprint.weight_shift)?;
        let whole = rate.saturating_mul(u128::from(self.epoch.blocks));
        let capacity = whole.checked_div(u128::from(params.epochs.sprint_blocks))?;
        (capacity > 0).then(|| (self.epoch.busy.0 as f64 / capacity as f64).min(1.0))
    }

    /// Writes transactions; the result is all fees to which hosts committed.
    fn transactions(&mut self) -> Result<Long, HistoryError> {
        let height = self.facts.height().0;
        let mut fees = Long::default();
        let facts = self.facts;
        for (place, included) in facts.transactions.iter().enumerate() {
            let failure = match &included.receipt.outcome {
                Outcome::Done => None,
                Outcome::Failed(failure) => Some(failure.code()),
            };
            let mut statement = self.connection.prepare_cached(
                "INSERT INTO transactions (position, height, place, id, kind, sender, ok, failure, events, bytes) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?;
            statement.execute(params![
                position(height, place),
                int(height),
                int(place as u64),
                included.hash.to_string(),
                included.kind(),
                included.sender().to_string(),
                included.succeeded(),
                failure,
                int(included.receipt.events.len() as u64),
                int(included.bytes),
            ])?;
            fees.add(self.claims(included)?);
            self.registered(included)?;
        }
        Ok(fees)
    }

    /// What a commitment claims; the result is its fees.
    fn claims(&mut self, included: &Included) -> Result<u128, HistoryError> {
        let mut fees = 0u128;
        for claim in included.claimed().unwrap_or_default() {
            let sums = claim.total.sums;
            fees = fees.saturating_add(sums.fees);
            self.epoch.tokens = self.epoch.tokens.saturating_add(sums.tokens);
            self.epoch.fees_committed.add(sums.fees);
            let row = self.hosts.row(included.sender())?;
            row.tokens = row.tokens.saturating_add(sums.tokens);
            row.fees_committed.add(sums.fees);
            // As the ledger's prices follow it: as if all fees were for generated tokens.
            let mut statement = self.connection.prepare_cached(
                "SELECT lanes.output_price, models.work FROM lanes JOIN models ON models.root = lanes.model \
                 WHERE lane = ?1",
            )?;
            let price = statement
                .query_row([int(claim.lane.0)], |row| Ok((row.get::<_, Long>(0)?, row.get::<_, Long>(1)?)));
            if let Some((output, work)) = price.optional()? {
                let tokens = sums.fees.saturating_mul(PRICE_TOKENS).checked_div(output.0);
                self.epoch.busy.add(tokens.unwrap_or_default().saturating_mul(work.0));
            }
        }
        Ok(fees)
    }

    /// What a new model is: its event has only the name.
    fn registered(&self, included: &Included) -> Result<(), HistoryError> {
        let Message::Models(models::Message::Register { root, description }) =
            &included.transaction.body.message
        else {
            return Ok(());
        };
        if !included.succeeded() {
            return Ok(());
        }
        let height = self.facts.height().0;
        let model = Model {
            name: description.name.clone(),
            tier: description.tier,
            context: description.context,
            vocabulary: description.vocabulary,
            work: description.work,
            by: included.sender(),
            bond: Default::default(),
            since: self.clock.epoch,
            prices: description.prices,
            noise: description.noise,
        };
        set_model(self.connection, root, &model, height)?;
        Ok(())
    }

    /// Writes events and what follows from them; the result is how many there are.
    fn events(&mut self) -> Result<u64, HistoryError> {
        let (facts, height) = (self.facts, self.facts.height().0);
        let mut count = 0;
        for (place, (transaction, event)) in facts.all_events().enumerate() {
            count += 1;
            let hash = transaction.and_then(|index| facts.transactions.get(index));
            let hash = hash.map(|included| included.hash.to_string());
            let told = Told::new(event);
            let mut statement = self.connection.prepare_cached(
                "INSERT INTO events (position, height, place, tx, kind, subject, lane, model, epoch, interval, data) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?;
            statement.execute(params![
                position(height, place),
                int(height),
                int(place as u64),
                hash,
                told.kind,
                told.subject,
                told.lane.map(int),
                told.model,
                told.epoch.map(int),
                told.interval.map(int),
                told.data,
            ])?;
            self.event(event, position(height, place), hash.as_deref())?;
        }
        Ok(count)
    }

    fn event(&mut self, event: &Event, place: i64, hash: Option<&str>) -> Result<(), HistoryError> {
        match event {
            Event::Hosts(event) => self.host_event(event)?,
            Event::Sprint(event) => self.sprint_event(event)?,
            Event::Weights(weights::Event::Changed { host, now, before, reputation }) => {
                let (now, before, reputation) = (*now, *before, *reputation);
                self.changed.insert(*host);
                let mut statement = self.connection.prepare_cached(
                    "INSERT INTO hosts (host, weight, before, reputation, gone) VALUES (?1, ?2, ?3, ?4, 0) \
                     ON CONFLICT (host) DO UPDATE SET weight = ?2, before = ?3, reputation = ?4",
                )?;
                let (now, before) = (Long(now.into()), Long(before.into()));
                statement.execute(params![host.to_string(), now, before, reputation])?;
                let row = self.hosts.row(*host)?;
                (row.weight, row.before, row.reputation) = (Some(now), Some(before), Some(reputation));
            }
            Event::Evidence(evidence::Event::Convicted { host, .. }) => self.failed(*host)?,
            Event::Work(work::Event::Voided { host, reason, .. }) if reason.is_fault() => {
                self.failed(*host)?;
            }
            Event::Verification(verification::Event::VerdictsGiven { member, verdicts, .. }) => {
                self.checked(*member, u64::from(*verdicts))?;
            }
            Event::Verification(verification::Event::Convicted { host, .. }) => self.failed(*host)?,
            Event::Models(event) => self.model_event(event, place)?,
            Event::Pricing(pricing::Event::Changed { root, prices, utilisation }) => {
                let [input, cached, output] =
                    [prices.input, prices.cached, prices.output].map(|price| price.to_string());
                let mut statement = self.connection.prepare_cached(
                    "UPDATE models SET input = ?2, cached = ?3, output = ?4, utilisation = ?5, height = ?6 \
                     WHERE root = ?1",
                )?;
                let height = int(self.facts.height().0);
                statement.execute(params![
                    root.to_string(),
                    input,
                    cached,
                    output,
                    int(*utilisation),
                    height
                ])?;
                self.price(root, place)?;
            }
            Event::Lanes(event) => self.lane_event(event)?,
            Event::Rewards(rewards::Event::Emitted { emission, .. }) => {
                self.epoch.emission = Some((*emission).into());
            }
            Event::Rewards(rewards::Event::Granted { host, grant }) => {
                let row = self.hosts.row(*host)?;
                row.granted.add(grant.capacity.0.saturating_add(grant.served.0));
                row.verdict_reward.add(grant.verdicts.0);
            }
            Event::Endorsements(event) => self.endorsement_event(event, hash)?,
            Event::Accounts(_)
            | Event::Epochs(_)
            | Event::Beacon(_)
            | Event::Rewards(_)
            | Event::Work(_)
            | Event::Verification(_) => {}
        }
        Ok(())
    }

    /// Somebody checked.
    fn checked(&mut self, member: Address, verdicts: u64) -> rusqlite::Result<()> {
        self.epoch.checks_made = self.epoch.checks_made.saturating_add(verdicts);
        let row = self.hosts.row(member)?;
        row.checks_made = row.checks_made.saturating_add(verdicts);
        Ok(())
    }

    /// A check has found something against a host.
    fn failed(&mut self, host: Address) -> rusqlite::Result<()> {
        self.epoch.checks_failed += 1;
        self.hosts.row(host)?.checks_failed += 1;
        Ok(())
    }

    fn host_event(&mut self, event: &hosts::Event) -> rusqlite::Result<()> {
        match event {
            hosts::Event::Registered { host } => {
                set_host(self.connection, host, &weights::Record::default())?;
                self.hosts.row(*host)?;
            }
            hosts::Event::Left { host } => {
                let mut statement =
                    self.connection.prepare_cached("UPDATE hosts SET gone = 1 WHERE host = ?1")?;
                statement.execute([host.to_string()])?;
            }
            _ => {}
        }
        Ok(())
    }

    fn sprint_event(&mut self, event: &sprint::Event) -> rusqlite::Result<()> {
        match event {
            sprint::Event::Committed { host, count } => {
                self.epoch.nonces.add((*count).into());
                self.hosts.row(*host)?.nonces = Long((*count).into());
            }
            sprint::Event::VerdictsGiven { member, hosts } => self.checked(*member, u64::from(*hosts))?,
            sprint::Event::Voided { host, .. } => self.failed(*host)?,
            sprint::Event::RaceSettled { hosts, proven, .. } => {
                self.settled = true;
                self.epoch.raced = Some(u64::from(*hosts));
                self.epoch.proven = Some(u64::from(*proven));
            }
            _ => {}
        }
        Ok(())
    }

    fn model_event(&mut self, event: &models::Event, place: i64) -> rusqlite::Result<()> {
        match event {
            models::Event::Registered { root, .. } => self.price(root, place),
            models::Event::Retired { root } => {
                let mut statement =
                    self.connection.prepare_cached("UPDATE models SET retired = 1 WHERE root = ?1")?;
                statement.execute([root.to_string()]).map(drop)
            }
            models::Event::Serving { .. } => Ok(()),
        }
    }

    /// Keeps what a model costs from here on.
    fn price(&self, root: &Digest, place: i64) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO prices (position, height, epoch, model, name, input, cached, output, utilisation) \
             SELECT ?2, ?3, ?4, root, name, input, cached, output, utilisation FROM models WHERE root = ?1",
        )?;
        let (height, epoch) = (int(self.facts.height().0), int(self.clock.epoch.0));
        statement.execute(params![root.to_string(), place, height, epoch]).map(drop)
    }

    fn lane_event(&mut self, event: &lanes::Event) -> rusqlite::Result<()> {
        let (connection, height) = (self.connection, int(self.facts.height().0));
        let state = |lane: u64, state: &str, ended: Option<i64>| {
            let mut statement = connection
                .prepare_cached("UPDATE lanes SET state = ?2, ended = coalesce(?3, ended) WHERE lane = ?1")?;
            statement.execute(params![int(lane), state, ended]).map(drop)
        };
        match event {
            lanes::Event::Opened { lane, payer, model, escrow } => {
                let mut statement = connection.prepare_cached(
                    "INSERT OR REPLACE INTO lanes (lane, payer, model, name, escrow, state, hosts, opened, \
                     output_price, fees_settled, paid) SELECT ?1, ?2, ?3, coalesce(max(name), ''), ?4, 'waiting', \
                     '[]', ?5, coalesce(max(output), '0'), '0', '0' FROM models WHERE root = ?3",
                )?;
                let (payer, model) = (payer.to_string(), model.to_string());
                statement.execute(params![int(lane.0), payer, model, Long::from(*escrow), height])?;
            }
            lanes::Event::Drawn { lane, hosts } => {
                let mut statement = connection.prepare_cached(
                    "UPDATE lanes SET state = 'open', hosts = ?2, drawn = ?3 WHERE lane = ?1",
                )?;
                statement.execute(params![int(lane.0), list(hosts.iter().copied()), height])?;
            }
            lanes::Event::NoHosts { lane } | lanes::Event::NoRandomness { lane } => {
                state(lane.0, "void", Some(height))?;
            }
            lanes::Event::ToppedUp { lane, amount } => self.add_to_lane(lane.0, "escrow", amount.0)?,
            lanes::Event::Closing { lane, .. } => state(lane.0, "closing", None)?,
            lanes::Event::Settled { lane, host, fees, paid } => {
                self.add_to_lane(lane.0, "fees_settled", fees.0)?;
                self.add_to_lane(lane.0, "paid", paid.0)?;
                self.epoch.fees_settled.add(fees.0);
                let row = self.hosts.row(*host)?;
                row.fees_settled.add(fees.0);
                row.fees_paid.add(paid.0);
            }
            lanes::Event::Ended { lane, refund, .. } => {
                let mut statement = connection.prepare_cached(
                    "UPDATE lanes SET state = CASE state WHEN 'void' THEN 'void' ELSE 'ended' END, ended = ?2, \
                     refund = ?3 WHERE lane = ?1",
                )?;
                statement.execute(params![int(lane.0), height, Long::from(*refund)])?;
            }
            lanes::Event::Forfeited { .. } => {}
        }
        Ok(())
    }

    fn add_to_lane(&self, lane: u64, column: &'static str, more: u128) -> rusqlite::Result<()> {
        let mut read =
            self.connection.prepare_cached(&format!("SELECT {column} FROM lanes WHERE lane = ?1"))?;
        let Some(mut sum) = read.query_row([int(lane)], |row| row.get::<_, Long>(0)).optional()? else {
            return Ok(());
        };
        sum.add(more);
        let mut write =
            self.connection.prepare_cached(&format!("UPDATE lanes SET {column} = ?2 WHERE lane = ?1"))?;
        write.execute(params![int(lane), sum]).map(drop)
    }

    fn endorsement_event(&mut self, event: &endorsements::Event, hash: Option<&str>) -> rusqlite::Result<()> {
        let height = int(self.facts.height().0);
        match event {
            endorsements::Event::Endorsed { endorsement, endorser, receipt, bond, arbiter, expiry } => {
                let mut statement = self.connection.prepare_cached(
                    "INSERT OR REPLACE INTO endorsements (endorsement, endorser, receipt, bond, remaining, awarded, \
                     arbiter, until, state, height, tx) VALUES (?1, ?2, ?3, ?4, ?4, '0', ?5, ?6, 'standing', ?7, ?8)",
                )?;
                let (endorser, receipt) = (endorser.to_string(), receipt.to_string());
                let (arbiter, until) = (arbiter.to_string(), int(expiry.0));
                let (id, bond) = (int(endorsement.0), Long::from(*bond));
                statement.execute(params![id, endorser, receipt, bond, arbiter, until, height, hash])?;
            }
            endorsements::Event::Awarded { endorsement, amount, left, .. } => {
                let mut read = self
                    .connection
                    .prepare_cached("SELECT awarded FROM endorsements WHERE endorsement = ?1")?;
                let id = int(endorsement.0);
                let awarded = read.query_row([id], |row| row.get::<_, Long>(0)).optional()?;
                let mut awarded = awarded.unwrap_or_default();
                awarded.add(amount.0);
                let mut write = self.connection.prepare_cached(
                    "UPDATE endorsements SET awarded = ?2, remaining = ?3 WHERE endorsement = ?1",
                )?;
                write.execute(params![id, awarded, Long::from(*left)])?;
            }
            endorsements::Event::Withdrawn { endorsement, .. } => {
                let mut statement = self.connection.prepare_cached(
                    "UPDATE endorsements SET state = 'withdrawn', ended = ?2 WHERE endorsement = ?1",
                )?;
                statement.execute(params![int(endorsement.0), height])?;
            }
        }
        Ok(())
    }
}

/// Removes the oldest rows. What goes depends on the blocks alone. The result is how many transactions and events
/// are left.
pub(super) fn prune(
    connection: &Connection,
    calendar: &Calendar,
    bounds: Bounds,
    height: Height,
    (transactions, events): (u64, u64),
) -> rusqlite::Result<(u64, u64)> {
    let clock = calendar.clock(height);
    if let (true, Some(gone)) = (clock.start == height, clock.epoch.0.checked_sub(bounds.epochs)) {
        let start = int(gone.saturating_add(1).saturating_mul(calendar.params.epochs.epoch_blocks));
        for (table, column, last) in [
            ("epochs", "epoch", int(gone)),
            ("host_epochs", "epoch", int(gone)),
            ("prices", "epoch", int(gone)),
            ("lanes", "ended", start),
            ("endorsements", "ended", start),
        ] {
            let delete = format!("DELETE FROM {table} WHERE {column} <= ?1");
            connection.prepare_cached(&delete)?.execute([last])?;
        }
    }
    if !height.0.is_multiple_of(PRUNE_EVERY) {
        return Ok((transactions, events));
    }
    let last = int(height.0.saturating_sub(bounds.rows));
    connection.prepare_cached("DELETE FROM blocks WHERE height <= ?1")?.execute([last])?;
    for (table, count) in [("transactions", transactions), ("events", events)] {
        let excess = count.saturating_sub(bounds.rows);
        if excess > 0 {
            let delete = format!(
                "DELETE FROM {table} WHERE position IN (SELECT position FROM {table} ORDER BY position LIMIT ?1)"
            );
            connection.prepare_cached(&delete)?.execute([int(excess)])?;
        }
    }
    Ok((transactions.min(bounds.rows), events.min(bounds.rows)))
}
