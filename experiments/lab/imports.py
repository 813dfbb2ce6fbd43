"""Imports files of recorded outcomes into outcome sets, and reports refused rows.

Every batch is its own transaction. An import after an interruption adds only missing rows.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.db.models import Case, F, When
from django.utils import timezone
from django.utils.text import slugify

from experiments.background.tasks import Running
from experiments.configuration.policy_store import NoPolicyError, store
from experiments.core.costs import estimate_tokens
from experiments.core.money import Price, price_on
from experiments.lab.datasets import SHADOW_PREFIX
from experiments.lab.rated_decisions import PRODUCTION
from experiments.models import OutcomeSet, RecordedOutcome
from experiments.routers.features import featurise
from experiments.routers.outcomes import (
    Item,
    OutcomeRow,
    OutcomesError,
    OutcomeSource,
    read_domains,
)
from experiments.routing.runtime import engine
from experiments.storage.lab_files import in_lab
from experiments.storage.transactions import run_transaction

BATCH = 1_000
MOST_LISTED = 500
OUTCOME = ("strong_score", "weak_score", "strong_cost", "weak_cost", "scores", "costs")
ANOTHER = "another outcome of the same prompt is in the set; the first counts"

Report = Callable[["RefusedRow"], object]


class RefusedRow(NamedTuple):
    where: str
    reason: str


@dataclass
class Tally:
    """Counts of rows by result. `refusals` lists the first of the `refused`; `computed` are added
    rows with a cost computed from tokens and prices."""

    added: int = 0
    computed: int = 0
    unchanged: int = 0
    contaminated: int = 0
    refused: int = 0
    refusals: list[RefusedRow] = field(default_factory=list)

    def refuse(self, refusal: RefusedRow, report: Report) -> None:
        self.refused += 1
        if len(self.refusals) < MOST_LISTED:
            self.refusals.append(refusal)
        report(refusal)

    @property
    def sentence(self) -> str:
        parts = [f"{self.added:,} rows added"]
        for count, what in (
            (self.computed, "with costs computed from tokens and today's prices"),
            (self.unchanged, "already present"),
            (self.contaminated, "contaminated prompts left out"),
            (self.refused, "refused"),
        ):
            if count:
                parts.append(f"{count:,} {what}")
        return ", ".join(parts) + "."


@dataclass(frozen=True)
class Import:
    """What to import into which set. `domains` maps a group to its domain; `detects` asks the
    domain detector where neither the row nor `domains` says it. `prices` are those of models by
    name, for rows that tell tokens and no cost."""

    source: OutcomeSource
    name: str
    domains: Mapping[str, str] = field(default_factory=dict)
    detects: bool = False
    origin: str = ""
    prices: Mapping[str, Price] = field(default_factory=dict)

    def run(
        self,
        advance: Callable[[int], object] = lambda _: None,
        refused: Report = lambda _: None,
    ) -> Tally:
        """Raises OutcomesError if the file cannot be read or contains no outcome."""
        _check_name(self.name)
        tally = Tally()
        outcome_set = None
        reading = self.source.items()
        while items := list(islice(reading, BATCH)):
            for item in items:
                if item.row is None:
                    _leave_out(item, tally, refused)
            rows = [(item.where, item.row) for item in items if item.row is not None]
            if rows:
                outcome_set = outcome_set or self._set(rows[0][1])
                self._store(outcome_set, rows, tally, refused)
            advance(items[-1].done)
        if outcome_set is None:
            raise OutcomesError(f"{self.source.path} contains no outcome.{_first(tally)}")
        if tally.added:
            OutcomeSet.objects.filter(pk=outcome_set.pk).update(updated_at=timezone.now())
        return tally

    def _set(self, first: OutcomeRow) -> OutcomeSet:
        now = timezone.now()
        by_folder = self.source.path.is_dir()
        found, _ = OutcomeSet.objects.get_or_create(
            name=self.name,
            defaults={
                "origin": self.origin or self.source.path.name,
                "strong_model": first.strong_model or (self.source.strong if by_folder else ""),
                "weak_model": first.weak_model or (self.source.weak if by_folder else ""),
                "created_at": now,
                "updated_at": now,
            },
        )
        return found

    def _store(
        self,
        outcome_set: OutcomeSet,
        rows: Sequence[tuple[str, OutcomeRow]],
        tally: Tally,
        refused: Report,
    ) -> None:
        """Of two rows about the same prompt and group the first counts."""
        digests = [digest_of(row) for _, row in rows]

        def write() -> tuple[dict[str, RecordedOutcome], list[str]]:
            """One import of a set at a time, to prevent deadlocks."""
            OutcomeSet.objects.select_for_update(no_key=True).get(pk=outcome_set.pk)
            fresh: dict[str, RecordedOutcome] = {}
            others: list[str] = []
            seen = _known(outcome_set, digests)
            for (where, row), digest in zip(rows, digests, strict=True):
                outcome = _outcome(row)
                if digest not in seen:
                    seen[digest] = outcome
                    fresh[digest] = self._row(outcome_set, digest, row)
                elif seen[digest] != outcome:
                    others.append(where)
            RecordedOutcome.objects.bulk_create(fresh.values())
            return fresh, others

        fresh, others = run_transaction(write)
        for where in others:
            tally.refuse(RefusedRow(where, ANOTHER), refused)
        tally.unchanged += len(rows) - len(fresh) - len(others)
        tally.added += len(fresh)
        tally.computed += sum(
            one.strong_cost_computed or one.weak_cost_computed for one in fresh.values()
        )

    def _row(self, outcome_set: OutcomeSet, digest: str, row: OutcomeRow) -> RecordedOutcome:
        values = dict(zip(OUTCOME, _outcome(row), strict=True))
        return RecordedOutcome(
            outcome_set=outcome_set,
            digest=digest,
            prompt=row.prompt,
            domain=self._domain(row),
            group=row.group,
            strong_output_tokens=row.strong_output_tokens,
            weak_output_tokens=row.weak_output_tokens,
            **values | self._computed(row),
        )

    def _computed(self, row: OutcomeRow) -> dict[str, Any]:
        """Costs missing in the file, computed from tokens and today's prices if possible."""
        found: dict[str, Any] = {}
        for side, model, cost, tokens in (
            ("strong", row.strong_model, row.strong_cost, row.strong_output_tokens),
            ("weak", row.weak_model, row.weak_cost, row.weak_output_tokens),
        ):
            price = None if cost is not None or tokens is None else self.prices.get(model)
            if price and tokens is not None:
                found[f"{side}_cost"] = price.cost(estimate_tokens(row.prompt), tokens)
                found[f"{side}_cost_computed"] = True
        return found

    def _domain(self, row: OutcomeRow) -> str:
        named = row.domain or self.domains.get(row.group, "")
        if named or not self.detects:
            return named
        policy = store.current()
        features = featurise(row.prompt)
        candidates = engine.detect(policy, row.prompt, features).candidates
        confident = (c for c in candidates if c.name in policy.domains)
        best = max(confident, key=lambda c: c.confidence, default=None)
        if best and best.confidence >= policy.domains[best.name].min_confidence:
            return best.name
        return "general"


