"""The ledger of loads (`ops`), and the raw tables that every declaration is promised."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import duckdb

from ingestion.sources import Problem, SourceTable
from ingestion.sql import quoted, raw_table

TECHNICAL = (
    ("_extra", "JSON"),
    ("_record_id", "VARCHAR"),
    ("_load_id", "VARCHAR"),
    ("_origin", "VARCHAR"),
    ("_loaded_at", "TIMESTAMP"),
)
_OPS = """
create schema if not exists ops;
create table if not exists ops.loads (
    load_id varchar primary key, source varchar, table_name varchar, origin varchar,
    content_hash varchar, bytes bigint, rows_read bigint, rows_loaded bigint,
    rows_duplicate bigint, rows_quarantined bigint, status varchar, started_at timestamp,
    finished_at timestamp, run_id varchar, error varchar, declaration_hash varchar
);
create table if not exists ops.quarantine (
    load_id varchar, row_number bigint, source varchar, table_name varchar, reason varchar,
    column_name varchar, raw varchar, quarantined_at timestamp
);
"""


@dataclass(frozen=True)
class TableStatus:
    """Where one raw table stands: its files, rows and the latest attempt to load it."""

    source: str
    table_name: str
    origins: int
    rows_read: int
    rows_loaded: int
    rows_duplicate: int
    rows_quarantined: int
    failed: int
    finished_at: datetime | None
    error: str | None


@dataclass(frozen=True)
class LedgerEntry:
    """One row of ops.loads, all but its moments."""

    load_id: str
    source: str
    table_name: str
    origin: str
    content_hash: str | None
    bytes: int | None
    rows_read: int
    rows_loaded: int
    rows_duplicate: int
    rows_quarantined: int
    status: str
    run_id: str
    error: str | None
    declaration_hash: str


def ensure(con: duckdb.DuckDBPyConnection, tables: Iterable[SourceTable]) -> tuple[Problem, ...]:
    """Make `ops` and every declared raw table, empty where it is missing; say what types are wrong.

    A column declared later is added (the declaration's hash changed, so its files load again and
    fill it). A column whose type changed is converted; where its values do not convert, the table
    is set aside as `<table>__before_<hash>` and its files load again into a new one. A data_type
    that DuckDB does not know is a Problem; its column is made as VARCHAR, and load refuses it.
    """
    con.execute(_OPS)
    problems: list[Problem] = []
    for table in tables:
        types = duckdb_types(con, table, problems)
        con.execute(f"create schema if not exists {quoted(table.schema)}")
        declared = list(types.items())
        body = ", ".join(f"{quoted(name)} {kind}" for name, kind in [*declared, *TECHNICAL])
        if table.ingest is not None and table.ingest.connector == "warehouse":
            _make_view(con, table, [*declared, *TECHNICAL])
            continue
        con.execute("begin")
        try:
            _drop_view(con, table)
            con.execute(f"create table if not exists {raw_table(table)} ({body})")
            if not _alter(con, raw_table(table), dict(declared)):
                _set_aside(con, table, body)
            kept = outranked_table(table)
            if has_outranked(con, table) and not _alter(con, kept, dict(declared)):
                con.execute(f"drop table {kept}")  # they come back when their files load again
            con.execute("commit")
        except BaseException:
            con.execute("rollback")
            raise
    return tuple(problems)


def _make_view(
    con: duckdb.DuckDBPyConnection, table: SourceTable, columns: list[tuple[str, str]]
) -> None:
    """An empty view, until there is a load; a table of that name stays as `<table>__before_view`."""
    if is_view(con, table):
        return
    empty = ", ".join(f"null::{kind} as {quoted(name)}" for name, kind in columns)
    found = con.execute(
        "select 1 from duckdb_tables() where database_name = current_database() "
        "and schema_name = ? and table_name = ?",
        [table.schema, table.name],
    ).fetchall()
    con.execute("begin")
    try:
        if found:
            aside = quoted(f"{table.name}__before_view")
            con.execute(f"drop table if exists {quoted(table.schema)}.{aside}")
            con.execute(f"alter table {raw_table(table)} rename to {aside}")
            _supersede_all(con, table)
        con.execute(f"create view {raw_table(table)} as select {empty} where false")
        con.execute("commit")
    except BaseException:
        con.execute("rollback")
        raise


def is_view(con: duckdb.DuckDBPyConnection, table: SourceTable) -> bool:
    """Whether the raw relation is a view (of a table that is in the warehouse already)."""
    found = con.execute(
        "select 1 from duckdb_views() where database_name = current_database() "
        "and schema_name = ? and view_name = ?",
        [table.schema, table.name],
    ).fetchall()
    return bool(found)


def _drop_view(con: duckdb.DuckDBPyConnection, table: SourceTable) -> None:
    if is_view(con, table):
        con.execute(f"drop view {raw_table(table)}")
        _supersede_all(con, table)


def _supersede_all(con: duckdb.DuckDBPyConnection, table: SourceTable) -> None:
    con.execute(
        "update ops.loads set status = 'superseded' where source = ? and table_name = ?",
        [table.source, table.name],
    )


def high_water(con: duckdb.DuckDBPyConnection, table: SourceTable) -> str | None:
    """The text of the greatest cursor value loaded as it is declared now; None to begin anew.

    Needs `ensure`. Rows of an earlier declaration do not count: what it left out has to be brought
    again, from the beginning.
    """
    if table.ingest is None or table.ingest.cursor is None:
        return None
    column = quoted(table.ingest.cursor.column)
    found = con.execute(
        f"select max({column})::varchar from {raw_table(table)} where _load_id in ("
        "select load_id from ops.loads where source = ? and table_name = ? "
        "and status = 'loaded' and declaration_hash = ?)",
        [table.source, table.name, table.declaration_hash],
    ).fetchall()[0][0]
    return None if found is None else str(found)


def arrived(con: duckdb.DuckDBPyConnection, table: SourceTable) -> None:
    """The table's files could be had: that they once could not (by `location`) is over."""
    con.execute(
        "update ops.loads set status = 'superseded' where source = ? and table_name = ? "
        "and origin = ? and status = 'failed' and content_hash is null",
        [table.source, table.name, table.ingest.location if table.ingest else ""],
    )


