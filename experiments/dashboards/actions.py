"""A step an operator can take, as `includes/action.html` shows it."""

from typing import NamedTuple

REASON_LENGTH = 500


class Action(NamedTuple):
    """One button. What it does is said before it is confirmed; `arms` are those to choose from,
    `lines` what is to be known first, each a sentence or two."""

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
