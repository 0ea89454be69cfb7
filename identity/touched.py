"""Whose exact evidence may be another one now, and that evidence: what is untouched stays as it was.

Creates touched (contacts), others (who shares a value or columns with them), entity_reach (all that
sure evidence ties to either), records (their rows of `people`), and the exact_edges of which at
least one record is touched. Every other exact edge is as it was.
"""

from __future__ import annotations

import duckdb

from identity.exact import groups_alike, hash_alike, link_exactly
from identity.firewall import count_people
from identity.quoting import text
from identity.reach import add_links, gather_links, spread_from
from identity.rules import Rules

# Old edges that clustering may take up again only if a record of theirs is looked at.
HARD = """
    coalesce(inactive_reason like 'conflict: %' and inactive_reason <> 'conflict: with_another_member'
        or inactive_reason like 'override: %', false)"""


def find_touched(work: duckdb.DuckDBPyConnection, warehouse: str, rules: Rules) -> None:
    """Create `touched`(node_key): contacts there are now whose exact evidence may be another one."""
    work.execute(
        f"""
        create or replace table touched as
        select node_key from renewed
        union
        select v.node_key
        from value_ids as v
        join statuses as s using (identifier_type, value)
        where v.is_contact and (s.reason is null or (s.was_there and s.old_reason is null))
        union
        select node_key from decided
        semi join (
            select node_key from changed where is_contact
            union all
            select node_key from {warehouse}.identity_state.nodes
            anti join changed using (node_key)
            where is_contact
        ) using (node_key)
        """
    )
    work.execute(
        f"""
        create or replace table renewed_alike as {hash_alike(rules, "renewed_people")};
        create or replace table groups as
        from renewed_alike
        union all
        select * from {warehouse}.identity_state.alike
        semi join (select node_key from changed union select node_key from renewed)
            using (node_key)
        """
    )
    work.execute(
        f"""
        insert into touched
        select node_key from {warehouse}.identity_state.alike
        where ({_in_groups(rules)})
            and node_key not in (select node_key from changed)
            and node_key not in (select node_key from touched)
        """
    )


def _in_groups(rules: Rules) -> str:
    tests = [f"{name} in (select {name} from groups)" for name in groups_alike(rules)]
    return " or ".join(tests) or "false"


def gather_near(work: duckdb.DuckDBPyConnection, warehouse: str, rules: Rules) -> None:
    """Create `others`, `entity_reach` and `records`; `open_ids` becomes what both carry.

    Creates old_links, the last run's edges between contacts as places (see `reach`), entity_links
    and the view old_edges.
    """
    # whole groups: who else carries these values, or has the same columns
    given = """
        i.node_key, i.identifier_type, i.identifier_value as value, i.given_value as given,
        i.is_verified, i.first_seen_at, i.last_seen_at, true as is_contact"""
    work.execute(
        f"""
        insert into open_ids by name
        select {given}
        from {warehouse}.identity.identifiers as i
        semi join touched using (node_key)
        anti join renewed using (node_key)
        where not is_blocked
        """
    )
    work.execute(
        f"""
        insert into open_ids by name
        select {given}
        from {warehouse}.identity.identifiers as i
        semi join (select distinct identifier_type, value from open_ids) as o
            on o.identifier_type = i.identifier_type and o.value = i.identifier_value
        semi join (select node_key from {warehouse}.identity_state.nodes where is_contact) as n
            using (node_key)
        anti join touched using (node_key)
        anti join changed using (node_key)
        """
    )
    work.execute(
        f"""
        create or replace table groups as
        from renewed_alike
        union all
        select * from {warehouse}.identity_state.alike
        semi join touched using (node_key)
        anti join renewed using (node_key);
        create or replace table others as
        select node_key from open_ids
        union
        select node_key from {warehouse}.identity_state.alike
        where ({_in_groups(rules)}) and node_key not in (select node_key from changed)
        """
    )
    _link_old(work, warehouse, rules)
    gather_links(work, "more_links", "from all_forced")
    spread_from(
        work,
        """
        select node_key from touched union select node_key from others
        union select node_key from changed where was_contact
        """,
        ("sure_links", "entity_links", "more_links"),
        among=f"select node_key from {warehouse}.identity_state.nodes"
        " union all select node_key from changed",
        into="entity_reach",
    )
    work.execute("create or replace table records as from renewed_people")
    add_records(work, warehouse, "entity_reach")


def _link_old(work: duckdb.DuckDBPyConnection, warehouse: str, rules: Rules) -> None:
    visitor_rules = ", ".join(text(f"visitor_{i.identifier_type}") for i in rules.identifiers)
    strict, loose = rules.thresholds.strict_customer_id, rules.thresholds.customer_id
    work.execute(
        f"""
        create or replace temp view old_edges as
        select left_key, right_key, match_type, rule, match_weight, match_probability, evidence,
            inactive_reason
        from {warehouse}.identity.edges
        where rule not in ({visitor_rules});
        create or replace table all_links as
        select hash(left_key) as near, hash(right_key) as far,
            match_probability >= {strict!r} and match_type <> 'probabilistic' as is_sure,
            {HARD} as is_hard
        from old_edges
        where match_probability >= {min(strict, loose)!r};
        create or replace temp view sure_links as select near, far from all_links where is_sure
        """
    )
    # an entity goes by the key of one of its records
    gather_links(work, "entity_links")
    add_links(
        work,
        "entity_links",
        f"select node_key, entity_key from {warehouse}.identity_state.entities"
        " where node_key <> entity_key",
    )


def link_touched(work: duckdb.DuckDBPyConnection, warehouse: str, rules: Rules) -> None:
    """Create `exact_edges` of which a record is touched."""
    work.execute(
        """
        create or replace table people as
        from records
        where node_key in (select node_key from touched)
            or node_key in (select node_key from others)
        """
    )
    # values are counted by the names that were given
    work.execute(
        f"""
        create or replace table named as
        with unread as (
            select node_key, first_name, last_name from renewed_unnamed
            union all
            select node_key, first_name, last_name from {warehouse}.identity_state.unnamed
            semi join (select node_key from people) as p using (node_key)
            anti join (select node_key from changed union all select node_key from renewed) as r
                using (node_key)
        )
        from unread
        union all
        select node_key, first_name, last_name from people anti join unread using (node_key)
        """
    )
    count_people(work, "open_ids", all_ids="open_ids", people="named")
    link_exactly(work, rules)
    work.execute(
        """
        delete from exact_edges
        where left_key not in (select node_key from touched)
            and right_key not in (select node_key from touched)
        """
    )


def add_records(work: duckdb.DuckDBPyConnection, warehouse: str, nodes: str) -> None:
    """Add to `records` the rows of `nodes` (a table with node_key) that it lacks."""
    work.execute(
        f"""
        insert into records by name
        select * from {warehouse}.identity_state.people
        where node_key in (
            select node_key from {nodes}
            anti join (select node_key from changed union all select node_key from records)
                using (node_key))
        """
    )
