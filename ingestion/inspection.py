"""A first look at a file: its format, and per column the type, the key, and what it says of people.

Guesses are made so that what is written from them loads: a type is guessed only if nearly every
value of the sample reads as it, and an ambiguous date stays text.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb

from ingestion import samples, vocabulary
from ingestion.sources import LoadError
from ingestion.sql import literal, quoted
from ingestion.vocabulary import IDENTIFIER_NAMES, IDENTIFIERS, PERSONAL, ROLES

SAMPLE_ROWS = 50_000
MOST = 0.8
NEARLY_ALL = 0.995
"""Of a column's values have to read as its type; the few others would go to quarantine."""
DATE_FORMATS = ("%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y/%m/%d", "%d-%m-%Y")
TIME_SUFFIXES = (" %H:%M:%S", " %H:%M")


@dataclass(frozen=True)
class ColumnGuess:
    """One column: how it is declared, and what it seems to be. `role` is a column of contacts."""

    name: str
    data_type: str
    format: str | None = None
    role: str | None = None
    identifier: str | None = None
    filled: float = 0.0
    is_unique: bool = False

    @property
    def snake_name(self) -> str:
        """The name as staging models write it."""
        return vocabulary.snake(self.name)


@dataclass(frozen=True)
class TableGuess:
    """A file as it would be declared. `is_people`: it says who somebody is, so it is contacts."""

    format: dict[str, Any]
    columns: tuple[ColumnGuess, ...]
    key: tuple[str, ...] = ()
    newest_by: str | None = None
    rows_seen: int = 0
    notes: tuple[str, ...] = field(default=())

    @property
    def is_people(self) -> bool:
        """Whether it says a name, an email or a phone number."""
        return any(map(_is_personal, self.columns)) or any(
            c.role == "full_name" for c in self.columns
        )


def inspect(path: Path) -> TableGuess:
    """Guess how a CSV, JSON, NDJSON or Parquet file (plain, gzip or zstd) is to be declared.

    Reads the first 50,000 rows. Raises LoadError when it cannot be read as a table.
    """
    with duckdb.connect() as con, tempfile.TemporaryDirectory() as work:
        try:
            form, relation = samples.opened(path, Path(work))
            con.execute(f"create table sample as select * from {relation} limit {SAMPLE_ROWS}")
        except (duckdb.Error, OSError) as error:
            kind = type(error).__name__
            raise LoadError(
                f"{path.name} cannot be read as a table ({kind}): is it CSV, JSON or Parquet?"
            ) from None
        described = con.execute("describe sample").fetchall()
        rows = int(con.execute("select count(*) from sample").fetchall()[0][0])
        columns = tuple(_guess(con, name, data_type, rows) for name, data_type, *_ in described)
    columns = _one_of_each_role(columns)
    if not any(map(_is_personal, columns)):
        # a lone `name` is as often a product's or an event's
        columns = tuple(replace(c, role=None) if c.role == "full_name" else c for c in columns)
    return TableGuess(
        format=form,
        columns=columns,
        key=_key(columns),
        newest_by=next(
            (c.name for c in columns if c.role == "updated_at" and c.data_type == "timestamp"), None
        ),
        rows_seen=rows,
        notes=tuple(f"{c.name}: {NOTES[c.format]}" for c in columns if c.format in NOTES),
    )


def _is_personal(column: ColumnGuess) -> bool:
    return column.identifier in ("email", "phone") or column.role in ("first_name", "last_name")


