"""LiteLLM, which many programs use to speak with many providers."""

import litellm


def test_completion_and_stream(base_url, key):
    request = dict(
        model="openai/guide",
        messages=[{"role": "user", "content": "Who can host?"}],
        api_base=base_url,
        api_key=key,
        temperature=0,
        max_tokens=30,
    )
    whole = litellm.completion(**request)
    assert whole.choices[0].message.content
    parts = litellm.completion(**request, stream=True)
    text = "".join(part.choices[0].delta.content or "" for part in parts)
    assert text == whole.choices[0].message.content


def test_embedding(base_url, key):
    answer = litellm.embedding(model="openai/guide", input=["hello"], api_base=base_url, api_key=key)
    assert len(answer.data[0]["embedding"]) > 16
