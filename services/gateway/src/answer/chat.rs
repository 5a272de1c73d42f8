//! Answers of `/v1/chat/completions`.

use freeway_primitives::Digest;

use super::choice::Delta;
use super::generation::{Generation, Update};
use super::sse::{Source, event};
use super::{Head, random_hex};
use crate::error::ApiError;
use crate::text::calls::Call;
use crate::wire::answers::{
    AssistantMessage, ChatChoice, ChatChunk, ChatCompletion, ChatLogprobs, ChunkChoice, ChunkDelta,
    FunctionCall, Proof, TokenLogprob, ToolCall, Usage,
};

/// Random bytes of a call's id.
const CALL_ID_BYTES: usize = 12;

fn tool_call(call: Call, index: Option<usize>) -> Result<ToolCall, ApiError> {
    Ok(ToolCall {
        index,
        id: format!("call_{}", random_hex::<CALL_ID_BYTES>()?),
        kind: "function",
        function: FunctionCall { name: call.name, arguments: call.arguments },
    })
}

fn logprobs(wanted: bool, content: Vec<TokenLogprob>) -> Option<ChatLogprobs> {
    wanted.then_some(ChatLogprobs { content, refusal: None })
}

/// Waits for the whole answer. Also gives the receipts of what was paid for it.
pub(crate) async fn whole(
    mut generation: Generation,
    head: Head,
    scored: bool,
) -> Result<(ChatCompletion, Vec<Digest>), ApiError> {
    let mut collected: Vec<Delta> = vec![Delta::default(); generation.count()];
    while let Some(update) = generation.next().await {
        match update {
            Update::Delta(at, delta) => {
                let sum = &mut collected[at];
                sum.text.push_str(&delta.text);
                sum.calls.extend(delta.calls);
                sum.logprobs.extend(delta.logprobs);
                sum.ended = sum.ended.or(delta.ended);
            }
            Update::Failed(error) => return Err(error),
        }
    }
    let choice = |(index, delta): (usize, Delta)| {
        let calls = delta.calls.into_iter().map(|call| tool_call(call, None));
        let tool_calls = calls.collect::<Result<Vec<_>, _>>()?;
        let silent = !tool_calls.is_empty() && delta.text.is_empty();
        let content = (!silent).then_some(delta.text);
        Ok(ChatChoice {
            index,
            message: AssistantMessage { role: "assistant", content, refusal: None, tool_calls },
            logprobs: logprobs(scored, delta.logprobs),
            finish_reason: delta.ended.map_or("stop", super::choice::Reason::name),
        })
    };
    let answer = ChatCompletion {
        id: head.id,
        object: "chat.completion",
        created: head.created,
        model: head.model,
        system_fingerprint: head.fingerprint,
        choices: collected.into_iter().enumerate().map(choice).collect::<Result<_, ApiError>>()?,
        usage: generation.usage(),
        freeway: generation.proof(),
    };
    Ok((answer, generation.receipts()))
}

/// A streamed answer.
pub(crate) struct ChatStream {
    generation: Generation,
    head: Head,
    scored: bool,
    include_usage: bool,
    stage: Stage,
    /// Calls that each choice made so far.
    calls: Vec<usize>,
    /// Choices that have not ended.
    open: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Roles,
    Pieces,
    Usage,
    End,
}

impl ChatStream {
    pub(crate) fn new(generation: Generation, head: Head, scored: bool, include_usage: bool) -> Self {
        let count = generation.count();
        Self {
            generation,
            head,
            scored,
            include_usage,
            stage: Stage::Roles,
            calls: vec![0; count],
            open: count,
        }
    }

    fn chunk(
        &self,
        choices: Vec<ChunkChoice>,
        usage: Option<Usage>,
        freeway: Option<Proof>,
    ) -> Result<String, ApiError> {
        event(&ChatChunk {
            id: &self.head.id,
            object: "chat.completion.chunk",
            created: self.head.created,
            model: &self.head.model,
            system_fingerprint: &self.head.fingerprint,
            choices,
            usage: self.include_usage.then_some(usage),
            freeway,
        })
    }

    fn piece(&mut self, index: usize, delta: Delta) -> Result<String, ApiError> {
        let Delta { text, calls, logprobs: scored, ended } = delta;
        let mut out = String::new();
        let scored = (!scored.is_empty()).then_some(scored);
        let mut scored = scored.and_then(|scored| logprobs(self.scored, scored));
        if !text.is_empty() || (calls.is_empty() && scored.is_some()) {
            let delta = ChunkDelta { content: Some(text), ..ChunkDelta::default() };
            let choice = ChunkChoice { index, delta, logprobs: scored.take(), finish_reason: None };
            out.push_str(&self.chunk(vec![choice], None, None)?);
        }
        for call in calls {
            let call = tool_call(call, Some(self.calls[index]))?;
            self.calls[index] += 1;
            let delta = ChunkDelta { tool_calls: vec![call], ..ChunkDelta::default() };
            let choice = ChunkChoice { index, delta, logprobs: scored.take(), finish_reason: None };
            out.push_str(&self.chunk(vec![choice], None, None)?);
        }
        if let Some(reason) = ended {
            self.open = self.open.saturating_sub(1);
            let delta = ChunkDelta::default();
            let choice = ChunkChoice { index, delta, logprobs: None, finish_reason: Some(reason.name()) };
            let last = self.open == 0 && !self.include_usage;
            let proof = if last { self.generation.proof() } else { None };
            out.push_str(&self.chunk(vec![choice], None, proof)?);
        }
        Ok(out)
    }

    fn roles(&self) -> Result<String, ApiError> {
        let mut out = String::new();
        for index in 0..self.calls.len() {
            let delta =
                ChunkDelta { role: Some("assistant"), content: Some(String::new()), ..ChunkDelta::default() };
            let choice = ChunkChoice { index, delta, logprobs: None, finish_reason: None };
            out.push_str(&self.chunk(vec![choice], None, None)?);
        }
        Ok(out)
    }
}

impl Source for ChatStream {
    async fn next(&mut self) -> Option<Result<String, ApiError>> {
        if self.stage == Stage::Roles {
            self.stage = Stage::Pieces;
            return Some(self.roles());
        }
        if self.stage == Stage::Pieces {
            match self.generation.next().await {
                Some(Update::Delta(at, delta)) => return Some(self.piece(at, delta)),
                Some(Update::Failed(error)) => return Some(Err(error)),
                None => self.stage = if self.include_usage { Stage::Usage } else { Stage::End },
            }
        }
        if self.stage == Stage::Usage {
            self.stage = Stage::End;
            return Some(self.chunk(Vec::new(), Some(self.generation.usage()), self.generation.proof()));
        }
        None
    }
}
