"""The steps from source to destination, each judged for one customer and one sync."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from identity.lookup import spellings

if TYPE_CHECKING:
    import duckdb

    from audiences.published import Definition, Standing
    from audiences.reasons import Reasons
    from reverse_etl import trace
    from reverse_etl.declarations import Sync

PASSED, MISSING, UNASKED = "passed", "missing", "not asked"


@dataclass(frozen=True)
class Step:
    """One step of the road: `state` is PASSED, MISSING or UNASKED; `next` what to do about it."""

    name: str
    state: str
    what: str
    details: tuple[str, ...] = ()
    next: str | None = None


def unasked(name: str, what: str = "not asked: there is no customer to ask for") -> Step:
    """A step that was not come to."""
    return Step(name, UNASKED, what)


def source(con: duckdb.DuckDBPyConnection, customer_id: str) -> Step:
    """The contact records that are loaded of a customer."""
    records = con.execute(
        """
        select source_system, count(*), max(loaded_at), bool_and(is_deleted)
        from canonical.contacts
        where contact_key in (select node_key from identity.crosswalk where customer_id = ?)
        group by all order by all
        """,
        [customer_id],
    ).fetchall()
    if not records:
        return Step(
            "source", MISSING, "no contact record names them: only browsers or apps are known",
            next=f"`mainstem explain {customer_id}` shows them; a record with a login or an email"
            " that they share makes a customer of them",
        )  # fmt: skip
    count = sum(number for _, number, _, _ in records)
    names = ", ".join(str(system) for system, *_ in records)
    loaded = max(at for _, _, at, _ in records)
    return Step("source", PASSED, f"{count} contact records ({names}), loaded last {at(loaded)}")


def no_source(
    con: duckdb.DuckDBPyConnection, text: str, quarantined: list[str] | None
) -> tuple[Step, Step]:
    """Source and identity of somebody who leads to no customer.

    `quarantined` are places where the text is in refused rows; None if that could not be looked at.
    """
    records = con.execute(
        """
        select contact_key, is_deleted from canonical.contacts
        where contact_key = $text or source_record_id = $text
            or lower(trim(email)) in (select unnest($values::varchar[]))
        order by is_deleted, contact_key limit 3
        """,
        {"text": text, "values": spellings(text)},
    ).fetchall()
    keys = ", ".join(str(key) for key, _ in records)
    if records and not records[0][1]:
        return (
            Step("source", PASSED, f"loaded: {keys}"),
            Step(
                "identity", MISSING, f"{keys} was loaded, but has been made nobody yet",
                next="`mainstem run`; if it ran, look at what failed in it",
            ),
        )  # fmt: skip
    if records:
        gone = Step(
            "source", MISSING, f"{keys} is marked as deleted at the source",
            next="nothing, unless it was deleted by mistake: the source has to bring it again",
        )  # fmt: skip
        return gone, unasked("identity")
    erased = con.execute(
        """
        select reason, changed_at from identity.history
        where event = 'erase' and from_customer_id = ? order by changed_at desc limit 1
        """,
        [text],
    ).fetchall()
    if erased:
        ((reason, erased_at),) = erased
        gone = Step(
            "source", MISSING, f"was a customer until {at(erased_at)}: {reason}", next="nothing"
        )
        return gone, unasked("identity")
    details = [f"failed to load: {name}: {error}" for name, error in _failed_loads(con)]
    step = "`mainstem sources` shows what is loaded, and how fresh; is their source among it?"
    if quarantined:
        details += [f"refused when it was loaded: {place}" for place in quarantined]
        table = quarantined[0].split(",")[0].split(" ")[0]
        step = f"`mainstem quarantine explain {table}` shows the rows, and why they were refused"
    elif quarantined is None:
        details.append("the quarantine could not be looked at: the warehouse is being written")
    elif details:
        step = "mend what failed to load, then `mainstem run`"
    what = "no source has brought anything that goes by it"
    if quarantined:
        what = "it came, but in rows that were refused"
    return Step("source", MISSING, what, tuple(details), step), unasked("identity")


def _failed_loads(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    rows = con.execute(
        """
        select source || '.' || table_name, error from ops.loads
        where status = 'failed' order by all limit 3
        """
    ).fetchall()
    return [(str(name), str(error)) for name, error in rows]


def identity(
    con: duckdb.DuckDBPyConnection, text: str, found_as: str, customer_id: str, retired: str | None
) -> Step:
    """Who they are today, whom they were made of, and what was held back of what was asked for."""
    details: list[str] = []
    moves = con.execute(
        """
        select event, from_customer_id, max(changed_at) as moved_at, any_value(reason)
        from identity.history
        where event in ('merge', 'split') and to_customer_id = $customer
            and from_customer_id <> $customer
        group by all order by moved_at desc, from_customer_id limit 3
        """,
        {"customer": customer_id},
    ).fetchall()
    words = {"merge": "has taken in", "split": "was split off"}
    details += [
        f"{words[event]} {other} on {at(when)} ({reason})" for event, other, when, reason in moves
    ]
    if retired and retired not in {other for _, other, *_ in moves}:
        details.append(f"{retired} leads to it by way of another merge")
    blocked = con.execute(
        """
        select identifier_type, any_value(blocked_reason), count(distinct node_key)
        from identity.identifiers
        where is_blocked and list_contains($values::varchar[], identifier_value)
        group by all order by all
        """,
        {"values": spellings(text)},
    ).fetchall()
    details += [
        f"that {kind} is held back ({str(reason).replace('_', ' ')}): it is on {nodes} records, and"
        " links none of them"
        for kind, reason, nodes in blocked
    ]
    is_golden = con.execute(
        "select 1 from marts.golden_customers where customer_id = ?", [customer_id]
    ).fetchall()
    if not is_golden:
        return Step(
            "identity", MISSING, f"{customer_id} has no golden record", tuple(details),
            "`mainstem run`; a visitor becomes a customer when a contact record names them",
        )  # fmt: skip
    return Step("identity", PASSED, f"{customer_id}, found by {found_as}", tuple(details))


def audience(
    definition: Definition, customer_id: str, standing: Standing, reasons: Reasons | None
) -> Step:
    """Whether they are a member, since when, and which condition keeps them out (`reasons`)."""
    name = definition.audience_id
    if standing.is_member:
        return Step("audience", PASSED, f"in {name} since {at(standing.entered_at)}")
    details = []
    for one in reasons.conditions if reasons else ():
        if one.holds is False:
            values = "; ".join(f"{what} is {value}" for what, value in one.values)
            details.append(f"fails: {one.sql}" + (f" ({values})" if values else ""))
    if reasons and reasons.sources:
        absent = [one.name for one in reasons.sources if one.has_customer is False]
        where = ", ".join(absent) or ", ".join(one.name for one in reasons.sources)
        details.append(f"there is nothing of theirs in {where}")
    if reasons and reasons.is_selected:
        details.append("its SELECT has them by now: the next `mainstem run` books it")
    left = standing.last_change in ("exited", "remapped")
    what = f"not in {name}"
    if left:
        what = f"left {name} on {at(standing.changed_at)} ({standing.reason})"
    return Step(
        "audience", MISSING, what, tuple(details),
        f"`mainstem audience preview {name} --customer {customer_id}` judges every condition",
    )  # fmt: skip


def consent(sync: Sync, found: trace.Consent) -> Step:
    """The decision in force about the sync's purpose and channel."""
    about = f"{sync.consent_purpose} by {sync.channel}"
    force = found.in_force
    if found.is_granted:
        when = f" on {at(force.decided_at)} ({force.record})" if force else ""
        return Step("consent", PASSED, f"{about} granted{when}")
    details = [
        f"{one.status} on {at(one.decided_at)} ({one.record})"
        + (f", until {at(one.valid_to)}" if one.valid_to else "")
        for one in found.decisions
        if one is not force
    ]
    if found.grants:
        details.append(f"granted are: {', '.join(found.grants)}")
    if force:
        what = f"{about} {force.status} on {at(force.decided_at)} ({force.record})"
    elif found.decisions:
        what = f"no decision about {about} is in force any more, or it may be another person's"
    else:
        what = f"no decision about {about} has ever come in"
    return Step(
        "consent", MISSING, what, tuple(details),
        f"only a granted decision about {about} from a source of consents lets them be sent",
    )  # fmt: skip


