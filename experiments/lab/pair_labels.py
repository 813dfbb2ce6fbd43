"""Labels of pairs from a CSV or JSON Lines file, for teams that label elsewhere."""

from pathlib import Path

from experiments.analysis.paired import PairLabel
from experiments.routers.table_files import (
    Fields,
    OutcomesError,
    is_empty,
    read_flag,
    read_number,
    whole_rows,
)

REQUIRED = ("unit", "difference")


def read_pair_labels(path: Path) -> list[PairLabel]:
    """The labels in the file's order, which must be the order in which the pairs were drawn.

    Columns `unit,difference[,odds][,asked][,judge][,skipped]`; other columns are ignored. Empty
    cells and null mean: not known, or the default. Raises OutcomesError.
    """
    found = []
    for where, fields in whole_rows(path, REQUIRED):
        try:
            found.append(_label(fields))
        except ValueError as error:
            raise OutcomesError(f"{where}: {error}.") from error
    return found


def _label(fields: Fields) -> PairLabel:
    if is_empty(fields.get("unit")):
        raise ValueError("'unit' is empty. Name the user or conversation")
    odds, asked = read_number(fields.get("odds"), "odds"), read_number(fields.get("asked"), "asked")
    return PairLabel(
        unit=str(fields["unit"]),
        difference=read_number(fields.get("difference"), "difference"),
        odds=1.0 if odds is None else odds,
        asked=1.0 if asked is None else asked,
        judge=read_number(fields.get("judge"), "judge"),
        skipped=read_flag(fields.get("skipped"), "skipped"),
    )
