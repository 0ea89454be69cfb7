"""Anonymous visitors: each is a leaf that hangs on one customer at most, so no device ever joins
two people.

Adds to `members` every visitor, and creates visitor_edges and shared_devices(value, node_count).
"""

from __future__ import annotations

import duckdb

from identity.rules import Rules


def attach_visitors(work: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Give each visitor to the one person whose login, card or address it used.

    The strongest type decides (the order of `links_visitors`). A visitor whose values of that type
    lead to two people belongs to neither: a shared device. A login that no contact has is a person
    of its own.
    """
    work.execute(
        "create or replace table visitor_types (identifier_type varchar, probability double)"
    )
    for rule in rules.identifiers:
        if rule.links_visitors is not None:
            work.execute(
                "insert into visitor_types values (?, ?)",
                [rule.identifier_type, rule.links_visitors],
            )
    _find_owners(work)
    work.execute(
        """
        create or replace table shared_devices as
        select node_key, max(owners) as owners
            from visitor_owners where owners > 1 group by node_key
        """
    )
    work.execute(
        """
        create or replace table visitor_targets as
        select node_key, identifier_type, probability, target_key
        from visitor_owners
        where owners = 1 and target_key <> node_key
        """
    )
    work.execute(
        """
        create or replace table visitor_edges as
        select
            least(node_key, target_key) as left_key,
            greatest(node_key, target_key) as right_key,
            'deterministic' as match_type,
            'visitor_' || identifier_type as rule,
            round(log2(probability / (1 - probability)), 6) as match_weight,
            probability as match_probability,
            json_object('shared', identifier_type) as evidence,
            probability >= $1 as is_active,
            case when probability < $1 then 'below_threshold' end as inactive_reason
        from visitor_targets
        """,
        [rules.thresholds.customer_id],
    )
    work.execute(
        """
        create or replace table members as
        with visitors as (
            select node_key from nodes where not is_contact
        ),
        held as (
            select
                v.node_key,
                case when t.probability >= $1
                    then coalesce(m.cluster_key, t.target_key) end as cluster_key,
                case when t.probability >= $2
                    then coalesce(m.strict_key, t.target_key) end as strict_key
            from visitors as v
            left join visitor_targets as t using (node_key)
            left join members as m on m.node_key = t.target_key
        ),
        together as (
            select node_key, cluster_key, strict_key from members
            union all
            select node_key, coalesce(cluster_key, node_key), coalesce(strict_key, node_key)
                from held
        )
        -- a visitor's key may be smaller than its contact's: name the cluster again
        select
            node_key,
            min(node_key) over (partition by cluster_key) as cluster_key,
            min(node_key) over (partition by strict_key) as strict_key
        from together
        order by node_key
        """,
        [rules.thresholds.customer_id, rules.thresholds.strict_customer_id],
    )


def _find_owners(work: duckdb.DuckDBPyConnection) -> None:
    """Create visitor_owners: a row per visitor, of the surest type that says anything about it."""
    work.execute(
        """
        create or replace table visitor_owners as
        with given as (
            select i.node_key, i.identifier_type, i.value, t.probability
            from open_ids as i
            join visitor_types as t using (identifier_type)
            where not i.is_contact
        ),
        -- every person that a value leads to, by the first record that carries it
        owned as (
            select i.identifier_type, i.value, m.cluster_key, min(i.node_key) as target_key
            from open_ids as i
            join members as m using (node_key)
            where i.is_contact
            group by all
        ),
        -- visitors with a login that no contact has hang on the first of them
        orphaned as (
            select identifier_type, value, min(node_key) as target_key
            from given
            anti join owned using (identifier_type, value)
            group by all
        ),
        claims as (
            select g.*, o.cluster_key::varchar as owner, o.target_key
            from given as g
            join owned as o using (identifier_type, value)
            union all
            select g.*, identifier_type || ':' || value as owner, o.target_key
            from given as g
            join orphaned as o using (identifier_type, value)
        ),
        ranked as (
            select
                node_key, identifier_type, probability,
                count(distinct owner) as owners,
                min(target_key) as target_key,
                row_number() over (partition by node_key order by probability desc,
                    identifier_type) as position
            from claims
            group by node_key, identifier_type, probability
        )
        select * exclude (position) from ranked where position = 1
        """
    )
