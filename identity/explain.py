"""Why these records are one customer: the chain of evidence, read from the published tables.

Reads identity.* and canonical.contacts, writes nothing, and imports neither Splink nor scipy nor
pandas.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

import duckdb

from identity.lookup import column, find_customers


class NotFoundError(LookupError):
    """Nothing in the identity tables goes by what was asked for."""


@dataclass(frozen=True)
class Node:
    """A record or a visitor of the customer."""

    node_key: str
    source_system: str | None
    name: str | None
    email: str | None
    phone: str | None
    birth_date: str | None
    is_visitor: bool
    strict_customer_id: str
    confidence: float


@dataclass(frozen=True)
class Link:
    """Evidence between two nodes: `summary` in words (`also`: weaker evidence on the same pair),
    `evidence` as it was stored.
    """

    left_key: str
    right_key: str
    match_type: str
    rule: str
    match_weight: float
    match_probability: float
    summary: str
    evidence: dict[str, Any]
    inactive_reason: str | None = None
    other_customer_id: str | None = None
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class HeldValue:
    """A value of the customer that the firewall lets link nobody."""

    identifier_type: str
    identifier_value: str
    reason: str
    node_key: str


@dataclass(frozen=True)
class Explanation:
    """A customer: its nodes, the chain that holds them together, and what was kept out."""

    asked_for: str
    found_as: str
    customer_id: str
    retired_id: str | None
    merged_ids: tuple[str, ...]
    nodes: tuple[Node, ...]
    chain: tuple[Link, ...]
    weakest: Link | None
    further_edges: int
    kept_out: tuple[Link, ...]
    held: tuple[HeldValue, ...]
    other_customers: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as plain data, ready for JSON."""
        return asdict(self)


def explain(con: duckdb.DuckDBPyConnection, what: str) -> Explanation:
    """Explain the customer that `what` leads to.

    `what` is a customer id (a retired one leads to the one that took its place), a node or contact
    key, or the value of an identifier: email, phone, card or login, written in any common way. A
    value that several customers carry explains the one with most of its records; the others are in
    `other_customers`. `con` may be read-only. Raises NotFoundError if nothing goes by that name.
    """
    text = what.strip()
    found_as, customers, retired = find_customers(con, text)
    if not customers:
        raise NotFoundError(
            "nothing is known by that name: give a customer id (cus_...), a contact key"
            " (source:id), a visitor (anon:id), an email, a phone number, a card or a login"
        )
    customer_id = customers[0]
    edges = edges_of(con, customer_id)
    chain = strongest_tree([e for e in edges if e.inactive_reason is None])
    active = sum(e.inactive_reason is None for e in edges)
    return Explanation(
        asked_for=text,
        found_as=found_as,
        customer_id=customer_id,
        retired_id=retired,
        merged_ids=_merged_into(con, customer_id),
        nodes=nodes_of(con, customer_id),
        chain=tuple(chain),
        weakest=min(chain, key=lambda e: (e.match_weight, e.left_key, e.right_key), default=None),
        further_edges=active - len(chain),
        kept_out=tuple(e for e in edges if e.inactive_reason not in (None, "below_threshold")),
        held=_held(con, customer_id),
        other_customers=tuple(customers[1:]),
    )


def nodes_of(con: duckdb.DuckDBPyConnection, customer_id: str) -> tuple[Node, ...]:
    """Return the records and visitors of a customer, records first."""
    rows = con.execute(
        """
        select
            x.node_key, c.source_system,
            coalesce(nullif(concat_ws(' ', c.first_name, c.last_name), ''), c.full_name),
            c.email, c.phone, c.birth_date::varchar,
            c.contact_key is null, x.strict_customer_id, x.confidence
        from identity.crosswalk as x
        left join canonical.contacts as c on c.contact_key = x.node_key
        where x.customer_id = ?
        order by c.contact_key is null, x.node_key
        """,
        [customer_id],
    ).fetchall()
    return tuple(Node(*row) for row in rows)


def edges_of(con: duckdb.DuckDBPyConnection, customer_id: str) -> list[Link]:
    """Return the evidence that touches a customer's nodes, strongest first."""
    members = column(
        con, "select node_key from identity.crosswalk where customer_id = ?", [customer_id]
    )
    # values in the query, not a join: a scan then passes over what cannot have them
    marks = ", ".join(f"${place}" for place in range(2, 2 + len(members)))
    return _links(
        con,
        f"""
        with touching as (
            select * from identity.edges where left_key in ({marks}) or right_key in ({marks})
        )
        select
            t.left_key, t.right_key, t.match_type, t.rule, t.match_weight, t.match_probability,
            t.evidence, t.inactive_reason, case when l.customer_id <> $1 then l.customer_id when
            r.customer_id <> $1 then r.customer_id end
        from touching as t
        left join identity.crosswalk as l on l.node_key = t.left_key
        left join identity.crosswalk as r on r.node_key = t.right_key
        order by t.match_weight desc, t.left_key, t.right_key, t.rule
        """,
        [customer_id, *members],
    )


