"""Rejects phrases and names that the project no longer uses; `make lint` runs it.

Phrases are searched for in every text file, in identifiers and file names too, and old names in
Python alone. A line in `ALLOWED` needs a reason.
"""

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

# A phrase, and what to write instead.
PHRASES = {
    "told": "say, state, report",
    "beside": "next to, compared with",
    "nobody": "no one; name who does not",
    "somebody": "someone; name who",
    "anybody": "anyone; name who",
    "whoever": "name who",
    "anew": "again",
    "those there are": "known, available",
    "stands? on": "uses, depends on",
    "has it answered": "answered by",
    "keeps? the books": "updates the totals",
    "of one mind": "consistent",
    "makes? no sense": "state the permitted range",
    "coins?": "random router, random baseline",
    "dearer": "more expensive",
    "dearest": "most expensive",
    "left alone": "circuit breaker open; unchanged",
    "knows? both": "oracle",
    "patiently": "timeouts",
    "meanwhile": "in the meantime; state when",
    "as the system": "system",
    "roads? not taken": "alternatives",
    "hitherto": "so far",
    "henceforth": "from now on",
    "whence": "from where",
    "thereof": "its, of it",
}

# A name that was replaced, and its successor; see docs/glossary.md.
NAMES = {
    "Crowds": "ConcurrencyLimiter",
    "Places": "HostSlots",
    "Desk": "DatabaseWorker",
    "Exchange": "CallExecution",
    "Door": "ProviderClient",
    "Surroundings": "SharedClients",
    "Asides": "InternalClient",
    "Ear": "ResponseAccumulator",
    "Listener": "ShadowRecorder",
    "Overheard": "ShadowCandidate",
    "HungUpError": "ClientDisconnected",
    "Who": "Principal",
    "Wish": "RequestedModel",
    "asking_as": "call_factory",
    "Books": "RunningTotals",
    "Ledger": "CounterBuffer",
    "Circumstances": "DecisionMetadata",
    "Situation": "DecisionInputs",
    "Course": "FallbackPlan",
    "Needs": "Requirements",
    "unfit": "ineligible_models",
    "Facts": "DecisionView",
    "Station": "ExplanationStep",
    "CLASSIC": "DOMAIN_SELECTOR",
    "Charge": "Reservation",
    "Standing": "QuotaStatus",
    "Entrant": "RouterScores",
    "Contestant": "MultiModelScores",
    "Beside": "PairedDifference",
    "Several": "MultiModelResult",
    "Study": "PhaseData",
    "Held": "QualityStatus",
    "CoinLine": "RandomBaseline",
    "Told": "Note",
    "Said": "Headline",
    "go_on": "advance",
    "WORKS": "TASKS",
    "AnswerFirst": "ConfirmationRequired",
}


class Allowed(NamedTuple):
    """A permitted use: in files that match `path`, `phrase`."""

    path: str
    phrase: str
    reason: str


ALLOWED = (
    Allowed("scripts/check_english.py", "*", "the list itself"),
    Allowed("tests/test_english.py", "*", "proves that the check finds them"),
    Allowed("experiments/fixtures/domain_prompts/*", "*", "prompts as users write them"),
    Allowed("benchmarks/results/*", "*", "addresses that were measured"),
    Allowed("benchmarks/pages.py", "nobody", "an address that was measured"),
    Allowed("docs/glossary.md", "coin", "a synonym that readers search for"),
    Allowed("CHANGELOG.md", "*", "the history of released versions is not rewritten"),
    Allowed("experiments/routers/checkpoints/*", "*", "words that models know"),
    Allowed("experiments/routers/training/*.csv", "*", "prompts as users write them"),
    Allowed("tests/data/*", "*", "prompts as users write them"),
    Allowed("tests/python_api/test_domain_router.py", "somebody", "a prompt as users write it"),
    Allowed("tests/storage/pgbouncer.py", "nobody", "a user of the operating system"),
    Allowed("experiments/migrations/*", "*", "applied migrations do not change"),
)

BINARY = (".png", ".ico", ".woff2", ".safetensors", ".npz", ".npy", ".gz", ".pdf", ".parquet")
_PHRASE = re.compile(
    r"(?<![a-z])(?:" + "|".join(f"({phrase})" for phrase in PHRASES) + r")(?![a-z])",
    re.IGNORECASE,
)
_INSTEAD = tuple(PHRASES.values())


class Found(NamedTuple):
    """One phrase or old name: where, and what to write instead."""

    path: str
    line: int
    text: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: “{self.text}”: {self.instead}"


def check(path: str, text: str) -> Iterator[Found]:
    """What to change in one file; `path` decides what is allowed and whether it is Python."""
    for number, line in enumerate([path, *text.splitlines()]):
        for match in _PHRASE.finditer(line):
            if not _allowed(path, match[0].lower()):
                yield Found(path, number, match[0], _INSTEAD[(match.lastindex or 1) - 1])
    if path.endswith(".py"):
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            name = token.string
            if token.type == tokenize.NAME and name in NAMES and not _allowed(path, name):
                yield Found(path, token.start[0], name, NAMES[name])


def _allowed(path: str, found: str) -> bool:
    return any(fnmatch(path, one.path) and one.phrase in ("*", found) for one in ALLOWED)


def texts() -> Iterator[tuple[str, str]]:
    """Path and content of every text file under version control."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for path in filter(None, listed.stdout.split("\0")):
        if not path.endswith(BINARY) and (ROOT / path).is_file():
            yield path, (ROOT / path).read_text(errors="replace")


def main() -> int:
    """Print what to change; 1 if anything."""
    found = [one for path, text in texts() for one in check(path, text)]
    for one in found:
        print(one)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
