"""Generated prompts as applications send them, one stream a kind. No recorded data is used.

Code, few-shot multiple choice, word problems and chat differ as much in length and wording as
recorded sets do; `mixed` draws from all of them, `drifting` moves from chat to code, and `jumping`
changes from one request to the next.
"""

from collections.abc import Callable, Iterator, Mapping
from random import Random

NOUNS = (
    *("list", "tree", "queue", "matrix", "string", "graph", "table", "interval", "cache", "file"),
    *("invoice", "sensor", "garden", "library", "ticket", "planet", "recipe", "contract", "ship"),
)
VERBS = ("sort", "merge", "count", "rotate", "validate", "compress", "split", "rank", "index")
ASPECTS = ("by length", "in place", "without recursion", "lazily", "in O(n)", "case-insensitively")
NAMES = ("Ada", "Bilal", "Chen", "Dora", "Emeka", "Fatima", "Goran", "Hana", "Ivan", "Jun")
THINGS = ("apples", "marbles", "stamps", "litres of paint", "tickets", "bricks", "seeds", "pens")
SUBJECTS = ("physics", "law", "history", "biology", "economics", "chemistry", "statistics")
TOPICS = ("cats", "my trip", "a birthday", "coffee", "the weather", "running", "my boss", "music")
FACTS = (
    "energy",
    "a treaty",
    "a cell",
    "inflation",
    "an enzyme",
    "a sample",
    "a charge",
    "a court",
)


def code(rng: Random) -> str:
    noun, verb, aspect = rng.choice(NOUNS), rng.choice(VERBS), rng.choice(ASPECTS)
    kind = rng.randrange(4)
    if kind == 0:
        return f"Write a Python function that can {verb} a {noun} {aspect}."
    body = "\n".join(
        f"    {rng.choice('abcdxyz')}{step} = {verb}({rng.choice(NOUNS)!r}, {rng.randrange(99)})"
        for step in range(rng.randrange(1, 9))
    )
    snippet = f"def {verb}_{noun}(items):\n{body}\n    return items[{rng.randrange(9)}:]"
    if kind == 1:
        return (
            f"What does this return for [{', '.join(_numbers(rng))}]?\n\n```python\n{snippet}\n```"
        )
    if kind == 2:
        return f"Explain this code and fix its bug:\n\n{snippet}"
    return f'{snippet}\n\n"""Now also {rng.choice(VERBS)} the {rng.choice(NOUNS)} {aspect}."""'


def multiple_choice(rng: Random) -> str:
    """Solved examples before the question, as benchmarks of exams ask it."""
    subject = rng.choice(SUBJECTS)
    examples = "\n\n".join(
        f"{_question(rng)}\nAnswer: {rng.choice('ABCD')}" for _ in range(rng.randrange(1, 6))
    )
    head = f"The following are multiple choice questions (with answers) about {subject}."
    return f"{head}\n\n{examples}\n\n{_question(rng)}\nAnswer:"


def word_problem(rng: Random) -> str:
    first, second = rng.sample(NAMES, 2)
    thing, have, give = rng.choice(THINGS), rng.randrange(10, 500), rng.randrange(2, 9)
    steps = [
        f"{first} has {have} {thing}.",
        f"{second} has {give} times as many.",
        *(
            f"On day {day} {rng.choice((first, second))} {rng.choice(('buys', 'loses', 'sells'))} "
            f"{rng.randrange(2, 40)} of them for ${rng.randrange(1, 20)} each."
            for day in range(1, rng.randrange(1, 7))
        ),
    ]
    return f"{' '.join(steps)} How many {thing} do they have together?"


def chat(rng: Random) -> str:
    topic = rng.choice(TOPICS)
    openings = (
        f"hey, got any ideas about {topic}?",
        f"Can you write a {rng.choice(('short', 'funny', 'sad', 'long'))} poem about {topic}",
        f"what's the best way to talk to {rng.choice(NAMES)} about {topic}",
        f"Tell me {rng.randrange(2, 12)} facts about {topic}. Keep it simple, thanks in advance!",
        f"I feel a bit tired of {topic} lately... what would you do?",
        f"Rewrite this mail so that it sounds friendlier: Dear {rng.choice(NAMES)}, {topic} again.",
        f"translate '{topic} is great' to {rng.choice(('French', 'German', 'Spanish'))}",
    )
    details = f" It is about {rng.choice(NOUNS)} and {rng.choice(NOUNS)}." * rng.randrange(4)
    return f"{rng.choice(openings)}{details}"


KINDS: Mapping[str, Callable[[Random], str]] = {
    "code": code,
    "multiple choice": multiple_choice,
    "word problems": word_problem,
    "chat": chat,
}
STREAMS = (*KINDS, "mixed", "drifting", "jumping")


def stream(name: str, count: int, seed: int) -> Iterator[str]:
    """The prompts of a stream, in the order in which they are sent."""
    rng = Random(f"{name} {seed}")
    for number in range(count):
        yield _kind(name, number / count, rng)(rng)


def _kind(name: str, done: float, rng: Random) -> Callable[[Random], str]:
    if name in KINDS:
        return KINDS[name]
    if name == "drifting":
        return code if rng.random() < done else chat
    if name == "jumping":
        return chat if done < 0.5 else multiple_choice
    return KINDS[rng.choice(list(KINDS))]


def _question(rng: Random) -> str:
    options = "\n".join(
        f"{letter}. {rng.choice(FACTS)} {rng.choice(('rises', 'falls', 'is constant', 'is void'))}"
        for letter in "ABCD"
    )
    return f"What follows if {rng.choice(FACTS)} meets {rng.choice(FACTS)}?\n{options}"


def _numbers(rng: Random) -> list[str]:
    return [str(rng.randrange(100)) for _ in range(rng.randrange(2, 12))]
