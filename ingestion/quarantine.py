"""Rows that could not be loaded, each with its place, its reason and its text, in ops.quarantine.

`row_number` is the line of a CSV or NDJSON file (a quoted line break counts as none) or the place
of a record in a JSON array, from 1. `raw` is the row's text, at most 4,000 characters of it, with
CSV quoting left out where the row could be split.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

from ingestion import file_text
from ingestion.readers import MAX_LINE_BYTES, REJECTS, Reading
from ingestion.rows import Load, misfits, typed
from ingestion.sources import IngestionError, LoadError
from ingestion.sql import literal

FOUND = "ingestion_found"
RAW_CHARACTERS = 4000
_REASONS = {
    "TOO MANY COLUMNS": "too many fields",
    "MISSING COLUMNS": "too few fields",
    "INVALID ENCODING": "invalid UTF-8",
    "UNQUOTED VALUE": "broken quoting",
    "LINE SIZE OVER MAXIMUM": f"line longer than {MAX_LINE_BYTES >> 20} MiB",
}


@dataclass(frozen=True)
class Count:
    """How many rows of a table's standing loads were refused for one reason in one column."""

    source: str
    table_name: str
    reason: str
    column_name: str | None
    rows: int
    origins: int
    quarantined_at: datetime


@dataclass(frozen=True)
class Refused:
    """One refused row: where it stands in which file, why, and its text (somebody's data!)."""

    load_id: str
    row_number: int
    source: str
    table_name: str
    origin: str
    reason: str
    column_name: str | None
    raw: str | None
    quarantined_at: datetime


def counts(con: duckdb.DuckDBPyConnection) -> tuple[Count, ...]:
    """What is refused today, most rows first; what superseded loads refused is history."""
    found = con.execute("""
        select q.source, q.table_name, q.reason, q.column_name, count(*),
            count(distinct l.origin), max(q.quarantined_at)
        from ops.quarantine as q join ops.loads as l using (load_id)
        where l.status = 'loaded'
        group by all
        order by count(*) desc, q.source, q.table_name, q.reason, q.column_name""").fetchall()
    return tuple(Count(*row) for row in found)


def refused(
    con: duckdb.DuckDBPyConnection, source: str, table_name: str, limit: int = 20
) -> tuple[Refused, ...]:
    """The first refused rows of a table's standing loads, by file and row."""
    return _refused(con, "l.source = ? and l.table_name = ?", [source, table_name], limit)


def holding(con: duckdb.DuckDBPyConnection, text: str, limit: int = 3) -> tuple[Refused, ...]:
    """The first refused rows of standing loads in whose text `text` stands, in whatever case."""
    return _refused(con, "contains(lower(q.raw), lower(?))", [text], limit)


def explain(
    con: duckdb.DuckDBPyConnection, source: str, table_name: str, origin: str, row_number: int
) -> Refused:
    """One row of a file. Raises IngestionError where no such row is refused."""
    where = "l.source = ? and l.table_name = ? and l.origin = ? and q.row_number = ?"
    found = _refused(con, where, [source, table_name, origin, row_number], 1)
    if not found:
        raise IngestionError(
            f"row {row_number} of {origin} is not in the quarantine of {source}.{table_name}: "
            "list what is"
        )
    return found[0]


def _refused(
    con: duckdb.DuckDBPyConnection, where: str, values: list[object], limit: int
) -> tuple[Refused, ...]:
    found = con.execute(
        "select q.load_id, q.row_number, q.source, q.table_name, l.origin, q.reason, "
        "q.column_name, q.raw, q.quarantined_at "
        "from ops.quarantine as q join ops.loads as l using (load_id) "
        f"where l.status = 'loaded' and {where} order by l.origin, q.row_number limit ?",
        [*values, limit],
    ).fetchall()
    return tuple(Refused(*row) for row in found)


def forget_rejects(con: duckdb.DuckDBPyConnection) -> None:
    """Drop what DuckDB noted about lines it could not split, before another read notes its own."""
    con.execute(f"drop table if exists {REJECTS}; drop table if exists {REJECTS}_scans")


