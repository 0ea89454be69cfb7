"""What is on its way to a destination: planned batches, and those in flight."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb

from reverse_etl.declarations import Sync
from reverse_etl.destination import Batch, Row
from reverse_etl.ledger import OpenRun, digest


@dataclass(frozen=True)
class BatchRef:
    """A batch by its number; `job_id` is set while the destination works on it."""

    number: int
    row_count: int
    attempts: int
    stage: int
    job_id: str | None = None


def batches(con: duckdb.DuckDBPyConnection, run: OpenRun, status: str) -> list[BatchRef]:
    """The batches of a run that are `planned`, or `sent` and not yet answered, in order."""
    rows = con.execute(
        "SELECT batch_number, row_count, attempts, coalesce(stage, 0), job_id FROM sync_batches "
        "WHERE sync_run_id = ? AND status = ? ORDER BY coalesce(stage, 0), batch_number",
        [run.sync_run_id, status],
    ).fetchall()
    return [BatchRef(*row) for row in rows]


def is_session(con: duckdb.DuckDBPyConnection, sync_run_id: str) -> bool:
    """Whether a run sends everyone in one session (mode replace)."""
    found = con.execute(
        "SELECT 1 FROM sync_batches WHERE sync_run_id = ? AND mode = 'replace' LIMIT 1",
        [sync_run_id],
    ).fetchall()
    return bool(found)


def read_batch(con: duckdb.DuckDBPyConnection, sync: Sync, run: OpenRun, number: int) -> Batch:
    """A batch as it is sent: the same every time it is read, whatever is declared by then."""
    ((key, field_names, mode, place, of_places, total),) = con.execute(
        """
        SELECT idempotency_key, field_names, coalesce(mode, $mode), coalesce(place, batch_number),
            coalesce(of_places, batch_number), coalesce(total_rows, row_count)
        FROM sync_batches WHERE sync_run_id = $run AND batch_number = $number""",
        {"run": run.sync_run_id, "number": number, "mode": sync.mode},
    ).fetchall()
    rows = con.execute(
        "SELECT row_key, if(kind = 'remove', 'remove', 'upsert'), payload, remote_id, "
        "coalesce(is_new, kind = 'add') FROM planned_rows "
        "WHERE sync_run_id = ? AND batch_number = ? ORDER BY position",
        [run.sync_run_id, number],
    ).fetchall()
    return Batch(
        sync_name=sync.name,
        sync_run_id=run.sync_run_id,
        number=number,
        idempotency_key=key,
        field_names=tuple(field_names),
        rows=[Row(*row) for row in rows],
        mode=mode,
        position=place,
        of=of_places,
        total_rows=total,
    )


def mark_sent(
    con: duckdb.DuckDBPyConnection, run: OpenRun, attempts: dict[int, int], at: datetime
) -> None:
    """Say, durably, that batches may be at the destination from now on: their number → tries."""
    con.execute(
        """
        UPDATE sync_batches SET status = 'sent', attempts = t.attempts,
            sent_at = coalesce(sent_at, $at)
        FROM (SELECT unnest($numbers::INTEGER[]) AS number, unnest($tries::INTEGER[]) AS attempts) t
        WHERE sync_run_id = $run AND batch_number = t.number""",
        {
            "run": run.sync_run_id,
            "at": at,
            "numbers": list(attempts),
            "tries": list(attempts.values()),
        },
    )


def mark_unsent(con: duckdb.DuckDBPyConnection, run: OpenRun, number: int) -> None:
    """Say that a batch certainly did not arrive."""
    con.execute(
        "UPDATE sync_batches SET status = 'planned', sent_at = NULL "
        "WHERE sync_run_id = ? AND batch_number = ?",
        [run.sync_run_id, number],
    )


def note_job(con: duckdb.DuckDBPyConnection, run: OpenRun, number: int, job_id: str) -> None:
    """Say, durably, by what job the destination works on a batch."""
    con.execute(
        "UPDATE sync_batches SET job_id = ? WHERE sync_run_id = ? AND batch_number = ?",
        [job_id, run.sync_run_id, number],
    )


def split(con: duckdb.DuckDBPyConnection, run: OpenRun, batch: Batch) -> Sequence[BatchRef]:
    """Put two halves in the place of a refused batch; their idempotency keys follow from its own."""
    con.begin()
    ((last,),) = con.execute(
        "SELECT max(batch_number) FROM sync_batches WHERE sync_run_id = ?", [run.sync_run_id]
    ).fetchall()
    middle = (len(batch.rows) + 1) // 2
    halves = [batch.rows[:middle], batch.rows[middle:]]
    for nth, rows in enumerate(halves, 1):
        con.execute(
            """
            INSERT INTO sync_batches BY NAME
            SELECT * REPLACE ($number AS batch_number, $key AS idempotency_key,
                'planned' AS status, $rows AS row_count, 0 AS attempts, NULL AS sent_at,
                NULL AS job_id)
            FROM sync_batches WHERE sync_run_id = $run AND batch_number = $parent""",
            {
                "run": run.sync_run_id,
                "parent": batch.number,
                "number": last + nth,
                "key": digest(batch.idempotency_key, str(nth))[:32],
                "rows": len(rows),
            },
        )
        con.execute(
            """
            UPDATE planned_rows SET batch_number = $number
            WHERE sync_run_id = $run AND batch_number = $parent
              AND row_key IN (SELECT unnest($keys::VARCHAR[]))""",
            {
                "run": run.sync_run_id,
                "parent": batch.number,
                "number": last + nth,
                "keys": [row.key for row in rows],
            },
        )
    con.execute(
        "UPDATE sync_batches SET status = 'split' WHERE sync_run_id = ? AND batch_number = ?",
        [run.sync_run_id, batch.number],
    )
    con.commit()
    return [BatchRef(last + nth, len(rows), 0, 0) for nth, rows in enumerate(halves, 1)]
