"""Running a sync: settle what was in flight, plan, send batch by batch, book every answer.

Promise: nothing is lost, and what is repeated after a kill or a missing answer is at most the
batches in flight (`parallel` of them), under the same idempotency keys and with the same bodies.
Two exceptions. Consent: a batch in flight with somebody who has withdrawn since is not sent again;
its rows are planned anew, and who withdrew is removed. Mode `replace`: a session that was
interrupted is begun anew, since a part of one means nothing.

No database but the ledger is open while anything waits for a network.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from reverse_etl import destinations, guards, outbox, plan, previewing, recording, results, settling
from reverse_etl import ledger as books
from reverse_etl.connection import MissingVariableError, resolve
from reverse_etl.declarations import Sync
from reverse_etl.delivery import Delivery, Progress
from reverse_etl.destination import Destination, DestinationError, StopError
from reverse_etl.halving import Halving, may_halve
from reverse_etl.patience import RetryPolicy
from reverse_etl.previewing import Preview
from reverse_etl.results import SyncResult

__all__ = ["Preview", "Progress", "RetryPolicy", "SyncResult", "preview", "run"]


@dataclass(frozen=True)
class _Shift:
    """What the steps of one run share."""

    con: duckdb.DuckDBPyConnection
    sync: Sync
    published: Path
    destination: Destination = field(repr=False)
    run_id: str
    policy: RetryPolicy
    clock: Callable[[], datetime]
    progress: Progress | None
    resume: bool
    full: bool
    accept: bool
    halving: Halving
    remarks: dict[str, None] = field(default_factory=dict)


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
            message = _message(sync, str(error))
            return results.of_run(con, books.record_blocked(con, sync, run_id, message, clock()))
        policy = policy or RetryPolicy()
        shift = _Shift(
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
        _end_broken_session(shift)
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


def _work(shift: _Shift, opened: books.OpenRun | None) -> SyncResult:
    """Settle what is in flight, plan and send; `opened` is the run that goes on, if one does."""
    con, sync = shift.con, shift.sync
    trouble: str | None = None
    status = "succeeded"
    try:
        unanswered = _repeat(shift, opened) if opened else None
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
        if trouble_met := _deliver(shift, opened, "planned") or unanswered:
            _look_again(shift, opened, trouble_met)
        if status == "succeeded":
            guards.remember_shape(con, sync, basis, shift.clock())
    except plan.PlanError as error:
        opened = opened or books.open_run(con, sync, shift.run_id, shift.clock())
        return _close(shift, opened, "failed", str(error))
    except DestinationError as error:
        assert opened is not None  # noqa: S101 - nothing is sent before a run is open
        return _close(shift, opened, "incomplete", str(error))
    return _close(shift, opened, status, trouble)


def _repeat(shift: _Shift, opened: books.OpenRun) -> DestinationError | None:
    """Send again, or ask again about, what was in flight when a run was interrupted.

    What kept a batch from being answered once more is returned: it must not keep everything else,
    withdrawals among it, from being sent for ever.
    """
    con, sync = shift.con, shift.sync
    if not outbox.batches(con, opened, "sent"):
        return None
    forbidden = plan.no_longer_allowed(con, sync, shift.published, opened)
    in_flight = outbox.batches(con, opened, "sent")
    at_work = {ref.number for ref in in_flight if ref.job_id and ref.number in forbidden}
    _abandon(shift, opened, [number for number in forbidden if number not in at_work])
    # a removal must not overtake a job that adds somebody: its end is waited for first
    unanswered = _deliver(shift, opened, "sent", last_asked=frozenset(at_work))
    settling.settle(con)
    left = [ref.number for ref in outbox.batches(con, opened, "sent") if ref.number in at_work]
    _abandon(shift, opened, left)
    if unanswered:
        numbers = [ref.number for ref in outbox.batches(con, opened, "sent")]
        con.begin()
        settling.mark_unknown(con, opened.sync_run_id, numbers, _addresses(shift, opened, numbers))
        con.commit()
        if sync.mode == "replace":
            raise unanswered  # a session without somebody would take them out
    return unanswered


def _look_again(shift: _Shift, opened: books.OpenRun, trouble: DestinationError) -> None:
    """Halve what got 500 before the receiver was known to be there. Raises what is in the way then.

    That is how a batch that has nothing but bad rows, of one row for instance, comes to an end.
    """
    halving = shift.halving
    is_heard = halving.is_alive and not halving.is_lost
    if not (is_heard and may_halve(shift.destination.capabilities, shift.sync.mode)):
        raise trouble
    settling.settle(shift.con)
    in_flight = outbox.batches(shift.con, opened, "sent")
    again = {ref.number for ref in in_flight if ref.is_left_over_500} - halving.fresh
    if not again:
        raise trouble
    trouble = _deliver(shift, opened, "sent", again=frozenset(again)) or trouble
    settling.settle(shift.con)
    if any(outbox.batches(shift.con, opened, status) for status in ("planned", "sent")):
        raise trouble


def _abandon(shift: _Shift, opened: books.OpenRun, numbers: list[int]) -> None:
    if numbers:
        addresses = _addresses(shift, opened, numbers)
        settling.abandon(shift.con, opened.sync_run_id, numbers, addresses)


def _objection(shift: _Shift, basis: plan.Basis) -> str | None:
    """What a guard says; takes out of the plan what is not sent then."""
    con, sync = shift.con, shift.sync
    if nothing_known := guards.nothing_known(con, sync, basis):
        plan.keep_nothing(con)
        return nothing_known
    if objection := guards.objection(con, sync, basis):
        plan.keep_must_go(con)
        return objection
    return None


def _record(shift: _Shift, opened: books.OpenRun, basis: plan.Basis, *, is_blocked: bool) -> None:
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


def _deliver(
    shift: _Shift,
    opened: books.OpenRun,
    status: str,
    *,
    last_asked: frozenset[int] = frozenset(),
    again: frozenset[int] = frozenset(),
) -> DestinationError | None:
    """Send the batches of that status; opens the destination only if there are any.

    Those in `last_asked` are asked about and not sent again, whatever became of them; with `again`,
    these alone are sent, once more. Raises what ends the run; returns what kept single batches from
    being answered.
    """
    if not outbox.batches(shift.con, opened, status, again):
        return None
    most = shift.destination.capabilities.parallel
    parallel = 1 if shift.sync.mode == "replace" else min(shift.sync.parallel or most, most)
    with shift.destination as destination:
        delivery = Delivery(
            con=shift.con,
            sync=shift.sync,
            run=opened,
            destination=destination,
            policy=shift.policy,
            clock=shift.clock,
            parallel=max(1, parallel),
            progress=shift.progress if status == "planned" else None,
            remarks=shift.remarks,
            halving=shift.halving,
            last_asked=last_asked,
        )
        try:
            delivery.deliver(status, again)
        except DestinationError as error:
            # three bad rows in flight must not keep everybody else away for ever
            shift.halving.is_on_trial = status == "sent" and delivery.is_ended_by_500
            if delivery.is_ending and not shift.halving.is_on_trial:
                raise
            return error
    return None


def _close(shift: _Shift, opened: books.OpenRun, status: str, trouble: str | None) -> SyncResult:
    con, sync = shift.con, shift.sync
    settling.settle(con)
    _drop_session(shift, opened)
    in_flight = [ref.number for ref in outbox.batches(con, opened, "sent")]
    if status == "succeeded":
        recording.forget_planned(con, sync)
    settling.close_run(
        con,
        opened.sync_run_id,
        status=status,
        addresses=_addresses(shift, opened, in_flight),
        at=shift.clock(),
    )
    result = results.of_run(con, opened)
    if status == "incomplete":
        again = f"{result.rows_pending} rows are pending: run it again"
        trouble = _message(sync, f"{trouble}. {again}")
    elif status == "blocked":
        trouble = _message(sync, str(trouble))
    elif status == "succeeded":
        said = [f"{sync.destination} says: {remark}" for remark in shift.remarks]
        if result.rows_rejected:
            said.insert(
                0, f"{result.rows_rejected} rows were rejected: reverse_etl.dead_letters says why"
            )
        trouble = _message(sync, ". ".join(said)) if said else None
    con.execute(
        "UPDATE sync_runs SET error = ? WHERE sync_run_id = ?", [trouble, opened.sync_run_id]
    )
    return replace(result, error=trouble)


def _end_broken_session(shift: _Shift) -> None:
    """A session that a kill interrupted is closed: the run that follows begins another."""
    unfinished = books.unfinished(shift.con, shift.sync)
    if unfinished and settling.is_session(shift.con, unfinished):
        opened = books.OpenRun(unfinished, is_resumed=True)
        _close(shift, opened, "incomplete", "the session was interrupted and is sent anew")


def _drop_session(shift: _Shift, opened: books.OpenRun) -> None:
    """What a session that is not whole has sent means nothing: it is unknown what is held."""
    con = shift.con
    if not settling.is_session(con, opened.sync_run_id):
        return
    left = [ref for status in ("planned", "sent") for ref in outbox.batches(con, opened, status)]
    if left:
        gone = [
            ref.number
            for status in ("sent", "answered")
            for ref in outbox.batches(con, opened, status)
        ]
        _abandon(shift, opened, gone)


def _addresses(shift: _Shift, opened: books.OpenRun, numbers: list[int]) -> dict[str, str]:
    """Remote ids of rows that may have arrived, where they follow from what was sent."""
    found: dict[str, str] = {}
    for number in numbers:
        batch = outbox.read_batch(shift.con, shift.sync, opened, number)
        found.update(shift.destination.addresses(batch))
    return found


def _idle(shift: _Shift) -> SyncResult | None:
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


def _message(sync: Sync, trouble: str) -> str:
    return f"{sync.path}: exposure {sync.name}, config.meta.sync: {trouble}"


def _clock(now: datetime) -> Callable[[], datetime]:
    """The time in UTC, naive as DuckDB's TIMESTAMP is, going on from `now`."""
    start = now.astimezone(UTC).replace(tzinfo=None) if now.tzinfo else now
    begun = time.monotonic()
    return lambda: start + timedelta(seconds=time.monotonic() - begun)
