"""One customer on a page: everything that the published file says of them.

Reads only, and imports neither Dagster nor dbt. Tables that a company does not have are left out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import duckdb

from identity.explain import NotFoundError
from identity.lookup import find_customers
from orchestration.timeline import Entry, timeline
from orchestration.warehouse import quote

Row = dict[str, Any]


@dataclass(frozen=True)
class OtherValue:
    """A value of an attribute that did not survive, the record it is from, and why it lost."""

    value: Any
    contact_key: str
    updated_at: Any
    reason: str


@dataclass(frozen=True)
class Attribute:
    """A golden attribute with where it is from, and what else the customer's records say."""

    name: str
    value: Any
    source: str | None
    updated_at: Any
    others: tuple[OtherValue, ...]


@dataclass(frozen=True)
class Customer:
    """The page. `facts` is the customer_360 row; lists hold plain rows, newest first."""

    asked_for: str
    found_as: str
    customer_id: str
    retired_id: str | None
    other_customers: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    records: tuple[str, ...]
    facts: Row
    identifiers: list[Row] = field(default_factory=list)
    versions: list[Row] = field(default_factory=list)
    orders: list[Row] = field(default_factory=list)
    audiences: list[Row] = field(default_factory=list)
    consents: list[Row] = field(default_factory=list)
    destinations: list[Row] = field(default_factory=list)
    timeline: list[Entry] = field(default_factory=list)
    timeline_entries: int = 0

    def to_dict(self) -> Row:
        """Return the page as plain data, ready for JSON."""
        return asdict(self)


def read(con: duckdb.DuckDBPyConnection, what: str, *, limit: int = 20) -> Customer:
    """The customer that `what` leads to, with the newest `limit` entries of timeline and orders.

    `what` is a customer id (a retired one leads to its heir), a contact key, or any identifier in
    any common spelling. Raises NotFoundError if nothing goes by that name, or if it leads to a
    visitor of whom there is no record.
    """
    text = what.strip()
    found_as, customers, retired = find_customers(con, text)
    if not customers:
        raise NotFoundError(
            "nothing is known by that name: give a customer id (cus_...), a contact key (source:id),"
            " an email, a phone number, a card or a login"
        )
    known = _rows(
        con,
        "select customer_id from marts.golden_customers where customer_id in (select unnest(?))",
        [customers],
    )
    golden_ids = {row["customer_id"] for row in known}
    customers = [customer for customer in customers if customer in golden_ids]
    if not customers:
        raise NotFoundError(
            f"{text} is a visitor whom no contact record names, and so no customer yet:"
            " `mainstem explain` shows what links it"
        )
    customer_id = customers[0]
    nodes = [
        str(row["node_key"])
        for row in _rows(
            con,
            "select node_key from identity.crosswalk where customer_id = ? order by 1",
            [customer_id],
        )
    ]
    entries, total = timeline(con, customer_id, nodes, limit)
    return Customer(
        asked_for=text,
        found_as=found_as,
        customer_id=customer_id,
        retired_id=retired,
        other_customers=tuple(customers[1:]),
        attributes=_attributes(con, customer_id, nodes),
        records=tuple(nodes),
        facts=next(iter(_of(con, "marts.customer_360", customer_id)), {}),
        identifiers=_of(
            con, "marts.customer_identifiers", customer_id, "identifier_type, identifier_value"
        ),
        versions=_of(con, "marts.golden_customers_history", customer_id, "version desc"),
        orders=_orders(con, nodes, limit),
        audiences=_audiences(con, customer_id),
        consents=_of(con, "marts.customer_consents", customer_id, "purpose, channel"),
        destinations=_destinations(con, customer_id),
        timeline=entries,
        timeline_entries=total,
    )


def _attributes(
    con: duckdb.DuckDBPyConnection, customer_id: str, nodes: list[str]
) -> tuple[Attribute, ...]:
    golden = _of(con, "marts.golden_customers", customer_id)[0]
    names = [name for name in golden if f"{name}_source" in golden]
    contacts = _rows(
        con,
        "select * from canonical.contacts where contact_key in (select unnest(?))"
        " order by updated_at desc nulls last, contact_key",
        [nodes],
    )
    blocked = _blocked(con, nodes)
    bounced = _bounced(con, [contact["email"] for contact in contacts])
    attributes = []
    for name in names:
        others, seen = [], {golden[name]}
        for contact in contacts:
            value = contact.get(name)
            if value is None or value in seen:
                continue
            seen.add(value)
            reason = f"{golden[f'{name}_source'] or 'no record'} was preferred"
            key, text = contact["contact_key"], str(value).strip()
            if contact["is_deleted"]:
                reason = "its record is deleted"
            elif (key, name, text) in blocked:
                reason = blocked[key, name, text]
            elif name == "email" and text.lower() in bounced:
                reason = "mail to it bounced"
            elif golden[name] is None:
                reason = "excluded by the attribute's rule"
            others.append(OtherValue(value, key, contact["updated_at"], reason))
        attributes.append(
            Attribute(
                name,
                golden[name],
                golden[f"{name}_source"],
                golden[f"{name}_updated_at"],
                tuple(others),
            )
        )
    return tuple(attributes)