def edges_between(con: duckdb.DuckDBPyConnection, one: str, other: str) -> list[Link]:
    """Return the evidence between the nodes of two customers, strongest first."""
    members = column(
        con,
        "select node_key from identity.crosswalk where customer_id in (?, ?)",
        [one, other],
    )
    marks = ", ".join(f"${place}" for place in range(3, 3 + len(members)))
    return _links(
        con,
        f"""
        with members as (
            select node_key, customer_id from identity.crosswalk where customer_id in ($1, $2)
        ),
        found as (
            select * from identity.edges where left_key in ({marks}) and right_key in ({marks})
        )
        select
            e.left_key, e.right_key, e.match_type, e.rule, e.match_weight, e.match_probability,
            e.evidence, e.inactive_reason, r.customer_id
        from found as e
        join members as l on l.node_key = e.left_key
        join members as r on r.node_key = e.right_key
        where l.customer_id <> r.customer_id
        order by e.match_weight desc, e.left_key, e.right_key, e.rule
        """,
        [one, other, *members],
    )


def _links(con: duckdb.DuckDBPyConnection, query: str, values: list[str]) -> list[Link]:
    rows = con.execute(query, values).fetchall()
    links = []
    for left, right, match_type, rule, weight, probability, evidence, inactive, other in rows:
        found = json.loads(evidence) if evidence else {}
        links.append(
            Link(
                left_key=left,
                right_key=right,
                match_type=match_type,
                rule=rule,
                match_weight=weight,
                match_probability=probability,
                summary=summarise(rule, found),
                evidence=found,
                inactive_reason=inactive,
                other_customer_id=other,
            )
        )
    return links


def summarise(rule: str, evidence: dict[str, Any]) -> str:
    """Say a piece of evidence in words: "same loyalty card", "first name exact + birth date
    exact".
    """
    parts = []
    shared = evidence.get("shared")
    if shared:
        parts.append("same " + shared.replace("_", " "))
    weights = evidence.get("weights") or {}
    for field in ("first_name", "last_name", "birth_date", "address"):
        level = evidence.get(field)
        if level and level not in ("missing", "different") and field not in (shared or ""):
            parts.append(f"{field.replace('_', ' ')} {level}")
    parts += [
        f"{field} {'alike' if weights[field] > 0 else 'unlike'}"
        for field in ("email", "phone")
        if weights.get(field)
    ]
    return " + ".join(parts) or rule.replace("_", " ")


def strongest_tree(edges: list[Link]) -> list[Link]:
    """Return the maximum spanning tree of edges that are sorted by descending weight: every node is
    reached by the strongest path that there is.
    """
    root: dict[str, str] = {}

    def find(node: str) -> str:
        while root.setdefault(node, node) != node:
            root[node] = root[root[node]]
            node = root[node]
        return node

    tree = []
    for edge in edges:  # sorted by descending weight
        left, right = find(edge.left_key), find(edge.right_key)
        if left != right:
            root[left] = right
            also = tuple(
                other.summary
                for other in edges
                if other is not edge
                and (other.left_key, other.right_key) == (edge.left_key, edge.right_key)
            )
            tree.append(replace(edge, also=also))
    return tree


def _merged_into(con: duckdb.DuckDBPyConnection, customer_id: str) -> tuple[str, ...]:
    return tuple(
        column(
            con,
            """
            select customer_id
            from identity.resolve_forward
            where current_customer_id = $1 and customer_id <> $1
            order by 1
            """,
            [customer_id],
        )
    )


def _held(con: duckdb.DuckDBPyConnection, customer_id: str) -> tuple[HeldValue, ...]:
    rows = con.execute(
        """
        select i.identifier_type, i.identifier_value, i.blocked_reason, i.node_key
        from identity.identifiers as i
        join identity.crosswalk as x using (node_key)
        where x.customer_id = ? and i.is_blocked
        order by all
        """,
        [customer_id],
    ).fetchall()
    return tuple(HeldValue(*row) for row in rows)
