"""`manage.py replay`: recorded questions as an experiment's traffic, held against the truth."""

import csv
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Sum

from experiments.experimentation import lifecycle
from experiments.experimentation.recorded_traffic import ReplayError, noon
from experiments.experimentation.results import results
from experiments.experimentation.traffic_replay import (
    ReplaySize,
    begin_of,
    compare,
    interrupted,
    prepare,
    replay,
)
from experiments.models import Decision, Experiment, Feedback, Outcome, Replay, UnitSum
from experiments.routers.outcomes import PromptOutcome as RecordedQuestion
from experiments.routers.outcomes import read_outcomes
from tests.experiment_rows import draft

pytestmark = pytest.mark.usefixtures("seeded")

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """120 made-up questions of four subjects; the strong model is right on 90 %, the weak on 50."""
    chance = random.Random(5)
    path = tmp_path / "outcomes.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["prompt", "strong_score", "weak_score", "group"])
        for number in range(120):
            strong, weak = (int(chance.random() < share) for share in (0.9, 0.5))
            prompt = f"What is {number} times {chance.randrange(90)}? " + "Explain. " * (number % 7)
            rows.writerow([prompt, strong, weak, f"subject-{number % 4}"])
    return path


def test_it_works(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draft(min_days=1, window_days=2)
    call_command("replay", str(recorded), experiment="cheaper", units=300, days=3)
    said = capsys.readouterr().out
    assert "300 units use 120 prompts" in said
    assert "day 1: not_enough_data" in said
    assert "roll_back" in said
    assert "weak, quality: true -0." in said
    assert said.rstrip().splitlines()[-1].startswith('Roll back "weak": quality is at least')
    assert Experiment.objects.get().daily.count() == 5


def test_reported_differences_cover_the_truth_and_strong_against_weak_rolls_back(
    recorded: Path,
) -> None:
    experiment = draft(min_days=1, window_days=2)
    questions = list(read_outcomes(recorded).rows())
    size = ReplaySize(units=400, days=4, seed=1)
    begin = begin_of(experiment, size, NOW)
    prepare(experiment, begin)
    days = list(replay(experiment, questions, size, begin))
    replayed = compare(experiment, questions, NOW)

    assert [day.number for day in days] == [1, 2, 3, 4, 5, 6]
    assert replayed.truths["control"].quality == sum(q.strong for q in questions) / 120
    assert replayed.truths["weak"].quality == sum(q.weak for q in questions) / 120
    assert all(one.is_covered_daily for one in replayed.compared)
    assert replayed.verdict is not None
    assert replayed.verdict.outcome == "roll_back"
    assert [arm.waiting for arm in results(experiment, NOW).arms] == [0, 0]


def test_every_request_goes_through_the_services_of_the_api(recorded: Path) -> None:
    experiment = draft(min_days=1, window_days=2)
    questions = list(read_outcomes(recorded).rows())
    size = ReplaySize(units=50, days=2)
    begin = begin_of(experiment, size, NOW)
    prepare(experiment, begin)
    list(replay(experiment, questions, size, begin))

    decisions = Decision.objects.count()
    assert 50 < decisions < 250
    assert Outcome.objects.count() == Feedback.objects.count() == decisions
    assert UnitSum.objects.values("unit_hash").distinct().count() == 50
    assert {d.created_at.date() for d in Decision.objects.all()} == {
        datetime(2026, 11, day, tzinfo=UTC).date() for day in (18, 19, 20)
    }


def test_an_experiment_with_units_is_not_replayed_again(recorded: Path) -> None:
    draft(min_days=1, window_days=1)
    call_command("replay", str(recorded), experiment="cheaper", units=5, days=1)
    with pytest.raises(CommandError, match="Clone it and replay the clone"):
        call_command("replay", str(recorded), experiment="cheaper", units=5, days=1)


SIZE = ReplaySize(units=60, days=3, seed=4)


def begun(recorded: Path) -> tuple[Experiment, list[RecordedQuestion], datetime]:
    experiment = draft(min_days=1, window_days=2)
    questions = list(read_outcomes(recorded).rows())
    begin = begin_of(experiment, SIZE, NOW)
    prepare(experiment, begin)
    return experiment, questions, begin


def asked() -> int:
    """How many requests the units of `SIZE` send, each with its outcome and its rating."""
    decisions = Decision.objects.count()
    assert Outcome.objects.count() == Feedback.objects.count() == decisions
    assert UnitSum.objects.aggregate(n=Sum("decisions"))["n"] == decisions
    assert Decision.objects.values("request_id").distinct().count() == decisions
    return decisions


def test_an_interrupted_replay_goes_on_where_it_stopped(recorded: Path) -> None:
    experiment, questions, begin = begun(recorded)
    running = replay(experiment, questions, SIZE, begin)
    assert [next(running).number for _ in range(2)] == [1, 2]
    first = asked()

    later = NOW + timedelta(days=3)  # the next command runs on another day
    assert begin_of(experiment, SIZE, later) != begin
    prepare(experiment, begin_of(experiment, SIZE, later))
    rest = list(replay(experiment, questions, SIZE, begin_of(experiment, SIZE, later)))
    assert [day.number for day in rest] == [3, 4, 5]
    assert UnitSum.objects.values("unit_hash").distinct().count() == 60
    assert Decision.objects.order_by("created_at").first().created_at == noon(begin, 0)  # type: ignore[union-attr]
    assert asked() > first
    assert interrupted(experiment) is None


@pytest.mark.parametrize("stored", ["decisions", "outcomes", "everything"])
def test_what_was_stored_when_it_was_killed_is_not_sent_twice(recorded: Path, stored: str) -> None:
    """Killed before it could note how far it had come."""
    experiment, questions, begin = begun(recorded)
    list(replay(experiment, questions, SIZE, begin))
    total = asked()

    Replay.objects.update(day=1, sent=0, finished_at=None)
    Decision.objects.filter(created_at__gt=noon(begin, 1)).delete()
    last = Decision.objects.filter(created_at=noon(begin, 1))
    if stored == "decisions":
        Outcome.objects.filter(decision__in=last).delete()
    if stored != "everything":
        Feedback.objects.filter(decision__in=last).delete()
    list(replay(experiment, questions, SIZE, begin))
    assert Decision.objects.count() == total
    assert Outcome.objects.count() == Feedback.objects.count() == total
    assert Decision.objects.values("request_id").distinct().count() == total


def test_other_recordings_or_sizes_do_not_go_on(recorded: Path) -> None:
    experiment, questions, begin = begun(recorded)
    running = replay(experiment, questions, SIZE, begin)
    next(running)
    for other, size in ((questions[1:], SIZE), (questions, SIZE._replace(units=61))):
        with pytest.raises(ReplayError, match=r"interrupted on day 2\. Continue with the same"):
            next(replay(experiment, other, size, begin))


def test_two_at_once_do_not_send_the_same(recorded: Path) -> None:
    experiment, questions, begin = begun(recorded)
    one = replay(experiment, questions, SIZE, begin)
    next(one)
    other = replay(experiment, questions, SIZE, begin)
    assert next(other).number == 2
    with pytest.raises(ReplayError, match="under way"):
        next(one)
    assert Decision.objects.values("request_id").distinct().count() == Decision.objects.count()


def test_the_command_says_that_it_goes_on(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment, questions, begin = begun(recorded)
    running = replay(experiment, questions, SIZE, begin)
    next(running)
    call_command("replay", str(recorded), experiment="cheaper", units=60, days=3, seed=4)
    said = capsys.readouterr().out
    assert "Continuing an interrupted replay on day 2." in said
    assert "decisions counted. Over all prompts" in said


def test_a_running_experiment_without_units_begins_with_the_replay(recorded: Path) -> None:
    experiment = draft(min_days=1, window_days=1)
    lifecycle.start(experiment, "olga", NOW)
    begin = begin_of(experiment, ReplaySize(5, 3), NOW)
    prepare(experiment, begin)
    experiment.refresh_from_db()
    assert experiment.started_at == begin == experiment.phases.get().started_at
    assert begin == datetime(2026, 11, 18, tzinfo=UTC)


def test_a_draft_that_cannot_start_says_why(recorded: Path) -> None:
    draft(planned_units=None)
    with pytest.raises(CommandError, match=r"cannot start:\n- Enter the planned units"):
        call_command("replay", str(recorded), experiment="cheaper")


def test_a_stopped_experiment_is_refused(recorded: Path) -> None:
    experiment = draft()
    lifecycle.start(experiment, "olga", NOW)
    lifecycle.stop(experiment, "olga", NOW, reason="Done", verdict="")
    with pytest.raises(CommandError, match=r"is stopped\. Clone it"):
        call_command("replay", str(recorded), experiment="cheaper")


def test_an_unknown_experiment_or_file_is_named(recorded: Path) -> None:
    with pytest.raises(CommandError, match="Unknown experiment 'unknown'"):
        call_command("replay", str(recorded), experiment="unknown")
    draft()
    with pytest.raises(CommandError, match=r"nowhere\.csv does not exist"):
        call_command("replay", "nowhere.csv", experiment="cheaper")


def test_a_model_without_recordings_is_refused(recorded: Path) -> None:
    draft(arms={"control": "always_strong", "classic": "domain_selector"}, window_days=1)
    with pytest.raises(CommandError, match="the recordings lack its quality"):
        call_command("replay", str(recorded), experiment="cheaper", units=20, days=1)
