"""Scores and learned detection for the Python API, loaded when they are first needed.

Functions import `experiments.routers` when they need it, so applications that only use the domain
selector save its time and memory.
"""

from collections.abc import Iterable, Mapping
from threading import Lock
from typing import TYPE_CHECKING

from experiments.core.detection import Candidate
from experiments.core.policy import PolicyRouter
from experiments.core.values import Failure, Score
from experiments.python_api.routellm_config import RouterType

if TYPE_CHECKING:
    from experiments.routers.detector import LearnedDetector
    from experiments.routers.pool import RouterPool

# Failures worth a retry. A router that is not ready or misconfigured stays so.
WORTH_ANOTHER_TRY = frozenset({"router_failed", "router_timeout"})


class Scorers:
    """The routers of one DomainRouter."""

    def __init__(self) -> None:
        self._pool: RouterPool | None = None
        self._wanted: Mapping[str, PolicyRouter] = {}
        self._lock = Lock()

    def prepare(self, routers: Mapping[str, PolicyRouter]) -> None:
        """Loads these and waits, unless they are loaded. A failed one says so when called."""
        with self._lock:
            if self._pool is not None and routers == self._wanted:
                return
            from experiments.routers.pool import RouterPool  # noqa: PLC0415 - heavy

            pool = self._pool or RouterPool()
            pool.warm_up(routers)
            self._pool, self._wanted = pool, dict(routers)

    def score(self, name: str, text: str, attempts: int) -> Score | Failure:
        """The first score of at most `attempts` tries, else the last failure."""
        answer = self._ask(name, text)
        for _ in range(attempts - 1):
            if isinstance(answer, Score) or answer.reason not in WORTH_ANOTHER_TRY:
                break
            answer = self._ask(name, text)
        return answer

    def local(self, text: str) -> Score:
        """The shipped local router's score. Raises ValueError where its checkpoint is damaged."""
        local = RouterType.LOCAL.value
        self.prepare({local: PolicyRouter(name=local, kind=local, local=True)})
        answer = self._ask(local, text)
        if isinstance(answer, Failure):
            raise ValueError(answer.detail)  # noqa: TRY004 - the checkpoint is wrong, not a type
        return answer

    @property
    def is_built(self) -> bool:
        """Whether `prepare` was called."""
        return self._pool is not None

    def is_ready(self, name: str) -> bool | None:
        """None until `prepare` was called."""
        return self._pool.status(name).ready if self._pool else None

    def problem(self, name: str) -> str | None:
        """Why a prepared router cannot answer."""
        status = self._pool.status(name) if self._pool else None
        return None if status is None or status.ready else status.detail

    def _ask(self, name: str, text: str) -> Score | Failure:
        from experiments.routers.features import featurise  # noqa: PLC0415 - heavy

        if self._pool is None:
            return Failure("router_not_ready", "prepare() was not called.")
        if problem := self.problem(name):
            return Failure("router_not_ready", problem)
        try:
            return self._pool.score(name, featurise(text))
        except ValueError as error:  # the embedding is missing or damaged
            return Failure("router_not_ready", str(error))


class LearnedDomains:
    """The learned detector, for the domains it was trained on."""

    def __init__(self) -> None:
        self._detector: LearnedDetector | None = None
        self._names: tuple[str, ...] = ()

    def look_at(self, text: str, names: Iterable[str]) -> tuple[tuple[Candidate, ...], bool]:
        """Candidates among `names`, best first, and whether the text's language is known."""
        from experiments.routers.detector import LearnedDetector  # noqa: PLC0415 - heavy
        from experiments.routers.features import featurise  # noqa: PLC0415 - heavy

        wanted = tuple(names)
        if self._detector is None or wanted != self._names:
            base = self._detector or LearnedDetector.load()
            self._detector, self._names = base.with_domains(wanted, {}), wanted
        features = featurise(text)
        return self._detector.candidates(features), self._detector.knows_language(features)


def calibrated_thresholds(domains: Iterable[str]) -> dict[str, float]:
    """The local router's thresholds for a strong share of one half, by domain; the overall one for
    domains without data."""
    names = list(domains)
    if not names:
        return {}
    from experiments.routers.local import calibrated_thresholds as calibrated  # noqa: PLC0415

    try:
        thresholds = calibrated()
    except ValueError:  # no checkpoint: the router reports it when called
        return {}
    return {name: thresholds.get(name, thresholds["overall"]) for name in names}