def duckdb_types(
    con: duckdb.DuckDBPyConnection, table: SourceTable, problems: list[Problem]
) -> dict[str, str]:
    """Each declared column with DuckDB's own name for its type, which is safe to stand in SQL."""
    types = {}
    for column in table.columns:
        try:
            types[column.name] = str(con.sqltype(column.data_type))
        except duckdb.Error:
            types[column.name] = "VARCHAR"
            message = f"column {column.name}: DuckDB has no type `{column.data_type}`"
            problems.append(Problem(table.source, table.name, table.path, column.line, message))
    return types


def outranked_table(table: SourceTable) -> str:
    """The quoted name of the table that keeps rows which lost their key to another origin."""
    return f"ingestion.{quoted(f'{table.schema}.{table.name}')}"


def has_outranked(con: duckdb.DuckDBPyConnection, table: SourceTable) -> bool:
    """Whether a row of the table ever lost its key to another origin."""
    found = con.execute(
        "select 1 from duckdb_tables() where database_name = current_database() "
        "and schema_name = 'ingestion' and table_name = ?",
        [f"{table.schema}.{table.name}"],
    ).fetchall()
    return bool(found)


def _alter(con: duckdb.DuckDBPyConnection, name: str, declared: dict[str, str]) -> bool:
    """Bring a table to its declared columns; False where values do not fit a changed type."""
    present = {row[0]: row[1] for row in con.execute(f"select * from (describe {name})").fetchall()}
    for column, kind in declared.items():
        if column not in present:
            con.execute(f"alter table {name} add column {quoted(column)} {kind}")
        elif present[column] != kind:
            misfits = con.execute(
                f"select count(*) from {name} where {quoted(column)} is not null "
                f"and try_cast({quoted(column)}::varchar as {kind}) is null"
            ).fetchall()[0][0]
            if misfits:
                return False
            con.execute(
                f"alter table {name} alter {quoted(column)} set data type {kind} "
                f"using try_cast({quoted(column)}::varchar as {kind})"
            )
    return True


def _set_aside(con: duckdb.DuckDBPyConnection, table: SourceTable, body: str) -> None:
    aside = f"{table.name}__before_{table.declaration_hash[:8]}"
    con.execute(f"drop table if exists {quoted(table.schema)}.{quoted(aside)}")
    con.execute(f"alter table {raw_table(table)} rename to {quoted(aside)}")
    con.execute(f"create table {raw_table(table)} ({body})")
    _supersede_all(con, table)


def current(
    con: duckdb.DuckDBPyConnection, table: SourceTable, origin: str
) -> tuple[LedgerEntry | None, int]:
    """The load whose rows of that origin stand, and how often the origin was tried before."""
    rows = con.execute(
        f"select {', '.join(LedgerEntry.__dataclass_fields__)} from ops.loads "
        "where source = ? and table_name = ? and origin = ?",
        [table.source, table.name, origin],
    ).fetchall()
    entries = [LedgerEntry(*row) for row in rows]
    return next((entry for entry in entries if entry.status == "loaded"), None), len(entries)


def write(
    con: duckdb.DuckDBPyConnection, entry: LedgerEntry, started: datetime, finished: datetime
) -> None:
    """Write one ledger row. It supersedes the origin's earlier ones, except that a failure leaves
    the load whose rows still stand."""
    supersede(con, entry, ("loaded", "failed") if entry.status == "loaded" else ("failed",))
    fields = list(LedgerEntry.__dataclass_fields__)
    marks = ", ".join("?" for _ in range(len(fields) + 2))
    con.execute(
        f"insert into ops.loads ({', '.join(fields)}, started_at, finished_at) values ({marks})",
        [*(getattr(entry, name) for name in fields), started, finished],
    )


def supersede(
    con: duckdb.DuckDBPyConnection, entry: LedgerEntry, statuses: tuple[str, ...]
) -> None:
    """Mark the origin's loads of these statuses as superseded."""
    con.execute(
        "update ops.loads set status = 'superseded' where source = ? and table_name = ? "
        "and origin = ? and list_contains(?, status)",
        [entry.source, entry.table_name, entry.origin, list(statuses)],
    )


def status(con: duckdb.DuckDBPyConnection) -> tuple[TableStatus, ...]:
    """Every table ever loaded, as it stands now; needs `ops.loads` only (so: published files too).

    Counts are of the loads that stand; `failed` counts origins whose latest attempt failed, and
    `error` is the newest of theirs.
    """
    rows = con.execute("""
        select
            source,
            table_name,
            count(*) filter (status = 'loaded') as origins,
            coalesce(sum(rows_read) filter (status = 'loaded'), 0)::bigint as rows_read,
            coalesce(sum(rows_loaded) filter (status = 'loaded'), 0)::bigint as rows_loaded,
            coalesce(sum(rows_duplicate) filter (status = 'loaded'), 0)::bigint as rows_duplicate,
            coalesce(sum(rows_quarantined) filter (status = 'loaded'), 0)::bigint as quarantined,
            count(*) filter (status = 'failed') as failed,
            max(finished_at) as finished_at,
            arg_max(error, finished_at) filter (status = 'failed') as error
        from ops.loads
        group by source, table_name
        order by source, table_name
    """).fetchall()
    return tuple(TableStatus(*row) for row in rows)
