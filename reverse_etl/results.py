"""What a run of a sync did, as its caller gets it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import duckdb

from reverse_etl import ledger as books
from reverse_etl.declarations import Sync


@dataclass(frozen=True)
class SyncResult:
    """What a run of a sync did, in rows; rows_planned is the sum of the eight kinds after it.

    status: succeeded; incomplete (rows are pending: run it again); failed (no plan could be made);
    blocked (something has to be put right, or a guard wants the plan to be looked at, first).
    `error` says what and where. After a dry run the kinds say what would be done. sync_run_id is
    empty when nothing was booked: after a dry run, and when there was nothing to do.
    """

    sync_name: str
    sync_run_id: str
    status: str
    rows_planned: int = 0
    rows_added: int = 0
    rows_updated: int = 0
    rows_removed: int = 0
    rows_rejected: int = 0
    rows_invalid: int = 0
    rows_suppressed: int = 0
    rows_unchanged: int = 0
    rows_pending: int = 0
    requests: int = 0
    bytes_sent: int = 0
    error: str | None = None
    is_resumed: bool = False
    is_dry_run: bool = False


def of_counts(sync: Sync, counts: Mapping[str, int]) -> SyncResult:
    """The kinds of a plan, as the result of a run that sends nothing."""
    return SyncResult(
        sync_name=sync.name,
        sync_run_id="",
        status="succeeded",
        rows_planned=sum(counts.values()),
        rows_added=counts.get("add", 0),
        rows_updated=counts.get("update", 0),
        rows_removed=counts.get("remove", 0),
        rows_rejected=counts.get("parked", 0),
        rows_invalid=counts.get("invalid", 0),
        rows_suppressed=counts.get("suppressed", 0),
        rows_unchanged=counts.get("unchanged", 0),
    )


def of_run(con: duckdb.DuckDBPyConnection, opened: books.OpenRun) -> SyncResult:
    """What the ledger says of a run."""
    (row,) = con.execute(
        """
        SELECT sync_name, sync_run_id, status, rows_planned, rows_added, rows_updated, rows_removed,
            rows_rejected, rows_invalid, rows_suppressed, rows_unchanged, rows_pending, requests,
            bytes_sent, error
        FROM sync_runs WHERE sync_run_id = ?""",
        [opened.sync_run_id],
    ).fetchall()
    return replace(SyncResult(*row), is_resumed=opened.is_resumed)
