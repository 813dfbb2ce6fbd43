"""`/lab/evaluation/`: routers on an outcome set, overall and by domain."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from experiments.background import tasks
from experiments.core.text import storable
from experiments.dashboards import evaluation_charts
from experiments.dashboards.pages import page, show
from experiments.dashboards.wording import Headline
from experiments.formatting import share
from experiments.lab.dataset_summaries import outcome_sets, overlap_with
from experiments.lab.datasets import NoOutcomeSetError, columns, computed_costs, find_set
from experiments.lab.evaluation_inputs import contestants, entrant
from experiments.lab.evaluations import Comparison, NothingToMeasureError, compare
from experiments.lab.multi_model import cascade_of, with_steps
from experiments.lab.rated_decisions import PRODUCTION
from experiments.lab.scores import missing_scores, scores
from experiments.lab.text.multi_model import multi_model_summary
from experiments.models import BackgroundTask, Domain, OutcomeSet, Router
from experiments.routers.errors import RouterConfigurationError
from experiments.routers.loading import RANDOM
from experiments.routing.router_lookup import POLICY, LabRouter, NoRouterError, find_scorer

SCORE = "score_outcomes"
SCORED_AT_ONCE = 300
MOST_ROUTERS = 4
REMEMBERED_SECONDS = 3_600
SEED = 0


class EvaluationQuery(NamedTuple):
    """What the page's address asks for. `evaluate_router --json` has the same numbers and seed."""

    outcomes: str
    routers: tuple[str, ...]
    domain: str

    @classmethod
    def of(cls, request: HttpRequest) -> "EvaluationQuery":
        named = [storable(name) for name in request.GET.getlist("router") if name]
        return cls(
            storable(request.GET.get("set", "")),
            tuple(dict.fromkeys(named[:MOST_ROUTERS])) or ("local",),
            storable(request.GET.get("domain", "")),
        )

    @property
    def command(self) -> str:
        first, *others = self.routers
        also = "".join(f" --also {name}" for name in others)
        domain = f" --domain {self.domain}" if self.domain else ""
        return f"manage.py evaluate_router {first} {self.outcomes}{also}{domain} --json"


@page()
def evaluation(request: HttpRequest) -> HttpResponse:
    asked = EvaluationQuery.of(request)
    names = [*OutcomeSet.objects.values_list("name", flat=True), PRODUCTION]
    context = {
        "asked": asked,
        "sets": names,
        "router_choices": _router_choices(),
        "has_sets": len(names) > 1,
    }
    if not asked.outcomes and len(names) > 1:
        asked = asked._replace(outcomes=max(outcome_sets(), key=lambda line: line.rows).name)
        context["asked"] = asked
    if asked.outcomes:
        try:
            context |= _evaluated(asked)
        except (
            NoOutcomeSetError,
            NoRouterError,
            NothingToMeasureError,
            RouterConfigurationError,
        ) as error:
            context["problem"] = str(error)
    return show(request, "pages/lab_evaluation.html", "lab", context, tab="lab_evaluation")


@require_POST
@page("experiments.change_router")
def score(request: HttpRequest) -> HttpResponse:
    """Scores a set in the background; the scores are stored."""
    routers = request.POST.getlist("router")[:MOST_ROUTERS]
    outcomes, domain = request.POST.get("set", ""), request.POST.get("domain", "")
    tasks.enqueue(SCORE, {"outcomes": outcomes, "routers": routers}, by=request.user.get_username())
    query = urlencode({"set": outcomes, "router": routers, "domain": domain}, doseq=True)
    return HttpResponseRedirect(f"{reverse('dashboards:lab_evaluation')}?{query}")


def _evaluated(asked: EvaluationQuery) -> dict[str, object]:
    outcome_set = find_set(asked.outcomes)
    scorers = {name: find_scorer(name, SEED) for name in with_steps(asked.routers)}
    missing = sum(missing_scores(outcome_set, one) for one in scorers.values() if one.key)
    if missing > SCORED_AT_ONCE:
        task = BackgroundTask.objects.filter(name=SCORE).first()
        return {"missing": missing, "task": task if task and task.is_open else None}
    found = _compared(outcome_set, scorers, asked)
    return {
        "answer": Headline(
            " ".join(evaluation_charts.headline(one) for one in found.whole.routers[:2]),
            _warning(outcome_set, asked.routers),
        ),
        "found": found,
        "curve": evaluation_charts.curve(found.whole),
        "reliability": evaluation_charts.reliability(found.whole.routers),
        "measures": evaluation_charts.measures(found.whole),
        "savings": evaluation_charts.savings(found.whole),
        "by_domain": evaluation_charts.by_domain(found),
        "domain_choices": columns(outcome_set).domain_names(),
        "multi_model": [
            (multi_model_summary(one), evaluation_charts.multi_model_table(one))
            for one in found.multi_model
        ],
        "weighed": found.weighed,
        "computed": computed_costs(outcome_set),
    }


def _compared(
    outcome_set: OutcomeSet, scorers: Mapping[str, LabRouter], asked: EvaluationQuery
) -> Comparison:
    """Cached for an hour, until the set or one of the routers changes."""
    whole = columns(outcome_set, with_inputs=outcome_set.name == PRODUCTION)
    marks = [f"{one.name}={one.key}@{one.threshold}" for one in scorers.values()]
    cascades = [repr(cascade_of(name)) for name in asked.routers]
    state = (asked.outcomes, outcome_set.pk, len(whole), *marks, *cascades, asked.domain)
    key = f"evaluation:{hashlib.sha256(repr(state).encode()).hexdigest()}"
    is_kept = all(one.key for one in scorers.values())
    known: Comparison | None = cache.get(key) if is_kept else None
    if known is not None:
        return known
    scored = {name: scores(outcome_set, one, at_hand=whole) for name, one in scorers.items()}
    entrants = [entrant(scorers[name], *scored[name]) for name in asked.routers]
    values = {name: one.values for name, one in scored.items()}
    multi_model = contestants(outcome_set, asked.routers, values)
    found = compare(whole, entrants, domain=asked.domain, seed=SEED, multi_model=multi_model)
    cache.set(key, found, REMEMBERED_SECONDS)
    return found


def _warning(outcome_set: OutcomeSet, routers: Sequence[str]) -> str:
    """A warning about routers that were trained on these prompts."""
    rows = Router.objects.filter(name__in=routers)
    shares = ((row.name, overlap_with(outcome_set, row)) for row in rows)
    seen = [f"{name} was trained on {share(part)} of them" for name, part in shares if part]
    if not seen:
        return ""
    return (
        f"Warning: {' and '.join(seen)}, so its figures here are too good. The figures in its "
        "checkpoint are from held-out prompts."
    )


def _router_choices() -> list[str]:
    policies = Domain.objects.exclude(router=None).values_list("name", flat=True)
    return [
        *Router.objects.values_list("name", flat=True),
        *([] if Router.objects.filter(name=RANDOM).exists() else [RANDOM]),
        *(f"{POLICY}{name}" for name in policies),
    ]
