"""The last step: what the ledger says that the destination holds of a customer."""

from __future__ import annotations

from orchestration.trace_steps import MISSING, PASSED, Step, at
from reverse_etl.declarations import Sync
from reverse_etl.trace import LastRun, Planned, Row, Standing

REASONS = {
    "no_consent": "consent is gone",
    "left_audience": "they left the audience",
    "deleted": "they are no customer any more",
    "merged": "they were merged into another customer, who has a row of their own",
    "holdout": "an experiment holds them out",
}
SHOWN_SENT = 3
SENT = ("add", "update", "parked")


def destination(
    sync: Sync, found: Standing, customer_id: str | None, *, held_back: str | None = None
) -> Step:
    """Whether the destination holds them; if it does not, what stands between.

    `held_back` says why nothing at all may be sent just now, if so.
    """
    planned = next((one for one in found.planned if one.customer_id == customer_id), None)
    sent = tuple(_log(found))
    held = next((row for row in found.rows if row.is_held), None)
    if held:
        return _held(sync, held, found.planned, sent)
    refused = next((row for row in found.rows if row.status in ("rejected", "parked")), None)
    if refused and refused.attempts and planned and planned.kind in SENT:
        return _refused(sync, refused, sent)
    gone = next((row for row in found.rows if row.status in ("removed", "suppressed")), None)
    past = (f"was there until {at(gone.synced_at)}",) if gone and gone.synced_at else ()
    absent = next((row for row in found.rows if row.error_code == "not_there"), None)
    if absent and planned:
        return Step(
            "destination", MISSING,
            f"{sync.destination} has nobody by {absent.row_key}, and mode {sync.mode} adds nobody",
            sent, "they have to come into it some other way",
        )  # fmt: skip
    if planned is None or planned.kind not in SENT:
        return Step(
            "destination", MISSING,
            f"{sync.destination} holds nothing of theirs", (*past, *sent),
        )  # fmt: skip
    if held_back:
        return Step(
            "destination", MISSING, f"no sync may send now: {held_back}", (*past, *sent),
            "put right what keeps it from loading, then `mainstem run`",
        )  # fmt: skip
    return _waiting(sync, found.last_run, (*past, *sent))


def _held(sync: Sync, row: Row, planned: tuple[Planned, ...], sent: tuple[str, ...]) -> Step:
    since = f", as of {at(row.synced_at)}" if row.synced_at else ""
    what = f"{sync.destination} holds {row.row_key}{since}"
    if row.status == "unknown":
        what = f"{sync.destination} may hold {row.row_key}: what was sent last had no answer"
    details = []
    if row.status in ("rejected", "parked"):
        details.append(f"its last change was refused: {_reason(row)}")
    if row.status == "suppressed":
        details.append(f"they have to go, but {sync.destination} removes nothing: do it by hand")
    for one in planned:
        if one.row_key == row.row_key and one.kind == "update":
            details.append("the next run sends a change")
        if one.row_key == row.row_key and one.kind == "remove":
            details.append(f"the next run removes it: {REASONS.get(one.reason or '', one.reason)}")
    return Step("destination", PASSED, what, (*details, *sent))


def _refused(sync: Sync, row: Row, sent: tuple[str, ...]) -> Step:
    times = "once" if row.attempts == 1 else f"{row.attempts} times"
    since = f" since {at(row.first_failed_at)}" if row.first_failed_at else ""
    again = "mend the row or the destination: it is tried again on every run"
    if row.status == "parked":
        again = (
            f"it is not tried again until its fields change, or `mainstem sync {sync.name} --full`"
        )
    what = f"{sync.destination} refused {row.row_key} {times}{since}: {_reason(row)}"
    return Step("destination", MISSING, what, sent, again)


def _waiting(sync: Sync, last: LastRun | None, details: tuple[str, ...]) -> Step:
    """Nothing is in the way, and still they have not been sent."""
    go = f"`mainstem sync {sync.name}`"
    if last is None:
        return Step("destination", MISSING, f"{sync.name} has never run", details, go)
    began = at(last.started_at)
    if last.status == "running":
        what = f"the run of {began} has not ended: it is under way, or was killed"
        return Step("destination", MISSING, what, details, f"{go} goes on with it")
    if last.status != "succeeded":
        told = f"the run of {began} ended {last.status}"
        if last.rows_pending:
            told += f", with {last.rows_pending:,} rows pending"
        why = (last.error,) if last.error else ()
        then = f"put right what it says, then {go}"
        return Step("destination", MISSING, told, (*why, *details), then)
    what = f"nothing is in the way: they came after the run of {began}"
    return Step("destination", MISSING, what, details, go)


def _reason(row: Row) -> str:
    return ": ".join(dict.fromkeys(part for part in (row.error_code, row.error) if part)) or "?"


def _log(found: Standing) -> list[str]:
    return [
        f"{at(one.sent_at)}  {one.operation} {one.status}"
        + (f" ({one.reason})" if one.reason else "")
        for one in found.sent[:SHOWN_SENT]
        if one.sent_at
    ]
