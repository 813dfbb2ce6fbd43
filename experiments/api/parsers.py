"""Strict JSON parsing: ambiguous bodies are refused."""

import json
from collections.abc import Mapping
from typing import IO, Any

import orjson
from rest_framework.parsers import BaseParser

from experiments.api.errors import BodyTooLargeError, InvalidRequestError, MalformedJSONError
from experiments.core.text import UnstorableError, load_json

MAX_BODY = 1024 * 1024
TOO_LARGE = f"The body is larger than {MAX_BODY:,} bytes. Send less, or in several requests."


class JSONParser(BaseParser):
    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        return parse_json(stream.read(MAX_BODY + 1))


def parse_json(body: bytes) -> Any:
    """Parses one JSON value. Refuses bad UTF-8, lone surrogates, NaN, duplicate names and NUL
    characters.

    Raises BodyTooLargeError, MalformedJSONError, InvalidRequestError."""
    if len(body) > MAX_BODY:
        raise BodyTooLargeError(TOO_LARGE)
    try:
        data = load_json(body)
    except UnstorableError as error:
        found = error.found
        raise InvalidRequestError(str(error), found.field or None, found.code) from None
    except orjson.JSONDecodeError as error:
        raise MalformedJSONError(f"The body is not valid JSON: {error}.") from None
    _refuse_duplicates(body)
    return data


def _refuse_duplicates(body: bytes) -> None:
    """orjson silently keeps the last of two equal names; the standard decoder reports them all."""
    try:
        _decoder.decode(body.decode())
    except RecursionError:
        raise MalformedJSONError("The body is nested too deeply.") from None


def _once(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) == len(names):
        return
    twice = next(name for name in names if names.count(name) > 1)
    raise InvalidRequestError(f"'{twice}' is given twice. Send it once.", twice, "duplicate_field")


_decoder = json.JSONDecoder(object_pairs_hook=_once)
