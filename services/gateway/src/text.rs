//! Text into tokens and back. None of this is part of what is signed and computed again: that is token ids.
//!
//! # Whose tokens are control tokens
//! A chat template writes control tokens such as `<|im_start|>` as text, and the tokenizer finds them there. The same
//! characters in a message would be found as well: its author could end the message and speak as the system. That
//! is what Hugging Face's `apply_chat_template` does. Here, where a message, a call or a tool's definition contains
//! the text of a control token, a mark is put after its first character (a Unicode noncharacter that occurs nowhere
//! in the request), the template is rendered, and the result is cut at the marks and encoded piece by piece: no
//! piece contains the whole text of that token. Without such text, which is nearly always, the encoding is that of
//! Hugging Face, token for token. Added tokens that are not special, such as `<think>`, are not guarded. The prompts
//! of `/v1/completions` are raw: whoever uses them writes control tokens on purpose.

mod assets;
pub(crate) mod calls;
mod decode;
pub(crate) mod forced;
mod guard;
pub(crate) mod stops;
mod template;

pub(crate) use assets::Texts;
pub(crate) use decode::Decoder;

use freeway_engines::TextAssets;
use tokenizers::Tokenizer;

use crate::error::{ApiError, shown};
use crate::wire::chat::Message;
use crate::wire::tools::Tool;
use calls::Style;
use guard::Guard;
use template::Template;

/// What is needed to talk with one model.
pub(crate) struct TextModel {
    tokenizer: Tokenizer,
    byte_level: bool,
    guard: Guard,
    template: Result<Template, String>,
    assets: TextAssets,
}

impl TextModel {
    /// Reads a tokenizer and a template. May take a second.
    ///
    /// # Errors
    /// If there is no making sense of the tokenizer, in words.
    pub(crate) fn new(assets: TextAssets) -> Result<Self, String> {
        let mut tokenizer = Tokenizer::from_bytes(&assets.tokenizer_json)
            .map_err(|error| format!("its tokenizer cannot be read: {}", shown(&error.to_string())))?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| error.to_string())?;
        let byte_level = matches!(tokenizer.get_decoder(), Some(tokenizers::DecoderWrapper::ByteLevel(_)));
        let guard = Guard::new(&tokenizer, assets.bos.into_iter().chain(assets.eos.iter().copied()));
        let template = Template::new(assets.chat_template.as_deref());
        Ok(Self { tokenizer, byte_level, guard, template, assets })
    }

    /// What the model is made of.
    pub(crate) fn assets(&self) -> &TextAssets {
        &self.assets
    }

    fn template(&self) -> Result<&Template, ApiError> {
        self.template.as_ref().map_err(|problem| {
            let message = format!("the model's chat template cannot be used: {problem}; use /v1/completions");
            ApiError::bad_request("unsupported", message).param("model")
        })
    }

    /// How the model writes calls of tools, if its template knows them.
    pub(crate) fn tool_style(&self) -> Option<Style> {
        self.template.as_ref().ok().and_then(Template::tool_style)
    }

    /// Strings that end an answer although no request named them.
    pub(crate) fn implied_stops(&self) -> &[&'static str] {
        self.template.as_ref().map_or(&[], Template::implied_stops)
    }

    /// The prompt for the next message of a conversation.
    pub(crate) fn conversation(&self, messages: &[Message], tools: &[Tool]) -> Result<Vec<u32>, ApiError> {
        let template = self.template()?;
        let texts = messages.iter().flat_map(guard::texts);
        let tools = tools.iter().map(|tool| &tool.definition);
        let mark = self.guard.mark(texts, tools.clone())?;
        let (bos, eos) = (self.assets.bos_text.as_deref(), self.assets.eos_text.as_deref());
        let Some(mark) = mark else {
            let text = template.render(messages, tools, (bos, eos))?;
            return self.encode(&text, template.is_default());
        };
        let messages: Vec<Message> =
            messages.iter().map(|message| self.guard.marked(message, mark)).collect();
        let tools: Vec<_> = tools.map(|tool| self.guard.marked_value(tool, mark)).collect();
        let text = template.render(&messages, tools.iter(), (bos, eos))?;
        let mut tokens = Vec::new();
        for (index, piece) in text.split(mark).enumerate() {
            if !piece.is_empty() {
                tokens.extend(self.encode(piece, template.is_default() && index == 0)?);
            }
        }
        Ok(tokens)
    }

    /// Tokens of a text. Control tokens in it are found.
    pub(crate) fn encode(&self, text: &str, begin: bool) -> Result<Vec<u32>, ApiError> {
        let encoding = self.tokenizer.encode_fast(text, begin).map_err(|error| {
            let message = format!("the text cannot be turned into tokens: {}", shown(&error.to_string()));
            ApiError::bad_request("invalid_value", message)
        })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of tokens, control tokens included.
    pub(crate) fn decode(&self, tokens: &[u32]) -> String {
        self.tokenizer.decode(tokens, false).unwrap_or_default()
    }

    /// The bytes that a token stands for by itself.
    pub(crate) fn bytes(&self, id: u32) -> Vec<u8> {
        decode::bytes(&self.tokenizer, self.byte_level, id)
    }
}

#[cfg(test)]
pub(crate) mod tests;
