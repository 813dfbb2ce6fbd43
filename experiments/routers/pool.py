"""The routers of this process: loaded in the background, called by requests.

Local routers answer in the caller's thread. The others answer in separate threads, with the row's
timeout and a limit on concurrent calls. A router that cannot answer returns the reason; no call
raises.
"""

import json
import logging
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from experiments.core.policy import PolicyRouter
from experiments.core.values import Failure, Score
from experiments.routers import routellm_loader
from experiments.routers.bounded_pool import BoundedCalls, CallTimeoutError
from experiments.routers.building import Built, build, routellm_instance
from experiments.routers.errors import describe
from experiments.routers.features import Features
from experiments.routers.kinds import check_name, kind_of

log = logging.getLogger("switchyard.routers")

STRONG, WEAK = "strong", "weak"


class RouterStatus(NamedTuple):
    name: str
    ready: bool
    detail: str


class _Identity(NamedTuple):
    """Configured routers with the same key share one loaded router."""

    kind: str
    arguments: str
    checkpoint: str | None


class _Loaded(NamedTuple):
    kind: str
    built: Built
    calls: BoundedCalls | None  # None: answers in the caller's thread


class _Entry(NamedTuple):
    score: Callable[[Features], float]
    checkpoint: str | None
    calls: BoundedCalls | None
    timeout: float


