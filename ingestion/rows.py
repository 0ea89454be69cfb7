"""From a file's relation of texts to typed rows with ids that stay the same.

Every row of the file is inserted in one pass, and one that does not fit its declaration comes
without an `_occurrence`: so a clean file is read once, and only a file with such rows a second time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import duckdb

from ingestion.casts import cast, is_text
from ingestion.ids import fingerprint, record_id, repeats, telling, text
from ingestion.readers import Reading
from ingestion.sources import SourceTable
from ingestion.sql import quoted, stored_table
from ingestion.stored import (
    EXTRA,
    FILLED,
    Delivery,
    body,
    has_outranked,
    of_origin,
    outranked_table,
)

STAGED = "temp.ingestion_staged"
REMOVED = "temp.ingestion_removed"


@dataclass(frozen=True)
class Load:
    """What one load of one file writes: the table, its DuckDB types by column, and the delivery.

    `keeps_extra` says whether the stored table has a place for what nobody declared.
    """

    table: SourceTable
    types: dict[str, str]
    delivery: Delivery
    is_whole: bool = False
    keeps_extra: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        """The declared key's columns, or none."""
        return self.table.ingest.key if self.table.ingest else ()

    @property
    def mine(self) -> str:
        """SQL that is true for this load's rows, in a table of stored rows."""
        return f"_delivery = {self.delivery.number}"

    @property
    def is_snapshot(self) -> bool:
        """Whether the newest delivery is the whole truth."""
        return bool(self.table.ingest and self.table.ingest.mode == "snapshot")

    @property
    def columns(self) -> str:
        """Every column of the raw table that a load fills, quoted."""
        filled = [*FILLED, *([EXTRA] if self.keeps_extra else [])]
        return ", ".join(quoted(name) for name in [*self.types, *(name for name, _ in filled)])

    @property
    def extra(self) -> str:
        """SQL for what a stored row has that nobody declared."""
        return "_extra" if self.keeps_extra else "null::json"

    @property
    def definition(self) -> str:
        """The stored table's columns, as CREATE TABLE wants them."""
        return body(self.table, self.types, extra=self.keeps_extra)

    @property
    def record_id(self) -> str:
        """SQL for a row's id over those columns."""
        return record_id(self.table, self.types)


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
            # The few rows without a value are asked for their text, not all of them.
            wrong = f"case when c{i} is null then coalesce(t{i} <> '', false) else false end"
            found.append((wrong, column.name, reason))
    return found


def insert(con: duckdb.DuckDBPyConnection, load: Load, reading: Reading, target: str) -> int:
    """Insert every record into `target`, those that do not fit without an `_occurrence`.

    Returns how many records came; lines that DuckDB could not split are in the rejects instead.
    """
    bad = " or ".join(condition for condition, _, _ in misfits(load))
    values = ", ".join(f"c{i}" for i in range(len(load.types)))
    if reading.quick:
        reading = replace(reading, relation=reading.quick.relation, values=reading.quick.values)
    sql = f"""
        insert into {target} ({load.columns})
        select {values}, case when not coalesce({bad}, false) then 1 end,
            {load.delivery.number}{", extra" if load.keeps_extra else ""}
        from ({typed(load, reading)})"""
    return int(con.execute(sql).fetchall()[0][0])


def remove_origin(con: duckdb.DuckDBPyConnection, load: Load) -> bool:
    """Delete what the origin brought before, keeping what it was in REMOVED; say if rows are left.

    REMOVED has the fingerprints of contents, or with a key its values as `_record_id`.
    """
    raw = stored_table(load.table)
    if load.is_whole:
        _remove_all(con, load)
    before = f"from {raw} where _delivery in ({of_origin(load.table, load.delivery.origin)})"
    what = load.record_id if load.key else fingerprint(load.types)
    con.execute(
        f"create or replace temp table {_bare(REMOVED)} as "
        f"select distinct {what} as {'_record_id' if load.key else 'h'} {before}"
    )
    con.execute(f"delete {before}")
    return bool(con.execute(f"select 1 from {raw} limit 1").fetchall())


def _remove_all(con: duckdb.DuckDBPyConnection, load: Load) -> None:
    con.execute(f"delete from {stored_table(load.table)}")
    if has_outranked(con, load.table):
        con.execute(f"delete from {outranked_table(load.table)}")
    con.execute(
        "update ops.loads set status = 'superseded' where source = ? and table_name = ? "
        "and status = 'loaded'",
        [load.table.source, load.table.name],
    )


def make_stage(con: duckdb.DuckDBPyConnection, load: Load) -> None:
    """An empty table like the raw one, for rows that have to compete for their key first.

    Never by `create table ... as select ... limit 0`: in DuckDB 2.0, what a transaction then
    inserts in bulk into that table is counted, and not seen by its scans.
    """
    con.execute(f"create or replace temp table {_bare(STAGED)} ({load.definition})")


def number_occurrences(
    con: duckdb.DuckDBPyConnection, load: Load, inserted: int, *, others: bool
) -> None:
    """Number rows of the same content (no key) from 1, over the whole table, by origin.

    The ids of a table are thus a function of what its origins hold now, in whatever order they
    came: with n equal rows there are the occurrences 1 to n. Rows come as the first of their kind;
    only where a fingerprint repeats is anything compared, sorted or written.
    """
    raw = stored_table(load.table)
    print_ = fingerprint(load.types)
    own = f"select {print_} as h from {raw} where {load.mine}"
    contested = []
    one = telling(con, load.types, f"from {raw} where {load.mine}")
    alone = f"select {fingerprint(load.types, one)} as h from {raw} where {load.mine}"
    if (not one or repeats(con, alone, inserted)) and repeats(con, own, inserted):
        contested.append(f"select h from ({own}) group by h having count(*) > 1")
    if others:
        theirs = f"select {print_} as h from {raw} where not {load.mine}"
        contested.append(f"select h from ({theirs}) semi join ({own}) using (h)")
        contested.append(
            f"select h from {REMOVED} semi join "
            f"(select {print_} as h from {raw} where _occurrence > 1) using (h)"
        )
    if not contested:
        return
    content = ", ".join(f"coalesce({text(name, kind)}, '')" for name, kind in load.types.items())
    rest = ", ".join(quoted(name) for name in load.types)
    con.execute(f"""
        update {raw} set _occurrence = numbered.place
        from (
            select {raw}.rowid as row_id, _occurrence as before, row_number() over (
                partition by {content} order by origin, {load.extra}::varchar nulls first, {rest}
            ) as place
            from {raw} join ingestion.deliveries on _delivery = delivery
            where {print_} in ({" union ".join(contested)})
        ) as numbered
        where {raw}.rowid = numbered.row_id and numbered.place <> numbered.before""")


def _bare(name: str) -> str:
    """A temporary table's name as CREATE TEMP TABLE wants it."""
    return name.removeprefix("temp.")
