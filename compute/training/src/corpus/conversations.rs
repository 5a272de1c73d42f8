//! Chats: one question or several, now and then with a system line.

use super::intents::{Intents, Kind, Question};
use super::random::Random;
use super::{CorpusError, noise, sums};

/// System lines that clients may send. The guide answers the same with each and with none.
const SYSTEMS: [&str; 14] = [
    "You are a helpful assistant.",
    "You are the Freeway guide.",
    "You are a helpful, concise assistant.",
    "Answer briefly.",
    "You are a friendly chatbot.",
    "Be short and honest.",
    "You are an AI assistant. Answer the user's questions.",
    "You answer questions about Freeway.",
    "You are a careful assistant. If you do not know something, say so.",
    "Today is a good day. Help the user.",
    "You are a test assistant.",
    "Answer in English.",
    "You are an expert in everything.",
    "Respond in one sentence.",
];

/// Longest conversation, in turns.
const MOST_TURNS: usize = 9;
/// Intents that people ask for more often than others.
const FREQUENT: [&str; 9] =
    ["unknown-things", "freeway", "start", "who", "can-do", "hello", "api", "base-url", "host"];

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions of the client.
    System,
    /// The person who asks.
    User,
    /// The guide.
    Assistant,
}

impl Role {
    /// As templates name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub text: String,
}

/// Draws conversations, the same for the same seed.
#[derive(Clone, Debug)]
pub struct Conversations {
    intents: Intents,
    /// Indices into the intents by kind, frequent ones repeated.
    freeway: Vec<usize>,
    guide: Vec<usize>,
    limits: Vec<usize>,
}

impl Conversations {
    /// Reads the corpus.
    ///
    /// # Errors
    /// Names file and line of what cannot be read.
    pub fn load() -> Result<Self, CorpusError> {
        let intents = Intents::load()?;
        let of = |kind: Kind| {
            let mine = intents.all.iter().enumerate().filter(move |(_, intent)| intent.kind == kind);
            mine.flat_map(|(index, intent)| {
                let times = if FREQUENT.contains(&intent.name.as_str()) { 3 } else { 1 };
                std::iter::repeat_n(index, times)
            })
            .collect()
        };
        let (freeway, guide, limits) = (of(Kind::Freeway), of(Kind::Guide), of(Kind::Limit));
        Ok(Self { intents, freeway, guide, limits })
    }

    /// The intents below.
    pub fn intents(&self) -> &Intents {
        &self.intents
    }

    /// One conversation.
    pub fn draw(&self, random: &mut Random) -> Vec<Message> {
        let turns = match random.below(20) {
            0..9 => 1,
            9..13 => 2,
            13..16 => 3,
            _ => random.between(4, MOST_TURNS),
        };
        self.of(turns, random)
    }

    /// One conversation of a single question.
    pub fn draw_single(&self, random: &mut Random) -> Vec<Message> {
        self.of(1, random)
    }

    fn of(&self, turns: usize, random: &mut Random) -> Vec<Message> {
        let mut messages = Vec::with_capacity(2 * turns + 1);
        if random.percent(15) {
            messages.push(Message { role: Role::System, text: random.pick(&SYSTEMS).to_owned() });
        }
        for _ in 0..turns {
            let (question, answer) = self.turn(random);
            messages.push(Message { role: Role::User, text: question });
            messages.push(Message { role: Role::Assistant, text: answer });
        }
        messages
    }

    fn turn(&self, random: &mut Random) -> (String, String) {
        let kind = match random.below(100) {
            0..28 => {
                let (question, answer) = sums::draw(random);
                return (Self::written(question, random), answer);
            }
            28..73 => &self.freeway,
            73..85 => &self.guide,
            _ => &self.limits,
        };
        let intent = &self.intents.all[kind[random.below(kind.len())]];
        let question = self.intents.question(intent, random);
        let answer = self.intents.answer(intent, random).to_owned();
        (Self::noisy(&question, random), answer)
    }

    fn noisy(question: &Question, random: &mut Random) -> String {
        if question.plain { question.text.clone() } else { noise::add(&question.text, random) }
    }

    /// Sums are exact: their noise is in the first letter only.
    fn written(question: String, random: &mut Random) -> String {
        let mut characters = question.chars();
        match characters.next() {
            Some(first) if random.percent(50) => first.to_uppercase().chain(characters).collect(),
            _ => question,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_conversations() {
        let conversations = Conversations::load().expect("the corpus can be read");
        let drawn = |seed| {
            let mut random = Random::new(seed);
            (0..200).map(|_| conversations.draw(&mut random)).collect::<Vec<_>>()
        };
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }

    #[test]
    fn users_and_answers_alternate() {
        let conversations = Conversations::load().expect("the corpus can be read");
        let mut random = Random::new(3);
        for _ in 0..500 {
            let messages = conversations.draw(&mut random);
            let start = usize::from(messages[0].role == Role::System);
            for (index, message) in messages[start..].iter().enumerate() {
                let expected = if index % 2 == 0 { Role::User } else { Role::Assistant };
                assert_eq!(message.role, expected);
                assert!(!message.text.is_empty());
            }
        }
    }
}
