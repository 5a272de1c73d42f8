//! Every view at every size, with everything, with nothing, and with names that bite.

use ratatui_core::backend::TestBackend;
use ratatui_core::terminal::Terminal;

use super::samples::{HOSTILE, NOW, lively};
use super::*;
use crate::commands::top::keys::Action;
use crate::commands::top::model::{Message, News};

const SIZES: [(u16, u16); 3] = [(40, 10), (80, 24), (200, 60)];

fn look(unicode: bool) -> Look {
    Look { colour: true, unicode }
}

/// The frame of a model on a screen of that size.
fn shown(model: &Model, size: (u16, u16), unicode: bool) -> String {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| draw(frame, model, look(unicode))).unwrap();
    lines_of(terminal.backend().buffer())
}

fn go(model: &mut Model, view: View) {
    model.update(Message::Do(Action::Go(view)), NOW);
}

fn has(frame: &str, texts: &[&str]) {
    for text in texts {
        assert!(frame.contains(text), "{text:?} is not in\n{frame}");
    }
}

#[test]
fn the_network_in_figures() {
    let frame = shown(&lively(), (80, 24), true);
    has(
        &frame,
        &[
            "● local",
            "height 1,234",
            "0.7 s",
            "epoch 20 serve",
            "1 Network",
            "34/60",
            "20/32",
            "26 blocks left, 18 s",
        ],
    );
    has(
        &frame,
        &[
            "1.4 a second, 0.7 s apart",
            "at once, 3 of 3 signed",
            "5 transactions, 2.0 KiB",
            "68 in 71 s, 2 failed",
        ],
    );
    has(
        &frame,
        &[
            "0.000016 H100s",
            "weight 4,044",
            "21 a second",
            "26,687 in all",
            "24, 1 failed",
            "12.3 %",
            "▂",
            "█",
        ],
    );
    has(&frame, &["guide", "0.850763", "0.085076", "3.403052", "62.8 %", "99.715 FWY", "1 silent"]);
}

#[test]
fn the_race_with_a_bar_for_each_host() {
    let mut model = lively();
    go(&mut model, View::Sprint);
    let frame = shown(&model, (100, 24), true);
    has(
        &frame,
        &[
            "Sprint of epoch 20",
            "until height 1,240: 6 blocks left",
            "verdicts",
            "3 hosts with 68,484 nonces, 1 void",
        ],
    );
    has(&frame, &["30,000", "2/2 verdicts", "3/4 revealed", "void: withheld", "1 leaf demanded, 1 on trial"]);
    let bar =
        |name: &str| frame.lines().find(|line| line.starts_with(name)).map(|line| line.matches('█').count());
    assert!(bar("one").unwrap() > 3 * bar("three").unwrap(), "{frame}");
}

#[test]
fn hosts_in_a_table_and_one_closely() {
    let mut model = lively();
    go(&mut model, View::Hosts);
    let frame = shown(&model, (120, 24), true);
    has(&frame, &["POWER▼", "one", "300", "50.0 %", "579.905", "active, silent", "leaving", "9,579.905"]);
    model.update(Message::Do(Action::First), NOW);
    model.update(Message::Do(Action::Enter), NOW);
    let frame = shown(&model, (100, 30), true);
    has(
        &frame,
        &[
            "one ──",
            "reputation 1 of 30",
            "100.000 FWY",
            "5.000 FWY on its way back",
            "convicted at height 800",
            "lost 7.000 FWY",
        ],
    );
}

#[test]
fn work_with_its_verdicts_and_what_became_of_it() {
    let mut model = lively();
    go(&mut model, View::Requests);
    let frame = shown(&model, (140, 30), true);
    has(
        &frame,
        &[
            "2 of 4 being checked",
            "INTERVAL▼",
            "settled",
            "2 disputed",
            "waits for beacon",
            "withheld",
            "1/2, 2 wrong",
            "0.000100",
            "guide",
        ],
    );
    has(&frame, &["Lanes ── 1 open", "20.000000", "0.000305"]);
}

