//! Paid work: what hosts committed to, how it is checked, and the lanes that pay for it.

use freeway_api::explorer::LaneRow;
use freeway_primitives::Amount;
use ratatui_core::layout::Rect;

use super::table::{Column, Table};
use super::{Canvas, below, first};
use crate::commands::top::look::Ink;
use crate::commands::top::model::{Columns, Data, Model, Request, Settled, View};
use crate::commands::top::text::{coins, count, grouped};

/// Rows that lanes get at least, where there is room for both.
const LANES: u16 = 6;

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let lanes = &model.data().lanes;
    let wanted = (lanes.len() as u16).saturating_add(2).min(area.height / 3).max(LANES);
    let has_room = area.height >= 16 && !lanes.is_empty();
    let above = if has_room { area.height - wanted } else { area.height };
    commitments(canvas, first(area, above), model);
    if has_room {
        draw_lanes(canvas, below(area, above), model.data());
    }
}

/// The chain knows no single request: receipts are the payer's. It knows what hosts committed to in an interval.
fn commitments(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let data = model.data();
    let requests = model.requests();
    let place = model.place_in(View::Requests);
    let open = requests.iter().filter(|request| request.is_open()).count() as u64;
    let note = format!(
        "what hosts committed to: {} of {} being checked",
        grouped(open),
        grouped(requests.len() as u64)
    );
    let inner = canvas.head(area, "Paid work", &note);
    if requests.is_empty() {
        let why = match place.filter.is_empty() {
            true => {
                "nothing yet: freeway chat asks in the lane of `freeway up`; a host commits when an interval ends"
            }
            false => "no commitment with that text",
        };
        canvas.text(inner, 0, &[(why, Ink::Soft)]);
        return;
    }
    let columns = [
        Column::right("INTERVAL", 9),
        Column::left("HOST", 24, 0),
        Column::left("LANE", 8, 4),
        Column::left("MODEL", 20, 2),
        Column::right("REQUESTS", 3),
        Column::right("TOKENS", 7),
        Column::right("FEES", 8),
        Column::right("PER MILLION", 1),
        Column::right("SAMPLES", 5),
        Column::left("VERDICTS", 18, 6),
        Column::left("STATE", 16, 10),
    ];
    let row = |request: &&Request| row(canvas, data, request);
    let sorted = Columns::of(View::Requests).names().get(place.sort).map(|head| (*head, place.reverse));
    let rows = requests.iter().map(row).collect();
    Table { columns: &columns, rows, chosen: Some(place.index), sorted }.draw(canvas, inner);
}

fn row(canvas: &Canvas<'_>, data: &Data, request: &Request) -> Vec<(String, Ink)> {
    let dash = || ("-".to_owned(), Ink::Soft);
    let detail = request.detail.as_ref();
    let number = |number: Option<u64>| number.map_or_else(dash, |number| (grouped(number), Ink::Plain));
    let lanes = detail.map(|detail| {
        let first = detail.lanes.first().map(|lane| grouped(*lane)).unwrap_or_default();
        let more = detail.lanes.len().saturating_sub(1);
        (if more > 0 { format!("{first} +{more}") } else { first }, Ink::Plain)
    });
    let verdicts = detail.map(|detail| match (detail.wrong, detail.members) {
        (_, 0) => ("not drawn".to_owned(), Ink::Soft),
        (0, members) if detail.verdicts == 0 => (format!("0/{} given", grouped(members)), Ink::Plain),
        (0, members) => {
            let ink = if detail.verdicts >= members { Ink::Good } else { Ink::Plain };
            (format!("{}/{} right", grouped(detail.verdicts), grouped(members)), ink)
        }
        (wrong, members) => {
            (format!("{}/{}, {} wrong", grouped(detail.verdicts), grouped(members), grouped(wrong)), Ink::Bad)
        }
    });
    let samples = detail.map(|detail| match detail.samples {
        0 => ("none".to_owned(), Ink::Soft),
        samples => (grouped(samples), Ink::Plain),
    });
    vec![
        (grouped(request.interval), Ink::Plain),
        (canvas.look.clean(&data.name_of(&request.host)), Ink::Head),
        lanes.unwrap_or_else(dash),
        detail.map_or_else(dash, |detail| (models(canvas, data, &detail.models), Ink::Plain)),
        number(detail.map(|detail| detail.requests)),
        number(detail.map(|detail| detail.tokens)),
        (coins(request.fees, 6), Ink::Plain),
        request.price().map_or_else(dash, |price| (coins(price, 6), Ink::Plain)),
        samples.unwrap_or_else(dash),
        verdicts.unwrap_or_else(dash),
        state(canvas, data, request),
    ]
}

