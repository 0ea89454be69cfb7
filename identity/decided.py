"""What people decided, in the graph: clusters of evidence united and taken apart.

Invariant: no cluster has a pair of `forbidden`, and every pair of `forced` is in one cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from identity.clusters import cluster, components

if TYPE_CHECKING:
    from identity.clusters import Codes, Weights

NO_LIMIT = 2**62


def follow_decisions(
    work: duckdb.DuckDBPyConnection,
    labels: Codes,
    left: Codes,
    right: Codes,
    weight: Weights,
    *,
    is_entity: bool,
) -> Codes:
    """Unite clusters by `forced`, whatever conflicts and sizes say, and take apart what would
    bring a pair of `forbidden` together; the edges are those within `labels`.

    Decisions come after the evidence: who is alike one of two that are linked stays with them,
    though the other alone would have been in conflict. What evidence joins is an entity and is
    scored as one; what is forced together is not.
    """
    forced, forbidden = (coded(work, pairs) for pairs in ("forced", "forbidden"))
    count = len(labels)
    if len(forced[0]) + len(forbidden[0]) == 0:
        return labels
    decided = cluster(
        count, left, right, weight, conflicts=forbidden, max_size=NO_LIMIT, forced=forced
    )
    if not is_entity:
        return decided
    still = decided[left] == decided[right]
    return components(count, left[still], right[still])


def coded(work: duckdb.DuckDBPyConnection, pairs: str) -> tuple[Codes, Codes]:
    """Return the pairs of a table as codes of their entities, without those within one."""
    coded = work.sql(
        f"""
        select distinct l.code as "left", r.code as "right"
        from {pairs} as p
        join entities as l on l.node_key = p.left_key
        join entities as r on r.node_key = p.right_key
        where l.code <> r.code
        order by all
        """
    ).to_arrow_table()
    return coded.column("left").to_numpy(), coded.column("right").to_numpy()
