//! The race of the epoch.

use freeway_api::SprintView;
use ratatui_core::layout::Rect;

use super::table::window;
use super::{Canvas, below, first};
use crate::commands::top::look::Ink;
use crate::commands::top::model::{Columns, Model, Racer, View};
use crate::commands::top::text::{coins, count, ends, grouped, pad, width};

/// The stages in their order, each with its name for people.
const STAGES: [(&str, &str); 8] = [
    ("waiting_for_seed", "seed"),
    ("racing", "racing"),
    ("waiting_for_challenge", "committees"),
    ("verdicts", "verdicts"),
    ("waiting_for_draw", "draw"),
    ("revealing", "revealing"),
    ("judging", "judging"),
    ("settled", "settled"),
];

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let Some(race) = &model.data().race else {
        canvas.text(area, 1, &[("asking for the race", Ink::Soft)]);
        return;
    };
    let Some(epoch) = race.epoch else {
        let inner = canvas.head(area, "Sprint", "");
        canvas.text(
            inner,
            0,
            &[("no race yet: the first runs in epoch 1; until then weights are those of genesis", Ink::Soft)],
        );
        return;
    };
    let inner = canvas.head(area, &format!("Sprint of epoch {}", grouped(epoch)), &until(race));
    stages(canvas, inner, race);
    let rows = if inner.height >= 9 { facts(canvas, below(inner, 1), race) } else { 0 };
    hosts(canvas, below(inner, 1 + rows), model);
}

fn until(race: &SprintView) -> String {
    match (race.stage_until(), race.ended) {
        (Some(height), _) => {
            let left = height.saturating_sub(race.height);
            format!("until height {}: {} left", grouped(height), count(left, "block", "blocks"))
        }
        (None, Some(height)) => format!("ended at height {}", grouped(height)),
        (None, None) => "waits for the beacon".into(),
    }
}

fn stages(canvas: &mut Canvas<'_>, area: Rect, race: &SprintView) {
    if race.stage == "abandoned" {
        let why = canvas.look.clean(&race.reason.as_deref().unwrap_or("no reason given").replace('_', " "));
        canvas.text(
            area,
            0,
            &[("abandoned: ", Ink::Warn), (&why, Ink::Warn), ("; all weights stay", Ink::Soft)],
        );
        return;
    }
    let here = STAGES.iter().position(|(stage, _)| *stage == race.stage);
    let sign = canvas.look.sign(" › ", " > ");
    let all: usize = STAGES.iter().map(|(_, name)| width(name) + 3).sum::<usize>() - 3;
    let fits = all <= usize::from(area.width);
    let mut pieces = Vec::new();
    for (place, (_, name)) in STAGES.iter().enumerate() {
        // Where not all fit: the one that is, and what is next to it.
        if !fits && here.is_some_and(|here| place + 1 < here || place > here + 1) {
            continue;
        }
        if !pieces.is_empty() {
            pieces.push((sign, Ink::Soft));
        }
        pieces.push((
            *name,
            match here {
                Some(here) if place == here => Ink::Accent,
                Some(here) if place < here => Ink::Plain,
                _ => Ink::Soft,
            },
        ));
    }
    canvas.text(area, 0, &pieces);
}

/// What has happened, and the rules; how many rows that takes.
fn facts(canvas: &mut Canvas<'_>, area: Rect, race: &SprintView) -> u16 {
    let totals = &race.totals;
    let committed =
        format!("{} with {} nonces", count(totals.commitments, "host", "hosts"), grouped(totals.nonces));
    let void = if totals.voids > 0 { format!(", {} void", grouped(totals.voids)) } else { String::new() };
    canvas.field(area, 0, "committed", &[(&committed, Ink::Plain), (&void, Ink::Bad)]);
    let verdicts = format!("{} of {}", grouped(totals.verdicts_given), grouped(totals.verdicts_owed));
    let demands = match (totals.demands_open, totals.trials_open) {
        (0, 0) => String::new(),
        (demands, 0) => format!(", {} demanded", count(demands, "leaf", "leaves")),
        (demands, trials) => {
            format!(", {} demanded, {} on trial", count(demands, "leaf", "leaves"), grouped(trials))
        }
    };
    canvas.field(area, 1, "verdicts", &[(&verdicts, Ink::Plain), (&demands, Ink::Warn)]);
    let rules = &race.rules;
    let leaves = format!(
        "{} members check each host: {} leaves each, {} of them revealed",
        grouped(rules.committee),
        grouped(rules.leaves),
        grouped(rules.revealed),
    );
    canvas.field(area, 2, "leaves", &[(&leaves, Ink::Plain)]);
    let seed = race.seed.map_or_else(|| "not known yet".into(), |seed| ends(&seed.to_string(), 16, 8));
    let shape = format!(
        "  shape {}, {} multiply-adds a nonce",
        canvas.look.clean(&rules.shape),
        grouped(rules.macs_per_nonce)
    );
    canvas.field(area, 3, "seed", &[(&seed, Ink::Plain), (&shape, Ink::Soft)]);
    let accusation = format!(
        "a wrong leaf costs {} % of what is at stake; an accusation puts up {} FWY",
        rules.conviction_thousandths / 10,
        coins(rules.accusation_bond, 3)
    );
    canvas.field(area, 4, "stakes", &[(&accusation, Ink::Soft)]);
    5
}

