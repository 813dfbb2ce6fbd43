"""The evaluation of a policy over several models as text, for page, command and JSON."""

from collections.abc import Iterator
from typing import NamedTuple

from experiments import formatting
from experiments.analysis.ratings import Estimate
from experiments.analysis.routing.multi_model import Figures
from experiments.formatting import plural
from experiments.lab.evaluations import MultiModelResult


class ModelLine(NamedTuple):
    """`share` is the share of prompts that the policy sends to the model."""

    name: str
    share: Estimate | None
    figures: Figures


def multi_model_lines(one: MultiModelResult) -> Iterator[ModelLine]:
    found = one.figures
    if found is None:
        return
    yield ModelLine(one.name, None, found.policy)
    for model, share, figures in zip(one.models, found.shares, found.always, strict=True):
        yield ModelLine(f"always {model}", share, figures)
    yield ModelLine("random with its shares", None, found.random)
    yield ModelLine("oracle", None, found.oracle)


def multi_model_summary(one: MultiModelResult) -> str:
    """'policy:legal over 3 models, on 90 prompts: its quality is 0.020 above (…) that of …'."""
    whole = f"{one.name} over {len(one.models)} models"
    found = one.figures
    if one.lacks:
        return (
            f"{whole} cannot be measured here: the set has no answer of {', '.join(one.lacks)}. "
            "Import a column score:MODEL for each, named as the model is registered."
        )
    if found is None:
        return f"{whole} cannot be measured here: no prompt has a score and every model's answer."
    parts = [
        f"{whole}, on {plural(found.n, 'prompt')}: its quality is {_versus(found.over_random)} "
        "that of a random router with its shares"
    ]
    if found.saving_against_first:
        parts.append(f"it costs {_less(found.saving_against_first, one.models[0])}")
    text = ", and ".join(parts) + "."
    if one.left_out:
        text += f" {one.left_out:,} are left out: they lack a score or a model's answer."
    return text


def _versus(found: Estimate) -> str:
    word = "above" if found.value >= 0 else "below"
    low, high = (formatting.signed(end, 3) for end in (found.low, found.high))
    return f"{abs(found.value):.3f} {word} ({low} to {high})"


def _less(found: Estimate, model: str) -> str:
    word = "less" if found.value >= 0 else "more"
    low, high = formatting.share(found.low), formatting.share(found.high)
    return (
        f"{formatting.share(abs(found.value))} {word} than always {model} ({low} to {high} saved)"
    )
