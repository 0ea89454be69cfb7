"""Running a sync: settle what was in flight, plan, send batch by batch, book every answer.

Promise: nothing is lost, and what is repeated after a kill or a missing answer is at most the batch
in flight, under the same idempotency key and with the same body. The one exception is consent: a
batch in flight with somebody who has withdrawn since is not sent again; its rows are planned anew,
and who withdrew is removed.

No database but the ledger is open while anything waits for a network.
"""

import random
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from reverse_etl import destinations, outbox, plan
from reverse_etl import ledger as books
from reverse_etl.connection import MissingVariableError, resolve
from reverse_etl.declarations import Sync
from reverse_etl.destination import (
    Batch,
    BatchAnswer,
    Destination,
    DestinationError,
    Job,
    RejectError,
    RetryError,
    RowAnswer,
    StopError,
)
from reverse_etl.redaction import redact

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class RetryPolicy:
    """How temporary trouble is met: tries a batch, and seconds between them (doubled, jittered).

    A receiver that asks for more than `longest_wait` seconds ends the run as incomplete instead.
    """

    tries: int = 5
    first_wait: float = 0.5
    longest_wait: float = 60.0


@dataclass(frozen=True)
class SyncResult:
    """What a run of a sync did, in rows; rows_planned is the sum of the eight kinds after it.

    status: succeeded; incomplete (rows are pending: run it again); failed (no plan could be made);
    blocked (nothing was tried: something has to be put right first). `error` says what and where.
    After a dry run the kinds say what would be done. sync_run_id is empty when nothing was booked: after
    a dry run, and when there was nothing to do.
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


@dataclass
class _Shift:
    """What the steps of one run share."""

    con: duckdb.DuckDBPyConnection
    sync: Sync
    run: books.OpenRun
    run_id: str
    policy: RetryPolicy
    clock: Callable[[], datetime]


def run(
    sync: Sync,
    *,
    published: Path,
    ledger: Path,
    run_id: str,
    env: Mapping[str, str],
    now: datetime,
    dry_run: bool = False,
    progress: Progress | None = None,
    policy: RetryPolicy | None = None,
) -> SyncResult:
    """Bring one destination up to date with its audience.

    `published` is the published DuckDB file, `ledger` that of the sync ledger (made if missing),
    `env` what `${NAME}` is resolved from, `now` the clock at the start (UTC if it is naive).
    `progress(done, total)` is called in rows. Trouble at the destination is in the result and
    raises nothing; raises LedgerBusyError when another process has the ledger open.
    """
    if dry_run:
        return _preview(sync, published, ledger)
    clock = _clock(now)
    with closing(books.connect(ledger)) as con:
        other = books.held_elsewhere(con, sync)
        try:
            if other:
                raise StopError(
                    f"config.meta.sync.destination was {other}, which still holds rows of this "
                    f"sync: put it back, or give the exposure that sends to {sync.destination} "
                    "another name",
                    code="destination_changed",
                )
            connection = resolve(sync.connection, env)
            destination = destinations.find(sync.destination)(connection)
        except (StopError, MissingVariableError) as error:
            message = _message(sync, str(error))
            blocked = books.record_blocked(con, sync, run_id, message, clock())
            return _result(con, blocked)
        if idle := _idle(con, sync, published):
            return idle
        opened = books.open_run(con, sync, run_id, clock())
        shift = _Shift(con, sync, opened, run_id, policy or RetryPolicy(), clock)
        status, error_text = _work(shift, destination, published, progress)
        outbox.close_run(con, sync, opened, status=status, error=error_text, at=clock())
        return _result(con, opened)


def _work(
    shift: _Shift, destination: Destination, published: Path, progress: Progress | None
) -> tuple[str, str | None]:
    """Settle, plan and send; returns the status the run ends with, and the error to show."""
    con, sync, opened = shift.con, shift.sync, shift.run
    try:
        if outbox.batches(con, opened, "sent"):
            outbox.abandon(con, sync, opened, plan.no_longer_allowed(con, sync, published, opened))
            _deliver(shift, destination, "sent", None)
        plan.make(con, sync, published, opened)
        outbox.record_plan(con, sync, opened, shift.run_id, shift.clock())
        _deliver(shift, destination, "planned", progress)
    except plan.PlanError as error:
        return "failed", str(error)
    except DestinationError as error:
        pending = _result(con, opened).rows_pending
        again = f"{pending} rows are pending: run it again"
        return "incomplete", _message(sync, f"{error}. {again}")
    rejected = _result(con, opened).rows_rejected
    if rejected:
        return "succeeded", _message(
            sync, f"{rejected} rows were rejected: reverse_etl.dead_letters says why"
        )
    return "succeeded", None


def _deliver(
    shift: _Shift, destination: Destination, status: str, progress: Progress | None
) -> None:
    """Send the batches of that status in order; opens the destination only if there are any."""
    due = outbox.batches(shift.con, shift.run, status)
    total, done = sum(ref.row_count for ref in due), 0
    if not due:
        return
    with destination:
        for ref in due:
            _deliver_batch(shift, destination, ref, was_sent=status == "sent")
            done += ref.row_count
            if progress:
                progress(done, total)


def _deliver_batch(
    shift: _Shift, destination: Destination, ref: outbox.BatchRef, *, was_sent: bool
) -> None:
    """Send one batch until it is answered; raises RetryError when tries run out, and StopError."""
    batch = outbox.read_batch(shift.con, shift.sync, shift.run, ref.number)
    # once one try may have arrived, the batch stays in flight whatever the next ones meet
    maybe_applied = was_sent
    for attempt in range(1, shift.policy.tries + 1):
        attempts = ref.attempts + attempt
        outbox.mark_sent(shift.con, shift.run, ref.number, attempts, shift.clock())
        try:
            answer = destination.send(batch)
        except RejectError as error:
            told = RowAnswer(error.code, str(error))
            refused = BatchAnswer(error.http_status, rows={row.key: told for row in batch.rows})
            _book(shift, batch, refused, attempts)
            return
        except (RetryError, StopError) as error:
            books.count_request(shift.con, shift.run)
            wait = None
            if isinstance(error, RetryError):
                maybe_applied = maybe_applied or error.maybe_applied
                wait = _wait(shift.policy, attempt, error.after_seconds)
            if wait is None:
                if not maybe_applied:
                    outbox.mark_unsent(shift.con, shift.run, ref.number)
                raise
            time.sleep(wait)
        else:
            if isinstance(answer, Job):
                raise NotImplementedError
            _book(shift, batch, answer, attempts)
            return


def _wait(policy: RetryPolicy, attempt: int, asked: float | None) -> float | None:
    """Seconds until the next try: at least what was asked for; None when there is none."""
    if attempt >= policy.tries or (asked or 0) > policy.longest_wait:
        return None
    backoff = min(policy.longest_wait, policy.first_wait * float(2 ** (attempt - 1)))
    # half fixed and half random, so that many clients do not come back at one moment
    jitter: float = random.uniform(0.5, 1.0)  # noqa: S311
    return max(asked or 0.0, backoff * jitter)


def _book(shift: _Shift, batch: Batch, answer: BatchAnswer, attempts: int) -> None:
    fields = {row.key: row.fields for row in batch.rows if row.key in answer.rows}
    answers = {
        key: RowAnswer(
            redact(told.error_code, key, fields[key]) if told.error_code else None,
            redact(told.error, key, fields[key]) if told.error else None,
            told.remote_id,
        )
        for key, told in answer.rows.items()
        if key in fields
    }
    outbox.acknowledge(
        shift.con,
        shift.run,
        batch,
        answers,
        http_status=answer.http_status,
        bytes_sent=answer.bytes_sent,
        attempts=attempts,
        run_id=shift.run_id,
        at=shift.clock(),
    )


def _idle(con: duckdb.DuckDBPyConnection, sync: Sync, published: Path) -> SyncResult | None:
    """The result of a run that has nothing to do, else None.

    Nothing is booked for it, so that a run that is repeated, after a kill for one, leaves the same
    tables as a run that went through.
    """
    last = books.last_settled(con, sync)
    if last is None:
        return None
    try:
        plan.make(con, sync, published)
    except plan.PlanError:
        return None
    found = _counted(con, sync)
    ((due,),) = con.execute(
        """
        SELECT (SELECT count(*) FROM plan WHERE position IS NOT NULL OR is_news)
            -- a row that was refused and is wanted no more is to be forgotten
            + (SELECT count(*) FROM sync_state WHERE sync_name = ? AND NOT is_held
               AND row_key NOT IN (SELECT row_key FROM plan))""",
        [sync.name],
    ).fetchall()
    suppressed_before = _result(con, last).rows_suppressed
    return found if due == 0 and found.rows_suppressed == suppressed_before else None


def _preview(sync: Sync, published: Path, ledger: Path) -> SyncResult:
    """What a run would do, counted; writes nothing, not even a ledger."""
    with closing(books.connect(ledger if ledger.exists() else ":memory:")) as con:
        try:
            plan.make(con, sync, published)
        except plan.PlanError as error:
            return SyncResult(sync.name, "", "failed", error=str(error), is_dry_run=True)
        return replace(_counted(con, sync), is_dry_run=True)


def _counted(con: duckdb.DuckDBPyConnection, sync: Sync) -> SyncResult:
    """The kinds of the plan that was just made, as the result of a run that sends nothing."""
    counts: dict[str, int] = dict(
        con.execute("SELECT kind, count(*) FROM plan GROUP BY kind").fetchall()
    )
    return SyncResult(
        sync_name=sync.name,
        sync_run_id="",
        status="succeeded",
        rows_planned=sum(counts.values()),
        rows_added=counts.get("add", 0),
        rows_updated=counts.get("update", 0),
        rows_removed=counts.get("remove", 0),
        rows_invalid=counts.get("invalid", 0),
        rows_suppressed=counts.get("suppressed", 0),
        rows_unchanged=counts.get("unchanged", 0),
    )


def _result(con: duckdb.DuckDBPyConnection, opened: books.OpenRun) -> SyncResult:
    (row,) = con.execute(
        """
        SELECT sync_name, sync_run_id, status, rows_planned, rows_added, rows_updated, rows_removed,
            rows_rejected, rows_invalid, rows_suppressed, rows_unchanged, rows_pending, requests,
            bytes_sent, error
        FROM sync_runs WHERE sync_run_id = ?""",
        [opened.sync_run_id],
    ).fetchall()
    return replace(SyncResult(*row), is_resumed=opened.is_resumed)


def _message(sync: Sync, trouble: str) -> str:
    return f"{sync.path}: exposure {sync.name}, config.meta.sync: {trouble}"


def _clock(now: datetime) -> Callable[[], datetime]:
    """The time in UTC, naive as DuckDB's TIMESTAMP is, going on from `now`."""
    start = now.astimezone(UTC).replace(tzinfo=None) if now.tzinfo else now
    begun = time.monotonic()
    return lambda: start + timedelta(seconds=time.monotonic() - begun)
