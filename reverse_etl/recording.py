"""A plan becomes the planned batches of a run, and what it notes without sending anything."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import duckdb

from reverse_etl import packing, settling
from reverse_etl.declarations import Sync
from reverse_etl.destination import Capabilities
from reverse_etl.ledger import OpenRun, digest
from reverse_etl.room import MANY_ROWS


@contextmanager
def in_log_alone(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """While a plan is recorded: unless its rows are many, they are written to the log and not to
    their table too, from which they are gone when the run ends."""
    ((rows,),) = con.execute("SELECT coalesce(sum(rows), 0) FROM plan_places").fetchall()
    con.execute(f"SET enable_optimistic_write = {rows > MANY_ROWS}")
    try:
        yield
    finally:
        con.execute("RESET enable_optimistic_write")


def record_plan(
    con: duckdb.DuckDBPyConnection,
    sync: Sync,
    run: OpenRun,
    run_id: str,
    at: datetime,
    *,
    capabilities: Capabilities,
    field_types: Sequence[str] = (),
    mode: str | None = None,
) -> None:
    """Turn the temporary view `plan` (see reverse_etl.plan) into the planned batches of this run.

    Batches planned earlier and never sent are dropped: what they said is out of date. `mode` is
    what the batches say of themselves, if it is not the sync's. The caller owns the transaction.
    """
    forget_planned(con, sync)
    _insert_batches(con, sync, run, capabilities, field_types, mode or sync.mode)
    _note_unsent(con, sync, run, run_id, at)
    con.execute(
        """
        WITH in_flight AS (
            SELECT row_key FROM planned_rows JOIN sync_batches b USING (sync_run_id, batch_number)
            WHERE sync_run_id = $run AND b.status = 'sent'
        )
        UPDATE sync_runs SET
            rows_unchanged = p.unchanged, rows_suppressed = p.suppressed + p.not_there,
            rows_invalid = p.invalid, rows_rejected = p.parked + p.refused, rows_pending = p.pending
        FROM (SELECT
                count(*) FILTER (kind = 'unchanged' AND position IS NULL) AS unchanged,
                count(*) FILTER (kind = 'suppressed') AS suppressed,
                count(*) FILTER (kind = 'invalid') AS invalid,
                count(*) FILTER (kind = 'parked') AS parked,
                count(*) FILTER ((position IS NOT NULL OR kind IN ('add', 'update', 'remove'))
                        AND row_key NOT IN (FROM in_flight))
                    + (SELECT count(*) FROM in_flight) AS pending,
                -- what this run was told before it was interrupted
                (SELECT count(*) FROM sync_log
                 WHERE sync_run_id = $run AND status = 'suppressed') AS not_there,
                (SELECT count(*) FROM sync_log
                 WHERE sync_run_id = $run AND status = 'rejected') AS refused
              FROM plan) p
        WHERE sync_run_id = $run""",
        {"run": run.sync_run_id},
    )


def _insert_batches(
    con: duckdb.DuckDBPyConnection,
    sync: Sync,
    run: OpenRun,
    capabilities: Capabilities,
    field_types: Sequence[str],
    mode: str,
) -> None:
    ((offset,),) = con.execute(
        "SELECT coalesce(max(batch_number), 0) FROM sync_batches WHERE sync_run_id = ?",
        [run.sync_run_id],
    ).fetchall()
    cuts = packing.cuts(con, sync, capabilities)
    bound = {
        "run": run.sync_run_id,
        "offset": offset,
        "keys": [digest(run.sync_run_id, str(offset + n))[:32] for n in range(1, len(cuts) + 1)],
        "firsts": [cut.first for cut in cuts],
        "rows": [cut.rows for cut in cuts],
        "stages": [cut.stage for cut in cuts],
        "fields": [target for target, _ in sync.fields],
        "types": list(field_types),
        "mode": mode,
        "of": len(cuts),
        "total": sum(cut.rows for cut in cuts),
    }
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE cut AS
        SELECT generate_subscripts($firsts, 1)::INTEGER AS place, unnest($keys) AS idempotency_key,
            unnest($firsts)::BIGINT AS first, unnest($rows)::BIGINT AS row_count,
            unnest($stages)::INTEGER AS stage""",
        {name: bound[name] for name in ("keys", "firsts", "rows", "stages")},
    )
    places = "SELECT class, slice, rows, before, raised FROM plan_places ORDER BY before"
    for place in con.execute(places).fetchall():
        _insert_rows(con, run, offset, *place)
    con.execute(
        """
        INSERT INTO sync_batches BY NAME
        SELECT $run AS sync_run_id, $offset + place AS batch_number, idempotency_key,
            'planned' AS status, row_count, payload_bytes, 0 AS attempts,
            $fields::VARCHAR[] AS field_names, $types::VARCHAR[] AS field_types, stage, place,
            $of AS of_places, $total AS total_rows, $mode AS mode,
            $tries AS max_attempts
        FROM cut
        JOIN (SELECT batch_number - $offset AS place, sum(strlen(payload)) AS payload_bytes
              FROM planned_rows WHERE sync_run_id = $run AND batch_number > $offset GROUP BY ALL)
            USING (place)
        ORDER BY place""",
        {
            **{
                name: bound[name]
                for name in ("run", "offset", "fields", "types", "mode", "of", "total")
            },
            "tries": sync.max_attempts,
        },
    )
    if mode == "replace" and _is_due(con):
        _insert_leavers(con, bound)


