"""Small recorded outcomes in RouteLLM's layout, made up here."""

import csv
from pathlib import Path

HEADER = ("prompt", "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview")
SUBJECTS = ("algebra", "history", "law", "medicine", "physics", "zoology")


def write_csv(path: Path, rows: list[tuple[object, ...]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return path


def make_evals(root: Path, per_subject: int = 40, problems: int = 60) -> Path:
    """An evaluation folder: long questions need the strong model, short ones do not."""
    for subject in SUBJECTS:
        rows: list[tuple[object, ...]] = [HEADER]
        for i in range(per_subject):
            hard = i % 2 == 0
            rows.append((choice(subject, i, hard=hard), not hard or i % 10 == 0, i % 7 != 1))
        write_csv(root / "mmlu" / "responses" / f"mmlu_{subject}.csv", rows)
    rows = [HEADER]
    rows += [(problem(i), i % 3 == 0 and i % 4 != 0, i % 8 != 0) for i in range(problems)]
    write_csv(root / "gsm8k" / "gsm8k_responses.csv", rows)
    return root


def choice(subject: str, i: int, *, hard: bool) -> str:
    extra = " not considering the exceptions of the second kind, which statement holds" * hard
    return (
        f"In {subject}, what is item {i}{extra}?\n"
        f"A. the {subject} of {i}\nB. its opposite\nC. {i} and {i + 1}\nD. none\nAnswer:"
    )


def problem(i: int) -> str:
    more = f" She then sells {i} of them for ${i + 2} each." * (i % 3 != 0)
    return f"Ana has {i + 3} boxes with {i + 5} pens each.{more} How many pens are there in total?"
