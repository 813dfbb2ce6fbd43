"""Classification of providers' errors, in the many forms they have."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson
import pytest

from experiments.gateway.errors import AttemptStatus
from experiments.gateway.provider_errors import refusal, reported


def refused(status: int, error: Any, **headers: str) -> Any:
    raw = error if isinstance(error, bytes) else orjson.dumps(error)
    return refusal(status, raw, headers, "sk-our-own-key-123456")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, AttemptStatus.REFUSED),
        (401, AttemptStatus.CREDENTIALS),
        (403, AttemptStatus.CREDENTIALS),
        (404, AttemptStatus.CREDENTIALS),
        (408, AttemptStatus.FAILED),
        (413, AttemptStatus.REFUSED),
        (418, AttemptStatus.REFUSED),
        (422, AttemptStatus.REFUSED),
        (425, AttemptStatus.FAILED),
        (429, AttemptStatus.RATE_LIMITED),
        (302, AttemptStatus.FAILED),
        (500, AttemptStatus.FAILED),
        (529, AttemptStatus.FAILED),
    ],
)
def test_status(status: int, kind: AttemptStatus) -> None:
    assert refused(status, {"error": {"message": "No."}}).status is kind


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ({"error": {"message": "No.", "type": "a", "code": "b"}}, "No."),
        ({"error": "No."}, "No."),
        ({"message": "No."}, "No."),
        ({"detail": "No."}, "No."),
        ({"error": {"message": {"why": "No."}}}, "{'why': 'No.'}"),
        (["No."], "['No.']"),
        (b"plain words", "plain words"),
        (b"<html>Bad gateway</html>", "The provider answered 500."),
        (b"", "The provider answered 500."),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_message(error: Any, message: str) -> None:
    assert refused(500, error).message == message


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens.",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "Input is too long for requested model.",
        "The input token count exceeds the maximum number of tokens allowed (1048576).",
        "Please reduce the length: context window exceeded",
    ],
)
def test_prompt_that_is_too_long(message: str) -> None:
    assert refused(400, {"error": {"message": message}}).status is AttemptStatus.CONTEXT_LENGTH


def test_length_of_another_field_does_not_fail_over() -> None:
    error = {"error": {"message": "max_tokens is too large.", "code": "invalid_value"}}
    assert refused(400, error).status is AttemptStatus.REFUSED


def test_keys_are_removed_from_messages() -> None:
    error = {"error": {"message": "Bad key sk-our-own-key-123456", "code": "invalid_api_key"}}
    found = refused(401, error)
    answer = found.as_answer()
    assert "sk-our-own" not in found.message
    assert (answer.status, answer.code) == (502, "upstream_credentials")


@pytest.mark.parametrize(("value", "seconds"), [("3", 3.0), ("0.5", 0.5), ("-1", 0.0), ("x", None)])
def test_wait_in_seconds(value: str, seconds: float | None) -> None:
    assert refused(429, {}, **{"Retry-After": value}).retry_after == seconds


def test_wait_as_a_date() -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 55 < refused(429, {}, **{"Retry-After": then}).retry_after <= 60


def test_error_that_comes_with_status_200_and_is_the_callers() -> None:
    error = {"message": "'seed' is not supported.", "type": "invalid_request_error", "code": "x"}
    found = reported({"error": error}, None)
    assert found is not None
    assert (found.status, found.http_status) == (AttemptStatus.REFUSED, 400)
    busy = reported({"error": {"message": "Busy.", "type": "overloaded_error"}}, None)
    assert busy is not None
    assert (busy.status, busy.http_status) == (AttemptStatus.FAILED, 500)


def test_error_with_status_200() -> None:
    found = reported({"error": {"message": "Busy.", "code": 429}}, None)
    assert found is not None
    assert found.status is AttemptStatus.RATE_LIMITED
    assert reported({"choices": [{}], "error": None}, None) is None
