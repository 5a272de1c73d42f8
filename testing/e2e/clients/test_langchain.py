"""LangChain's chat model and embeddings."""

from typing import Annotated

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field


def model(base_url, key, **more):
    return ChatOpenAI(model="guide", base_url=base_url, api_key=key, temperature=0, max_retries=0, timeout=120, **more)


def test_invoke_and_stream(base_url, key):
    messages = [SystemMessage("You are helpful."), HumanMessage("What is a sprint?")]
    chat = model(base_url, key, max_tokens=30)
    whole = chat.invoke(messages)
    assert whole.content
    assert whole.usage_metadata["output_tokens"] > 0
    assert "".join(chunk.content for chunk in chat.stream(messages)) == whole.content


class Answer(BaseModel):
    sure: bool
    level: Annotated[int, Field(ge=0, le=9)]


def test_structured_output(base_url, key):
    chat = model(base_url, key, max_tokens=200).with_structured_output(Answer, method="json_schema")
    assert isinstance(chat.invoke("Are you sure?"), Answer)


def test_embeddings(base_url, key):
    # Without the check of lengths it sends texts instead of the tokens of another model.
    embeddings = OpenAIEmbeddings(model="guide", base_url=base_url, api_key=key, check_embedding_ctx_length=False)
    first, second = embeddings.embed_documents(["beacon", "epoch"])
    assert len(first) == len(second) and first != second
