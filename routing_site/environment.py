"""Reads settings from the environment or `.env`. Wrong ones are collected and refused together.

An empty value counts as not set, so a copy of `.env.example` works as it is.
"""

import os
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from experiments.core.provider_addresses import parse_networks

Value = TypeVar("Value")

_ORIGIN = re.compile(r"\*|https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:\d{1,5})?", re.IGNORECASE)
YES, NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class Environment:
    def __init__(self, file: Path) -> None:
        self._problems: list[str] = []
        self._env = environ.Env()
        try:
            self._env.read_env(file)
        except (OSError, UnicodeDecodeError) as error:
            self._problems.append(f"{file} cannot be read: {error}.")

    def text(self, name: str, default: str = "") -> str:
        return os.environ.get(name, "").strip() or default

    def needed(self, name: str, advice: str) -> str:
        if not self.text(name):
            self._problems.append(f"  {name} is not set. {advice}")
        return self.text(name)

    def flag(self, name: str, default: bool) -> bool:
        def read() -> bool:
            value = self.text(name).lower()
            if value not in YES + NO:
                raise ValueError
            return value in YES

        return self._read(name, default, "true or false", read)

    def whole(self, name: str, default: int, lowest: int = 0, highest: int | None = None) -> int:
        limits = f"of {lowest} or more" if highest is None else f"from {lowest} to {highest}"

        def read() -> int:
            value = int(self.text(name))
            if value < lowest or (highest is not None and value > highest):
                raise ValueError
            return value

        return self._read(name, default, f"a whole number {limits}", read)

    def number(self, name: str, default: float, lowest: float = 0) -> float:
        def read() -> float:
            value = float(self.text(name))
            if not lowest <= value < float("inf"):
                raise ValueError
            return value

        return self._read(name, default, f"a number of {lowest:g} or more", read)

    def choice(self, name: str, default: str, allowed: Sequence[str]) -> str:
        def read() -> str:
            value = self.text(name).upper()
            if value not in allowed:
                raise ValueError
            return value

        return self._read(name, default, f"one of {', '.join(allowed)}", read)

    def texts(self, name: str, default: Sequence[str] = ()) -> list[str]:
        return [part.strip() for part in self.text(name).split(",") if part.strip()] or [*default]

    def networks(self, name: str) -> list[str]:
        def read() -> list[str]:
            parse_networks(self.texts(name))
            return self.texts(name)

        return self._read(name, [], "networks such as 10.0.0.0/8,fd00::/8, or all", read)

    def origins(self, name: str) -> list[str]:
        """Origins of pages: https://app.example.com, or * for any."""

        def read() -> list[str]:
            origins = self.texts(name)
            if not all(_ORIGIN.fullmatch(origin) for origin in origins):
                raise ValueError
            return [origin.lower() for origin in origins]

        return self._read(name, [], "https://host, with commas between them, or *", read)

    def pairs(self, name: str) -> dict[str, str]:
        def read() -> dict[str, str]:
            return {
                key.strip(): value.strip()
                for key, value in (part.split("=", 1) for part in self.texts(name))
            }

        return self._read(name, {}, "name=value, with commas between them", read)

    def database(self, name: str, default: str) -> dict[str, Any]:
        wanted = "sqlite:///path or postgres://user:password@host:5432/name"
        return self._read(
            name,
            self._env.db_url_config(default),
            wanted,
            lambda: _with("ENGINE", self._env.db(name)),
            secret=True,
        )

    def cache(self, name: str, default: str) -> dict[str, Any]:
        return self._read(
            name,
            self._env.cache_url_config(default),
            "locmemcache:// or redis://host:6379/0",
            lambda: _with("BACKEND", self._env.cache_url(name)),
            secret=True,
        )

    def redis(self, name: str) -> str:
        def read() -> str:
            if urlsplit(self.text(name)).scheme not in {"redis", "rediss", "unix"}:
                raise ValueError
            return self.text(name)

        return self._read(name, "", "redis://host:6379/0", read, secret=True)

    def close(self) -> None:
        """Raises ImproperlyConfigured that names each setting that could not be read."""
        if self._problems:
            raise ImproperlyConfigured(
                "\n".join(
                    ("These settings, from the environment or .env, are wrong:", *self._problems)
                )
            )

    def _read(
        self,
        name: str,
        default: Value,
        wanted: str,
        read: Callable[[], Value],
        *,
        secret: bool = False,
    ) -> Value:
        """The value that `read` returns; the default if it is not set or wrong, which is noted."""
        if not self.text(name):
            return default
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # raised for a wrong address
                return read()
        except (ValueError, LookupError, UserWarning, ImproperlyConfigured):
            shown = "cannot be used" if secret else f"is '{self.text(name)}'"
            self._problems.append(f"  {name} {shown}. Give {wanted}.")
            return default


def _with(key: str, config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a known address. Raises LookupError."""
    if not config.get(key):
        raise LookupError(key)
    return config
