"""`/lab/training/`: trains a router on an outcome set, and drafts an experiment with it."""

from typing import NamedTuple

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_POST

from experiments.background import tasks
from experiments.configuration.experiment_locks import LockedError
from experiments.dashboards.pages import page, show
from experiments.dashboards.wording import Headline
from experiments.experimentation.lifecycle import LifecycleError
from experiments.formatting import plural
from experiments.lab.actions import draft_trial
from experiments.lab.rated_decisions import PRODUCTION
from experiments.lab.training import SHORTCOMINGS, manifest_of
from experiments.models import BackgroundTask, Domain, OutcomeSet, Router
from experiments.models.routers import LOCAL_KINDS
from experiments.routers.checkpoints import Manifest
from experiments.routers.errors import RouterConfigurationError
from experiments.routers.kinds import check_name

CHANGE = "experiments.change_router"
DRAFT = "experiments.add_experiment"
TRAIN = "train_router"
LISTED = 8
KIND_WORDS = {
    "local": "local: words, structure and embedding of the prompt; needs its text",
    "local_mf": "local_mf: RouteLLM's matrix factorisation on the embedding",
    "linear": "linear: one regression per model on the embedding; also learns from ratings",
    "knn": "knn: outcomes of the most similar prompts; also learns from ratings",
}


class TrainingForm(forms.Form):
    name = forms.RegexField(
        r"^[a-z][a-z0-9_]*$",
        max_length=36,
        label="Name of the new router",
        error_messages={"invalid": "Use lowercase letters, digits and underscores."},
    )
    kind = forms.ChoiceField(choices=list(KIND_WORDS.items()))
    outcomes = forms.ChoiceField(label="Outcome set")
    domain = forms.ChoiceField(required=False, label="Domain")
    seed = forms.IntegerField(initial=0, min_value=0, max_value=2**31 - 1)

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        sets = [*OutcomeSet.objects.values_list("name", flat=True), PRODUCTION]
        domains = Domain.objects.values_list("name", flat=True)
        self.fields["outcomes"].choices = [(name, name) for name in sets]  # type: ignore[attr-defined]
        self.fields["domain"].choices = [  # type: ignore[attr-defined]
            ("", "All domains"),
            *((name, name) for name in domains),
        ]

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        try:
            check_name(name)
        except RouterConfigurationError as error:
            raise forms.ValidationError(str(error)) from error
        return name


class TrainedLine(NamedTuple):
    """A router trained here, with its manifest. `shortcoming`: why it is not offered, or ""."""

    row: Router
    manifest: Manifest
    measured: tuple[tuple[str, float], ...]
    effective: tuple[tuple[str, float], ...]
    shortcoming: str


@page()
def training(request: HttpRequest) -> HttpResponse:
    may_train = request.user.has_perm(CHANGE)
    form = TrainingForm(request.POST or None, initial={"outcomes": request.GET.get("set", "")})
    if request.method == "POST" and may_train and form.is_valid():
        by = request.user.get_username()
        tasks.enqueue(TRAIN, {**form.cleaned_data, "by": by}, by=by)
        return HttpResponseRedirect(reverse("dashboards:lab_training"))
    runs = list(BackgroundTask.objects.filter(name=TRAIN)[:LISTED])
    trained = _trained()
    context = {
        "answer": _answer(trained, runs),
        "form": form,
        "runs": runs,
        "trained": trained,
        "may_train": may_train,
        "may_draft": request.user.has_perm(DRAFT),
        "domain_choices": Domain.objects.values_list("name", flat=True),
        "live": 5 if any(run.is_open for run in runs) else 0,
    }
    return show(request, "pages/lab_training.html", "lab", context, tab="lab_training")


@require_POST
@page(DRAFT)
def draft(request: HttpRequest, name: str) -> HttpResponse:
    """Drafts an experiment: today's policy against the router."""
    router = get_object_or_404(Router, name=name)
    domain = get_object_or_404(Domain, name=request.POST.get("domain", ""))
    try:
        experiment = draft_trial(router, domain, request.user)
    except (ValidationError, LifecycleError, LockedError) as error:
        messages.error(request, " ".join(getattr(error, "messages", [str(error)])))
        return HttpResponseRedirect(reverse("dashboards:lab_training"))
    messages.success(request, f"Drafted {experiment.key}. Its checklist shows what is missing.")
    return HttpResponseRedirect(reverse("dashboards:experiment", args=[experiment.key]))


def _trained() -> list[TrainedLine]:
    lines = []
    for row in Router.objects.filter(kind__in=LOCAL_KINDS).order_by("-pk"):
        manifest = manifest_of(row)
        if manifest is not None:
            poor = SHORTCOMINGS.get(manifest.shortcoming, "")
            figures, effective = _figures(manifest), _effective(manifest)
            lines.append(TrainedLine(row, manifest, figures, effective, poor))
    return lines


def _figures(manifest: Manifest) -> tuple[tuple[str, float], ...]:
    found = []
    for name, figure in manifest.measured.items():
        if isinstance(figure, dict) and isinstance(figure.get("apgr"), float):
            found.append((name, figure["apgr"]))
    return tuple(found)


def _effective(manifest: Manifest) -> tuple[tuple[str, float], ...]:
    found = manifest.data.get("effective_prompts")
    return tuple(found.items()) if isinstance(found, dict) else ()


def _answer(trained: list[TrainedLine], runs: list[BackgroundTask]) -> Headline:
    if any(run.is_open for run in runs):
        return Headline(
            "A router is being trained.", "It decides nothing until an experiment uses it."
        )
    if not trained:
        return Headline(
            "No router was trained here yet. The shipped ones are trained on exam questions.",
            "Train one on your own outcomes.",
        )
    newest = trained[0]
    figures = " and ".join(f"{apgr:.3f} over {name}" for name, apgr in newest.measured)
    held_out = f" Its held-out APGR is {figures}; a random router gets 0.5." if figures else ""
    return Headline(
        f"{plural(len(trained), 'router')} trained here; the newest is {newest.row.name}."
        f"{held_out}",
        "Run an experiment to see whether it pays.",
    )
