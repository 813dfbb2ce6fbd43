"""Admits chat calls: decides, charges the key, stores. Calls that arrive together share one
transaction.

If detection, a router or an experiment fails, the call does not: it is decided without the
prompt, and the decision records that. A call is refused only if its decision cannot be stored."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import compress
from typing import Any, NamedTuple
from uuid import UUID

from django.db import DatabaseError, InterfaceError

from experiments.core.eligibility import (
    AVOIDED,
    CANNOT_CARRY,
    CONTEXT,
    NO_ENDPOINT,
    NOT_ALLOWED,
    REFUSES,
    SWITCHED_OFF,
    FallbackPlan,
    Requirements,
    avoided,
    ineligible_models,
    without_avoided,
)
from experiments.core.endpoints import ApiFormat
from experiments.core.money import price_on
from experiments.core.policy import Method, Policy
from experiments.core.selection import NoEligibleModelsError
from experiments.core.values import Pair, RequestedTarget
from experiments.decisions.running_totals import sums_of_new
from experiments.gateway import in_flight, processes
from experiments.limits import circuit_breakers, credentials
from experiments.limits.budgets import discard, draw, reserve, statuses, store_drawn
from experiments.limits.learned_parameters import Learned, learned
from experiments.limits.leases import Draw, RevokedError
from experiments.limits.quotas import Limits, OverLimitError, QuotaStatus, Reservation, limits_of
from experiments.models import APIKey, Decision
from experiments.routing.route import (
    RouteRequest,
    StorageUnavailableError,
    UnknownNameError,
    configuration,
    decide_blindly,
    decide_one,
    report,
)
from experiments.storage.bulk_sql import Insertion, insertion, run
from experiments.storage.transactions import run_transaction, write_each

log = logging.getLogger("switchyard.gateway")

NO_KEY = "no_credentials"
CIRCUIT = "circuit_open"
UNCALLABLE = {NO_ENDPOINT, SWITCHED_OFF, NO_KEY}
MOST_NAMES = 5
Expected = Mapping[tuple[str, str], int]


class NotAllowedError(Exception):
    """The key may not use this model or domain. `code` says which of the two."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class NoModelError(Exception):
    """No model can answer this call. `reasons` holds one reason for each model."""

    def __init__(
        self, policy: Policy, reasons: Mapping[str, str], named: str | None = None
    ) -> None:
        self.reasons = reasons
        self.named = named
        places = _places(policy, reasons, named) if self.is_key_missing else []
        super().__init__(_without_key(places, named) if places else _no_model(reasons, named))

    @property
    def is_too_long(self) -> bool:
        """Every callable model has too small a context window for the prompt."""
        return CONTEXT in self._found and self._found <= {CONTEXT, *UNCALLABLE}

    @property
    def is_untranslatable(self) -> bool:
        """Only a provider of the call's own protocol can carry it, and none can be called."""
        return any(reason.startswith(CANNOT_CARRY) for reason in self._found) and all(
            reason in UNCALLABLE or reason.startswith(CANNOT_CARRY) for reason in self._found
        )

    @property
    def is_key_missing(self) -> bool:
        """No model can be called until a provider's key is set."""
        return NO_KEY in self._found and self._found <= UNCALLABLE

    @property
    def _found(self) -> set[str]:
        return {self.reasons[self.named]} if self.named else set(self.reasons.values())


class KeyRules(NamedTuple):
    """The limits of a key's row for chat calls. Empty sets allow everything."""

    key_id: int
    limits: Limits
    models: frozenset[str]
    domains: frozenset[str]


class Call(NamedTuple):
    """One chat call to admit. `named` are the registered models the caller requests, in that
    order, without routing; `listed` are the fallbacks the caller prefers to ours; `parameters`
    is the call as sent. `obstacle` is what only an endpoint of `api_format` can carry; `stores`:
    the caller insists that the response is kept."""

    request: RouteRequest
    rules: KeyRules
    capabilities: frozenset[str]
    output_limit: int | None = None
    named: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = {}
    api_format: ApiFormat = ApiFormat.CHAT
    obstacle: str = ""
    stores: bool = False


