"""What is on its way to a destination: planned batches, and those in flight."""

import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import duckdb

from reverse_etl import lines
from reverse_etl.declarations import Sync
from reverse_etl.destination import Batch
from reverse_etl.ledger import OpenRun, digest
from reverse_etl.lines import Lines

BYTES_AT_ONCE = 2_000_000
# what may be about a row, and what a row is refused with that it is about (reverse_etl.halving)
SERVER_ERROR = 500
FOUND_CODE = f"http_{SERVER_ERROR}"


@dataclass(frozen=True)
class BatchRef:
    """A batch by its number; `job_id` is set while the destination works on it.

    `is_left_over_500`: all its tries in a run got 500 (`sync_batches.http_status` of what is in
    flight), or it has a row that was refused over that (reverse_etl.halving).
    """

    number: int
    row_count: int
    stage: int
    payload_bytes: int
    job_id: str | None = None
    is_left_over_500: bool = False


def batches(
    con: duckdb.DuckDBPyConnection, run: OpenRun, status: str, only: frozenset[int] = frozenset()
) -> list[BatchRef]:
    """The batches of a run that are `planned`, or `sent` and not yet answered, in order.

    With `only`, those of these numbers.
    """
    rows = con.execute(
        "SELECT batch_number, row_count, coalesce(stage, 0), coalesce(payload_bytes, 0), job_id, "
        "coalesce(http_status = ?, false) "
        "FROM sync_batches "
        "WHERE sync_run_id = ? AND status = ? ORDER BY coalesce(stage, 0), batch_number",
        [SERVER_ERROR, run.sync_run_id, status],
    ).fetchall()
    return [BatchRef(*row) for row in rows if not only or row[0] in only]


def read_batches(
    con: duckdb.DuckDBPyConnection, sync: Sync, run: OpenRun, numbers: Sequence[int]
) -> dict[int, Batch]:
    """Batches as they are sent: the same every time, whatever is declared by then."""
    bound = {"run": run.sync_run_id, "numbers": list(numbers)}
    heads = con.execute(
        """
        SELECT batch_number, row_count, idempotency_key, field_names, coalesce(mode, $mode),
            coalesce(place, batch_number), coalesce(of_places, batch_number),
            coalesce(total_rows, row_count), coalesce(field_types, [])
        FROM sync_batches
        WHERE sync_run_id = $run AND list_contains($numbers::INTEGER[], batch_number)
        ORDER BY batch_number""",
        bound | {"mode": sync.mode},
    ).fetchall()
    rows = con.execute(
        f"""
        SELECT {lines.LINE_SQL}, remote_id, coalesce(is_new, kind = 'add')
        FROM planned_rows
        WHERE sync_run_id = $run AND batch_number BETWEEN $first AND $last
          AND list_contains($numbers::INTEGER[], batch_number)
        ORDER BY batch_number, position""",
        # the bounds let whole row groups be skipped
        bound | {"first": min(numbers), "last": max(numbers)},
    ).fetchall()
    found: dict[int, Batch] = {}
    start = 0
    for number, row_count, key_of_batch, names, mode, place, of_places, total, types in heads:
        found[number] = Batch(
            sync_name=sync.name,
            sync_run_id=run.sync_run_id,
            number=number,
            idempotency_key=key_of_batch,
            field_names=tuple(names),
            rows=_lines(rows[start : start + row_count]),
            mode=mode,
            position=place,
            of=of_places,
            total_rows=total,
            field_types=tuple(types),
        )
        start += row_count
    return found


def _lines(rows: Sequence[tuple[str, str | None, bool]]) -> Lines:
    # zip(*rows) would make an iterator a row
    return Lines(
        [text for text, _, _ in rows],
        [remote_id for _, remote_id, _ in rows],
        [is_new for _, _, is_new in rows],
    )


def read_batch(con: duckdb.DuckDBPyConnection, sync: Sync, run: OpenRun, number: int) -> Batch:
    """One batch as it is sent."""
    return read_batches(con, sync, run, [number])[number]


@dataclass
class Reader:
    """Reads the batches of a run in the order they come up, a few megabytes at a time."""

    con: duckdb.DuckDBPyConnection
    sync: Sync
    run: OpenRun
    ahead: dict[int, Batch] = field(default_factory=dict)

    def read(self, ref: BatchRef, following: Iterable[BatchRef]) -> Batch:
        """A batch; with it those after it are read, as far as that is a few megabytes."""
        if ref.number not in self.ahead:
            sums = itertools.accumulate(following, _with_bytes, initial=(ref, ref.payload_bytes))
            near = itertools.takewhile(lambda item: item[1] <= BYTES_AT_ONCE, sums)
            numbers = [found.number for found, _ in near] or [ref.number]
            self.ahead = read_batches(self.con, self.sync, self.run, numbers)
        return self.ahead.pop(ref.number)


