"""Visitors that may belong elsewhere now, and the ids of all that hangs together with what changed."""

from __future__ import annotations

from datetime import datetime

import duckdb

from identity import past
from identity.quoting import text
from identity.reach import gather_links, spread_from
from identity.rules import Rules
from identity.stable_ids import assign_ids
from identity.visitors import attach_visitors


def list_identifiers(work: duckdb.DuckDBPyConnection, warehouse: str) -> None:
    """Create view now_ids, what everybody carries now, and now_visitors(node_key)."""
    work.execute(
        f"""
        create or replace temp view now_ids as
        select i.node_key, i.identifier_type, i.identifier_value as value,
            if(s.value is null, not i.is_blocked, s.reason is null) as is_open
        from {warehouse}.identity.identifiers as i
        anti join changed using (node_key)
        left join statuses as s
            on s.identifier_type = i.identifier_type and s.value = i.identifier_value
        union all
        select i.node_key, i.identifier_type, i.value, s.reason is null
        from changed_ids as i
        join statuses as s using (identifier_type, value);
        create or replace table now_visitors as
        select node_key from {warehouse}.identity_state.nodes
        anti join changed using (node_key)
        where not is_contact
        union all
        select node_key from changed where is_there and not is_contact
        """
    )


def attach_visitors_again(work: duckdb.DuckDBPyConnection, warehouse: str, rules: Rules) -> None:
    """Give the visitors that may belong elsewhere now their customers; extend `members` to
    `scope_nodes`: all nodes of every customer that is touched, before or now.
    """
    types = ", ".join(
        text(i.identifier_type) for i in rules.identifiers if i.links_visitors is not None
    )
    work.execute(
        f"""
        create or replace table visitor_ids as
        select node_key, identifier_type, value, identifier_type || ':' || value as group_key
        from now_ids
        semi join now_visitors using (node_key)
        where is_open and identifier_type in ({types or "''"});
        create or replace table moving_values as
        select identifier_type, value from statuses
        where reason is null or (was_there and old_reason is null)
        union
        select distinct identifier_type, value
        from wanted_ids
        semi join reached using (node_key)
        where identifier_type in ({types or "''"})
        """
    )
    gather_links(work, "visitor_links", "select node_key, group_key from visitor_ids")
    spread_from(
        work,
        """
        select node_key from changed where is_there and not is_contact
        union
        select v.node_key from value_ids as v
        semi join moving_values using (identifier_type, value)
        where not v.is_contact
        union
        select node_key from visitor_ids semi join moving_values using (identifier_type, value)
        """,
        ("visitor_links",),
        among="from now_visitors",
        into="moving",
    )
    work.execute(
        """
        create or replace table moving_ids as
        select node_key, identifier_type, value from visitor_ids semi join moving using (node_key);
        create or replace table open_ids as
        select node_key, identifier_type, value, false as is_contact
        from moving_ids
        union all
        select i.node_key, i.identifier_type, i.value, true
        from now_ids as i
        semi join moving_ids as v on v.identifier_type = i.identifier_type and v.value = i.value
        anti join now_visitors using (node_key)
        where i.is_open;
        create or replace table nodes as select node_key, false as is_contact from moving
        """
    )
    _find_scope(work, warehouse)
    work.execute(
        f"""
        insert into members by name
        select node_key, '~' || customer_id as cluster_key, '~' || strict_customer_id as strict_key
        from {warehouse}.identity.crosswalk
        semi join scope_nodes using (node_key)
        anti join (
            select node_key from reached union all select node_key from moving
            union all select node_key from changed
        ) using (node_key)
        """
    )
    attach_visitors(work, rules)


def _find_scope(work: duckdb.DuckDBPyConnection, warehouse: str) -> None:
    # an id that retired leads from those who had it to those who may have it again
    gather_links(
        work,
        "customer_links",
        f"select node_key, customer_id from {warehouse}.identity.crosswalk",
        f"""
        select node_key, customer_id from {warehouse}.identity.crosswalk_history
        where customer_id is not null
        """,
    )
    spread_from(
        work,
        """
        select node_key from reached union select node_key from moving
        union select node_key from changed union select node_key from open_ids
        """,
        ("customer_links",),
        among=f"""
            select node_key from {warehouse}.identity.crosswalk
            union all
            select node_key from {warehouse}.identity.crosswalk_history
            union all
            select node_key from changed
        """,
        into="scope_nodes",
    )


def assign_again(
    work: duckdb.DuckDBPyConnection, warehouse: str, run_id: str, now: datetime, run_number: int
) -> None:
    """Create new_ids, new_history and new_crosswalk_history of `scope_nodes`."""
    assign_ids(work, warehouse, run_id, now, within="scope_nodes")
    past.record(work, warehouse, run_number, within="scope_nodes")
