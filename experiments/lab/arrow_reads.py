"""Rows of a query as Arrow columns, without a Python object for each value.

The database writes each row as one line of text and Arrow parses the lines. Arrow's own drivers
would load a second copy of SQLite into the process, and two copies release each other's file locks:
reading the log while decisions are written could corrupt the file.

Arrow is imported by the first call, so that a process that only routes never loads it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.models import QuerySet

from experiments.analysis.off_policy.nuisance import Floats, Ints

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = 50_000
TEXT, INTEGER, FLOAT = "string", "int64", "float64"
NAME = "name"
"""A text that is one of a few: each is kept once."""
_BETWEEN, _QUOTE = "\x1f", "\x02"


def read_columns(rows: "QuerySet[Any, Any]", types: Mapping[str, str]) -> "pa.Table":
    """The columns of `types`, with names for `rows.values_list`. One query.

    Texts must not contain control characters, which separate values and rows. While the database
    writes the next lines, another thread parses the previous ones.
    """
    import pyarrow as pa  # noqa: PLC0415 - see above
    from pyarrow import csv  # noqa: PLC0415

    schema = pa.schema({column: _arrow_type(kind) for column, kind in types.items()})
    reading = csv.ReadOptions(column_names=list(types), block_size=1 << 24)
    converting = csv.ConvertOptions(column_types=schema, null_values=[""])
    parsing = csv.ParseOptions(delimiter=_BETWEEN, quote_char=_QUOTE)
    parse = partial(
        csv.read_csv, read_options=reading, parse_options=parsing, convert_options=converting
    )
    with ThreadPoolExecutor(max_workers=1) as parser:
        parsed = [
            parser.submit(parse, pa.BufferReader(text))
            for text in _texts(rows.values_list(*types), types)
        ]
    tables = [table.result() for table in parsed]
    if not tables:
        return schema.empty_table()
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def _arrow_type(kind: str) -> "pa.DataType":
    import pyarrow as pa  # noqa: PLC0415

    if kind == NAME:
        return pa.dictionary(pa.int32(), pa.string())
    return pa.type_for_alias(kind)


def numbers(column: "pa.ChunkedArray") -> Floats:
    """The column as floats, NaN if unknown."""
    filled: Floats = column.cast(FLOAT).fill_null(float("nan")).to_numpy()
    return filled


def codes(column: "pa.ChunkedArray") -> tuple[Ints, list[str]]:
    """Numbers for the texts of a NAME column, and the texts."""
    found = column.unify_dictionaries().combine_chunks()
    return found.indices.to_numpy().astype("int64"), found.dictionary.to_pylist()


def parsed_objects(column: "pa.ChunkedArray") -> "pa.Table":
    """The keys of JSON objects of numbers as columns; an empty text is an empty object."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import compute, json  # noqa: PLC0415

    text = compute.if_else(compute.equal(column, ""), "{}", column)
    lines = compute.binary_join_element_wise(text, "", "\n").combine_chunks()
    if not len(lines) or compute.all(compute.equal(text, "{}")).as_py():
        return pa.table({})
    reading = json.ReadOptions(block_size=1 << 24)
    return json.read_json(pa.BufferReader(lines.buffers()[2]), reading)


def _texts(rows: "QuerySet[Any, Any]", types: Mapping[str, str]) -> Iterator[bytes]:
    sql, params = rows.query.sql_with_params()
    names = ", ".join(map(connection.ops.quote_name, types))
    is_sqlite = connection.vendor == "sqlite"
    line = _BETWEEN.join(
        # SQLite's %s leaves two digits of a float out; PostgreSQL knows no other format.
        "%!.17g" if is_sqlite and kind == FLOAT else "%s"
        for kind in types.values()
    )
    join = "printf" if is_sqlite else "format"
    with connection.cursor() as cursor:
        # Names of our own columns, and the query's own SQL with its parameters.
        wrapped = f"SELECT {join}(%s, {names}) FROM ({sql}) AS found"  # noqa: S608
        cursor.execute(wrapped, (line, *params))
        for lines in _fetched(cursor.fetchmany):
            yield "\n".join(chain.from_iterable(lines)).encode()


def _fetched(fetch: Callable[[int], Sequence[tuple[str]]]) -> Iterator[Sequence[tuple[str]]]:
    while rows := fetch(CHUNK):
        yield rows
