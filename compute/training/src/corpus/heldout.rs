//! Held-out questions: wordings that the corpus never draws, with what a sensible answer must contain.
//!
//! One a line: the question, a tab, and groups of words separated by `;`. An answer is sensible if it contains at least
//! one word of every group, whatever the case; words of a group are separated by `|`. A group that begins with `!` lists words that the answer must not contain.

use super::CorpusError;

/// The file with the questions.
pub const FILE: &str = include_str!("../../tests/held-out.tsv");

/// A question and what its answer is judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldOut {
    /// The question.
    pub question: String,
    wanted: Vec<Vec<String>>,
    unwanted: Vec<String>,
}

impl HeldOut {
    /// Reads all questions of a file.
    ///
    /// # Errors
    /// Names the line that has no tab or no words.
    pub fn read(file: &str) -> Result<Vec<Self>, CorpusError> {
        let lines = file.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        lines
            .map(|(index, line)| {
                let problem = |problem: &str| CorpusError {
                    file: "held-out.tsv".to_owned(),
                    line: index + 1,
                    problem: problem.to_owned(),
                };
                let (question, words) =
                    line.split_once('\t').ok_or_else(|| problem("no tab; put one before the words"))?;
                let list =
                    |group: &str| group.split('|').map(|word| word.trim().to_lowercase()).collect::<Vec<_>>();
                let mut held_out =
                    Self { question: question.to_owned(), wanted: Vec::new(), unwanted: Vec::new() };
                for group in words.split(';') {
                    match group.trim().strip_prefix('!') {
                        Some(group) => held_out.unwanted.extend(list(group)),
                        None => held_out.wanted.push(list(group)),
                    }
                }
                if held_out.wanted.iter().flatten().chain(&held_out.unwanted).any(String::is_empty) {
                    return Err(problem("an empty word; write what the answer must contain"));
                }
                Ok(held_out)
            })
            .collect()
    }

    /// Whether `answer` contains what it must and nothing that it must not.
    pub fn sensible(&self, answer: &str) -> bool {
        let answer = answer.to_lowercase();
        self.wanted.iter().all(|group| group.iter().any(|word| answer.contains(word)))
            && !self.unwanted.iter().any(|word| answer.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::corpus::conversations::{Conversations, Role};
    use crate::corpus::intents::Intents;
    use crate::corpus::random::Random;
    use crate::corpus::sums;

    /// What is left of a question without case and punctuation.
    fn bare(question: &str) -> String {
        let kept: String =
            question.to_lowercase().chars().map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect();
        kept.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn no_held_out_question_is_drawn_in_training() {
        let intents = Intents::load().expect("the corpus can be read");
        let mut drawn: BTreeSet<String> = intents
            .all
            .iter()
            .flat_map(|intent| intents.wordings(intent))
            .map(|wording| bare(&wording))
            .collect();
        let mut random = Random::new(0);
        drawn.extend((0..50_000).map(|_| bare(&sums::draw(&mut random).0)));
        let conversations = Conversations::load().expect("the corpus can be read");
        let noisy = (0..50_000).flat_map(|_| conversations.draw(&mut random));
        drawn.extend(noisy.filter(|message| message.role == Role::User).map(|message| bare(&message.text)));
        for held_out in HeldOut::read(FILE).expect("the file can be read") {
            assert!(
                !drawn.contains(&bare(&held_out.question)),
                "{} is a wording of the corpus",
                held_out.question
            );
        }
    }

    #[test]
    fn there_are_many_and_each_has_an_answer_in_the_corpus() {
        let intents = Intents::load().expect("the corpus can be read");
        let all = HeldOut::read(FILE).expect("the file can be read");
        assert!(all.len() >= 60, "{}", all.len());
        for held_out in
            all.iter().filter(|held_out| !held_out.question.contains(|c: char| c.is_ascii_digit()))
        {
            let answered =
                intents.all.iter().flat_map(|intent| &intent.answers).any(|answer| held_out.sensible(answer));
            let mut random = Random::new(1);
            let answered = answered || (0..20_000).any(|_| held_out.sensible(&sums::draw(&mut random).1));
            assert!(answered, "no answer of the corpus suits {}", held_out.question);
        }
    }

    #[test]
    fn answers_are_judged_by_words() {
        let held_out = &HeldOut::read("q\tone|two;three;!four").expect("well formed")[0];
        assert!(held_out.sensible("Two and Three"));
        assert!(!held_out.sensible("two"));
        assert!(!held_out.sensible("two three four"));
        assert!(HeldOut::read("no tab").is_err() && HeldOut::read("q\ta||b").is_err());
    }
}