def experiment(holdout: trace.Holdout | None) -> Step:
    """Whether a running experiment keeps them from what the others get."""
    if holdout is None:
        return Step("experiment", PASSED, "held out by no experiment")
    return Step(
        "experiment", MISSING,
        f"in the arm control of {holdout.experiment_id} since {at(holdout.assigned_at)}:"
        " no sync sends them while it runs",
        next="nothing: they are sent when the experiment is over (experiments.yml)",
    )  # fmt: skip


def row(sync: Sync, planned: trace.Planned | None) -> Step:
    """Whether their row can be sent as it is."""
    if planned is None or planned.kind in ("suppressed", "remove"):
        return unasked("row", "not asked: nothing of theirs is to be sent")
    if planned.kind != "invalid":
        return Step("row", PASSED, f"{planned.row_key} has all that {sync.destination} requires")
    reason = planned.reason or "invalid"
    customer = f"`mainstem customer {planned.customer_id}`"
    if reason == "duplicate_row_key":
        return Step(
            "row", MISSING,
            f"their {sync.row_key} is the row key of {planned.owner or 'another customer'} already",
            next=f"`mainstem explain {planned.customer_id} {planned.owner}` if they are one person;"
            " else a row_key of their own" if planned.owner else "a row_key of their own",
        )  # fmt: skip
    if reason == "no_row_key":
        what = f"their {sync.row_key}, the row key, is empty"
        return Step("row", MISSING, what, next=f"{customer} shows what their sources say")
    target = reason.removeprefix("missing_")
    column = dict(sync.fields).get(target)
    if column is None:
        return Step("row", MISSING, f"invalid: {reason.replace('_', ' ')}", next=customer)
    return Step(
        "row", MISSING, f"{target} is required, and {column} is empty",
        next=f"{customer} shows which sources could bring it",
    )  # fmt: skip


def at(moment: Any) -> str:
    """A moment as people read it, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M}" if isinstance(moment, datetime) else "an unknown day"