class Admitted(NamedTuple):
    """A stored decision and what the call may do. `unavailable` maps models to reasons;
    `learned` are the parameters that models are known to refuse."""

    decision: Decision
    policy: Policy
    course: FallbackPlan
    unavailable: Mapping[str, str]
    standing: QuotaStatus
    charge: Reservation
    learned: Learned = {}


class Prepared(NamedTuple):
    call: Call
    decision: Decision
    course: FallbackPlan
    unavailable: Mapping[str, str]
    learned: Learned


class Charged(NamedTuple):
    """A call to store, its expected usage, and what it drew from a lease of its key."""

    prepared: Prepared
    charge: Reservation
    draw: Draw = Draw(0)


class Down(NamedTuple):
    """What all calls of a batch share: models that cannot be called, models that wait for a
    probe, and the parameters that models are known to refuse."""

    closed: Mapping[str, str]
    to_probe: frozenset[str]
    learned: Learned


# Turns the request into a call under the current policy; an exception from it is the response.
Asking = Callable[[Policy], Call]
REFUSALS = (NotAllowedError, NoModelError, NoEligibleModelsError, UnknownNameError, OverLimitError)


def rules_of(key: APIKey) -> KeyRules:
    models, domains = frozenset(key.allowed_models), frozenset(key.allowed_domains)
    return KeyRules(key.pk, limits_of(key), models, domains)


def admit(asked: Sequence[Asking]) -> list[Admitted | Exception]:
    """For each call, in order, its stored decision or the error that refuses it.

    Raises NoPolicyError, StorageUnavailableError: then nothing is stored."""
    policy, expected = configuration()
    try:
        down = _down(policy, datetime.now(UTC))
    except (DatabaseError, InterfaceError) as error:
        raise StorageUnavailableError from error
    prepared = [_attempt(policy, expected, ask, down) for ask in asked]
    made = [each for each in prepared if isinstance(each, Prepared)]
    stored = iter(_store(policy, made))
    return [next(stored) if isinstance(each, Prepared) else each for each in prepared]


def _down(policy: Policy, now: datetime) -> Down:
    problems = {
        endpoint: credentials.problem_of(endpoint)
        for endpoint in {upstream.endpoint for upstream in policy.upstreams.values()}
    }
    down = {
        name: NO_KEY
        for name, upstream in policy.upstreams.items()
        if problems[upstream.endpoint] is not None
    }
    state = circuit_breakers.tripped(now)
    closed = {**down, **dict.fromkeys(state.closed_to_all, CIRCUIT)}
    return Down(closed, state.to_probe, learned(now))


def _attempt(policy: Policy, expected: Expected, ask: Asking, down: Down) -> Prepared | Exception:
    """Only one call may choose a model that waits for a probe; the others are decided without
    it."""
    try:
        call = ask(policy)
        prepared = _prepare(policy, expected, call, down)
        while (model := prepared.decision.model) in down.to_probe:
            if circuit_breakers.claim_probe(model, datetime.now(UTC)):
                break
            down = down._replace(closed={**down.closed, model: CIRCUIT})
            prepared = _prepare(policy, expected, call, down)
    except Exception as error:
        return error  # the response contains the details
    return prepared


def _prepare(policy: Policy, expected: Expected, call: Call, down: Down) -> Prepared:
    tokens = (call.request.input_tokens or 0) + (call.output_limit or 0)
    needs = Requirements(
        call.capabilities,
        tokens,
        call.rules.models or None,
        call.parameters,
        call.api_format,
        call.obstacle,
    )
    unavailable = {**down.closed, **ineligible_models(policy, needs, down.learned)}
    unavailable |= avoided(policy, needs, down.learned, unavailable)
    request = call.request._replace(unavailable=frozenset(unavailable), pair_stands_in=True)
    if call.named:
        model = _first_fit(policy, call.named, without_avoided(unavailable))
        request = request._replace(asked=RequestedTarget(model=model))
    elif unavailable.keys() >= policy.models.keys():
        raise NoModelError(policy, unavailable)
    row = _decided(policy, expected, request)
    if call.rules.domains and row.domain not in call.rules.domains:
        raise NotAllowedError(
            "domain_not_allowed", f"This key may not send prompts of the domain '{row.domain}'."
        )
    if call.stores and policy.domains[row.domain].prompt_storage != "text":
        raise NotAllowedError(
            "storage_not_allowed",
            f"The domain '{row.domain}' does not store the text of prompts, so the response cannot "
            "be kept. Send 'store': false, or store texts in the domain's settings.",
        )
    return Prepared(call, row, _course(call, row), unavailable, down.learned)


