"""SQLite files: read-only, in one transaction, in batches.

SQLite types values, not columns: a first pass asks which types a column really has. One that mixes
them comes as text, exactly as written, and loading casts it to what is declared.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pyarrow as pa

from ingestion.extraction import Batches, Request, said, selection
from ingestion.sources import FetchError

ROWS = 50_000
_KINDS = ("integer", "real", "text", "blob")


@contextmanager
def read(request: Request) -> Iterator[Batches]:
    """The result in batches of 50,000 rows."""
    path = request.root / location(request)
    if not path.is_file():
        raise FetchError(
            f"`connection.url`: there is no SQLite file {location(request)}; a relative path "
            "(three slashes) is seen from the project's root"
        )
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=60)) as con:
            con.isolation_level = None
            con.execute("begin")
            parameters = [] if request.start is None else [_value(request.start)]
            sql = selection(request, '"', None if request.start is None else "?")
            cursor = con.execute(sql, parameters)
            names = [column[0] for column in cursor.description]
            cursor.close()
            schema = pa.schema(list(zip(names, _types(con, sql, parameters, names), strict=True)))
            yield Batches(schema, _batches(con.execute(sql, parameters), schema))
    except sqlite3.Error as error:
        raise FetchError(
            f"SQLite refuses ({said(str(error), request)}): check `table` or `query`, and that the "
            "file is whole"
        ) from None


def location(request: Request) -> Path:
    """The path in `sqlite:///relative` or `sqlite:////absolute`."""
    return Path(request.url.path.removeprefix("/"))


def _value(start: str) -> str | int | float:
    """A cursor's text as SQLite compares it: a number is less than any text."""
    for kind in (int, float):
        try:
            return kind(start)
        except ValueError:
            continue
    return start


def _types(
    con: sqlite3.Connection, sql: str, parameters: list[str | int | float], names: list[str]
) -> list[pa.DataType]:
    asked = ", ".join(
        f"max(typeof({_quoted(name)}) = '{kind}')" for name in names for kind in _KINDS
    )
    (flags,) = con.execute(f"select {asked} from ({sql})", parameters).fetchall()
    found = []
    for i in range(len(names)):
        present = {
            kind for kind, flag in zip(_KINDS, flags[4 * i : 4 * i + 4], strict=True) if flag
        }
        only = present.pop() if len(present) == 1 else "text"
        types = {"integer": pa.int64(), "real": pa.float64(), "blob": pa.binary()}
        found.append(types.get(only, pa.string()))
    return found


def _batches(cursor: sqlite3.Cursor, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    while rows := cursor.fetchmany(ROWS):
        arrays = [
            pa.array([_text(v) for v in values] if pa.types.is_string(kind) else values, kind)
            for values, kind in zip(zip(*rows, strict=True), schema.types, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.hex() if isinstance(value, bytes) else str(value)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