/// The names of models by their roots.
fn models(canvas: &Canvas<'_>, data: &Data, roots: &[String]) -> String {
    let prices = || data.now.iter().flat_map(|now| &now.prices);
    let name = |root: &String| {
        let known = prices().find(|price| price.model.to_string() == *root);
        known.map_or_else(|| super::text::ends(root, 8, 4), |price| canvas.look.clean(&price.name))
    };
    let mut names: Vec<String> = roots.iter().map(name).collect();
    names.dedup();
    names.join(" ")
}

/// What became of it: checked, matured, paid out; or why not.
fn state(canvas: &Canvas<'_>, data: &Data, request: &Request) -> (String, Ink) {
    let to_settle = data.earned.get(&request.host).map(|earned| earned.fees.to_settle);
    match data.requests.settled(request, to_settle) {
        Settled::Yes => ("settled".into(), Ink::Good),
        Settled::Due | Settled::Unknown => ("matured".into(), Ink::Good),
        Settled::No if request.is_open() => match request.detail.as_ref().map_or(0, |detail| detail.disputes)
        {
            0 => (stage(canvas, data, request.interval), Ink::Plain),
            disputes => (format!("{} disputed", grouped(disputes)), Ink::Warn),
        },
        Settled::No => (canvas.look.clean(&request.state.replace('_', " ")), Ink::Bad),
    }
}

/// How far the check of an interval's work is.
fn stage(canvas: &Canvas<'_>, data: &Data, interval: u64) -> String {
    let rounds = data.work.iter().flat_map(|work| &work.rounds);
    let mut of_interval = rounds.filter(|round| round.interval == interval);
    match of_interval.next_back().map(|round| round.stage.as_str()) {
        None => "being checked".into(),
        Some("waiting") => "waits for beacon".into(),
        Some("verdicts") => "verdicts due".into(),
        Some(stage) => canvas.look.clean(stage),
    }
}

fn draw_lanes(canvas: &mut Canvas<'_>, area: Rect, data: &Data) {
    let open = data.lanes.iter().filter(|lane| lane.state == "open").count() as u64;
    let inner = canvas.head(area, "Lanes", &count(open, "open", "open"));
    let columns = [
        Column::right("LANE", 9),
        Column::left("PAYER", 24, 0),
        Column::left("MODEL", 20, 4),
        Column::right("HOSTS", 3),
        Column::right("ESCROW", 7),
        Column::right("SETTLED", 6),
        Column::right("PAID", 2),
        Column::right("OPENED", 1),
        Column::left("STATE", 12, 8),
    ];
    let money = |amount: Amount| (coins(amount, 6), Ink::Plain);
    let row = |lane: &LaneRow| {
        vec![
            (grouped(lane.lane), Ink::Head),
            (canvas.look.clean(&data.name_of(&lane.payer)), Ink::Plain),
            (canvas.look.clean(&lane.name), Ink::Plain),
            (grouped(lane.hosts.len() as u64), Ink::Plain),
            money(lane.escrow),
            money(lane.fees_settled),
            money(lane.paid),
            (grouped(lane.opened), Ink::Soft),
            (canvas.look.clean(&lane.state), if lane.state == "open" { Ink::Good } else { Ink::Soft }),
        ]
    };
    // Those that are over have nothing more to say; of the others, the newest first.
    let (under_way, over): (Vec<_>, Vec<_>) = data.lanes.iter().partition(|lane| lane.state != "ended");
    let rows = under_way.into_iter().chain(over).map(row).collect();
    Table { columns: &columns, rows, chosen: None, sorted: None }.draw(canvas, inner);
}
