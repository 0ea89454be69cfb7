"""One row a key: which of the rows that claim a key stands, within a file and between origins.

The newest by the declared column wins; then the newest of a cursor's windows, which were read to
put something right; then the greater origin (a later file's name); then the
greater content, so that the order of rows never matters. A row that loses to another origin's is
kept in the schema `ingestion`, out of sight: when the origin that won is delivered again without
it, the loser stands again. The raw table is thus a function of what every origin holds now.
"""

from __future__ import annotations

import duckdb

from ingestion.ids import fingerprint, repeats, text
from ingestion.rows import REMOVED, STAGED, Load
from ingestion.sql import quoted, stored_table
from ingestion.stored import has_outranked, of_origin, outranked_table
from ingestion.windows import is_windows


def _order(load: Load) -> str:
    """What stands first is what stands; over stored rows joined with their deliveries."""
    newest = load.table.ingest.newest_by if load.table.ingest else None
    first = f"{quoted(newest)} desc nulls last, " if newest else ""
    texts = ", ".join(f"coalesce({text(name, kind)}, '')" for name, kind in load.types.items())
    if load.table.ingest and load.table.ingest.cursor:
        first += f"case when {is_windows('origin')} then loaded_at end desc nulls last, "
    return (
        f"{first}origin desc, "
        f"sha256(concat_ws(chr(31), {texts}, coalesce({load.extra}::varchar, ''))) desc"
    )


def keep_newest(con: duckdb.DuckDBPyConnection, load: Load, target: str, inserted: int) -> int:
    """Of this load's rows of one key in `target`, leave one; how many went."""
    mine = f"from {target} where {load.mine}"
    hashes = f"select {fingerprint(load.types, load.key)} as h {mine}"
    if not repeats(con, hashes, inserted):
        return 0
    key = ", ".join(map(quoted, load.key))
    deleted = con.execute(f"""
        delete from {target} where rowid in (
            select row_id from (
                select {target}.rowid as row_id, row_number() over (
                    partition by {key} order by {_order(load)}
                ) as place
                from {target} join ingestion.deliveries on _delivery = delivery
                where {load.mine} and ({key}) in (select ({key}) {mine} group by all having count(*) > 1)
            ) where place > 1
        )""").fetchall()
    return int(deleted[0][0])


def merge(con: duckdb.DuckDBPyConnection, load: Load) -> int:
    """Bring the staged rows into the raw table, settling keys with the rows of other origins.

    Returns how many of them lost their key to another origin.
    """
    raw, outranked = stored_table(load.table), outranked_table(load.table)
    kept = has_outranked(con, load.table)
    if kept:
        theirs = of_origin(load.table, load.delivery.origin)
        con.execute(f"delete from {outranked} where _delivery in ({theirs})")
    lost = _settle(con, load, kept)
    con.execute(f"insert into {raw} ({load.columns}) select {load.columns} from {STAGED}")
    return lost


def _settle(con: duckdb.DuckDBPyConnection, load: Load, kept: bool) -> int:
    """Rank every claimant of each key that this load touches and others claim too.

    Returns how many of this load's rows lost.
    """
    raw, outranked = stored_table(load.table), outranked_table(load.table)
    before = f"select {load.columns}, {load.record_id} as _record_id from {raw}"
    if kept:
        before += (
            f" union all select {load.columns}, {load.record_id} as _record_id from {outranked}"
        )
    con.execute(f"""
        create or replace temp table ingestion_contested as
        with touched as (
            select {load.record_id} as _record_id from {STAGED} union select _record_id from {REMOVED}
        )
        select distinct _record_id from ({before}) semi join touched using (_record_id)""")
    con.execute(f"""
        create or replace temp table ingestion_claims as
        with claims as ({before} union all select {load.columns}, {load.record_id} as _record_id from {STAGED})
        select {load.columns}, row_number() over (
            partition by _record_id order by {_order(load)}
        ) as place
        from claims join ingestion.deliveries on _delivery = delivery
        semi join ingestion_contested using (_record_id)""")
    contested = f"{load.record_id} in (select _record_id from ingestion_contested)"
    for name in (raw, STAGED, *([outranked] if kept else [])):
        con.execute(f"delete from {name} where {contested}")
    con.execute(
        f"insert into {raw} ({load.columns}) "
        f"select {load.columns} from ingestion_claims where place = 1"
    )
    losers, mine = con.execute(
        f"select count(*), count(*) filter ({load.mine}) from ingestion_claims where place > 1"
    ).fetchall()[0]
    if losers:
        con.execute("create schema if not exists ingestion")
        con.execute(f"create table if not exists {outranked} ({load.definition})")
        con.execute(
            f"insert into {outranked} ({load.columns}) "
            f"select {load.columns} from ingestion_claims where place > 1"
        )
    _recount(con, load)
    return int(mine)


def _recount(con: duckdb.DuckDBPyConnection, load: Load) -> None:
    """Other loads gained or lost a key: their loaded and duplicate counts say what stands now."""
    con.execute(f"""
        update ops.loads set
            rows_loaded = standing.n,
            rows_duplicate = rows_read - rows_quarantined - standing.n
        from (
            select affected._delivery, count(stands._delivery) as n
            from (
                select distinct _delivery from ingestion_claims where not {load.mine}
            ) as affected
            left join {stored_table(load.table)} as stands using (_delivery)
            group by affected._delivery
        ) as standing join ingestion.deliveries on standing._delivery = deliveries.delivery
        where ops.loads.load_id = deliveries.load_id""")
