"""Reading a database's tables and queries in Arrow batches: one module an engine, found by name.

Each offers `extract(request) -> Extract`; memory stays the same for a result of any size.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, cast
from urllib.parse import SplitResult

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.sources import FetchError

CONNECT_SECONDS = 10
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`")


@dataclass(frozen=True)
class Request:
    """What to read: `table` (its dotted name) or `query`, and if given, rows with `column >= start`
    and `column < end`.

    `start` and `end` are the texts of values of that column. `url` says where (without a password).
    `seconds` is how long the database may take to answer. Columns in `as_text` come as the
    database writes them.
    """

    url: SplitResult
    password: str | None
    root: Path
    table: str | None
    query: str | None
    column: str | None = None
    start: str | None = None
    end: str | None = None
    seconds: int = 3600
    as_text: frozenset[str] = frozenset()


class OutOfRangeError(Exception):
    """Columns have values that Arrow's type for them cannot hold: they have to come as text."""

    def __init__(self, columns: Iterable[str]) -> None:
        super().__init__(", ".join(columns))
        self.columns = frozenset(columns)


@dataclass(frozen=True)
class Batches:
    """A result as it streams in."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


class Engine(Protocol):
    """What an engine's module offers."""

    def read(self, request: Request) -> AbstractContextManager[Batches]:
        """Open, run and close. Raises FetchError."""


def get(name: str) -> Engine:
    """The engine of that name. Raises FetchError naming the package that it needs."""
    try:
        return cast(Engine, importlib.import_module(f"{__name__}.{name}"))
    except ModuleNotFoundError as error:
        raise FetchError(
            f"reading from {name} needs the Python package {error.name}, which is not installed: "
            f"`pip install 'mainstem[{name}]'`"
        ) from None


def write(request: Request, engine: str, path: Path) -> int:
    """Write the result as a Parquet file that appears by rename; returns its rows.

    Begins again where a column turns out to need text, which happens once a column.
    """
    while True:
        try:
            return _write(request, engine, path)
        except OutOfRangeError as found:
            if found.columns <= request.as_text:
                raise
            request = replace(request, as_text=request.as_text | found.columns)


def _write(request: Request, engine: str, path: Path) -> int:
    rows = 0
    partial = path.with_name(f".{path.name}.partial")
    with (
        get(engine).read(request) as result,
        pq.ParquetWriter(partial, result.schema, compression="zstd") as writer,
    ):
        for batch in result.batches:
            writer.write_batch(batch)
            rows += batch.num_rows
    partial.replace(path)
    return rows


def selection(
    request: Request,
    quote: str,
    literal: Callable[[str], str],
    comparable: Callable[[str], str] = str,
) -> str:
    """SQL: the table or the query, from the start on and up to the end.

    `literal` makes SQL of a bound, its value or a mark; `comparable` of what is compared.
    """
    if request.table is not None:
        parts = request.table.split(".")
        relation = ".".join(f"{quote}{part.replace(quote, quote * 2)}{quote}" for part in parts)
    else:
        query = str(request.query).strip().rstrip(";")
        relation = f"(\n{query}\n) as extracted"
    sql = f"select * from {relation}"
    if request.column is not None:
        column = comparable(f"{quote}{request.column.replace(quote, quote * 2)}{quote}")
        limits = ((">=", request.start), ("<", request.end))
        conditions = [
            f"{column} {sign} {comparable(literal(bound))}"
            for sign, bound in limits
            if bound is not None
        ]
        sql += f" where {' and '.join(conditions)}"
    return sql


def said(text: str, request: Request) -> str:
    """The first line of a database's message, without the password and without quoted values."""
    line = text.strip().splitlines()[0] if text.strip() else "no message"
    if request.password:
        line = line.replace(request.password, "…")
    return _QUOTED.sub("…", line)
