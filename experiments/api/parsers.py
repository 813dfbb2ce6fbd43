"""JSON in: strict, so that what a caller meant is never guessed."""

import json
from collections.abc import Mapping
from typing import IO, Any

import orjson
from rest_framework.parsers import BaseParser

from experiments.api.errors import BodyTooLargeError, InvalidRequestError, MalformedJSONError

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
    """One JSON value. Refused: bad UTF-8, lone surrogates, NaN, names given twice, NUL characters.

    Raises BodyTooLargeError, MalformedJSONError, InvalidRequestError.
    """
    if len(body) > MAX_BODY:
        raise BodyTooLargeError(TOO_LARGE)
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedJSONError(f"The body is not valid JSON: {error}.") from None
    if b"\\u0000" in body:
        _refuse_nul(data)
    _refuse_duplicates(body)
    return data


def _refuse_duplicates(body: bytes) -> None:
    """orjson takes the last of two equal names in silence; the standard decoder shows them all."""
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


def _refuse_nul(data: Any, path: str = "") -> None:
    """Databases cannot store the NUL character, and no prompt needs it."""
    if isinstance(data, dict):
        for name, value in data.items():
            _refuse_nul(name, path)
            _refuse_nul(value, f"{path}.{name}".lstrip("."))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            _refuse_nul(value, f"{path}[{index}]")
    elif isinstance(data, str) and "\x00" in data:
        raise InvalidRequestError(
            "Holds a NUL character (U+0000). Remove it.", path or None, "nul_character"
        )
