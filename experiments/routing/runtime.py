"""Keeps routers and the domain detector in memory for fast decisions.

Both follow the policy: new parts of a revision load in the background. Until they are ready, a
router reports that it is not, and the previous detector continues.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple

from experiments.configuration.policy_store import store
from experiments.core.detection import Candidate, detect
from experiments.core.policy import Policy
from experiments.core.values import Failure, Score
from experiments.routers.detector import LearnedDetector
from experiments.routers.features import Features, featurise
from experiments.routers.pool import RouterPool, RouterStatus

log = logging.getLogger("switchyard.engine")


REMEMBERED_CHARACTERS = 1_000_000
LONGEST_REMEMBERED = 4_000


class Detected(NamedTuple):
    """Candidates, best first, and their detector (`classic` or a sha256).
    `unknown_language`: the detector does not support the prompt's language or script."""

    candidates: tuple[Candidate, ...]
    detector: str
    unknown_language: bool = False


class PromptCache:
    """The features of recent prompts, and what detector and local routers found in them. Prompts
    are known by their hash, and share a million characters: about 15 MB."""

    def __init__(self) -> None:
        self._prompts: OrderedDict[bytes, tuple[Features, int]] = OrderedDict()
        self._characters = 0
        self._lock = threading.Lock()

    def look(self, text: str) -> Features:
        if len(text) > LONGEST_REMEMBERED:
            return featurise(text)
        key = blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
        with self._lock:
            if (known := self._prompts.get(key)) is not None:
                self._prompts.move_to_end(key)
                return known[0]
        features = featurise(text)
        with self._lock:
            if key not in self._prompts:
                self._prompts[key] = (features, len(text))
                self._characters += len(text)
            while self._characters > REMEMBERED_CHARACTERS:
                self._characters -= self._prompts.popitem(last=False)[1][1]
        return features

    def clear(self) -> None:
        with self._lock:
            self._prompts.clear()
            self._characters = 0


class Engine:
    def __init__(self) -> None:
        self.pool = RouterPool()
        self._cache = PromptCache()
        self._base: LearnedDetector | None = None
        self._learned: LearnedDetector | None = None
        self._wanted: Mapping[str, tuple[str, ...]] | None = None
        self._lock = threading.Lock()

    def warm_up(self, policy: Policy) -> None:
        """Loads everything the policy needs, and waits until it is ready."""
        self.pool.warm_up(policy.routers)
        self._build_detector(policy)

    def follow(self, policy: Policy) -> None:
        """Switches to a new policy without delaying the request that found it."""
        self._cache.clear()
        self.pool.configure(policy.routers)
        if self._learned is None:
            self._build_detector(policy)
        elif self._wanted != _examples(policy):
            threading.Thread(target=self._build_detector, args=(policy,), daemon=True).start()

    def look(self, text: str) -> Features:
        """The prompt as routers and detector see it; remembered for identical prompts."""
        return self._cache.look(text)

    def detect(self, policy: Policy, text: str, features: Features) -> Detected:
        learned = self._learned
        if policy.detection.detector == "learned" and learned is not None:
            found = features.remember(learned, lambda: learned.candidates(features))
            return Detected(found, learned.identity, not learned.knows_language(features))
        configs = (domain.config for domain in policy.domains.values())
        classic = tuple(detect(text, configs))
        # The keywords are English, unless an operator's own were found.
        unknown = not classic and learned is not None and not learned.is_english(features)
        return Detected(classic, "classic", unknown)

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
