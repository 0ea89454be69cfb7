"""What the published file says of audiences: sizes, changes, overlaps, arms, sample rows."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from audiences.masking import masked


class AudienceError(Exception):
    """There is no such audience, or nothing to be said of it; the message says what to do."""


_TOLD = (
    "audience_id", "description", "owner", "consent_purpose", "experiment_id", "max_size",
    "declared_in", "sql",
)  # fmt: skip


@dataclass(frozen=True)
class Definition:
    """An audience as it was built last."""

    audience_id: str
    description: str | None
    owner: str | None
    consent_purpose: str | None
    experiment_id: str | None
    max_size: int | None
    declared_in: str
    sql: str
    booked_at: datetime
    views: tuple[str, ...]
    """DDL of the views that `sql` reads and that are not published, parents first."""


@dataclass(frozen=True)
class Change:
    """Customers that came and went when the audience was built last, and ids that were changed."""

    entered: int
    exited: int
    remapped: int


@dataclass(frozen=True)
class Overlap:
    """Customers in both audiences, and their share of each (0..1)."""

    audience_id: str
    customers: int
    share: float
    share_of_other: float


@dataclass(frozen=True)
class Arm:
    """Members in one arm of the audience's experiment."""

    experiment_id: str
    variant: str
    customers: int
    share: float
    is_running: bool


@dataclass(frozen=True)
class Standing:
    """One customer's membership: since when, and the last thing that was booked."""

    is_member: bool
    entered_at: datetime | None
    last_change: str | None
    reason: str | None
    changed_at: datetime | None
    variant: str | None


def definitions(con: duckdb.DuckDBPyConnection) -> list[Definition]:
    """All audiences, by name. Raises AudienceError if the file is older than audiences' books."""
    try:
        rows = con.execute(
            f"""
            select {", ".join(_TOLD)}, views, booked_at
            from audiences.definitions order by audience_id
            """
        ).fetchall()
    except duckdb.CatalogException:
        raise AudienceError("no audience is published yet: do `mainstem run` first") from None
    return [
        Definition(
            **dict(zip(_TOLD, row, strict=False)),
            booked_at=row[9],
            views=tuple(view["sql"] for view in row[8] or ()),
        )
        for row in rows
    ]


def find(con: duckdb.DuckDBPyConnection, name: str) -> Definition:
    """The audience of that name, with or without `aud_`. Raises AudienceError."""
    known = {definition.audience_id: definition for definition in definitions(con)}
    for candidate in (name, f"aud_{name}"):
        if candidate in known:
            return known[candidate]
    close = difflib.get_close_matches(f"aud_{name.removeprefix('aud_')}", known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known) or 'none'}"
    raise AudienceError(f"there is no audience {name}; {hint}")


def sizes(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Members by audience."""
    return dict(
        con.execute(
            """
            select d.audience_id, count(m.customer_id)
            from audiences.definitions as d left join audiences.membership as m using (audience_id)
            group by all
            """
        ).fetchall()
    )


def changes(con: duckdb.DuckDBPyConnection) -> dict[str, Change]:
    """By audience: what the run that built it last changed."""
    rows = con.execute(
        """
        select d.audience_id,
            count(*) filter (where h.change = 'entered'),
            count(*) filter (where h.change = 'exited'),
            count(*) filter (where h.change = 'remapped' and not h.is_member)
        from audiences.definitions as d
        left join audiences.membership_history as h
            on h.audience_id = d.audience_id and h.changed_at = d.booked_at
        group by all
        """
    ).fetchall()
    return {name: Change(*counts) for name, *counts in rows}


def overlaps(con: duckdb.DuckDBPyConnection, audience_id: str) -> list[Overlap]:
    """Every other audience that shares members with this one, most shared first."""
    rows = con.execute(
        """
        with sizes as (
            select audience_id, count(*) as size from audiences.membership group by all
        )
        select other.audience_id, count(*) as shared,
            count(*) / any_value(mine.size), count(*) / any_value(theirs.size)
        from audiences.membership as m
        join audiences.membership as other
            on other.customer_id = m.customer_id and other.audience_id <> m.audience_id
        join sizes as mine on mine.audience_id = m.audience_id
        join sizes as theirs on theirs.audience_id = other.audience_id
        where m.audience_id = ?
        group by all
        order by shared desc, other.audience_id
        """,
        [audience_id],
    ).fetchall()
    return [Overlap(*row) for row in rows]


def arms(con: duckdb.DuckDBPyConnection, definition: Definition) -> list[Arm]:
    """How the members are shared out between the arms of the audience's experiment."""
    rows = con.execute(
        """
        select e.experiment_id, a.variant, count(*), count(*) / sum(count(*)) over (), e.is_running
        from audiences.membership as m
        join canonical.experiment_assignments as a
            on a.unit_id = m.customer_id and a.experiment_id = $experiment
        join canonical.experiments as e using (experiment_id)
        where m.audience_id = $audience
        group by all
        order by a.variant
        """,
        {"audience": definition.audience_id, "experiment": definition.experiment_id},
    ).fetchall()
    return [Arm(*row) for row in rows]


def sample(
    con: duckdb.DuckDBPyConnection, audience_id: str, rows: int = 5
) -> tuple[list[str], list[list[Any]]]:
    """Column names and a few rows of the audience with the customer's name and email, masked."""
    name = '"' + audience_id.replace('"', '""') + '"'
    relation = con.execute(
        f"""
        select a.customer_id, g.first_name, g.email, a.* exclude (customer_id)
        from audiences.{name} as a
        left join marts.golden_customers as g using (customer_id)
        order by a.customer_id limit ?
        """,
        [rows],
    )
    columns = [column[0] for column in relation.description]
    found = relation.fetchall()
    return columns, [
        [masked(column, value) for column, value in zip(columns, row, strict=True)] for row in found
    ]


def standing(con: duckdb.DuckDBPyConnection, definition: Definition, customer_id: str) -> Standing:
    """What is booked of one customer."""
    keys = {"audience": definition.audience_id, "customer": customer_id}
    entered = con.execute(
        """
        select entered_at from audiences.membership
        where audience_id = $audience and customer_id = $customer
        """,
        keys,
    ).fetchall()
    last = con.execute(
        """
        select change, reason, changed_at from audiences.membership_history
        where audience_id = $audience and customer_id = $customer
        order by changed_at desc limit 1
        """,
        keys,
    ).fetchall()
    arm = con.execute(
        """
        select variant from canonical.experiment_assignments
        where experiment_id = $experiment and unit_id = $customer
        """,
        {"experiment": definition.experiment_id, "customer": customer_id},
    ).fetchall()
    change, reason, changed_at = last[0] if last else (None, None, None)
    return Standing(
        is_member=bool(entered),
        entered_at=entered[0][0] if entered else None,
        last_change=change,
        reason=reason,
        changed_at=changed_at,
        variant=arm[0][0] if arm else None,
    )
