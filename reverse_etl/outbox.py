"""What is on its way to a destination: planned batches, those in flight, and what was answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb

from reverse_etl.declarations import Sync
from reverse_etl.destination import Batch, Row, RowAnswer
from reverse_etl.ledger import OpenRun, digest


@dataclass(frozen=True)
class BatchRef:
    number: int
    row_count: int
    attempts: int


def record_plan(
    con: duckdb.DuckDBPyConnection, sync: Sync, run: OpenRun, run_id: str, at: datetime
) -> None:
    """Turn the temporary table `plan` (see reverse_etl.plan) into the planned batches of this run.

    Batches planned earlier and never sent are dropped: what they said is out of date.
    """
    con.begin()
    _drop_unsent(con, run)
    ((offset,),) = con.execute(
        "SELECT coalesce(max(batch_number), 0) FROM sync_batches WHERE sync_run_id = ?",
        [run.sync_run_id],
    ).fetchall()
    con.execute(
        """
        INSERT INTO planned_rows
        SELECT $run, $offset + 1 + (position - 1) // $size, position, row_key, customer_id, kind,
            reason, payload, payload_hash
        FROM plan WHERE position IS NOT NULL ORDER BY position""",
        {"run": run.sync_run_id, "offset": offset, "size": sync.batch_rows},
    )
    numbers = con.execute(
        "SELECT batch_number, count(*) FROM planned_rows WHERE sync_run_id = ? "
        "AND batch_number > ? GROUP BY ALL ORDER BY ALL",
        [run.sync_run_id, offset],
    ).fetchall()
    field_names = [target for target, _ in sync.fields]
    if numbers:
        con.executemany(
            "INSERT INTO sync_batches VALUES (?, ?, ?, 'planned', ?, 0, NULL, ?)",
            [
                (run.sync_run_id, n, digest(run.sync_run_id, str(n))[:32], rows, field_names)
                for n, rows in numbers
            ],
        )
    # the newly invalid are logged and parked, so that an unchanged second run writes nothing
    con.execute(
        """
        INSERT INTO sync_log
        SELECT $run, row_key, 'upsert', 'invalid', reason, NULL, 0, NULL, NULL, NULL
        FROM plan WHERE kind = 'invalid' AND is_news ORDER BY row_key""",
        {"run": run.sync_run_id},
    )
    con.execute(
        """
        INSERT INTO sync_state
        SELECT $name, row_key, customer_id, payload_hash, 'parked', is_held, NULL, 0, reason,
            NULL, $at, NULL, $run_id
        FROM plan WHERE kind = 'invalid' AND is_news
        ON CONFLICT (sync_name, row_key) DO UPDATE SET
            customer_id = excluded.customer_id, payload_hash = excluded.payload_hash,
            status = 'parked', last_error_code = excluded.last_error_code, last_error = NULL,
            first_failed_at = coalesce(sync_state.first_failed_at, excluded.first_failed_at),
            run_id = excluded.run_id""",
        {"name": sync.name, "at": at, "run_id": run_id},
    )
    con.execute(
        """
        UPDATE sync_state SET customer_id = plan.customer_id FROM plan
        WHERE sync_name = $name AND sync_state.row_key = plan.row_key
          AND plan.kind = 'unchanged' AND plan.is_news""",
        {"name": sync.name},
    )
    # who is no longer meant to be there, and is not, is no dead letter either
    con.execute(
        """
        DELETE FROM sync_state
        WHERE sync_name = $name AND status IN ('rejected', 'parked') AND NOT is_held
          AND row_key NOT IN (SELECT row_key FROM plan WHERE kind IN ('add', 'invalid'))
          AND row_key NOT IN (SELECT row_key FROM sync_log WHERE sync_run_id = $run
                              AND status = 'rejected')""",
        {"name": sync.name, "run": run.sync_run_id},
    )
    con.execute(
        """
        UPDATE sync_runs SET
            rows_unchanged = p.unchanged, rows_suppressed = p.suppressed,
            rows_invalid = p.invalid, rows_pending = p.pending,
            rows_planned = rows_added + rows_updated + rows_removed + rows_rejected
                + p.unchanged + p.suppressed + p.invalid + p.pending
        FROM (SELECT
                count(*) FILTER (kind = 'unchanged') AS unchanged,
                count(*) FILTER (kind = 'suppressed') AS suppressed,
                count(*) FILTER (kind = 'invalid') AS invalid,
                count(*) FILTER (position IS NOT NULL) AS pending
              FROM plan) p
        WHERE sync_run_id = $run""",
        {"run": run.sync_run_id},
    )
    con.commit()


def batches(con: duckdb.DuckDBPyConnection, run: OpenRun, status: str) -> list[BatchRef]:
    """The batches of a run that are `planned`, or `sent` and not yet acknowledged, in order."""
    rows = con.execute(
        "SELECT batch_number, row_count, attempts FROM sync_batches "
        "WHERE sync_run_id = ? AND status = ? ORDER BY batch_number",
        [run.sync_run_id, status],
    ).fetchall()
    return [BatchRef(*row) for row in rows]


def read_batch(con: duckdb.DuckDBPyConnection, sync: Sync, run: OpenRun, number: int) -> Batch:
    """A batch as it is sent: the same every time it is read, whatever is declared by then."""
    ((idempotency_key, field_names),) = con.execute(
        "SELECT idempotency_key, field_names FROM sync_batches "
        "WHERE sync_run_id = ? AND batch_number = ?",
        [run.sync_run_id, number],
    ).fetchall()
    rows = con.execute(
        "SELECT row_key, kind, payload FROM planned_rows "
        "WHERE sync_run_id = ? AND batch_number = ? ORDER BY position",
        [run.sync_run_id, number],
    ).fetchall()
    return Batch(
        sync_name=sync.name,
        sync_run_id=run.sync_run_id,
        number=number,
        idempotency_key=idempotency_key,
        field_names=tuple(field_names),
        rows=[
            Row(key, "remove" if kind == "remove" else "upsert", text) for key, kind, text in rows
        ],
    )


def mark_sent(
    con: duckdb.DuckDBPyConnection, run: OpenRun, number: int, attempts: int, at: datetime
) -> None:
    """Say, durably, that a batch may be at the destination from now on."""
    con.execute(
        "UPDATE sync_batches SET status = 'sent', attempts = ?, sent_at = coalesce(sent_at, ?) "
        "WHERE sync_run_id = ? AND batch_number = ?",
        [attempts, at, run.sync_run_id, number],
    )


def mark_unsent(con: duckdb.DuckDBPyConnection, run: OpenRun, number: int) -> None:
    """Say that a batch certainly did not arrive."""
    con.execute(
        "UPDATE sync_batches SET status = 'planned', sent_at = NULL "
        "WHERE sync_run_id = ? AND batch_number = ?",
        [run.sync_run_id, number],
    )


def acknowledge(
    con: duckdb.DuckDBPyConnection,
    run: OpenRun,
    batch: Batch,
    answers: Mapping[str, RowAnswer],
    *,
    http_status: int | None,
    bytes_sent: int,
    attempts: int,
    run_id: str,
    at: datetime,
) -> None:
    """Book what became of each row of a batch, in one transaction."""
    bound = {"run": run.sync_run_id, "number": batch.number}
    con.begin()
    _load_outcome(con, bound, batch, answers)
    con.execute(
        """
        INSERT INTO sync_state
        SELECT $name, row_key, customer_id, payload_hash,
            CASE WHEN error_code IS NOT NULL THEN 'rejected'
                 WHEN kind <> 'remove' THEN 'synced'
                 WHEN reason = 'no_consent' THEN 'suppressed' ELSE 'removed' END,
            CASE WHEN error_code IS NOT NULL THEN kind <> 'add' ELSE kind <> 'remove' END,
            remote_id, (error_code IS NOT NULL)::INTEGER, error_code, error,
            CASE WHEN error_code IS NOT NULL THEN $at END,
            CASE WHEN error_code IS NULL THEN $at END, $run_id
        FROM outcome ORDER BY row_key
        ON CONFLICT (sync_name, row_key) DO UPDATE SET
            customer_id = excluded.customer_id, payload_hash = excluded.payload_hash,
            status = excluded.status, is_held = excluded.is_held,
            remote_id = coalesce(excluded.remote_id, sync_state.remote_id),
            attempts = CASE WHEN excluded.status = 'rejected'
                            THEN sync_state.attempts + 1 ELSE 0 END,
            last_error_code = excluded.last_error_code, last_error = excluded.last_error,
            first_failed_at = CASE WHEN excluded.status = 'rejected' THEN
                coalesce(sync_state.first_failed_at, excluded.first_failed_at) END,
            synced_at = coalesce(excluded.synced_at, sync_state.synced_at),
            run_id = excluded.run_id""",
        {"name": batch.sync_name, "at": at, "run_id": run_id},
    )
    con.execute(
        """
        INSERT INTO sync_log
        SELECT $run, row_key, CASE WHEN kind = 'remove' THEN 'remove' ELSE 'upsert' END,
            CASE WHEN error_code IS NULL THEN 'ok' ELSE 'rejected' END,
            coalesce(error_code, reason), $http_status, $attempts, error, $key, $at
        FROM outcome ORDER BY position""",
        {
            "run": run.sync_run_id,
            "http_status": http_status,
            "attempts": attempts,
            "key": batch.idempotency_key,
            "at": at,
        },
    )
    con.execute(
        """
        UPDATE sync_runs SET
            rows_added = rows_added + o.added, rows_updated = rows_updated + o.updated,
            rows_removed = rows_removed + o.removed, rows_rejected = rows_rejected + o.rejected,
            rows_pending = rows_pending - o.everyone,
            requests = requests + 1, bytes_sent = bytes_sent + $bytes_sent
        FROM (SELECT count(*) AS everyone, count(error_code) AS rejected,
                count(*) FILTER (kind = 'add' AND error_code IS NULL) AS added,
                count(*) FILTER (kind = 'update' AND error_code IS NULL) AS updated,
                count(*) FILTER (kind = 'remove' AND error_code IS NULL) AS removed
              FROM outcome) o
        WHERE sync_run_id = $run""",
        {"run": run.sync_run_id, "bytes_sent": bytes_sent},
    )
    con.execute(
        "UPDATE sync_batches SET status = 'acknowledged', attempts = $attempts "
        "WHERE sync_run_id = $run AND batch_number = $number",
        {**bound, "attempts": attempts},
    )
    con.commit()


def _load_outcome(
    con: duckdb.DuckDBPyConnection,
    bound: Mapping[str, object],
    batch: Batch,
    answers: Mapping[str, RowAnswer],
) -> None:
    """The rows of a batch with what was answered about each, as the temporary table `outcome`."""
    told = [row.key for row in batch.rows if row.key in answers]
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE outcome AS
        SELECT p.row_key, p.customer_id, p.kind, p.reason, p.payload_hash, p.position,
            a.error_code, a.error, a.remote_id
        FROM planned_rows p
        LEFT JOIN (SELECT unnest($keys::VARCHAR[]) AS row_key,
                          unnest($codes::VARCHAR[]) AS error_code,
                          unnest($errors::VARCHAR[]) AS error,
                          unnest($remote_ids::VARCHAR[]) AS remote_id) a USING (row_key)
        WHERE p.sync_run_id = $run AND p.batch_number = $number""",
        {
            **bound,
            "keys": told,
            "codes": [answers[key].error_code for key in told],
            "errors": [answers[key].error for key in told],
            "remote_ids": [answers[key].remote_id for key in told],
        },
    )


