"""A recount of the roll-ups gives the running totals, and never changes pruned hours."""

import random
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from experiments.decisions.pruning import prune
from experiments.decisions.rebuilding import rebuild
from experiments.models import Decision, Rollup, RollupBin
from tests.decisions import recount


@pytest.fixture
def history(seeded: None) -> None:
    recount.prepare()
    chance = random.Random(5)
    recount.report(chance, recount.decide(chance, 150), 300)


@pytest.mark.usefixtures("history")
def test_it_counts_what_the_books_kept() -> None:
    kept = recount.stored(Rollup), recount.stored_bins()
    Rollup.objects.all().delete()
    RollupBin.objects.update(count=99)
    done = rebuild()
    assert (done.decisions, done.left) == (150, 0)
    assert (recount.stored(Rollup), recount.stored_bins()) == kept


@pytest.mark.usefixtures("history")
def test_an_hour_that_counts_more_than_there_is_stays() -> None:
    kept = recount.stored(Rollup), recount.stored_bins()
    Decision.objects.order_by("pk")[:1].get().delete()
    assert rebuild().left == 1
    assert (recount.stored(Rollup), recount.stored_bins()) == kept


@pytest.mark.usefixtures("history")
def test_pruning_erases_no_history() -> None:
    Decision.objects.update(created_at=timezone.now() - timedelta(days=3))
    Rollup.objects.all().delete()
    rebuild()
    kept = recount.stored(Rollup), recount.stored_bins()
    assert prune(timezone.now().date()) == 150
    rebuild()
    assert (recount.stored(Rollup), recount.stored_bins()) == kept


@pytest.mark.usefixtures("history")
def test_the_command_says_what_it_did() -> None:
    output = StringIO()
    call_command("rebuild_rollups", stdout=output)
    assert output.getvalue() == "Recounted 150 decisions of 1 hour.\n"


@pytest.mark.django_db
def test_nothing_stored_is_nothing_to_do() -> None:
    assert rebuild() == (0, 0, 0)
