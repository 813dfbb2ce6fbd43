"""`manage.py train_domains`, on a little data of its own in the recorded layout."""

import csv
import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from experiments.routers.detector import LearnedDetector
from experiments.routers.features import featurise

MODELS = ("mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview")
WORDS = {
    "baking": ("dough", "oven", "yeast", "flour", "crust", "loaf", "sourdough", "butter"),
    "sailing": ("mast", "anchor", "keel", "rudder", "harbour", "tide", "sail", "knot"),
    "gossip": ("party", "cousin", "dress", "rumour", "wedding", "neighbour", "hat", "picnic"),
}
DOMAINS = {"baking": "food", "sailing": "sea", "gossip": ""}
SOURCE = """
seed: |
  Which {0} is best?
frames: |
  Tell me about the {{thing}}
slots:
  thing: |
    {1}
subjects:
  all:
    terms: |
      {1}
    prompts: |
      Where do I find a good {0}? | At home | Abroad
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    responses = tmp_path / "evals" / "mmlu" / "responses"
    responses.mkdir(parents=True)
    for subject, words in WORDS.items():
        with (responses / f"mmlu_{subject}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("prompt", *MODELS))
            for first in words:
                for second in words:
                    prompt = f"What has a {first} to do with a {second}?\nA. All\nB. None\nAnswer:"
                    rows.writerow((prompt, True, False))
    lines = [f"{subject},{domain}" for subject, domain in DOMAINS.items()]
    (tmp_path / "subject_domains.csv").write_text("\n".join(("subject,domain", *lines)) + "\n")
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    for subject, words in WORDS.items():
        path = prompts / f"{DOMAINS[subject] or 'general'}.yaml"
        path.write_text(SOURCE.format(words[0], "; ".join(words)))
    return tmp_path


def train(data: Path, out: Path) -> str:
    output = StringIO()
    call_command(
        "train_domains",
        str(data / "evals"),
        f"--domains={data / 'subject_domains.csv'}",
        f"--prompts={data / 'prompts'}",
        f"--out={out}",
        "--per-domain=20",
        stdout=output,
        stderr=StringIO(),
    )
    return output.getvalue()


def test_trained_detector_finds_its_domains(data: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "out")
    detector = LearnedDetector.load(tmp_path / "out")
    assert detector.names == ("food", "general", "sea")
    assert detector.candidates(featurise("dough in the oven"))[0].name == "food"
    assert detector.candidates(featurise("the keel and the mast"))[0].name == "sea"
    assert detector.candidates(featurise("a rumour at the picnic"))[0].name == "general"


def test_manifest_says_where_it_came_from(data: Path, tmp_path: Path) -> None:
    assert "questions:" in train(data, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["kind"] == "domains"
    assert manifest["data"]["recorded"] == 192
    assert manifest["data"]["stem"] == 192
    assert manifest["measured"]["questions"]["n"] == 192
    assert manifest["measured"]["questions"]["accuracy"] > 0.9
    assert set(manifest["measured"]) == {"questions", "subjects"}


def test_same_seed_gives_the_same_file(data: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        train(data, tmp_path / name)
    first, second = (
        (tmp_path / name / "weights.safetensors").read_bytes() for name in ("first", "second")
    )
    assert first == second


def test_missing_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="does not exist"):
        call_command("train_domains", str(tmp_path / "absent"))
