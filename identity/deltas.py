"""Only what an incremental run changes is written: rows of the tables, of the customers that it
touched, and of the state.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import duckdb

from identity import rows, state
from identity.summary import figures


def prepare(
    work: duckdb.DuckDBPyConnection, warehouse: str, run_id: str, version: str, now: datetime
) -> None:
    """Create new_<table>: rows that replace those of the same scope, and the small tables whole."""
    rows.prepare_identifiers(
        work,
        """
        select i.*, s.reason
        from changed_ids as i
        join statuses as s using (identifier_type, value)
        order by i.node_key, i.identifier_type, i.value
        """,
    )
    rows.prepare_values(work, "from consent_forms", "now_ids")
    rows.prepare_edges(
        work,
        "from (from pool union all by name from visitor_edges) order by left_key, right_key, rule",
        (version, run_id),
    )
    # what is replaced: edges found again, edges within what was clustered again, moving visitors'
    work.execute(
        f"""
        create or replace table unseen as
        select node_key from moving union select node_key from changed;
        create or replace table reopened as
        select node_key from reached union select node_key from changed;
        -- whatever is said below of the old edges is said of these: all the sets are in scope
        create or replace table near_edges as
        from {warehouse}.identity.edges
        where left_key in (from scope_nodes) or right_key in (from scope_nodes);
        create or replace table old_edge_ids as
        select edge_id
        from near_edges
        where (left_key in (from reached) and right_key in (from reached))
            or (match_type = 'deterministic' and not starts_with(rule, 'visitor_')
                and (left_key in (from retouched) or right_key in (from retouched)))
            or (match_type = 'probabilistic'
                and (left_key in (from unscored) or right_key in (from unscored)))
            or (match_type = 'override'
                and (left_key in (from reopened) or right_key in (from reopened)))
            or left_key in (from unseen)
            or right_key in (from unseen);
        create or replace table scope_edges as
        select left_key, right_key, match_type, match_probability from new_edges where is_active
        union all
        select left_key, right_key, match_type, match_probability
        from near_edges
        where is_active and edge_id not in (from old_edge_ids)
        """
    )
    rows.prepare_crosswalk(work, warehouse, "scope_edges", now)
    _prepare_held(work, warehouse, run_id)
    _keep_same(work, warehouse)


def _keep_same(work: duckdb.DuckDBPyConnection, warehouse: str) -> None:
    """Take what stands in the tables already out of new_edges, old_edge_ids and new_crosswalk; create
    stale_nodes, whose rows of the crosswalk are replaced.
    """
    told = "edge_id, match_weight, match_probability, evidence::varchar, is_active, inactive_reason"
    work.execute(
        f"""
        create or replace table same_edges as
        select edge_id from (select {told} from new_edges intersect select {told} from near_edges);
        delete from new_edges where edge_id in (from same_edges);
        delete from old_edge_ids where edge_id in (from same_edges);
        create or replace table same_nodes as
        select node_key
        from (
            from new_crosswalk
            intersect
            from {warehouse}.identity.crosswalk semi join scope_nodes using (node_key)
        );
        delete from new_crosswalk where node_key in (from same_nodes);
        create or replace table stale_nodes as from scope_nodes anti join same_nodes using (node_key)
        """
    )


def _prepare_held(work: duckdb.DuckDBPyConnection, warehouse: str, run_id: str) -> None:
    held = f"{warehouse}.identity.held_clusters"
    rows.prepare_held(
        work,
        f"""
        select reason as kind, identifier_type, value, node_count, 'value links nobody' as action
        from statuses where reason is not null
        union all
        select kind, h.identifier_type, h.identifier_value, node_count, action
        from {held} as h
        anti join statuses as s
            on s.identifier_type = h.identifier_type and s.value = h.identifier_value
        where action = 'value links nobody'
        union all
        select 'too_many_values', h.identifier_type, h.cluster_key, max(h.found),
            'customer came apart into its surest parts'
        from hoarders as h
        group by h.identifier_type, h.cluster_key
        union all
        select kind, identifier_type, identifier_value, node_count, action
        from {held}
        where kind = 'too_many_values' and identifier_value not in (from reopened)
        union all
        select 'shared_device', 'anonymous_id', node_key, owners, 'visitor belongs to nobody'
        from shared_devices
        union all
        select kind, identifier_type, identifier_value, node_count, action
        from {held}
        where kind = 'shared_device' and identifier_value not in (from unseen)
        """,
        f"""
        select left_key from new_edges where inactive_reason = 'too_large'
        union all
        select left_key from {warehouse}.identity.edges
        where inactive_reason = 'too_large' and edge_id not in (from old_edge_ids)
        """,
        run_id,
    )


def publish(
    work: duckdb.DuckDBPyConnection,
    target: str,
    row: Mapping[str, object],
    run: tuple[int, str | None, str],
) -> None:
    """Write the rows and the state in one transaction; `row` is what is known of the run's row, and
    `run` its number, its model and the program's version.
    """
    work.execute("begin transaction")
    try:
        _write_tables(work, target)
        _write_state(work, target)
        state.write_run(work, target, run)
        columns = {**row, "finished_at": datetime.now(UTC).replace(tzinfo=None)}
        columns |= figures(
            work, f"{target}.identity.crosswalk", f"{target}.identity.edges", "from now_visitors"
        )
        names, marks = ", ".join(columns), ", ".join("?" for _ in columns)
        work.execute(
            f"insert into {target}.identity.runs ({names}) values ({marks})",
            list(columns.values()),
        )
        work.execute("commit")
    except BaseException:
        work.execute("rollback")
        raise


def _write_tables(work: duckdb.DuckDBPyConnection, target: str) -> None:
    identity = f"{target}.identity"
    work.execute(
        f"""
        delete from {identity}.identifiers where node_key in (select node_key from changed);
        insert into {identity}.identifiers by name from new_identifiers;
        update {identity}.identifiers as i
        set is_blocked = s.reason is not null, blocked_reason = s.reason
        from (select * from statuses where was_there and reason is distinct from old_reason) as s
        where s.identifier_type = i.identifier_type and s.value = i.identifier_value
            and i.blocked_reason is distinct from s.reason;
        delete from {identity}.edges where edge_id in (select edge_id from old_edge_ids);
        insert into {identity}.edges by name from new_edges;
        delete from {identity}.crosswalk where node_key in (from stale_nodes);
        insert into {identity}.crosswalk by name from new_crosswalk
        """
    )
    for table in ("held_clusters", "overrides", "normalised_values"):
        work.execute(
            f"""
            delete from {identity}.{table};
            insert into {identity}.{table} by name from new_{table}
            """
        )
    for table in ("history", "crosswalk_history"):
        work.execute(f"insert into {identity}.{table} by name from new_{table}")


def _write_state(work: duckdb.DuckDBPyConnection, target: str) -> None:
    kept = f"{target}.{state.SCHEMA}"
    gone = "(select node_key from changed union all select node_key from renewed)"
    work.execute(
        f"""
        delete from {kept}.people where node_key in {gone};
        insert into {kept}.people by name from renewed_people;
        delete from {kept}.unnamed where node_key in {gone};
        insert into {kept}.unnamed by name from renewed_unnamed;
        delete from {kept}.alike where node_key in {gone};
        insert into {kept}.alike by name from renewed_alike;
        delete from {kept}.profiles where entity_key in (from gone_entities);
        insert into {kept}.profiles by name from new_profiles;
        delete from {kept}.entities
        where node_key in (select node_key from new_entities union all select node_key from changed);
        insert into {kept}.entities by name from new_entities;
        delete from {kept}.nodes where node_key in (select node_key from changed);
        insert into {kept}.nodes by name from node_hashes semi join changed using (node_key);
        """
    )
    for table, query in {
        "buckets": "input_buckets",
        "consent_forms": "consent_forms",
        "crowded_keys": "crowded_keys",
        "forced": "all_forced",
        "forbidden": "all_forbidden",
    }.items():
        work.execute(f"delete from {kept}.{table}")
        work.execute(f"insert into {kept}.{table} by name from {query}")
