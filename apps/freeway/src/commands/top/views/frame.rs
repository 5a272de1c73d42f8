//! What stands around every view: where the chain stands above, keys below, and in between what one has to know.

use ratatui_core::layout::Rect;

use super::{Canvas, below};
use crate::commands::top::keys::HELP;
use crate::commands::top::look::{Ink, Look};
use crate::commands::top::model::{Model, View};
use crate::commands::top::text::{count, ends, grouped, pad, span, width};

/// A block that is older than so many block times is late.
const LATE_BLOCKS: u64 = 8;
/// A block that is younger is never late.
const NEVER_LATE_MS: u64 = 10_000;

/// Draws the frame; what is left is the view's.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model) -> Rect {
    chain(canvas, area, model);
    tabs(canvas, area, model);
    let notices = notices(model, canvas.look);
    let mut rows = 2;
    for (text, ink) in &notices {
        canvas.text(area, rows, &[(text, *ink)]);
        rows += 1;
    }
    footer(canvas, area, model);
    let inner = below(area, rows);
    Rect { height: inner.height.saturating_sub(1), ..inner }
}

/// The network, and its latest block.
fn chain(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let data = model.data();
    let look = canvas.look;
    let Some(status) = &data.status else {
        let url = look.clean(&data.link.url);
        canvas.text(area, 0, &[("Freeway", Ink::Head), ("  asking ", Ink::Soft), (&url, Ink::Soft)]);
        return;
    };
    let (dot, ink) = match (data.link.reached, is_late(model)) {
        (false, _) => (look.sign("○", "x"), Ink::Bad),
        (true, true) => (look.sign("●", "!"), Ink::Warn),
        (true, false) => (look.sign("●", "*"), Ink::Good),
    };
    let name = crate::commands::top::text::fit(&look.clean(&status.name), 24, look.cut());
    let height = format!("height {}", grouped(status.height));
    let age = format!(" {}", data.age_ms(model.moment()).map(span).unwrap_or_default());
    let epoch = format!("  epoch {} {}", grouped(status.epoch), look.clean(&status.phase.replace('_', " ")));
    let left = [(dot, ink), (" ", Ink::Plain), (&name, Ink::Head)];
    let chain = format!("  {}", ends(&status.chain.to_string(), 8, 0).trim_end_matches('.'));
    let mut pieces = left.to_vec();
    let soft = [(chain.as_str(), Ink::Soft)];
    let used: usize = [dot, " ", &name, "  ", &height, &age, &epoch].iter().map(|text| width(text)).sum();
    let room = usize::from(area.width);
    // What is known to whoever looks goes first when there is no room.
    if used + width(&chain) <= room {
        pieces.extend(soft);
    }
    pieces.extend([
        ("  ", Ink::Plain),
        (&height, Ink::Head),
        (&age, if is_late(model) { Ink::Warn } else { Ink::Soft }),
        (&epoch, Ink::Plain),
    ]);
    let url = format!("  {}", look.clean(&data.link.url));
    if used + width(&chain) + width(&url) <= room {
        pieces.push((&url, Ink::Soft));
    }
    canvas.text(area, 0, &pieces);
}

/// Whether the latest block is older than it should be.
fn is_late(model: &Model) -> bool {
    let data = model.data();
    let pace = data.now.as_ref().map(|now| now.clock.block_ms).or_else(|| data.block_ms()).unwrap_or(1_000);
    let late = pace.saturating_mul(LATE_BLOCKS).max(NEVER_LATE_MS);
    data.age_ms(model.moment()).is_some_and(|age| age > late)
}

fn tabs(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let mut pieces = Vec::new();
    let wide = area.width >= 60;
    let names: Vec<(String, String, bool)> = View::ALL
        .iter()
        .enumerate()
        .map(|(place, view)| {
            let chosen = *view == model.view;
            let name = if wide || chosen { format!(" {} ", view.name()) } else { " ".into() };
            (format!(" {}", place + 1), name, chosen)
        })
        .collect();
    for (digit, name, chosen) in &names {
        pieces.push((digit.as_str(), if *chosen { Ink::Accent } else { Ink::Soft }));
        pieces.push((name.as_str(), if *chosen { Ink::Accent } else { Ink::Plain }));
    }
    canvas.text(area, 1, &pieces);
    // Without colours, too, it is seen which one is chosen.
    let mut at = area.x;
    for (digit, name, chosen) in &names {
        let cells = (width(digit) + width(name)) as u16;
        if *chosen {
            let shown = Rect::new(at, area.y + 1, cells, 1).intersection(area);
            canvas.buffer.set_style(shown, canvas.look.chosen());
        }
        at += cells;
    }
}

