"""Which language a prompt is in, and how prompts in other languages than English are seen."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from experiments.routers.detector import LearnedDetector
from experiments.routers.domain_prompts import load_sources, load_word_lists
from experiments.routers.features import featurise
from experiments.routers.language_head import normalised, piece_keys
from experiments.routers.languages import LISTED
from experiments.routers.training.domain_languages import listed_prompts

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def shipped() -> LearnedDetector:
    return LearnedDetector.load()


def language(detector: LearnedDetector, text: str) -> str:
    return detector.head.language(featurise(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Which side effects does ibuprofen have?", "en"),
        ("Welche Nebenwirkungen hat Ibuprofen?", "de"),
        ("Was ist die beste Pizza in Neapel?", "de"),
        ("¿Qué efectos secundarios tiene?", "es"),
        ("Quels sont ses effets secondaires ?", "fr"),
        ("这个药有什么副作用", "zh"),
        ("この薬の副作用は?", "ja"),
        ("ما هي الآثار الجانبية؟", "ar"),
        ("Каковы побочные эффекты?", "other"),
        ("부작용은 무엇인가요?", "other"),
        ("Jakie są skutki uboczne ibuprofenu?", "other"),
        ("Quais são os efeitos colaterais?", "other"),
        ("Jag har haft feber i tre dagar", "other"),
        ("Como posso investir dez mil euros com pouco risco?", "other"),
        ("عوارض جانبی ایبوپروفن چیست؟", "other"),
        ("ผลข้างเคียงของไอบูโพรเฟนคืออะไร", "other"),
    ],
)
def test_language(shipped: LearnedDetector, text: str, expected: str) -> None:
    assert language(shipped, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2+2?",
        "🎉",
        "photosynthesis",
        "Is this safe?",
        "React hooks tutorial",
        "ΔG = ΔH - TΔS, calculate",
        "Translate 你好 to English please",
        "SELECT * FROM users WHERE id = 1",
        "Explain the term Schadenfreude and where it comes from",
    ],
)
def test_english_and_texts_without_words_are_english(shipped: LearnedDetector, text: str) -> None:
    assert language(shipped, text) == "en"


def test_code_does_not_hide_the_language(shipped: LearnedDetector) -> None:
    code = "```python\nfor i in the_list:  # where are they when we do this?\n    print(i)\n```"
    assert language(shipped, f"Warum ist das so langsam?\n{code}") == "de"
    assert language(shipped, f"这段代码有什么问题?\n{code}") == "zh"


def test_english_prompts_are_english(shipped: LearnedDetector) -> None:
    texts = [text for source in load_sources() for text in (*source.seed, *source.prompts)]
    others = [text for text in texts if language(shipped, text) != "en"]
    assert len(others) <= len(texts) / 500, others


def test_held_out_prompts_are_in_known_languages(shipped: LearnedDetector) -> None:
    rows = _held_out()
    found = [language(shipped, row["text"]) for row in rows]
    wrong = [row["text"] for row, name in zip(rows, found, strict=True) if name in {"en", "other"}]
    assert len(wrong) <= len(rows) / 50, wrong


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("Welche Nebenwirkungen hat Ibuprofen?", "medical"),
        ("Schilddrüsenunterfunktion Symptome", "medical"),
        ("¿Puede mi casero quedarse con la fianza?", "legal"),
        ("Quel est le rendement de cette obligation d'État ?", "financial"),
        ("写一首关于大海的诗", "creative"),
        ("Pythonで辞書を並べ替えるには?", "technical"),
        ("ما هي سرعة الضوء في الفراغ؟", "scientific"),
        ("Erstelle ein Arbeitsblatt für die 5. Klasse", "educational"),
        ("Wie koche ich Kartoffelsuppe?", "general"),
        ("おはようございます!", "general"),
        ("¿Qué visito en Sevilla en un fin de semana?", "general"),
    ],
)
def test_finds_the_subject(shipped: LearnedDetector, text: str, domain: str) -> None:
    assert shipped.candidates(featurise(text))[0].name == domain


def test_held_out_prompts_are_mostly_right(shipped: LearnedDetector) -> None:
    rows = _held_out()
    right = Counter[str]()
    for row in rows:
        found = shipped.candidates(featurise(row["text"]))[0].name
        right[row["language"]] += found == row["domain"]
    assert {name: count / 120 >= 0.85 for name, count in right.items()} == dict.fromkeys(
        LISTED, True
    )


def test_held_out_prompts_are_large_and_their_own() -> None:
    rows = _held_out()
    counts = Counter((row["language"], row["domain"]) for row in rows)
    assert len(counts) == 48
    assert min(counts.values()) >= 15
    trained = {normalised(prompt.text) for prompt in listed_prompts(load_word_lists(), 0)}
    assert [row["text"] for row in rows if normalised(row["text"]) in trained] == []


def test_word_lists_have_every_domain() -> None:
    lists = load_word_lists()
    assert len(lists) == len(LISTED)
    domains = {source.domain for source in load_sources()}
    for words in lists:
        assert set(words.terms) == set(words.prompts) == domains
        assert min(map(len, words.terms.values())) >= 60
        assert min(map(len, words.prompts.values())) >= 12


def test_an_example_in_german_moves_prompts_like_it(shipped: LearnedDetector) -> None:
    text = "Wie kalibriere ich den Zorbatron vor der Schicht?"
    examples = ("Der Zorbatron zeigt Fehler 14 an", "Welche Version braucht der Zorbatron?")
    taught = shipped.with_domains(shipped.names, {"technical": examples})
    before, after = (
        dict(detector.candidates(featurise(text)))["technical"] for detector in (shipped, taught)
    )
    assert after > before


def test_knows_language(shipped: LearnedDetector) -> None:
    assert shipped.knows_language(featurise("Wie geht es dir heute?"))
    assert not shipped.knows_language(featurise("Каковы побочные эффекты?"))


def test_inflected_words_share_pieces() -> None:
    same = np.intersect1d(piece_keys("Vertragsrecht"), piece_keys("Verträge")).size
    other = np.intersect1d(piece_keys("Vertragsrecht"), piece_keys("Husten")).size
    assert same > 5
    assert other == 0


def test_pieces_do_not_cross_words_and_ignore_order() -> None:
    assert piece_keys("rot blau").tolist() == piece_keys("Blau, ROT!").tolist()
    assert piece_keys("头痛").size == 3
    assert piece_keys("").size == 0
    assert piece_keys("12 + 3 = 15").size == 0


def _held_out() -> list[dict[str, str]]:
    path = DATA / "domain_prompts_languages.csv"
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))
