//! Batches: conversations as tokens, of similar length together.

use super::TrainError;
use super::vocabulary::Vocabulary;
use crate::chat;
use crate::corpus::conversations::{Conversations, Message};
use crate::corpus::random::Random;

/// Conversations drawn and sorted together.
const ROUND: usize = 1500;
/// Longest conversation, in tokens; the rest is cut.
pub const LONGEST: usize = 384;
/// How many tokens at the beginning of an answer count more: they decide which answer it becomes.
const BEGINNING: usize = 8;
/// How much they count; all others count 1.
const BEGINNING_SHARE: f32 = 4.0;
/// Percent of answers that stay whole in the stage of beginnings.
const WHOLE: usize = 25;
/// Tokens that are left of an answer that is cut.
const CUT: usize = 12;
/// Rows are padded to a multiple of this.
const STEP: usize = 8;

/// Conversations of similar length, padded to one length.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Number of rows.
    pub rows: usize,
    /// Tokens per row, padding included.
    pub length: usize,
    /// `[rows][length]`
    pub tokens: Vec<i32>,
    /// Indices into `tokens` at which the next token counts.
    pub positions: Vec<i32>,
    /// The token that follows each of `positions`.
    pub targets: Vec<i32>,
    /// How much each of `targets` counts.
    pub shares: Vec<f32>,
}

/// A conversation as tokens.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    tokens: Vec<u32>,
    /// How much each token counts; 0 if it has not to be learned.
    shares: Vec<f32>,
}

impl Row {
    fn new(vocabulary: &Vocabulary, messages: &[Message]) -> Result<Self, TrainError> {
        let mut row = Self { tokens: Vec::new(), shares: Vec::new() };
        for piece in chat::pieces(messages) {
            let tokens = vocabulary.encode(&piece.text)?;
            row.shares.extend((0..tokens.len()).map(|place| match (piece.learned, place < BEGINNING) {
                (false, _) => 0.0,
                (true, true) => BEGINNING_SHARE,
                (true, false) => 1.0,
            }));
            row.tokens.extend(tokens);
        }
        row.tokens.truncate(LONGEST);
        row.shares.truncate(LONGEST);
        Ok(row)
    }
}

impl Row {
    /// Leaves the beginning of the only answer.
    fn cut(&mut self) {
        if let Some(start) = self.shares.iter().position(|share| *share > 0.0) {
            self.tokens.truncate(start + CUT);
            self.shares.truncate(start + CUT);
        }
    }
}

impl Batch {
    fn new(rows: &[Row], padding: u32) -> Self {
        let longest = rows.iter().map(|row| row.tokens.len()).max().unwrap_or(0);
        let length = longest.next_multiple_of(STEP);
        let mut batch = Self {
            rows: rows.len(),
            length,
            tokens: Vec::new(),
            positions: Vec::new(),
            targets: Vec::new(),
            shares: Vec::new(),
        };
        for (index, row) in rows.iter().enumerate() {
            for (place, (share, token)) in row.shares.iter().zip(&row.tokens).enumerate().skip(1) {
                if *share > 0.0 {
                    // Padding comes after everything that counts, and attention looks back only: it is never seen.
                    batch.positions.push((index * length + place - 1) as i32);
                    batch.targets.push(*token as i32);
                    batch.shares.push(*share);
                }
            }
            let tokens = row.tokens.iter().copied().chain(std::iter::repeat(padding)).take(length);
            batch.tokens.extend(tokens.map(|token| token as i32));
        }
        batch
    }
}

/// What is learned when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Single questions, most answers cut after their beginning: which answer belongs to which question. That is learned much
    /// faster where no other questions stand before it, and from many questions rather than from whole answers.
    Beginnings,
    /// Whole conversations: to look at the last question only, and to end an answer.
    Conversations,
}

impl Stage {
    fn draw(self, conversations: &Conversations, random: &mut Random) -> Vec<Message> {
        match self {
            Self::Beginnings => conversations.draw_single(random),
            Self::Conversations => conversations.draw(random),
        }
    }

