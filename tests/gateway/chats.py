"""Chat calls through OpenAI's client, and their responses."""

from typing import Any, NamedTuple

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

TEXT = "Yes, of course."


class Answer(NamedTuple):
    """A response with its headers."""

    completion: ChatCompletion
    headers: dict[str, str]

    @property
    def decision_id(self) -> str:
        return self.headers["x-switchyard-decision-id"]

    @property
    def text(self) -> str | None:
        return self.completion.choices[0].message.content


class Streamed(NamedTuple):
    """A stream read to its end; `error` is what ended it, if it was not `[DONE]`."""

    chunks: list[ChatCompletionChunk]
    headers: dict[str, str]
    error: openai.APIError | None

    @property
    def decision_id(self) -> str:
        return self.headers["x-switchyard-decision-id"]

    @property
    def text(self) -> str:
        return "".join(c.choices[0].delta.content or "" for c in self.chunks if c.choices)


def turns(text: str = "Hello.") -> Any:
    return [{"role": "user", "content": text}]


def ask(client: openai.OpenAI, model: str, text: str = "Hello.", **options: Any) -> Answer:
    options = {"messages": turns(text), **options}
    raw = client.chat.completions.with_raw_response.create(model=model, **options)
    return Answer(raw.parse(), {k.lower(): v for k, v in raw.headers.items()})


def stream(client: openai.OpenAI, model: str, text: str = "Hello.", **options: Any) -> Streamed:
    options = {"messages": turns(text), **options}
    raw = client.chat.completions.with_raw_response.create(model=model, stream=True, **options)
    headers = {k.lower(): v for k, v in raw.headers.items()}
    chunks: list[ChatCompletionChunk] = []
    try:
        chunks.extend(raw.parse())
    except openai.APIError as error:
        return Streamed(chunks, headers, error)
    return Streamed(chunks, headers, None)


def error_of(error: openai.APIError) -> dict[str, Any]:
    """The fields of an error in OpenAI's form: message, type, param, code."""
    body = error.body
    assert isinstance(body, dict), body
    return body
