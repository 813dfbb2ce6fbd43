"""`manage.py train_router`: checkpoints from recorded outcomes, the same bytes every time."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from experiments.routers.features import featurise
from experiments.routers.loading import load_router
from tests.routers.outcome_files import choice, make_evals, write_csv

MEASURED = ("--repeats", "1", "--group-seeds", "1")
UNMEASURED = ("--repeats", "0", "--group-seeds", "0")


@pytest.fixture(scope="module")
def evals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_evals(tmp_path_factory.mktemp("evals"))


def train(evals: Path, out: Path, *arguments: str) -> str:
    output = StringIO()
    call_command("train_router", str(evals), "--out", str(out), *arguments, stdout=output)
    return output.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["local", "local_mf"])
def test_it_works_and_repeats_bit_for_bit(evals: Path, tmp_path: Path, kind: str) -> None:
    output = train(evals, tmp_path / "first", "--kind", kind, *UNMEASURED)
    train(evals, tmp_path / "second", "--kind", kind, *UNMEASURED)

    first, second = (tmp_path / name / kind for name in ("first", "second"))
    assert f"Wrote {first}" in output
    for name in ("weights.safetensors", "manifest.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert 0.0 <= load_router(str(first)).score(featurise("Any prompt")) <= 1.0


@pytest.mark.slow
def test_it_learns_which_questions_are_hard(evals: Path, tmp_path: Path) -> None:
    train(evals, tmp_path, "--kind", "local", *MEASURED)
    router = load_router(str(tmp_path / "local"))

    hard = router.score(featurise(choice("chemistry", 1, hard=True)))
    easy = router.score(featurise(choice("chemistry", 1, hard=False)))
    assert hard > easy + 0.2

    manifest = json.loads((tmp_path / "local" / "manifest.json").read_text())
    assert manifest["measured"]["questions"]["apgr"] > 0.8
    assert manifest["measured"]["groups"]["apgr"] > 0.8


@pytest.mark.slow
def test_thresholds_by_domain_and_groups_left_out(evals: Path, tmp_path: Path) -> None:
    domains = write_csv(
        tmp_path / "domains.csv",
        [("subject", "domain"), ("law", "legal"), ("physics", "scientific"), ("gsm8k", "maths")],
    )

    chosen = ("--domains", str(domains), "--leave-out", "zoology")
    train(evals, tmp_path, "--kind", "local", *chosen, *UNMEASURED)

    manifest = json.loads((tmp_path / "local" / "manifest.json").read_text())
    assert set(manifest["thresholds"]) == {"overall", "maths"}  # the others have under 50 prompts
    assert manifest["data"]["prompts"] == 5 * 40 + 60
    assert manifest["data"]["left_out"] == ["zoology"]
    assert manifest["command"].endswith("--leave-out zoology")


@pytest.mark.slow
def test_own_csv_without_groups(tmp_path: Path) -> None:
    rows: list[tuple[object, ...]] = [("prompt", "strong_score", "weak_score")]
    rows += [(f"Question {i}" + " and why" * (i % 2), 0.9, 0.8 - 0.6 * (i % 2)) for i in range(80)]

    train(write_csv(tmp_path / "own.csv", rows), tmp_path, "--kind", "local", *MEASURED)

    manifest = json.loads((tmp_path / "local" / "manifest.json").read_text())
    assert set(manifest["measured"]) == {"questions"}


def test_refuses_too_few_prompts(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "own.csv", [("prompt", "strong_score", "weak_score"), ("p", 1, 0)])

    with pytest.raises(CommandError, match="too few"):
        train(path, tmp_path, "--kind", "local")


def test_refuses_an_unknown_group_to_leave_out(evals: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="Unknown group astrology"):
        train(evals, tmp_path, "--leave-out", "astrology")


def test_names_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="does not exist"):
        train(tmp_path / "nothing", tmp_path)
