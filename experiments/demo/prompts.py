"""The prompts of the demonstration: every template with every subject of its domain."""

from typing import NamedTuple


class PromptFrames(NamedTuple):
    """`{}` in a frame stands for a subject."""

    frames: tuple[str, ...]
    subjects: tuple[str, ...]


SOURCES = {
    "medical": PromptFrames(
        (
            "What are the usual side effects of {}?",
            "Can I drink coffee while I am treated with {}?",
            "How long does it take until {} works?",
            "My patient is 71, has kidney failure and takes {}. Which dose is safe, and what do I "
            "watch in the blood?",
            "Summarise for a nurse what to check before {} is given.",
            "The patient on {} now has a rash and fever. Give the likely diagnoses, the most "
            "dangerous first, and what would tell them apart.",
            "Which interactions between {} and blood thinners matter in practice?",
        ),
        (
            "metformin",
            "ibuprofen",
            "an ACE inhibitor",
            "insulin glargine",
            "amoxicillin",
            "levothyroxine",
            "prednisolone",
            "a beta blocker",
        ),
    ),
    "legal": PromptFrames(
        (
            "What does a clause on {} usually say?",
            "Explain {} to a tenant in three sentences.",
            "Draft a clause on {} for a contract between two companies.",
            "Is a clause on {} in standard terms valid against a consumer? Weigh both sides.",
            "Our supplier refers to {} to refuse delivery. Which arguments do we have, and which "
            "deadlines run?",
            "List what a lawyer checks first when a contract mentions {}.",
        ),
        (
            "limitation of liability",
            "force majeure",
            "termination for cause",
            "non-competition",
            "governing law",
            "indemnification",
            "assignment of rights",
            "a notice period",
        ),
    ),
    "creative": PromptFrames(
        (
            "Write a limerick about {}.",
            "Give me five titles for a short story about {}.",
            "Write the opening paragraph of a novel in which {} changes everything.",
            "Describe {} in the voice of a tired detective.",
            "Write a bedtime story about {} for a child of four.",
            "Write a sonnet about {} that never names it and turns in the ninth line.",
        ),
        (
            "a lighthouse",
            "the last train home",
            "a borrowed umbrella",
            "an old radio",
            "snow in April",
            "a chess game by post",
            "two sisters who swap jobs",
            "a dragon that is afraid of fire",
        ),
    ),
    "technical": PromptFrames(
        (
            "Write a function in {} that removes duplicates from a list.",
            "How do I read a CSV file in {}?",
            "What does this error in {} mean: index out of range?",
            "Write unit tests in {} for a function that parses dates.",
            "My {} service leaks memory under load. Plan how to find the leak without stopping it.",
            "Implement a rate limiter in {} that is safe with many threads, and explain why.",
            "Refactor this {} code so that the database is called once instead of in a loop.",
            "Compare two ways to do background jobs in {} for ten thousand jobs a minute.",
        ),
        ("Python", "Go", "TypeScript", "Rust", "Java", "Ruby", "C#", "Kotlin", "PHP"),
    ),
    "scientific": PromptFrames(
        (
            "Explain {} to a first-year student.",
            "Which experiment first showed {}?",
            "What are the open questions about {}?",
            "Derive the equation that describes {} and say where it stops holding.",
            "Design an experiment on {} with controls, and estimate how many samples it needs.",
            "Write a critical review of three competing explanations of {}.",
        ),
        (
            "photosynthesis",
            "quantum tunnelling",
            "plate tectonics",
            "gene regulation",
            "superconductivity",
            "natural selection",
            "the greenhouse effect",
            "protein folding",
        ),
    ),
    "financial": PromptFrames(
        (
            "What is {}?",
            "How does a rising interest rate change {}?",
            "Explain the risk of {} to a customer without jargon.",
            "Compute the yearly return of {} bought at 1,000 with 3 % costs after 5 years at 6 %.",
            "Build a valuation of a company that depends on {}, and say which assumption matters "
            "most.",
            "How is {} taxed for a private investor?",
            "Compare {} with a savings account for someone who retires in ten years.",
        ),
        (
            "a corporate bond",
            "an index fund",
            "a covered call",
            "a mortgage",
            "a dividend stock",
            "a pension fund",
            "a currency hedge",
            "invoice factoring",
        ),
    ),
    "educational": PromptFrames(
        (
            "Give me ten quiz questions about {} for grade six.",
            "Plan a 45 minute lesson on {}.",
            "Explain {} with an example from the kitchen.",
            "Which mistakes do pupils make with {}, and how do I respond to each?",
            "Write a worksheet on {} in three levels of difficulty.",
            "Design a project of four weeks in which a class learns {}, with a way to grade it.",
        ),
        (
            "fractions",
            "the water cycle",
            "commas",
            "the French Revolution",
            "percentages",
            "photosynthesis in school",
            "reading a map",
            "probability",
        ),
    ),
    "general": PromptFrames(
        (
            "Suggest a present for {}.",
            "Write a short thank-you note to {}.",
            "What can I cook tonight for {}?",
            "Plan a weekend in a small town with {}.",
            "I have an argument with {} about money. Help me to prepare the talk, step by step.",
            "Translate into Spanish: the train of {} is late.",
        ),
        (
            "my neighbour",
            "a colleague who leaves",
            "my grandmother",
            "six friends",
            "a child of eight",
            "my landlord",
            "an old school friend",
            "my sister",
        ),
    ),
}


def prompts() -> list[str]:
    """Every prompt, in a fixed order."""
    return [
        frame.replace("{}", subject)
        for source in SOURCES.values()
        for frame in source.frames
        for subject in source.subjects
    ]
