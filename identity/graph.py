"""All evidence in one graph: which edges count, which pairs are kept apart, and the people that
result.

First `unite` makes entities of the records that sure, guarded evidence holds together; once these
are scored, `cluster_contacts` clusters them. Creates entities(node_key, entity_key, code, records),
vetoes(left_key, right_key, reason), pool (every contact edge, with is_active and inactive_reason)
and members(node_key, cluster_key, strict_key). The key of an entity or a cluster is the smallest
node_key in it; code counts entities in the order of their keys, from 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from identity.agreement import compare, find_conflicts
from identity.clusters import cluster
from identity.decided import coded, follow_decisions
from identity.firewall import part_hoarders
from identity.judgement import overrule
from identity.quoting import quoted
from identity.rules import Rules
from identity.settlement import settle

# log2 odds of a decision, in tables and charts; clustering follows decisions before any evidence
OVERRIDE_WEIGHT = 40.0
NEVER = "never_link"

if TYPE_CHECKING:
    from identity.clusters import Codes
    from identity.training import Model


UNDECIDED = """
    select * from {} anti join forced using (left_key, right_key)
    anti join forbidden using (left_key, right_key)"""


def begin_vetoes(work: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Create `vetoes` from `agreements` and from what people decided."""
    find_conflicts(work, rules, "agreements", "found_vetoes")
    # people have the last word on which pairs are in conflict
    work.execute(
        f"""
        create or replace table vetoes as
        {UNDECIDED.format("found_vetoes")}
        union all
        select left_key, right_key, '{NEVER}' from forbidden
        """
    )


