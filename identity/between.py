"""Why two records are, or are not, one customer: the path between them, what keeps them apart, and
how they compare, field by field.

Reads the published tables, works in memory, and imports neither Splink nor scipy nor pandas.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import duckdb

from identity.comparison import Comparison, compare_records
from identity.explain import (
    Link,
    Node,
    NotFoundError,
    edges_between,
    edges_of,
    nodes_of,
    strongest_tree,
)
from identity.lookup import find_nodes
from identity.rules import Rules

# Of large customers, so many records are compared with one another for what keeps them apart.
MAX_RECORDS = 60


@dataclass(frozen=True)
class Decision:
    """What a person decided about the two, or about others of their customers."""

    action: str
    left_key: str
    right_key: str
    author: str
    reason: str


@dataclass(frozen=True)
class Veto:
    """Two records, one of each customer, that cannot be one person, and which rule says so."""

    left_key: str
    right_key: str
    rule: str


@dataclass(frozen=True)
class Between:
    """What is between two records (`left`, `right`: the ones of what was asked for that are closest).

    `path` leads from left to right where they are one customer, and `weakest` is its weakest link.
    Where they are not, `links` is the evidence between their customers, none of which was followed,
    strongest first; `vetoes` and `decisions` say what stands against it; `blocked` are values that
    both carry and that link nobody.
    """

    asked_for: tuple[str, str]
    found_as: tuple[str, str]
    left: Node
    right: Node
    left_customer: str
    right_customer: str
    path: tuple[Link, ...]
    weakest: Link | None
    links: tuple[Link, ...]
    vetoes: tuple[Veto, ...]
    decisions: tuple[Decision, ...]
    blocked: tuple[tuple[str, str, str], ...]
    comparison: Comparison | None

    @property
    def is_one(self) -> bool:
        """Whether both are the same customer."""
        return self.left_customer == self.right_customer

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, ready for JSON."""
        return {**asdict(self), "is_one": self.is_one}


def between(con: duckdb.DuckDBPyConnection, left: str, right: str, rules: Rules) -> Between:
    """Explain what is between whatever `left` and `right` lead to.

    Each is a contact key, a visitor, an identifier's value or a customer id. `con`'s current
    database may be attached read-only; temporary tables are made in memory. Raises NotFoundError
    if one of them leads to nobody, or both lead to one and the same record.
    """
    left_as, left_nodes = _find(con, left.strip())
    right_as, right_nodes = _find(con, right.strip())
    one, other = _closest(con, left_nodes, right_nodes)
    left_customer, right_customer = _customer(con, one), _customer(con, other)
    nodes = {n.node_key: n for c in {left_customer, right_customer} for n in nodes_of(con, c)}
    path: list[Link] = []
    links: list[Link] = []
    if left_customer == right_customer:
        active = [e for e in edges_of(con, left_customer) if e.inactive_reason is None]
        path = _path(strongest_tree(active), one, other)
    else:
        links = edges_between(con, left_customer, right_customer)
    (compared,), vetoes = compare_records(
        con,
        rules,
        [(one, other)],
        ([], [])
        if path
        else (_records(nodes_of(con, left_customer)), _records(nodes_of(con, right_customer))),
    )
    return Between(
        asked_for=(left.strip(), right.strip()),
        found_as=(left_as, right_as),
        left=nodes[one],
        right=nodes[other],
        left_customer=left_customer,
        right_customer=right_customer,
        path=tuple(path),
        weakest=min(path, key=lambda e: e.match_weight, default=None),
        links=tuple(links),
        vetoes=tuple(Veto(*veto) for veto in vetoes),
        decisions=_decisions(con, left_customer, right_customer),
        blocked=_blocked(con, one, other),
        comparison=compared,
    )


def _records(nodes: tuple[Node, ...]) -> list[str]:
    return [node.node_key for node in nodes if not node.is_visitor][:MAX_RECORDS]


def _find(con: duckdb.DuckDBPyConnection, text: str) -> tuple[str, list[str]]:
    found_as, nodes = find_nodes(con, text)
    if not nodes:
        raise NotFoundError(f"nothing is known by the name {text}")
    return found_as, nodes


