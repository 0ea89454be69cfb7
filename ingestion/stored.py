"""What a raw table is stored as, and the view that everyone reads.

A stored row has its declared columns, `_occurrence` and one number, `_delivery`: a row of
`ingestion.deliveries`, which says what load it came with, from where and when. The view puts those
in its place: written beside every row they took a seventh of a load. `_deleted_at` is stored only
where snapshots are loaded, and `_extra` once a file had something undeclared: even a column of
nulls takes a twentieth of a load. The view always has both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import duckdb

from ingestion.ids import record_id
from ingestion.sources import SourceTable
from ingestion.sql import literal, quoted, raw_view, stored_table

#: The columns that a load fills beside the declared ones.
FILLED = (("_occurrence", "INTEGER"), ("_delivery", "INTEGER"))
EXTRA = ("_extra", "JSON")
_SHOWN = ("_occurrence", "_load_id", "_origin", "_loaded_at")


@dataclass(frozen=True)
class Delivery:
    """What the rows of one load have in common; `number`, from 1, stands in each of them."""

    load_id: str
    origin: str
    loaded_at: datetime
    number: int = 0


def book(con: duckdb.DuckDBPyConnection, table: SourceTable, delivery: Delivery) -> Delivery:
    """Write the delivery down under the next number, within the load's transaction."""
    query = "select coalesce(max(delivery), 0) + 1 from ingestion.deliveries"
    number = int(con.execute(query).fetchall()[0][0])
    con.execute(
        "insert into ingestion.deliveries values (?, ?, ?, ?, ?, ?)",
        [number, table.source, table.name, delivery.load_id, delivery.origin, delivery.loaded_at],
    )
    return replace(delivery, number=number)


def of_origin(table: SourceTable, origin: str) -> str:
    """SQL for the numbers of everything that an origin ever delivered to the table."""
    return (
        f"select delivery from ingestion.deliveries where source = {literal(table.source)} "
        f"and table_name = {literal(table.name)} and origin = {literal(origin)}"
    )


def keeps_extra(con: duckdb.DuckDBPyConnection, table: SourceTable) -> bool:
    """Whether undeclared values have a place in the stored table."""
    return "_extra" in _columns(con, stored_table(table))


def keep_extra(con: duckdb.DuckDBPyConnection, table: SourceTable, types: dict[str, str]) -> None:
    """Give them one, before a load's transaction; empty, it means nothing."""
    con.execute("begin")
    try:
        for name in (stored_table(table), outranked_table(table)):
            if name == stored_table(table) or has_outranked(con, table):
                con.execute(f"alter table {name} add column if not exists _extra json")
        show(con, table, types)
        con.execute("commit")
    except BaseException:
        con.execute("rollback")
        raise


def body(table: SourceTable, types: dict[str, str], *, extra: bool = False) -> str:
    """A stored table's columns as CREATE TABLE wants them."""
    columns = [*types.items(), *FILLED, *([EXTRA] if extra else []), *_marked(table)]
    return ", ".join(f"{quoted(name)} {kind}" for name, kind in columns)


def _marked(table: SourceTable) -> list[tuple[str, str]]:
    """The column that says when a row was missed first, where rows can be."""
    is_snapshot = table.ingest is not None and table.ingest.mode == "snapshot"
    return [("_deleted_at", "TIMESTAMP")] if is_snapshot else []


def show(con: duckdb.DuckDBPyConnection, table: SourceTable, types: dict[str, str]) -> None:
    """Make the view over the stored table."""
    present = _columns(con, stored_table(table))
    columns = ", ".join(
        [
            *map(quoted, types),
            "_extra" if "_extra" in present else "null::json as _extra",
            *_SHOWN,
            "_deleted_at" if "_deleted_at" in present else "null::timestamp as _deleted_at",
        ]
    )
    con.execute(
        f"create or replace view {raw_view(table)} as "
        f"select {columns}, {record_id(table, types)} as _record_id from (from {stored_table(table)} "
        "left join (select delivery as _delivery, load_id as _load_id, origin as _origin, "
        "loaded_at as _loaded_at from ingestion.deliveries) using (_delivery))"
    )


def outranked_table(table: SourceTable) -> str:
    """The quoted name of the table that keeps rows which lost their key to another origin."""
    return f"ingestion.{quoted(_outranked(table))}"


def _outranked(table: SourceTable) -> str:
    return f"{table.schema}.{table.name} outranked"


def has_outranked(con: duckdb.DuckDBPyConnection, table: SourceTable) -> bool:
    """Whether a row of the table ever lost its key to another origin."""
    found = con.execute(
        "select 1 from duckdb_tables() where database_name = current_database() "
        "and schema_name = 'ingestion' and table_name = ?",
        [_outranked(table)],
    ).fetchall()
    return bool(found)


def ensure(con: duckdb.DuckDBPyConnection, table: SourceTable, types: dict[str, str]) -> None:
    """The stored table as it is declared, and its view, within a transaction.

    Where the values that are there do not fit a changed type, they are set aside as
    `<table>__before_<hash>` and the table begins anew.
    """
    stored = stored_table(table)
    con.execute(f"create table if not exists {stored} ({body(table, types)})")
    if not _alter(con, table, types):
        aside = (
            f"{quoted(table.schema)}.{quoted(f'{table.name}__before_{table.declaration_hash[:8]}')}"
        )
        con.execute(f"drop table if exists {aside}")
        con.execute(f"create table {aside} as from {raw_view(table)}")
        con.execute(f"create or replace table {stored} ({body(table, types)})")
        con.execute(
            "update ops.loads set status = 'superseded' where source = ? and table_name = ?",
            [table.source, table.name],
        )
    show(con, table, types)


def _columns(con: duckdb.DuckDBPyConnection, name: str) -> dict[str, str]:
    """The types of a table's columns, by their names."""
    return dict(con.execute(f"select column_name, column_type from (describe {name})").fetchall())


def _alter(con: duckdb.DuckDBPyConnection, table: SourceTable, types: dict[str, str]) -> bool:
    """Bring the stored table and what it outranked to the declared columns.

    False where values do not fit a changed type. What was outranked is then forgotten: it comes
    back when its files load again.
    """
    for name in (stored_table(table), outranked_table(table)):
        if name == outranked_table(table) and not has_outranked(con, table):
            continue
        present = _columns(con, name)
        if "_delivery" not in present:  # written before deliveries had numbers
            con.execute(f"drop table if exists {outranked_table(table)}")
            return False
        for column, kind in [*types.items(), *_marked(table)]:
            if column not in present:
                con.execute(f"alter table {name} add column {quoted(column)} {kind}")
            elif present[column] != kind:
                new = f"try_cast({quoted(column)}::varchar as {kind})"
                misfits = f"{quoted(column)} is not null and {new} is null"
                if con.execute(f"select 1 from {name} where {misfits} limit 1").fetchall():
                    if has_outranked(con, table):
                        con.execute(f"drop table {outranked_table(table)}")
                    return name != stored_table(table)
                con.execute(
                    f"alter table {name} alter {quoted(column)} set data type {kind} using {new}"
                )
    return True