def unite(work: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Create `vetoes` from `agreements`, and `entities` from `exact_edges`: the constrained
    clusters of the edges that reach the strict threshold. No entity stands against what people
    decided (`forced`, `forbidden`).
    """
    begin_vetoes(work, rules)
    work.execute(
        """
        create or replace table entities as
        select
            node_key, node_key as entity_key,
            (row_number() over (order by node_key) - 1)::bigint as code, 1::bigint as records
        from people
        """
    )
    work.execute(
        """
        create or replace temp view sure_edges as
        select
            left_key, right_key, probability as match_probability,
            log2(probability / (1 - probability)) as match_weight
        from exact_edges
        """
    )
    strict = {"entity_key": rules.thresholds.strict_customer_id}
    _partition(work, rules, "sure_edges", strict, is_entity=True)
    work.execute(
        """
        create or replace table entities as
        select
            node_key, entity_key,
            (dense_rank() over (order by entity_key) - 1)::bigint as code,
            count(*) over (partition by entity_key) as records
        from parts
        order by node_key
        """
    )


def cluster_contacts(work: duckdb.DuckDBPyConnection, rules: Rules, model: Model | None) -> None:
    """Pool `exact_edges`, `splink_edges` and what people decided, veto, cluster entities at both
    thresholds, and say which edges hold.
    """
    work.execute(
        """
        create or replace table pool as
        select
            left_key, right_key, 'deterministic' as match_type, rule,
            round(log2(probability / (1 - probability)), 6) as match_weight,
            probability as match_probability, shared, null::varchar as details
        from exact_edges
        union all
        select left_key, right_key, 'probabilistic', 'splink', match_weight, probability, null,
            details
        from splink_edges
        union all
        select left_key, right_key, 'override', 'always_link', $1, 1.0, null, null from forced
        union all
        select left_key, right_key, 'override', 'never_link', -$1, 0.0, null, null from forbidden
        """,
        [OVERRIDE_WEIGHT],
    )
    overrule(work, rules, model, "vetoes")
    _compare_more(work, rules, "pool", model)
    _partition(
        work,
        rules,
        "(from pool where match_type <> 'override')",
        {
            "cluster_key": rules.thresholds.customer_id,
            "strict_key": rules.thresholds.strict_customer_id,
        },
        model=model,
    )
    work.execute("create or replace table members as from parts")
    part_hoarders(work, rules)
    settle(work, rules, NEVER)


def _compare_more(
    work: duckdb.DuckDBPyConnection, rules: Rules, pairs: str, model: Model | None
) -> None:
    """Add to `agreements` and `vetoes` those of `pairs` that were not compared yet."""
    compare(
        work,
        f"(select left_key, right_key from {pairs} anti join agreements using (left_key, right_key))",
        "more_agreements",
    )
    find_conflicts(work, rules, "more_agreements", "more_vetoes")
    overrule(work, rules, model, "more_vetoes")
    work.execute("insert into agreements by name from more_agreements")
    work.execute(f"insert into vetoes by name {UNDECIDED.format('more_vetoes')}")


def _partition(
    work: duckdb.DuckDBPyConnection,
    rules: Rules,
    edges: str,
    thresholds: dict[str, float],
    *,
    model: Model | None = None,
    is_entity: bool = False,
) -> None:
    """Create parts(node_key, group_key, ...one column a threshold): entities joined by `edges`
    that reach the threshold, none of whose records are in conflict, and then as people decided
    (`is_entity`: but not by what they forced together).
    """
    import numpy as np

    found = work.sql(
        f"""
        -- one weight per pair: the strongest evidence speaks for it
        select l.code as "left", r.code as "right", max(e.match_weight) as weight,
            max(e.match_probability) as probability
        from {edges} as e
        join entities as l on l.node_key = e.left_key
        join entities as r on r.node_key = e.right_key
        anti join vetoes as v on v.left_key = e.left_key and v.right_key = e.right_key
        where l.code <> r.code and e.match_probability >= $1
        group by all
        order by l.code, r.code
        """,
        params=[min(thresholds.values())],
    ).to_arrow_table()
    left, right, weight, probability = (
        found.column(c).to_numpy() for c in ("left", "right", "weight", "probability")
    )
    sizes = (
        work.sql("select distinct code, records from entities order by code")
        .to_arrow_table()
        .column("records")
        .to_numpy()
    )
    limit = rules.guards.max_cluster_size
    nobody = np.zeros(0, dtype=np.int64)
    # Within these groups every pair is compared, so their size is bounded first.
    groups = cluster(
        len(sizes),
        left,
        right,
        weight,
        conflicts=(nobody, nobody),
        max_size=limit,
        sizes=sizes,
    )
    _register(work, {"group_key": groups})
    conflicts = _conflicts(work, rules, model)
    within = groups[left] == groups[right]
    frail = probability < rules.guards.weak_bridge
    labels = {"group_key": groups}
    for name, threshold in thresholds.items():
        chosen = within & (probability >= threshold)
        labels[name] = cluster(
            len(sizes),
            left[chosen],
            right[chosen],
            weight[chosen],
            conflicts=conflicts,
            max_size=limit,
            sizes=sizes,
            frail=frail[chosen],
        )
        kept = labels[name][left] == labels[name][right]
        labels[name] = follow_decisions(
            work, labels[name], left[kept], right[kept], weight[kept], is_entity=is_entity
        )
    _register(work, labels)


def _conflicts(
    work: duckdb.DuckDBPyConnection, rules: Rules, model: Model | None
) -> tuple[Codes, Codes]:
    """The pairs of entities (as codes) of one group that cannot be one person.

    A conflict is about a difference: records that are alike in all that conflicts speak of need
    not be compared.
    """
    spoken_of = " ".join(rule.when for rule in rules.conflicts)
    differs = [
        f"l.{c} <> r.{c}"
        for c in ("first_name", "last_name", "birth_date", "suffix", "street_key", "postcode")
        if c in spoken_of or (c in ("street_key", "postcode") and "address" in spoken_of)
    ]
    if any(identifier.exclusive for identifier in rules.identifiers):
        differs.append("l.strong_ids <> r.strong_ids")
    work.execute(
        f"""
        create or replace table group_pairs as
        with placed as (
            select p.*, e.code, g.group_key
            from people as p
            join entities as e using (node_key)
            join parts as g using (node_key)
            where g.group_key in (
                select group_key
                from parts
                join entities using (node_key)
                group by group_key
                having min(code) <> max(code)
            )
        )
        select l.node_key as left_key, r.node_key as right_key
        from placed as l
        join placed as r using (group_key)
        where l.node_key < r.node_key and l.code <> r.code and ({" or ".join(differs) or "false"})
        """
    )
    _compare_more(work, rules, "group_pairs", model)
    return coded(work, "vetoes")


def _register(work: duckdb.DuckDBPyConnection, labels: dict[str, Codes]) -> None:
    """Create parts(node_key, ...): each label is the code of an entity, and stands for its key."""
    import numpy as np
    import pyarrow as pa

    count = len(next(iter(labels.values())))
    work.register("labels", pa.table({"code": np.arange(count, dtype=np.int64), **labels}))
    keys = ", ".join(f"k{i}.entity_key as {quoted(name)}" for i, name in enumerate(labels))
    joins = " ".join(
        f"join keys as k{i} on k{i}.code = labels.{quoted(name)}" for i, name in enumerate(labels)
    )
    work.execute(
        f"""
        create or replace table parts as
        with keys as (select distinct code, entity_key from entities)
        select e.node_key, {keys}
        from labels
        join entities as e using (code)
        {joins}
        """
    )
    work.unregister("labels")
