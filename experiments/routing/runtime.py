"""What a process keeps loaded to decide quickly: routers and the domain detector.

Both follow the policy: what is new in a revision is loaded in the background, and until it is ready
a router says so and the detector before it goes on answering.
"""

import logging
import threading
from collections.abc import Mapping
from typing import NamedTuple

from experiments.configuration.policy_store import store
from experiments.core.detection import Candidate, detect
from experiments.core.policy import Policy
from experiments.core.values import Failure, Score
from experiments.routers.detector import LearnedDetector
from experiments.routers.features import Features
from experiments.routers.pool import RouterPool, RouterStatus

log = logging.getLogger("switchyard.engine")


class Detected(NamedTuple):
    """Candidates best first, and which detector named them (`classic` or a sha256)."""

    candidates: tuple[Candidate, ...]
    detector: str


class Engine:
    def __init__(self) -> None:
        self.pool = RouterPool()
        self._base: LearnedDetector | None = None
        self._learned: LearnedDetector | None = None
        self._wanted: Mapping[str, tuple[str, ...]] | None = None
        self._lock = threading.Lock()

    def warm_up(self, policy: Policy) -> None:
        """Loads everything the policy needs, and waits for it."""
        self.pool.warm_up(policy.routers)
        self._build_detector(policy)

    def follow(self, policy: Policy) -> None:
        """Takes up a new policy without holding up the request that found it."""
        self.pool.configure(policy.routers)
        if self._learned is None:
            self._build_detector(policy)
        elif self._wanted != _examples(policy):
            threading.Thread(target=self._build_detector, args=(policy,), daemon=True).start()

    def detect(self, policy: Policy, text: str, features: Features) -> Detected:
        if policy.detection.detector == "learned" and self._learned is not None:
            return Detected(tuple(self._learned.candidates(features)), self._learned.identity)
        configs = (domain.config for domain in policy.domains.values())
        return Detected(tuple(detect(text, configs)), "classic")

    def score(self, name: str, features: Features) -> Score | Failure:
        return self.pool.score(name, features)

    def statuses(self) -> list[RouterStatus]:
        return self.pool.statuses()

    def _build_detector(self, policy: Policy) -> None:
        examples = _examples(policy)
        with self._lock:
            if self._wanted == examples:
                return
            base = self._base or LearnedDetector.load()
            self._base, self._wanted = base, examples
            self._learned = base.with_domains(tuple(examples), examples)
            log.info("Detector ready", extra={"revision": policy.revision})


def _examples(policy: Policy) -> Mapping[str, tuple[str, ...]]:
    return {name: policy.detection.examples.get(name, ()) for name in policy.domains}


engine = Engine()
store.on_change(engine.follow)