def _first_fit(policy: Policy, named: Sequence[str], unavailable: Mapping[str, str]) -> str:
    for name in named:
        if name not in unavailable:
            return name
    if all(unavailable[name] == NOT_ALLOWED for name in named):
        raise NotAllowedError("model_not_allowed", f"This key may not use {', '.join(named)}.")
    raise NoModelError(policy, unavailable, named[0])


def _decided(policy: Policy, expected: Expected, request: RouteRequest) -> Decision:
    """Fails open: an error while reading the prompt skips that step and does not fail the call."""
    try:
        return decide_one(policy, expected, request)
    except REFUSALS:
        raise
    except Exception as error:
        log.exception("Deciding failed", extra={"request_id": request.request_id})
        simple = replace(policy, experiments=(), rollouts=(), routers={})
        return decide_blindly(simple, expected, request, f"{type(error).__name__}: {error}")


def _course(call: Call, row: Decision) -> FallbackPlan:
    pair = Pair(row.strong_model, row.weak_model) if row.strong_model else None
    listed = call.named or call.listed
    return FallbackPlan(row.domain, pair, listed, row.method == Method.DIRECT)


def _store(policy: Policy, prepared: Sequence[Prepared]) -> list[Admitted | Exception]:
    """If the database refuses one call, the other calls are still stored. Calls of keys at their
    limits wait for each other; so the others have a transaction of their own."""
    charged = [Charged(each, charge) for each, charge in _charges(policy, prepared)]
    draws = draw([each.charge for each in charged])
    drawn = [each._replace(draw=found) for each, found in zip(charged, draws, strict=True)]
    stored: dict[int, Admitted | Exception] = {}
    for is_covered, write in ((True, _write_covered), (False, _write)):
        some = [each for each in drawn if each.draw.is_covered is is_covered]
        results = _each(some, partial(write, policy))
        stored |= {id(each): found for each, found in zip(some, results, strict=True)}
    return [_reported(stored[id(each)]) for each in drawn]


Write = Callable[[Sequence[Charged]], Sequence[Admitted | Exception]]


def _each(calls: Sequence[Charged], write: Write) -> Sequence[Admitted | Exception]:
    return write_each(calls, write) if calls else []


def _reported(result: Admitted | Exception) -> Admitted | Exception:
    if isinstance(result, Admitted):
        report(result.decision)
        _warn(result)
    elif isinstance(result, DatabaseError | InterfaceError):
        log.warning("A decision could not be stored", exc_info=result)
        return StorageUnavailableError()
    return result


def _warn(admitted: Admitted) -> None:
    """A soft budget does not stop calls; exceeding it is logged."""
    for span in admitted.standing.above_soft:
        log.warning(
            "A key is above its soft budget",
            extra={"key_id": admitted.charge.key_id, "budget": span},
        )


def _charges(
    policy: Policy, prepared: Iterable[Prepared]
) -> Iterator[tuple[Prepared, Reservation]]:
    for each in prepared:
        charge = _charge(policy, each)
        each.decision.detail["charge"] = charge.as_detail()
        yield each, charge


def _write_covered(policy: Policy, calls: Sequence[Charged]) -> list[Admitted | Exception]:
    """Calls that leases cover: nothing is left to decide."""
    charges, draws = [each.charge for each in calls], [each.draw for each in calls]
    rows = _rows(processes.registered(), calls)
    standings = statuses(charges)
    try:
        run_transaction(lambda: store_drawn(charges, draws, rows))
    except RevokedError:
        left = zip(calls, discard(draws), strict=True)
        return _write(policy, [each._replace(draw=found) for each, found in left])
    return [_admitted(policy, *each) for each in zip(calls, standings, strict=True)]


