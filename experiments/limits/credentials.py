"""The keys of provider endpoints, read from the environment or a file for each call.

This module never logs, stores or raises a key."""

import os
import re
from pathlib import Path

from django.conf import settings

from experiments.core.endpoints import Endpoint, may_hold_provider_key

HIDDEN = "[hidden]"
# The format of providers' keys, in case an error contains a key that we did not send.
_LOOKS_LIKE_A_KEY = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|sy)[-_][A-Za-z0-9_\-]{8,}|Bearer\s+\S{8,}"
    r"|\bAIza[A-Za-z0-9_\-]{20,}|\bA[KS]IA[A-Z0-9]{12,}|(?<=[?&]key=)[^\s&'\"]{8,}"
)


class CredentialMissingError(Exception):
    """The endpoint's variable or file has no key. The message says which, and what to do."""


def key_of(endpoint: Endpoint) -> str | None:
    """The endpoint's key, None if it needs none. Raises CredentialMissingError."""
    if endpoint.api_key_file:
        return _from_file(endpoint)
    if endpoint.api_key_env:
        return _from_environment(endpoint)
    return None


def problem_of(endpoint: Endpoint) -> str | None:
    """Why the endpoint cannot be called, or None."""
    try:
        key_of(endpoint)
    except CredentialMissingError as error:
        return str(error)
    return None


def without_secrets(text: str, key: str | None) -> str:
    """A provider's message without our key or anything that looks like a key."""
    if key:
        text = text.replace(key, HIDDEN)
    return _LOOKS_LIKE_A_KEY.sub(HIDDEN, text)


def _from_environment(endpoint: Endpoint) -> str:
    """Checked here too: a row may be older than the rule."""
    if not may_hold_provider_key(endpoint.api_key_env, settings.PROVIDER_KEY_NAMES):
        raise CredentialMissingError(
            f"The variable {endpoint.api_key_env} of endpoint '{endpoint.name}' may not hold a "
            "provider's key. Add it to PROVIDER_KEY_NAMES where Switchyard runs and start it again."
        )
    key = os.environ.get(endpoint.api_key_env, "").strip()
    if not key:
        raise CredentialMissingError(
            f"The environment variable {endpoint.api_key_env} of endpoint '{endpoint.name}' is "
            "not set. Set it where Switchyard runs and start it again."
        )
    return key


def _from_file(endpoint: Endpoint) -> str:
    path, directory = Path(endpoint.api_key_file), Path(settings.PROVIDER_KEYS_DIRECTORY)
    if not path.resolve().is_relative_to(directory.resolve()):
        raise CredentialMissingError(
            f"The file {path} of endpoint '{endpoint.name}' is outside {directory}, the only place "
            "keys are read from (PROVIDER_KEYS_DIRECTORY)."
        )
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        key = ""
    if not key:
        raise CredentialMissingError(
            f"The file {endpoint.api_key_file} of endpoint '{endpoint.name}' cannot be read or is "
            "empty. Put the key into it, readable by Switchyard."
        )
    return key
