"""JSON that is nested too deeply, or has numbers that are too large, is refused at every
endpoint."""

import pytest

from tests.api.client import API

PATHS = (
    "/api/v1/route",
    "/api/v1/route/batch",
    "/api/v1/feedback",
    "/api/v1/decisions/00000000-0000-0000-0000-000000000000/outcome",
    "/api/v1/experiments",
)
DEPTHS = (255, 300, 1000, 1024, 1025, 100_000)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}")])
def test_nested_too_deeply(api: API, path: str, depth: int, brackets: tuple[bytes, bytes]) -> None:
    begin, end = brackets
    body = b'{"metadata": ' + begin * depth + b"1" + end * depth + b"}"
    answer = api.send(path, body)
    assert answer.fault == (400, None, "malformed_json")


@pytest.mark.parametrize("path", PATHS)
def test_nested_as_deeply_as_can_be_written_is_refused_for_what_it_is(api: API, path: str) -> None:
    answer = api.send(path, b'{"metadata": ' + b"[" * 253 + b"]" * 253 + b"}")
    assert answer.status == 400
    assert answer.error["code"] != "malformed_json"


@pytest.mark.parametrize("number", [b"1e400", b"-1e999", b"9" * 400, b"9" * 5000, b"NaN"])
@pytest.mark.parametrize("path", PATHS)
def test_number_too_large_for_a_float(api: API, path: str, number: bytes) -> None:
    answer = api.send(path, b'{"value": ' + number + b"}")
    assert answer.fault == (400, None, "malformed_json")


@pytest.mark.parametrize("number", [b"1e30", b"9" * 30, b"-" + b"9" * 19])
def test_number_no_column_holds(api: API, number: bytes) -> None:
    decision_id = api.route()["decision_id"]
    for path, name in (
        (f"/api/v1/decisions/{decision_id}/outcome", b"input_tokens"),
        (f"/api/v1/decisions/{decision_id}/outcome", b"latency_ms"),
    ):
        answer = api.send(path, b'{"' + name + b'": ' + number + b"}")
        assert answer.status in {204, 400}
