"""Ending a run: what is in flight then, what a broken session means, and what people are told."""

from dataclasses import replace

from reverse_etl import ledger as books
from reverse_etl import outbox, recording, results, settling
from reverse_etl.results import SyncResult
from reverse_etl.shift import Shift, message


def close(shift: Shift, opened: books.OpenRun, status: str, trouble: str | None) -> SyncResult:
    """End a run with a status; `trouble` is what was in its way."""
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
        addresses=addresses_of(shift, opened, in_flight),
        at=shift.clock(),
    )
    result = results.of_run(con, opened)
    if status == "incomplete":
        again = f"{result.rows_pending} rows are pending: run it again"
        trouble = message(sync, f"{trouble}. {again}")
    elif status == "blocked":
        trouble = message(sync, str(trouble))
    elif status == "succeeded":
        said = [f"{sync.destination} says: {remark}" for remark in shift.remarks]
        if result.rows_rejected:
            said.insert(
                0, f"{result.rows_rejected} rows were rejected: reverse_etl.dead_letters says why"
            )
        trouble = message(sync, ". ".join(said)) if said else None
    con.execute(
        "UPDATE sync_runs SET error = ? WHERE sync_run_id = ?", [trouble, opened.sync_run_id]
    )
    return replace(result, error=trouble)


def end_broken_session(shift: Shift) -> None:
    """A session that a kill interrupted is closed: the run that follows begins another."""
    unfinished = books.unfinished(shift.con, shift.sync)
    if unfinished and settling.is_session(shift.con, unfinished):
        opened = books.OpenRun(unfinished, is_resumed=True)
        close(shift, opened, "incomplete", "the session was interrupted and is sent anew")


def _drop_session(shift: Shift, opened: books.OpenRun) -> None:
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
        abandon(shift, opened, gone)


def abandon(shift: Shift, opened: books.OpenRun, numbers: list[int]) -> None:
    """Give up batches that must not be sent again, with the addresses of who may be there."""
    if numbers:
        addresses = addresses_of(shift, opened, numbers)
        settling.abandon(shift.con, opened.sync_run_id, numbers, addresses)


def addresses_of(shift: Shift, opened: books.OpenRun, numbers: list[int]) -> dict[str, str]:
    """Remote ids of rows that may have arrived, where they follow from what was sent."""
    found: dict[str, str] = {}
    for number in numbers:
        batch = outbox.read_batch(shift.con, shift.sync, opened, number)
        found.update(shift.destination.addresses(batch))
    return found
