"""Timings without a server: scoring one prompt, `decide` alone, and one request."""

import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from experiments.api.direct_route import PATH, DirectRoute
from experiments.configuration.policy_store import store
from experiments.core.assignment import HashedBuckets, Unit
from experiments.core.decision import decide
from experiments.core.policy import PolicyRouter
from experiments.core.values import DecisionInputs, Score
from experiments.routers.controller import build_controller
from experiments.routers.detector import example_prompts
from experiments.routers.features import featurise
from experiments.routing.runtime import engine

ROUNDS = 2000
DISTINCT = 250  # times each example prompt
LONG_PROMPT = 30  # example prompts


@dataclass(frozen=True)
class Timing:
    name: str
    p50_ms: float
    p99_ms: float
    n: int


def prompts() -> list[str]:
    """Distinct prompts: identical ones are scored only once."""
    examples = [text for texts in example_prompts().values() for text in texts]
    return [f"{text} ({number})" for number in range(DISTINCT) for text in examples]


def measure_scoring(texts: Sequence[str]) -> list[Timing]:
    """The local routers with everything they need of a prompt; then through RouteLLM's classes."""
    policy = store.current()
    engine.warm_up(policy)
    timings = [
        _timed("read and embed the prompt", featurise, texts),
        _timed("local", lambda text: engine.score("local", featurise(text)), texts),
        _timed("local_mf", lambda text: engine.score("local_mf", featurise(text)), texts),
        _timed("domain", lambda text: engine.detect(policy, text, featurise(text)), texts),
    ]
    names = ("random", "local", "local_mf")
    routers = {name: PolicyRouter(name, name, local=name != "random") for name in names}
    controller = build_controller(routers, strong_model="strong", weak_model="weak")
    return timings + [
        _timed(f"RouteLLM's Controller, {name}", _through(controller, name), texts)
        for name in names
    ]


def measure_together(texts: Sequence[str]) -> list[Timing]:
    """All that is computed for a prompt that was not seen before: features, domain, scores of the
    local routers, decision."""
    policy = store.current()

    def decide_new(text: str) -> Any:
        features = featurise(text)
        detected = engine.detect(policy, text, features)
        asked = replace(_asked(), decision_id=text[:40], candidates=detected.candidates)
        return decide(policy, asked, lambda name: engine.score(name, features))

    long = [
        " ".join(texts[(number + step) % len(texts)] for step in range(LONG_PROMPT))
        for number in range(ROUNDS)
    ]
    return [
        _timed("read, detect, score and decide", decide_new, texts),
        _timed(f"the same, {len(long[0]):,} characters", decide_new, long),
    ]


def _asked() -> DecisionInputs:
    return DecisionInputs(
        decision_id="",
        unit=Unit(HashedBuckets(""), ""),
        candidates=(),
        input_tokens=100,
        day=datetime.now(UTC).date(),
    )


def measure_decide(texts: Sequence[str]) -> Timing:
    """The pure decision, with everything it is given at hand."""
    policy = store.current()
    text = texts[0]
    detected = engine.detect(policy, text, featurise(text))
    asked = replace(_asked(), candidates=detected.candidates, domain_override="technical")

    def decide_for(unit_id: str) -> Any:
        unit = Unit(HashedBuckets(unit_id), unit_id)
        situation = replace(asked, decision_id=unit_id, unit=unit)
        return decide(policy, situation, lambda name: Score(0.4))

    return _timed("decide", decide_for, [f"unit-{i}" for i in range(500)])


def measure_requests(key: str, texts: Sequence[str]) -> list[Timing]:
    """`POST /api/v1/route` with the decision stored: through Django's request handling alone, and
    as the server answers it."""
    from routing_site.asgi import pages

    direct = DirectRoute(pages)
    return [
        _timed("a request through Django", lambda text: _post(pages, key, text), texts),
        _timed("the same request, directly", lambda text: _post(direct, key, text), texts[ROUNDS:]),
    ]


def _post(application: Any, key: str, text: str) -> None:
    raw = json.dumps({"text": text}).encode()
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": PATH,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_AUTHORIZATION": f"Bearer {key}",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(raw)),
        "wsgi.input": io.BytesIO(raw),
        "wsgi.url_scheme": "http",
    }
    begun: list[str] = []
    b"".join(application(environ, lambda status, headers, *_: begun.append(status)))
    if not begun[0].startswith("201"):
        raise RuntimeError(f"{PATH} answered {begun[0]}")


def _through(controller: Any, name: str) -> Callable[[str], Any]:
    return lambda text: controller.route(text, name, 0.5)


def _timed(name: str, call: Callable[[str], Any], texts: Sequence[str]) -> Timing:
    for text in texts[:100]:
        call(text)
    seconds = []
    for i in range(ROUNDS):
        text = texts[i % len(texts)]
        started = time.perf_counter()
        call(text)
        seconds.append(time.perf_counter() - started)
    seconds.sort()
    p50, p99 = (seconds[int(ROUNDS * share)] * 1000 for share in (0.5, 0.99))
    return Timing(name, round(p50, 4), round(p99, 4), ROUNDS)