def import_in_background(
    running: Running,
    *,
    path: str,
    name: str,
    origin: str,
    strong: str,
    weak: str,
    detects: bool,
) -> dict[str, Any]:
    """Imports an uploaded file and deletes it, also if it cannot be read."""
    file = Path(in_lab(path))
    source = OutcomeSource(file, strong, weak)
    try:
        total = source.total()
        job = Import(source, name, detects=detects, origin=origin, prices=prices_now())
        tally = job.run(
            lambda done: running.advance(min(done, total), total),
            lambda refusal: running.log(f"{refusal.where}: {refusal.reason}"),
        )
    except OutcomesError as error:
        file.unlink(missing_ok=True)
        raise OutcomesError(str(error).replace(str(file), origin)) from error
    file.unlink(missing_ok=True)
    running.log(tally.sentence)
    return {"set": name, "added": tally.added, "refused": tally.refused}


def prices_now() -> dict[str, Price]:
    """The current price of each registered model; empty without a policy."""
    try:
        prices = store.current().prices
    except NoPolicyError:
        return {}
    today = timezone.now().date()
    return {name: price for name, all_ in prices.items() if (price := price_on(all_, today))}


def default_name(path: Path) -> str:
    """The file's name as a set's name."""
    return slugify(path.stem)[:60] or "outcomes"


def domains_of(path: Path | None) -> dict[str, str]:
    return read_domains(path) if path else {}


def digest_of(row: OutcomeRow) -> str:
    return hashlib.sha256(f"{row.group}\0{row.prompt}".encode()).hexdigest()


def _check_name(name: str) -> None:
    try:
        validate_slug(name)
    except ValidationError as error:
        raise OutcomesError(
            f"'{name}' cannot name a set: use letters, digits, hyphens and underscores."
        ) from error
    if len(name) > 60 or name == PRODUCTION or name.startswith(SHADOW_PREFIX):
        raise OutcomesError(
            f"'{name}' cannot name an imported set: choose a shorter or other name."
        )


def _outcome(row: OutcomeRow) -> tuple[Any, ...]:
    costs = (row.strong_cost, row.weak_cost)
    return (row.strong, row.weak, *costs, dict(row.scores), dict(row.costs))


def _known(outcome_set: OutcomeSet, digests: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """The stored values from files, by digest, without computed costs."""
    rows = RecordedOutcome.objects.filter(outcome_set=outcome_set, digest__in=digests)
    recorded = {
        f"recorded_{side}": Case(When(**{f"{side}_cost_computed": False}, then=F(f"{side}_cost")))
        for side in ("strong", "weak")
    }
    names = ("strong_score", "weak_score", "recorded_strong", "recorded_weak", "scores", "costs")
    found = rows.annotate(**recorded).values_list("digest", *names)
    return {digest: tuple(outcome) for digest, *outcome in found}


def _leave_out(item: Item, tally: Tally, refused: Report) -> None:
    if item.contaminated:
        tally.contaminated += 1
        return
    tally.refuse(RefusedRow(item.where, item.reason), refused)


def _first(tally: Tally) -> str:
    if not tally.refusals:
        return " It needs at least one row below its header."
    first = tally.refusals[0]
    return f" {tally.refused:,} rows were refused, the first one {first.where}: {first.reason}."
