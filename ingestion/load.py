"""Load files into raw tables: typed, counted, once.

A file is one transaction: what its origin brought before goes, its rows come, and the ledger's row
and the quarantine with them. Killed at any moment it has happened or it has not. The same bytes at
the same origin, declared alike, are not loaded again.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from ingestion import (
    contents,
    drift,
    in_place,
    keys,
    known_files,
    ledger,
    messages,
    quarantine,
    readers,
    rows,
    snapshots,
    stored,
    views,
)
from ingestion.contents import Contents
from ingestion.ledger import LedgerEntry
from ingestion.readers import shortcut
from ingestion.sources import Arrival, LoadError, LoadResult, Problem, SourceTable
from ingestion.sql import stored_table


@dataclass(frozen=True)
class Task:
    """One file to be loaded: what its rows are labelled with, where it is and when it began.

    `entry` is the ledger's row before anything came of it; `found` waits for the file's hash.
    """

    label: rows.Load
    entry: LedgerEntry
    path: Path
    workspace: Path
    found: Callable[[], Contents]
    now: datetime
    clock: float


def load(
    con: duckdb.DuckDBPyConnection,
    table: SourceTable,
    arrivals: Iterable[Arrival],
    *,
    run_id: str,
    now: datetime,
) -> tuple[LoadResult, ...]:
    """Load each arrival, in the order of origins, into the table that `ledger.ensure` made.

    A file that cannot be loaded leaves everything as it was, a failed row in ops.loads, and a
    result that says why; the others still load. `now` is the moment that rows are labelled with.
    Where several origins bring rows of one key, see `keys`; without a key, see
    `rows.number_occurrences`. `upsert` is `append` with a key that has to be declared.
    """
    if in_place.is_declared(table):
        return (views.show(con, table, run_id=run_id, now=_naive_utc(now)),)
    ordered = sorted(arrivals, key=lambda arrival: arrival.origin)
    return tuple(_load_one(con, table, arrival, run_id, _naive_utc(now)) for arrival in ordered)


def record_failure(
    con: duckdb.DuckDBPyConnection,
    table: SourceTable,
    origin: str,
    error: str,
    run_id: str,
    now: datetime,
) -> LoadResult:
    """Write down that something never arrived (`error` is a FetchError's text)."""
    return _fail(con, _entry(con, table, origin, run_id), error, _naive_utc(now))


def _load_one(
    con: duckdb.DuckDBPyConnection,
    table: SourceTable,
    arrival: Arrival,
    run_id: str,
    now: datetime,
) -> LoadResult:
    clock = time.perf_counter()
    entry = _entry(con, table, arrival.origin, run_id)
    if arrival.error is not None:
        return _fail(con, entry, arrival.error, now)
    try:
        standing, _ = ledger.current(con, table, arrival.origin)
        if standing and standing.declaration_hash != table.declaration_hash:
            standing = None
        if standing and known_files.is_known(con, table, arrival):
            ledger.supersede(con, standing, ("failed",))
            return standing.result("unchanged")
        marks = arrival.path.stat()
        lines = table.ingest is not None and table.ingest.format.type == "ndjson"
        with contents.reading(arrival.path, count=lines) as found:
            if standing and standing.content_hash == found().content_hash:
                ledger.supersede(con, standing, ("failed",))
                known_files.remember(con, table, arrival, marks)
                return standing.result("unchanged")
            result = _load_new(con, table, arrival, entry, found, now, clock)
        if result.status == "loaded":
            known_files.remember(con, table, arrival, marks)
        return result
    except OSError as error:
        return _fail(con, entry, messages.message(error, arrival), now)


def _load_new(
    con: duckdb.DuckDBPyConnection,
    table: SourceTable,
    arrival: Arrival,
    entry: LedgerEntry,
    found: Callable[[], Contents],
    now: datetime,
    clock: float,
) -> LoadResult:
    """Load bytes that are not loaded yet; `found` waits for what is known of them."""
    try:
        problems: list[Problem] = []
        types = ledger.duckdb_types(con, table, problems)
        if problems or table.ingest is None:
            raise LoadError(problems[0].message if problems else "its declaration has a problem")
        delivery = stored.Delivery(entry.load_id, arrival.origin, now)
        label = rows.Load(table, types, delivery, arrival.is_whole)
        with tempfile.TemporaryDirectory(prefix="mainstem-load-") as folder:
            task = Task(label, entry, arrival.path, Path(folder), found, now, clock)
            entry, new = _read(con, task)
        return replace(entry.result("loaded"), new_columns=new)
    except duckdb.FatalException:
        raise  # the database itself is broken: nothing can be written down in it
    except (LoadError, duckdb.Error, OSError, ValueError) as error:
        known = replace(entry, content_hash=found().content_hash, bytes=found().size)
        return _fail(con, known, messages.message(error, arrival), now)


def _read(con: duckdb.DuckDBPyConnection, task: Task) -> tuple[LedgerEntry, tuple[str, ...]]:
    """Read the file in a transaction; once more in a slower way, where a quick one overlooked
    something, and once more, with one kind of line end, if it has several."""
    place = (con, task.label.table, task.label.types, task.path, task.workspace)
    try:
        reading = readers.reading(*place)
        while reading.quick:
            try:
                return _commit(con, task, reading)
            except shortcut.OverlookedError:
                reading = replace(reading, quick=reading.quick.slower)
        return _commit(con, task, reading)
    except duckdb.InvalidInputException as error:
        if "state machine" not in str(error):
            raise
    return _commit(con, task, readers.reading(*place, one_newline=True))


def _commit(
    con: duckdb.DuckDBPyConnection, task: Task, reading: readers.Reading
) -> tuple[LedgerEntry, tuple[str, ...]]:
    table = task.label.table
    keeps_extra = stored.keeps_extra(con, table)
    if reading.has_extra and not keeps_extra:
        stored.keep_extra(con, table, task.label.types)
        keeps_extra = True
    with _any_order(con):
        con.execute("begin")
        try:
            delivery = stored.book(con, table, task.label.delivery)
            label = replace(task.label, delivery=delivery, keeps_extra=keeps_extra)
            entry, new = _bring_in(con, replace(task, label=label), reading)
            known = task.found()
            entry = replace(entry, content_hash=known.content_hash, bytes=known.size)
            elapsed = timedelta(seconds=time.perf_counter() - task.clock)
            ledger.write(con, entry, task.now, task.now + elapsed)
            con.execute("commit")
        except BaseException:
            con.execute("rollback")
            raise
    return entry, new


def _bring_in(
    con: duckdb.DuckDBPyConnection, task: Task, reading: readers.Reading
) -> tuple[LedgerEntry, tuple[str, ...]]:
    """Within the transaction: old rows out, new rows in; the entry with its counts, and what
    columns are new."""
    label = task.label
    raw = stored_table(label.table)
    others = not label.is_snapshot and rows.remove_origin(con, label)
    compete = label.is_snapshot or (
        bool(label.key) and (others or stored.has_outranked(con, label.table))
    )
    target = rows.STAGED if compete else raw
    if compete:
        rows.make_stage(con, label)
    quarantine.forget_rejects(con)
    inserted = rows.insert(con, label, reading, target)
    if reading.quick:
        mine = f"from {target} where {label.mine}"
        found = task.found() if reading.path.samefile(task.path) else None
        shortcut.verify(con, reading.quick, reading.path, label.types, mine, found)
    con.execute("set preserve_insertion_order = true")  # the quarantine counts rows
    misfit = f"from {target} where {label.mine} and _occurrence is null"
    misfits = con.execute(f"select count(*) {misfit}").fetchall()[0][0]
    quarantined = quarantine.collect(con, label, reading, misfits)
    complete = label.is_snapshot and (snapshots.note_present(con, label) and quarantined == misfits)
    if misfits:
        con.execute(f"delete {misfit}")
    good = inserted - misfits
    duplicates = 0
    if label.key:
        duplicates = keys.keep_newest(con, label, target, good)
        if label.is_snapshot:
            snapshots.merge(con, label, complete=complete)
        elif compete:
            duplicates += keys.merge(con, label)
    else:
        rows.number_occurrences(con, label, good, others=others)
    loaded = con.execute(
        f"select count(*) from {raw} where {label.mine} and _occurrence is not null"
    ).fetchall()[0][0]
    if label.is_snapshot and not loaded:
        duplicates = good  # a newer delivery stands
    read = good + quarantined
    if read != loaded + duplicates + quarantined:
        raise LoadError(
            f"its rows do not add up ({read} read, {loaded} loaded, {duplicates} duplicate, "
            f"{quarantined} quarantined): nothing was loaded, please report this"
        )
    drift_noted = drift.note(con, label, reading.undeclared)
    entry = replace(
        task.entry,
        rows_read=read,
        rows_loaded=loaded,
        rows_duplicate=duplicates,
        rows_quarantined=quarantined,
    )
    return entry, drift_noted


@contextmanager
def _any_order(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Rows may be written in any order: nothing depends on it, and it takes less time and memory.

    Around a transaction, because an aborted one takes no settings.
    """
    query = "select current_setting('preserve_insertion_order')"
    before = con.execute(query).fetchall()[0][0]
    con.execute("set preserve_insertion_order = false")
    try:
        yield
    finally:
        con.execute(f"set preserve_insertion_order = {str(before).lower()}")


def _entry(
    con: duckdb.DuckDBPyConnection, table: SourceTable, origin: str, run_id: str
) -> LedgerEntry:
    """The ledger's row for this attempt, before anything came of it."""
    _, attempts = ledger.current(con, table, origin)
    return LedgerEntry(
        load_id=_load_id(table, origin, attempts + 1),
        source=table.source,
        table_name=table.name,
        origin=origin,
        content_hash=None,
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


def _fail(
    con: duckdb.DuckDBPyConnection, entry: LedgerEntry, error: str, now: datetime
) -> LoadResult:
    entry = replace(entry, status="failed", error=error)
    con.execute("begin")
    try:
        ledger.write(con, entry, now, now)
        con.execute("commit")
    except BaseException:
        con.execute("rollback")
        raise
    return entry.result("failed")


def _load_id(table: SourceTable, origin: str, attempt: int) -> str:
    parts = (table.source, table.name, origin, table.declaration_hash, str(attempt))
    return "load_" + hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:24]


def _naive_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
