"""Streams the filtered decisions as CSV or Parquet, with times in UTC and money in dollars.

The prompt's text is never exported, and units only as their stored hash. Arrow is imported with
the first Parquet file, so that a process that only routes never loads it.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from experiments.core.money import usd
from experiments.dashboards import decision_filters
from experiments.dashboards.pages import page
from experiments.decisions.queries import every_decision

if TYPE_CHECKING:
    import pyarrow as pa

TEXT, INTEGER, FLOAT, TIME, MONEY = "string", "int64", "float64", "time", "money"
COLUMNS = {
    "id": TEXT,
    "created_at": TIME,
    "domain": TEXT,
    "confidence": FLOAT,
    "model": TEXT,
    "intended_model": TEXT,
    "tier": TEXT,
    "method": TEXT,
    "reason": TEXT,
    "fallback": TEXT,
    "router": TEXT,
    "score": FLOAT,
    "threshold": FLOAT,
    "experiment": TEXT,
    "arm": TEXT,
    "phase": INTEGER,
    "revision": INTEGER,
    "unit_hash": TEXT,
    "propensity": FLOAT,
    "input_tokens": INTEGER,
    "cost": MONEY,
    "cost_strong": MONEY,
    "cost_weak": MONEY,
    "cost_baseline": MONEY,
    "latency_us": INTEGER,
}
MONEYS = {name for name, kind in COLUMNS.items() if kind == MONEY}
HEADINGS = tuple(f"{name}_usd" if name in MONEYS else name for name in COLUMNS)
Chunks = Iterable[list[tuple[Any, ...]]]


@page()
def as_csv(request: HttpRequest) -> StreamingHttpResponse:
    return _download(_csv(_chunks(request)), "text/csv; charset=utf-8", "decisions.csv")


@page()
def as_parquet(request: HttpRequest) -> StreamingHttpResponse:
    kind = "application/vnd.apache.parquet"
    return _download(_parquet(_chunks(request)), kind, "decisions.parquet")


def _chunks(request: HttpRequest) -> Chunks:
    wanted = decision_filters.read(request.GET).wanted(timezone.now())
    return every_decision(wanted, tuple(COLUMNS))


def _download(parts: Iterator[bytes], kind: str, name: str) -> StreamingHttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(parts, content_type=kind, headers=headers)


def _csv(chunks: Chunks) -> Iterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(HEADINGS)
    yield _taken(buffer)
    for chunk in chunks:
        writer.writerows(
            [_word(name, value) for name, value in zip(COLUMNS, row, strict=True)] for row in chunk
        )
        yield _taken(buffer)


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()


def _word(name: str, value: Any) -> Any:
    """Text that a spreadsheet would run as a formula starts with an apostrophe."""
    if value is None:
        return ""
    if name in MONEYS:
        return usd(value)
    if name == "created_at":
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t")):
        return f"'{value}"
    return value


def _parquet(chunks: Chunks) -> Iterator[bytes]:
    """One row group per chunk, sent as soon as it is written."""
    import pyarrow as pa  # noqa: PLC0415 - see above
    from pyarrow import parquet  # noqa: PLC0415

    sink, schema = _Sink(), _schema()
    file = pa.PythonFile(sink, mode="w")
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for chunk in chunks:
            writer.write_table(_table(chunk, schema))
            yield sink.taken()
    yield sink.taken()


def _schema() -> "pa.Schema":
    import pyarrow as pa  # noqa: PLC0415

    types = {
        TIME: pa.timestamp("us", tz="UTC"),
        MONEY: pa.decimal128(18, 9),  # nano-dollars fit: nine digits after the point
    }
    kinds = [types.get(kind) or pa.type_for_alias(kind) for kind in COLUMNS.values()]
    return pa.schema(list(zip(HEADINGS, kinds, strict=True)))


def _table(chunk: list[tuple[Any, ...]], schema: "pa.Schema") -> "pa.Table":
    import pyarrow as pa  # noqa: PLC0415

    columns = zip(*chunk, strict=True)
    arrays = [
        pa.array([_value(name, value) for value in column], type=kind)
        for name, column, kind in zip(COLUMNS, columns, schema.types, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in MONEYS:
        return Decimal(value).scaleb(-9)
    return str(value) if name == "id" else value


class _Sink(io.RawIOBase):
    """Collects written bytes until they are taken."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
