"""The state of one submit of an admin form until its revision is published."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponseBase

_ATTRIBUTE = "switchyard_submit"


class PercentageChange(NamedTuple):
    flag: Any
    before: Decimal
    after: Decimal


@dataclass
class Submit:
    """Messages are held back, because a refused submit must not report success."""

    messages: list[tuple[Any, ...]] = field(default_factory=list)
    percentages: list[PercentageChange] = field(default_factory=list)
    refusal: str = ""
    is_open: bool = False


class ConfirmationRequired(Exception):  # noqa: N818 - not an error: a page to confirm before anything is saved
    """Nothing is saved, and this response is returned instead."""

    def __init__(self, response: HttpResponseBase) -> None:
        self.response = response
        super().__init__()


def submit_of(request: HttpRequest) -> Submit:
    """The submit of this request, created on first use."""
    submit = getattr(request, _ATTRIBUTE, None)
    if not isinstance(submit, Submit):
        submit = Submit()
        setattr(request, _ATTRIBUTE, submit)
    return submit


def posted(request: HttpRequest) -> Iterator[tuple[str, str]]:
    """Everything the operator entered, to send again on confirmation."""
    for name, values in request.POST.lists():
        if name != "csrfmiddlewaretoken":
            yield from ((name, str(value)) for value in values)
