"""Formats money, shares, percentages, intervals, counts and durations for people.

Pages, commands and explanations use these functions, so that one value looks the same everywhere.
Money is in nano-dollars.
"""

from datetime import datetime
from decimal import Decimal

from experiments.core.money import NANO

MINUS = "\N{MINUS SIGN}"
THOUSAND = 1000 / NANO
"""Nano-dollars per request to dollars per 1,000 requests."""


def number(value: float, digits: int = 0) -> str:
    """1234.5 -> "1,234"; with two digits "1,234.50"."""
    return f"{value:z,.{digits}f}".replace("-", MINUS)


def signed(value: float, digits: int = 2) -> str:
    """A difference with its sign: "+0.12", and "+0.00" for no difference."""
    return f"{value:+z,.{digits}f}".replace("-", MINUS)


def plural(count: int, singular: str, many: str | None = None) -> str:
    """ "1 unit", "1,200 units"; `many` is for irregular plurals."""
    return f"{count:,} {singular if count == 1 else many or f'{singular}s'}"


def dollars(nano: int) -> str:
    """Two decimals from one dollar up, two significant digits below: $12.30, $0.0019."""
    amount = Decimal(nano) / NANO
    if amount == 0:
        return "$0"
    decimals = 2 if abs(amount) >= 1 else 1 - amount.adjusted()
    sign = "-" if amount < 0 else ""
    return f"{sign}${abs(amount):,.{decimals}f}"


def in_dollars(amount: float, digits: int | None = None, *, significant: int = 4) -> str:
    """$1,234.50 with two digits; without `digits` so many significant ones: $0.0001235."""
    value = f"{abs(amount):.{significant}g}" if digits is None else number(abs(amount), digits)
    return f"{'-' if amount < 0 else ''}${value}"


def exact_dollars(amount: Decimal) -> str:
    """As it was entered: $0.5."""
    return f"${amount.normalize():f}"


def plain_dollars(nano: float, digits: int = 2) -> str:
    """Without the sign, for columns whose header has the unit: "12.30"."""
    return number(nano / NANO, digits)


def percentage(value: float | Decimal) -> str:
    """25 -> "25 %", 12.5 -> "12.5 %": without trailing zeros."""
    return f"{round(float(value), 2):.10g} %"


def share(value: float | None, otherwise: str = "none") -> str:
    """0.384 -> "38 %"; small shares have one decimal: "0.4 %"."""
    if value is None:
        return otherwise
    percent = 100 * value
    digits = 1 if 0 < abs(percent) < 10 else 0
    text = f"{percent:z.{digits}f}".removesuffix(".0")
    return f"{text} %".replace("-", MINUS)


def exact_share(value: float, digits: int = 1) -> str:
    """With so many digits in any case: 0.384 -> "38.4 %", for figures that are compared."""
    return f"{number(100 * value, digits)} %"


def share_between(value: float, low: float, high: float, digits: int = 1) -> str:
    """ "38.4 % (35.0 % to 41.2 %)"."""
    middle, lower, upper = (exact_share(one, digits) for one in (value, low, high))
    return f"{middle} ({lower} to {upper})"


def plain_share(value: float, digits: int = 1) -> str:
    """Without the sign, for columns whose header has it: 0.384 -> "38.4"."""
    return number(100 * value, digits)


def interval(value: float, low: float, high: float, *, digits: int = 2) -> str:
    """ "0.81 (0.79 to 0.83)"."""
    middle, lower, upper = (number(one, digits) for one in (value, low, high))
    return f"{middle} ({lower} to {upper})"


def share_interval(value: float, low: float, high: float) -> str:
    """ "38 % (95 % interval: 35 % to 41 %)"."""
    return f"{share(value)} (95 % interval: {share(low)} to {share(high)})"


def milliseconds(microseconds: float) -> str:
    """1234 -> "1.2"."""
    return number(microseconds / 1000, 1)


def hours(value: float) -> str:
    """ "36 hours"; from two days on in days: "2.5 days"."""
    return f"{value / 24:g} days" if value >= 48 else f"{value:g} hours"


def age(at: datetime, now: datetime) -> str:
    """How old something is, in days."""
    days = (now - at).days
    return f"{plural(days, 'day')} old" if days else "less than a day old"


def comparison(score: float, threshold: float) -> tuple[str, str, str]:
    """Both numbers and the sign between them, with enough digits to show the difference."""
    sign = "≥" if score >= threshold else "<"
    for digits in range(2, 9):
        left, right = f"{score:.{digits}f}", f"{threshold:.{digits}f}"
        if left != right or score == threshold:
            break
    return left, sign, right
