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
from ingestion.ledger import has_outranked, outranked_table
from ingestion.rows import REMOVED, STAGED, Load
from ingestion.sql import literal, quoted, stored_table
from ingestion.windows import is_windows


def _order(load: Load) -> str:
    newest = load.table.ingest.newest_by if load.table.ingest else None
    first = f"{quoted(newest)} desc nulls last, " if newest else ""
    texts = ", ".join(f"coalesce({text(name, kind)}, '')" for name, kind in load.types.items())
    if load.table.ingest and load.table.ingest.cursor:
        first += f"case when {is_windows('_origin')} then _loaded_at end desc nulls last, "
    return (
        f"{first}_origin desc, "
        f"sha256(concat_ws(chr(31), {texts}, coalesce(_extra::varchar, ''))) desc"
    )


def keep_newest(con: duckdb.DuckDBPyConnection, load: Load, target: str, inserted: int) -> int:
    """Of this load's rows of one key in `target`, leave one; how many went."""
    mine = f"from {target} where _load_id = {literal(load.load_id)}"
    hashes = f"select {fingerprint(load.types, load.key)} as h {mine}"
    if not repeats(con, hashes, inserted):
        return 0
    key = ", ".join(map(quoted, load.key))
    deleted = con.execute(f"""
        delete from {target} where rowid in (
            select row_id from (
                select rowid as row_id, row_number() over (
                    partition by {key} order by {_order(load)}
                ) as place
                {mine} and ({key}) in (select ({key}) {mine} group by all having count(*) > 1)
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
        con.execute(f"delete from {outranked} where _origin = ?", [load.origin])
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
        from claims semi join ingestion_contested using (_record_id)""")
    contested = f"{load.record_id} in (select _record_id from ingestion_contested)"
    for name in (raw, STAGED, *([outranked] if kept else [])):
        con.execute(f"delete from {name} where {contested}")
    con.execute(
        f"insert into {raw} ({load.columns}) "
        f"select {load.columns} from ingestion_claims where place = 1"
    )
    losers, mine = con.execute(
        "select count(*), count(*) filter (_load_id = ?) from ingestion_claims where place > 1",
        [load.load_id],
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
            select affected._load_id, count(stands._load_id) as n
            from (
                select distinct _load_id from ingestion_claims
                where _load_id <> {literal(load.load_id)}
            ) as affected
            left join {stored_table(load.table)} as stands on stands._load_id = affected._load_id
            group by affected._load_id
        ) as standing
        where ops.loads.load_id = standing._load_id""")
