"""OpenAI's embeddings: passed on to the model that the client names, priced and counted."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.core.endpoints import ApiFormat, Upstream
from experiments.core.parameters import PolicyRule
from experiments.gateway.protocols.model_call import (
    Body,
    ModelCall,
    Translation,
    invalid,
    read_object,
    read_text,
    read_unit,
    tokens_of,
)
from experiments.gateway.protocols.native import (
    NativeRequest,
    Path,
    native_request,
    parameters_in,
)

CAPABILITY = "embedding"
MAX_INPUTS = 100_000
ROUTED_CHARACTERS = 2_000  # enough for the domain
PLACES: dict[str, Path] = {
    name: (name,) for name in ("dimensions", "encoding_format", "user", "input_type")
}


def read_embeddings(raw: bytes, session: str | None) -> ModelCall:
    """Raises CallerError. The call has no chat form: it goes only to models that embed."""
    body = read_object(raw)
    texts, tokens = _inputs(body)
    user = body.get("user")
    if user is not None and not isinstance(user, str):
        raise invalid("user", "must be a string.", "invalid_type")
    return ModelCall(
        body=body,
        model=read_text(body, "model", required=True) or "",
        text=(texts[0] if texts else "")[:ROUTED_CHARACTERS],
        input_tokens=max(1, tokens + (tokens_of(texts, 0, None) if texts else 0)),
        output_limit=0,
        capabilities=frozenset((CAPABILITY,)),
        unit_id=read_unit(body, session, user),
        listed=(),
        metadata={},
        streams=False,
        wants_usage=True,
        choices=1,
        size=len(raw),
        api_format=ApiFormat.EMBEDDINGS,
        parameters=parameters_in(body, PLACES),
        translation=Translation(dict, "embeddings"),
    )


def native_embeddings(
    call: ModelCall, upstream: Upstream, learned: Sequence[PolicyRule]
) -> NativeRequest:
    return native_request(call, upstream, PLACES, learned)


def _inputs(body: Mapping[str, Any]) -> tuple[list[str], int]:
    """The texts, and the number of tokens of inputs that are tokens already."""
    given = body.get("input")
    inputs = given if isinstance(given, list) else [given]
    if inputs and all(_is_token(each) for each in inputs):
        return [], len(inputs)
    if not inputs or len(inputs) > MAX_INPUTS:
        raise invalid("input", f"takes 1 to {MAX_INPUTS:,} inputs.", "invalid_type")
    texts = [each for each in inputs if isinstance(each, str) and each]
    lists = [each for each in inputs if isinstance(each, list) and all(map(_is_token, each))]
    if len(texts) + len(lists) != len(inputs):
        raise invalid("input", "must be texts that are not empty, or tokens.", "invalid_type")
    return texts, sum(map(len, lists))


def _is_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


class EmbeddingsReader:
    """Reads a provider's embeddings. They never stream."""

    def holder(self, data: Body) -> Body:
        usage = data.get("usage")
        return {"usage": {"completion_tokens": 0, **usage}} if isinstance(usage, dict) else {}

    def is_answer(self, data: Body) -> bool:
        return isinstance(data.get("data"), list)

    def delta(self, data: Body) -> Body | None:
        return None

    def message(self, data: Body) -> Body:
        return {}

    def begins(self, data: Body) -> bool:
        return True

    def ends(self, data: Body) -> bool:
        return True

    def named(self, data: Body, model: str) -> Body | None:
        return None
