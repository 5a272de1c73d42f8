//! Who lends machines: all of them, and one closely.

use freeway_api::{EarningsView, HostSummary};
use freeway_primitives::Amount;
use ratatui_core::layout::Rect;

use super::table::{Column, Table};
use super::{Canvas, below, first};
use crate::commands::top::look::Ink;
use crate::commands::top::model::{Columns, Model, View, new_money};
use crate::commands::top::text::{coins, count, ends, grouped, percent};

/// Decimals of what hosts earn, in lists.
const DECIMALS: usize = 3;

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let data = model.data();
    let hosts = model.hosts();
    let place = model.place_in(View::Hosts);
    let all = data.status.as_ref().map_or(0, |status| status.hosts.len());
    let note = match &data.status {
        Some(status) if !status.hosts_complete => {
            format!("the {} with the most power; freeway host list has all", grouped(all as u64))
        }
        _ if hosts.len() != all => {
            format!("{} of {}", grouped(hosts.len() as u64), count(all as u64, "host", "hosts"))
        }
        _ => count(all as u64, "host", "hosts"),
    };
    let inner = canvas.head(area, "Hosts", &note);
    if hosts.is_empty() {
        let why = match (&data.status, place.filter.is_empty()) {
            (None, _) => "waiting for the node's first answer",
            (Some(_), true) => "no hosts: freeway host register lends a machine",
            (Some(_), false) => "no host with that text",
        };
        canvas.text(inner, 0, &[(why, Ink::Soft)]);
        return;
    }
    let columns = [
        Column::left("HOST", 28, 0),
        Column::left("REGION", 16, 4),
        Column::right("POWER", 9),
        Column::right("SHARE", 5),
        Column::right("WEIGHT", 8),
        Column::right("H100S", 2),
        Column::right("REP", 6),
        Column::right("EARNED", 7),
        Column::right("FEES", 3),
        Column::left("STATUS", 16, 10),
        Column::left("ADDRESS", 15, 1),
    ];
    let total: u64 = data
        .status
        .iter()
        .flat_map(|status| &status.hosts)
        .fold(0, |sum, host| sum.saturating_add(host.power));
    let row = |host: &&HostSummary| {
        let earned = data.earned.get(&host.address);
        let money = |amount: Option<Amount>| match amount {
            Some(Amount(0)) => ("0".to_owned(), Ink::Soft),
            Some(amount) => (coins(amount, DECIMALS), Ink::Plain),
            None => ("-".to_owned(), Ink::Soft),
        };
        let number = |number: u64| (grouped(number), if number == 0 { Ink::Soft } else { Ink::Plain });
        let address = ends(&host.address.to_string(), 9, 4);
        let name = canvas.look.clean(host.operator.trim());
        vec![
            (if name.is_empty() { address.clone() } else { name }, Ink::Head),
            (canvas.look.clean(&host.region), Ink::Plain),
            number(host.power),
            (percent(host.power as f64 / total.max(1) as f64), Ink::Plain),
            number(host.weight),
            (host.h100_equivalents.to_string(), Ink::Plain),
            number(host.reputation.into()),
            money(earned.map(new_money)),
            money(earned.map(|earned| earned.fees.settled)),
            standing(canvas, host),
            (address, Ink::Soft),
        ]
    };
    let sorted = Columns::of(View::Hosts).names().get(place.sort).map(|head| (*head, place.reverse));
    let rows = hosts.iter().map(row).collect();
    Table { columns: &columns, rows, chosen: Some(place.index), sorted }.draw(canvas, inner);
}

/// How a host stands, in a word.
fn standing(canvas: &Canvas<'_>, host: &HostSummary) -> (String, Ink) {
    let status = canvas.look.clean(&host.status);
    match (host.status.as_str(), host.silent) {
        ("active", false) => (status, Ink::Good),
        ("active", true) => (format!("{status}, silent"), Ink::Warn),
        ("removed", _) => (status, Ink::Bad),
        _ => (status, Ink::Warn),
    }
}

/// All about one host.
pub(super) fn detail(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let data = model.data();
    let Some(address) = model.open else { return };
    let summary = data.status.iter().flat_map(|status| &status.hosts).find(|host| host.address == address);
    let name = canvas.look.clean(&data.name_of(&address));
    let inner = canvas.head(area, &name, &address.to_string());
    let Some(host) = summary else {
        canvas.text(inner, 0, &[("this host is not among those that the node lists", Ink::Soft)]);
        return;
    };
    let detail = data.detail.as_ref().filter(|detail| detail.host.summary.address == address);
    let (standing, ink) = standing(canvas, host);
    let region = format!(", {}", canvas.look.clean(&host.region));
    let since = detail
        .map(|detail| format!(", since epoch {}", grouped(detail.host.since_epoch)))
        .unwrap_or_default();
    canvas.field(inner, 0, "status", &[(&standing, ink), (&region, Ink::Plain), (&since, Ink::Soft)]);
    let power = grouped(host.power);
    let weight = format!("   weight {} ({} H100s)", grouped(host.weight), host.h100_equivalents);
    let reputation = format!("   reputation {} of 30", grouped(host.reputation));
    canvas.field(inner, 1, "power", &[(&power, Ink::Head), (&weight, Ink::Plain), (&reputation, Ink::Plain)]);
    let mut row = 2;
    if let Some(detail) = detail {
        let hardware = canvas.look.clean(&detail.host.hardware);
        let endpoints: Vec<_> = detail.host.endpoints.iter().map(|one| canvas.look.clean(one)).collect();
        canvas.field(
            inner,
            row,
            "machine",
            &[(if hardware.is_empty() { "-" } else { &hardware }, Ink::Plain)],
        );
        canvas.field(inner, row + 1, "endpoints", &[(&endpoints.join(" "), Ink::Plain)]);
        let collateral = format!("{} FWY", coins(detail.host.collateral, DECIMALS));
        let unbonding =
            detail.host.unbonding.iter().fold(0u128, |sum, part| sum.saturating_add(part.amount.0));
        let leaving = match unbonding {
            0 => String::new(),
            amount => format!(", {} FWY on its way back", coins(Amount(amount), DECIMALS)),
        };
        canvas.field(inner, row + 2, "collateral", &[(&collateral, Ink::Plain), (&leaving, Ink::Warn)]);
        row += 3;
    }
    if let Some(earned) = data.earned.get(&address) {
        row += earnings(canvas, below(inner, row), earned);
    }
    let Some(detail) = detail else {
        canvas.text(inner, row, &[("asking for more", Ink::Soft)]);
        return;
    };
    row += history(canvas, below(inner, row), &detail.history);
    lanes(canvas, below(inner, row), model, &detail.lanes, &address.to_string());
}