def _blocked(con: duckdb.DuckDBPyConnection, nodes: list[str]) -> dict[tuple[str, str, str], str]:
    """(contact key, identifier type, value as given) -> why identity blocks the value."""
    rows = _rows(
        con,
        """
        select node_key, identifier_type, given_value, blocked_reason from identity.identifiers
        where is_blocked and node_key in (select unnest(?))
        """,
        [nodes],
    )
    return {
        (row["node_key"], row["identifier_type"], str(row["given_value"])): "blocked: "
        + str(row["blocked_reason"]).replace("_", " ")
        for row in rows
    }


def _bounced(con: duckdb.DuckDBPyConnection, emails: list[Any]) -> set[str]:
    if not _exists(con, "canonical.email_events"):
        return set()
    rows = _rows(
        con,
        """
        select lower(trim(email)) as email from canonical.email_events
        where lower(trim(email)) in (select lower(trim(unnest(?::varchar[]))))
        group by 1
        having max(event_at) filter (event_type = 'bounce')
            > coalesce(max(event_at) filter (event_type in ('delivered', 'open', 'click')), '-infinity')
        """,
        [emails],
    )
    return {str(row["email"]) for row in rows}


def _orders(con: duckdb.DuckDBPyConnection, nodes: list[str], limit: int) -> list[Row]:
    return _rows(
        con,
        """
        select order_id, ordered_at, channel, status, gross_amount, refund_amount, net_revenue, currency
        from canonical.orders
        where contact_key in (select unnest($nodes)) or 'anon:' || anonymous_id in (select unnest($nodes))
        order by ordered_at desc, order_id limit $limit
        """,
        {"nodes": nodes, "limit": limit},
    )


def _audiences(con: duckdb.DuckDBPyConnection, customer_id: str) -> list[Row]:
    names = _rows(
        con,
        """
        select table_name from information_schema.tables
        where table_schema = 'audiences' and table_name like 'aud\\_%' escape '\\' order by 1
        """,
    )
    checks = [
        f"select '{row['table_name']}' as audience_id from audiences.{quote(row['table_name'])}"
        " where customer_id = $1"
        for row in names
    ]
    if not checks:
        return []
    found = _rows(con, f"{' union all '.join(checks)} order by 1", [customer_id])
    if not _exists(con, "audiences.membership"):
        return found
    since = {
        row["audience_id"]: row["entered_at"]
        for row in _of(con, "audiences.membership", customer_id)
    }
    return [{**row, "entered_at": since.get(row["audience_id"])} for row in found]


def _destinations(con: duckdb.DuckDBPyConnection, customer_id: str) -> list[Row]:
    if not _exists(con, "reverse_etl.sync_state"):
        return []
    return _rows(
        con,
        """
        select state.sync_name, runs.destination, state.status, state.is_held, state.row_key,
            state.remote_id, state.synced_at, state.last_error_code
        from reverse_etl.sync_state as state
        left join (
            select sync_name, max_by(destination, started_at) as destination
            from reverse_etl.sync_runs group by sync_name
        ) as runs using (sync_name)
        where state.customer_id = ?
        order by state.synced_at desc nulls last, state.sync_name
        """,
        [customer_id],
    )


def _of(
    con: duckdb.DuckDBPyConnection, table: str, customer_id: str, order: str = "1"
) -> list[Row]:
    if not _exists(con, table):
        return []
    return _rows(
        con, f"select * from {table} where customer_id = ? order by {order}", [customer_id]
    )


def _exists(con: duckdb.DuckDBPyConnection, table: str) -> bool:
    schema, name = table.split(".")
    return bool(
        con.execute(
            "select 1 from information_schema.tables where table_schema = ? and table_name = ?",
            [schema, name],
        ).fetchall()
    )


def _rows(con: duckdb.DuckDBPyConnection, query: str, parameters: Any = None) -> list[Row]:
    cursor = con.execute(query, parameters)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
