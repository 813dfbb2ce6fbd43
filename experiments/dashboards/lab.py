"""`/lab/`: outcome sets, and the import of files."""

from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from experiments.background import tasks
from experiments.dashboards.pages import page, show
from experiments.dashboards.wording import Headline
from experiments.formatting import plural, share
from experiments.lab.dataset_summaries import RatedLine, SetLine, outcome_sets, rated_line
from experiments.lab.imports import default_name
from experiments.models import BackgroundTask, Domain
from experiments.routers.outcomes import STRONG_MODEL, SUFFIXES, WEAK_MODEL
from experiments.storage.lab_files import relative_to_lab

Uploaded: TypeAlias = "UploadedFile[Any]"
CHANGE = "experiments.change_router"
IMPORT = "import_outcomes"
LISTED = 5
MOST_BYTES = 512 * 1024 * 1024


class UploadForm(forms.Form):
    file = forms.FileField(
        label="File", help_text="CSV, JSON lines or Parquet with prompt,strong_score,weak_score."
    )
    name = forms.SlugField(
        label="Name of the set",
        max_length=60,
        required=False,
        help_text="Empty: the name of the file.",
    )
    strong_model = forms.CharField(
        max_length=200,
        required=False,
        label="Strong model",
        help_text="Only for files with columns score:MODEL.",
    )
    weak_model = forms.CharField(max_length=200, required=False, label="Weak model")
    detects = forms.BooleanField(required=False, label="Detect the domain of prompts without one")

    def clean_file(self) -> "Uploaded":
        file: Uploaded = self.cleaned_data["file"]
        if Path(file.name or "").suffix not in SUFFIXES:
            raise forms.ValidationError(f"The file must be one of {', '.join(SUFFIXES)}.")
        if (file.size or 0) > MOST_BYTES:
            raise forms.ValidationError("Larger than 512 MiB. Use manage.py import_outcomes.")
        return file


@page()
def lab(request: HttpRequest) -> HttpResponse:
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and request.user.has_perm(CHANGE) and form.is_valid():
        name = _queue(request, form)
        messages.success(request, f"Importing {name}. See the progress below.")
        return HttpResponseRedirect(reverse("dashboards:lab"))
    sets, rated = outcome_sets(), rated_line()
    running = list(BackgroundTask.objects.filter(name=IMPORT)[:LISTED])
    context = {
        "answer": _answer(sets, rated),
        "sets": sets,
        "rated": rated,
        "tasks": running,
        "form": form,
        "may_change": request.user.has_perm(CHANGE),
        "live": 5 if any(task.is_open for task in running) else 0,
        "domain_choices": Domain.objects.values_list("name", flat=True),
    }
    return show(request, "pages/lab.html", "lab", context, tab="lab")


@require_POST
@page(CHANGE)
def cancel_task(request: HttpRequest, task_id: int) -> HttpResponse:
    """Cancels a task of any page, and returns to that page."""
    tasks.cancel(task_id)
    task = BackgroundTask.objects.filter(pk=task_id).first()
    where = "lab_training" if task and task.name == "train_router" else "lab"
    return HttpResponseRedirect(reverse(f"dashboards:{where}"))


def _queue(request: HttpRequest, form: UploadForm) -> str:
    """Stores the file until the task has read it."""
    values = form.cleaned_data
    file: Uploaded = values["file"]
    original = Path(file.name or "outcomes.csv")
    name: str = values["name"] or default_name(original)
    folder = Path(settings.LAB_DIR) / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{uuid4().hex}{original.suffix}"
    with kept.open("wb") as out:
        for chunk in file.chunks():
            out.write(chunk)
    arguments = {
        "path": relative_to_lab(str(kept)),
        "name": name,
        "origin": original.name,
        "strong": values["strong_model"] or STRONG_MODEL,
        "weak": values["weak_model"] or WEAK_MODEL,
        "detects": values["detects"],
    }
    tasks.enqueue(IMPORT, arguments, by=request.user.get_username())
    return name


def _answer(sets: list[SetLine], rated: RatedLine) -> Headline:
    if not sets and not rated.rows:
        return Headline(
            "No outcomes of both models yet.",
            "Import outcomes, or have decisions rated.",
        )
    if not sets:
        return Headline(
            f"{plural(rated.rows, 'decision')} of production have ratings, each of the model that "
            "answered.",
            "Import outcomes of both models for more.",
        )
    first = max(sets, key=lambda line: line.rows)
    whole = f"{plural(len(sets), 'outcome set')} with {sum(s.rows for s in sets):,} prompts."
    if first.strong is None or first.weak is None:
        return Headline(whole)
    if not first.pays_to_ask:
        return Headline(
            f"{whole} In {first.name} the strong model is no better than the weak one "
            f"({share(first.strong)} against {share(first.weak)}), so routing cannot pay there.",
            "Check that the models are not swapped.",
        )
    return Headline(
        f"{whole} In {first.name} the strong model reaches {share(first.strong)} and the weak one "
        f"{share(first.weak)}.",
        "Open Evaluation to see whether routing pays.",
    )
