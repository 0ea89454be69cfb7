"""From a file's relation of texts to typed rows with ids that stay the same.

Every row of the file is inserted in one pass, and one that does not fit its declaration comes
without a `_record_id`: so a clean file is read once, and only a file with such rows a second time.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from ingestion.casts import cast, is_text
from ingestion.ledger import TECHNICAL
from ingestion.readers import Reading
from ingestion.sources import SourceTable
from ingestion.sql import literal, quoted, raw_table

STAGED = "temp.ingestion_staged"
REMOVED = "temp.ingestion_removed"


@dataclass(frozen=True)
class Load:
    """What one load of one file writes: the table, its DuckDB types by column, and the labels."""

    table: SourceTable
    types: dict[str, str]
    load_id: str
    origin: str
    loaded_at: str

    @property
    def key(self) -> tuple[str, ...]:
        """The declared key's columns, or none."""
        return self.table.ingest.key if self.table.ingest else ()

    @property
    def columns(self) -> str:
        """Every column of the raw table that a load fills, quoted."""
        names = [*self.types, *(name for name, _ in TECHNICAL)]
        return ", ".join(quoted(name) for name in names)

    @property
    def definition(self) -> str:
        """The same columns with their types, as CREATE TABLE wants them."""
        return ", ".join(
            f"{quoted(name)} {kind}" for name, kind in [*self.types.items(), *TECHNICAL]
        )


def typed(load: Load, reading: Reading) -> str:
    """SQL: the relation with `c0 … cn` beside its texts, the declared columns in their types."""
    casts = ", ".join(
        f"{reading.values.get(i) or cast(f't{i}', column, load.types[column.name])} as c{i}"
        for i, column in enumerate(load.table.columns)
    )
    return f"select *, {casts} from ({reading.relation})"


def misfits(load: Load) -> list[tuple[str, str, str]]:
    """Every way in which a row can fail its declaration: (SQL condition, column, reason)."""
    found: list[tuple[str, str, str]] = [("defect is not null", "", "")]
    for i, column in enumerate(load.table.columns):
        kind = load.types[column.name]
        if column.required or column.name in load.key:
            absent = f"(t{i} is null or t{i} = '')"
            found.append((absent, column.name, "missing required value"))
        if not is_text(kind):
            form = f" in the format {' or '.join(column.formats)}" if column.formats else ""
            reason = f"not a valid {kind}{form}"
            found.append((f"(t{i} is not null and c{i} is null)", column.name, reason))
    return found


def insert(con: duckdb.DuckDBPyConnection, load: Load, reading: Reading, target: str) -> int:
    """Insert every record into `target`, those that do not fit without a `_record_id`.

    Returns how many records came; lines that DuckDB could not split are in the rejects instead.
    """
    bad = " or ".join(condition for condition, _, _ in misfits(load))
    values = ", ".join(f"c{i}" for i in range(len(load.types)))
    sql = f"""
        insert into {target} ({load.columns})
        select {values}, extra, case when not coalesce({bad}, false) then {record_id(load)} end,
            {literal(load.load_id)}, {literal(load.origin)}, {literal(load.loaded_at)}::timestamp
        from ({typed(load, reading)})"""
    return int(con.execute(sql).fetchall()[0][0])


def record_id(load: Load) -> str:
    """SQL for the id: the key's values joined with `|`, or a hash of the declared texts.

    In a key of several columns `|` and `\\` inside a value are escaped with `\\`. A hash is the
    first half of SHA-256 over the texts as the file has them, joined with U+001F; `-1` is the first
    occurrence of that content, and `number_occurrences` counts on.
    """
    positions = {column.name: i for i, column in enumerate(load.table.columns)}
    if len(load.key) == 1:
        return f"c{positions[load.key[0]]}::varchar"
    if load.key:
        parts = [
            rf"replace(replace(c{positions[name]}::varchar, '\', '\\'), '|', '\|')"
            for name in load.key
        ]
        return f"concat_ws('|', {', '.join(parts)})"
    texts = ", ".join(f"coalesce(t{i}, '')" for i in range(len(positions)))
    return f"left(sha256(concat_ws(chr(31), {texts})), 32) || '-1'"


def remove_origin(con: duckdb.DuckDBPyConnection, load: Load) -> bool:
    """Delete what the origin brought before, keeping its ids in REMOVED; say if rows are left."""
    raw = raw_table(load.table)
    con.execute(
        f"create or replace temp table {_bare(REMOVED)} as "
        f"select distinct _record_id from {raw} where _origin = ?",
        [load.origin],
    )
    con.execute(f"delete from {raw} where _origin = ?", [load.origin])
    return bool(con.execute(f"select 1 from {raw} limit 1").fetchall())


def make_stage(con: duckdb.DuckDBPyConnection, load: Load) -> None:
    """An empty table like the raw one, for rows that have to compete for their key first.

    Never by `create table ... as select ... limit 0`: in DuckDB 2.0, what a transaction then
    inserts in bulk into that table is counted, and not seen by its scans.
    """
    con.execute(f"create or replace temp table {_bare(STAGED)} ({load.definition})")


def number_occurrences(con: duckdb.DuckDBPyConnection, load: Load, *, others: bool) -> None:
    """Number rows of the same content (no key) from 1, over the whole table, by origin.

    The ids of a table are thus a function of what its origins hold now, in whatever order they
    came: with n equal rows there are the occurrences 1 to n.
    """
    raw = raw_table(load.table)
    mine = f"select _record_id from {raw} where _load_id = {literal(load.load_id)}"
    ids = f"{mine} union all select _record_id from {REMOVED}" if others else mine
    scope = "" if others else f"and _load_id = {literal(load.load_id)}"
    if (
        not others
        and not con.execute(
            f"select 1 from ({mine}) group by _record_id having count(*) > 1 limit 1"
        ).fetchall()
    ):
        return
    con.execute(f"""
        update {raw} set _record_id = numbered.record_id
        from (
            select rowid as row_id, _record_id as old_id,
                left(_record_id, 32) || '-' || row_number() over (
                    partition by left(_record_id, 32)
                    order by _origin, _extra::varchar nulls first
                ) as record_id
            from {raw}
            where left(_record_id, 32) in (select left(_record_id, 32) from ({ids})) {scope}
        ) as numbered
        where {raw}.rowid = numbered.row_id and numbered.record_id <> numbered.old_id""")


def _bare(name: str) -> str:
    """A temporary table's name as CREATE TEMP TABLE wants it."""
    return name.removeprefix("temp.")
