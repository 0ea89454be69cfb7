"""The raw view of a table that is in the warehouse already, before it is shown and after.

A source whose connector is `warehouse` has a view and nothing stored; a source that was one of
those and is not any more begins anew, and the other way round.
"""

from __future__ import annotations

import duckdb

from ingestion import stored
from ingestion.sources import SourceTable
from ingestion.sql import quoted, stored_table

PREFIX = "warehouse://"


def is_declared(table: SourceTable) -> bool:
    """Whether the table is shown where it is."""
    return table.ingest is not None and table.ingest.connector == "warehouse"


def origin(table: SourceTable) -> str:
    """`warehouse://schema.table`."""
    return PREFIX + (table.ingest.location if table.ingest else "")


def ensure(con: duckdb.DuckDBPyConnection, table: SourceTable, types: dict[str, str]) -> None:
    """An empty view of those columns, unless the table is shown."""
    shown = con.execute(
        "select 1 from ops.loads where source = ? and table_name = ? and origin = ? "
        "and status = 'loaded'",
        [table.source, table.name, origin(table)],
    ).fetchall()
    if shown:
        return
    _begin_anew(con, table, "true")
    for name in (f"{table.schema}.{table.name}", f"{table.schema}.{table.name} outranked"):
        con.execute(f"drop table if exists ingestion.{quoted(name)}")
    # A view over an empty table is the plainest way to give columns their types.
    con.execute(f"create table {stored_table(table)} ({stored.body(table, types)})")
    stored.show(con, table, types)


def leave(con: duckdb.DuckDBPyConnection, table: SourceTable) -> None:
    """The table is not shown where it is, or not any more: those loads are over."""
    _begin_anew(con, table, f"starts_with(origin, '{PREFIX}')")


def _begin_anew(con: duckdb.DuckDBPyConnection, table: SourceTable, which: str) -> None:
    con.execute(
        "update ops.loads set status = 'superseded' where source = ? and table_name = ? "
        f"and status <> 'superseded' and {which}",
        [table.source, table.name],
    )