def _insert_rows(
    con: duckdb.DuckDBPyConnection,
    run: OpenRun,
    offset: int,
    group: int,
    part: int,
    rows: int,
    before: int,
    raised: int,
) -> None:
    """Rows of one class and slice: in `plan_rows` they are in the order of sending, so that they can
    be put row by row beside the batches that they are in."""
    con.execute(
        """
        INSERT INTO planned_rows BY NAME
        SELECT $run AS sync_run_id, $offset + place AS batch_number, nth + $raised AS position, row_key,
            customer_id, kind, reason, payload, payload_hash, field_hashes, remote_id,
            NOT is_held AS is_new
        FROM (FROM plan_rows WHERE class = $group AND slice = $part)
        POSITIONAL JOIN (
            SELECT place, unnest(range(greatest(first, $before), least(first + row_count, $end)))
            FROM (FROM cut WHERE first < $end AND first + row_count > $before ORDER BY place))""",
        {
            "run": run.sync_run_id,
            "offset": offset,
            "group": group,
            "part": part,
            "before": before,
            "end": before + rows,
            "raised": raised,
        },
    )


def _is_due(con: duckdb.DuckDBPyConnection) -> bool:
    ((due,),) = con.execute(
        "SELECT count(*) FROM plan WHERE kind IN ('add', 'update', 'remove')"
    ).fetchall()
    return bool(due)


def _insert_leavers(con: duckdb.DuckDBPyConnection, bound: dict[str, object]) -> None:
    """Whom a session removes by not naming them: a batch that is never sent, settled with the rest.

    A session without anybody has one empty batch.
    """
    con.execute(
        """
        INSERT INTO sync_batches BY NAME
        SELECT $run AS sync_run_id, max(n) AS batch_number, 'implied' AS status,
            0 AS row_count, 0 AS attempts, $mode AS mode, NULL AS idempotency_key
        FROM (SELECT $offset + $of::INTEGER + 1 AS n)""",
        {name: bound[name] for name in ("run", "offset", "of", "mode")},
    )
    con.execute(
        """
        INSERT INTO planned_rows BY NAME
        SELECT $run AS sync_run_id, $offset + $of::INTEGER + 1 AS batch_number,
            row_number() OVER (ORDER BY row_key) AS position, row_key, customer_id, kind, reason,
            '{}' AS payload, remote_id, false AS is_new
        FROM plan WHERE kind = 'remove'""",
        {name: bound[name] for name in ("run", "offset", "of")},
    )
    if bound["of"] == 0:
        con.execute(
            """
            INSERT INTO sync_batches BY NAME
            SELECT $run AS sync_run_id, $offset + 2 AS batch_number, $key AS idempotency_key,
                'planned' AS status, 0 AS row_count, 0 AS attempts, $fields::VARCHAR[] AS field_names,
                $types::VARCHAR[] AS field_types, 1 AS stage, 1 AS place, 1 AS of_places,
                0 AS total_rows, $mode AS mode""",
            {
                **{name: bound[name] for name in ("run", "offset", "fields", "types", "mode")},
                "key": digest(str(bound["run"]), "nobody")[:32],
            },
        )


