"""All evidence in one graph: which edges count, which pairs are kept apart, and the people that
result.

Creates pool (every contact edge, with is_active and inactive_reason) and members(node_key,
cluster_key, strict_key), whose keys are the smallest node_key of the cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from identity.agreement import compare, find_conflicts
from identity.clusters import cluster
from identity.rules import Rules

# log2 odds of a decision, in tables and charts; clustering follows decisions before any evidence
OVERRIDE_WEIGHT = 40.0
NEVER = "never_link"

if TYPE_CHECKING:
    import pyarrow as pa

    from identity.clusters import Codes


def cluster_contacts(work: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Pool `exact_edges`, `splink_edges` and what people decided (`forced`, `forbidden`), veto,
    cluster at both thresholds, and say which edges hold.
    """
    _pool(work)
    compare(work, "pool", "pool_agreements")
    find_conflicts(work, rules, "pool_agreements", "vetoes")
    _decide(work, "vetoes")
    work.execute(
        """
        create or replace table codes as
        select node_key, (row_number() over (order by node_key) - 1)::bigint as code from people
        """
    )
    # one weight per pair: the strongest evidence speaks for it
    edges = work.sql(
        """
        select l.code as "left", r.code as "right", max(p.match_weight) as weight,
            max(p.match_probability) as probability
        from pool as p
        join codes as l on l.node_key = p.left_key
        join codes as r on r.node_key = p.right_key
        anti join vetoes as v on v.left_key = p.left_key and v.right_key = p.right_key
        group by all
        having max(p.match_probability) >= $1
        order by l.code, r.code
        """,
        params=[rules.thresholds.customer_id],
    ).to_arrow_table()
    broad, strict = _cluster_twice(work, rules, edges)
    _register_labels(work, "members", broad, strict)
    _settle_edges(work, rules)


def _pool(work: duckdb.DuckDBPyConnection) -> None:
    work.execute(
        """
        create or replace table pool as
        select
            left_key, right_key, 'deterministic' as match_type, rule,
            round(log2(probability / (1 - probability)), 6) as match_weight,
            probability as match_probability, shared, null::json as weights
        from exact_edges
        union all
        select left_key, right_key, 'probabilistic', 'splink', match_weight, probability, null,
            weights
        from splink_edges
        union all
        select left_key, right_key, 'override', 'always_link', $1, 1.0, null, null from forced
        union all
        select left_key, right_key, 'override', 'never_link', -$1, 0.0, null, null from forbidden
        """,
        [OVERRIDE_WEIGHT],
    )


def _decide(work: duckdb.DuckDBPyConnection, conflicts: str) -> None:
    """People have the last word on which pairs are in conflict."""
    work.execute(
        f"""
        create or replace table {conflicts} as
        select * from {conflicts} anti join forced using (left_key, right_key)
            anti join forbidden using (left_key, right_key)
        union all
        select left_key, right_key, '{NEVER}' from forbidden
        """
    )


def _coded(work: duckdb.DuckDBPyConnection, pairs: str) -> tuple[Codes, Codes]:
    """The pairs of a table as codes of their nodes."""
    coded = work.sql(
        f"""
        select l.code as "left", r.code as "right"
        from {pairs} as p
        join codes as l on l.node_key = p.left_key
        join codes as r on r.node_key = p.right_key
        order by all
        """
    ).to_arrow_table()
    return coded.column("left").to_numpy(), coded.column("right").to_numpy()


def _cluster_twice(
    work: duckdb.DuckDBPyConnection, rules: Rules, edges: pa.Table
) -> tuple[Codes, Codes]:
    import numpy as np

    count = int(work.execute("select count(*) from codes").fetchall()[0][0])
    left, right, weight, probability = (
        edges.column(c).to_numpy() for c in ("left", "right", "weight", "probability")
    )
    size = rules.guards.max_cluster_size
    nobody = np.zeros(0, dtype=np.int64)
    # Within these groups every pair is compared, so their size is bounded first.
    forced = _coded(work, "forced")
    groups = cluster(
        count, left, right, weight, conflicts=(nobody, nobody), max_size=size, forced=forced
    )
    _register_labels(work, "groups", groups, groups)
    work.execute(
        """
        create or replace table group_pairs as
        select l.node_key as left_key, r.node_key as right_key
        from groups as l
        join groups as r using (cluster_key)
        where l.node_key < r.node_key
        """
    )
    compare(work, "group_pairs", "group_agreements")
    find_conflicts(work, rules, "group_agreements", "group_conflicts")
    _decide(work, "group_conflicts")
    conflicts = _coded(work, "group_conflicts")
    within = groups[left] == groups[right]
    sure = within & (probability >= rules.thresholds.strict_customer_id)
    broad, strict = (
        cluster(
            count,
            left[chosen],
            right[chosen],
            weight[chosen],
            conflicts=conflicts,
            max_size=size,
            forced=forced,
        )
        for chosen in (within, sure)
    )
    return broad, strict


def _register_labels(
    work: duckdb.DuckDBPyConnection, table: str, broad: Codes, strict: Codes
) -> None:
    import numpy as np
    import pyarrow as pa

    work.register(
        "labels",
        pa.table({"code": np.arange(len(broad), dtype=np.int64), "broad": broad, "strict": strict}),
    )
    work.execute(
        f"""
        create or replace table {table} as
        select n.node_key, b.node_key as cluster_key, s.node_key as strict_key
        from labels
        join codes as n using (code)
        join codes as b on b.code = labels.broad
        join codes as s on s.code = labels.strict
        order by n.node_key
        """
    )
    work.unregister("labels")


def _settle_edges(work: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Say of each edge whether it holds a customer together, and if not, why not."""
    work.execute(
        """
        create or replace table pool as
        select
            p.* exclude (shared, weights),
            json_object(
                'shared', shared, 'first_name', a.first_name, 'last_name', a.last_name,
                'birth_date', a.birth_date, 'suffix', a.suffix, 'address', a.address, 'weights',
                weights
            ) as evidence,
            case
                when v.reason = $2 then 'override: never_link'
                when v.reason is not null then 'conflict: ' || v.reason
                when p.match_probability < $1 then 'below_threshold'
                when l.cluster_key <> r.cluster_key
                    and gl.cluster_key <> gr.cluster_key then 'too_large'
                when l.cluster_key <> r.cluster_key then 'conflict: with_another_member'
            end as inactive_reason,
            inactive_reason is null as is_active
        from pool as p
        join pool_agreements as a using (left_key, right_key)
        left join vetoes as v using (left_key, right_key)
        join members as l on l.node_key = p.left_key
        join members as r on r.node_key = p.right_key
        join groups as gl on gl.node_key = p.left_key
        join groups as gr on gr.node_key = p.right_key
        """,
        [rules.thresholds.customer_id, NEVER],
    )
