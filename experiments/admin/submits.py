"""What one submit of an admin form carries along until its revision is published."""

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
    """Messages wait here: a submit that is refused after all must not say that it worked."""

    messages: list[tuple[Any, ...]] = field(default_factory=list)
    percentages: list[PercentageChange] = field(default_factory=list)
    refusal: str = ""
    is_open: bool = False


class ConfirmationRequired(Exception):  # noqa: N818 - not an error: a page to look at before anything is kept
    """Nothing is kept and this response is given instead."""

    def __init__(self, response: HttpResponseBase) -> None:
        self.response = response
        super().__init__()


def submit_of(request: HttpRequest) -> Submit:
    """The submit of this request, made when it is first asked for."""
    submit = getattr(request, _ATTRIBUTE, None)
    if not isinstance(submit, Submit):
        submit = Submit()
        setattr(request, _ATTRIBUTE, submit)
    return submit


def posted(request: HttpRequest) -> Iterator[tuple[str, str]]:
    """Everything the operator entered, to be sent again on confirmation."""
    for name, values in request.POST.lists():
        if name != "csrfmiddlewaretoken":
            yield from ((name, str(value)) for value in values)
