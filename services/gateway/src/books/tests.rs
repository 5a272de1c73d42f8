//! Budgets are never exceeded, and what is spent is not forgotten.

use super::*;
use proptest::prelude::*;

const NEVER: u64 = u64::MAX;

fn line(id: u8, limit: u128) -> Line {
    Line { id: [id; 32], limit: Amount(limit), until: NEVER }
}

fn lines(lines: &[Line]) -> Arc<[Line]> {
    lines.into()
}

/// Spends `fee` with `most` set aside.
fn spend(books: &Arc<Books>, on: &Arc<[Line]>, most: u128, fee: u128) -> Result<(), Refused> {
    books.reserve(on, Amount(most), 0)?.charge(Amount(fee));
    Ok(())
}

#[test]
fn the_rest_is_released() {
    let (books, line) = (Books::in_memory(), line(1, 100));
    let on = lines(&[line]);
    let mut first = books.reserve(&on, Amount(60), 0).expect("room");
    assert_eq!(books.free(&line), Amount(40));
    assert!(matches!(books.reserve(&on, Amount(41), 0), Err(Refused::Short(Amount(40)))));
    first.charge(Amount(10));
    assert_eq!(books.free(&line), Amount(40));
    drop(first);
    assert_eq!(books.free(&line), Amount(90));
    // Cancelled: it costs nothing.
    drop(books.reserve(&on, Amount(90), 0).expect("room"));
    assert_eq!((books.free(&line), books.spent(&line.id)), (Amount(90), Amount(10)));
    // Two parts of one request, and one that cost more than was thought.
    let mut last = books.reserve(&on, Amount(50), 0).expect("room");
    last.charge(Amount(20));
    last.charge(Amount(40));
    drop(last);
    assert_eq!((books.free(&line), books.spent(&line.id)), (Amount(30), Amount(70)));
}

#[test]
fn all_budgets_of_a_chain_bound_it_or_none_is_touched() {
    let books = Books::in_memory();
    let (parent, one, other) = (line(1, 100), line(2, 80), line(3, 80));
    spend(&books, &lines(&[parent, one]), 80, 80).expect("room");
    // The sum of children is bounded by the parent.
    assert_eq!(spend(&books, &lines(&[parent, other]), 30, 30), Err(Refused::Short(Amount(20))));
    assert_eq!(books.free(&other), Amount(80));
    spend(&books, &lines(&[parent, other]), 20, 20).expect("room");
    assert_eq!(spend(&books, &lines(&[parent]), 1, 1), Err(Refused::Short(Amount(0))));
    // What spent nothing is not remembered.
    drop(books.reserve(&lines(&[line(9, 5)]), Amount(5), 0).expect("room"));
    assert_eq!(books.len(), 3);
}

#[test]
fn budgets_hold_under_concurrency() {
    let books = Books::in_memory();
    let parent = line(0, 10_000);
    std::thread::scope(|scope| {
        for thread in 1..=8u8 {
            let books = Arc::clone(&books);
            scope.spawn(move || {
                let on = lines(&[parent, line(thread, 2_000)]);
                for round in 0..2_000u128 {
                    let Ok(mut reserved) = books.reserve(&on, Amount(7), 0) else { continue };
                    if round % 3 > 0 {
                        reserved.charge(Amount(round % 7 + 1));
                    }
                }
            });
        }
    });
    let sum: u128 = (1..=8).map(|id| books.spent(&[id; 32]).0).sum();
    assert_eq!(books.spent(&parent.id).0, sum);
    assert!(sum <= 10_000 && sum > 10_000 - 7, "{sum}");
    assert!((1..=8).all(|id| books.spent(&[id; 32]).0 <= 2_000));
}