def _with_bytes(before: tuple[BatchRef, int], ref: BatchRef) -> tuple[BatchRef, int]:
    return ref, before[1] + ref.payload_bytes


def mark_sent(
    con: duckdb.DuckDBPyConnection, run: OpenRun, numbers: Sequence[int], at: datetime
) -> None:
    """Say, durably, that batches are tried (once more): they may be at the destination from now on."""
    con.execute(
        "UPDATE sync_batches SET status = 'sent', attempts = attempts + 1, "
        "sent_at = coalesce(sent_at, ?) "
        "WHERE sync_run_id = ? AND list_contains(?::INTEGER[], batch_number)",
        [at, run.sync_run_id, list(numbers)],
    )


def mark_unsent(con: duckdb.DuckDBPyConnection, run: OpenRun, numbers: Sequence[int]) -> None:
    """Say that batches certainly did not arrive."""
    con.execute(
        "UPDATE sync_batches SET status = 'planned', sent_at = NULL "
        "WHERE sync_run_id = ? AND list_contains(?::INTEGER[], batch_number)",
        [run.sync_run_id, list(numbers)],
    )


def leave_over_500(con: duckdb.DuckDBPyConnection, run: OpenRun, number: int) -> None:
    """Say that a batch got nothing but 500 in all its tries."""
    con.execute(
        "UPDATE sync_batches SET http_status = ? WHERE sync_run_id = ? AND batch_number = ?",
        [SERVER_ERROR, run.sync_run_id, number],
    )


def refused_over_500(con: duckdb.DuckDBPyConnection, sync: Sync) -> frozenset[str]:
    """The keys of rows that were found to get nothing but 500 when they were sent last."""
    found = con.execute(
        "SELECT row_key FROM sync_state WHERE sync_name = ? AND last_error_code = ?",
        [sync.name, FOUND_CODE],
    ).fetchall()
    return frozenset(key for (key,) in found)


def expect_500(con: duckdb.DuckDBPyConnection, run: OpenRun, keys: Collection[str]) -> None:
    """Say the same of planned batches with one of these rows: it is found at once, and those beside
    it do not wait for the next run."""
    # the plan is not looked through for nobody
    if keys:
        con.execute(
            """
            UPDATE sync_batches SET http_status = $status
            WHERE sync_run_id = $run AND status = 'planned' AND batch_number IN (
                SELECT batch_number FROM planned_rows
                WHERE sync_run_id = $run AND row_key IN (SELECT unnest($keys::VARCHAR[])))""",
            {"run": run.sync_run_id, "keys": list(keys), "status": SERVER_ERROR},
        )


def note_job(con: duckdb.DuckDBPyConnection, run: OpenRun, number: int, job_id: str) -> None:
    """Say, durably, by what job the destination works on a batch."""
    con.execute(
        "UPDATE sync_batches SET job_id = ? WHERE sync_run_id = ? AND batch_number = ?",
        [job_id, run.sync_run_id, number],
    )


def split(
    con: duckdb.DuckDBPyConnection,
    run: OpenRun,
    batch: Batch,
    status: str,
    *,
    is_left_over_500: bool = False,
) -> Sequence[BatchRef]:
    """Put two halves in the place of a batch; their idempotency keys follow from its own.

    Their status is `sent` if something of the whole may have arrived, else `planned`.
    """
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
                $status AS status, $rows AS row_count, 0 AS attempts, NULL AS sent_at,
                NULL AS job_id, $http_status AS http_status)
            FROM sync_batches WHERE sync_run_id = $run AND batch_number = $parent""",
            {
                "run": run.sync_run_id,
                "parent": batch.number,
                "number": last + nth,
                "key": digest(batch.idempotency_key, str(nth))[:32],
                "rows": len(rows),
                "status": status,
                "http_status": SERVER_ERROR if is_left_over_500 else None,
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
    return [
        BatchRef(last + nth, len(rows), 0, 0, is_left_over_500=is_left_over_500)
        for nth, rows in enumerate(halves, 1)
    ]


def put_together(
    con: duckdb.DuckDBPyConnection, run: OpenRun, number: int, pieces: Sequence[int]
) -> None:
    """Undo the halving of a batch of whose pieces none was answered: it is in flight as before."""
    bound = {"run": run.sync_run_id, "pieces": list(pieces)}
    mine = "sync_run_id = $run AND list_contains($pieces::INTEGER[], batch_number)"
    con.begin()
    con.execute(
        f"UPDATE planned_rows SET batch_number = $whole WHERE {mine}", bound | {"whole": number}
    )
    con.execute(f"DELETE FROM sync_batches WHERE {mine}", bound)
    con.execute(
        "UPDATE sync_batches SET status = 'sent' WHERE sync_run_id = ? AND batch_number = ?",
        [run.sync_run_id, number],
    )
    con.commit()
