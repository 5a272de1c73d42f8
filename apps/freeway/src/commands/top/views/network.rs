//! The network in figures.

use freeway_api::explorer::NowView;
use freeway_api::{SigningView, Status};
use freeway_primitives::Amount;
use ratatui_core::layout::Rect;

use super::table::{Column, Table};
use super::{Canvas, below, first, halves};
use crate::commands::top::look::Ink;
use crate::commands::top::model::{Data, Model};
use crate::commands::top::text::{bytes, coins, count, grouped, pad, percent, rate, span, width};

/// From this width on there are two columns.
const WIDE: u16 = 76;
/// With fewer rows the clock is its two gauges, so that the figures have room.
const COMPACT: u16 = 14;
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let data = model.data();
    let Some(status) = &data.status else {
        canvas.text(area, 1, &[("waiting for the node's first answer", Ink::Soft)]);
        return;
    };
    if area.width >= WIDE {
        let rows = 8;
        let (left, right) = halves(first(area, rows));
        chain(canvas, left, data, status);
        clock(canvas, right, data, status);
        let rest = below(area, rows);
        figures(canvas, first(rest, 6), data, status);
        prices(canvas, below(rest, 6), data);
        return;
    }
    // One column: what matters first; what has no room is left out.
    let compact = area.height < COMPACT;
    let clock_rows = clock(canvas, if compact { first(area, 3) } else { area }, data, status);
    let rest = below(area, if compact { 3 } else { clock_rows });
    figures(canvas, first(rest, 6), data, status);
    let rest = below(rest, 6);
    let wanted = 8.min(rest.height);
    if wanted >= 3 {
        chain(canvas, first(rest, wanted), data, status);
        prices(canvas, below(rest, wanted), data);
    }
}

/// The chain: blocks, how final they are, and what waits.
fn chain(canvas: &mut Canvas<'_>, area: Rect, data: &Data, status: &Status) {
    let name = canvas.look.clean(&status.name);
    let chain = crate::commands::top::text::ends(&status.chain.to_string(), 8, 4);
    let inner = canvas.head(area, "Chain", &format!("{name} {chain}"));
    let pace = data.now.as_ref().and_then(|now| now.blocks.as_ref());
    let per_second = pace.map(|pace| format!("{} a second", rate(pace.per_second)));
    let apart = data.block_ms().map(|ms| format!("{} apart", span(ms)));
    let blocks = [per_second, apart].into_iter().flatten().collect::<Vec<_>>().join(", ");
    canvas.field(inner, 0, "blocks", &[(or_dash(&blocks), Ink::Plain)]);
    // A block is final when it is decided: what can be asked is how many signed it, and at which attempt.
    match data.blocks.back() {
        Some(block) => {
            let signed = format!("{} of {} signed", grouped(block.signers), grouped(validators(status)));
            let round = match block.round {
                0 => String::new(),
                round => format!(", attempt {}", u64::from(round) + 1),
            };
            let few = block.signers.saturating_mul(4) < validators(status).saturating_mul(3);
            let ink = if few || block.round > 0 { Ink::Warn } else { Ink::Good };
            let pieces = [("at once", Ink::Plain), (", ", Ink::Plain), (&signed, ink), (&round, Ink::Warn)];
            canvas.field(inner, 1, "finality", &pieces);
        }
        None => canvas.field(inner, 1, "finality", &[("-", Ink::Soft)]),
    }
    let waiting = count(status.mempool.transactions, "transaction", "transactions");
    let size = format!(", {}", bytes(status.mempool.bytes));
    canvas.field(inner, 2, "mempool", &[(&waiting, Ink::Plain), (&size, Ink::Soft)]);
    let included = pace.map(|pace| {
        let text = format!("{} in {}", grouped(pace.transactions), span((pace.seconds * 1_000.0) as u64));
        (text, pace.failed)
    });
    match &included {
        Some((text, failed)) => {
            let failed_text = format!(", {} failed", grouped(*failed));
            let ink = if *failed > 0 { Ink::Warn } else { Ink::Soft };
            canvas.field(inner, 3, "included", &[(text, Ink::Plain), (&failed_text, ink)]);
        }
        None => canvas.field(inner, 3, "included", &[("-", Ink::Soft)]),
    }
    let (signs, ink) = match status.signing {
        SigningView::Active => ("signs", Ink::Plain),
        SigningView::Watching => ("watches", Ink::Warn),
        SigningView::None => ("follows", Ink::Plain),
    };
    let version = canvas.look.clean(&status.version);
    let up = span(status.uptime_s.saturating_mul(1_000));
    let node = format!(", {}, up {up}, {version}", count(status.peers, "peer", "peers"));
    canvas.field(inner, 4, "node", &[(signs, ink), (&node, Ink::Soft)]);
    let hosts =
        format!("{}{}", grouped(status.hosts.len() as u64), if status.hosts_complete { "" } else { "+" });
    let silent = status.hosts.iter().filter(|host| host.silent).count() as u64;
    let silent_text = if silent > 0 { format!(", {} silent", grouped(silent)) } else { String::new() };
    canvas.field(inner, 5, "hosts", &[(&hosts, Ink::Plain), (&silent_text, Ink::Warn)]);
    let beacon = match status.beacon.latest_height {
        Some(height) => format!("value of height {}", grouped(height)),
        None => "no value yet".into(),
    };
    canvas.field(inner, 6, "beacon", &[(&beacon, Ink::Plain)]);
}

