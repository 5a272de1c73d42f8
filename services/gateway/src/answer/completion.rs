//! Answers of `/v1/completions`.

use freeway_primitives::Digest;
use serde_json::{Map, Value};

use super::Head;
use super::choice::{Delta, Reason};
use super::generation::{Generation, Update};
use super::sse::{Source, event};
use crate::error::ApiError;
use crate::wire::answers::{Proof, TextChoice, TextCompletion, TextLogprobs, TokenLogprob, Usage};

/// What `object` says.
const OBJECT: &str = "text_completion";

/// A prompt that is repeated before its continuation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Echo {
    pub(crate) text: String,
    /// The first token has no probability.
    pub(crate) tokens: Vec<(String, Option<TokenLogprob>)>,
}

/// What all answers to plain completions share.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) head: Head,
    /// Whether log-probabilities are wanted.
    pub(crate) scored: bool,
    /// One for each prompt, if prompts are repeated.
    pub(crate) echoes: Vec<Echo>,
    /// Choices of each prompt.
    pub(crate) per_prompt: usize,
    /// Whether the streamed answer ends with what was used.
    pub(crate) include_usage: bool,
}

impl Shape {
    fn echo(&self, index: usize) -> Option<&Echo> {
        self.echoes.get(index / self.per_prompt)
    }

    fn answer(
        &self,
        choices: Vec<TextChoice>,
        usage: Option<Option<Usage>>,
        freeway: Option<Proof>,
    ) -> TextCompletion<'_> {
        TextCompletion {
            id: &self.head.id,
            object: OBJECT,
            created: self.head.created,
            model: &self.head.model,
            system_fingerprint: &self.head.fingerprint,
            choices,
            usage,
            freeway,
        }
    }
}

/// Where a choice's text has got to, in characters.
#[derive(Clone, Copy, Debug, Default)]
struct Place(usize);

impl Place {
    /// Lists of the tokens of `text`, which comes next.
    fn list<'a>(
        &mut self,
        text: &str,
        tokens: impl Iterator<Item = (&'a str, Option<&'a TokenLogprob>)>,
    ) -> TextLogprobs {
        let mut lists = TextLogprobs::default();
        let mut at = self.0;
        for (token, scored) in tokens {
            lists.tokens.push(token.to_owned());
            lists.token_logprobs.push(scored.map(|scored| scored.logprob));
            lists.top_logprobs.push(scored.map(top));
            lists.text_offset.push(at);
            at += token.chars().count();
        }
        self.0 += text.chars().count();
        lists
    }

    fn echo(&mut self, echo: &Echo) -> TextLogprobs {
        self.list(&echo.text, echo.tokens.iter().map(|(token, scored)| (token.as_str(), scored.as_ref())))
    }

    fn delta(&mut self, text: &str, tokens: &[TokenLogprob]) -> TextLogprobs {
        self.list(text, tokens.iter().map(|token| (token.token.as_str(), Some(token))))
    }
}

fn top(scored: &TokenLogprob) -> Map<String, Value> {
    let mut top = Map::new();
    for other in &scored.top_logprobs {
        // Different tokens may look alike: the likelier comes first.
        top.entry(other.token.clone()).or_insert_with(|| other.logprob.into());
    }
    top
}

fn append(lists: &mut TextLogprobs, mut more: TextLogprobs) {
    lists.tokens.append(&mut more.tokens);
    lists.token_logprobs.append(&mut more.token_logprobs);
    lists.top_logprobs.append(&mut more.top_logprobs);
    lists.text_offset.append(&mut more.text_offset);
}

/// Waits for the whole answer, and writes it. Also gives the receipts of what was paid for it.
pub(crate) async fn whole(
    mut generation: Generation,
    shape: &Shape,
) -> Result<(Value, Vec<Digest>), ApiError> {
    let mut collected: Vec<Delta> = vec![Delta::default(); generation.count()];
    while let Some(update) = generation.next().await {
        match update {
            Update::Delta(at, delta) => {
                let sum = &mut collected[at];
                sum.text.push_str(&delta.text);
                sum.logprobs.extend(delta.logprobs);
                sum.ended = sum.ended.or(delta.ended);
            }
            Update::Failed(error) => return Err(error),
        }
    }
    let answer = write(collected, shape, generation.usage(), generation.proof())?;
    Ok((answer, generation.receipts()))
}