#[test]
fn a_restart_forgets_nothing_that_still_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("gateway");
    let (lasting, ending) = (line(1, 100), Line { until: 50, ..line(2, 100) });
    {
        let books = Books::open(&data, 10).expect("new books");
        spend(&books, &lines(&[lasting]), 30, 30).expect("room");
        spend(&books, &lines(&[lasting, ending]), 30, 5).expect("room");
        // Under way when the process ends: it was not paid as far as is known.
        std::mem::forget(books.reserve(&lines(&[lasting]), Amount(65), 0).expect("room"));
        let error = Books::open(&data, 10).expect_err("one gateway at a time").to_string();
        assert!(error.contains("another gateway"), "{error}");
        // The thread holds the lock as long as the books live; forgetting the reservation keeps them alive.
        let lock = books.state().journal.take();
        drop(lock);
    }
    let books = Books::open(&data, 49).expect("the same books");
    assert_eq!((books.spent(&lasting.id), books.free(&lasting)), (Amount(35), Amount(65)));
    assert_eq!(books.spent(&ending.id), Amount(5));
    // Who looks from outside sees the same, while the gateway runs.
    let seen = Spent::read(&data).expect("they can be read").expect("there are books");
    assert_eq!([1, 2, 3].map(|id| seen.of(&crate::PassId([id; 32])).0), [35, 5, 0]);
    assert!(Spent::read(folder.path()).expect("no books are no error").is_none());
    drop(books);
    let file = data.join("spent");
    let whole = std::fs::read(&file).expect("the file");
    // A torn write at the end was never there.
    std::fs::write(&file, [whole.as_slice(), &[7; 30]].concat()).expect("written");
    let books = open_again(&data, 51);
    assert_eq!((books.spent(&lasting.id), books.spent(&ending.id)), (Amount(35), Amount(0)));
    drop(books);
    // Damage in the middle is told, not passed over.
    let mut damaged = whole;
    damaged[3] ^= 1;
    std::fs::write(&file, damaged).expect("written");
    let error = loop {
        let error = Books::open(&data, 51).expect_err("damaged").to_string();
        if !error.contains("another gateway") {
            break error;
        }
        std::thread::yield_now();
    };
    assert!(error.contains("damaged"), "{error}");
}

/// The thread of books that were dropped may still hold them for a moment.
fn open_again(data: &Path, now: u64) -> Arc<Books> {
    loop {
        match Books::open(data, now) {
            Err(error) if error.to_string().contains("another gateway") => std::thread::yield_now(),
            result => return result.expect("the same books"),
        }
    }
}

#[test]
fn the_file_stays_small() {
    let folder = tempfile::tempdir().expect("a folder");
    let books = Books::open(folder.path(), 0).expect("new books");
    let on = lines(&[line(1, u128::MAX)]);
    for _ in 0..40_000 {
        spend(&books, &on, 2, 2).expect("room");
    }
    drop(books);
    let books = open_again(folder.path(), 0);
    assert_eq!(books.spent(&[1; 32]), Amount(80_000));
    // 40,000 records are 2.5 MB.
    let bytes = std::fs::metadata(folder.path().join("spent")).expect("the file").len();
    assert!(bytes < 2_000_000, "{bytes}");
}

#[test]
fn room_comes_from_what_has_ended() {
    let books = Books::in_memory();
    books.state().most = 2;
    for id in 1..=2 {
        spend(&books, &lines(&[Line { until: 100, ..line(id, 9) }]), 1, 1).expect("room");
    }
    let third = lines(&[line(3, 9)]);
    assert!(matches!(books.reserve(&third, Amount(1), 90), Err(Refused::Full)));
    assert!(books.reserve(&third, Amount(1), 101).is_ok());
}

proptest! {
    #[test]
    fn no_order_of_requests_exceeds_a_budget(
        limits in proptest::collection::vec(0u128..60, 3),
        steps in proptest::collection::vec((0usize..3, 0u128..20, 0u128..20, any::<bool>()), 0..60),
    ) {
        let books = Books::in_memory();
        let parent = line(100, 90);
        let children: Vec<Line> = limits.iter().zip(1u8..).map(|(limit, id)| line(id, *limit)).collect();
        let mut under_way = Vec::new();
        for (child, most, fee, end) in steps {
            if end && !under_way.is_empty() {
                drop(under_way.remove(0));
                continue;
            }
            if let Ok(mut reserved) = books.reserve(&lines(&[parent, children[child]]), Amount(most), 0) {
                reserved.charge(Amount(fee.min(most)));
                under_way.push(reserved);
            }
            for line in children.iter().chain([&parent]) {
                prop_assert!(books.spent(&line.id) <= line.limit);
            }
        }
        drop(under_way);
        let sum: u128 = children.iter().map(|line| books.spent(&line.id).0).sum();
        prop_assert_eq!(books.spent(&parent.id).0, sum);
        prop_assert_eq!(books.free(&parent).0, 90 - sum);
    }
}