fn validators(status: &Status) -> u64 {
    status.hosts.iter().filter(|host| host.power > 0).count() as u64
}

/// The epoch and its phases; how many rows that takes.
fn clock(canvas: &mut Canvas<'_>, area: Rect, data: &Data, status: &Status) -> u16 {
    let Some(now) = &data.now else {
        let inner = canvas.head(area, "Epoch", &grouped(status.epoch));
        let phase = canvas.look.clean(&status.phase.replace('_', " "));
        let left = format!(", {} left", count(status.blocks_left_in_phase, "block", "blocks"));
        canvas.field(inner, 0, "phase", &[(&phase, Ink::Accent), (&left, Ink::Soft)]);
        let next = format!("in {}", count(status.blocks_left_in_epoch, "block", "blocks"));
        canvas.field(inner, 1, "next epoch", &[(&next, Ink::Plain)]);
        race(canvas, inner, 2, status);
        return 5;
    };
    // Blocks come with the status; the figures may be a block older.
    let total = now.clock.epoch_blocks.max(1);
    let done = total.saturating_sub(status.blocks_left_in_epoch);
    let pace = data.block_ms().unwrap_or(now.clock.block_ms);
    let left = |blocks: u64| {
        format!("{} left, {}", count(blocks, "block", "blocks"), span(blocks.saturating_mul(pace)))
    };
    let inner =
        canvas.head(area, &format!("Epoch {}", grouped(status.epoch)), &left(status.blocks_left_in_epoch));
    gauge(
        canvas,
        inner,
        0,
        "epoch",
        done as f64 / total as f64,
        &format!("{}/{}", grouped(done), grouped(total)),
    );
    let phase_blocks = now
        .clock
        .phases
        .iter()
        .find(|phase| phase.phase == status.phase)
        .map_or(1, |phase| phase.blocks.max(1));
    let phase_done = phase_blocks.saturating_sub(status.blocks_left_in_phase);
    let name = canvas.look.clean(&status.phase.replace('_', " "));
    let numbers = format!("{}/{}", grouped(phase_done), grouped(phase_blocks));
    gauge(canvas, inner, 1, &name, phase_done as f64 / phase_blocks as f64, &numbers);
    phases(canvas, inner, 2, now, status);
    race(canvas, inner, 3, status);
    match &now.money {
        Some(money) => {
            let emission = format!("{} FWY", coins(money.emission, 3));
            let of = format!(" made in epoch {}", grouped(money.epoch));
            canvas.field(inner, 5, "new money", &[(&emission, Ink::Plain), (&of, Ink::Soft)]);
            let fees = format!("{} FWY", coins(money.fees_settled, 6));
            canvas.field(inner, 6, "fees", &[(&fees, Ink::Plain), (" settled in it", Ink::Soft)]);
        }
        None => canvas.field(inner, 5, "new money", &[("-", Ink::Soft)]),
    }
    8
}

