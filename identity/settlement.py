"""What became of each edge: whether it holds a customer together, and if not, why not."""

from __future__ import annotations

import duckdb

from identity.rules import Rules


def settle(work: duckdb.DuckDBPyConnection, rules: Rules, never: str) -> None:
    """Add evidence, is_active and inactive_reason to `pool`; vetoes of the reason `never` are what
    people decided.
    """
    work.execute(
        """
        create or replace table pool as
        with sized as (
            select *, count(*) over (partition by cluster_key) as records from members
        ),
        apart as (
            select distinct least(l.cluster_key, r.cluster_key) as left_cluster,
                greatest(l.cluster_key, r.cluster_key) as right_cluster
            from vetoes as v
            join members as l on l.node_key = v.left_key
            join members as r on r.node_key = v.right_key
        )
        select
            p.* exclude (shared, details),
            -- every value here is one of our own words; details are JSON already
            concat('{"shared":', coalesce(to_json(shared)::varchar, 'null'),
                ',"first_name":"', a.first_name, '","last_name":"', a.last_name,
                '","birth_date":"', a.birth_date, '","suffix":"', a.suffix,
                '","address":"', a.address, '","weights":', coalesce(details, 'null'),
                -- a score is of all records of both entities; the two named agree best
                case when p.match_type = 'probabilistic' and le.records + re.records > 2
                    then concat(',"records":[', le.records, ',', re.records, ']') end, '}'
            )::json as evidence,
            case
                when v.reason = $2 then 'override: never_link'
                when v.reason is not null then 'conflict: ' || v.reason
                when p.match_probability < $1 then 'below_threshold'
                when l.cluster_key <> r.cluster_key and l.group_key <> r.group_key
                    then 'too_large'
                when l.cluster_key = r.cluster_key then null
                when c.left_cluster is not null then 'conflict: with_another_member'
                when l.records + r.records > $3 then 'too_large'
                else 'weak_bridge'
            end as inactive_reason,
            inactive_reason is null as is_active
        from pool as p
        join agreements as a using (left_key, right_key)
        left join vetoes as v using (left_key, right_key)
        join sized as l on l.node_key = p.left_key
        join sized as r on r.node_key = p.right_key
        join entities as le on le.node_key = p.left_key
        join entities as re on re.node_key = p.right_key
        left join apart as c
            on c.left_cluster = least(l.cluster_key, r.cluster_key)
            and c.right_cluster = greatest(l.cluster_key, r.cluster_key)
        """,
        [rules.thresholds.customer_id, never, rules.guards.max_cluster_size],
    )
