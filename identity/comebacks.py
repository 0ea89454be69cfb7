"""Merges that are undone: who gets the id back that they had before."""

from __future__ import annotations

import duckdb


def find_returned(work: duckdb.DuckDBPyConnection, previous: str) -> None:
    """Create returned(cluster_key, customer_id): the clusters that are exactly who a merged id
    stood for.

    All records that had the id when it was merged and that are still there, and nobody else; all
    of them have been one customer since. Of several such ids the one merged last comes back.
    """
    work.execute(
        f"""
        create or replace table returned as
        with last_words as (
            select h.from_customer_id as customer_id, h.event, r.run_number
            from {previous}.identity.history as h
            join {previous}.identity.runs as r using (run_id)
            where h.event in ('merge', 'erase')
            qualify row_number() over (
                partition by h.from_customer_id order by r.run_number desc) = 1
        ),
        retired as (
            select customer_id, run_number
            from last_words
            anti join (select distinct customer_id from kept_members) using (customer_id)
            where event = 'merge'
        ),
        -- who had it then and is there now
        entitled as (
            select r.customer_id, r.run_number, m.node_key, m.cluster_key
            from {previous}.identity.crosswalk_history as h
            join retired as r on r.customer_id = h.customer_id and r.run_number = h.until_run
            join members as m using (node_key)
        ),
        exact as (
            select customer_id, run_number, min(cluster_key) as cluster_key, count(*) as nodes
            from entitled
            group by all
            having count(distinct cluster_key) = 1
        ),
        sizes as (
            select
                m.cluster_key, count(*) as nodes, count(k.node_key) as known,
                count(distinct k.customer_id) as ids
            from members as m
            semi join exact using (cluster_key)
            left join kept_members as k using (node_key)
            group by all
        )
        select cluster_key, customer_id
        from exact
        join sizes using (cluster_key, nodes)
        where sizes.known = sizes.nodes and sizes.ids = 1
        qualify row_number() over (
            partition by cluster_key order by run_number desc, customer_id) = 1
        """
    )