#[test]
fn logs_with_their_levels() {
    let mut model = lively();
    go(&mut model, View::Logs);
    let frame = shown(&model, (120, 24), true);
    has(
        &frame,
        &["4 lines, following", "05:09:31 host-1 INFO  freeway_node::beacon::dealing taking part epoch=1"],
    );
    has(
        &frame,
        &["WARN  freeway_node::gossip peer left", "ERROR freeway_store no room left", "thread panicked"],
    );
    for c in ['/', 'w', 'A', 'R', 'n'] {
        let action = if c == '/' { Action::Filter } else { Action::Type(c) };
        model.update(Message::Do(action), NOW);
    }
    let frame = shown(&model, (120, 24), true);
    has(&frame, &["1 of 4 lines", "peer left", "/wARn█"]);
    assert!(!frame.contains("no room left"));
}

#[test]
fn a_long_line_can_be_read_as_a_whole() {
    let mut model = lively();
    go(&mut model, View::Logs);
    let long = format!("2026-11-23T05:09:34.227019Z  WARN freeway_node: {} the end", "word ".repeat(40));
    model.update(Message::Lines(vec![crate::commands::top::logs::read("host-2", &long)]), NOW);
    model.update(Message::Lines(vec![crate::commands::top::logs::read("host-2", "last")]), NOW);
    assert!(!shown(&model, (80, 24), true).contains("the end"));
    model.update(Message::Do(Action::Move(-1)), NOW);
    has(
        &shown(&model, (80, 24), true),
        &["End follows", "host-2 ── 05:09:34 WARN freeway_node ──", "the end"],
    );
}

#[test]
fn help_lists_the_keys() {
    let mut model = lively();
    model.update(Message::Do(Action::Help), NOW);
    has(
        &shown(&model, (80, 24), true),
        &["Keys", "Ctrl-Z", "q, Esc, Ctrl-C", "only rows with a text in them", "Esc close"],
    );
}