/// A bar between its name and its numbers.
fn gauge(canvas: &mut Canvas<'_>, area: Rect, row: u16, name: &str, share: f64, numbers: &str) {
    let look = canvas.look;
    let name = pad(name, super::LABEL, false, look.cut());
    let numbers = format!(" {}", pad(numbers, 7, true, look.cut()));
    let cells = usize::from(area.width).saturating_sub(super::LABEL + width(&numbers));
    let (full, track) = look.bar(share, cells);
    canvas.text(
        area,
        row,
        &[(&name, Ink::Soft), (&full, Ink::Curve), (&track, Ink::Soft), (&numbers, Ink::Plain)],
    );
}

/// The phases in a row: those that are over, the one that is, those to come.
fn phases(canvas: &mut Canvas<'_>, area: Rect, row: u16, now: &NowView, status: &Status) {
    let here = now.clock.phases.iter().position(|phase| phase.phase == status.phase);
    let names: Vec<String> = now
        .clock
        .phases
        .iter()
        .map(|phase| canvas.look.clean(phase.phase.split('_').next_back().unwrap_or("")))
        .collect();
    let cells = |sign: usize| names.iter().map(|name| width(name) + sign).sum::<usize>().saturating_sub(sign);
    let room = usize::from(area.width);
    let sign = match cells(3) <= room {
        true => canvas.look.sign(" › ", " > "),
        false => canvas.look.sign("›", ">"),
    };
    let mut pieces = Vec::new();
    for (place, name) in names.iter().enumerate() {
        // Where not all fit: the one that is, and what is near it.
        if cells(1) > room && here.is_some_and(|here| place + 2 < here || place > here + 2) {
            continue;
        }
        if !pieces.is_empty() {
            pieces.push((sign, Ink::Soft));
        }
        let ink = match here {
            Some(here) if place == here => Ink::Accent,
            Some(here) if place < here => Ink::Plain,
            _ => Ink::Soft,
        };
        pieces.push((name.as_str(), ink));
    }
    canvas.text(area, row, &pieces);
}

/// The race in two rows.
fn race(canvas: &mut Canvas<'_>, area: Rect, row: u16, status: &Status) {
    let race = &status.sprint;
    let Some(epoch) = race.epoch else {
        canvas.field(area, row, "race", &[("none yet: the first is in epoch 1", Ink::Soft)]);
        return;
    };
    let mut stage = canvas.look.clean(&race.stage.replace('_', " "));
    if epoch != status.epoch {
        stage.push_str(&format!(" of epoch {}", grouped(epoch)));
    }
    if race.verdicts_owed > 0 {
        let what = if race.stage == "verdicts" { "given" } else { "verdicts" };
        stage.push_str(&format!(", {}/{} {what}", grouped(race.verdicts), grouped(race.verdicts_owed)));
    }
    let until = race.stage_until.map(|height| format!(", until {}", grouped(height))).unwrap_or_default();
    let fits = super::LABEL + width(&stage) + width(&until) <= usize::from(area.width);
    let until = if fits { until } else { String::new() };
    canvas.field(area, row, "race", &[(&stage, Ink::Plain), (&until, Ink::Soft)]);
    let hosts =
        format!("{}, {}", count(race.commitments, "host", "hosts"), count(race.nonces, "nonce", "nonces"));
    canvas.field(area, row + 1, "", &[(&hosts, Ink::Soft)]);
}

