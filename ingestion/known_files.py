"""Files that need no second look: same size, same moment of change, same inode as when loaded.

What is kept here only saves hashing: where it is missing or differs, the bytes decide. A file that
changed within the last two seconds is not trusted, since it can change again within one tick of
its clock.
"""

from __future__ import annotations

import os
import time

import duckdb

from ingestion.sources import Arrival, SourceTable

_SETTLED_NS = 2_000_000_000


def _marks(stat: os.stat_result) -> list[int]:
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


def is_known(con: duckdb.DuckDBPyConnection, table: SourceTable, arrival: Arrival) -> bool:
    """Whether the file is, by its marks, the one that this origin's last load was of."""
    found = con.execute(
        "select bytes, mtime_ns, inode from ingestion.files "
        "where source = ? and table_name = ? and origin = ?",
        [table.source, table.name, arrival.origin],
    ).fetchall()
    return [list(row) for row in found] == [_marks(arrival.path.stat())]


def remember(
    con: duckdb.DuckDBPyConnection, table: SourceTable, arrival: Arrival, before: os.stat_result
) -> None:
    """Keep the marks that the file had before it was read, if it still has them and has settled."""
    place = [table.source, table.name, arrival.origin]
    settled = time.time_ns() - before.st_mtime_ns > _SETTLED_NS
    con.execute("begin")
    try:
        con.execute(
            "delete from ingestion.files where source = ? and table_name = ? and origin = ?", place
        )
        if settled and _marks(arrival.path.stat()) == _marks(before):
            con.execute(
                "insert into ingestion.files values (?, ?, ?, ?, ?, ?)", [*place, *_marks(before)]
            )
        con.execute("commit")
    except BaseException:
        con.execute("rollback")
        raise
