"""`/playground/`: the routing of a prompt, also with another policy."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from experiments.dashboards.pages import page, show
from experiments.dashboards.wording import Headline
from experiments.formatting import dollars, share
from experiments.models import Domain
from experiments.routing.playground import LABELS, Side, Tried, Variant, try_prompt

LONGEST = 100_000
NOTHING = "nothing"
EXAMPLES = (
    "What is the capital of Portugal?",
    "Prove that the square root of two is irrational.",
    "My patient takes warfarin and needs an antibiotic. Which one is safe?",
    "Write a haiku about a signal box.",
)


@page()
def playground(request: HttpRequest) -> HttpResponse:
    """A POST routes the prompt, so that it is in no address and no log. `X-Partial` asks for the
    result alone."""
    sent = request.POST if request.method == "POST" else {}
    text = (sent.get("example") or sent.get("text") or "").strip()
    context = _tried(text, sent) if text else {}
    if request.headers.get("X-Partial"):
        return render(request, "includes/tried.html", context)
    context |= {
        "text": text,
        "unit_id": sent.get("unit_id", ""),
        "first": _side(sent, "first"),
        "second": _side(sent, "second"),
        "compares": _compares(sent),
        "domains": list(Domain.objects.order_by("name").values_list("name", flat=True)),
        "variants": LABELS,
        "nothing": NOTHING,
        "examples": EXAMPLES,
    }
    return show(request, "pages/playground.html", "playground", context, tab="playground")


def _tried(text: str, sent: Mapping[str, str]) -> dict[str, Any]:
    if len(text) > LONGEST:
        problem = f"The prompt must have at most {LONGEST:,} characters; got {len(text):,}."
        return {"problem": problem}
    sides = [_side(sent, "first"), *([_side(sent, "second")] if _compares(sent) else [])]
    tried = try_prompt(text, sent.get("unit_id", "").strip(), sides)
    return {"tried": tried, "answer": _answer(tried)}


def _compares(sent: Mapping[str, str]) -> bool:
    return sent.get("second_policy", NOTHING) != NOTHING


def _side(sent: Mapping[str, str], name: str) -> Side:
    """The choices of one side. Invalid ones become the defaults."""
    chosen = sent.get(f"{name}_policy", "")
    variant = Variant(chosen) if chosen in LABELS else Variant.CONFIGURED
    return Side(variant, sent.get(f"{name}_domain", ""), _threshold(sent, name))


def _threshold(sent: Mapping[str, str], name: str) -> float:
    try:
        value = float(sent.get(f"{name}_threshold", ""))
    except ValueError:
        return Side().threshold
    return value if 0.0 <= value <= 1.0 else Side().threshold


def _answer(tried: list[Tried]) -> Headline:
    """The sentence of one side, or the difference between the two."""
    if len(tried) == 1:
        return Headline(tried[0].sentence)
    rows = [one.decision for one in tried if one.decision is not None]
    if len(rows) < 2:
        return Headline("One of the two could not be routed.")
    first, second = rows
    if first.model == second.model:
        return Headline(f"Both go to {first.model}.")
    left, right = tried[0].title, tried[1].title
    lower = f"{right[:1].lower()}{right[1:]}"
    if not first.cost or second.cost is None:
        return Headline(f"{left}: {first.model}; {lower}: {second.model}.")
    change = second.cost / first.cost - 1
    word = "less" if change < 0 else "more"
    return Headline(
        f"{left}: {first.model}, {dollars(first.cost)}; {lower}: {second.model}, "
        f"{dollars(second.cost)}, which is {share(abs(change))} {word}."
    )