/// A bar for each host.
fn hosts(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let racers = model.racers();
    let place = model.place_in(View::Sprint);
    let sorted = Columns::of(View::Sprint).names().get(place.sort).copied().unwrap_or_default();
    let order = format!("by {}{}", sorted.to_lowercase(), if place.reverse { ", reversed" } else { "" });
    let running = model.race_runs();
    let results = model.data().results.as_ref().and_then(|results| results.race);
    let title = match (running, results) {
        (false, Some(race)) => format!("Results of epoch {}", grouped(race.epoch)),
        _ => "Race".into(),
    };
    let inner = canvas.head(area, &title, &order);
    if racers.is_empty() {
        let why = match (place.filter.is_empty(), running) {
            (false, _) => "no host with that text",
            (true, true) => "hosts are racing; a bar appears when one commits",
            (true, false) => "nothing has settled yet",
        };
        canvas.text(inner, 0, &[(why, Ink::Soft)]);
        return;
    }
    let most = racers.iter().map(|racer| racer.nonces).max().unwrap_or(1).max(1);
    let wide = usize::from(inner.width);
    let name_cells = racers.iter().map(|racer| width(&canvas.look.clean(&racer.name))).max().unwrap_or(0);
    let name_cells = name_cells.clamp(6, if wide >= 80 { 24 } else { 12 });
    let number_cells = width(&grouped(most)).max(5);
    let weight = racers.iter().filter_map(|racer| racer.weight).map(|weight| grouped(weight).len()).max();
    let tails: Vec<_> = racers.iter().map(|racer| tail(racer, weight.unwrap_or(0))).collect();
    let tail_cells =
        tails.iter().map(|tail| tail.iter().map(|(text, _)| width(text)).sum()).max().unwrap_or(0);
    let fixed = name_cells + 2 + number_cells + 2;
    // The bar before the words: a race is seen, not read.
    let bar_cells =
        wide.saturating_sub(fixed + tail_cells + 1).max(wide.saturating_sub(fixed).min(16)).min(60);
    let rows = usize::from(inner.height);
    let start = window(racers.len(), rows, place.index);
    for (row, racer) in racers.iter().enumerate().skip(start).take(rows) {
        let y = (row - start) as u16;
        let look = canvas.look;
        let name = pad(&look.clean(&racer.name), name_cells, false, look.cut());
        let (full, track) = look.bar(racer.nonces as f64 / most as f64, bar_cells);
        let number = pad(&grouped(racer.nonces), number_cells, true, look.cut());
        let ink = if racer.void.is_some() { Ink::Bad } else { Ink::Curve };
        let mut pieces = vec![
            (name.as_str(), Ink::Head),
            ("  ", Ink::Plain),
            (&full, ink),
            (&track, Ink::Soft),
            (" ", Ink::Plain),
            (&number, Ink::Plain),
        ];
        if let Some(tail) = tails.get(row) {
            pieces.extend(tail.iter().map(|(text, ink)| (text.as_str(), *ink)));
        }
        canvas.text(inner, y, &pieces);
        if row == place.index {
            let shown = Rect { height: 1, width: name_cells as u16, ..first(below(inner, y), 1) };
            canvas.buffer.set_style(shown.intersection(inner), look.chosen());
        }
    }
}

/// What is known of a host beside its nonces; `weight` cells for the weight, so that columns stand below each other.
fn tail(racer: &Racer, weight: usize) -> Vec<(String, Ink)> {
    let mut tail = Vec::new();
    if let Some(void) = &racer.void {
        tail.push((format!("  void: {}", super::text::clean(void)), Ink::Bad));
    } else if let Some(proven) = racer.weight {
        tail.push((format!("  weight {:>weight$}", grouped(proven)), Ink::Plain));
    }
    if racer.committee > 0 {
        let all = racer.verdicts >= racer.committee;
        let text = format!("  {}/{} verdicts", grouped(racer.verdicts), grouped(racer.committee));
        tail.push((text, if all { Ink::Good } else { Ink::Plain }));
    }
    if racer.revealed.1 > 0 {
        let text = format!("  {}/{} revealed", grouped(racer.revealed.0), grouped(racer.revealed.1));
        tail.push((text, Ink::Plain));
    }
    if racer.disputes > 0 {
        tail.push((format!("  {} disputed", grouped(racer.disputes)), Ink::Warn));
    }
    tail
}