/// The answer if nothing is to be generated: the prompts alone, if they are wanted.
pub(crate) fn echoed(shape: &Shape, prompts: usize, prompt_tokens: u64) -> Result<Value, ApiError> {
    let nothing = Delta { ended: Some(Reason::Length), ..Delta::default() };
    let deltas = vec![nothing; prompts * shape.per_prompt];
    write(deltas, shape, Usage::new(prompt_tokens, 0, 0), None)
}

fn write(deltas: Vec<Delta>, shape: &Shape, usage: Usage, proof: Option<Proof>) -> Result<Value, ApiError> {
    let choice = |(index, delta): (usize, Delta)| {
        let mut place = Place::default();
        let (mut text, mut lists) = (String::new(), TextLogprobs::default());
        if let Some(echo) = shape.echo(index) {
            text.push_str(&echo.text);
            append(&mut lists, place.echo(echo));
        }
        append(&mut lists, place.delta(&delta.text, &delta.logprobs));
        text.push_str(&delta.text);
        let finish_reason = Some(delta.ended.map_or("stop", Reason::name));
        TextChoice { index, text, logprobs: shape.scored.then_some(lists), finish_reason }
    };
    let choices = deltas.into_iter().enumerate().map(choice).collect();
    serde_json::to_value(shape.answer(choices, Some(Some(usage)), proof)).map_err(|_| ApiError::internal())
}

/// A streamed answer.
pub(crate) struct CompletionStream {
    generation: Generation,
    shape: Shape,
    places: Vec<Place>,
    open: usize,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Echo,
    Pieces,
    Usage,
    End,
}

impl CompletionStream {
    pub(crate) fn new(generation: Generation, shape: Shape) -> Self {
        let open = generation.count();
        let stage = if shape.echoes.is_empty() { Stage::Pieces } else { Stage::Echo };
        Self { generation, shape, places: vec![Place::default(); open], open, stage }
    }

    fn chunk(&self, choice: TextChoice, proof: Option<Proof>) -> Result<String, ApiError> {
        let usage = self.shape.include_usage.then_some(None);
        event(&self.shape.answer(vec![choice], usage, proof))
    }

    fn echo(&mut self) -> Result<String, ApiError> {
        let mut out = String::new();
        for index in 0..self.places.len() {
            let Some(echo) = self.shape.echo(index) else { continue };
            let lists = self.places[index].echo(echo);
            let logprobs = self.shape.scored.then_some(lists);
            let choice = TextChoice { index, text: echo.text.clone(), logprobs, finish_reason: None };
            out.push_str(&self.chunk(choice, None)?);
        }
        Ok(out)
    }

    fn piece(&mut self, index: usize, delta: Delta) -> Result<String, ApiError> {
        let mut out = String::new();
        if !delta.text.is_empty() || !delta.logprobs.is_empty() {
            let lists = self.places[index].delta(&delta.text, &delta.logprobs);
            let logprobs = self.shape.scored.then_some(lists);
            let choice = TextChoice { index, text: delta.text, logprobs, finish_reason: None };
            out.push_str(&self.chunk(choice, None)?);
        }
        if let Some(reason) = delta.ended {
            self.open = self.open.saturating_sub(1);
            let last = self.open == 0 && !self.shape.include_usage;
            let proof = if last { self.generation.proof() } else { None };
            let choice =
                TextChoice { index, text: String::new(), logprobs: None, finish_reason: Some(reason.name()) };
            out.push_str(&self.chunk(choice, proof)?);
        }
        Ok(out)
    }
}

impl Source for CompletionStream {
    async fn next(&mut self) -> Option<Result<String, ApiError>> {
        if self.stage == Stage::Echo {
            self.stage = Stage::Pieces;
            return Some(self.echo());
        }
        if self.stage == Stage::Pieces {
            match self.generation.next().await {
                Some(Update::Delta(at, delta)) => return Some(self.piece(at, delta)),
                Some(Update::Failed(error)) => return Some(Err(error)),
                None => self.stage = if self.shape.include_usage { Stage::Usage } else { Stage::End },
            }
        }
        if self.stage == Stage::Usage {
            self.stage = Stage::End;
            let usage = Some(Some(self.generation.usage()));
            return Some(event(&self.shape.answer(Vec::new(), usage, self.generation.proof())));
        }
        None
    }
}
