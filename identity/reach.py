"""What hangs together with what: all nodes that links lead to.

Nodes are looked up by the hash of their key: a number takes a fifth of the time that a text does.
Two keys of one hash would only be looked at together, which costs time and changes nothing. A group
(an entity, a customer) is a place of its own that each of its nodes is linked to.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb


def gather_links(work: duckdb.DuckDBPyConnection, into: str, *queries: str) -> None:
    """Create table `into`(near, far) from queries for pairs of keys."""
    work.execute(f"create or replace table {into} (near ubigint, far ubigint)")
    add_links(work, into, *queries)


def add_links(work: duckdb.DuckDBPyConnection, into: str, *queries: str) -> None:
    """Add the links of queries for pairs of keys to `into`."""
    for query in queries:
        work.execute(f"insert into {into} select hash(l), hash(r) from ({query}) as link(l, r)")


def spread_from(
    work: duckdb.DuckDBPyConnection,
    seeds: str,
    links: Sequence[str],
    *,
    among: str,
    into: str,
) -> None:
    """Create table `into`(node_key): what of the query `among` is reached from the query `seeds`,
    both for (node_key), by the tables `links`, in whichever direction.

    Each step costs a scan of the links; what is far away takes more steps.
    """
    work.execute(
        f"create or replace table places as select distinct hash(node_key) as place from ({seeds})"
    )
    work.execute("create or replace table frontier as from places")
    steps = " union ".join(
        f"select {far} as place from {link} where {near} in (from frontier)"
        for link in links
        for near, far in (("near", "far"), ("far", "near"))
    )
    while work.execute("select count(*) from frontier").fetchall()[0][0]:
        work.execute(
            f"create or replace table frontier as from ({steps}) anti join places using (place)"
        )
        work.execute("insert into places from frontier")
    work.execute(
        f"""
        create or replace table {into} as
        select distinct node_key from ({among}) where hash(node_key) in (from places)
        """
    )
