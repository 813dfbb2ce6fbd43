"""The classic detector: what counts as found, and which patterns are refused."""

import pytest

from experiments.core.detection import (
    Candidate,
    DomainConfig,
    InvalidDomainError,
    InvalidPatternError,
    detect,
)

MEDICAL = DomainConfig(
    "medical", ["patient", "diagnosis", "blood pressure", "drug"], [r"\bsymptom\w*", r"\bdose\b"]
)
TECHNICAL = DomainConfig("technical", ["python", "c++"], [])


def confidence(text: str, domain: DomainConfig = MEDICAL) -> float:
    return dict(detect(text, [domain])).get(domain.name, 0.0)


def test_share_of_keywords_found() -> None:
    assert detect("The patient got a drug.", [MEDICAL]) == [Candidate("medical", 0.5)]


def test_share_of_patterns_found_times_one_point_two() -> None:
    assert confidence("Which symptoms?") == 0.6


def test_the_larger_of_both_counts() -> None:
    assert confidence("patient, diagnosis, drug: symptoms") == 0.75


def test_confidence_is_capped_at_one() -> None:
    assert confidence("symptoms of this dose") == 1.0


def test_a_keyword_counts_once() -> None:
    assert confidence("patient patient patient") == 0.25


def test_case_does_not_matter() -> None:
    assert confidence("PATIENT") == 0.25
    assert confidence("SYMPTOM") == 0.6


def test_keywords_are_whole_words() -> None:
    assert confidence("patients drugged impatient") == 0.0


def test_a_phrase_is_found_across_white_space() -> None:
    assert confidence("her blood\n  pressure") == 0.25
    assert confidence("her blood pressured us") == 0.0


def test_a_keyword_may_hold_signs() -> None:
    assert confidence("I write C++.", TECHNICAL) == 0.5
    assert confidence("I write C.", TECHNICAL) == 0.0


def test_a_keyword_in_another_script() -> None:
    domain = DomainConfig("cooking", ["чай", "суп"])
    assert confidence("Как заварить ЧАЙ?", domain) == 0.5


def test_best_first_and_equals_in_the_order_given() -> None:
    first = DomainConfig("first", ["tea", "cup"])
    second = DomainConfig("second", ["tea", "pot"])
    best = DomainConfig("best", ["tea"])
    names = [candidate.name for candidate in detect("tea", [first, second, best])]
    assert names == ["best", "first", "second"]


@pytest.mark.parametrize("text", ["", "   \n", "🙂🙂🙂", "\x00\x01\x02", "\ud800", "مرحبا"])
def test_a_text_without_evidence_has_no_candidates(text: str) -> None:
    assert detect(text, [MEDICAL, TECHNICAL]) == []


def test_half_a_surrogate_pair_does_not_hide_the_rest() -> None:
    assert confidence("\ud800 symptoms") == 0.6


def test_a_hundred_thousand_characters() -> None:
    assert confidence("x" * 99_990 + " symptoms") == 0.6


def test_a_domain_without_keywords_and_patterns_is_never_found() -> None:
    assert detect("anything", [DomainConfig("empty")]) == []


def test_blank_keywords_are_ignored() -> None:
    assert confidence("tea", DomainConfig("tea", ["tea", " ", ""])) == 1.0


def test_a_slow_pattern_is_not_slow() -> None:
    # With backtracking this takes longer than a caller waits.
    domain = DomainConfig("slow", patterns=[r"(a+)+$"])
    assert confidence("a" * 5000 + "!", domain) == 0.0


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(patient", r"Domain 'x': The pattern '\(patient' does not compile: missing \)"),
        ("[z-a]", "invalid character class range"),
        ("*a", "no argument for repetition operator"),
        (r"(?=a)b", "Look-arounds and back-references are not available"),
        (r"(a)\1", "Look-arounds and back-references are not available"),
        ("  ", "would match everything"),
        ("\ud800", "not valid Unicode"),
    ],
)
def test_a_broken_pattern_is_refused_naming_what_is_wrong(pattern: str, message: str) -> None:
    with pytest.raises(InvalidPatternError, match=message):
        DomainConfig("x", patterns=[pattern])


def test_a_domain_needs_a_name() -> None:
    with pytest.raises(InvalidDomainError, match="needs a name"):
        DomainConfig(" ")


def test_a_minimum_accuracy_outside_its_scale_is_refused() -> None:
    with pytest.raises(InvalidDomainError, match="Give a number from 0 to 1"):
        DomainConfig("x", min_accuracy_score=85)


@pytest.mark.parametrize("least", [0.0, 1.0])
def test_a_minimum_accuracy_may_be_zero_or_one(least: float) -> None:
    assert DomainConfig("code", min_accuracy_score=least).min_accuracy_score == least
