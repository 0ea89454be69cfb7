"""Running a sync: settle what was in flight, plan, send batch by batch, book every answer.

Promise: nothing is lost, and what is repeated after a kill or a missing answer is at most the
batches in flight (`parallel` of them), under the same idempotency keys and with the same bodies.
Three exceptions. Consent: a batch in flight with somebody who has withdrawn since is not sent again;
its rows are planned anew, and who withdrew is removed. Mode `replace`: a session that was
interrupted is begun anew, since a part of one means nothing. And a batch that gets nothing but 500
is halved in the end, under other keys (reverse_etl.halving).

No database but the ledger is open while anything waits for a network.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from reverse_etl import (
    destinations,
    ending,
    guards,
    outbox,
    plan,
    previewing,
    recording,
    results,
    sending,
)
from reverse_etl import ledger as books
from reverse_etl.connection import MissingVariableError, resolve
from reverse_etl.declarations import Sync
from reverse_etl.delivery import Progress
from reverse_etl.destination import Destination, DestinationError, StopError
from reverse_etl.halving import Halving
from reverse_etl.patience import RetryPolicy
from reverse_etl.previewing import Preview
from reverse_etl.results import SyncResult
from reverse_etl.shift import Shift, message

__all__ = ["Preview", "Progress", "RetryPolicy", "SyncResult", "preview", "run"]


def run(
    sync: Sync,
    *,
    published: Path,
    ledger: Path,
    run_id: str,
    env: Mapping[str, str],
    now: datetime,
    dry_run: bool = False,
    resume: bool = False,
    full: bool = False,
    accept: bool = False,
    progress: Progress | None = None,
    policy: RetryPolicy | None = None,
) -> SyncResult:
    """Bring one destination up to date with its audience.

    `published` is the published DuckDB file, `ledger` that of the sync ledger (made if missing),
    `env` what `${NAME}` is resolved from, `now` the clock at the start (UTC if it is naive).
    `progress(done, total)` is called in rows.

    `resume` finishes what an interrupted run left, and plans nothing new; `full` sends everything
    again; `accept` lets through, this once, what a guard would stop.

    Trouble at the destination is in the result and raises nothing; raises LedgerBusyError when
    another process has the ledger open.
    """
    if dry_run:
        return _dry_run(sync, published, ledger, full)
    clock = _clock(now)
    with closing(books.connect(ledger)) as con:
        try:
            destination = _destination(con, sync, env)
        except (StopError, MissingVariableError) as error:
            trouble = message(sync, str(error))
            return results.of_run(con, books.record_blocked(con, sync, run_id, trouble, clock()))
        policy = policy or RetryPolicy()
        shift = Shift(
            con=con,
            sync=sync,
            published=published,
            destination=destination,
            run_id=run_id,
            policy=policy,
            clock=clock,
            progress=progress,
            resume=resume,
            full=full,
            accept=accept,
            halving=Halving(policy.silent_halves, outbox.refused_over_500(con, sync)),
        )
        ending.end_broken_session(shift)
        unfinished = books.unfinished(con, sync)
        if resume and not unfinished and not books.left_over(con, sync):
            return SyncResult(sync.name, "", "succeeded")
        opened = books.open_run(con, sync, run_id, clock()) if unfinished else None
        return _work(shift, opened)


def preview(
    sync: Sync,
    *,
    published: Path,
    ledger: Path,
    env: Mapping[str, str],
    bodies: int = 0,
    full: bool = False,
) -> Preview:
    """What a run would do: counts, samples with personal data masked, and the guards' objection.

    With `bodies`, the exact requests of so many first batches (these do hold personal data).
    Sends nothing and writes nothing. Raises LedgerBusyError; other trouble is in `error`.
    """
    return previewing.preview(
        sync, published=published, ledger=ledger, env=env, bodies=bodies, full=full
    )


def _destination(con: duckdb.DuckDBPyConnection, sync: Sync, env: Mapping[str, str]) -> Destination:
    if other := books.held_elsewhere(con, sync):
        raise StopError(
            f"config.meta.sync.destination was {other}, which still holds rows of this "
            f"sync: put it back, or give the exposure that sends to {sync.destination} "
            "another name",
            code="destination_changed",
        )
    return destinations.find(sync.destination)(resolve(sync.connection, env))


def _work(shift: Shift, opened: books.OpenRun | None) -> SyncResult:
    """Settle what is in flight, plan and send; `opened` is the run that goes on, if one does."""
    con, sync = shift.con, shift.sync
    trouble: str | None = None
    status = "succeeded"
    try:
        unanswered = sending.repeat(shift, opened) if opened else None
        basis = plan.make(con, sync, shift.published, opened, full=shift.full)
        if shift.resume:
            plan.keep_left_over(con, sync)
        objection = None if shift.accept else _objection(shift, basis)
        if objection:
            status, trouble = "blocked", objection
        elif opened is None and (idle := _idle(shift)):
            return idle
        opened = opened or books.open_run(con, sync, shift.run_id, shift.clock())
        if unanswered:
            plan.keep_from_overtaking(con, opened)
        _record(shift, opened, basis, is_blocked=status == "blocked")
        if trouble_met := sending.send(shift, opened, "planned") or unanswered:
            sending.look_again(shift, opened, trouble_met)
        if status == "succeeded":
            guards.remember_shape(con, sync, basis, shift.clock())
    except plan.PlanError as error:
        opened = opened or books.open_run(con, sync, shift.run_id, shift.clock())
        return ending.close(shift, opened, "failed", str(error))
    except DestinationError as error:
        assert opened is not None  # noqa: S101 - nothing is sent before a run is open
        return ending.close(shift, opened, "incomplete", str(error))
    return ending.close(shift, opened, status, trouble)


def _objection(shift: Shift, basis: plan.Basis) -> str | None:
    """What a guard says; takes out of the plan what is not sent then."""
    con, sync = shift.con, shift.sync
    if nothing_known := guards.nothing_known(con, sync, basis):
        plan.keep_nothing(con)
        return nothing_known
    if objection := guards.objection(con, sync, basis):
        plan.keep_must_go(con)
        return objection
    return None


def _record(shift: Shift, opened: books.OpenRun, basis: plan.Basis, *, is_blocked: bool) -> None:
    con, sync = shift.con, shift.sync
    capabilities = shift.destination.capabilities
    # removals that a guard lets through are no session
    mode = "mirror" if is_blocked and sync.mode == "replace" else sync.mode
    if is_blocked and not capabilities.removal:
        plan.keep_nothing(con)
    with recording.in_log_alone(con):
        con.begin()
        recording.record_plan(
            con,
            sync,
            opened,
            shift.run_id,
            shift.clock(),
            capabilities=capabilities,
            field_types=basis.field_types,
            mode=mode,
        )
        outbox.expect_500(con, opened, outbox.refused_over_500(con, sync))
        con.commit()


def _idle(shift: Shift) -> SyncResult | None:
    """The result of a run that has nothing to do, else None.

    Nothing is booked for it, so that a run that is repeated, after a kill for one, leaves the same
    tables as a run that went through.
    """
    con, sync = shift.con, shift.sync
    last = books.last_settled(con, sync)
    if last is None:
        return None
    found = results.of_counts(sync, previewing.counts(con))
    ((due,),) = con.execute(
        """
        SELECT (SELECT count(*) FROM plan
                WHERE is_news OR kind IN ('add', 'update', 'remove'))
            -- a row that was refused and is wanted no more is to be forgotten
            + (SELECT count(*) FROM sync_state WHERE sync_name = ? AND NOT is_held
               AND row_key NOT IN (SELECT row_key FROM plan))""",
        [sync.name],
    ).fetchall()
    suppressed_before = results.of_run(con, last).rows_suppressed
    return found if due == 0 and found.rows_suppressed == suppressed_before else None


def _dry_run(sync: Sync, published: Path, ledger: Path, full: bool) -> SyncResult:
    found = preview(sync, published=published, ledger=ledger, env={}, full=full)
    if found.status == "failed":
        return SyncResult(sync.name, "", "failed", error=found.error, is_dry_run=True)
    return replace(results.of_counts(sync, found.counts), is_dry_run=True, error=found.error)


def _clock(now: datetime) -> Callable[[], datetime]:
    """The time in UTC, naive as DuckDB's TIMESTAMP is, going on from `now`."""
    start = now.astimezone(UTC).replace(tzinfo=None) if now.tzinfo else now
    begun = time.monotonic()
    return lambda: start + timedelta(seconds=time.monotonic() - begun)
