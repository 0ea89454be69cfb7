"""Loading again, after a declaration was mended, the files that have rows in the quarantine."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import duckdb

from ingestion import load
from ingestion.sources import Arrival, LoadResult, SourceTable


def replay(
    con: duckdb.DuckDBPyConnection,
    table: SourceTable,
    arrivals: Iterable[Arrival],
    *,
    run_id: str,
    now: datetime,
) -> tuple[LoadResult, ...]:
    """Load again, of these files, those that have refused rows.

    After the declaration was mended their rows come in; with the old declaration and the same
    bytes nothing changes, and the results say so.
    """
    found = con.execute(
        "select distinct l.origin from ops.quarantine as q join ops.loads as l using (load_id) "
        "where l.status = 'loaded' and l.source = ? and l.table_name = ?",
        [table.source, table.name],
    ).fetchall()
    origins = {origin for (origin,) in found}
    chosen = [arrival for arrival in arrivals if arrival.origin in origins]
    return load.load(con, table, chosen, run_id=run_id, now=now)
