//! The vocabulary: byte-level pairs learned from the corpus, each digit a token of its own.

use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, Tokenizer, TokenizerImpl};

use super::TrainError;
use crate::chat::{END, END_OF_TEXT, START};
use crate::corpus::conversations::{Conversations, Message};
use crate::corpus::random::Random;

/// How many tokens there are.
pub const TOKENS: usize = 2048;
/// Conversations from which pairs are learned.
const CONVERSATIONS: usize = 20_000;
/// Pairs seen less often are not merged.
const LEAST_FREQUENT: u64 = 3;

/// A tokenizer with the ids that the trainer needs.
pub struct Vocabulary {
    tokenizer: Tokenizer,
    /// Id of the token that ends a message.
    pub end: u32,
    /// Id of the token that ends a document.
    pub end_of_text: u32,
}

impl Vocabulary {
    /// Learns a vocabulary from the corpus.
    ///
    /// # Errors
    /// What the tokenizer says.
    pub fn learn(conversations: &Conversations, seed: u64) -> Result<Self, TrainError> {
        let mut random = Random::new(seed);
        let texts: Vec<String> = (0..CONVERSATIONS)
            .flat_map(|_| conversations.draw(&mut random))
            .map(|Message { role, text }| format!("{}\n{text}", role.name()))
            .collect();
        let special: Vec<AddedToken> =
            [END_OF_TEXT, START, END].map(|text| AddedToken::from(text, true)).to_vec();
        let mut trainer = BpeTrainerBuilder::new()
            .show_progress(false)
            .vocab_size(TOKENS)
            .min_frequency(LEAST_FREQUENT)
            .special_tokens(special)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let bytes = ByteLevel::new(false, true, true);
        let mut tokenizer: TokenizerImpl<
            BPE,
            tokenizers::NormalizerWrapper,
            PreTokenizerWrapper,
            tokenizers::PostProcessorWrapper,
            ByteLevelDecoder,
        > = TokenizerImpl::new(BPE::default());
        tokenizer.with_pre_tokenizer(Some(PreTokenizerWrapper::Sequence(Sequence::new(vec![
            PreTokenizerWrapper::Digits(Digits::new(true)),
            PreTokenizerWrapper::ByteLevel(bytes),
        ]))));
        tokenizer.with_decoder(Some(ByteLevelDecoder::default()));
        tokenizer.train(&mut trainer, texts.iter())?;
        Self::read(tokenizer.to_string(true)?.as_bytes())
    }

    /// Reads `tokenizer.json`.
    ///
    /// # Errors
    /// What the tokenizer says, and special tokens that are missing.
    pub fn read(json: &[u8]) -> Result<Self, TrainError> {
        let tokenizer = Tokenizer::from_bytes(json)?;
        let id = |text: &str| {
            tokenizer.token_to_id(text).ok_or_else(|| tokenizers::Error::from(format!("no token {text}")))
        };
        let (end, end_of_text) = (id(END)?, id(END_OF_TEXT)?);
        Ok(Self { tokenizer, end, end_of_text })
    }

    /// As `tokenizer.json`.
    ///
    /// # Errors
    /// What the tokenizer says.
    pub fn json(&self) -> Result<String, TrainError> {
        Ok(self.tokenizer.to_string(true)?)
    }

    /// Number of tokens.
    pub fn size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// Id of a special token.
    pub fn id(&self, text: &str) -> Option<u32> {
        self.tokenizer.token_to_id(text)
    }

    /// Text to tokens.
    ///
    /// # Errors
    /// What the tokenizer says.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TrainError> {
        Ok(self.tokenizer.encode_fast(text, false)?.get_ids().to_vec())
    }

    /// Tokens to text, without special tokens.
    ///
    /// # Errors
    /// What the tokenizer says.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, TrainError> {
        Ok(self.tokenizer.decode(tokens, true)?)
    }
}
