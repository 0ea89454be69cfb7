"""A table that is in the warehouse already, shown as a source: a view over it, and nothing copied.

The view has the columns that every raw table has. It is made anew when the table's fingerprint or
its declaration changed, and then booked like a load: rows that do not fit are quarantined, and of
rows of one key the newest shows. Between two loads the view follows the table as it is.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb

from ingestion import ids, in_place, ledger, quarantine, rows, stored
from ingestion.ledger import LedgerEntry
from ingestion.readers import Reading, parquet
from ingestion.sources import LoadError, LoadResult, Problem, SourceTable
from ingestion.sql import literal, quoted, raw_view


def show(
    con: duckdb.DuckDBPyConnection, table: SourceTable, *, run_id: str, now: datetime
) -> LoadResult:
    """Make the view of the table named by `location: schema.table`, and book it if it changed.

    A failure leaves the view as it was, a failed row in ops.loads, and a result that says why.
    """
    location = table.ingest.location if table.ingest else ""
    origin = in_place.origin(table)
    standing, attempts = ledger.current(con, table, origin)
    entry = _entry(table, origin, run_id, "", attempts)
    source = ".".join(quoted(part) for part in location.split("."))
    con.execute("begin")
    try:
        described = con.execute(f"describe select * from {source}").fetchall()
        fingerprint = _fingerprint(con, table, source, described)
        if standing and (standing.content_hash, standing.declaration_hash) == (
            fingerprint,
            table.declaration_hash,
        ):
            ledger.supersede(con, standing, ("failed",))
            con.execute("commit")
            return standing.result("unchanged")
        entry = _entry(table, origin, run_id, fingerprint, attempts)
        entry = _make(con, table, source, described, entry, now)
        ledger.write(con, entry, now, now)
        con.execute("commit")
        return entry.result("loaded")
    except (LoadError, duckdb.Error) as error:
        con.execute("rollback")
        entry = replace(entry, status="failed", error=_message(error, location))
        con.execute("begin")
        ledger.write(con, entry, now, now)
        con.execute("commit")
        return entry.result("failed")
    except BaseException:
        con.execute("rollback")
        raise


def _make(
    con: duckdb.DuckDBPyConnection,
    table: SourceTable,
    source: str,
    described: list[tuple[str, ...]],
    entry: LedgerEntry,
    now: datetime,
) -> LedgerEntry:
    problems: list[Problem] = []
    types = ledger.duckdb_types(con, table, problems)
    if problems:
        raise LoadError(problems[0].message)
    load = rows.Load(table, types, stored.Delivery(entry.load_id, entry.origin, now))
    reading = parquet.over(table, types, source, described, Path())
    rows_there = _fitting(load, reading)
    read, misfits = con.execute(
        f"select count(*), count(*) filter (_occurrence is null) from ({rows_there})"
    ).fetchall()[0]
    quarantined = quarantine.collect(con, load, reading, misfits)
    record_id = ids.record_id(table, types)
    distinct = con.execute(
        f"select count(distinct {record_id}) from ({rows_there}) where _occurrence is not null"
    ).fetchall()[0][0]
    view = _view(load, rows_there, repeated=distinct < read - misfits)
    con.execute(f"create or replace view {raw_view(table)} as {view}")
    duplicates = read - misfits - distinct if load.key else 0
    return replace(
        entry,
        rows_read=read,
        rows_loaded=read - misfits - duplicates,
        rows_duplicate=duplicates,
        rows_quarantined=quarantined,
    )


def _fitting(load: rows.Load, reading: Reading) -> str:
    """SQL: every row with the columns of a raw table; those that do not fit have no _occurrence."""
    bad = " or ".join(condition for condition, _, _ in rows.misfits(load))
    columns = ", ".join(f"c{i} as {quoted(name)}" for i, name in enumerate(load.types))
    return f"""
        select {columns}, extra as _extra, case when not coalesce({bad}, false) then 1 end
            as _occurrence, {literal(load.delivery.load_id)} as _load_id,
            {literal(load.delivery.origin)} as _origin,
            {literal(load.delivery.loaded_at.isoformat())}::timestamp as _loaded_at,
            null::timestamp as _deleted_at
        from ({rows.typed(load, reading)})"""


def _view(load: rows.Load, rows_there: str, *, repeated: bool) -> str:
    """SQL for the view; windows over the whole table only where rows repeat an id."""
    record_id = ids.record_id(load.table, load.types)
    fitting = f"select * from ({rows_there}) where _occurrence is not null"
    if repeated:
        texts = [f"coalesce({ids.text(name, kind)}, '')" for name, kind in load.types.items()]
        content = ", ".join(texts)
        if load.key:
            newest = load.table.ingest.newest_by if load.table.ingest else None
            first = f"{quoted(newest)} desc nulls last, " if newest else ""
            last = f"sha256(concat_ws(chr(31), {content}, coalesce(_extra::varchar, ''))) desc"
            place = f"row_number() over (partition by {record_id} order by {first}{last})"
            fitting += f" qualify {place} = 1"
        else:
            place = f"row_number() over (partition by {content} order by _extra::varchar)"
            fitting = f"select * replace ({place}::integer as _occurrence) from ({fitting})"
    return f"select *, {record_id} as _record_id from ({fitting})"


def _fingerprint(
    con: duckdb.DuckDBPyConnection,
    table: SourceTable,
    source: str,
    described: list[tuple[str, ...]],
) -> str:
    """A hash of the table's columns, its number of rows, and its newest moment or all its rows."""
    newest = table.ingest.newest_by if table.ingest else None
    if newest is not None and newest in {name for name, *_ in described}:
        change = f"max({quoted(newest)})::varchar"
    else:
        change = "sum(hash(whole)::hugeint)::varchar"
    count, changed = con.execute(f"select count(*), {change} from {source} as whole").fetchall()[0]
    columns = [f"{name} {kind}" for name, kind, *_ in described]
    parts = "\x1f".join([*columns, str(count), str(changed)])
    return hashlib.sha256(parts.encode()).hexdigest()


def _entry(
    table: SourceTable, origin: str, run_id: str, fingerprint: str, attempts: int
) -> LedgerEntry:
    parts = (table.source, table.name, origin, fingerprint, table.declaration_hash, attempts + 1)
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()
    return LedgerEntry(
        load_id=f"load_{digest[:24]}",
        source=table.source,
        table_name=table.name,
        origin=origin,
        content_hash=fingerprint or None,
        bytes=None,
        rows_read=0,
        rows_loaded=0,
        rows_duplicate=0,
        rows_quarantined=0,
        status="loaded",
        run_id=run_id,
        error=None,
        declaration_hash=table.declaration_hash,
    )


def _message(error: Exception, location: str) -> str:
    if isinstance(error, duckdb.CatalogException):
        return (
            f"there is no table {location} in the warehouse: make it, or correct `location` "
            "(schema.table)"
        )
    if isinstance(error, LoadError):
        return f"{location}: {error}"
    return f"{location} cannot be read ({type(error).__name__}): look at it with `mainstem sql`"
