"""What every reader gives: a SELECT over one file, and where the declared columns are in it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ingestion.readers.shortcut import Quick
from ingestion.sources import LoadError, SourceTable
from ingestion.sql import literal

REJECTS = "ingestion_rejects"


@dataclass(frozen=True)
class Reading:
    """How to read one file.

    `names` are the file's own field names by position (CSV), for naming what was rejected;
    `first_line` is the number of the first record; `path` and `packed` are what DuckDB reads.
    `values` has SQL for the declared columns (by position) that need no cast from their text.
    `undeclared` are the names of fields that nobody declared, as `extra` has them; a record that
    `is_open` has names of its own. `quick` is a faster way, for records without anything
    undeclared, that has to be verified once the rows are in.
    """

    relation: str
    path: Path
    packed: str
    names: tuple[str, ...] = ()
    first_line: int = 1
    keeps_rejects: bool = False
    values: Mapping[int, str] = field(default_factory=dict)
    undeclared: tuple[str, ...] = ()
    quick: Quick | None = None
    is_open: bool = False

    @property
    def has_extra(self) -> bool:
        """Whether `extra` may be something: of records that are `is_open`, only reading tells."""
        return bool(self.undeclared) or (self.is_open and self.quick is None)


def positions(table: SourceTable, names: tuple[str, ...]) -> dict[str, int]:
    """Where each declared column is in the file. Raises LoadError for what must be and is not."""
    at: dict[str, int] = {}
    for column in table.columns:
        found = [i for i, name in enumerate(names) if name in (column.name, *column.aliases)]
        if len(found) > 1:
            raise LoadError(
                f"its header has column {column.name} {len(found)} times (aliases counted): "
                "leave one"
            )
        if found:
            at[column.name] = found[0]
        elif column.required or (table.ingest and column.name in table.ingest.key):
            close = difflib.get_close_matches(column.name, names, 1)
            hint = f"; is it `{close[0]}`? Then add that to the column's `aliases`" if close else ""
            raise LoadError(f"its header has no column {column.name}, which is required{hint}")
    if not at:
        raise LoadError(
            f"its header has none of the declared columns, and {len(names)} others: check "
            "`format.delimiter`, `format.header` and the columns' names"
        )
    return at


def extra_names(fields: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The names of (name, SQL) fields, told apart where a name stands twice."""
    names = [name for name, _ in fields]
    if len(set(names)) < len(names):
        # A second column of one name would hide the first in a JSON object.
        names = [f"{name}.{place}" for place, name in enumerate(names, 1)]
    return tuple(names)


def extra_object(fields: Sequence[tuple[str, str]]) -> str:
    """SQL for a JSON object of (name, SQL for its value), NULL where none of them has a value."""
    if not fields:
        return "null::json"
    names = extra_names(fields)
    pairs = ", ".join(f"{literal(n)}, {v}" for n, (_, v) in zip(names, fields, strict=True))
    some = " or ".join(f"{value} is not null" for _, value in fields)
    return f"case when {some} then json_object({pairs}) end"
