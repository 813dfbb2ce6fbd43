"""Evaluates a domain detector on labeled prompts from a file."""

from collections.abc import Callable, Mapping, Sequence
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
from experiments.routers.table_files import Fields, OutcomesError, whole_rows

CLASSIC_DETECTOR, LEARNED_DETECTOR = "classic", "learned"

Candidates = Callable[[str], Sequence[Candidate]]


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
    """A file with the columns ``text,domain``, and optionally ``also`` (other domains that are
    accepted, separated by ``|``) and ``language``. Other columns are ignored.

    Raises ``OutcomesError``.
    """
    prompts = [_labelled(where, row) for where, row in whole_rows(path, ("text", "domain"))]
    if not prompts:
        raise OutcomesError(f"{path} has no prompt. It needs a row below its header.")
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


def _labelled(where: str, row: Fields) -> LabelledPrompt:
    if not row.get("domain"):
        raise OutcomesError(f"{where}: no domain. Give one, or `general` for none.")
    also = frozenset(filter(None, map(str.strip, (row.get("also") or "").split("|"))))
    language = (row.get("language") or "").strip()
    return LabelledPrompt(row["text"], row["domain"].strip(), also, language)
