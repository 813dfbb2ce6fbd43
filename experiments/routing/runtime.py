"""Keeps routers, the domain detector and the threshold tables in memory for fast decisions.

Routers and detector follow the policy: new parts of a revision load in the background. Until they
are ready, a router reports that it is not, and the previous detector continues. Threshold tables
are polled every second.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple

from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from django.db.models import Max

from experiments.configuration.policy_store import store
from experiments.core.detection import Candidate, detect
from experiments.core.policy import Policy, PolicyDomain
from experiments.core.values import (
    NO_TABLES,
    Failure,
    NumberedTable,
    Score,
    Tables,
    share_of_target,
)
from experiments.models import ThresholdTable
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
    """The features of recent prompts, and what detector and local routers found in them. Keyed by
    the hash of the prompt, limited to a million characters: about 15 MB."""

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


class TableStore:
    """The newest threshold table of each domain and checkpoint.

    A server polls in a thread of its own (`start_polling`), so no request waits for a query. Other
    processes read at most once every `seconds_apart`.
    """

    seconds_apart = 1.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.invalidate()

    def invalidate(self) -> None:
        """The next decision reads all tables."""
        self._tables: Tables = NO_TABLES
        self._newest = 0
        self._read_at = float("-inf")
        self._poller: threading.Thread | None = None

    def current(self) -> Tables:
        """The tables in memory, by key. A database that does not answer changes nothing."""
        is_polled = self._poller is not None and self._poller.is_alive()
        if not is_polled and time.monotonic() - self._read_at >= self.seconds_apart:
            self._read_quietly()
        return self._tables

    def start_polling(self) -> None:
        """Reads now, and then every second in the background until the process ends."""
        self._read_quietly()
        self._poller = threading.Thread(target=self._poll, name="threshold-tables", daemon=True)
        self._poller.start()

    def read(self) -> None:
        """Reads the tables that are new since the last time. One query, two the first time."""
        with self._lock:
            self._read_at = time.monotonic()
            known = dict(self._tables)
            for row in self._new_rows():
                self._newest = max(self._newest, row.pk)
                if row.key not in known or known[row.key].number < row.number:
                    known[row.key] = row.as_table()
            self._tables = known

    def _new_rows(self) -> list[ThresholdTable]:
        rows = ThresholdTable.objects.order_by("pk")
        if self._newest:
            return list(rows.filter(pk__gt=self._newest))
        keys = ThresholdTable.objects.order_by().values("domain", "router", "checkpoint")
        newest = keys.annotate(newest=Max("pk")).values("newest")
        return list(rows.filter(pk__in=newest))

    def _read_quietly(self) -> None:
        try:
            self.read()
        except (DatabaseError, InterfaceError):
            log.exception("threshold tables were not read; the previous ones remain")

    def _poll(self) -> None:
        poller = threading.current_thread()
        while True:
            time.sleep(self.seconds_apart)
            if self._poller is not poller:
                break
            close_old_connections()
            self._read_quietly()
        connection.close()


def threshold_at_work(domain: PolicyDomain) -> float | None:
    """The threshold that the domain's own policy uses now: its fixed one, or that of the newest
    table of its router."""
    wanted = domain.policy
    if wanted.target_share is None:
        return wanted.threshold
    found = newest_table(tables.current(), domain.name, wanted.router or "")
    cut = found.cuts.get(share_of_target(wanted.target_share)) if found else None
    return cut.threshold if cut else wanted.threshold


def newest_table(known: Tables, domain: str, router: str) -> NumberedTable | None:
    """Of the router's checkpoints, the one whose table was moved most often."""
    named = [table for key, table in known.items() if key[:2] == (domain, router)]
    return max(named, key=lambda table: table.number, default=None)


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
tables = TableStore()
store.on_change(engine.follow)