def _customer(con: duckdb.DuckDBPyConnection, node_key: str) -> str:
    row = con.execute(
        "select customer_id from identity.crosswalk where node_key = ?", [node_key]
    ).fetchall()[0]
    return str(row[0])


def _closest(con: duckdb.DuckDBPyConnection, left: list[str], right: list[str]) -> tuple[str, str]:
    """The pair with the strongest evidence between them; else of one customer; else contacts."""
    rows = con.execute(
        """
        with pairs as (
            select e.left_key as one, e.right_key as other, e.match_weight, e.is_active
            from identity.edges as e
            where list_contains($1::varchar[], e.left_key) and list_contains($2::varchar[], e.right_key)
            union all
            select e.right_key, e.left_key, e.match_weight, e.is_active
            from identity.edges as e
            where list_contains($1::varchar[], e.right_key) and list_contains($2::varchar[], e.left_key)
        )
        select one, other from pairs
        order by is_active desc, match_weight desc, one, other
        limit 1
        """,
        [left, right],
    ).fetchall()
    if rows:
        return str(rows[0][0]), str(rows[0][1])
    rows = con.execute(
        """
        with ours as (select node_key, customer_id from identity.crosswalk
            where list_contains($1::varchar[], node_key)),
        theirs as (select node_key, customer_id from identity.crosswalk
            where list_contains($2::varchar[], node_key))
        select l.node_key, r.node_key
        from ours as l, theirs as r
        where l.node_key <> r.node_key
        order by l.customer_id <> r.customer_id, starts_with(l.node_key, 'anon:'),
            starts_with(r.node_key, 'anon:'), l.node_key, r.node_key
        limit 1
        """,
        [left, right],
    ).fetchall()
    if not rows:
        raise NotFoundError("both lead to one and the same record; give two different ones")
    return str(rows[0][0]), str(rows[0][1])


def _path(tree: list[Link], start: str, end: str) -> list[Link]:
    """The way through the strongest tree: its weakest link is as strong as that of any way."""
    neighbours: dict[str, list[tuple[str, Link]]] = {}
    for link in tree:
        neighbours.setdefault(link.left_key, []).append((link.right_key, link))
        neighbours.setdefault(link.right_key, []).append((link.left_key, link))
    came: dict[str, tuple[str, Link]] = {}
    waiting = [start]
    for node in waiting:
        for other, link in neighbours.get(node, ()):
            if other not in came and other != start:
                came[other] = (node, link)
                waiting.append(other)
    path = []
    while end in came:
        end, link = came[end]
        path.append(link)
    return path[::-1]


def _decisions(
    con: duckdb.DuckDBPyConnection, left_customer: str, right_customer: str
) -> tuple[Decision, ...]:
    """Decisions that touch either customer, by a record or by an identifier of theirs."""
    if not con.execute("select 1 from identity.overrides limit 1").fetchall():
        return ()
    rows = con.execute(
        """
        with names as (
            select node_key as name, customer_id from identity.crosswalk
            where customer_id in ($1, $2)
            union all
            select i.identifier_type || '=' || coalesce(i.given_value, i.identifier_value),
                x.customer_id
            from identity.identifiers as i
            join identity.crosswalk as x using (node_key)
            where x.customer_id in ($1, $2)
        )
        select distinct o.action, o.left_key, o.right_key, o.author, o.reason
        from identity.overrides as o
        join names as l on l.name = o.left_key
        join names as r on r.name = o.right_key
        order by all
        """,
        [left_customer, right_customer],
    ).fetchall()
    return tuple(Decision(*(str(v) for v in row)) for row in rows)


def _blocked(
    con: duckdb.DuckDBPyConnection, one: str, other: str
) -> tuple[tuple[str, str, str], ...]:
    rows = con.execute(
        """
        select identifier_type, identifier_value, any_value(blocked_reason)
        from identity.identifiers
        where node_key in (?, ?) and is_blocked
        group by all
        having count(distinct node_key) > 1
        order by all
        """,
        [one, other],
    ).fetchall()
    return tuple((str(a), str(b), str(c)) for a, b, c in rows)