def abandon(
    con: duckdb.DuckDBPyConnection, sync: Sync, run: OpenRun, numbers: Sequence[int]
) -> None:
    """Give up batches in flight that must not be sent again: what became of their rows is unknown.

    The next plan settles them: they count as held, so it updates or removes them.
    """
    _mark_unknown(con, sync, run, list(numbers))
    con.execute(
        "UPDATE sync_batches SET status = 'abandoned' "
        "WHERE sync_run_id = ? AND batch_number IN (SELECT unnest(?::INTEGER[]))",
        [run.sync_run_id, list(numbers)],
    )


def close_run(
    con: duckdb.DuckDBPyConnection,
    sync: Sync,
    run: OpenRun,
    *,
    status: str,
    error: str | None,
    at: datetime,
) -> None:
    """End a run. Rows still in flight become `unknown`; payloads that nobody needs are deleted."""
    con.begin()
    in_flight = [batch.number for batch in batches(con, run, "sent")]
    _mark_unknown(con, sync, run, in_flight)
    _drop_unsent(con, run)
    con.execute(
        "UPDATE sync_runs SET status = ?, error = ?, finished_at = ? WHERE sync_run_id = ?",
        [status, error, at, run.sync_run_id],
    )
    con.commit()


def _mark_unknown(
    con: duckdb.DuckDBPyConnection, sync: Sync, run: OpenRun, numbers: list[int]
) -> None:
    con.execute(
        """
        INSERT INTO sync_state
        SELECT $name, row_key, customer_id, NULL, 'unknown', true, NULL, 0,
            NULL, NULL, NULL, NULL, NULL
        FROM planned_rows
        WHERE sync_run_id = $run AND batch_number IN (SELECT unnest($numbers::INTEGER[]))
        ORDER BY row_key
        ON CONFLICT (sync_name, row_key) DO UPDATE SET status = 'unknown', is_held = true""",
        {"name": sync.name, "run": run.sync_run_id, "numbers": numbers},
    )


def _drop_unsent(con: duckdb.DuckDBPyConnection, run: OpenRun) -> None:
    """Delete batches that never went out, and every payload that is not in flight."""
    con.execute(
        "DELETE FROM sync_batches WHERE sync_run_id = ? AND status = 'planned'", [run.sync_run_id]
    )
    con.execute(
        """
        DELETE FROM planned_rows WHERE sync_run_id = $run AND batch_number NOT IN (
            SELECT batch_number FROM sync_batches WHERE sync_run_id = $run AND status = 'sent')""",
        {"run": run.sync_run_id},
    )
