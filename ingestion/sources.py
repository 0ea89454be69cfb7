"""The records that loading hands around: what is declared, what arrived, what came of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

#: Part of every declaration hash: raise it when the same file would be loaded differently.
LOADER_VERSION = 3

FormatType = Literal["csv", "json", "ndjson", "parquet"]
Compression = Literal["auto", "none", "gzip", "zstd"]
Mode = Literal["append", "upsert", "snapshot"]


class IngestionError(Exception):
    """Something that a user can put right; its text says what and how, without personal data."""


class FetchError(IngestionError):
    """A table's files could not be found or brought here."""


class LoadError(IngestionError):
    """A file that is here cannot be loaded."""


@dataclass(frozen=True)
class Column:
    """A declared column: its DuckDB type and how its text reads.

    `formats` are strptime formats, tried in order; `aliases` are other names that the file may
    give the column; a row without a value in a `required` column is quarantined.
    """

    name: str
    data_type: str
    aliases: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    required: bool = False
    line: int | None = None


@dataclass(frozen=True)
class Format:
    """How a file is written.

    With an empty `quote` a delimiter always separates; `records` is the dotted path to the array
    inside a JSON document.
    """

    type: FormatType = "csv"
    delimiter: str = ","
    quote: str = '"'
    header: bool = True
    encoding: str = "utf-8"
    encoding_fallback: str | None = None
    compression: Compression = "auto"
    records: str | None = None


@dataclass(frozen=True)
class Cursor:
    """The column that grows with every change, and how far behind its greatest value to begin.

    `lookback` is a time for a column of times and a number for a column of numbers: rows that were
    written late are still found.
    """

    column: str
    lookback: timedelta | int = 0


@dataclass(frozen=True)
class Partition:
    """Files that come in time: one for each hour, day, week or month from `start` on (UTC)."""

    every: str
    start: datetime


@dataclass(frozen=True)
class Ingest:
    """How a table's files are found, read and put together. `options` are the connector's own."""

    connector: str
    location: str
    format: Format = field(default_factory=Format)
    key: tuple[str, ...] = ()
    newest_by: str | None = None
    mode: Mode = "append"
    connection: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    cursor: Cursor | None = None
    schedule: str | None = None
    partition: Partition | None = None
    watch: bool = False


@dataclass(frozen=True)
class SourceTable:
    """One declared table. `ingest` is None when its block has a problem: it is made, not loaded."""

    source: str
    name: str
    schema: str
    path: Path
    line: int | None
    columns: tuple[Column, ...]
    ingest: Ingest | None

    @property
    def declaration_hash(self) -> str:
        """A hash of all that decides how a file's bytes become rows (not of where they are)."""
        parts: dict[str, object] = {"version": LOADER_VERSION}
        parts["columns"] = [
            {key: value for key, value in asdict(column).items() if key != "line"}
            for column in self.columns
        ]
        if self.ingest is not None:
            parts |= {
                "format": asdict(self.ingest.format),
                "key": self.ingest.key,
                "newest_by": self.ingest.newest_by,
                "snapshot": self.ingest.mode == "snapshot",
            }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Problem:
    """Something wrong with a declaration: where it is and what to do about it."""

    source: str
    table: str
    path: Path
    line: int | None
    message: str

    def __str__(self) -> str:
        """`file:line: source.table: message`, with the file's name only."""
        where = self.path.name if self.line is None else f"{self.path.name}:{self.line}"
        return f"{where}: {'.'.join(p for p in (self.source, self.table) if p)}: {self.message}"


@dataclass(frozen=True)
class Declarations:
    """Every table that is ours to load, and what is wrong with what was declared."""

    tables: tuple[SourceTable, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Arrival:
    """A file that is here now (`path`), and the stable name of where it came from (`origin`).

    With an `error` it is not here, and that text says why; the others still load. `is_whole` says
    that it is all there is of a table otherwise brought piece by piece: the pieces go.
    """

    path: Path
    origin: str
    error: str | None = None
    is_whole: bool = False


@dataclass(frozen=True)
class LoadResult:
    """What came of one arrival. rows_read = rows_loaded + rows_duplicate + rows_quarantined.

    `new_columns` are the undeclared columns that no load of this table saw before.
    """

    load_id: str
    source: str
    table_name: str
    origin: str
    status: Literal["loaded", "failed", "unchanged"]
    rows_read: int = 0
    rows_loaded: int = 0
    rows_duplicate: int = 0
    rows_quarantined: int = 0
    error: str | None = None
    new_columns: tuple[str, ...] = ()
