//! What messages make of the model.

use freeway_api::explorer::EventRow;
use freeway_api::{BlockEvent, EventView};
use freeway_primitives::{Amount, Digest};
use serde_json::json;

use super::*;
use crate::commands::top::logs;
use crate::commands::top::views::samples::{address, host, lively, status};

fn keys(model: &mut Model, actions: &[Action]) -> Then {
    actions.iter().fold(Then::On, |_, action| model.update(Message::Do(*action), 1_000))
}

fn news(model: &mut Model, news: News) {
    model.update(Message::News(Box::new(news)), 2_000);
}

#[test]
fn views_follow_each_other_in_a_ring() {
    let mut model = Model::new(View::Network, 0);
    keys(&mut model, &[Action::Previous]);
    assert_eq!(model.view, View::Logs);
    keys(&mut model, &[Action::Next, Action::Next]);
    assert_eq!(model.view, View::Sprint);
    keys(&mut model, &[Action::Go(View::Requests)]);
    assert_eq!(model.view, View::Requests);
}

#[test]
fn the_choice_stays_with_the_host_and_not_with_the_row() {
    let mut model = lively();
    keys(&mut model, &[Action::Go(View::Hosts), Action::Move(1)]);
    let chosen = model.place().chosen.clone().unwrap();
    assert_eq!(model.hosts()[1].address.to_string(), chosen);
    // Sorted the other way round, and then by another column, it is the same host.
    keys(&mut model, &[Action::Reverse]);
    assert_eq!(model.place().chosen.as_ref(), Some(&chosen));
    assert_eq!(model.hosts()[model.place().index].address.to_string(), chosen);
    keys(&mut model, &[Action::Sort]);
    assert_eq!(model.hosts()[model.place().index].address.to_string(), chosen);
    // A host that leaves takes the choice to its neighbour.
    let mut fewer = status(&[host(1, "one", 5)]);
    fewer.height = 900;
    news(&mut model, News::Status(Box::new(fewer)));
    assert_eq!((model.place().index, model.hosts().len()), (0, 1));
}

#[test]
fn moves_stay_within_the_list() {
    let mut model = lively();
    keys(&mut model, &[Action::Go(View::Hosts), Action::Last]);
    let last = model.hosts().len() - 1;
    assert_eq!(model.place().index, last);
    keys(&mut model, &[Action::Move(5), Action::Page(9)]);
    assert_eq!(model.place().index, last);
    keys(&mut model, &[Action::First, Action::Move(-3), Action::Page(-1)]);
    assert_eq!(model.place().index, 0);
    // And nothing happens where there is none.
    let mut empty = Model::new(View::Hosts, 0);
    keys(&mut empty, &[Action::Last, Action::Move(1), Action::Enter, Action::First]);
    assert_eq!((empty.place().index, empty.open), (0, None));
}

#[test]
fn every_column_sorts() {
    let mut model = lively();
    for view in [View::Hosts, View::Sprint, View::Requests] {
        keys(&mut model, &[Action::Go(view)]);
        let mut orders = std::collections::BTreeSet::new();
        for _ in 0..Columns::of(view).names().len() {
            orders.insert(model.keys());
            keys(&mut model, &[Action::Sort]);
        }
        assert!(orders.len() > 1, "{view:?}");
        assert_eq!(model.place().sort, 0);
    }
}

#[test]
fn a_filter_narrows_while_it_is_typed_and_escape_takes_it_away() {
    let mut model = lively();
    let all = model.hosts().len();
    keys(
        &mut model,
        &[Action::Go(View::Hosts), Action::Filter, Action::Type('T'), Action::Type('W'), Action::Type('o')],
    );
    assert_eq!(model.hosts().len(), 1);
    keys(&mut model, &[Action::Accept]);
    assert_eq!((model.typing.as_ref(), model.hosts().len()), (None, 1));
    assert_eq!(keys(&mut model, &[Action::Back]), Then::On);
    assert_eq!(model.hosts().len(), all);
    keys(&mut model, &[Action::Filter]);
    keys(&mut model, &[Action::Type('x'); 500]);
    assert!(model.place().filter.len() <= MAX_FILTER);
    keys(&mut model, &[Action::EraseAll, Action::Erase]);
    assert_eq!((model.typing.as_ref(), model.place().filter.as_str()), (None, ""));
}

#[test]
fn escape_closes_what_lies_on_top_and_then_the_program() {
    let mut model = lively();
    keys(&mut model, &[Action::Go(View::Sprint), Action::Enter]);
    assert_eq!((model.view, model.open.is_some()), (View::Hosts, true));
    keys(&mut model, &[Action::Help]);
    assert_eq!(keys(&mut model, &[Action::Back]), Then::On);
    assert!(!model.help && model.open.is_some());
    assert_eq!(keys(&mut model, &[Action::Back]), Then::On);
    assert!(model.open.is_none());
    assert_eq!(keys(&mut model, &[Action::Back]), Then::Quit);
    assert_eq!(keys(&mut model, &[Action::Quit]), Then::Quit);
}

#[test]
fn a_stopped_picture_stands_still_and_then_catches_up() {
    let mut model = lively();
    let before = model.data().status.as_ref().unwrap().height;
    keys(&mut model, &[Action::Pause]);
    let mut later = status(&[host(1, "one", 5)]);
    later.height = before + 50;
    news(&mut model, News::Status(Box::new(later)));
    news(&mut model, News::Lost { problem: "gone".into() });
    assert_eq!(model.data().status.as_ref().unwrap().height, before);
    assert!(model.data().link.reached && !model.latest().link.reached);
    assert_eq!((model.moment(), model.now_ms), (1_000, 2_000));
    keys(&mut model, &[Action::Pause]);
    assert_eq!(model.data().status.as_ref().unwrap().height, before + 50);
}