def _guess(con: duckdb.DuckDBPyConnection, name: str, data_type: str, rows: int) -> ColumnGuess:
    column = quoted(name)
    given = f"({column} ->> '$')" if data_type == "JSON" else f"{column}::varchar"
    text = f"nullif(trim({given}), '')"
    filled, distinct = con.execute(
        f"select count({text}), count(distinct {text}) from sample"
    ).fetchall()[0]
    guessed, form = (
        _type(con, text, filled) if data_type in ("VARCHAR", "JSON") else (data_type.lower(), None)
    )
    if data_type == "JSON" and guessed == "varchar":
        nested = con.execute(
            f"select count(*) from sample where json_type({column}) in ('OBJECT', 'ARRAY')"
        ).fetchall()[0][0]
        guessed = "json" if nested else "varchar"
    plain = ColumnGuess(name, guessed).snake_name
    role = next((role for role, names in ROLES.items() if plain in names), None)
    if (
        role is None
        and filled
        and _share(con, text, r"[^@\s\"{}]+@[^@\s\"{}]+\.[^@\s\"{}]+") > MOST
    ):
        role = "email"
    identifier = IDENTIFIERS.get(role or "") or next(
        (kind for kind, names in IDENTIFIER_NAMES.items() if plain in names), None
    )
    if role in PERSONAL - {"birth_date"} or identifier:
        guessed, form = "varchar", None  # digits of a phone or a postcode are no number
    return ColumnGuess(
        name,
        guessed,
        form,
        role,
        identifier,
        filled / rows if rows else 0.0,
        bool(rows) and distinct == rows,
    )


def _share(con: duckdb.DuckDBPyConnection, text: str, pattern: str) -> float:
    found = con.execute(
        f"select avg(regexp_full_match({text}, ?)::int) from sample where {text} is not null",
        [pattern],
    ).fetchall()[0][0]
    return float(found or 0)


NOTES = {
    "ambiguous": "dates in more than one possible order; left as text",
    "comma": "numbers with a decimal comma; left as text",
}
"""What stands in place of a format where a column is left as text for a reason worth telling."""
COMMA_NUMBER = r"-?\d{1,3}(\.?\d{3})*,\d{1,4}"
SHAPES = (
    ("bigint", r"-?(0|[1-9]\d{0,17})", "bigint"),
    ("decimal(18,4)", r"-?(0|[1-9]\d{0,13})(\.\d{1,4})?", "decimal(18,4)"),
    ("boolean", r"(?i)true|false", "boolean"),
    ("date", r"\d{4}-\d\d-\d\d", "date"),
    ("timestamp", r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*", "timestamptz"),
)
"""Type, what its text looks like, and what it has to cast to: a leading zero is no number's."""


def _type(con: duckdb.DuckDBPyConnection, text: str, filled: int) -> tuple[str, str | None]:
    """The narrowest type that nearly every value reads as, and the date format if it needs one."""
    if not filled:
        return "varchar", None
    for data_type, shape, cast in SHAPES:
        looks_it = _share(con, text, shape) >= NEARLY_ALL
        if looks_it and _parses(con, f"try_cast({text} as {cast})", text):
            return data_type, None
    for suffix, data_type in (("", "date"), *((suffix, "timestamp") for suffix in TIME_SUFFIXES)):
        fits = [
            form + suffix
            for form in DATE_FORMATS
            if _parses(con, f"try_strptime({text}, {literal(form + suffix)})", text)
        ]
        if fits:
            return (data_type, fits[0]) if len(fits) == 1 else ("varchar", "ambiguous")
    is_comma = _share(con, text, COMMA_NUMBER) >= NEARLY_ALL
    return "varchar", "comma" if is_comma else None


def _parses(con: duckdb.DuckDBPyConnection, expression: str, text: str) -> bool:
    parsed, filled = con.execute(
        f"select count({expression}), count({text}) from sample"
    ).fetchall()[0]
    return bool(parsed >= NEARLY_ALL * filled)


def _one_of_each_role(columns: tuple[ColumnGuess, ...]) -> tuple[ColumnGuess, ...]:
    """A role goes to the best filled of the columns that claim it; the others keep their identifier."""
    best: dict[str, ColumnGuess] = {}
    for column in columns:
        if column.role and (column.role not in best or column.filled > best[column.role].filled):
            best[column.role] = column
    return tuple(
        column if column.role is None or best[column.role] is column else replace(column, role=None)
        for column in columns
    )


def _key(columns: tuple[ColumnGuess, ...]) -> tuple[str, ...]:
    """A column without gaps or repeats whose name sounds like a key; else none: content is the key."""
    for column in columns:
        if column.is_unique and column.role is None and vocabulary.KEY.search(column.snake_name):
            return (column.name,)
    return ()
