//! Answers, as clients of the OpenAI interface expect them, with one field more: `freeway`.

use freeway_requests::LogProb;
use serde::Serialize;
use utoipa::ToSchema;

/// What was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
    pub(crate) total_tokens: u64,
    pub(crate) prompt_tokens_details: PromptDetails,
}

/// Of the prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct PromptDetails {
    /// Tokens that were found computed.
    pub(crate) cached_tokens: u64,
}

impl Usage {
    pub(crate) fn new(prompt: u64, cached: u64, completion: u64) -> Self {
        Self {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: prompt + completion,
            prompt_tokens_details: PromptDetails { cached_tokens: cached },
        }
    }
}

/// What is needed to compute the answer again, bit for bit; on the statistical tier, what there is to judge it by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Proof {
    /// The root of the model's package.
    pub(crate) model_root: String,
    /// How far the answer can be checked: `exact`, or `statistical` where the network's hosts run what they like.
    pub(crate) tier: &'static str,
    /// The seed of all draws.
    pub(crate) seed: String,
    /// Tokens of the prompt that were found computed.
    pub(crate) cached_tokens: u64,
    /// The digest of the token request.
    pub(crate) request: String,
    /// The root of the trace; null if a stop string cut the generation short, and on the
    /// statistical tier.
    pub(crate) trace: Option<String>,
    /// The digest of the host's receipt, if a host was paid; `/v1/receipts/{digest}` shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) receipt: Option<String>,
    /// The host that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    /// The lane by which it was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lane: Option<u64>,
    /// What it cost, in base units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fee: Option<String>,
    /// The same for every choice, if there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) choices: Vec<ProofOfChoice>,
}

/// What is needed to compute one of several choices again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ProofOfChoice {
    pub(crate) index: usize,
    pub(crate) request: String,
    pub(crate) trace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) receipt: Option<String>,
}

/// A token and how likely it was.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct TokenLogprob {
    pub(crate) token: String,
    pub(crate) logprob: f64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) top_logprobs: Vec<TopLogprob>,
}

/// One of the most likely tokens.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct TopLogprob {
    pub(crate) token: String,
    pub(crate) logprob: f64,
    pub(crate) bytes: Vec<u8>,
}

/// The tokens of a message and how likely they were.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ChatLogprobs {
    pub(crate) content: Vec<TokenLogprob>,
    pub(crate) refusal: Option<Vec<TokenLogprob>>,
}

/// Nats.
pub(crate) fn nats(logprob: LogProb) -> f64 {
    f64::from(logprob.0) / 1e6
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ToolCall {
    /// In streams, which of the calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<usize>,
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) function: FunctionCall,
}

/// What is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FunctionCall {
    pub(crate) name: String,
    /// JSON.
    pub(crate) arguments: String,
}

/// The next message of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ChatCompletion {
    pub(crate) id: String,
    pub(crate) object: &'static str,
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) system_fingerprint: String,
    pub(crate) choices: Vec<ChatChoice>,
    pub(crate) usage: Usage,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) freeway: Option<Proof>,
}

/// One of the messages.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ChatChoice {
    pub(crate) index: usize,
    pub(crate) message: AssistantMessage,
    pub(crate) logprobs: Option<ChatLogprobs>,
    pub(crate) finish_reason: &'static str,
}

/// What the assistant says.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct AssistantMessage {
    pub(crate) role: &'static str,
    /// Null if tools are called and nothing is said.
    pub(crate) content: Option<String>,
    pub(crate) refusal: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tool_calls: Vec<ToolCall>,
}

/// A piece of a streamed answer.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ChatChunk<'a> {
    pub(crate) id: &'a str,
    pub(crate) object: &'static str,
    pub(crate) created: u64,
    pub(crate) model: &'a str,
    pub(crate) system_fingerprint: &'a str,
    pub(crate) choices: Vec<ChunkChoice>,
    /// If asked for: null in all chunks but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Usage>)]
    pub(crate) usage: Option<Option<Usage>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) freeway: Option<Proof>,
}

/// A piece of one of the messages.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ChunkChoice {
    pub(crate) index: usize,
    pub(crate) delta: ChunkDelta,
    pub(crate) logprobs: Option<ChatLogprobs>,
    pub(crate) finish_reason: Option<&'static str>,
}

/// What is new.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct ChunkDelta {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tool_calls: Vec<ToolCall>,
}

/// Continued texts, or a piece of them.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct TextCompletion<'a> {
    pub(crate) id: &'a str,
    pub(crate) object: &'static str,
    pub(crate) created: u64,
    pub(crate) model: &'a str,
    pub(crate) system_fingerprint: &'a str,
    pub(crate) choices: Vec<TextChoice>,
    /// In streams if asked for: null in all chunks but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Usage>)]
    pub(crate) usage: Option<Option<Usage>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) freeway: Option<Proof>,
}

/// One of the texts.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct TextChoice {
    pub(crate) index: usize,
    pub(crate) text: String,
    pub(crate) logprobs: Option<TextLogprobs>,
    pub(crate) finish_reason: Option<&'static str>,
}

/// The tokens of a text and how likely they were.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct TextLogprobs {
    pub(crate) tokens: Vec<String>,
    /// Null for the first token of an echoed prompt.
    pub(crate) token_logprobs: Vec<Option<f64>>,
    /// The most likely tokens, each with its logarithm; null for the first token of an echoed prompt.
    #[schema(value_type = Vec<Option<Object>>)]
    pub(crate) top_logprobs: Vec<Option<serde_json::Map<String, serde_json::Value>>>,
    /// In characters.
    pub(crate) text_offset: Vec<usize>,
}

/// Texts as vectors.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct EmbeddingList {
    pub(crate) object: &'static str,
    pub(crate) data: Vec<EmbeddingItem>,
    pub(crate) model: String,
    pub(crate) usage: EmbeddingUsage,
}

/// A text as a vector of length 1.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct EmbeddingItem {
    pub(crate) object: &'static str,
    pub(crate) index: usize,
    pub(crate) embedding: Vector,
}

/// A vector: numbers, or base64 of 32-bit floats, little end first.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Vector {
    /// Numbers.
    Float(Vec<f32>),
    /// Base64.
    Base64(String),
}

/// What was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct EmbeddingUsage {
    pub(crate) prompt_tokens: u64,
    pub(crate) total_tokens: u64,
}

/// The models there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ModelList {
    pub(crate) object: &'static str,
    pub(crate) data: Vec<Model>,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Model {
    /// Its name.
    pub(crate) id: String,
    pub(crate) object: &'static str,
    /// Seconds since 1970; 0 if unknown.
    pub(crate) created: u64,
    pub(crate) owned_by: String,
    pub(crate) freeway: ModelFacts,
}

/// What Freeway knows of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ModelFacts {
    /// The root of its package.
    pub(crate) root: Option<String>,
    /// The most tokens of prompt and completion together.
    pub(crate) context: Option<u32>,
    /// `exact`: answers can be computed again bit for bit; `statistical`: they cannot.
    pub(crate) tier: &'static str,
}

/// A text as tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct TokenList {
    pub(crate) object: &'static str,
    pub(crate) model: String,
    pub(crate) tokens: Vec<u32>,
    pub(crate) count: usize,
}

/// Whether the gateway works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct HealthReport {
    /// `ok`, `degraded` if an engine does not work, or `draining`.
    pub(crate) status: &'static str,
    pub(crate) engines: Vec<EngineHealth>,
}

/// Whether an engine works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct EngineHealth {
    pub(crate) engine: String,
    pub(crate) ok: bool,
    pub(crate) detail: String,
}
