//! ChatML: how a conversation becomes text, for training and for serving.

use crate::corpus::conversations::{Message, Role};

/// Begins a message.
pub const START: &str = "<|im_start|>";
/// Ends a message; the model stops here.
pub const END: &str = "<|im_end|>";
/// Ends a document.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// The same in the template language of tokenizers, for `tokenizer_config.json`. Tools are told in a system message in the
/// form that many models know. The guide was not trained to call them: it does when the client's grammar makes it.
pub const TEMPLATE: &str = r#"{%- if tools -%}
{{ '<|im_start|>system\n# Tools\nCall one by <tool_call>{"name": NAME, "arguments": ARGUMENTS}</tool_call>.\n<tools>\n' }}
{%- for tool in tools %}{{ tool | tojson }}{{ '\n' }}{% endfor %}{{ '</tools><|im_end|>\n' }}
{%- endif -%}
{%- for message in messages -%}
{{ '<|im_start|>' + message['role'] + '\n' }}{{ message['content'] or '' }}
{%- for call in message['tool_calls'] or [] -%}
{{ '<tool_call>' }}{{ {'name': call['function']['name'], 'arguments': call['function']['arguments']} | tojson }}{{ '</tool_call>' }}
{%- endfor -%}
{{ '<|im_end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"#;

/// A piece of a conversation's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// Whether the model has to learn to write it.
    pub learned: bool,
}

/// The pieces of a conversation. Pieces are cut where special tokens stand, so they may be tokenised one by one.
pub fn pieces(messages: &[Message]) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(2 * messages.len());
    for message in messages {
        let head = format!("{START}{}\n", message.role.name());
        if message.role == Role::Assistant {
            pieces.push(Piece { text: head, learned: false });
            pieces.push(Piece { text: format!("{}{END}", message.text), learned: true });
            pieces.push(Piece { text: "\n".to_owned(), learned: false });
        } else {
            pieces.push(Piece { text: format!("{head}{}{END}\n", message.text), learned: false });
        }
    }
    pieces
}

/// What the model is given to answer `question`.
pub fn prompt(question: &str) -> String {
    format!("{START}{}\n{question}{END}\n{START}{}\n", Role::User.name(), Role::Assistant.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_are_learned() {
        let messages = [
            Message { role: Role::User, text: "hi".to_owned() },
            Message { role: Role::Assistant, text: "Hello!".to_owned() },
        ];
        let pieces = pieces(&messages);
        let text: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
        assert_eq!(text, "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nHello!<|im_end|>\n");
        let learned: Vec<&str> =
            pieces.iter().filter(|piece| piece.learned).map(|piece| piece.text.as_str()).collect();
        assert_eq!(learned, ["Hello!<|im_end|>"]);
        assert!(text.starts_with(&prompt("hi")));
    }
}
