"""Exceptions of the routers, and the text of a caught one.

RouterConfigurationError    a router cannot be built as configured; the message says what to change
"""

import os
import re

_SECRET_VARIABLES = ("OPENAI_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "LLAMA2_HF_TOKEN")
_SECRET = re.compile(r"\b(?:sk|hf)[-_]\S{4,}|(?<=://)[^/\s@]+(?=@)|(?<=Bearer )\S+")
_LONGEST_MESSAGE = 200


class RouterConfigurationError(ValueError):
    """A router cannot be built as configured."""


def describe(error: BaseException, prompt: str = "") -> str:
    """`Class: message` on one short line, without keys and without the prompt.

    It is stored with decisions and written to logs, where neither may appear. Our own errors are
    kept whole: they say what to change.
    """
    if isinstance(error, RouterConfigurationError):
        return str(error)
    message = str(error)
    if prompt:
        message = message.replace(repr(prompt)[1:-1], "[prompt]").replace(prompt, "[prompt]")
    for variable in _SECRET_VARIABLES:
        if value := os.environ.get(variable):
            message = message.replace(value, "[secret]")
    line = " ".join(_SECRET.sub("[secret]", message).split())
    if len(line) > _LONGEST_MESSAGE:
        line = f"{line[: _LONGEST_MESSAGE - 1]}…"
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
