"""The domains of a new installation. `seed` and the Python API use the same ones.

Each has three patterns, so a single match gives confidence 0.4, which is enough for detection.
Operators edit these as rows; an installation does not read this module after the seed.
"""

from experiments.core.detection import DomainConfig
from experiments.core.selection import GENERAL

MEDICAL = DomainConfig(
    name="medical",
    keywords=(
        "patient",
        "symptoms",
        "diagnosis",
        "treatment",
        "disease",
        "medication",
        "doctor",
        "clinical",
        "hospital",
        "surgery",
        "blood pressure",
        "side effects",
    ),
    patterns=(
        r"\b(patients?|symptoms?|diagnos\w+|prognosis|treatments?|therap(y|ies)|physicians?)\b",
        r"\b(blood pressure|heart (attack|rate|failure|disease)|chest pain|diabet\w+|cancer|"
        r"tumou?rs?|infections?|fever|asthma|allerg\w+|pregnan\w+|headaches?)\b",
        r"\b(medications?|dosages?|prescri(be|bed|ption|ptions)|side effects?|vaccin\w+|"
        r"antibiotics?|surg(ery|ical)|clinical|ibuprofen|insulin)\b",
    ),
    preferred_models=(
        "openai/gpt-4.1",
        "anthropic/claude-sonnet-5-5",
        "anthropic/claude-opus-5-5",
    ),
    required_capabilities=("reasoning",),
    required_certifications=("HIPAA",),
    min_accuracy_score=0.9,
)

LEGAL = DomainConfig(
    name="legal",
    keywords=(
        "contract",
        "clause",
        "liability",
        "lawsuit",
        "court",
        "attorney",
        "lawyer",
        "statute",
        "plaintiff",
        "compliance",
        "breach of contract",
        "legal",
    ),
    patterns=(
        r"\b(contracts?|clauses?|lawsuits?|plaintiffs?|defendants?|attorneys?|lawyers?|"
        r"landlords?|tenants?|evict\w+)\b",
        r"\b(statut\w+|jurisdictions?|courts?|litigation|legal(ly)?|unlawful|felony|torts?|"
        r"negligence|constitutional)\b",
        r"\b(liab(le|ility)|copyrights?|trademarks?|patents?|gdpr|indemnif\w+|breach of|"
        r"terms of service|non-?disclosure|subpoena)\b",
    ),
    preferred_models=("openai/gpt-4.1", "anthropic/claude-opus-5-5", "openai/gpt-6-sol"),
    required_capabilities=("reasoning",),
    min_accuracy_score=0.88,
)

CREATIVE = DomainConfig(
    name="creative",
    keywords=(
        "story",
        "poem",
        "novel",
        "fiction",
        "lyrics",
        "plot",
        "protagonist",
        "dialogue",
        "screenplay",
        "haiku",
        "rhyme",
        "short story",
    ),
    patterns=(
        r"\b(write|compose|draft|create|tell|invent|continue)\b.{0,60}\b(story|stories|poem|"
        r"haiku|song|lyrics|novel|scene|limerick|sonnet|fairy ?tale|slogan|tagline)\b",
        r"\b(plot twist|protagonist|antagonist|narrator|dialogue|fiction(al)?|rhym\w+|stanzas?|"
        r"main character|world-?building)\b",
        r"\b(short story|poem|haiku|screenplay|lyrics|slogans?|taglines?|brainstorm\w*|"
        r"imagine)\b",
    ),
    preferred_models=("anthropic/claude-sonnet-5-5", "openai/gpt-4.1", "openai/gpt-4.1-mini"),
    required_capabilities=("creative_writing",),
    min_accuracy_score=0.75,
)

TECHNICAL = DomainConfig(
    name="technical",
    keywords=(
        "code",
        "python",
        "javascript",
        "sql",
        "api",
        "debug",
        "database",
        "algorithm",
        "server",
        "docker",
        "compiler",
        "unit test",
    ),
    patterns=(
        r"\b(code|coding|programming|algorithms?|debug\w*|compil(e|es|er|ing)|refactor\w*|"
        r"software|bugs?)\b",
        r"\b(python|javascript|typescript|java|rust|golang|sql|postgres\w*|html|css|linux|bash|"
        r"docker|kubernetes|react|django|git)\b|c\+\+",
        r"\b(apis?|databases?|servers?|deploy\w*|stack ?trace|exceptions?|regex\w*|json|yaml|"
        r"https?|endpoints?|unit tests?|repository|cpu|latency|encryption)\b",
    ),
    preferred_models=("anthropic/claude-sonnet-5-5", "openai/gpt-4.1", "deepseek/deepseek-v3.2"),
    required_capabilities=("code_generation",),
    min_accuracy_score=0.85,
)