def _write(policy: Policy, calls: Sequence[Charged]) -> list[Admitted | Exception]:
    """Rows are prepared as if all calls are admitted, as they usually are: while keys are locked
    nothing is computed."""
    charges, draws = [each.charge for each in calls], [each.draw for each in calls]
    process = processes.registered()
    rows = _rows(process, calls)

    def write() -> list[Admitted | Exception]:
        results: list[Admitted | Exception] = [
            answer if isinstance(answer, OverLimitError) else _admitted(policy, each, answer)
            for each, answer in zip(calls, reserve(charges, draws), strict=True)
        ]
        _insert(process, calls, results, rows)
        return results

    return run_transaction(write)


def _admitted(policy: Policy, call: Charged, standing: QuotaStatus) -> Admitted:
    prepared = call.prepared
    return Admitted(
        prepared.decision,
        policy,
        prepared.course,
        prepared.unavailable,
        standing,
        call.charge,
        prepared.learned,
    )


def _insert(
    process: UUID,
    calls: Sequence[Charged],
    results: Sequence[Admitted | Exception],
    rows: Sequence[Insertion],
) -> None:
    """The rows of those that are admitted."""
    admitted = [isinstance(result, Admitted) for result in results]
    if all(admitted):
        run(rows)
    elif any(admitted):
        run(_rows(process, list(compress(calls, admitted))))


def _rows(process: UUID, calls: Sequence[Charged]) -> list[Insertion]:
    decisions = [each.prepared.decision for each in calls]
    begun = in_flight.begin(process, [(each.prepared.decision, each.charge) for each in calls])
    return [insertion(decisions), begun, *sums_of_new(decisions)]


def _charge(policy: Policy, prepared: Prepared) -> Reservation:
    """The expected usage of a call: the most tokens it may write, or else the model's usual
    number."""
    row, call = prepared.decision, prepared.call
    usual = row.detail["output_tokens"].get(
        row.model, row.detail["inputs"]["default_output_tokens"]
    )
    written = usual if call.output_limit is None else call.output_limit
    price = price_on(policy.prices.get(row.model, ()), row.created_at.date())
    return Reservation(
        call.rules.key_id,
        call.rules.limits,
        row.created_at,
        row.input_tokens + written,
        price.cost(row.input_tokens, written) if price else None,
    )


_WORDS: dict[str, str] = {
    NO_ENDPOINT: "has no endpoint to be called at",
    SWITCHED_OFF: "is switched off",
    NOT_ALLOWED: "is not allowed for this key",
    CONTEXT: "has a context window that is too small",
    NO_KEY: "has an endpoint whose key is not set",
    CIRCUIT: "is temporarily unavailable (circuit breaker open)",
}


def words_for(reason: str) -> str:
    if reason.startswith("lacks_"):
        return f"lacks the capability '{reason.removeprefix('lacks_')}'"
    if reason.startswith(REFUSES):
        return f"does not support '{reason.removeprefix(REFUSES)}'"
    if reason.startswith(AVOIDED):
        return f"would answer without '{reason.removeprefix(AVOIDED)}'"
    if reason.startswith(CANNOT_CARRY):
        what = reason.removeprefix(CANNOT_CARRY)
        return f"is called in another protocol, which cannot carry {what}"
    return _WORDS.get(reason, reason)


def _no_model(reasons: Mapping[str, str], named: str | None) -> str:
    if named is not None:
        return f"Model '{named}' cannot answer: it {words_for(reasons[named])}."
    by_reason: dict[str, list[str]] = {}
    for model, reason in reasons.items():
        by_reason.setdefault(reason, []).append(model)
    parts = (f"{_some(names)} {words_for(reason)}" for reason, names in by_reason.items())
    return f"No model can answer this call: {'; '.join(parts)}."


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _places(policy: Policy, reasons: Mapping[str, str], named: str | None) -> list[str]:
    """The environment variables and files that hold the missing keys."""
    models = [named] if named else [name for name, why in reasons.items() if why == NO_KEY]
    endpoints = (policy.upstreams[name].endpoint for name in models)
    return list(dict.fromkeys(each.api_key_env or each.api_key_file for each in endpoints))


def _without_key(places: Sequence[str], named: str | None) -> str:
    model = f"Model '{named}' cannot be called" if named else "No model can be called"
    which = places[0] if len(places) == 1 else f"one of {', '.join(places)}"
    return (
        f"{model}: its provider's key is not set. Set {which} where Switchyard runs, such as in "
        "its .env, and start it again."
    )
