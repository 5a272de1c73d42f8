"""The openai package of PyPI, as its users use it."""

import asyncio
import json
from typing import Annotated, Literal

import openai
import pytest
from pydantic import BaseModel, Field

MODEL = "guide"
QUESTION = [{"role": "user", "content": "What is Freeway?"}]


@pytest.fixture(scope="module")
def client(base_url, key):
    return openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=120)


def test_the_guide_is_listed(client):
    models = {model.id for model in client.models.list()}
    assert MODEL in models
    assert client.models.retrieve(MODEL).id == MODEL


def test_a_question_is_answered(client):
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0, max_tokens=60)
    choice = answer.choices[0]
    assert choice.message.role == "assistant"
    assert choice.message.content.strip()
    assert choice.finish_reason in ("stop", "length")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_says_the_same_as_the_whole(client):
    request = dict(model=MODEL, messages=QUESTION, temperature=0.8, seed=7, max_tokens=40)
    whole = client.chat.completions.create(**request)
    text, usage, finish = "", None, None
    for chunk in client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True}):
        if chunk.usage:
            usage = chunk.usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    assert text == whole.choices[0].message.content
    assert finish == whole.choices[0].finish_reason
    assert usage.completion_tokens == whole.usage.completion_tokens


def test_every_host_gives_the_same_tokens_and_trace(every_base_url, key):
    assert len(every_base_url) >= 2
    seen = set()
    for url in every_base_url:
        client = openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=120)
        answer = client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=1, seed=42, max_tokens=50)
        seen.add((answer.choices[0].message.content, json.dumps(answer.model_extra["freeway"]["trace"])))
    assert len(seen) == 1, seen


def test_the_same_under_load(base_url, key):
    """Beside fifteen others, a request gets the bits that it gets alone."""

    async def main():
        client = openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=5, timeout=300)

        async def ask(seed):
            answer = await client.chat.completions.create(
                model=MODEL, messages=QUESTION, temperature=1, seed=seed, max_tokens=24
            )
            return answer.choices[0].message.content, json.dumps(answer.model_extra["freeway"]["trace"])

        alone = await ask(3)
        beside = await asyncio.gather(*(ask(seed % 4) for seed in range(16)))
        return alone, [answer for seed, answer in zip(range(16), beside) if seed % 4 == 3]

    alone, beside = asyncio.run(main())
    assert all(answer == alone for answer in beside)


def test_several_choices_and_log_probabilities(client):
    answer = client.chat.completions.create(
        model=MODEL, messages=QUESTION, n=3, temperature=1, max_tokens=8, logprobs=True, top_logprobs=4
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    for choice in answer.choices:
        for token in choice.logprobs.content:
            assert token.logprob <= 0
            assert len(token.top_logprobs) == 4
            tops = [top.logprob for top in token.top_logprobs]
            assert tops == sorted(tops, reverse=True)


def test_stop_strings(client):
    whole = client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0, max_tokens=60)
    text = whole.choices[0].message.content
    stop = text[5:9]
    cut = client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0, max_tokens=60, stop=[stop])
    assert cut.choices[0].message.content == text[: text.index(stop)]
    assert cut.choices[0].finish_reason == "stop"


class Weather(BaseModel):
    """Bounded everywhere: the guide has never seen JSON, and would write a string without end."""

    city: Literal["Oslo", "Quito"]
    degrees: Annotated[int, Field(ge=-50, le=60)]
    sunny: bool


def test_structured_output(client):
    answer = client.chat.completions.parse(
        model=MODEL,
        messages=[{"role": "user", "content": "How is the weather?"}],
        response_format=Weather,
        temperature=0.7,
        seed=1,
        max_tokens=400,
    )
    assert answer.choices[0].finish_reason == "stop"
    assert isinstance(answer.choices[0].message.parsed, Weather)


TOOL = {
    "type": "function",
    "function": {
        "name": "get_height",
        "description": "The height of the chain",
        "parameters": {
            "type": "object",
            "properties": {"network": {"type": "string", "enum": ["local", "main"]}},
            "required": ["network"],
            "additionalProperties": False,
        },
    },
}


def test_a_named_tool_is_called(client):
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "How high is the chain?"}],
        tools=[TOOL],
        tool_choice={"type": "function", "function": {"name": "get_height"}},
        max_tokens=100,
    )
    call = answer.choices[0].message.tool_calls[0]
    assert answer.choices[0].finish_reason in ("tool_calls", "stop")
    assert call.function.name == "get_height"
    assert json.loads(call.function.arguments)["network"] in ("local", "main")


def test_completions_and_embeddings(client):
    answer = client.completions.create(model=MODEL, prompt="Freeway is", max_tokens=8, temperature=0, logprobs=2)
    assert answer.choices[0].text
    assert len(answer.choices[0].logprobs.tokens) == answer.usage.completion_tokens
    vectors = client.embeddings.create(model=MODEL, input=["a lane", "a lane", "weather"])
    first, second, third = (item.embedding for item in vectors.data)
    assert first == second != third


def test_errors_are_those_of_the_package(client, base_url):
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="no-such-model", messages=QUESTION)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as empty:
        client.chat.completions.create(model=MODEL, messages=[])
    assert empty.value.param == "messages"
    with pytest.raises(openai.BadRequestError) as hot:
        client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=9)
    assert hot.value.param == "temperature"
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=base_url, api_key="wrong", max_retries=0).models.list()


def test_a_client_that_leaves_harms_nobody(client):
    with client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=400, stream=True) as stream:
        next(iter(stream))
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0, max_tokens=5)
    assert answer.usage.completion_tokens
