"""An action that an operator can take; `includes/action.html` shows it."""

from typing import NamedTuple

REASON_LENGTH = 500


class PageAction(NamedTuple):
    """One button. `consequence` and `lines` are shown before the confirmation; `arms` are the arms
    to choose from."""

    name: str
    label: str
    consequence: str
    main: bool = False
    needs_reason: bool = False
    needs_percentage: bool = False
    arms: tuple[str, ...] = ()
    arm: str = ""
    lines: tuple[str, ...] = ()
    may_need_reason: bool = False
