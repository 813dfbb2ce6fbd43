"""Values of the Python API that also read like a mapping."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any


class Record(Mapping[str, Any]):
    """Base of dataclasses: `report.total_requests`, `report["total_requests"]` and
    `dict(report)` all work, so a report can be logged or sent as JSON unchanged. Give them
    `eq=False`: they equal any mapping with the same items."""

    def __getitem__(self, name: str) -> Any:
        if name not in self._names():
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> tuple[str, ...]:
        return tuple(field.name for field in fields(self))  # type: ignore[arg-type]