    /// The share of a plan's area that a batch has: where much is to be learned from each row, small steps learn faster.
    fn area(self, area: usize) -> usize {
        if self == Self::Beginnings { area / 2 } else { area }
    }
}

/// All batches of one round: the same for the same seed and round.
///
/// # Errors
/// What the tokenizer says.
pub fn round(
    conversations: &Conversations,
    vocabulary: &Vocabulary,
    (seed, round): (u64, u64),
    stage: Stage,
    area: usize,
) -> Result<Vec<Batch>, TrainError> {
    let mut random = Random::new(seed ^ round.wrapping_add(1).wrapping_mul(0xD1B5_4A32_D192_ED03));
    let area = stage.area(area);
    let mut rows = (0..ROUND)
        .map(|_| Row::new(vocabulary, &stage.draw(conversations, &mut random)))
        .collect::<Result<Vec<_>, _>>()?;
    if stage == Stage::Beginnings {
        rows.iter_mut().filter(|_| !random.percent(WHOLE)).for_each(Row::cut);
    }
    rows.sort_by_key(|row| row.tokens.len());
    let mut batches = Vec::new();
    let mut start = 0;
    for end in 1..=rows.len() {
        let next = rows.get(end).map_or(usize::MAX, |row| row.tokens.len().next_multiple_of(STEP));
        if (end + 1 - start).saturating_mul(next) > area {
            batches.push(Batch::new(&rows[start..end], vocabulary.end_of_text));
            start = end;
        }
    }
    random.shuffle(&mut batches);
    Ok(batches)
}

/// The batches of single questions with known answers: what validation looks at.
///
/// # Errors
/// What the tokenizer says.
pub fn of(vocabulary: &Vocabulary, chats: &[Vec<Message>], rows: usize) -> Result<Vec<Batch>, TrainError> {
    let all = chats.iter().map(|messages| Row::new(vocabulary, messages)).collect::<Result<Vec<_>, _>>()?;
    Ok(all.chunks(rows).map(|rows| Batch::new(rows, vocabulary.end_of_text)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_reproducible_and_teach_answers_only() {
        let conversations = Conversations::load().expect("the corpus can be read");
        let vocabulary = Vocabulary::learn(&conversations, 1).expect("a vocabulary can be learned");
        let area = 512;
        let batches = round(&conversations, &vocabulary, (1, 0), Stage::Conversations, area)
            .expect("text can be tokenised");
        assert_eq!(
            batches,
            round(&conversations, &vocabulary, (1, 0), Stage::Conversations, area)
                .expect("text can be tokenised")
        );
        assert_ne!(
            batches,
            round(&conversations, &vocabulary, (1, 1), Stage::Conversations, area)
                .expect("text can be tokenised")
        );
        for batch in &batches {
            assert_eq!(batch.tokens.len(), batch.rows * batch.length);
            assert!(batch.tokens.len() <= area || batch.rows == 1);
            let ends = batch.targets.iter().filter(|&&target| target == vocabulary.end as i32).count();
            assert!(ends >= 1, "a batch without an answer's end");
            for (position, target) in batch.positions.iter().zip(&batch.targets) {
                assert_eq!(batch.tokens[*position as usize + 1], *target);
            }
        }
    }

    #[test]
    fn digits_are_single_and_pieces_add_up() {
        let conversations = Conversations::load().expect("the corpus can be read");
        let vocabulary = Vocabulary::learn(&conversations, 1).expect("a vocabulary can be learned");
        assert!(vocabulary.size() <= super::super::vocabulary::TOKENS);
        assert_eq!(vocabulary.encode("1234").expect("text can be tokenised").len(), 4);
        let mut random = Random::new(2);
        for _ in 0..300 {
            let messages = conversations.draw(&mut random);
            let whole: String = chat::pieces(&messages).into_iter().map(|piece| piece.text).collect();
            let row = Row::new(&vocabulary, &messages).expect("text can be tokenised");
            let mut expected = vocabulary.encode(&whole).expect("text can be tokenised");
            expected.truncate(LONGEST);
            assert_eq!(row.tokens, expected, "cutting changed the tokens of {whole}");
        }
    }
}