#[test]
fn a_node_that_goes_leaves_its_data_and_the_moment() {
    let mut model = lively();
    news(&mut model, News::Lost { problem: "first".into() });
    model.update(Message::News(Box::new(News::Lost { problem: "second".into() })), 9_000);
    let link = &model.data().link;
    assert_eq!((link.reached, link.since_ms, link.problem.as_deref()), (false, 2_000, Some("second")));
    assert!(model.data().status.is_some() && !model.hosts().is_empty());
    news(&mut model, News::Reached { url: "http://127.0.0.1:1".into() });
    assert!(model.data().link.reached && model.data().link.problem.is_none());
}

#[test]
fn another_network_at_the_same_address_begins_anew() {
    let mut model = lively();
    let mut other = status(&[host(1, "one", 5)]);
    other.chain = "ff".repeat(32).parse().unwrap();
    news(&mut model, News::Status(Box::new(other)));
    let data = model.data();
    assert!(data.now.is_none() && data.race.is_none() && data.requests.all().next().is_none());
    assert!(data.link.reached);
}

#[test]
fn work_is_followed_from_blocks_and_from_the_history() {
    let mut model = Model::new(View::Requests, 0);
    let row = |kind: &str, interval: u64, fees: &str| EventRow {
        height: interval,
        kind: kind.into(),
        subject: Some(address(1).to_string()),
        interval: Some(interval),
        data: json!({"fees": fees, "reason": "withheld"}),
    };
    // Newest first, as tables are.
    let rows = vec![
        row("work.voided", 3, "7"),
        row("work.matured", 2, "5"),
        row("work.committed", 3, "7"),
        row("work.committed", 2, "5"),
        row("lanes.opened", 9, "1"),
    ];
    news(&mut model, News::Work(rows));
    let states = |model: &Model| -> Vec<(u64, String, u128)> {
        model
            .requests()
            .iter()
            .map(|request| (request.interval, request.state.clone(), request.fees.0))
            .collect()
    };
    assert_eq!(states(&model), [(3, "withheld".into(), 7), (2, "matured".into(), 5)]);
    let block = |event| BlockEvent {
        height: 5,
        id: Digest([0; 32]),
        time_ms: 0,
        epoch: 0,
        phase: "serve".into(),
        transactions: Vec::new(),
        events: vec![event],
    };
    let event = EventView::WorkCommitted { host: address(1), interval: 4, fees: Amount(9) };
    news(&mut model, News::Block(Box::new(block(event))));
    assert_eq!(states(&model)[0], (4, "open".into(), 9));
    let event = EventView::WorkMatured { host: address(1), interval: 4, fees: Amount(9) };
    news(&mut model, News::Block(Box::new(block(event))));
    assert_eq!(states(&model)[0], (4, "matured".into(), 9));
    assert_eq!(model.data().logs.lines(Source::Chain).count(), 2);
    // Of what matured, the oldest is settled first.
    let settled = |to_settle: u128| -> Vec<Settled> {
        let requests = &model.data().requests;
        requests.all().map(|request| requests.settled(request, Some(Amount(to_settle)))).collect()
    };
    assert_eq!(settled(0), [Settled::Yes, Settled::No, Settled::Yes]);
    assert_eq!(settled(9), [Settled::Due, Settled::No, Settled::Yes]);
    assert_eq!(settled(14), [Settled::Due, Settled::No, Settled::Due]);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut model = Model::new(View::Requests, 0);
    for interval in 0..2_000u64 {
        let event = EventView::WorkCommitted { host: address(1), interval, fees: Amount(1) };
        let block = BlockEvent {
            height: interval,
            id: Digest([0; 32]),
            time_ms: 0,
            epoch: 0,
            phase: String::new(),
            transactions: Vec::new(),
            events: vec![event],
        };
        model.update(Message::News(Box::new(News::Block(Box::new(block)))), 0);
    }
    assert_eq!(model.data().requests.all().count(), 500);
    assert_eq!(model.requests()[0].interval, 1_999);
}

#[test]
fn a_log_is_followed_until_somebody_looks_back() {
    let mut model = Model::new(View::Logs, 0);
    let line = |number: usize| logs::read("host-1", &format!("line {number}"));
    model.update(Message::Files(true), 0);
    model.update(Message::Lines((0..100).map(line).collect()), 0);
    assert_eq!((model.place().chosen.as_ref(), model.place().index), (None, 99));
    keys(&mut model, &[Action::Move(-9)]);
    assert_eq!(model.place().chosen.as_deref(), Some("90"));
    model.update(Message::Lines((100..110).map(line).collect()), 0);
    assert_eq!((model.place().chosen.as_deref(), model.place().index), (Some("90"), 90));
    keys(&mut model, &[Action::Last]);
    model.update(Message::Lines(vec![line(110)]), 0);
    assert_eq!((model.place().chosen.as_ref(), model.place().index), (None, 110));
    keys(&mut model, &[Action::ChainLog]);
    assert_eq!((model.log_source(), model.lines().len()), (Source::Chain, 0));
}