/// What one has to know before believing anything else.
fn notices(model: &Model, look: Look) -> Vec<(String, Ink)> {
    let data = model.data();
    // Whether the node is there is true now, also while the picture is stopped.
    let link = &model.latest().link;
    let mut notices = Vec::new();
    if let Some(at) = model.stopped_at() {
        let ago = span(model.now_ms.saturating_sub(at));
        notices.push((format!("stopped {ago} ago: p goes on"), Ink::Accent));
    }
    if !link.reached && !link.url.is_empty() {
        let ago = span(model.now_ms.saturating_sub(link.since_ms));
        let problem = link.problem.as_deref().map(|why| format!(": {}", look.clean(why)));
        let text =
            format!("node away for {ago}, what is shown is old; trying again{}", problem.unwrap_or_default());
        notices.push((text, Ink::Bad));
    } else if let Some(status) = &data.status {
        let age = data.age_ms(model.moment()).unwrap_or_default();
        if status.height == 0 {
            notices.push(("no block yet: the network is starting".into(), Ink::Warn));
        } else if !status.synced || is_late(model) {
            let peers = count(status.peers, "peer", "peers");
            let text = format!(
                "the latest block is {} old: this node ({peers}) is catching up, or the network stands still",
                span(age)
            );
            notices.push((text, Ink::Warn));
        }
    }
    if let Some(history) = data.now.as_ref().map(|now| &now.history) {
        match history.state.as_str() {
            "catching_up" if history.behind > 1 => {
                let text = format!(
                    "the node's history is {} behind; figures follow",
                    count(history.behind, "block", "blocks")
                );
                notices.push((text, Ink::Warn));
            }
            "stopped" => {
                let why = look.clean(history.problem.as_deref().unwrap_or("no reason given"));
                notices.push((format!("the node's history does not go on: {why}"), Ink::Warn));
            }
            _ => {}
        }
    }
    // Two rows at most: what is looked at needs room.
    notices.truncate(2);
    notices
}

/// Keys, or the filter that is being typed.
fn footer(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let row = area.height.saturating_sub(1);
    if let Some(typed) = &model.typing {
        let typed = canvas.look.clean(typed);
        let cursor = canvas.look.sign("█", "_");
        let pieces = [
            ("/", Ink::Accent),
            (&typed, Ink::Head),
            (cursor, Ink::Accent),
            ("  Enter keeps, Esc shows all", Ink::Soft),
        ];
        canvas.text(area, row, &pieces);
        return;
    }
    let mut keys: Vec<(&str, &str)> = Vec::new();
    let has_list = model.view != View::Network && model.open.is_none();
    if model.help {
        keys.push(("Esc", "close"));
    } else if model.open.is_some() {
        keys.push(("Esc", "all hosts"));
    } else if has_list {
        match model.view {
            View::Hosts | View::Sprint => keys.extend([("Enter", "host"), ("s", "sort"), ("r", "reverse")]),
            View::Requests => keys.extend([("s", "sort"), ("r", "reverse")]),
            View::Logs if model.data().logs.has_files() => {
                keys.push(("e", if model.chain_log { "files" } else { "events" }));
            }
            _ => {}
        }
        keys.push(("/", "filter"));
    }
    let goes = if model.stopped_at().is_some() { "go on" } else { "pause" };
    keys.extend([("p", goes), ("Tab", "view"), ("?", "help"), ("q", "quit")]);
    let filter = canvas.look.clean(&model.place().filter);
    let mut pieces = Vec::new();
    if has_list && !filter.is_empty() {
        pieces.extend([("/", Ink::Accent), (filter.as_str(), Ink::Accent), ("  ", Ink::Plain)]);
    }
    for (key, what) in &keys {
        pieces.extend([(*key, Ink::Accent), (" ", Ink::Plain), (*what, Ink::Soft), ("  ", Ink::Plain)]);
    }
    canvas.text(area, row, &pieces);
}

/// The page of keys.
pub(super) fn help(canvas: &mut Canvas<'_>, area: Rect) {
    let inner = canvas.head(area, "Keys", "");
    let cells = 18.min(usize::from(area.width) / 2);
    for (row, (keys, what)) in (0u16..).zip(HELP) {
        let keys = pad(keys, cells, false, canvas.look.cut());
        canvas.text(inner, row, &[(&keys, Ink::Accent), (" ", Ink::Plain), (what, Ink::Plain)]);
    }
    let rest = below(inner, HELP.len() as u16 + 1);
    let words = [
        "H100s: how many H100s would prove the weight, each at 45 % of its peak for dense 8-bit integers",
        "REP: epochs without fault, up to 30. EARNED: new money; FEES: of served work, settled",
        "A mark behind a head shows by what a list is sorted",
    ];
    for (row, line) in (0u16..).zip(words) {
        canvas.text(rest, row, &[(line, Ink::Soft)]);
    }
}
