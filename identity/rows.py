"""Today's rows of the tables of `identity`, as new_<table> in the working database."""

from __future__ import annotations

from datetime import datetime

import duckdb


def prepare(
    work: duckdb.DuckDBPyConnection, previous: str, run_id: str, model_version: str, now: datetime
) -> None:
    """Create today's tables as new_<table> in the working database: a transaction writes one
    database only.

    A crosswalk row that says what it said yesterday keeps its valid_from. `previous` is a quoted
    database name.
    """
    prepare_identifiers(
        work,
        """
        select ids.* replace (n.node_key as node_key), b.reason
        from ids
        join node_numbers as n on n.number = ids.node_key
        left join blocked as b using (identifier_type, value)
        order by ids.node_key, identifier_type, value
        """,
    )
    prepare_values(
        work,
        "select distinct identifier_type, given, value from normal_forms where node_key is null",
        "ids",
    )
    prepare_edges(
        work,
        """
        select e.* replace (l.node_key as left_key, r.node_key as right_key)
        from (from pool union all by name from visitor_edges) as e
        join node_numbers as l on l.number = e.left_key
        join node_numbers as r on r.number = e.right_key
        order by e.left_key, e.right_key, rule
        """,
        (model_version, run_id),
    )
    prepare_crosswalk(work, previous, "(select * from new_edges where is_active)", now)
    prepare_held(
        work,
        """
        select reason as kind, identifier_type, value, node_count, 'value links nobody' as action
        from blocked
        union all
        select 'shared_device', 'anonymous_id', n.node_key, owners, 'visitor belongs to nobody'
        from shared_devices as d
        join node_numbers as n on n.number = d.node_key
        union all
        select 'too_many_values', h.identifier_type, min(n.node_key), max(h.found),
            'customer came apart into its surest parts'
        from hoarders as h
        join node_numbers as n on n.number = h.cluster_key
        group by h.identifier_type, h.cluster_key
        """,
        "select left_key from new_edges where inactive_reason = 'too_large'",
        run_id,
    )


def prepare_identifiers(work: duckdb.DuckDBPyConnection, rows: str) -> None:
    """Create new_identifiers from a query for rows as those of `ids`, with the reason why a value is
    blocked.
    """
    work.execute(
        f"""
        create or replace table new_identifiers as
        select
            node_key, identifier_type, value as identifier_value, given as given_value,
            sha256(value) as identifier_hash, is_verified, reason is not null as is_blocked,
            reason as blocked_reason, first_seen_at, last_seen_at
        from ({rows})
        """
    )


def prepare_values(work: duckdb.DuckDBPyConnection, forms: str, carried: str) -> None:
    """Create new_normalised_values from a query for what consents name (identifier_type, given, value)
    and a table of what anybody carries (identifier_type, value).
    """
    work.execute(
        f"""
        create or replace table new_normalised_values as
        select
            identifier_type, given as given_value, value as identifier_value,
            count(*) over (partition by identifier_type, given) = 1 as is_only_reading
        from ({forms})
        semi join {carried} using (identifier_type, value)
        order by all
        """
    )


def prepare_edges(work: duckdb.DuckDBPyConnection, rows: str, run: tuple[str, str]) -> None:
    """Create new_edges from a query for rows as those of `pool`; `run` is the model's version and the
    run's id.
    """
    work.execute(
        f"""
        create or replace table new_edges as
        select
            left(sha256(concat_ws(' ', left_key, right_key, rule)), 32) as edge_id,
            left_key, right_key, match_type, rule, match_weight, match_probability, evidence,
            $1 as model_version, $2 as run_id, is_active, inactive_reason
        from ({rows})
        """,
        list(run),
    )


def prepare_held(work: duckdb.DuckDBPyConnection, rows: str, too_large: str, run_id: str) -> None:
    """Create new_held_clusters from a query for what differs between runs (kind, identifier_type,
    value, node_count, action), and one for the left_key of each edge that would make a customer too
    large.
    """
    work.execute(
        f"""
        create or replace table new_held_clusters as
        with held as (
            from ({rows})
            union all
            select 'default_birth_date', 'birth_date', birth_date::varchar, node_count,
                'date counts as missing'
            from default_dates
            union all
            select 'crowded_key', rule, count(*) || ' keys', sum(profiles)::bigint,
                'too many pairs to look at'
            from crowded_keys group by rule
            union all
            select 'too_large', null, min(left_key), count(*), 'weakest links left out'
            from ({too_large})
            having count(*) > 0
        )
        select
            left(sha256(concat_ws(' ', kind, identifier_type, value)), 32) as held_id,
            kind, identifier_type, value as identifier_value, node_count, action, $1 as run_id
        from held
        order by all
        """,
        [run_id],
    )


def prepare_crosswalk(
    work: duckdb.DuckDBPyConnection, previous: str, edges: str, now: datetime
) -> None:
    """Create new_crosswalk from `new_ids`; `edges` are all active ones that touch its nodes."""
    work.execute(
        f"""
        create or replace table new_crosswalk as
        with touching as (
            select left_key as node_key, match_type, match_probability from {edges}
            union all
            select right_key, match_type, match_probability from {edges}
        ),
        strongest as (
            select node_key, match_type, match_probability
            from touching
            qualify row_number() over (
                partition by node_key order by match_probability desc, match_type) = 1
        )
        select
            n.node_key, n.customer_id, n.strict_customer_id,
            coalesce(s.match_type, 'single') as method,
            coalesce(s.match_probability, 1.0) as confidence,
            case
                when old.customer_id = n.customer_id
                    and old.strict_customer_id = n.strict_customer_id then old.valid_from
                else $1::timestamp
            end as valid_from
        from new_ids as n
        left join strongest as s using (node_key)
        left join {previous}.identity.crosswalk as old using (node_key)
        order by n.node_key
        """,
        [now],
    )