class RouterPool:
    """One per process. `warm_up` before the fork, `configure` with every new policy.

    A loaded router is kept as long as a configured one has its kind, arguments and checkpoint. A
    router whose row changed keeps answering until its successor is loaded or has failed to load.
    `_entries` is replaced, never changed: requests read it without a lock.
    """

    def __init__(self) -> None:
        self._entries: Mapping[str, _Entry] = {}
        self._wanted: dict[str, PolicyRouter] = {}
        self._loaded: dict[_Identity, _Loaded] = {}
        self._published: Mapping[str, _Loaded] = {}
        self._failed: dict[_Identity, str] = {}
        self._controller: Any = None
        self._lock = threading.RLock()
        self._loader: threading.Thread | None = None
        _pools.add(self)

    def warm_up(self, routers: Mapping[str, PolicyRouter]) -> None:
        """Load these and wait. A router that cannot be loaded is logged and gets a status."""
        self.configure(routers)
        if loader := self._loader:
            loader.join()

    def configure(self, routers: Mapping[str, PolicyRouter]) -> None:
        """Keeps unchanged routers, drops removed ones, and loads new ones in the background."""
        with self._lock:
            self._wanted = dict(routers)
            self._failed = {}  # a new policy tries again
            wanted = self._wanted_identities()
            self._loaded = {key: kept for key, kept in self._loaded.items() if key in wanted}
            self._publish()
            self._start_loader()

    def status(self, name: str) -> RouterStatus:
        router = self._wanted.get(name)
        if router is None:
            return RouterStatus(name, False, f"There is no router '{name}'.")
        key = _identity(router)
        if key in self._loaded:
            return RouterStatus(name, True, "Loaded.")
        if name in self._entries:
            return RouterStatus(name, True, "Loading. The one before it answers until then.")
        return RouterStatus(name, False, self._failed.get(key, "Loading."))

    def statuses(self) -> list[RouterStatus]:
        return [self.status(name) for name in self._wanted]

    def score(self, name: str, features: Features) -> Score | Failure:
        """One prompt's score, or the reason why there is none. Never raises.

        The score is the router's float; its range is not checked here.
        """
        entry = self._entries.get(name)
        if entry is None:
            self._start_loader()  # there is none after a fork
            return Failure("router_not_ready", self.status(name).detail)
        try:
            if entry.calls is None:
                value = self._inline(entry, features)
            else:
                value = entry.calls.run(lambda: entry.score(features), entry.timeout)
        except CallTimeoutError as error:
            return Failure("router_timeout", str(error))
        except Exception as error:
            return Failure("router_failed", describe(error, features.text))
        return Score(value, entry.checkpoint)

    def _inline(self, entry: _Entry, features: Features) -> float:
        """A checkpoint gives a prompt one score, which is cached with its features."""
        if entry.checkpoint is None:
            return entry.score(features)
        return features.remember(entry, lambda: entry.score(features))

    @property
    def controller(self) -> Any:
        """RouteLLM's Controller with all loaded routers, local ones too. Imports RouteLLM.

        Its pair is called `strong` and `weak`: which models these are differs by domain here.
        """
        bridge = routellm_loader.bridge()  # not under the lock: it takes seconds
        with self._lock:
            if self._controller is None:
                self._controller = bridge.Controller({}, STRONG, WEAK)
                self._publish()
            return self._controller

    def _wanted_identities(self) -> set[_Identity]:
        return {_identity(router) for router in self._wanted.values()}

    def _publish(self) -> None:
        found = {name: self._answering(name, router) for name, router in self._wanted.items()}
        self._published = {name: loaded for name, loaded in found.items() if loaded is not None}
        self._entries = {
            name: _Entry(
                loaded.built.score,
                loaded.built.checkpoint,
                loaded.calls,
                self._wanted[name].timeout_seconds,
            )
            for name, loaded in self._published.items()
        }
        if self._controller is not None:
            self._controller.routers = {
                name: routellm_instance(loaded.kind, loaded.built)
                for name, loaded in self._published.items()
            }

    def _answering(self, name: str, router: PolicyRouter) -> _Loaded | None:
        """This router; while it loads, its predecessor."""
        key = _identity(router)
        before = None if key in self._failed else self._published.get(name)
        return self._loaded.get(key, before)

    def _next_missing(self) -> PolicyRouter | None:
        """The next router to load; local ones first, because they load fast."""
        with self._lock:
            missing = [
                router
                for router in self._wanted.values()
                if _identity(router) not in self._loaded and _identity(router) not in self._failed
            ]
            return min(missing, key=lambda router: not router.local, default=None)

    def _load(self, router: PolicyRouter) -> None:
        """Loads outside the lock; the result is kept only if it is still configured."""
        key = _identity(router)
        loaded, problem = None, ""
        try:
            loaded = _load(router)
        except Exception as error:
            problem = describe(error)
        with self._lock:
            if key not in self._wanted_identities():
                return
            if loaded is None:
                self._failed[key] = problem
                self._publish()
                log.warning("Router not loaded", extra={"router": router.name, "detail": problem})
                return
            self._loaded[key] = loaded
            self._publish()
            log.info("Router ready", extra={"router": router.name, "kind": router.kind})

    def _start_loader(self) -> None:
        with self._lock:
            idle = self._loader is None or not self._loader.is_alive()
            if idle and self._next_missing() is not None:
                self._loader = threading.Thread(
                    target=self._load_missing, name="router-loader", daemon=True
                )
                self._loader.start()

    def _load_missing(self) -> None:
        while True:
            with self._lock:
                router = self._next_missing()
                if router is None:
                    self._loader = None
                    return
            self._load(router)

    def _after_fork(self) -> None:
        """No thread of the parent lives in the child, and a lock may have been held."""
        self._lock = threading.RLock()
        self._loader = None
        for loaded in (*self._loaded.values(), *self._published.values()):
            if loaded.calls is not None:
                loaded.calls.reset()


def _identity(router: PolicyRouter) -> _Identity:
    arguments = json.dumps(dict(router.arguments), sort_keys=True, default=str)
    return _Identity(router.kind, arguments, router.checkpoint)


def _load(router: PolicyRouter) -> _Loaded:
    check_name(router.name)
    kind = kind_of(router.kind)
    calls = None if kind.inline else BoundedCalls(kind.concurrent)
    return _Loaded(router.kind, build(router), calls)


_pools: "weakref.WeakSet[RouterPool]" = weakref.WeakSet()


def _reset_pools() -> None:
    for pool in list(_pools):
        pool._after_fork()


os.register_at_fork(after_in_child=_reset_pools)