SCIENTIFIC = DomainConfig(
    name="scientific",
    keywords=(
        "hypothesis",
        "experiment",
        "physics",
        "chemistry",
        "biology",
        "quantum",
        "theorem",
        "equation",
        "molecule",
        "gravity",
        "evolution",
        "dna",
    ),
    patterns=(
        r"\b(physics|chemi(cal|stry)|biolog\w+|quantum|thermodynamic\w*|astronom\w+|"
        r"genetics?|mathematic\w+)\b",
        r"\b(hypothes[ie]s|experiments?|theorems?|equations?|laborator(y|ies)|scientific|"
        r"molecul\w+|atoms?|electrons?|protons?|neutrons?)\b",
        r"\b(velocity|acceleration|gravit\w+|kinetic|photons?|dna|rna|proteins?|enzymes?|"
        r"galax(y|ies)|planets?|probabilit(y|ies)|integral|polynomials?|prime numbers?)\b",
    ),
    preferred_models=("openai/gpt-4.1", "gemini/gemini-2.5-pro", "anthropic/claude-opus-5-5"),
    required_capabilities=("reasoning",),
    min_accuracy_score=0.85,
)

FINANCIAL = DomainConfig(
    name="financial",
    keywords=(
        "investment",
        "portfolio",
        "stock",
        "dividend",
        "revenue",
        "interest rate",
        "tax",
        "budget",
        "profit",
        "inflation",
        "mortgage",
        "balance sheet",
    ),
    patterns=(
        r"\b(invest(s|ed|ing|ments?|ors?)?|portfolios?|stocks?|bonds|dividends?|shareholders?|"
        r"etfs?|hedge funds?|equity|securities)\b",
        r"\b(revenues?|profit\w*|balance sheets?|cash flow|earnings|budget\w*|accounting|"
        r"audit\w*|ledger|depreciation|ebitda|roi)\b",
        r"\b(interest rates?|loans?|mortgages?|inflation|tax(es|ation|able)?|credit|debts?|"
        r"bank(s|ing)?|gdp|monetary|fiscal|401k|marketing)\b",
    ),
    preferred_models=("openai/gpt-4.1", "anthropic/claude-sonnet-5-5", "gemini/gemini-2.5-pro"),
    required_capabilities=("reasoning",),
    min_accuracy_score=0.85,
)

EDUCATIONAL = DomainConfig(
    name="educational",
    keywords=(
        "lesson",
        "curriculum",
        "students",
        "teacher",
        "homework",
        "quiz",
        "classroom",
        "syllabus",
        "tutor",
        "worksheet",
        "learning objectives",
        "study guide",
    ),
    patterns=(
        r"\b(lesson plans?|lessons?|curricul\w+|syllabus|homework|worksheets?|quiz(zes)?|"
        r"rubrics?|classrooms?|course outline|study guides?|flash ?cards?)\b",
        r"\b(students?|pupils?|teachers?|tutor\w*|teach(es|ing)?|learners?|graders?|"
        r"kindergarten)\b",
        r"\b(explain|describe|introduce)\b.{0,80}\b((to|for) (an? |my |the )?(child|children|"
        r"kids?|beginners?|class)|\w+[ -]years?[ -]olds?)\b|\blearning (objectives?|goals?)\b",
    ),
    preferred_models=("openai/gpt-4.1-mini", "gemini/gemini-2.5-flash", "openai/gpt-4.1"),
    required_capabilities=("text_generation",),
    min_accuracy_score=0.75,
)

# In these domains a wrong answer does most harm, so routing starts switched off.
CAREFUL = frozenset({"medical", "legal", "financial"})
SEEDED_DOMAINS: tuple[DomainConfig, ...] = (
    MEDICAL,
    LEGAL,
    CREATIVE,
    TECHNICAL,
    SCIENTIFIC,
    FINANCIAL,
    EDUCATIONAL,
)

# The domain of prompts that belong to no other. It has no keywords: it is never detected.
GENERAL_DOMAIN = DomainConfig(
    name=GENERAL,
    preferred_models=(
        "openai/gpt-4.1-mini",
        "gemini/gemini-2.5-flash",
        "anthropic/claude-haiku-5-5",
    ),
)
