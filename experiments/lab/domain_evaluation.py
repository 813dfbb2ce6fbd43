"""Evaluates a domain detector on labeled prompts from a CSV file."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import NamedTuple

from experiments.analysis.routing.detection import DetectionQuality, detection_quality
from experiments.core.detection import Candidate, DomainConfig, detect
from experiments.core.domains import GENERAL_DOMAIN, SEEDED_DOMAINS
from experiments.core.policy import Policy
from experiments.core.selection import GENERAL
from experiments.routers.detector import LearnedDetector, example_prompts
from experiments.routers.features import featurise

CLASSIC_DETECTOR, LEARNED_DETECTOR = "classic", "learned"

Candidates = Callable[[str], Sequence[Candidate]]


class LabelledPromptsError(ValueError):
    """The file cannot be read as labelled prompts; the message says where and what to change."""


class LabelledPrompt(NamedTuple):
    """`also` are other domains that a person would accept."""

    text: str
    domain: str
    also: frozenset[str] = frozenset()
    language: str = ""


class DetectorQuality(NamedTuple):
    """`lenient` is the share found in the domain or in another accepted one."""

    strict: DetectionQuality
    lenient: float
    by_language: Mapping[str, float]


class DetectedDomain(NamedTuple):
    """A domain to detect: its keywords and patterns, its examples, and its minimum."""

    config: DomainConfig
    examples: tuple[str, ...]
    min_confidence: float


def seeded_domains() -> list[DetectedDomain]:
    """The domains of a new installation."""
    examples = example_prompts()
    return [
        DetectedDomain(config, examples[config.name], 0.0)
        for config in (*SEEDED_DOMAINS, GENERAL_DOMAIN)
    ]


def configured_domains(policy: Policy) -> list[DetectedDomain]:
    examples = policy.detection.examples
    return [
        DetectedDomain(domain.config, examples.get(name, ()), domain.min_confidence)
        for name, domain in policy.domains.items()
    ]


def read_labelled_prompts(path: Path) -> list[LabelledPrompt]:
    """A CSV file with the columns ``text,domain``, and maybe ``also`` (other domains that are
    accepted, separated by ``|``) and ``language``. Other columns are ignored.

    Raises ``LabelledPromptsError``.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            prompts = list(_rows(csv.DictReader(lines), path))
    except OSError as error:
        raise LabelledPromptsError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise LabelledPromptsError(f"{path} is not UTF-8 text. Save it as UTF-8.") from error
    except csv.Error as error:
        raise LabelledPromptsError(f"{path} is not a CSV file: {error}.") from error
    if not prompts:
        raise LabelledPromptsError(f"{path} has no prompt. It needs a row below its header.")
    return prompts


def evaluate_detector(
    detector: str, domains: Sequence[DetectedDomain], prompts: Sequence[LabelledPrompt]
) -> DetectorQuality:
    """As decisions do it: the best candidate that reaches its domain's minimum, else general.

    `prompts` must not be empty.
    """
    candidates = _learned(domains) if detector == LEARNED_DETECTOR else _classic(domains)
    minimum = {domain.config.name: domain.min_confidence for domain in domains}

    def find(text: str) -> str:
        best = next(iter(candidates(text)), Candidate(GENERAL, 0.0))
        return best.name if best.confidence >= minimum.get(best.name, 0.0) else GENERAL

    found = [find(prompt.text) for prompt in prompts]
    accepted = [
        name in {prompt.domain, *prompt.also} for prompt, name in zip(prompts, found, strict=True)
    ]
    strict = detection_quality([prompt.domain for prompt in prompts], found)
    return DetectorQuality(strict, sum(accepted) / len(accepted), _by_language(prompts, found))


def _by_language(prompts: Sequence[LabelledPrompt], found: Sequence[str]) -> dict[str, float]:
    right = [prompt.domain == name for prompt, name in zip(prompts, found, strict=True)]
    languages = [prompt.language for prompt in prompts]
    return {
        language: sum(compress(right, (other == language for other in languages)))
        / languages.count(language)
        for language in sorted(set(languages) - {""})
    }


def _learned(domains: Sequence[DetectedDomain]) -> Candidates:
    examples = {domain.config.name: domain.examples for domain in domains}
    detector = LearnedDetector.load().with_domains(tuple(examples), examples)
    return lambda text: detector.candidates(featurise(text))


def _classic(domains: Sequence[DetectedDomain]) -> Candidates:
    configs = [domain.config for domain in domains]
    return lambda text: detect(text, configs)


def _rows(reader: "csv.DictReader[str]", path: Path) -> Iterator[LabelledPrompt]:
    missing = [name for name in ("text", "domain") if name not in (reader.fieldnames or ())]
    if missing:
        raise LabelledPromptsError(
            f"{path}, line 1: no column {', '.join(missing)}. The header needs text,domain."
        )
    for row in reader:
        if not row["domain"]:
            raise LabelledPromptsError(
                f"{path}, line {reader.line_num}: no domain. Give one, or `general` for none."
            )
        also = frozenset(filter(None, map(str.strip, (row.get("also") or "").split("|"))))
        language = (row.get("language") or "").strip()
        yield LabelledPrompt(row["text"], row["domain"].strip(), also, language)
