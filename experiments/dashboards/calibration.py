"""`/lab/calibration/`: a threshold for a share, a budget or a quality, next to today's."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_POST

from experiments.analytics.drift import drift_of
from experiments.configuration.experiment_locks import LockedError
from experiments.configuration.policy_store import store
from experiments.core.policy import Policy
from experiments.core.text import storable
from experiments.dashboards.actions import PageAction
from experiments.dashboards.calibration_charts import proposal_table, walk_chart
from experiments.dashboards.filters import Filters
from experiments.dashboards.lab_filters import More, most_read, reading
from experiments.dashboards.pages import page, show
from experiments.dashboards.wording import Headline
from experiments.experimentation.lifecycle import LifecycleError
from experiments.lab.actions import LabError, apply_threshold, draft_experiment, roll_out
from experiments.lab.candidates import CannotAskError
from experiments.lab.decision_log import MOST_ON_A_PAGE
from experiments.lab.text.calibration import basis, condition, promise, sentence, tail
from experiments.lab.threshold_proposals import PRODUCTION, Proposal, ThresholdGoal, propose
from experiments.models import Calibration, Domain, OutcomeSet
from experiments.rollouts.lifecycle import RolloutError

Aim = Calibration.Aim
AIMS = {
    Aim.QUALITY: "a guaranteed share of quality per request",
    Aim.SHARE: "a strong share",
    Aim.BUDGET: "a budget, $ per 1,000 requests",
}
USUAL = {Aim.QUALITY: 0.95, Aim.SHARE: 0.3, Aim.BUDGET: 1.0}
MOST_SCORED = 2_000
"""The most prompts of an outcome set that a page scores; the command scores all."""

CHANGE = "experiments.change_domain"
DRAFT = "experiments.add_experiment"
ROLL_OUT = "experiments.add_rollout"


class CalibrationQuery(NamedTuple):
    """What the page's address asks for."""

    filters: Filters
    domain: str
    wanted: ThresholdGoal
    problems: tuple[str, ...]
    most: int

    @classmethod
    def from_request(cls, query: Mapping[str, str], policy: Policy) -> "CalibrationQuery":
        """Never raises. The default domain is the first one with a router."""
        filters = Filters.from_request({"range": "30d", **dict(query.items())})
        problems = list(filters.problems)
        aim = query.get("aim", "")
        if aim and aim not in AIMS:
            problems.append(f"“aim” must be one of {', '.join(AIMS)}; got “{aim[:40]}”.")
        chosen = Aim(aim) if aim in AIMS else Aim.QUALITY
        routed = sorted(name for name, one in policy.domains.items() if one.policy.router)
        domain = filters.domain or (routed[0] if routed else "")
        wanted = ThresholdGoal(
            chosen,
            _number(query, "wanted", USUAL[chosen], problems),
            _number(query, "delta", 0.1, problems),
            storable(query.get("source", ""))[:60],
            MOST_SCORED,
        )
        return cls(filters, domain, wanted, tuple(problems), most_read(query))

    @property
    def query(self) -> str:
        named = {
            "domain": self.domain,
            "aim": str(self.wanted.aim),
            "wanted": f"{self.wanted.wanted:g}",
            "delta": f"{self.wanted.delta:g}",
            "source": self.wanted.source,
            "range": self.filters.range,
            **reading(self.most),
        }
        if self.filters.dates:
            named |= {"from": str(self.filters.dates.first), "to": str(self.filters.dates.last)}
        return f"?{urlencode({name: value for name, value in named.items() if value})}"

    @property
    def reading_more(self) -> "CalibrationQuery":
        return self._replace(most=MOST_ON_A_PAGE)

    def propose(self, policy: Policy) -> Proposal:
        """Raises CannotAskError."""
        span = self.filters.span(timezone.now())
        return propose(policy, self.domain, span, self.wanted, most=self.most)


def _number(query: Mapping[str, str], name: str, usual: float, problems: list[str]) -> float:
    text = query.get(name, "").strip()
    if not text:
        return usual
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if 0.0 < value < 1e6:
        return value
    problems.append(f"“{name}” must be a number above 0; got “{text[:40]}”. Using {usual:g}.")
    return usual


