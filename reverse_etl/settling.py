"""From answers to state: what each batch was answered becomes `sync_state` and `sync_log`.

Done in large steps when a run ends, and when a ledger is opened that a killed process left behind.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial

import duckdb

from reverse_etl.room import with_room

# a row group: what is as long is written at once, and not to the log first and then to the tables
ROWS_A_STEP = 125_000
STATE_COLUMNS = (
    *("sync_name", "row_key", "customer_id", "payload_hash", "status", "is_held", "remote_id"),
    *("attempts", "last_error_code", "last_error", "first_failed_at", "synced_at", "run_id"),
    "field_hashes",
)


def settle(con: duckdb.DuckDBPyConnection) -> None:
    """Turn every answered batch into state and log, about 125,000 rows a transaction.

    A session that replaces counts when all of it is there, and not before.
    """
    con.begin()
    con.execute(
        """
        UPDATE sync_batches b SET status = 'answered', http_status = a.http_status,
            requests = a.requests, bytes_sent = a.bytes_sent, answered_at = a.answered_at
        FROM batch_answers a
        WHERE a.sync_run_id = b.sync_run_id AND a.batch_number = b.batch_number"""
    )
    con.execute("DELETE FROM batch_answers")
    con.commit()
    while True:
        due = con.execute(
            """
            SELECT sync_run_id, batch_number, row_count FROM sync_batches b
            WHERE (status = 'answered' OR (status = 'implied' AND EXISTS (
                    FROM sync_batches o
                    WHERE o.sync_run_id = b.sync_run_id AND o.status = 'answered')))
              AND NOT (coalesce(mode, '') = 'replace' AND EXISTS (
                    FROM sync_batches o
                    WHERE o.sync_run_id = b.sync_run_id AND o.status IN ('planned', 'sent')))
            ORDER BY ALL"""
        ).fetchall()
        if not due:
            return
        sync_run_id, numbers, rows = due[0][0], [], 0
        for run, number, row_count in due:
            # the parts of a session are settled in one step
            is_whole = rows >= ROWS_A_STEP and not is_session(con, sync_run_id)
            if run != sync_run_id or is_whole:
                break
            numbers.append(number)
            rows += row_count
        with_room(con, 0, partial(_settle_whole, con, sync_run_id, numbers))


def is_session(con: duckdb.DuckDBPyConnection, sync_run_id: str) -> bool:
    """Whether a run sends everyone in one session (mode replace)."""
    found = con.execute(
        "SELECT 1 FROM sync_batches WHERE sync_run_id = ? AND mode = 'replace' LIMIT 1",
        [sync_run_id],
    ).fetchall()
    return bool(found)


def _settle_whole(con: duckdb.DuckDBPyConnection, sync_run_id: str, numbers: list[int]) -> None:
    con.begin()
    try:
        _settle_step(con, sync_run_id, numbers)
        con.commit()
    except duckdb.Error:
        # a commit that failed has ended the transaction
        with suppress(duckdb.TransactionException):
            con.rollback()
        raise


def _settle_step(con: duckdb.DuckDBPyConnection, sync_run_id: str, numbers: list[int]) -> None:
    bound = {"run": sync_run_id, "numbers": numbers}
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE settled AS
        WITH answered AS (
            SELECT r.sync_name, r.run_id, p.row_key, p.customer_id, p.kind, p.reason,
                p.payload_hash, p.field_hashes, b.http_status, b.idempotency_key,
                b.attempts AS tries, b.answered_at, b.max_attempts,
                coalesce(a.remote_id, s.remote_id) AS remote_id, s.first_failed_at, s.synced_at,
                coalesce(p.is_new, p.kind = 'add') AS is_new,
                coalesce(b.mode = 'replace', false) AS is_session,
                -- who is to be removed and is not there is removed
                CASE WHEN p.kind = 'remove' AND a.error_code = 'not_there' THEN NULL
                     ELSE a.error_code END AS error_code,
                a.error, coalesce(a.is_there, false) AS is_there,
                coalesce(a.error_code = 'not_there' AND b.mode = 'update_only', false)
                    AS is_not_there,
                -- refused so often with this payload; a new one is a new start
                1 + CASE WHEN s.payload_hash IS NOT DISTINCT FROM p.payload_hash
                         THEN coalesce(s.attempts, 0) ELSE 0 END AS failures
            FROM planned_rows p
            JOIN sync_batches b USING (sync_run_id, batch_number)
            JOIN sync_runs r USING (sync_run_id)
            LEFT JOIN row_answers a
                ON a.sync_run_id = $run AND a.batch_number = b.batch_number
                AND a.row_key = p.row_key
            LEFT JOIN sync_state s ON s.sync_name = r.sync_name AND s.row_key = p.row_key
            WHERE p.sync_run_id = $run AND list_contains($numbers::INTEGER[], b.batch_number)
              -- the bounds let whole row groups be skipped
              AND p.batch_number BETWEEN $first AND $last
        )
        SELECT sync_name, row_key, customer_id, payload_hash,
            CASE WHEN is_not_there THEN 'suppressed'
                 WHEN error_code IS NOT NULL AND kind <> 'remove' AND failures >= max_attempts
                     THEN 'parked'
                 WHEN error_code IS NOT NULL THEN 'rejected'
                 WHEN kind <> 'remove' THEN 'synced'
                 WHEN reason = 'no_consent' THEN 'suppressed' ELSE 'removed' END AS status,
            CASE WHEN error_code IS NOT NULL
                     THEN is_there OR NOT (is_new OR is_not_there OR is_session)
                 ELSE kind <> 'remove' END AS is_held,
            -- a session names nobody who has gone, so what they were known by is of no more use
            if(is_session AND kind = 'remove', NULL, remote_id) AS remote_id,
            if(error_code IS NULL, 0, failures) AS attempts,
            error_code AS last_error_code, if(error_code IS NULL, NULL, error) AS last_error,
            CASE WHEN error_code IS NOT NULL AND NOT is_not_there
                 THEN coalesce(first_failed_at, answered_at) END AS first_failed_at,
            if(error_code IS NULL, answered_at, synced_at) AS synced_at, run_id,
            if(error_code IS NULL, field_hashes, NULL) AS field_hashes,
            -- of the log
            kind, reason, is_not_there, http_status, tries, idempotency_key, answered_at
        FROM answered""",
        bound | {"first": min(numbers), "last": max(numbers)},
    )
    put_state(con)
    con.execute(
        """
        INSERT INTO sync_log BY NAME
        SELECT $run AS sync_run_id, row_key,
            if(kind = 'remove', 'remove', 'upsert') AS operation,
            CASE WHEN is_not_there THEN 'suppressed'
                 WHEN last_error_code IS NULL THEN 'ok' ELSE 'rejected' END AS status,
            coalesce(last_error_code, reason) AS reason, http_status, tries AS attempts,
            last_error AS error, idempotency_key, answered_at AS sent_at
        FROM settled""",
        {"run": sync_run_id},
    )
    con.execute(
        """
        UPDATE sync_runs SET
            rows_added = rows_added + o.added, rows_updated = rows_updated + o.updated,
            rows_removed = rows_removed + o.removed, rows_rejected = rows_rejected + o.rejected,
            rows_suppressed = rows_suppressed + o.not_there,
            rows_unchanged = rows_unchanged + o.unchanged,
            rows_pending = rows_pending - o.everyone,
            requests = sync_runs.requests + b.requests,
            bytes_sent = sync_runs.bytes_sent + b.bytes_sent
        FROM (SELECT coalesce(sum(requests), 0) AS requests,
                coalesce(sum(bytes_sent), 0) AS bytes_sent
              FROM sync_batches
              WHERE sync_run_id = $run AND list_contains($numbers::INTEGER[], batch_number)) b,
             (SELECT count(*) AS everyone, count(*) FILTER (is_not_there) AS not_there,
                count(last_error_code) FILTER (NOT is_not_there) AS rejected,
                count(*) FILTER (kind = 'add' AND last_error_code IS NULL) AS added,
                count(*) FILTER (kind = 'update' AND last_error_code IS NULL) AS updated,
                count(*) FILTER (kind = 'remove' AND last_error_code IS NULL) AS removed,
                count(*) FILTER (kind = 'unchanged' AND last_error_code IS NULL) AS unchanged
              FROM settled) o
        WHERE sync_run_id = $run""",
        bound,
    )
    _end_batches(con, sync_run_id, numbers, "acknowledged")


