//! Text into tokens and back, with the tokenizer of a package.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use tokenizers::Tokenizer;

use crate::error::shown;
use crate::grammar::{VocabularyError, token_bytes};
use crate::{EngineError, ErrorKind, TextAssets};

/// The most tokens in a row that are not known by themselves, and the most bytes of them together.
const MAX_RUN: usize = 64;
const MAX_RUN_BYTES: usize = 256;
/// The longest of them.
const MAX_PART_BYTES: usize = 16;

/// The words of a package.
pub(super) struct Words {
    tokenizer: Tokenizer,
    assets: TextAssets,
    /// Made when a server is met that tells tokens by their text.
    index: OnceLock<Result<Index, VocabularyError>>,
}

struct Index {
    /// The bytes of each token; none for those that cannot be told.
    words: Vec<Vec<u8>>,
    /// `None` where several tokens have the same bytes.
    tokens: HashMap<Vec<u8>, Option<u32>>,
    /// What tokens with a part of a character are told as where that part is left out.
    parts: HashSet<String>,
}

impl Index {
    fn word(&self, token: u32) -> &[u8] {
        self.words.get(token as usize).map(Vec::as_slice).unwrap_or_default()
    }

    /// Where `tokens` end in `text`, if they stand there from byte `from` on.
    fn after(&self, text: &str, from: usize, tokens: &[u32]) -> Option<usize> {
        tokens.iter().try_fold(from, |at, token| {
            let word = self.word(*token);
            text.as_bytes().get(at..)?.starts_with(word).then_some(at + word.len())
        })
    }
}

impl Words {
    pub(super) fn new(assets: TextAssets) -> Result<Self, EngineError> {
        let unusable = |error: tokenizers::Error| {
            let message = format!("the model's tokenizer cannot be read: {}", shown(&error.to_string()));
            EngineError::new(ErrorKind::Unavailable, message)
        };
        let mut tokenizer = Tokenizer::from_bytes(&assets.tokenizer_json).map_err(unusable)?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(unusable)?;
        Ok(Self { tokenizer, assets, index: OnceLock::new() })
    }

    pub(super) fn assets(&self) -> &TextAssets {
        &self.assets
    }

    /// The tokens of a text, with nothing put before or behind it. `None` if it has none.
    pub(super) fn encode(&self, text: &str) -> Option<Vec<u32>> {
        Some(self.tokenizer.encode_fast(text, false).ok()?.get_ids().to_vec())
    }

    /// The text of tokens, control tokens included, if it has the same tokens again.
    pub(super) fn text(&self, tokens: &[u32]) -> Option<String> {
        let text = self.tokenizer.decode(tokens, false).ok()?;
        (self.encode(&text)? == tokens).then_some(text)
    }

    /// The one token that stands for these bytes.
    pub(super) fn token(&self, bytes: &[u8]) -> Result<Option<u32>, EngineError> {
        Ok(self.index()?.tokens.get(bytes).copied().flatten())
    }

    /// The one token that is told as this text.
    pub(super) fn named(&self, text: &str) -> Result<Option<u32>, EngineError> {
        if self.index()?.parts.contains(text) { Ok(None) } else { self.token(text.as_bytes()) }
    }

