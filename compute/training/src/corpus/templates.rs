//! Sentences with choices: `{a|b}` is one of, `[a]` is a or nothing, `{@city}` is one of a named list.
//!
//! Choices nest. A `|` outside all brackets separates whole sentences.

use std::collections::BTreeMap;

use super::random::Random;

/// Named lists that `{@name}` draws from.
pub type Lists = BTreeMap<String, Vec<String>>;

/// How deep choices may nest.
const DEEPEST: usize = 8;

/// One sentence with choices.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    OneOf(Vec<Template>),
    List(String),
}

impl Template {
    /// Reads sentences separated by `|`.
    ///
    /// # Errors
    /// Says what is wrong with the brackets.
    pub fn read_all(text: &str) -> Result<Vec<Self>, String> {
        split(text)?.into_iter().map(|sentence| Self::read(sentence.trim(), 0)).collect()
    }

    /// Reads one sentence; a `|` outside brackets is a plain character.
    ///
    /// # Errors
    /// Says what is wrong with the brackets.
    pub fn read_one(text: &str) -> Result<Self, String> {
        Self::read(text, 0)
    }

    fn read(text: &str, depth: usize) -> Result<Self, String> {
        if depth > DEEPEST {
            return Err(format!("choices nest deeper than {DEEPEST}; write several lines"));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find(['{', '[']) {
            if start > 0 {
                parts.push(Part::Text(rest[..start].to_owned()));
            }
            let end = start + closing(&rest[start..]).ok_or("a bracket is not closed; close it")?;
            let inner = &rest[start + 1..end];
            if let Some(name) = inner.strip_prefix('@').filter(|name| !name.contains(['|', '{', '['])) {
                parts.push(Part::List(name.to_owned()));
            } else {
                let mut choices: Vec<Self> = split(inner)?
                    .into_iter()
                    .map(|choice| Self::read(choice, depth + 1))
                    .collect::<Result<_, _>>()?;
                if rest[start..].starts_with('[') {
                    choices.push(Self { parts: Vec::new() });
                }
                parts.push(Part::OneOf(choices));
            }
            rest = &rest[end + 1..];
        }
        if rest.contains(['}', ']']) {
            return Err("a bracket is closed that was not opened; open it".to_owned());
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// One sentence, with single spaces.
    ///
    /// # Panics
    /// If a list is missing: [`Template::missing`] says so beforehand.
    pub fn draw(&self, lists: &Lists, random: &mut Random) -> String {
        let mut drawn = String::new();
        self.draw_into(lists, random, &mut drawn);
        tidy(&drawn)
    }

    fn draw_into(&self, lists: &Lists, random: &mut Random, drawn: &mut String) {
        for part in &self.parts {
            match part {
                Part::Text(text) => drawn.push_str(text),
                Part::OneOf(choices) => choices[random.below(choices.len())].draw_into(lists, random, drawn),
                Part::List(name) => {
                    let list = &lists[name];
                    drawn.push_str(&list[random.below(list.len())]);
                }
            }
        }
    }

    /// Every sentence that can be drawn, at most `limit` of them.
    pub fn all(&self, lists: &Lists, limit: usize) -> Vec<String> {
        let mut sentences = vec![String::new()];
        for part in &self.parts {
            let choices = match part {
                Part::Text(text) => vec![text.clone()],
                Part::OneOf(choices) => choices.iter().flat_map(|choice| choice.all(lists, limit)).collect(),
                Part::List(name) => lists[name].clone(),
            };
            sentences = sentences
                .iter()
                .flat_map(|sentence| choices.iter().map(move |choice| format!("{sentence}{choice}")))
                .take(limit)
                .collect();
        }
        sentences.iter().map(|sentence| tidy(sentence)).collect()
    }

    /// A list that the sentence draws from and that is not among `lists`.
    pub fn missing(&self, lists: &Lists) -> Option<&str> {
        self.parts.iter().find_map(|part| match part {
            Part::Text(_) => None,
            Part::OneOf(choices) => choices.iter().find_map(|choice| choice.missing(lists)),
            Part::List(name) => (!lists.contains_key(name)).then_some(name.as_str()),
        })
    }
}

/// Single spaces, none at the ends and none before a comma.
fn tidy(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace(" ,", ",")
}

/// Index of the bracket that closes the one at the beginning.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, character) in text.char_indices() {
        match character {
            '{' | '[' => depth += 1,
            '}' | ']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(index);
                }
            }
            _ => {}
        }
    }
    None
}

/// Splits at every `|` outside brackets.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let mut pieces = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (index, character) in text.char_indices() {
        match character {
            '{' | '[' => depth += 1,
            '}' | ']' => {
                depth = depth.checked_sub(1).ok_or("a bracket is closed that was not opened; open it")?
            }
            '|' if depth == 0 => {
                pieces.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_choices_appear() {
        let lists = Lists::from([("city".to_owned(), vec!["Rome".to_owned(), "Oslo".to_owned()])]);
        let template = Template::read_one("go {to {@city}|home} [now]").expect("well formed");
        let mut all = template.all(&lists, 100);
        all.sort();
        assert_eq!(
            all,
            ["go home", "go home now", "go to Oslo", "go to Oslo now", "go to Rome", "go to Rome now"]
        );
        let mut random = Random::new(1);
        assert!((0..50).all(|_| all.contains(&template.draw(&lists, &mut random))));
    }

    #[test]
    fn sentences_are_separated_outside_brackets() {
        assert_eq!(Template::read_all("a|b {c|d}").expect("well formed").len(), 2);
    }

    #[test]
    fn wrong_brackets_are_named() {
        for text in ["{a", "a}", "[a}b]c}", "{{{{{{{{{{a}}}}}}}}}}"] {
            assert!(Template::read_all(text).is_err(), "{text}");
        }
    }

    #[test]
    fn missing_lists_are_found() {
        let template = Template::read_one("in {x|{@city}}").expect("well formed");
        assert_eq!(template.missing(&Lists::new()), Some("city"));
    }
}
