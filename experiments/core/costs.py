"""The expected cost of a decision and of its alternatives."""

from experiments.core.money import Price, price_on
from experiments.core.policy import Method, Policy
from experiments.core.values import Costs, DecisionInputs, Pair

BYTES_PER_TOKEN = 4
UNTRACKED = Costs(None, None, None, None, None, {}, {})


def estimate_tokens(text: str) -> int:
    """Estimates the tokens of a text: UTF-8 bytes divided by four, at least 1.

    Uses no tokenizer: each provider has its own, and the outcome reports the real number.
    """
    return max(1, round(len(text.encode(errors="replace")) / BYTES_PER_TOKEN))


def estimate(
    policy: Policy, domain: str, pair: Pair | None, model: str, situation: DecisionInputs
) -> Costs:
    """The cost of the chosen model, of both models of the pair and of the baseline.

    If the caller named the model, it is its own baseline: without routing there is no saving.
    """
    if not policy.switches.cost_tracking:
        return UNTRACKED
    named = situation.asked.model if situation.asked else None
    baseline = named or baseline_model(policy, pair)
    names = {model, baseline, *(pair or ())} - {None}
    prices: dict[str, Price] = {}
    tokens: dict[str, int] = {}
    costs: dict[str | None, int] = {}
    for name in names:
        price = price_on(policy.prices.get(name, ()), situation.day) if name else None
        if name and price:
            tokens[name] = situation.output_tokens.get(
                (domain, name), situation.default_output_tokens
            )
            prices[name] = price
            costs[name] = price.cost(situation.input_tokens, tokens[name])
    return Costs(
        chosen=costs.get(model),
        strong=costs.get(pair.strong) if pair else None,
        weak=costs.get(pair.weak) if pair else None,
        baseline=costs.get(baseline),
        baseline_model=baseline,
        prices=prices,
        output_tokens=tokens,
    )


def baseline_model(policy: Policy, pair: Pair | None) -> str | None:
    """The baseline for savings: a model of the pair, or a model set by name."""
    if policy.baseline == Method.ALWAYS_STRONG:
        return pair.strong if pair else None
    if policy.baseline == Method.ALWAYS_WEAK:
        return pair.weak if pair else None
    return policy.baseline