def _end_batches(
    con: duckdb.DuckDBPyConnection, sync_run_id: str, numbers: Sequence[int], status: str
) -> None:
    """Batches that are over keep their status; their rows, and what was said of them, go."""
    bound: dict[str, object] = {"run": sync_run_id, "numbers": list(numbers)}
    bound |= {"first": min(numbers), "last": max(numbers)}
    mine = (
        "sync_run_id = $run AND batch_number BETWEEN $first AND $last "
        "AND batch_number IN (SELECT unnest($numbers::INTEGER[]))"
    )
    con.execute(f"UPDATE sync_batches SET status = '{status}' WHERE {mine}", bound)
    for table in ("row_answers", "planned_rows"):
        con.execute(f"DELETE FROM {table} WHERE {mine}", bound)


def put_state(con: duckdb.DuckDBPyConnection) -> None:
    """Write the rows of the temporary table `settled` (columns of sync_state) over what was there."""
    con.execute(
        """
        DELETE FROM sync_state USING settled
        WHERE sync_state.sync_name = settled.sync_name AND sync_state.row_key = settled.row_key"""
    )
    con.execute(f"INSERT INTO sync_state BY NAME SELECT {', '.join(STATE_COLUMNS)} FROM settled")


def mark_unknown(
    con: duckdb.DuckDBPyConnection,
    sync_run_id: str,
    numbers: Sequence[int],
    addresses: Mapping[str, str],
) -> None:
    """Note that it is not known what became of the rows of these batches: they count as held.

    `addresses` are remote ids by row key, where they follow from what was sent.
    """
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE settled AS
        SELECT r.sync_name, p.row_key, p.customer_id, s.payload_hash, 'unknown' AS status,
            true AS is_held, coalesce(a.remote_id, s.remote_id, p.remote_id) AS remote_id,
            coalesce(s.attempts, 0) AS attempts, s.last_error_code, s.last_error,
            s.first_failed_at, s.synced_at, r.run_id, s.field_hashes
        FROM planned_rows p
        JOIN sync_runs r USING (sync_run_id)
        LEFT JOIN sync_state s ON s.sync_name = r.sync_name AND s.row_key = p.row_key
        LEFT JOIN (SELECT unnest($keys::VARCHAR[]) AS row_key,
                          unnest($ids::VARCHAR[]) AS remote_id) a ON a.row_key = p.row_key
        WHERE p.sync_run_id = $run AND p.batch_number IN (SELECT unnest($numbers::INTEGER[]))""",
        {
            "run": sync_run_id,
            "numbers": list(numbers),
            "keys": list(addresses),
            "ids": list(addresses.values()),
        },
    )
    put_state(con)


def abandon(
    con: duckdb.DuckDBPyConnection,
    sync_run_id: str,
    numbers: Sequence[int],
    addresses: Mapping[str, str],
) -> None:
    """Give up batches that must not be sent again: what became of their rows is unknown.

    The next plan settles them: they count as held, so it updates or removes them.
    """
    con.begin()
    mark_unknown(con, sync_run_id, numbers, addresses)
    _end_batches(con, sync_run_id, numbers, "abandoned")
    con.commit()


def close_run(
    con: duckdb.DuckDBPyConnection,
    sync_run_id: str,
    *,
    status: str,
    addresses: Mapping[str, str],
    at: datetime,
) -> None:
    """End a run that was settled. Rows still in flight become `unknown`; payloads that nobody needs are
    deleted.

    Of rows that were planned and not sent their keys stay, so that the run can be finished later.
    """
    con.begin()
    in_flight = con.execute(
        "SELECT batch_number FROM sync_batches WHERE sync_run_id = ? AND status = 'sent'",
        [sync_run_id],
    ).fetchall()
    mark_unknown(con, sync_run_id, [number for (number,) in in_flight], addresses)
    con.execute(
        """
        UPDATE planned_rows SET payload = NULL, payload_hash = NULL, field_hashes = NULL
        WHERE sync_run_id = $run AND batch_number IN (
            SELECT batch_number FROM sync_batches
            WHERE sync_run_id = $run AND status IN ('planned', 'implied'))""",
        {"run": sync_run_id},
    )
    con.execute(
        """
        UPDATE sync_runs SET status = ?, finished_at = ?,
            rows_planned = rows_added + rows_updated + rows_removed + rows_rejected + rows_invalid
                + rows_suppressed + rows_unchanged + rows_pending
        WHERE sync_run_id = ?""",
        [status, at, sync_run_id],
    )
    con.commit()
