"""Ids are forever: clusters keep the id they had, merges keep the oldest, splits and new people
get new ones.

Invariant: an id that was ever used for one set of people is never given to another, and what
happened to every id is in the history, so that a retired one leads to the one that took its place.
A merge that is undone gives the retired id back, to exactly the records that had it.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

import duckdb

from identity.comebacks import find_returned


def assign_ids(
    work: duckdb.DuckDBPyConnection,
    previous: str,
    run_id: str,
    now: datetime,
    *,
    like: str | None = None,
    reason: str | None = None,
    within: str | None = None,
) -> None:
    """Create new_ids(node_key, customer_id, strict_customer_id) and new_history from
    `members`.

    `previous` is the quoted name of the database whose identity.crosswalk and identity.history are
    yesterday's. Each old id's heir is the cluster with most of its nodes (then the one with the
    smaller key); of the ids that a cluster inherits, the one created first survives (then the
    smallest). `like` is a query for a former crosswalk whose ids are to come back instead of
    yesterday's, and `reason` what history then says. `within` is a table of the nodes that
    `members` speaks of, if not of all: whole customers, of yesterday, of today and of ids that retired.
    """
    work.execute(
        f"""
        create or replace table old_members as
        select node_key, customer_id from {previous}.identity.crosswalk
        {f"semi join {within} using (node_key)" if within is not None else ""}
        """
    )
    if like is not None:
        work.execute(
            f"create or replace table then_members as select node_key, customer_id from {like}"
        )
    work.execute(
        "create or replace table kept_members as "
        + (
            "from old_members"
            if like is None
            # who came since keeps today's id, unless it was somebody else's then
            else """
            from then_members
            union all
            from old_members
            anti join then_members using (node_key)
            anti join (select distinct customer_id from then_members) using (customer_id)
            """
        )
    )
    work.execute(
        f"""
        create or replace table old_ids as
        -- a pinned "now" dates several runs alike: the clock then tells which came first
        select to_customer_id as customer_id, min((h.changed_at, r.started_at)) as created
        from {previous}.identity.history as h
        left join {previous}.identity.runs as r using (run_id)
        where h.event in ('created', 'split')
            and to_customer_id in (select customer_id from kept_members)
        group by all
        """
    )
    find_returned(work, previous)
    work.execute(
        """
        create or replace table heirs as
        with overlap as (
            select o.customer_id, m.cluster_key, count(*) as nodes
            from kept_members as o
            join members as m using (node_key)
            group by all
        )
        select overlap.customer_id, cluster_key, returned.customer_id as returned_id
        from overlap
        left join returned using (cluster_key)
        -- who has an id of their own to go back to leaves this one to the others
        qualify row_number() over (
            partition by overlap.customer_id
            order by returned_id is not null, nodes desc, cluster_key) = 1
        """
    )
    work.execute(
        """
        create or replace table cluster_ids as
        with survivors as (
            select cluster_key, customer_id
            from heirs
            left join old_ids using (customer_id)
            qualify row_number() over (
                partition by cluster_key order by created nulls last, customer_id) = 1
        )
        select distinct
            m.cluster_key,
            coalesce(s.customer_id, r.customer_id,
                'cus_' || left(sha256(m.cluster_key), 16)) as customer_id,
            coalesce(s.customer_id, r.customer_id) is null as is_new
        from members as m
        left join survivors as s using (cluster_key)
        left join returned as r using (cluster_key)
        """
    )
    _name_new_clusters(work, previous)
    work.execute(
        """
        create or replace table new_ids as
        with named as (
            -- the strict cluster of the first contact is the customer itself; others are parts, and
            -- so is a visitor alone
            select *, arg_min(strict_key, (starts_with(node_key, 'anon:'), node_key))
                over (partition by cluster_key) as main_key
            from members
        )
        select
            m.node_key, c.customer_id,
            case
                when m.strict_key = m.main_key then c.customer_id
                else 'cus_' || left(sha256('strict ' || m.strict_key), 16)
            end as strict_customer_id
        from named as m
        join cluster_ids as c using (cluster_key)
        """
    )
    _record_history(work, run_id, now, reason)


def _name_new_clusters(work: duckdb.DuckDBPyConnection, previous: str) -> None:
    work.execute(
        f"""
        create or replace temp view used_ids as
        select customer_id from old_members
        union all
        select from_customer_id from {previous}.identity.history where from_customer_id is not null
        union all
        select to_customer_id from {previous}.identity.history where to_customer_id is not null
        """
    )
    # An id that was ever used is not given again: salt the few that would be.
    taken = work.execute(
        """
        with wanted as (select customer_id from cluster_ids where is_new)
        select cluster_key
        from cluster_ids
        where is_new and (
            customer_id in (select customer_id from used_ids
                where customer_id in (select customer_id from wanted))
            or customer_id in (select customer_id
                from cluster_ids group by customer_id having count(*) > 1))
        order by cluster_key
        """
    ).fetchall()
    if not taken:
        return
    used = {
        str(i)
        for (i,) in work.execute(
            "select customer_id from used_ids union select customer_id from cluster_ids"
        ).fetchall()
    }
    for (cluster_key,) in taken:
        fresh = new_id(cluster_key, used)
        used.add(fresh)
        work.execute(
            "update cluster_ids set customer_id = ? where cluster_key = ?", [fresh, cluster_key]
        )


def new_id(node_key: str, used: set[str]) -> str:
    """Return 'cus_' and 16 hex digits of the SHA-256 of `node_key`, salted until it was never
    used.
    """
    salt = 0
    while True:
        text = node_key if salt == 0 else f"{node_key} {salt}"
        candidate = "cus_" + hashlib.sha256(text.encode()).hexdigest()[:16]
        if candidate not in used:
            return candidate
        salt += 1


def _record_history(
    work: duckdb.DuckDBPyConnection, run_id: str, now: datetime, reason: str | None
) -> None:
    # merge: an id retires into the one that most of its records go by. split: an id that is new, or
    # back again, whose people had another one. reassign: a node that neither of these explains.
    # erase: an id of which no record is left.
    work.execute(
        """
        create or replace table new_history as
        with moved as (
            select n.node_key, o.customer_id as from_id, n.customer_id as to_id
            from new_ids as n
            join old_members as o using (node_key)
            where o.customer_id <> n.customer_id
        ),
        ended as (
            select distinct customer_id as from_id
            from old_members
            anti join new_ids using (customer_id)
        ),
        retired as (
            select from_id, m.to_id
            from ended
            left join (select from_id, to_id, count(*) as nodes from moved group by all) as m
                using (from_id)
            qualify row_number() over (
                partition by from_id order by m.nodes desc nulls last, m.to_id) = 1
        ),
        born as (
            select
                c.cluster_key, c.customer_id as to_id, mode_from.from_id,
                case when c.is_new then 'no longer held together' else 'merge undone' end as why
            from (
                from cluster_ids
                anti join (select distinct customer_id from old_members) using (customer_id)
            ) as c
            left join (
                select to_id, from_id
                from moved
                group by to_id, from_id
                qualify row_number() over (partition by to_id order by count(*) desc, from_id) = 1
            ) as mode_from on mode_from.to_id = c.customer_id
        ),
        happened as (
            select 'created' as event, cluster_key as node_key, null as from_id, to_id,
                'first seen' as reason
            from born where from_id is null
            union all
            select 'split', cluster_key, from_id, to_id, why
            from born where from_id is not null
            union all
            select 'merge', null, from_id, to_id, 'new evidence'
                from retired where to_id is not null
            union all
            select 'erase', null, from_id, null, 'no record left' from retired where to_id is null
            union all
            select 'reassign', m.node_key, m.from_id, m.to_id, 'evidence points elsewhere'
            from moved as m
            anti join retired as r on r.from_id = m.from_id and r.to_id = m.to_id
            anti join born as b on b.from_id = m.from_id and b.to_id = m.to_id
        )
        select
            left(sha256(concat_ws(' ', $1, event, node_key, from_id, to_id)), 32) as history_id,
            event, node_key, from_id as from_customer_id, to_id as to_customer_id,
            coalesce($3, reason) as reason, $1 as run_id, $2::timestamp as changed_at
        from happened
        order by event, to_id, from_id, node_key
        """,
        [run_id, now, reason],
    )