/// What it earns; how many rows that takes.
fn earnings(canvas: &mut Canvas<'_>, area: Rect, earned: &EarningsView) -> u16 {
    let money = format!("{} FWY", coins(new_money(earned), DECIMALS));
    let parts = format!(
        "   vesting {}, in collateral {}, for verdicts {}",
        coins(earned.vesting, DECIMALS),
        coins(earned.bonded, DECIMALS),
        coins(earned.verdicts, DECIMALS)
    );
    canvas.field(area, 0, "earned", &[(&money, Ink::Head), (&parts, Ink::Soft)]);
    let fees = format!("{} FWY settled", coins(earned.fees.settled, 6));
    let rest = format!(
        "   {} to settle, {} being checked",
        coins(earned.fees.to_settle, 6),
        coins(earned.fees.open, 6)
    );
    canvas.field(area, 1, "fees", &[(&fees, Ink::Plain), (&rest, Ink::Soft)]);
    let duties = format!("{} of {} in this epoch", earned.duties.done, earned.duties.owed);
    let convicted = earned
        .fees
        .convicted
        .map(|height| format!("   convicted at height {}", grouped(height)))
        .unwrap_or_default();
    let lost = match earned.forfeited {
        Amount(0) => String::new(),
        lost => format!("   lost {} FWY", coins(lost, DECIMALS)),
    };
    canvas.field(area, 2, "checks", &[(&duties, Ink::Plain), (&convicted, Ink::Bad), (&lost, Ink::Bad)]);
    3
}

/// Its course over the epochs; how many rows that takes.
fn history(canvas: &mut Canvas<'_>, area: Rect, rows: &[freeway_api::explorer::HostEpochRow]) -> u16 {
    if rows.is_empty() || area.height < 4 {
        return 0;
    }
    let number = |text: &str| text.parse::<f64>().unwrap_or(0.0);
    let nonces: Vec<f64> = rows.iter().rev().map(|row| number(&row.nonces)).collect();
    let tokens: Vec<f64> = rows.iter().rev().map(|row| row.tokens as f64).collect();
    let room = usize::from(area.width).saturating_sub(super::LABEL + 24);
    for (row, (label, numbers)) in (0u16..).zip([("nonces", nonces), ("tokens", tokens)]) {
        let curve = canvas.look.spark(&numbers, room);
        let last = numbers.last().copied().unwrap_or_default() as u64;
        let last = format!("  {} in the last epoch", grouped(last));
        canvas.field(area, row, label, &[(&curve, Ink::Curve), (&last, Ink::Soft)]);
    }
    2
}

/// The lanes in which it has a share.
fn lanes(canvas: &mut Canvas<'_>, area: Rect, model: &Model, lanes: &[freeway_api::LaneView], host: &str) {
    if area.height < 3 {
        return;
    }
    let inner = canvas.head(area, "Lanes", &count(lanes.len() as u64, "lane", "lanes"));
    let columns = [
        Column::right("LANE", 9),
        Column::left("PAYER", 20, 0),
        Column::left("STATE", 10, 8),
        Column::right("DEPOSIT", 7),
        Column::right("PAID", 8),
        Column::right("OPENED", 3),
    ];
    let row = |lane: &freeway_api::LaneView| {
        let share = lane.shares.iter().find(|share| share.host.to_string() == host);
        let money = |amount: Option<Amount>| {
            (amount.map_or_else(|| "-".into(), |amount| coins(amount, 6)), Ink::Plain)
        };
        let lost = share.is_some_and(|share| share.forfeited);
        let state =
            if lost { ("forfeited".into(), Ink::Bad) } else { (canvas.look.clean(&lane.state), Ink::Plain) };
        vec![
            (grouped(lane.id), Ink::Head),
            (canvas.look.clean(&model.data().name_of(&lane.payer)), Ink::Plain),
            state,
            money(share.map(|share| share.deposit)),
            money(share.map(|share| share.paid)),
            (grouped(lane.opened), Ink::Soft),
        ]
    };
    let rows: Vec<_> =
        lanes.iter().rev().take(usize::from(first(inner, inner.height).height)).map(row).collect();
    Table { columns: &columns, rows, chosen: None, sorted: None }.draw(canvas, inner);
}
