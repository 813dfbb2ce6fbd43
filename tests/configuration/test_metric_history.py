"""Metrics are part of the configuration: exported, applied, rolled back, and in the history."""

import pytest

from experiments.configuration.apply import ConfigurationError, apply, plan, roll_back
from experiments.configuration.document import current_document
from experiments.configuration.history import changes_since, readable
from experiments.configuration.revisions import changes_of, revision
from experiments.experimentation import lifecycle
from experiments.models import Metric, PolicyRevision
from tests.experiment_rows import START, draft

pytestmark = pytest.mark.usefixtures("seeded")


def add_stars(maximum: float = 5) -> Metric:
    with revision("tests"):
        return Metric.objects.create(name="stars", minimum=1, maximum=maximum)


def newest() -> PolicyRevision:
    return PolicyRevision.objects.latest("number")


def judged_by_stars() -> None:
    experiment = draft()
    experiment.metrics.create(metric="stars", role="secondary")
    lifecycle.start(experiment, "tests", START)


def test_a_new_metric_and_an_edit_are_revisions() -> None:
    row = add_stars()
    number = newest().number
    with revision("olga", "Ten stars now"):
        row.maximum = 10
        row.save()
    assert [str(change) for change in changes_of(newest())] == ["metrics.stars.maximum: 5.0 → 10.0"]
    (happened,) = changes_since(number, "metrics", "stars")
    assert (happened.author, str(happened.changes[0])) == ("olga", "maximum: 5.0 → 10.0")
    assert readable(changes_of(newest()))[0].subject == "Metric stars"


def test_an_export_holds_them_and_a_file_writes_them() -> None:
    document = current_document()
    assert document["metrics"]["judge_preference"]["maximum"] == 1.0
    document["metrics"]["stars"] = {"minimum": 1, "maximum": 5, "better": "higher"}
    assert [change.path for change in plan(document)] == ["metrics.stars"]
    apply(document, "tests", "")
    assert Metric.objects.get(name="stars").maximum == 5
    del document["metrics"]["stars"]
    apply(document, "tests", "")
    assert not Metric.objects.filter(name="stars").exists()


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"minimum": 5, "maximum": 1}, "metrics.stars.maximum: It must be above the minimum."),
        ({"maximum": "many"}, "metrics.stars.maximum: must be a number"),
        ({"colour": "red"}, "metrics.stars: unknown key 'colour'"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_path(values: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        apply({"metrics": {**current_document()["metrics"], "stars": values}}, "tests", "")
    assert refused.value.problems == [problem]


def test_what_an_experiment_is_judged_by_is_neither_changed_nor_deleted_by_a_file() -> None:
    add_stars()
    judged_by_stars()
    metrics = current_document()["metrics"]
    changed = {**metrics, "stars": {**metrics["stars"], "maximum": 10}}
    with pytest.raises(ConfigurationError, match="cannot be changed, because cheaper uses it"):
        apply({"metrics": changed}, "tests", "")
    del metrics["stars"]
    with pytest.raises(ConfigurationError, match="cannot be deleted, because cheaper uses it"):
        apply({"metrics": metrics}, "tests", "")
    described = {**changed, "stars": {**changed["stars"], "maximum": 5, "description": "Stars"}}
    apply({"metrics": described}, "tests", "")
    assert Metric.objects.get(name="stars").description == "Stars"


def test_rolling_back_restores_a_metric_unless_experiments_are_judged_by_it() -> None:
    before = newest().number
    row = add_stars()
    first = newest().number
    with revision("tests"):
        row.maximum = 10
        row.save()
    roll_back(first, "tests")
    assert Metric.objects.get(name="stars").maximum == 5
    judged_by_stars()
    roll_back(before, "tests")
    assert Metric.objects.filter(name="stars").exists()


def test_a_revision_from_before_metrics_were_in_it_rolls_back_and_leaves_them() -> None:
    add_stars()
    row = newest()
    del row.document["metrics"]
    row.save(update_fields=["document"])
    roll_back(row.number, "tests")
    assert Metric.objects.filter(name="stars").exists()
