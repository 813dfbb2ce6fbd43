"""Formats numbers for people."""

from decimal import Decimal

from experiments.core.money import NANO


def dollars(nano: int) -> str:
    """Two decimals from one dollar up, two significant digits below: $12.30, $0.0019."""
    amount = Decimal(nano) / NANO
    if amount == 0:
        return "$0"
    decimals = 2 if abs(amount) >= 1 else 1 - amount.adjusted()
    sign = "-" if amount < 0 else ""
    return f"{sign}${abs(amount):,.{decimals}f}"


def percent(value: float) -> str:
    """25 -> "25 %", 12.5 -> "12.5 %": without trailing zeros."""
    return f"{round(value, 2):.10g} %"


def plural(count: int, singular: str, many: str | None = None) -> str:
    return f"{count:,} {singular if count == 1 else many or f'{singular}s'}"


def comparison(score: float, threshold: float) -> tuple[str, str, str]:
    """Both numbers and the sign between them, with enough digits to show the difference."""
    sign = "≥" if score >= threshold else "<"
    for digits in range(2, 9):
        left, right = f"{score:.{digits}f}", f"{threshold:.{digits}f}"
        if left != right or score == threshold:
            break
    return left, sign, right
