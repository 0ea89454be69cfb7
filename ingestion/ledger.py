"""The ledger of loads (`ops`), and the raw tables that every declaration is promised."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import duckdb

from ingestion import in_place, stored
from ingestion.sources import LoadResult, Problem, SourceTable
from ingestion.sql import quoted, stored_table
from ingestion.windows import is_windows

_OPS = """
create schema if not exists ops;
create schema if not exists ingestion;
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
create table if not exists ops.drift (
    source varchar, table_name varchar, column_name varchar, sample_type varchar, origin varchar,
    first_seen_at timestamp, last_seen_at timestamp
);
create table if not exists ingestion.files (
    source varchar, table_name varchar, origin varchar, bytes bigint, mtime_ns bigint, inode ubigint
);
create table if not exists ingestion.deliveries (
    delivery integer, source varchar, table_name varchar, load_id varchar, origin varchar,
    loaded_at timestamp
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

    def result(self, status: Literal["loaded", "failed", "unchanged"]) -> LoadResult:
        """What a caller is told of it."""
        return LoadResult(
            load_id=self.load_id,
            source=self.source,
            table_name=self.table_name,
            origin=self.origin,
            status=status,
            rows_read=self.rows_read,
            rows_loaded=self.rows_loaded,
            rows_duplicate=self.rows_duplicate,
            rows_quarantined=self.rows_quarantined,
            error=self.error,
        )


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
        con.execute("begin")
        try:
            if in_place.is_declared(table):
                in_place.ensure(con, table, types)
            else:
                in_place.leave(con, table)
                stored.ensure(con, table, types)
            con.execute("commit")
        except BaseException:
            con.execute("rollback")
            raise
    return tuple(problems)


def high_water(con: duckdb.DuckDBPyConnection, table: SourceTable) -> str | None:
    """The text of the greatest cursor value loaded as it is declared now; None to begin anew.

    Needs `ensure`. Rows of an earlier declaration do not count: what it left out has to be brought
    again, from the beginning. Nor does what a window brought: before it may be a gap.
    """
    if table.ingest is None or table.ingest.cursor is None:
        return None
    column = quoted(table.ingest.cursor.column)
    rows = f"select {column}, _delivery from {stored_table(table)}"
    if stored.has_outranked(con, table):  # a window has its rows now; they were loaded all the same
        rows += f" union all select {column}, _delivery from {stored.outranked_table(table)}"
    found = con.execute(
        f"select max({column})::varchar from ({rows}) where _delivery in ("
        "select delivery from ingestion.deliveries join ops.loads using (load_id) "
        "where loads.source = ? and loads.table_name = ? and loads.status = 'loaded' "
        f"and loads.declaration_hash = ? and not {is_windows('loads.origin')})",
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
