"""Routers of one's own that misbehave, for the tests."""

import threading
import time

import numpy as np
from routellm.routers.routers import Router


class MoodyRouter(Router):  # type: ignore[misc]
    """Does what the prompt says: `nan`, `raise`, `hang`."""

    def calculate_strong_win_rate(self, prompt: str) -> object:
        if prompt == "nan":
            return np.float32("nan")
        if prompt == "raise":
            raise RuntimeError(f"cannot answer {prompt} with sk-abcdef123456")
        if prompt == "hang":
            time.sleep(60)
        return np.float64(0.25)


class SlowRouter(Router):  # type: ignore[misc]
    """Takes its time to load: until `may_load` is set."""

    may_load = threading.Event()

    def __init__(self) -> None:
        self.may_load.wait(30)

    def calculate_strong_win_rate(self, prompt: str) -> float:
        del prompt
        return 0.75


class NoRouter:
    """Not a subclass of RouteLLM's Router."""
