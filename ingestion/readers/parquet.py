"""Parquet: columns come with types of their own, and change them only where nothing is lost."""

from __future__ import annotations

from pathlib import Path

import duckdb

from ingestion.readers.relations import Reading, extra_names, extra_object, positions
from ingestion.sources import LoadError, SourceTable
from ingestion.sql import literal, quoted

_ZONED = "TIMESTAMP WITH TIME ZONE"


def reading(
    con: duckdb.DuckDBPyConnection, table: SourceTable, types: dict[str, str], path: Path
) -> Reading:
    """The relation for a Parquet file; texts in it are cast as the texts of a CSV are.

    Raises LoadError where it is no whole Parquet file, or lacks a column that must be there.
    """
    source = f"read_parquet({literal(str(path))}, file_row_number = false)"
    try:
        described = con.execute(f"describe select * from {source}").fetchall()
    except duckdb.Error:
        raise LoadError("it is not a whole Parquet file: deliver it again") from None
    return over(table, types, source, described, path)


def over(
    table: SourceTable,
    types: dict[str, str],
    source: str,
    described: list[tuple[str, ...]],
    path: Path,
) -> Reading:
    """The relation over anything with typed columns; `described` is DuckDB's DESCRIBE of it."""
    names = tuple(name for name, *_ in described)
    kinds = {name: kind for name, kind, *_ in described}
    at = positions(table, names)
    declared, values = [], {}
    for i, column in enumerate(table.columns):
        if column.name not in at:
            declared.append(f"null::varchar as t{i}")
            continue
        name = names[at[column.name]]
        text = _text(quoted(name), kinds[name])
        # As in JSON, only a text can hold the empty text.
        text = text if types[column.name] == "VARCHAR" else f"nullif({text}, '')"
        declared.append(f"{text} as t{i}")
        value = _value(quoted(name), kinds[name], types[column.name])
        if value is not None:
            declared.append(f"{value} as v{i}")
            values[i] = f"v{i}"
    extra = [
        (name, f"to_json({quoted(name)})") for i, name in enumerate(names) if i not in at.values()
    ]
    whole = ", ".join(f"{literal(name)}, {_text(quoted(name), kinds[name])}" for name in names)
    relation = f"""
        select {", ".join(declared)}, {extra_object(extra)} as extra, null::varchar as defect,
            json_object({whole})::varchar as raw
        from {source}"""
    return Reading(relation, path, "none", names, values=values, undeclared=extra_names(extra))


def _nested(kind: str) -> bool:
    return kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION"))


def _text(name: str, kind: str) -> str:
    if _nested(kind):
        return f"to_json({name})::varchar"
    # Bytes without a character set are a text if they read as one, and otherwise shown escaped.
    return (
        f"coalesce(try(decode({name})), {name}::varchar)" if kind == "BLOB" else f"{name}::varchar"
    )


def _value(name: str, kind: str, wanted: str) -> str | None:
    """SQL for the value as `wanted`, NULL where it would not come back the same; None: by text."""
    if kind == wanted:
        return name
    if kind in ("VARCHAR", "JSON", "BLOB") or wanted in ("VARCHAR", "JSON") or _nested(kind):
        return None
    if kind == _ZONED:
        name, kind = f"timezone('UTC', {name})", "TIMESTAMP"
    there = f"try_cast({name} as {wanted})"
    return f"case when try_cast({there} as {kind}) = {name} then {there} end"
