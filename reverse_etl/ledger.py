"""The sync ledger: what each destination holds, and what is on its way there.

The invariant: a batch is `sent` here, committed, before its request goes out, and `acknowledged` in
the transaction that also moves `sync_state` and `sync_log`. So whatever moment a process dies at, a
row is either still planned, or in a batch known to be in flight, which is sent again under the same
idempotency key, or in `sync_state`. A run is unfinished while it is `running` or has a batch in
flight; the next run of that sync continues it under its `sync_run_id`.

Payloads are kept in `planned_rows` until their run ends and nowhere else.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from reverse_etl.declarations import Sync

# the tables that are projected into the warehouse: one home for their columns
TABLES = {
    "sync_runs": """
        sync_run_id VARCHAR PRIMARY KEY, sync_name VARCHAR, destination VARCHAR,
        audience_id VARCHAR, status VARCHAR, rows_planned BIGINT DEFAULT 0,
        rows_added BIGINT DEFAULT 0, rows_updated BIGINT DEFAULT 0, rows_removed BIGINT DEFAULT 0,
        rows_rejected BIGINT DEFAULT 0, rows_invalid BIGINT DEFAULT 0,
        rows_suppressed BIGINT DEFAULT 0, rows_unchanged BIGINT DEFAULT 0,
        rows_pending BIGINT DEFAULT 0, requests BIGINT DEFAULT 0, bytes_sent BIGINT DEFAULT 0,
        started_at TIMESTAMP, finished_at TIMESTAMP, error VARCHAR, run_id VARCHAR""",
    "sync_state": """
        sync_name VARCHAR, row_key VARCHAR, customer_id VARCHAR, payload_hash VARCHAR,
        status VARCHAR, is_held BOOLEAN, remote_id VARCHAR, attempts INTEGER,
        last_error_code VARCHAR, last_error VARCHAR,
        first_failed_at TIMESTAMP, synced_at TIMESTAMP, run_id VARCHAR,
        PRIMARY KEY (sync_name, row_key)""",
    "sync_log": """
        sync_run_id VARCHAR, row_key VARCHAR, operation VARCHAR, status VARCHAR, reason VARCHAR,
        http_status INTEGER, attempts INTEGER, error VARCHAR, idempotency_key VARCHAR,
        sent_at TIMESTAMP""",
}
INTERNAL = {
    "planned_rows": """
        sync_run_id VARCHAR, batch_number INTEGER, position BIGINT, row_key VARCHAR,
        customer_id VARCHAR, kind VARCHAR, reason VARCHAR, payload VARCHAR, payload_hash VARCHAR""",
    "sync_batches": """
        sync_run_id VARCHAR, batch_number INTEGER, idempotency_key VARCHAR, status VARCHAR,
        row_count BIGINT, attempts INTEGER, sent_at TIMESTAMP, field_names VARCHAR[],
        PRIMARY KEY (sync_run_id, batch_number)""",
}
DEAD_LETTERS = """
    SELECT sync_name, row_key, coalesce(last_error, last_error_code) AS reason, payload_hash,
        first_failed_at, attempts
    FROM sync_state WHERE status IN ('rejected', 'parked')"""


class LedgerBusyError(Exception):
    """Another process has the ledger open."""


@dataclass(frozen=True)
class OpenRun:
    """The sync_runs row that is being worked on."""

    sync_run_id: str
    is_resumed: bool


def connect(path: Path | str) -> duckdb.DuckDBPyConnection:
    """The ledger, open to write, made if it is missing. Raises LedgerBusyError."""
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        con = duckdb.connect(str(path))
    except duckdb.IOException as error:
        if "lock" not in str(error).lower():
            raise
        raise LedgerBusyError(
            f"the sync ledger {path} is open in another process: wait for it, then run again"
        ) from error
    for table, columns in {**TABLES, **INTERNAL}.items():
        con.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
    con.execute("SET TimeZone = 'UTC'")
    con.execute(f"CREATE VIEW IF NOT EXISTS dead_letters AS {DEAD_LETTERS}")
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


def open_run(con: duckdb.DuckDBPyConnection, sync: Sync, run_id: str, at: datetime) -> OpenRun:
    """The unfinished run of this sync, else a new one (status running)."""
    unfinished = con.execute(
        """
        SELECT sync_run_id FROM sync_runs r
        WHERE sync_name = ? AND (status = 'running' OR EXISTS (
            FROM sync_batches b WHERE b.sync_run_id = r.sync_run_id AND b.status = 'sent'))
        ORDER BY started_at, sync_run_id LIMIT 1""",
        [sync.name],
    ).fetchall()
    if unfinished:
        sync_run_id = str(unfinished[0][0])
        con.execute(
            "UPDATE sync_runs SET status = 'running', error = NULL, finished_at = NULL, run_id = ? "
            "WHERE sync_run_id = ?",
            [run_id, sync_run_id],
        )
        return OpenRun(sync_run_id, is_resumed=True)
    sync_run_id = new_run_id(con, sync, run_id)
    con.execute(
        "INSERT INTO sync_runs (sync_run_id, sync_name, destination, audience_id, status, "
        "started_at, run_id) VALUES (?, ?, ?, ?, 'running', ?, ?)",
        [sync_run_id, sync.name, sync.destination, sync.audience_id, at, run_id],
    )
    return OpenRun(sync_run_id, is_resumed=False)


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
    ((in_flight,),) = con.execute(
        """
        SELECT count(*) FROM sync_batches JOIN sync_runs USING (sync_run_id)
        WHERE sync_name = ? AND sync_batches.status = 'sent'""",
        [sync.name],
    ).fetchall()
    return OpenRun(str(rows[0][0]), is_resumed=False) if in_flight == 0 else None


def record_blocked(
    con: duckdb.DuckDBPyConnection, sync: Sync, run_id: str, error: str, at: datetime
) -> OpenRun:
    """Book a run that could not begin; nothing was planned and nothing sent."""
    run = OpenRun(new_run_id(con, sync, run_id), is_resumed=False)
    con.execute(
        "INSERT INTO sync_runs (sync_run_id, sync_name, destination, audience_id, status, "
        "started_at, finished_at, error, run_id) VALUES (?, ?, ?, ?, 'blocked', ?, ?, ?, ?)",
        [run.sync_run_id, sync.name, sync.destination, sync.audience_id, at, at, error, run_id],
    )
    return run


def new_run_id(con: duckdb.DuckDBPyConnection, sync: Sync, run_id: str) -> str:
    """An id that follows from the sync, the run it is part of, and how many runs it has had."""
    ((ordinal,),) = con.execute(
        "SELECT count(*) FROM sync_runs WHERE sync_name = ?", [sync.name]
    ).fetchall()
    return f"sync_{digest(sync.name, run_id, str(ordinal))[:24]}"


def count_request(con: duckdb.DuckDBPyConnection, run: OpenRun) -> None:
    """Count a request that brought no answer to book (acknowledging counts its own)."""
    con.execute(
        "UPDATE sync_runs SET requests = requests + 1 WHERE sync_run_id = ?", [run.sync_run_id]
    )


def digest(*parts: str) -> str:
    """SHA-256 in hex over parts that cannot run into one another."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
