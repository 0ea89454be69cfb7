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
_TYPES = {
    "integer": pa.int64(),
    "real": pa.float64(),
    "text": pa.string(),
    "blob": pa.binary(),
}


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
            parameters = [_value(b) for b in (request.start, request.end) if b is not None]
            # A window's times are compared as such, however they are written.
            comparable = str if request.end is None else "julianday({})".format
            sql = selection(request, '"', lambda _: "?", comparable)
            cursor = con.execute(sql, parameters)
            names = [column[0] for column in cursor.description]
            cursor.close()
            types = _types(con, sql, parameters, names)
            schema = pa.schema([(n, kind) for n, (kind, _) in zip(names, types, strict=True)])
            mixed = [is_mixed for _, is_mixed in types]
            yield Batches(schema, _batches(con.execute(sql, parameters), schema, mixed))
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
) -> list[tuple[pa.DataType, bool]]:
    """Each column's type, and whether its values are of several and have to become text."""
    asked = ", ".join(f"group_concat(distinct typeof({_quoted(name)}))" for name in names)
    (found,) = con.execute(f"select {asked} from ({sql})", parameters).fetchall()
    types = []
    for kinds in found:
        present = sorted(set((kinds or "null").split(",")) - {"null"})
        mixed = len(present) > 1
        only = "text" if mixed or not present else present[0]
        types.append((_TYPES[only], mixed))
    return types


def _batches(
    cursor: sqlite3.Cursor, schema: pa.Schema, mixed: list[bool]
) -> Iterator[pa.RecordBatch]:
    while rows := cursor.fetchmany(ROWS):
        columns = zip(zip(*rows, strict=True), schema.types, mixed, strict=True)
        arrays = [
            pa.array([_text(v) for v in values] if is_mixed else values, kind)
            for values, kind, is_mixed in columns
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.hex() if isinstance(value, bytes) else str(value)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
