"""Columns that files have and nobody declared: kept in `_extra`, and noted here, never a value."""

from __future__ import annotations

import duckdb

from ingestion.rows import Load
from ingestion.sources import SourceTable
from ingestion.sql import pointer, stored_table

_SAMPLE_ROWS = 1000
_TYPES = ("BIGINT", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMP")


def note(con: duckdb.DuckDBPyConnection, load: Load, header: tuple[str, ...]) -> tuple[str, ...]:
    """Write down what this load brought undeclared; the names never seen before, in order.

    `header` has the undeclared names that the file itself lists, which may all be empty. The type
    is a guess from up to 1,000 values. A column that is declared by now is forgotten.
    """
    stored, mine = stored_table(load.table), load.mine
    loaded_at, origin = load.delivery.loaded_at, load.delivery.origin
    place = [load.table.source, load.table.name]
    known = [name for c in load.table.columns for name in (c.name, *c.aliases)]
    con.execute(
        "delete from ops.drift where source = ? and table_name = ? "
        "and list_contains(?::varchar[], column_name)",
        [*place, known],
    )
    keys = con.execute(
        f"select distinct unnest(json_keys({load.extra})) from {stored} "
        f"where {mine} and {load.extra} is not null"
    ).fetchall()
    names = sorted({*header, *(key for (key,) in keys)})
    before = con.execute(
        "select column_name from ops.drift where source = ? and table_name = ?", place
    ).fetchall()
    seen = {name for (name,) in before}
    for name in names:
        kind = _type(con, f"from {stored} where {mine} and _extra is not null", name)
        if name in seen:
            con.execute(
                "update ops.drift set last_seen_at = ?, origin = ?, sample_type = ? "
                "where source = ? and table_name = ? and column_name = ?",
                [loaded_at, origin, kind, *place, name],
            )
        else:
            con.execute(
                "insert into ops.drift values (?, ?, ?, ?, ?, ?, ?)",
                [*place, name, kind, origin, loaded_at, loaded_at],
            )
    return tuple(name for name in names if name not in seen)


def standing(con: duckdb.DuckDBPyConnection, table: SourceTable) -> tuple[tuple[str, str], ...]:
    """The undeclared columns of a table that are known today, each with its likely type."""
    found = con.execute(
        "select column_name, sample_type from ops.drift where source = ? and table_name = ? "
        "order by column_name",
        [table.source, table.name],
    ).fetchall()
    return tuple((name, kind) for name, kind in found)


def _type(con: duckdb.DuckDBPyConnection, rows: str, name: str) -> str:
    """The narrowest type that the sampled values have, VARCHAR where there is none."""
    place = pointer(name)
    fits = ", ".join(f"bool_and(try_cast(v as {kind}) is not null)" for kind in _TYPES)
    nested = "bool_or(kind in ('OBJECT', 'ARRAY'))"
    found = con.execute(f"""
        select {nested}, {fits} from (
            select json_extract_string(_extra, {place}) as v,
                json_type(_extra, {place}) as kind
            {rows} limit {_SAMPLE_ROWS}
        ) where v is not null and v <> ''""").fetchall()[0]
    if found[0]:
        return "JSON"
    return next((kind for kind, fit in zip(_TYPES, found[1:], strict=True) if fit), "VARCHAR")
