//! Small sums, comparisons, counting, days and months: generated, not listed.

mod lists;

use super::random::Random;

/// Largest number in sums and differences.
pub const LARGEST: usize = 99;
/// Largest factor of a product.
pub const LARGEST_FACTOR: usize = 12;

const WORDS: [&str; 21] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
];
const THINGS: [&str; 12] = [
    "apples", "coins", "books", "hosts", "machines", "eggs", "keys", "cups", "stones", "balls", "tokens",
    "pens",
];

const PLUS: [&str; 16] = [
    "A + B",
    "A+B",
    "A plus B",
    "add A and B",
    "the sum of A and B",
    "A and B together",
    "A + B =",
    "A+B=",
    "A + B = ?",
    "A add B",
    "add B to A",
    "A and B added",
    "sum A and B",
    "A more than B",
    "A added to B",
    "the result of A + B",
];
const MINUS: [&str; 12] = [
    "A - B",
    "A-B",
    "A minus B",
    "subtract B from A",
    "A - B =",
    "A-B=",
    "A take away B",
    "the difference of A and B",
    "A less B",
    "A - B = ?",
    "take B from A",
    "the result of A - B",
];
const TIMES: [&str; 14] = [
    "A * B",
    "A*B",
    "A times B",
    "A x B",
    "multiply A by B",
    "A * B =",
    "A*B=",
    "the product of A and B",
    "A multiplied by B",
    "A × B",
    "A*B = ?",
    "multiply A and B",
    "A x B =",
    "the result of A * B",
];
const DIVIDED: [&str; 6] = ["A / B", "A/B", "A divided by B", "divide A by B", "A : B", "A over B"];
const ASKED: [&str; 14] = [
    "what is ",
    "what's ",
    "how much is ",
    "calculate ",
    "compute ",
    "can you work out ",
    "tell me ",
    "please calculate ",
    "work out ",
    "what does this give: ",
    "solve ",
    "do you know ",
    "whats ",
    "give me ",
];

/// A question and its answer.
pub fn draw(random: &mut Random) -> (String, String) {
    match random.below(100) {
        0..32 => sum(random),
        32..52 => difference(random),
        52..72 => product(random),
        72..76 => too_large(random),
        76..85 => lists::comparison(random),
        85..92 => lists::counting(random),
        _ => lists::calendar(random),
    }
}

fn number(random: &mut Random) -> usize {
    match random.below(10) {
        0..3 => random.below(10),
        3..5 => random.below(21),
        _ => random.below(LARGEST + 1),
    }
}

/// Puts numbers into a wording, now and then as words.
fn ask(wording: &str, first: usize, second: usize, random: &mut Random) -> String {
    let spoken =
        wording.is_ascii() && !wording.contains(['+', '-', '*', '=', '/', ':']) && random.percent(25);
    let write = |value: usize| match WORDS.get(value).filter(|_| spoken) {
        Some(word) => (*word).to_owned(),
        None => value.to_string(),
    };
    let text: String = wording
        .chars()
        .map(|character| match character {
            'A' => write(first),
            'B' => write(second),
            other => other.to_string(),
        })
        .collect();
    let text = if random.percent(55) { format!("{}{text}", random.pick(&ASKED)) } else { text };
    if text.ends_with(['=', '?']) {
        return text;
    }
    match random.below(10) {
        0..5 => text + "?",
        5 => text + " please",
        _ => text,
    }
}

fn sum(random: &mut Random) -> (String, String) {
    let (first, second) = (number(random), number(random));
    let question = if random.percent(12) {
        let thing = random.pick(&THINGS);
        let stories = [
            format!("i have {first} {thing} and get {second} more, how many {thing} do i have?"),
            format!("if i have {first} {thing} and you give me {second}, how many have i?"),
            format!("there are {first} {thing}. {second} more come. how many are there?"),
            format!("{first} {thing} and {second} {thing}, how many is that?"),
        ];
        stories[random.below(stories.len())].clone()
    } else {
        ask(random.pick(&PLUS), first, second, random)
    };
    (question, format!("{first} + {second} = {}.", first + second))
}

fn difference(random: &mut Random) -> (String, String) {
    let (mut first, mut second) = (number(random), number(random));
    if first < second && random.percent(85) {
        (first, second) = (second, first);
    }
    let question = if first >= second && random.percent(12) {
        let thing = random.pick(&THINGS);
        let stories = [
            format!("i have {first} {thing} and lose {second}, how many {thing} are left?"),
            format!("there are {first} {thing}. {second} go away. how many are left?"),
            format!("i had {first} {thing} and gave away {second}, how many do i have?"),
        ];
        stories[random.below(stories.len())].clone()
    } else {
        ask(random.pick(&MINUS), first, second, random)
    };
    let result = if first >= second { (first - second).to_string() } else { format!("-{}", second - first) };
    (question, format!("{first} - {second} = {result}."))
}

fn product(random: &mut Random) -> (String, String) {
    let (first, second) = (random.below(LARGEST_FACTOR + 1), random.below(LARGEST_FACTOR + 1));
    if random.percent(8) {
        let (question, factor) = match random.below(3) {
            0 => (format!("double {first}"), 2),
            1 => (format!("what is twice {first}?"), 2),
            _ => (format!("what is three times {first}?"), 3),
        };
        return (question, format!("{factor} * {first} = {}.", factor * first));
    }
    (ask(random.pick(&TIMES), first, second, random), format!("{first} * {second} = {}.", first * second))
}

fn too_large(random: &mut Random) -> (String, String) {
    let large = |random: &mut Random| match random.below(3) {
        0 => random.between(100, 999),
        1 => random.between(1000, 9999),
        _ => random.between(10_000, 999_999),
    };
    if random.percent(35) {
        let question = ask(random.pick(&DIVIDED), number(random), random.between(1, 20), random);
        return (question, "I cannot divide. I add, subtract and multiply small numbers.".to_owned());
    }
    let (first, second) = (large(random), if random.percent(50) { large(random) } else { number(random) });
    let wording = match random.below(3) {
        0 => random.pick(&PLUS),
        1 => random.pick(&MINUS),
        _ => random.pick(&TIMES),
    };
    let answer = "Such large numbers are too much for me: I do sums up to 99 and products up to 12 times 12.";
    (ask(wording, first, second, random), answer.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sum_is_right() {
        let mut random = Random::new(11);
        let mut checked = 0;
        for _ in 0..5000 {
            let (question, answer) = draw(&mut random);
            assert!(
                !question.is_empty() && !question.split(' ').any(|word| ["A", "B"].contains(&word)),
                "{question}"
            );
            let parts: Vec<&str> = answer.trim_end_matches('.').split(' ').collect();
            if let [first, sign, second, "=", result] = parts[..] {
                let [first, second, result] =
                    [first, second, result].map(|text| text.parse::<i64>().expect("a number"));
                let expected = match sign {
                    "+" => first + second,
                    "-" => first - second,
                    _ => first * second,
                };
                assert_eq!(result, expected, "{question} {answer}");
                checked += 1;
            }
        }
        assert!(checked > 2000);
    }
}
