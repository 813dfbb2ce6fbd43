"""Metrics in the admin."""

import pytest
from django.test import Client
from django.urls import reverse

from experiments.admin.forms import ConfigurationForm
from experiments.experimentation import lifecycle
from experiments.models import Metric, PolicyRevision
from tests.admin.conftest import Submit
from tests.experiment_rows import START, draft

ADD = reverse("admin:experiments_metric_add")


def test_it_works(operator: Client, submit: Submit) -> None:
    response = submit(operator, ADD, name="stars", kind="number", minimum="1", maximum="5")
    assert response.status_code == 302
    stars = Metric.objects.get(name="stars")
    assert (stars.minimum, stars.maximum) == (1, 5)


@pytest.mark.parametrize("name", ["quality", "cost"])
def test_a_built_in_name_is_refused(operator: Client, submit: Submit, name: str) -> None:
    response = submit(operator, ADD, name=name)
    assert "is built in" in response.content.decode()
    assert not Metric.objects.filter(name=name).exists()


def test_a_range_that_is_none_is_refused(operator: Client, submit: Submit) -> None:
    response = submit(operator, ADD, name="stars", minimum="5", maximum="1")
    assert "must be above the minimum" in response.content.decode()


def test_the_meaning_of_a_metric_in_use_stays(operator: Client) -> None:
    metric = Metric.objects.create(name="stars", maximum=5)
    page = reverse("admin:experiments_metric_change", args=[metric.pk])
    experiment = draft()
    experiment.metrics.create(metric="stars", role="secondary")
    fields = operator.get(page).context["adminform"].form.fields
    assert {"name", "maximum"} <= set(fields)
    lifecycle.start(experiment, "tests", START)
    fields = operator.get(page).context["adminform"].form.fields
    assert set(fields) - ConfigurationForm.BOOKKEEPING == {"description"}
    delete = reverse("admin:experiments_metric_delete", args=[metric.pk])
    assert operator.post(delete, {"post": "yes"}).status_code == 403


def test_every_edit_is_a_revision_with_author_and_difference(
    operator: Client, submit: Submit
) -> None:
    submit(operator, ADD, name="stars", kind="number", minimum="1", maximum="5")
    page = reverse("admin:experiments_metric_change", args=[Metric.objects.get(name="stars").pk])
    submit(operator, page, maximum="10")
    newest = PolicyRevision.objects.latest("number")
    assert newest.author_name == "olga"
    assert newest.difference == [{"path": "metrics.stars.maximum", "before": 5.0, "after": 10.0}]
