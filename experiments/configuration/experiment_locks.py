"""Rules about changes that are not allowed while an experiment runs.

`publish` compares the old with the new document, so the rules apply to the admin, the API,
`apply_config` and rollbacks.
"""

from collections.abc import Iterator
from decimal import Decimal

from experiments.configuration.rows import keys_in
from experiments.configuration.shapes import (
    Document,
    DomainDocument,
    ExperimentDocument,
    Part,
    RouterDocument,
)
from experiments.core.judging import METRIC
from experiments.core.policy import Method

RUNNING = ("running", "paused")
STOPPED = "stopped"
DETECTION = keys_in(DomainDocument, Part.DETECTION)
SELECTION = keys_in(DomainDocument, Part.SELECTION)
ROUTER = keys_in(RouterDocument, Part.SCORING)
PAIR = ("strong", "weak")
LOCKED = keys_in(ExperimentDocument, Part.ASSIGNMENT, Part.VERDICT)
STILL = keys_in(ExperimentDocument, Part.PHASE)


class LockedError(Exception):
    """A change that would invalidate a running experiment. `problems` lists each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(" ".join(problems))


def refuse_locked(before: Document, after: Document) -> None:
    """Raises LockedError if `after` changes something that a running experiment depends on."""
    problems = list(_violations(before, after))
    if problems:
        raise LockedError(problems)


def _violations(before: Document, after: Document) -> Iterator[str]:
    running = {k: e for k, e in before["experiments"].items() if e["status"] in RUNNING}
    for key, experiment in running.items():
        later = after["experiments"].get(key)
        if later is None:
            yield f"Experiment '{key}' is running. Stop it before you delete or archive it."
            continue
        yield from _of_experiment(key, experiment, later)
        if later["status"] in RUNNING:
            yield from _of_domains(key, experiment, before, after)
            yield from _of_arms(key, experiment, before, after)
            yield from _of_judge(key, experiment, before, after)
    if running:
        yield from _of_holdout(running, before, after)
    yield from _of_stopped(before, after)


def _of_experiment(key: str, before: Document, after: Document) -> Iterator[str]:
    for name in LOCKED:
        if before.get(name, after[name]) != after[name]:  # older documents have fewer names
            yield f"Experiment '{key}' is running: its {name} cannot change until it is stopped."
    if after["coverage"] < before["coverage"]:
        yield f"Experiment '{key}' is running: its coverage can only grow."
    if after["phase"] == before["phase"]:
        for name in STILL:
            if before[name] != after[name]:
                yield f"Experiment '{key}' is running: changing its {name} starts a new phase."


def _of_stopped(before: Document, after: Document) -> Iterator[str]:
    """The results of a stopped experiment depend on its plan, so the plan is locked."""
    for key, experiment in before["experiments"].items():
        later = after["experiments"].get(key)
        if experiment["status"] != STOPPED or later is None:
            continue
        for name in (*LOCKED, *STILL):
            if experiment.get(name, later[name]) != later[name]:
                yield (
                    f"Experiment '{key}' is stopped: its {name} cannot change. "
                    "Clone it to continue."
                )


def _of_domains(key: str, experiment: Document, before: Document, after: Document) -> Iterator[str]:
    if before["settings"]["detector"] != after["settings"]["detector"]:
        yield f"Experiment '{key}' is running: the detector is locked until it is stopped."
    for name in _domains(experiment, before):
        was, now = before["domains"][name], after["domains"].get(name)
        if now is None:
            yield f"Experiment '{key}' is running in the domain '{name}': it cannot be deleted."
            continue
        for field in DETECTION:
            if was[field] != now[field]:
                yield (
                    f"Experiment '{key}' is running: the {field} of '{name}' are locked until it "
                    "is stopped, because other prompts would take part."
                )


def _domains(experiment: Document, document: Document) -> list[str]:
    return [experiment["domain"]] if experiment["domain"] else list(document["domains"])


def _of_arms(key: str, experiment: Document, before: Document, after: Document) -> Iterator[str]:
    policies = [arm["policy"] for arm in experiment["arms"]]
    steps = [step for p in policies for step in p.get("between", ())]
    routers = {p["router"] for p in policies if p["router"]} | {s["router"] for s in steps}
    for router in sorted(routers):
        was, now = before["routers"].get(router, {}), after["routers"].get(router, {})
        if any(was.get(field) != now.get(field) for field in ROUTER):
            yield f"Experiment '{key}' is running: its router '{router}' is locked."
    models = {p[side] for p in policies for side in PAIR if p[side]} | {s["model"] for s in steps}
    for model in sorted(models):
        was, now = before["models"].get(model, {}), after["models"].get(model, {})
        if was.get("provider") != now.get("provider"):
            yield f"Experiment '{key}' is running: its model '{model}' is locked."
    yield from _of_borrowed(key, experiment, before, after)


def _of_borrowed(
    key: str, experiment: Document, before: Document, after: Document
) -> Iterator[str]:
    """What arms inherit from their domain: the default pair and the criteria of the selector."""
    policies = [arm["policy"] for arm in experiment["arms"]]
    borrows = any(not all(p[side] for side in PAIR) for p in policies)
    selects = any(p["method"] == Method.DOMAIN_SELECTOR for p in policies)
    for name in _domains(experiment, before):
        was, now = before["domains"][name], after["domains"].get(name)
        if now is None:
            continue
        if borrows and _pair(name, before) != _pair(name, after):
            yield (
                f"Experiment '{key}' is running: an arm uses the pair of '{name}', which "
                "is locked until the experiment is stopped."
            )
        for field in SELECTION if selects else ():
            if was[field] != now[field]:
                yield f"Experiment '{key}' is running: the {field} of '{name}' are locked."


def _of_judge(key: str, experiment: Document, before: Document, after: Document) -> Iterator[str]:
    """If verdicts are a metric, one judge with one rubric must give all of them."""
    if all(metric["metric"] != METRIC for metric in experiment["metrics"]):
        return
    judge, later = (document["settings"].get("judge_model") for document in (before, after))
    models = (document["models"].get(judge, {}) for document in (before, after))
    if judge != later or len({model.get("provider") for model in models}) > 1:
        yield (
            f"Experiment '{key}' is running and uses the judge's verdicts: the judge model is "
            "locked until it is stopped. To save money, lower the shadow shares or the budget."
        )
    for name in _domains(experiment, before):
        was, now = before["domains"][name], after["domains"].get(name, {})
        if now and was.get("rubric") != now.get("rubric"):
            yield (
                f"Experiment '{key}' is running and uses the judge's verdicts: the rubric of "
                f"'{name}' is locked until it is stopped."
            )


def _pair(domain: str, document: Document) -> tuple[str | None, str | None]:
    own, usual = document["domains"][domain]["policy"], document["settings"]
    if own["strong"] and own["weak"]:
        return own["strong"], own["weak"]
    return usual["strong_model"], usual["weak_model"]


def _of_holdout(running: Document, before: Document, after: Document) -> Iterator[str]:
    was, now = (Decimal(d["settings"]["holdout_percentage"]) for d in (before, after))
    seeds = (d["settings"]["holdout_seed"] for d in (before, after))
    if now > was or len(set(seeds)) > 1:
        names = ", ".join(sorted(running))
        yield f"The holdout cannot grow while an experiment runs ({names})."