def _note_unsent(
    con: duckdb.DuckDBPyConnection, sync: Sync, run: OpenRun, run_id: str, at: datetime
) -> None:
    """Log and note what is newly invalid or can newly not be removed, so that an unchanged second
    run writes nothing; forget who is neither wanted nor held."""
    con.execute(
        """
        INSERT INTO sync_log BY NAME
        SELECT $run AS sync_run_id, row_key, if(kind = 'invalid', 'upsert', 'remove') AS operation,
            if(kind = 'invalid', 'invalid', 'kept') AS status, reason, 0 AS attempts
        FROM plan WHERE kind IN ('invalid', 'suppressed') AND is_news ORDER BY row_key""",
        {"run": run.sync_run_id},
    )
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE settled AS
        SELECT $name AS sync_name, p.row_key, p.customer_id,
            if(p.kind = 'invalid', p.payload_hash, s.payload_hash) AS payload_hash,
            if(p.kind = 'invalid', 'parked', 'suppressed') AS status, p.is_held,
            s.remote_id, 0 AS attempts, p.reason AS last_error_code, NULL::VARCHAR AS last_error,
            if(p.kind = 'invalid', coalesce(s.first_failed_at, $at), NULL) AS first_failed_at,
            s.synced_at, $run_id AS run_id, s.field_hashes
        FROM plan p LEFT JOIN sync_state s ON s.sync_name = $name AND s.row_key = p.row_key
        WHERE p.kind IN ('invalid', 'suppressed') AND p.is_news""",
        {"name": sync.name, "at": at, "run_id": run_id},
    )
    settling.put_state(con)
    con.execute(
        """
        UPDATE sync_state SET customer_id = plan.customer_id FROM plan
        WHERE sync_name = $name AND sync_state.row_key = plan.row_key
          AND plan.kind = 'unchanged' AND plan.is_news""",
        {"name": sync.name},
    )
    _forget_refused(con, sync, run)


def _forget_refused(con: duckdb.DuckDBPyConnection, sync: Sync, run: OpenRun) -> None:
    """Forget who was refused, is not held, and is wanted no more."""
    refused = "sync_name = $name AND status IN ('rejected', 'parked') AND NOT is_held"
    bound = {"name": sync.name}
    # the plan is not looked through for nobody
    if con.execute(f"SELECT 1 FROM sync_state WHERE {refused} LIMIT 1", bound).fetchall():
        con.execute(
            f"""
            DELETE FROM sync_state WHERE {refused}
              AND row_key NOT IN (SELECT row_key FROM plan
                                  WHERE kind IN ('add', 'update', 'invalid', 'parked'))
              AND row_key NOT IN (SELECT row_key FROM sync_log WHERE sync_run_id = $run
                                  AND status = 'rejected')""",
            bound | {"run": run.sync_run_id},
        )


def forget_planned(con: duckdb.DuckDBPyConnection, sync: Sync) -> None:
    """Delete batches of this sync that never went out, with the rows that earlier runs left."""
    mine = "sync_run_id IN (SELECT sync_run_id FROM sync_runs WHERE sync_name = $name)"
    con.execute(
        f"DELETE FROM sync_batches WHERE status IN ('planned', 'implied') AND {mine}",
        {"name": sync.name},
    )
    con.execute(
        f"""
        DELETE FROM planned_rows WHERE {mine} AND NOT EXISTS (
            FROM sync_batches b
            WHERE b.sync_run_id = planned_rows.sync_run_id
              AND b.batch_number = planned_rows.batch_number
              AND b.status IN ('sent', 'answered'))""",
        {"name": sync.name},
    )
