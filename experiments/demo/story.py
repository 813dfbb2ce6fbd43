"""The operators' actions in the thirty days: rollouts, experiments, shipping.

| experiment | result |
|---|---|
| `general-local-router` | three arms; one was shipped half way |
| `technical-local-router` | costs less, no worse: to be shipped |
| `scientific-always-weak` | costs less, clearly worse: to be rolled back |
| `educational-local-router` | a caller loses units of one arm: unhealthy |
| `creative-fewer-strong` | two phases, nothing decided yet |
| `legal-local-router` | has just begun, at 40 %: too small |
| `general-fewer-strong` | a draft that is ready to start |

`general` explores since it was shipped, so the lab can answer what-ifs from its log.
`financial` was rolled out to the weak model, and rolled back when its quality fell; `medical` is
half way up.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import NamedTuple

from experiments.configuration.revisions import revision
from experiments.core.domains import CAREFUL
from experiments.core.policy import Method
from experiments.demo.people import DAYS
from experiments.demo.world import ROUTER, World
from experiments.experimentation import lifecycle
from experiments.experimentation.results import results
from experiments.experimentation.shipping import is_to_ship
from experiments.learning import consent
from experiments.models import (
    Arm,
    Decision,
    Domain,
    Experiment,
    Flag,
    LanguageModel,
    Rollout,
    Router,
    RoutingSettings,
)
from experiments.models.flags import HUNDRED
from experiments.rollouts import lifecycle as rollouts

DANA, EMIL = "dana", "emil"
MODELS = ("openai/gpt-4.1", "openai/gpt-4.1-mini", "gemini/gemini-2.5-flash")
CONTROL, LOCAL = "always-strong", "local-router"
TO_SHIP, TO_ROLL_BACK = "technical-local-router", "scientific-always-weak"
UNHEALTHY, OPEN = "educational-local-router", "creative-fewer-strong"
TOO_SMALL, SHIPPED, DRAFT = "legal-local-router", "general-local-router", "general-fewer-strong"
LOSING_SHARE = 0.4
EXPLORED = 0.1


class StoryStep(NamedTuple):
    """An action at a time. It is one revision if it changes anything."""

    at: datetime
    do: Callable[[datetime], object]


class StoryArm(NamedTuple):
    """One arm: its method, or the share of prompts that its threshold sends to the strong model."""

    name: str
    policy: Method | float
    weight: float


@dataclass(frozen=True)
class Story:
    """`scale` reduces the planned sizes like the traffic."""

    world: World
    now: datetime
    scale: float = 1.0

    def steps(self) -> list[StoryStep]:
        """In order, without actions after `now`."""
        found = (*self._configuration(), *self._experiments(), *self._rollouts())
        return sorted((step for step in found if step.at < self.now), key=lambda step: step.at)

    def _configuration(self) -> Iterator[StoryStep]:
        yield StoryStep(self.now - timedelta(days=DAYS), self._begin)
        yield StoryStep(self._ago(24, 10), lambda now: self._route("creative", 0.5))
        yield StoryStep(self._ago(11, 9), self._raise_legal)
        yield StoryStep(self._ago(11, 15), self._explore_general)

    def _experiments(self) -> Iterator[StoryStep]:
        half = (StoryArm(CONTROL, Method.ALWAYS_STRONG, 0.5), StoryArm(LOCAL, 0.5, 0.5))
        yield self._starts(29, SHIPPED, "general", GENERAL_ARMS, 1_800, margin=0.05)
        yield StoryStep(self._ago(12, 15), self._ship_general)
        yield self._starts(18, OPEN, "creative", CREATIVE_ARMS, 3_600, margin=0.02)
        yield StoryStep(self._ago(9, 11), self._new_phase)
        yield self._starts(15, TO_SHIP, "technical", half, 1_800, margin=0.04)
        yield self._starts(12, UNHEALTHY, "educational", half, 1_200, margin=0.03)
        yield self._starts(14, TO_ROLL_BACK, "scientific", SCIENTIFIC_ARMS, 900, margin=0.03)
        yield self._starts(4, TOO_SMALL, "legal", half, 1_500, margin=0.03)
        yield StoryStep(self._ago(1, 16), self._draft)

    def _rollouts(self) -> Iterator[StoryStep]:
        yield StoryStep(self._ago(21, 8), self._roll_out_financial)
        yield StoryStep(self._ago(7, 8), self._roll_out_medical)

    def _ago(self, days: int, hour: int) -> datetime:
        midnight = datetime.combine(self.now.date(), time(), self.now.tzinfo)
        return midnight - timedelta(days=days) + timedelta(hours=hour)

    def _begin(self, now: datetime) -> None:
        """Three models under contract, every domain on the strong one, buckets that repeat.
        Learning is on, except where a wrong answer does most harm."""
        with revision(DANA, "Start with the strong model everywhere"):
            for model in LanguageModel.objects.exclude(name__in=MODELS):
                model.is_available = False
                model.save()
            for domain in Domain.objects.all():
                domain.method = Method.ALWAYS_STRONG
                domain.prompt_storage = "text" if domain.name == "technical" else "none"
                domain.learning = domain.name not in CAREFUL
                domain.save()
            for flag in Flag.objects.all():
                flag.seed = f"demonstration-{flag.key}"
                if flag.key == consent.FLAG:
                    flag.percentage = HUNDRED
                flag.save()
            settings = RoutingSettings.objects.get()
            settings.exploration_seed = "demonstration-exploration"
            settings.save()

    def _route(self, name: str, strong_share: float) -> None:
        with revision(DANA, f"Try the local router on {name} prompts"):
            domain = Domain.objects.get(name=name)
            domain.method = Method.ROUTELLM
            domain.router = Router.objects.get(name=ROUTER)
            domain.threshold = self.world.threshold(name, strong_share)
            domain.save()

    def _raise_legal(self, now: datetime) -> None:
        with revision(EMIL, "Legal at 40 %: the team agreed to try"):
            flag = Flag.objects.get(domain__name="legal")
            flag.percentage = Decimal(40)
            flag.save()

    def _explore_general(self, now: datetime) -> None:
        with revision(DANA, "Explore on general prompts, so that the log can answer what-ifs"):
            domain = Domain.objects.get(name="general")
            domain.epsilon = EXPLORED
            domain.save()

    def _starts(
        self,
        days: int,
        key: str,
        domain: str,
        arms: tuple[StoryArm, ...],
        planned: int,
        *,
        margin: float,
    ) -> StoryStep:
        def start(now: datetime) -> None:
            experiment = self._make(key, domain, arms, planned, margin)
            lifecycle.start(experiment, DANA, now)

        return StoryStep(self._ago(days, 9), start)

    def _make(
        self, key: str, domain: str, arms: tuple[StoryArm, ...], planned: int, margin: float
    ) -> Experiment:
        with revision(DANA, f"Planned {key}"):
            experiment = Experiment.objects.create(
                key=key,
                hypothesis=HYPOTHESES[key],
                owner=DANA,
                domain=Domain.objects.get(name=domain),
                planned_units=max(round(planned * self.scale), 100 * len(arms)),
                target_effect=Decimal("0.001"),
                window_days=3,
                min_days=7,
                seed=f"demonstration-{key}",
            )
            for position, wanted in enumerate(arms):
                self._arm(experiment, wanted, position, domain).save()
            experiment.metrics.create(metric="cost", role="primary")
            experiment.metrics.create(metric="quality", role="guardrail", margin=margin)
            experiment.metrics.create(metric="latency", role="secondary")
            experiment.metrics.create(metric="error_rate", role="secondary")
        return experiment

    def _arm(self, experiment: Experiment, wanted: StoryArm, position: int, domain: str) -> Arm:
        arm = Arm(
            experiment=experiment,
            name=wanted.name,
            weight=wanted.weight,
            is_control=position == 0,
            position=position,
        )
        if isinstance(wanted.policy, Method):
            arm.method = wanted.policy
        else:
            arm.method = Method.ROUTELLM
            arm.router = Router.objects.get(name=ROUTER)
            arm.threshold = self.world.threshold(domain, wanted.policy)
        return arm

    def _ship_general(self, now: datetime) -> None:
        experiment = Experiment.objects.get(key=SHIPPED)
        verdict = results(experiment, now, series=False).verdict
        outcome = str(verdict.outcome) if verdict else ""
        arm = "half-strong"
        anyway = "" if is_to_ship(verdict, arm) else "The tenth month's budget decides"
        lifecycle.ship(experiment, arm, DANA, now, verdict=outcome, anyway=anyway)

    def _new_phase(self, now: datetime) -> None:
        experiment = Experiment.objects.get(key=OPEN)
        lifecycle.start_phase(
            experiment,
            EMIL,
            now,
            lambda: experiment.arms.update(weight=0.5),
            seed=f"demonstration-{OPEN}-2",
        )

    def _draft(self, now: datetime) -> None:
        self._make(DRAFT, "general", DRAFT_ARMS, 2_400, 0.03)

    def _roll_out_financial(self, now: datetime) -> None:
        self._roll_out("financial", Method.ALWAYS_WEAK, [[50, 336], [100, 0]], now)

    def _roll_out_medical(self, now: datetime) -> None:
        self._roll_out("medical", 0.6, [[25, 144], [50, 96], [100, 0]], now)

    def _roll_out(
        self, name: str, policy: Method | float, steps: list[list[int]], now: datetime
    ) -> None:
        domain = Domain.objects.get(name=name)
        if isinstance(policy, Method):
            with revision(EMIL, f"The weak model for {name} prompts"):
                domain.method = policy
                domain.save()
        else:
            self._route(name, policy)
        rollout = Rollout.objects.create(
            flag=Flag.objects.get(domain=domain), key=f"rollout-{name}", steps=steps, margin=0.03
        )
        rollouts.start(rollout, EMIL, now)


def is_lost(decision: Decision) -> bool:
    """Some users' old client loses the answers of one experiment's treatment."""
    if decision.experiment != UNHEALTHY or decision.arm != LOCAL:
        return False
    own: float = decision.detail["flags"][-1]["bucket"]
    return own < LOSING_SHARE


GENERAL_ARMS = (
    StoryArm(CONTROL, Method.ALWAYS_STRONG, 0.34),
    StoryArm("half-strong", 0.5, 0.33),
    StoryArm("third-strong", 0.33, 0.33),
)
CREATIVE_ARMS = (StoryArm("half-strong", 0.5, 0.8), StoryArm("third-strong", 0.33, 0.2))
SCIENTIFIC_ARMS = (
    StoryArm(CONTROL, Method.ALWAYS_STRONG, 0.5),
    StoryArm("always-weak", Method.ALWAYS_WEAK, 0.5),
)
DRAFT_ARMS = (StoryArm("half-strong", 0.5, 0.5), StoryArm("third-strong", 0.33, 0.5))
HYPOTHESES = {
    SHIPPED: "Can the weak model answer half, or two thirds, of general prompts?",
    OPEN: "Can a third of creative prompts do with the strong model, instead of half?",
    TO_SHIP: "Does the local router save on technical prompts, and stay within four points?",
    UNHEALTHY: "Does the local router save on educational prompts?",
    TO_ROLL_BACK: "Is the weak model good enough for all scientific prompts?",
    TOO_SMALL: "Does the local router save on legal prompts?",
    DRAFT: "Two thirds of general prompts to the weak model: still good enough?",
}
