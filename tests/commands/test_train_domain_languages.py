"""`manage.py train_domain_languages`, on small word lists of its own."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from experiments.routers.checkpoints import read_checkpoint
from experiments.routers.domain_head import from_arrays
from experiments.routers.features import featurise
from experiments.routers.language_head import look_up_pieces

LIST = """
frames: |
  Was ist {term}?
  {term} und {other}
  Hilfe bei {term}
food:
  terms: |
    Teig; Ofen; Hefe; Mehl; Kruste; Brotlaib
  prompts: |
    Wie backe ich Brot?
    Der Teig geht im Ofen nicht auf
    Welches Mehl für Hefeteig?
    Wie lange muss die Hefe ruhen?
    Brotlaib mit Kruste
general:
  terms: |
    Feier; Hochzeit; Cousine; Gerücht; Hut; Picknick
  prompts: |
    Wer kommt zur Feier?
    Meine Cousine heiratet
    Ein Gerücht über die Hochzeit
    Brauche ich einen Hut?
    Wo machen wir ein Picknick?
"""


@pytest.fixture
def words(tmp_path: Path) -> Path:
    folder = tmp_path / "words"
    folder.mkdir()
    (folder / "german.yaml").write_text(LIST, encoding="utf-8")
    return folder


def train(words: Path, out: Path) -> str:
    output = StringIO()
    arguments = (f"--words={words}", f"--out={out}")
    call_command("train_domain_languages", *arguments, stdout=output, stderr=StringIO())
    return output.getvalue()


def test_trained_head_finds_its_domains(words: Path, tmp_path: Path) -> None:
    assert "whole prompts:" in train(words, tmp_path / "out")
    checkpoint = read_checkpoint(tmp_path / "out", "domain_languages")
    head = from_arrays(checkpoint.arrays)
    assert head.names == ("food", "general")
    for text, column in (("Hefe und Mehl", 0), ("Hochzeitsfeier", 1)):
        assert head.logits(look_up_pieces(head, featurise(text))).argmax() == column


def test_manifest_says_where_it_came_from(words: Path, tmp_path: Path) -> None:
    train(words, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["kind"] == "domain_languages"
    assert manifest["data"] == {"languages": ["german"], "prompts": 46}
    assert manifest["measured"]["whole_prompts"]["n"] == 10


def test_same_seed_gives_the_same_file(words: Path, tmp_path: Path) -> None:
    train(words, tmp_path / "one")
    train(words, tmp_path / "two")
    one, two = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no word list"):
        train(tmp_path, tmp_path / "out")
