//! Comparisons, counting, days and months.

use super::{LARGEST, number};
use crate::corpus::random::Random;

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Which of two numbers is larger or smaller, and what is even.
pub(super) fn comparison(random: &mut Random) -> (String, String) {
    let first = number(random);
    let mut second = number(random);
    if first == second {
        second = first + 1;
    }
    let (smaller, larger) = (first.min(second), first.max(second));
    let word = if first > second { "larger" } else { "smaller" };
    match random.below(6) {
        0 | 1 => {
            let asks = [
                "which is larger, A or B?",
                "what is bigger, A or B?",
                "which number is greater: A or B",
                "A or B, which is more?",
            ];
            (place(random.pick(&asks), first, second), format!("{larger} is larger than {smaller}."))
        }
        2 => {
            let asks =
                ["which is smaller, A or B?", "what is less, A or B?", "which number is smaller: A or B"];
            (place(random.pick(&asks), first, second), format!("{smaller} is smaller than {larger}."))
        }
        3 => {
            let asks =
                ["is A larger than B?", "is A bigger than B", "is A more than B?", "is A greater than B?"];
            let yes = if first > second { "Yes" } else { "No" };
            (place(random.pick(&asks), first, second), format!("{yes}, {first} is {word} than {second}."))
        }
        4 => {
            let asks = ["is A smaller than B?", "is A less than B", "is A fewer than B?"];
            let yes = if first < second { "Yes" } else { "No" };
            (place(random.pick(&asks), first, second), format!("{yes}, {first} is {word} than {second}."))
        }
        _ => {
            let asks = ["is A even or odd?", "is A odd", "is A an even number?", "A: even or odd?"];
            let parity = if first.is_multiple_of(2) { "even" } else { "odd" };
            (place(random.pick(&asks), first, second), format!("{first} is {parity}."))
        }
    }
}

/// Counting up and down, and neighbours of a number.
pub(super) fn counting(random: &mut Random) -> (String, String) {
    let list = |numbers: Vec<usize>| {
        let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
        format!("{}.", numbers.join(", "))
    };
    match random.below(5) {
        0 | 1 => {
            let last = random.between(2, 20);
            let asks = [
                "count to A",
                "count up to A",
                "can you count to A?",
                "count from 1 to A",
                "please count to A",
                "list the numbers to A",
            ];
            (place(random.pick(&asks), last, 0), list((1..=last).collect()))
        }
        2 => {
            let first = random.between(2, 30);
            let last = first + random.between(2, 9);
            (
                place(random.pick(&["count from A to B", "list the numbers from A to B"]), first, last),
                list((first..=last).collect()),
            )
        }
        3 => {
            let first = random.between(2, 15);
            let asks = ["count down from A", "count backwards from A", "countdown from A"];
            (place(random.pick(&asks), first, 0), list((1..=first).rev().collect()))
        }
        _ => {
            let value = random.between(1, LARGEST);
            if random.percent(50) {
                let asks = [
                    "what comes after A?",
                    "which number follows A?",
                    "what is the next number after A",
                    "the number after A",
                ];
                (place(random.pick(&asks), value, 0), format!("After {value} comes {}.", value + 1))
            } else {
                let asks = ["what comes before A?", "which number is before A?", "the number before A"];
                (place(random.pick(&asks), value, 0), format!("Before {value} comes {}.", value - 1))
            }
        }
    }
}

/// Days of the week and months of the year.
pub(super) fn calendar(random: &mut Random) -> (String, String) {
    let (names, unit): (&[&str], &str) = if random.percent(65) { (&DAYS, "day") } else { (&MONTHS, "month") };
    let index = random.below(names.len());
    let name = if random.percent(50) { names[index].to_lowercase() } else { names[index].to_owned() };
    match random.below(7) {
        0..3 => {
            let asks = [
                format!("what comes after {name}?"),
                format!("which {unit} is after {name}"),
                format!("what {unit} follows {name}?"),
                format!("the {unit} after {name}"),
            ];
            let next = names[(index + 1) % names.len()];
            (asks[random.below(4)].clone(), format!("After {} comes {next}.", names[index]))
        }
        3 | 4 => {
            let asks = [
                format!("what comes before {name}?"),
                format!("which {unit} is before {name}"),
                format!("the {unit} before {name}"),
            ];
            let last = names[(index + names.len() - 1) % names.len()];
            (asks[random.below(3)].clone(), format!("Before {} comes {last}.", names[index]))
        }
        5 => {
            let (asks, answer) = if unit == "day" {
                (
                    ["how many days are in a week?", "how many days has a week", "number of days in a week"],
                    "A week has 7 days.",
                )
            } else {
                (
                    [
                        "how many months are in a year?",
                        "how many months has a year",
                        "number of months in a year",
                    ],
                    "A year has 12 months.",
                )
            };
            (random.pick(&asks).to_owned(), answer.to_owned())
        }
        _ => {
            let whole = if unit == "day" { "week" } else { "year" };
            let asks = [
                format!("list the {unit}s of the {whole}"),
                format!("what are the {unit}s of the {whole}?"),
                format!("name all {unit}s"),
            ];
            (asks[random.below(3)].clone(), format!("{}.", names.join(", ")))
        }
    }
}

fn place(wording: &str, first: usize, second: usize) -> String {
    wording.replace('A', &first.to_string()).replace('B', &second.to_string())
}