    /// The tokens of a whole answer whose tokens were told one by one as `told`, some of them not to be known by
    /// themselves: these are what the text has between the others. `None` if that is not sure.
    pub(super) fn resolve(&self, text: &str, told: &[Told<'_>]) -> Result<Option<Vec<u32>>, EngineError> {
        let index = self.index()?;
        let mut found = Vec::with_capacity(told.len());
        let (mut rest, mut at) = (told, 0);
        while !rest.is_empty() {
            let run = rest.iter().take_while(|told| matches!(told, Told::Text(_))).count();
            let (unknown, behind) = rest.split_at(run);
            let known: Vec<u32> = behind.iter().map_while(Told::token).collect();
            rest = behind.get(known.len()..).unwrap_or_default();
            let last = rest.is_empty();
            // Where the text goes on with the tokens that are known; they end it if nothing else follows.
            let follows = |from: &usize| {
                let end = index.after(text, *from, &known);
                end.filter(|end| !last || *end == text.len())
            };
            let most = text.len().min(at + if unknown.is_empty() { 0 } else { MAX_RUN_BYTES });
            let one = (at..=most).find_map(|from| {
                let end = follows(&from)?;
                let tokens = self.split(index, text.get(at..from)?, unknown)?;
                Some((tokens, end))
            });
            let Some((tokens, end)) = one else { return Ok(None) };
            found.extend(tokens);
            found.extend(known);
            at = end;
        }
        Ok((at == text.len()).then_some(found))
    }

    /// The tokens that a piece of text was made of: there is one way to cut it, or it is the tokenizer's own.
    fn split(&self, index: &Index, piece: &str, told: &[Told<'_>]) -> Option<Vec<u32>> {
        if told.len() > MAX_RUN {
            return None;
        }
        let bytes = piece.as_bytes();
        // For each number of tokens from the last one on: the ways from each byte on to the end, and a first token.
        let mut ways = vec![(0u8, None); bytes.len() + 1];
        ways[bytes.len()].0 = 1;
        let mut cuts = Vec::with_capacity(told.len());
        for told in told.iter().rev() {
            let mut before = vec![(0u8, None); bytes.len() + 1];
            for (from, way) in before.iter_mut().enumerate() {
                for to in from + 1..=bytes.len().min(from + MAX_PART_BYTES) {
                    let part = &bytes[from..to];
                    if ways[to].0 > 0
                        && let Some(Some(id)) = index.tokens.get(part)
                        && told.fits(part)
                    {
                        *way = (way.0.saturating_add(ways[to].0), Some((*id, to)));
                    }
                }
            }
            cuts.push(core::mem::replace(&mut ways, before));
        }
        match ways[0].0 {
            0 => None,
            1 => {
                let (mut tokens, mut at) = (Vec::with_capacity(told.len()), 0);
                cuts.reverse();
                for next in core::iter::once(&ways).chain(&cuts).take(told.len()) {
                    let (id, to) = next[at].1?;
                    tokens.push(id);
                    at = to;
                }
                Some(tokens)
            }
            _ => {
                let tokens = self.encode(piece).filter(|tokens| tokens.len() == told.len())?;
                let fits = |(token, told): (&u32, &Told<'_>)| told.fits(index.word(*token));
                tokens.iter().zip(told).all(fits).then_some(tokens)
            }
        }
    }

    fn index(&self) -> Result<&Index, EngineError> {
        let made = self.index.get_or_init(|| {
            let TextAssets { tokenizer_json, vocabulary, eos, .. } = &self.assets;
            let mut words = token_bytes(tokenizer_json, *vocabulary, eos)?;
            let mut tokens = HashMap::with_capacity(words.len());
            let mut parts = HashSet::new();
            for (word, id) in words.iter_mut().zip(0u32..) {
                // The mark of control tokens is no part of their names.
                if word.len() > 1 && word.first() == Some(&crate::grammar::MARK) {
                    word.remove(0);
                }
                if core::str::from_utf8(word).is_err() {
                    parts.insert(without_parts(word));
                }
                if !word.is_empty() {
                    tokens.entry(word.clone()).and_modify(|one| *one = None).or_insert(Some(id));
                }
            }
            Ok(Index { words, tokens, parts })
        });
        made.as_ref().map_err(|error: &VocabularyError| {
            let message = format!(
                "the server tells tokens by their text alone, and {error}; use a server that tells the ids of tokens, such as vLLM or llama-server"
            );
            EngineError::new(ErrorKind::BadUpstream, message)
        })
    }
}

/// A token of an answer, as far as it is known by itself.
pub(super) enum Told<'a> {
    /// It is this one.
    Token(u32),
    /// It has this text, as far as that is text.
    Text(&'a str),
}

impl Told<'_> {
    fn token(&self) -> Option<u32> {
        match self {
            Self::Token(token) => Some(*token),
            Self::Text(_) => None,
        }
    }

    /// Whether a token of these bytes would be told so. A part of a character is left out by some servers, and replaced
    /// by others.
    fn fits(&self, bytes: &[u8]) -> bool {
        let Self::Text(text) = self else { return false };
        !bytes.is_empty() && (without_parts(bytes) == *text || String::from_utf8_lossy(bytes) == *text)
    }
}

/// The whole characters of a token.
fn without_parts(bytes: &[u8]) -> String {
    bytes.utf8_chunks().map(|chunk| chunk.valid()).collect()
}
