"""The three times that a run sends: what was in flight, the plan, and what got 500 once more.

Each opens the destination for itself, and only if there is anything to send.
"""

from reverse_etl import ledger as books
from reverse_etl import outbox, plan, settling
from reverse_etl.delivery import Delivery
from reverse_etl.destination import DestinationError
from reverse_etl.ending import abandon, addresses_of
from reverse_etl.halving import may_halve
from reverse_etl.shift import Shift


def repeat(shift: Shift, opened: books.OpenRun) -> DestinationError | None:
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
    abandon(shift, opened, [number for number in forbidden if number not in at_work])
    # a removal must not overtake a job that adds somebody: its end is waited for first
    unanswered = send(shift, opened, "sent", last_asked=frozenset(at_work))
    settling.settle(con)
    left = [ref.number for ref in outbox.batches(con, opened, "sent") if ref.number in at_work]
    abandon(shift, opened, left)
    if unanswered:
        numbers = [ref.number for ref in outbox.batches(con, opened, "sent")]
        con.begin()
        addresses = addresses_of(shift, opened, numbers)
        settling.mark_unknown(con, opened.sync_run_id, numbers, addresses)
        con.commit()
        if sync.mode == "replace":
            raise unanswered  # a session without somebody would take them out
    return unanswered


def look_again(shift: Shift, opened: books.OpenRun, trouble: DestinationError) -> None:
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
    trouble = send(shift, opened, "sent", again=frozenset(again)) or trouble
    settling.settle(shift.con)
    if any(outbox.batches(shift.con, opened, status) for status in ("planned", "sent")):
        raise trouble


def send(
    shift: Shift,
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
