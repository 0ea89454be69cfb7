"""The tables of the schema `identity`: made if missing, written whole in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import duckdb

COLUMNS = {
    "identifiers": """
        node_key varchar, identifier_type varchar, identifier_value varchar, given_value varchar,
        identifier_hash varchar, is_verified boolean, is_blocked boolean, blocked_reason varchar,
        first_seen_at timestamp, last_seen_at timestamp""",
    "normalised_values": """
        identifier_type varchar, given_value varchar, identifier_value varchar,
        is_only_reading boolean""",
    "edges": """
        edge_id varchar, left_key varchar, right_key varchar, match_type varchar, rule varchar,
        match_weight double, match_probability double, evidence json, model_version varchar,
        run_id varchar, is_active boolean, inactive_reason varchar""",
    "crosswalk": """
        node_key varchar, customer_id varchar, strict_customer_id varchar, method varchar,
        confidence double, valid_from timestamp""",
    "history": """
        history_id varchar, event varchar, node_key varchar, from_customer_id varchar,
        to_customer_id varchar, reason varchar, run_id varchar, changed_at timestamp""",
    "held_clusters": """
        held_id varchar, kind varchar, identifier_type varchar, identifier_value varchar,
        node_count bigint, action varchar, run_id varchar""",
    "overrides": """
        override_id varchar, action varchar, left_key varchar, right_key varchar, author varchar,
        reason varchar, created_at timestamp""",
    "runs": """
        run_id varchar, model_version varchar, config_hash varchar, started_at timestamp,
        finished_at timestamp, nodes bigint, edges bigint, customers bigint, merges bigint, splits
        bigint, singletons bigint, largest_cluster bigint, match_rate double, input_hash
        varchar, run_number bigint, purpose varchar, changed bigint, contacts
        bigint, customers_with_contacts bigint""",
    "crosswalk_history": """
        node_key varchar, customer_id varchar, strict_customer_id varchar, until_run bigint""",
    "model": """
        comparison varchar, level bigint, label varchar, sql_condition varchar, is_null_level
        boolean, m_probability double, u_probability double, match_weight double,
        household_weight double""",
    "configs": """
        config_hash varchar, model_version varchar, rules varchar, overrides varchar,
        created_at timestamp, refused_changed bigint, refused_share double""",
}

# Ids in use no more lead to today's: a merged one along its merges (each led to an id that was live then,
# so the chain ends), an erased one to nothing.
MOVED_IDS = """
    with recursive ended as (
        select h.from_customer_id as customer_id, h.event, h.to_customer_id
        from identity.history as h
        left join identity.runs as r using (run_id)
        where h.event in ('merge', 'erase')
        qualify row_number() over (
            partition by h.from_customer_id order by r.run_number desc, h.to_customer_id) = 1
    ),
    live as (
        select distinct customer_id from identity.crosswalk
        where customer_id in (
            select customer_id from ended union all select to_customer_id from ended)
    ),
    led as (
        select e.customer_id, e.to_customer_id as current_customer_id
        from ended as e
        anti join live using (customer_id)
        union all
        select l.customer_id, e.to_customer_id
        from led as l
        join ended as e on e.customer_id = l.current_customer_id
        anti join live on live.customer_id = l.current_customer_id
    )
    select led.customer_id, led.current_customer_id
    from led
    left join live on live.customer_id = led.current_customer_id
    where live.customer_id is not null or led.current_customer_id is null
"""
# Any id ever given: a live one leads to itself.
RESOLVE_FORWARD = """
    select distinct customer_id, customer_id as current_customer_id from identity.crosswalk
    union all
    select customer_id, current_customer_id from identity.moved_ids
"""


def create(con: duckdb.DuckDBPyConnection) -> None:
    """Create the schema `identity` and those of its tables that are missing; a column that is
    younger than a table is added to it.
    """
    con.execute("create schema if not exists identity")
    for table, columns in COLUMNS.items():
        con.execute(f"create table if not exists identity.{table} ({columns})")
        names = {row[0] for row in con.execute(f"describe identity.{table}").fetchall()}
        for column in columns.split(","):
            if column.split()[0] not in names:
                con.execute(f"alter table identity.{table} add column {column}")
    con.execute(f"create or replace view identity.moved_ids as {MOVED_IDS}")
    con.execute(f"create or replace view identity.resolve_forward as {RESOLVE_FORWARD}")
    con.execute(
        """
        update identity.runs
        set run_number = numbered.position, purpose = 'run'
        from (
            select run_id, row_number() over (order by finished_at, run_id) as position
            from identity.runs
        ) as numbered
        where runs.run_number is null and runs.run_id = numbered.run_id
        """
    )


REPLACED = (
    "identifiers",
    "normalised_values",
    "edges",
    "crosswalk",
    "held_clusters",
    "overrides",
    "model",
)
APPENDED = ("history", "crosswalk_history", "configs")


def publish(
    work: duckdb.DuckDBPyConnection,
    target: str,
    run: Mapping[str, object],
    write_state: Callable[[], None],
) -> None:
    """Write today's tables to `target` (a quoted database name) in one transaction, and whatever
    `write_state` writes; `run` is the row of runs by column.
    """
    work.execute("begin transaction")
    try:
        for table in REPLACED:
            work.execute(f"delete from {target}.identity.{table}")
            work.execute(f"insert into {target}.identity.{table} by name from new_{table}")
        for table in APPENDED:
            work.execute(f"insert into {target}.identity.{table} by name from new_{table}")
        columns, marks = ", ".join(run), ", ".join("?" for _ in run)
        work.execute(
            f"insert into {target}.identity.runs ({columns}) values ({marks})", list(run.values())
        )
        write_state()
        work.execute("commit")
    except BaseException:
        work.execute("rollback")
        raise