/// Capacity, tokens and checks, each with its course over the epochs.
fn figures(canvas: &mut Canvas<'_>, area: Rect, data: &Data, status: &Status) {
    let span_of = data.epochs.first().zip(data.epochs.last());
    let note = match span_of {
        Some((first, last)) => format!("by epoch, {} to {}", grouped(first.epoch), grouped(last.epoch)),
        None => String::new(),
    };
    let inner = canvas.head(area, "Compute", &note);
    let race = &status.sprint;
    let capacity = format!("{} H100s", race.h100_equivalents);
    let proven = match race.settled_epoch {
        Some(epoch) => format!("weight {}, proven in epoch {}", grouped(race.weight), grouped(epoch)),
        None => format!("weight {}, of genesis: nothing is proven yet", grouped(race.weight)),
    };
    let curve: Vec<f64> = data.epochs.iter().map(|epoch| epoch.h100_equivalents).collect();
    figure(
        canvas,
        inner,
        0,
        "capacity",
        &[(&capacity, Ink::Head), ("  ", Ink::Plain), (&proven, Ink::Soft)],
        &curve,
    );
    let Some(now) = &data.now else {
        let why = if data.no_explorer {
            "this node keeps no figures ([explorer] enabled = false)"
        } else {
            "figures follow"
        };
        canvas.text(inner, 1, &[(why, Ink::Soft)]);
        return;
    };
    let (per_second, all) = match &now.tokens {
        Some(tokens) => {
            (format!("{} a second", rate(tokens.per_second)), format!("{} in all", grouped(tokens.total)))
        }
        None => ("-".into(), String::new()),
    };
    let curve: Vec<f64> = data.epochs.iter().map(|epoch| epoch.tokens as f64).collect();
    figure(
        canvas,
        inner,
        1,
        "tokens",
        &[(&per_second, Ink::Head), ("  ", Ink::Plain), (&all, Ink::Soft)],
        &curve,
    );
    let curve: Vec<f64> = data.epochs.iter().map(|epoch| epoch.checks_made as f64).collect();
    match &now.checks {
        Some(checks) => {
            let made = grouped(checks.made);
            let failed = format!(", {} failed", grouped(checks.failed));
            let ink = if checks.failed > 0 { Ink::Bad } else { Ink::Good };
            let all = format!("  {} in all", grouped(checks.total_made));
            let all_failed = format!(", {} failed", grouped(checks.total_failed));
            let all_ink = if checks.total_failed > 0 { Ink::Bad } else { Ink::Soft };
            let pieces =
                [(made.as_str(), Ink::Head), (&failed, ink), (&all, Ink::Soft), (&all_failed, all_ink)];
            figure(canvas, inner, 2, "checks", &pieces, &curve);
        }
        None => canvas.field(inner, 2, "checks", &[("-", Ink::Soft)]),
    }
    match &now.useful {
        Some(useful) => {
            let share = percent(useful.share);
            let of = format!("  of proven compute served paid tokens in epoch {}", grouped(useful.epoch));
            canvas.field(inner, 3, "useful", &[(&share, Ink::Head), (&of, Ink::Soft)]);
        }
        None => canvas.field(inner, 3, "useful", &[("-", Ink::Soft)]),
    }
}

/// A figure, with its course at the right end if there is room.
fn figure(canvas: &mut Canvas<'_>, area: Rect, row: u16, label: &str, value: &[(&str, Ink)], curve: &[f64]) {
    canvas.field(area, row, label, value);
    let used = super::LABEL + value.iter().map(|(text, _)| width(text)).sum::<usize>();
    let room = usize::from(area.width).saturating_sub(used + 2).min(60);
    let curve = canvas.look.spark(curve, room);
    let cells = width(&curve) as u16;
    if row < area.height && room >= 4 {
        let right = Rect { x: area.right() - cells, width: cells, ..area };
        canvas.text(right, row, &[(&curve, Ink::Curve)]);
    }
}

/// What models cost.
fn prices(canvas: &mut Canvas<'_>, area: Rect, data: &Data) {
    if area.height < 3 {
        return;
    }
    let inner = canvas.head(area, "Models", "FWY for a million tokens");
    let Some(now) = &data.now else { return };
    if now.prices.is_empty() {
        canvas.text(inner, 0, &[("no model is registered yet: freeway model register", Ink::Soft)]);
        return;
    }
    let columns = [
        Column::left("MODEL", 40, 0),
        Column::right("INPUT", 3),
        Column::right("CACHED", 1),
        Column::right("OUTPUT", 4),
        Column::right("BUSY", 2),
    ];
    let price = |amount: Amount| (coins(amount, 6), Ink::Plain);
    let rows = now.prices.iter().map(|model| {
        let busy = model.utilisation.map_or_else(|| "-".into(), |busy| percent(busy as f64 / 1_000.0));
        vec![
            (canvas.look.clean(&model.name), Ink::Head),
            price(model.input),
            price(model.cached),
            price(model.output),
            (busy, Ink::Plain),
        ]
    });
    let rows = rows.collect();
    Table { columns: &columns, rows, chosen: None, sorted: None }.draw(canvas, inner);
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}
