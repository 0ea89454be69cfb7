"""Mode `snapshot`: the newest delivery is the whole truth, and what it lacks is marked deleted.

The newest delivery is that of the greatest origin (a later file's name): one of a lesser origin
changes nothing while a greater one stands, in whatever order they come. `_deleted_at` is the moment
of the load that first missed a row; a row that comes back is simply there again.
"""

from __future__ import annotations

import duckdb

from ingestion.rows import STAGED, Load
from ingestion.sql import quoted, stored_table

PRESENT = "temp.ingestion_present"


def note_present(con: duckdb.DuckDBPyConnection, load: Load) -> bool:
    """Keep the keys of every staged row, also of those that do not fit; False where one has none."""
    key = ", ".join(map(quoted, load.key))
    con.execute(
        f"create or replace temp table {PRESENT.removeprefix('temp.')} as "
        f"select {key}, {_any_null(load)} as unknown from {STAGED}"
    )
    return not con.execute(f"select 1 from {PRESENT} where unknown limit 1").fetchall()


def merge(con: duckdb.DuckDBPyConnection, load: Load, *, complete: bool) -> None:
    """Bring the staged rows in and mark what is missing.

    Not where a row was refused whose key could not be read (`complete` is false): it may be the
    one that seems to be missing.
    """
    stored = stored_table(load.table)
    key = ", ".join(map(quoted, load.key))
    newer = con.execute(
        "select 1 from ops.loads where source = ? and table_name = ? and origin > ? "
        "and status = 'loaded' limit 1",
        [load.table.source, load.table.name, load.delivery.origin],
    ).fetchall()
    if newer:
        return
    same = " and ".join(f"{stored}.{quoted(k)} = there.{quoted(k)}" for k in load.key)
    con.execute(f"delete from {stored} using (select {key} from {STAGED}) as there where {same}")
    if complete:
        con.execute(
            f"update {stored} set _deleted_at = ? "
            f"where _deleted_at is null and not exists (select 1 from {PRESENT} as there where {same})",
            [load.delivery.loaded_at],
        )
    con.execute(f"insert into {stored} ({load.columns}) select {load.columns} from {STAGED}")
    con.execute(
        f"""
        update ops.loads set
            rows_loaded = standing.n,
            rows_duplicate = rows_read - rows_quarantined - standing.n
        from (
            select loads.load_id, count(stands._delivery) as n
            from ops.loads join ingestion.deliveries using (load_id)
            left join {stored} as stands on stands._delivery = deliveries.delivery
            where loads.source = ? and loads.table_name = ? and loads.origin <> ?
                and loads.status = 'loaded'
            group by loads.load_id
        ) as standing
        where ops.loads.load_id = standing.load_id""",
        [load.table.source, load.table.name, load.delivery.origin],
    )


def _any_null(load: Load) -> str:
    return " or ".join(f"{quoted(name)} is null" for name in load.key)