/// Every view of every kind of model, at every size: nothing panics, nothing steers, every row has its width.
#[test]
fn nothing_breaks_at_any_size() {
    let mut paused = lively();
    paused.update(Message::Do(Action::Pause), NOW);
    let mut away = lively();
    away.update(Message::News(Box::new(News::Lost { problem: HOSTILE.into() })), NOW);
    let mut open = lively();
    go(&mut open, View::Hosts);
    open.update(Message::Do(Action::Enter), NOW);
    let mut help = lively();
    help.update(Message::Do(Action::Help), NOW);
    let mut bare = Model::new(View::Network, NOW);
    bare.update(Message::News(Box::new(News::Now(None))), NOW);
    for mut model in [lively(), paused, away, open, help, Model::new(View::Network, NOW), bare] {
        for view in View::ALL {
            if model.open.is_none() && !model.help {
                go(&mut model, view);
            }
            for (width, height) in SIZES.into_iter().chain([(1, 1), (39, 24), (80, 9), (0, 0)]) {
                for unicode in [true, false] {
                    let frame = shown(&model, (width, height), unicode);
                    assert_eq!(frame.lines().count(), usize::from(height));
                    for line in frame.lines() {
                        assert!(text::width(line) <= usize::from(width), "{width} {line:?}");
                        assert!(!line.chars().any(char::is_control), "{line:?}");
                        assert!(unicode || line.is_ascii(), "{line:?}");
                        assert!(!line.contains(['\u{202e}', '\u{300}', '👨']), "{line:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_small_terminal_has_what_matters_and_a_smaller_one_says_so() {
    let mut model = lively();
    has(
        &shown(&model, (40, 10), true),
        &["● local", "height 1,234", "1 Network", "34/60", "H100s", "21 a second", "1 failed", "q quit"],
    );
    go(&mut model, View::Hosts);
    has(&shown(&model, (40, 10), true), &["HOST", "one", "active"]);
    go(&mut model, View::Requests);
    has(&shown(&model, (40, 10), true), &["HOST", "settled"]);
    for size in [(39, 24), (80, 9)] {
        has(
            &shown(&model, size, true),
            &[&format!("terminal too small: {} x {}", size.0, size.1), "it takes 40 x 10"],
        );
    }
}

#[test]
fn names_of_strangers_are_cut_by_their_width_and_disturb_no_column() {
    let mut model = lively();
    go(&mut model, View::Hosts);
    let frame = shown(&model, (160, 24), true);
    has(&frame, &["?[2Jevil?东京の主機?31m???"]);
    let at = |name: &str| {
        let line = frame.lines().find(|line| line.contains(name)).unwrap();
        text::width(line.split("active").next().unwrap())
    };
    assert_eq!(at("one "), at("主機"));
    // Where there is less room it is cut between characters, not within one.
    has(&shown(&model, (80, 24), true), &["?[2Jevil?东京の…"]);
    has(&shown(&model, (160, 24), false), &["?[2Jevil???????31m???"]);
}

#[test]
fn it_says_when_there_is_nothing_yet() {
    let mut model = Model::new(View::Network, NOW);
    let of = |model: &mut Model, view| {
        go(model, view);
        shown(model, (80, 24), true)
    };
    has(&of(&mut model, View::Network), &["waiting for the node's first answer"]);
    has(&of(&mut model, View::Sprint), &["asking for the race"]);
    has(&of(&mut model, View::Hosts), &["waiting for the node's first answer"]);
    has(&of(&mut model, View::Requests), &["nothing yet: freeway chat"]);
    has(&of(&mut model, View::Logs), &["Events of the chain", "nothing has happened since"]);
}

#[test]
fn a_node_that_is_away_is_said_to_be_and_its_data_stay() {
    let mut model = lively();
    model.update(Message::News(Box::new(News::Lost { problem: "no node answers".into() })), NOW);
    model.update(Message::Tick, NOW + 65_000);
    for view in View::ALL {
        go(&mut model, view);
        model.update(Message::Tick, NOW + 65_000);
        let frame = shown(&model, (100, 24), true);
        has(&frame, &["node away for 65 s", "trying again: no node answers", "○ local", "1,234"]);
    }
    model
        .update(Message::News(Box::new(News::Reached { url: "http://127.0.0.1:7700".into() })), NOW + 66_000);
    assert!(!shown(&model, (100, 24), true).contains("away"));
}

#[test]
fn a_node_that_is_behind_or_stands_still_is_said_to_be() {
    let mut model = lively();
    let mut status = model.data().status.clone().unwrap();
    status.synced = false;
    status.behind_ms = 7_200_000;
    model.update(Message::News(Box::new(News::Status(Box::new(status.clone())))), NOW);
    has(
        &shown(&model, (120, 24), true),
        &["the latest block is 2 h old", "catching up, or the network stands still"],
    );
    let mut now = model.data().now.clone().unwrap();
    now.history.state = "catching_up".into();
    now.history.behind = 900;
    model.update(Message::News(Box::new(News::Now(Some(Box::new(now))))), NOW);
    has(&shown(&model, (120, 24), true), &["the node's history is 900 blocks behind"]);
    // What nobody told for a while is old as well, though the node's last word was that all is well.
    status.synced = true;
    status.behind_ms = 0;
    model.update(Message::News(Box::new(News::Status(Box::new(status)))), NOW);
    model.update(Message::Tick, NOW + 30_000);
    has(&shown(&model, (120, 24), true), &["the latest block is 30 s old"]);
}

#[test]
fn a_stopped_picture_says_so() {
    let mut model = lively();
    model.update(Message::Do(Action::Pause), NOW);
    model.update(Message::Tick, NOW + 9_000);
    has(&shown(&model, (80, 24), true), &["stopped 9.0 s ago: p goes on", "p go on", "0.7 s"]);
}

#[test]
fn without_an_explorer_the_chain_itself_is_shown() {
    let mut model = lively();
    model.update(Message::News(Box::new(News::Now(None))), NOW);
    let frame = shown(&model, (80, 24), true);
    has(&frame, &["0.000016 H100s", "keeps no figures", "verdicts", "12 blocks left", "Epoch ── 20"]);
}

#[test]
fn a_frame_is_printed_as_it_is_seen() {
    let mut model = lively();
    let area = Rect::new(0, 0, 160, 24);
    let printed = plain(&mut model, look(true), area);
    assert_eq!(printed, shown(&model, (160, 24), true));
    go(&mut model, View::Hosts);
    // Wide characters are not torn apart.
    has(&plain(&mut model, look(true), area), &["东京の主機"]);
}