@page()
def calibration(request: HttpRequest) -> HttpResponse:
    policy = store.current()
    asked = CalibrationQuery.from_request(request.GET, policy)
    context: dict[str, Any] = {
        "live": 0,
        "asked": asked,
        "aims": AIMS,
        "sources": OutcomeSet.objects.values_list("name", flat=True),
        "production": PRODUCTION,
        "domains": Domain.objects.values_list("name", flat=True),
        "more_controls": "includes/calibration_controls.html",
        "problems": list(asked.problems),
        "applied": Calibration.objects.filter(domain=asked.domain).order_by("-at")[:5],
        "drift": drift_of(policy, asked.domain, timezone.now()),
    }
    try:
        context |= _proposed(request, asked, asked.propose(policy))
    except CannotAskError as error:
        context["problems"].append(str(error))
    filters = asked.filters
    return show(
        request, "pages/calibration.html", "lab", context, tab="lab_calibration", filters=filters
    )


def _proposed(request: HttpRequest, asked: CalibrationQuery, found: Proposal) -> dict[str, Any]:
    return {
        "answer": Headline(sentence(found), "" if found.expected else _instead(asked)),
        "found": found,
        "more": None if found.is_whole else More.of(asked.most, asked.reading_more.query),
        "basis": basis(found) if found.expected else "",
        "promise": promise(found) if found.expected else "",
        "condition": condition(found),
        "tail": tail(found) if found.expected else "",
        "table": proposal_table(found) if found.expected else None,
        "chart": walk_chart(found) if found.walk and found.walk.steps else None,
        "steps": _steps(request, asked, found),
    }


def _instead(asked: CalibrationQuery) -> str:
    """The next step if nothing can be proposed."""
    if asked.wanted.aim is not Aim.QUALITY:
        return ""
    return (
        "Next: explore in this domain and collect ratings, import prompts with grades of both "
        "answers, or calibrate for a strong share, which needs only scores."
    )


def _steps(
    request: HttpRequest, asked: CalibrationQuery, found: Proposal
) -> list[tuple[PageAction, str]]:
    """The actions that the reader may take with a proposal."""
    if found.threshold is None:
        return []
    named = f"{found.router} at {found.threshold:.4f}"
    offered = (
        (
            DRAFT,
            PageAction("experiment", "Draft an experiment", _EXPERIMENT.format(named), main=True),
        ),
        (CHANGE, PageAction("apply", "Apply", _APPLY.format(found.domain, named))),
        (ROLL_OUT, PageAction("rollout", "Plan a guarded rollout", _ROLL_OUT.format(named))),
    )
    return [
        (action, f"{reverse('dashboards:lab_calibration_act', args=[action.name])}{asked.query}")
        for permission, action in offered
        if request.user.has_perm(permission)
    ]


_EXPERIMENT = "Drafts an experiment: today's policy against {}. You start it."
_APPLY = "{} routes with {} from now on. This is a revision, which can be rolled back."
_ROLL_OUT = "The domain gets {}, and a guarded rollout of its flag is planned. You start it."


def _experiment(request: HttpRequest, found: Proposal) -> str:
    made = draft_experiment(found.candidate, request.user)
    messages.success(request, f"Drafted {made.key}. Check it, then start it.")
    return reverse("dashboards:experiment", args=[made.key])


def _apply(request: HttpRequest, found: Proposal) -> str:
    row = found.as_calibration(request.user.get_username(), timezone.now())
    apply_threshold(row, request.user)
    messages.success(request, f"{found.domain} now routes with a threshold of {row.threshold:.4f}.")
    return reverse("dashboards:domain", args=[found.domain])


def _roll_out(request: HttpRequest, found: Proposal) -> str:
    roll_out(found.as_calibration(request.user.get_username(), timezone.now()), request.user)
    messages.success(request, "The rollout is planned. Check its steps, then start it.")
    return reverse("dashboards:rollouts")


_STEPS: dict[str, tuple[str, Callable[[HttpRequest, Proposal], str]]] = {
    "experiment": (DRAFT, _experiment),
    "apply": (CHANGE, _apply),
    "rollout": (ROLL_OUT, _roll_out),
}


@require_POST
def act(request: HttpRequest, action: str) -> HttpResponseBase:
    """Computes the proposal again and applies it. It may differ from the one on the page, so the
    message contains the threshold."""
    if action not in _STEPS:
        raise Http404
    permission, step = _STEPS[action]

    @page(permission)
    def taken(request: HttpRequest) -> HttpResponse:
        policy = store.current()
        asked = CalibrationQuery.from_request(request.GET, policy)
        back = f"{reverse('dashboards:lab_calibration')}{asked.query}"
        try:
            return HttpResponseRedirect(step(request, asked.propose(policy)))
        except (CannotAskError, LabError, LifecycleError, LockedError, RolloutError) as error:
            messages.error(request, str(error))
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        except ValueError as error:  # there is no proposal any more
            messages.error(request, str(error))
        return HttpResponseRedirect(back)

    return taken(request)