def collect(con: duckdb.DuckDBPyConnection, load: Load, reading: Reading, misfit_rows: int) -> int:
    """Write the load's quarantine and return its number of rows.

    `misfit_rows` is how many rows came without an `_occurrence`: only for them is the file read
    again, this time with row numbers.
    """
    con.execute(
        f"create or replace temp table {FOUND} "
        "(line bigint, reason varchar, column_name varchar, raw varchar)"
    )
    if reading.keeps_rejects:
        _rejected(con, reading)
        forget_rejects(con)
    if misfit_rows:
        _misfitting(con, load, reading, misfit_rows)
        forget_rejects(con)
    # A blank line can make DuckDB's count of lines and ours differ: numbers still never repeat.
    con.execute(
        f"""
        insert into ops.quarantine
        select ?, place + max(line - place) over (order by place), ?, ?, reason, column_name,
            left(raw, {RAW_CHARACTERS}), ?
        from (select *, row_number() over (order by line, reason, raw) as place from {FOUND})""",
        [
            load.delivery.load_id,
            load.table.source,
            load.table.name,
            load.delivery.loaded_at,
        ],
    )
    count = con.execute(f"select count(*) from {FOUND}").fetchall()[0][0]
    con.execute(f"drop table {FOUND}")
    return int(count)


def _rejected(con: duckdb.DuckDBPyConnection, reading: Reading) -> None:
    """Lines that DuckDB could not split; one with several faults is one line."""
    reasons = " ".join(f"when {literal(kind)} then {literal(r)}" for kind, r in _REASONS.items())
    names = ", ".join(literal(name) for name in reading.names)
    con.execute(f"""
        insert into {FOUND}
        select any_value(line)::bigint, arg_min(reason, column_idx),
            arg_min(column_name, column_idx), any_value(csv_line)
        from (
            select line, line_byte_position, column_idx, csv_line,
                case error_type::varchar {reasons} else lower(error_type::varchar) end as reason,
                case when error_type::varchar = 'INVALID ENCODING'
                    then [{names}][column_idx::bigint] end as column_name
            from {REJECTS}
        )
        group by line_byte_position""")


def _misfitting(
    con: duckdb.DuckDBPyConnection, load: Load, reading: Reading, expected: int
) -> None:
    """Rows that could be split but do not fit the declaration, by a second read."""
    ways = misfits(load)
    bad = " or ".join(condition for condition, _, _ in ways)
    reason = " ".join(
        f"when {condition} then {literal(text) if text else 'defect'}"
        for condition, _, text in ways
    )
    column = " ".join(
        f"when {condition} then {literal(name) if name else 'null'}" for condition, name, _ in ways
    )
    # Records that were split are counted; each rejected line before one moves it down by one.
    inserted = con.execute(f"""
        insert into {FOUND}
        with numbered as (
            select *, row_number() over () as record from ({reading.relation})
        ),
        typed as ({typed(load, reading).replace(f"({reading.relation})", "numbered")}),
        misfit as (
            select record, case {reason} end as reason, case {column} end as column_name, raw
            from typed where {bad}
        ),
        skipped as (
            select line::bigint - {reading.first_line} - row_number() over (order by line) + 1
                as records_before
            from {FOUND}
        )
        select misfit.record + {reading.first_line - 1}
                + (select count(*) from skipped where records_before < misfit.record),
            misfit.reason, misfit.column_name, misfit.raw
        from misfit""").fetchall()[0][0]
    if inserted != expected:
        raise LoadError(
            f"it read differently the second time ({inserted} rows that do not fit, not "
            f"{expected}): it changed while it was loaded, run again"
        )
    if load.table.ingest and load.table.ingest.format.type == "ndjson":
        _as_lines(con, reading)


def _as_lines(con: duckdb.DuckDBPyConnection, reading: Reading) -> None:
    """NDJSON counts records and keeps no text of a broken one: put the file's own lines in."""
    wanted = {int(record) for (record,) in con.execute(f"select line from {FOUND}").fetchall()}
    lines = file_text.numbered_lines(reading.path, reading.packed, wanted)
    rows = [(record, number, text) for record, (number, text) in lines.items()]
    con.execute("create or replace temp table ingestion_lines (record bigint, n bigint, t varchar)")
    con.executemany("insert into ingestion_lines values (?, ?, ?)", rows)
    con.execute(
        f"update {FOUND} set line = n, raw = t from ingestion_lines where line = record; "
        "drop table ingestion_lines"
    )
