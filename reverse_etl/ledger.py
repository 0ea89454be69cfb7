"""The sync ledger: what each destination holds, and what is on its way there.

The invariant: a batch is `sent` here, committed, before its request goes out, and its answer is
here, committed, before another takes its place. Settling (reverse_etl.settling) turns answers into
`sync_state` and `sync_log` in one transaction, when a run ends or, after a kill, when the ledger is
opened next. So whatever moment a process dies at, a row is either still planned, or in a batch known
to be in flight, which is sent again under the same idempotency key, or settled. A run is unfinished
while it is `running` or has a batch in flight; the next run of that sync continues it under its
`sync_run_id`.

Payloads are kept in `planned_rows` until their run ends and nowhere else.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from reverse_etl import layout, quoting, settling
from reverse_etl.declarations import Sync
from reverse_etl.room import MEMORY

SETTINGS: Mapping[str, str] = {
    "memory_limit": MEMORY[0],
    # payloads are gone when a run ends: most runs need not move them from the log to the tables
    "wal_autocheckpoint": "64MB",
    # a second thread wins little over a row group or two, and takes the processor from those that send
    "threads": "1",
}
LEDGER = "sync_ledger"
# rows that fill a group are written to their table at once; fewer go to the log first and to the table
# when the ledger is closed, which costs half as much again. Half of DuckDB's default.
ROW_GROUP = 61_440


class LedgerBusyError(Exception):
    """Another process has the ledger open."""


@dataclass(frozen=True)
class OpenRun:
    """The sync_runs row that is being worked on."""

    sync_run_id: str
    is_resumed: bool


def connect(path: Path | str) -> duckdb.DuckDBPyConnection:
    """The ledger, open to write, made or brought to today's layout. Raises LedgerBusyError."""
    con = duckdb.connect(config=dict(SETTINGS))
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # what does not fit into memory is put beside the ledger
        con.execute(f"SET temp_directory = {quoting.text(f'{path}.tmp')}")
    try:
        con.execute(f"ATTACH {quoting.text(str(path))} AS {LEDGER} (ROW_GROUP_SIZE {ROW_GROUP})")
    except duckdb.IOException as error:
        con.close()
        if "lock" not in str(error).lower():
            raise
        raise LedgerBusyError(
            f"the sync ledger {path} is open in another process: wait for it, then run again"
        ) from error
    con.execute(f"USE {LEDGER}; SET TimeZone = 'UTC'")
    layout.lay_out(con)
    settling.settle(con)
    return con


def held_elsewhere(con: duckdb.DuckDBPyConnection, sync: Sync) -> str | None:
    """Another destination type that still holds rows under this sync's name, if there is one."""
    rows = con.execute(
        """
        SELECT r.destination FROM sync_runs r
        WHERE r.sync_name = $name AND r.status NOT IN ('blocked', 'failed')
          AND (EXISTS (FROM sync_state s WHERE s.sync_name = $name AND s.is_held)
               OR EXISTS (FROM sync_batches b
                          WHERE b.sync_run_id = r.sync_run_id AND b.status = 'sent'))
        ORDER BY r.started_at DESC, r.sync_run_id LIMIT 1""",
        {"name": sync.name},
    ).fetchall()
    return str(rows[0][0]) if rows and rows[0][0] != sync.destination else None


def unfinished(con: duckdb.DuckDBPyConnection, sync: Sync) -> str | None:
    """The id of the run of this sync that was killed or has batches in flight, if there is one."""
    rows = con.execute(
        """
        SELECT sync_run_id FROM sync_runs r
        WHERE sync_name = ? AND (status = 'running' OR EXISTS (
            FROM sync_batches b WHERE b.sync_run_id = r.sync_run_id AND b.status = 'sent'))
        ORDER BY started_at, sync_run_id LIMIT 1""",
        [sync.name],
    ).fetchall()
    return str(rows[0][0]) if rows else None


def left_over(con: duckdb.DuckDBPyConnection, sync: Sync) -> bool:
    """Whether a run of this sync left rows that it had planned and not sent."""
    ((found,),) = con.execute(
        """
        SELECT count(*) FROM planned_rows
        WHERE sync_run_id IN (SELECT sync_run_id FROM sync_runs WHERE sync_name = ?)""",
        [sync.name],
    ).fetchall()
    return bool(found)


def open_run(con: duckdb.DuckDBPyConnection, sync: Sync, run_id: str, at: datetime) -> OpenRun:
    """The unfinished run of this sync, else a new one (status running)."""
    if sync_run_id := unfinished(con, sync):
        con.execute(
            "UPDATE sync_runs SET status = 'running', error = NULL, finished_at = NULL, run_id = ? "
            "WHERE sync_run_id = ?",
            [run_id, sync_run_id],
        )
        return OpenRun(sync_run_id, is_resumed=True)
    return OpenRun(_insert_run(con, sync, run_id, "running", at), is_resumed=False)


def last_settled(con: duckdb.DuckDBPyConnection, sync: Sync) -> OpenRun | None:
    """The last run of this sync if it succeeded and left nothing in flight, else None."""
    rows = con.execute(
        """
        SELECT sync_run_id, status FROM sync_runs WHERE sync_name = ?
        ORDER BY started_at DESC, sync_run_id LIMIT 1""",
        [sync.name],
    ).fetchall()
    if not rows or rows[0][1] != "succeeded":
        return None
    return None if unfinished(con, sync) else OpenRun(str(rows[0][0]), is_resumed=False)


def record_blocked(
    con: duckdb.DuckDBPyConnection, sync: Sync, run_id: str, error: str, at: datetime
) -> OpenRun:
    """Book a run that could not begin; nothing was planned and nothing sent."""
    run = OpenRun(_insert_run(con, sync, run_id, "blocked", at), is_resumed=False)
    con.execute(
        "UPDATE sync_runs SET finished_at = started_at, error = ? WHERE sync_run_id = ?",
        [error, run.sync_run_id],
    )
    return run


def _insert_run(
    con: duckdb.DuckDBPyConnection, sync: Sync, run_id: str, status: str, at: datetime
) -> str:
    """A run whose id follows from the sync, the run it is part of, and how many it has had."""
    ((ordinal,),) = con.execute(
        "SELECT count(*) FROM sync_runs WHERE sync_name = ?", [sync.name]
    ).fetchall()
    sync_run_id = f"sync_{digest(sync.name, run_id, str(ordinal))[:24]}"
    con.execute(
        "INSERT INTO sync_runs (sync_run_id, sync_name, destination, audience_id, status, "
        "started_at, run_id) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [sync_run_id, sync.name, sync.destination, sync.audience_id, status, at, run_id],
    )
    return sync_run_id


def count_requests(
    con: duckdb.DuckDBPyConnection, run: OpenRun, requests: int, bytes_sent: int = 0
) -> None:
    """Count requests that were made, and what they carried."""
    con.execute(
        "UPDATE sync_runs SET requests = requests + ?, bytes_sent = bytes_sent + ? "
        "WHERE sync_run_id = ?",
        [requests, bytes_sent, run.sync_run_id],
    )


def digest(*parts: str) -> str:
    """SHA-256 in hex over parts that cannot run into one another."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
