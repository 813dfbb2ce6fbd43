"""The seeded domains and models fit each other, and the classic detector finds the obvious."""

import pytest
from genai_prices import Usage, calc_price

from experiments.core.catalog import Model
from experiments.core.detection import DomainConfig, detect
from experiments.core.domains import GENERAL_DOMAIN, SEEDED_DOMAINS
from experiments.core.seeded_models import SEEDED_MODELS, SEEDED_STRONG, SEEDED_WEAK
from experiments.core.selection import criteria_for_domain, select

MODEL_NAMES = {model.name for model in SEEDED_MODELS}
DOMAINS = [*SEEDED_DOMAINS, GENERAL_DOMAIN]
PRICE_PROVIDERS = {"gemini": "google", "xai": "x-ai"}


def test_the_seven_domains() -> None:
    assert [domain.name for domain in SEEDED_DOMAINS] == [
        "medical",
        "legal",
        "creative",
        "technical",
        "scientific",
        "financial",
        "educational",
    ]


def test_medical_answers_need_hipaa() -> None:
    needing = {
        d.name: tuple(d.required_certifications) for d in DOMAINS if d.required_certifications
    }
    assert needing == {"medical": ("HIPAA",)}


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_every_domain_finds_a_preferred_model_that_meets_all_it_needs(domain: DomainConfig) -> None:
    selection = select(SEEDED_MODELS, criteria_for_domain(domain))
    assert selection.model.name in domain.preferred_models
    assert selection.relaxed == ()


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_preferred_models_are_in_the_catalogue(domain: DomainConfig) -> None:
    assert set(domain.preferred_models) <= MODEL_NAMES


def test_the_seeded_pair_is_in_the_catalogue_and_the_strong_one_is_better() -> None:
    accuracy = {model.name: model.capabilities.accuracy_score for model in SEEDED_MODELS}
    assert accuracy[SEEDED_STRONG] > accuracy[SEEDED_WEAK]


@pytest.mark.parametrize("model", SEEDED_MODELS, ids=lambda model: model.name)
def test_every_seeded_model_has_a_price(model: Model) -> None:
    provider, _, name = model.name.partition("/")
    usage = Usage(input_tokens=1000, output_tokens=1000)
    price = calc_price(usage, name, provider_id=PRICE_PROVIDERS.get(provider, provider))
    assert price.total_price > 0


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("The patient has chest pain and shortness of breath. Likely diagnosis?", "medical"),
        ("What are the side effects of ibuprofen?", "medical"),
        ("Review this contract clause for liability.", "legal"),
        ("Can my landlord evict me without going to court?", "legal"),
        ("Write a short story about a lighthouse keeper.", "creative"),
        ("Compose a haiku on autumn rain", "creative"),
        ("Debug this Python function that queries the database.", "technical"),
        ("How do I deploy a Docker image to Kubernetes?", "technical"),
        ("Derive the equation for the kinetic energy of an electron.", "scientific"),
        ("Design an experiment to test this hypothesis on gravity.", "scientific"),
        ("Should my portfolio hold more bonds while interest rates rise?", "financial"),
        ("Prepare a cash flow budget and estimate the profit.", "financial"),
        ("Make a lesson plan on fractions for my students.", "educational"),
        ("Write a quiz and a rubric for my classroom.", "educational"),
    ],
)
def test_obvious_prompts_are_detected(text: str, domain: str) -> None:
    best = detect(text, SEEDED_DOMAINS)[0]
    assert best.name == domain
    assert best.confidence >= 0.3


@pytest.mark.parametrize("text", ["hello there", "What's the capital of Peru?", "Plan my weekend"])
def test_small_talk_is_of_no_domain(text: str) -> None:
    assert [c for c in detect(text, SEEDED_DOMAINS) if c.confidence >= 0.3] == []
