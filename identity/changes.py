"""What changed since the last run.

Creates, from the warehouse and the last run's state, changed (every node that came, went or changed)
and what they are now; and decided, the records that other decisions stand about than before.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from identity import overrides as decisions
from identity import state
from identity.identifiers import build_ids
from identity.normalise import build_people, load_macros
from identity.overrides import Override
from identity.rules import Rules

# A run in which more of the nodes changed than this is cheaper from the beginning.
MAX_CHANGED = 0.2
WORK = "identity_work"


class UnforeseenError(Exception):
    """The last run's state is not enough; the message says why the run begins again."""


def find_changes(work: duckdb.DuckDBPyConnection, warehouse: str) -> None:
    """Create `changed`(node_key, was_there, is_there, was_contact, is_contact)."""
    kept = f"{warehouse}.{state.SCHEMA}"
    work.execute(
        f"""
        create or replace table changed_buckets as
        select coalesce(n.bucket, o.bucket) as bucket
        from input_buckets as n
        full join {kept}.buckets as o on o.bucket = n.bucket
        where n.total is distinct from o.total
        """
    )
    state.hash_nodes(work, warehouse, "changed_buckets")
    work.execute(
        f"""
        create or replace table changed as
        with before as (select * from {kept}.nodes where {state.in_buckets("changed_buckets")})
        select
            coalesce(n.node_key, o.node_key) as node_key,
            o.node_key is not null as was_there, n.node_key is not null as is_there,
            coalesce(o.is_contact, false) as was_contact,
            coalesce(n.is_contact, false) as is_contact
        from node_hashes as n
        full join before as o on o.node_key = n.node_key
        where n.content is distinct from o.content or n.is_contact is distinct from o.is_contact
        """
    )
    changed, nodes = work.execute(
        f"""
        select count(*),
            (select count(*) from {kept}.nodes)
                + count(*) filter (not was_there) - count(*) filter (not is_there)
        from changed
        """
    ).fetchall()[0]
    if changed > MAX_CHANGED * nodes:
        raise UnforeseenError(f"{changed:,} of {nodes:,} nodes changed")


def normalise_changes(work: duckdb.DuckDBPyConnection, warehouse: str, rules: Rules) -> None:
    """Create changed_people and changed_ids, and bring consent_forms and default_dates up to date."""
    state.find_countries(work, warehouse)
    moved = work.execute(
        f"""
        select count(*)
        from (from countries) as n
        full join {warehouse}.identity_state.countries as o using (country_code)
        where n.country_code is null or o.country_code is null
        """
    ).fetchall()[0][0]
    if moved:
        raise UnforeseenError("contacts live in other countries than before")
    work.execute("create schema if not exists canonical")
    work.execute(
        f"""
        create or replace table canonical.contacts as
        select c.* from {warehouse}.canonical.contacts as c
        semi join changed on changed.node_key = c.contact_key;
        create or replace table canonical.identifiers as
        select i.* from {warehouse}.canonical.identifiers as i
        semi join changed on changed.node_key = i.node_key;
        create or replace table canonical.consents as
        select c.* from {warehouse}.canonical.consents as c
        anti join {warehouse}.identity_state.consent_forms as f
            on f.identifier_type = c.identifier_type and f.given = trim(c.identifier_value)
        """
    )
    load_macros(work)
    build_people(work, WORK, rules, warehouse)
    build_ids(work, WORK, rules, warehouse)
    work.execute(
        f"""
        create or replace table consent_forms as
        select f.*
        from {warehouse}.identity_state.consent_forms as f
        semi join {warehouse}.canonical.consents as c
            on f.identifier_type = c.identifier_type and f.given = trim(c.identifier_value)
        union all
        select distinct identifier_type, given, value from normal_forms where node_key is null
        """
    )
    dates = work.execute(
        f"""
        select count(*)
        from (select birth_date::varchar as birth_date from default_dates) as n
        full join (select identifier_value as birth_date from {warehouse}.identity.held_clusters
            where kind = 'default_birth_date') as o using (birth_date)
        where n.birth_date is null or o.birth_date is null
        """
    ).fetchall()[0][0]
    if dates:
        raise UnforeseenError("other birth dates are a form's default than before")
    for name in ("people", "ids"):
        work.execute(f"drop table if exists changed_{name}")
        work.execute(f"alter table {name} rename to changed_{name}")
    kept = columns(work, f"{warehouse}.identity_state.people")
    if not set(columns(work, "changed_people")) <= set(kept):
        raise UnforeseenError("contacts have other columns than before")


def decide(
    work: duckdb.DuckDBPyConnection, warehouse: str, overrides: Sequence[Override]
) -> list[str]:
    """Create `forced` and `forbidden` as they are now, and `decided`(node_key): the records of pairs
    that were not decided upon, or otherwise, in the last run. Returns warnings.
    """
    if overrides:
        work.execute(
            f"""
            create view people as
            select node_key from changed_people
            union all
            select node_key from {warehouse}.identity_state.people anti join changed using (node_key);
            create view ids as
            select node_key, identifier_type, value, given, is_contact from changed_ids
            union all
            select i.node_key, i.identifier_type, i.identifier_value, i.given_value, n.is_contact
            from {warehouse}.identity.identifiers as i
            join {warehouse}.identity_state.nodes as n using (node_key)
            anti join changed using (node_key)
            """
        )
    warnings = decisions.spread(work, overrides)
    work.execute("create or replace table all_forced as from forced")
    work.execute("create or replace table all_forbidden as from forbidden")
    work.execute("drop view if exists people; drop view if exists ids")
    both = " union all ".join(
        f"""
        select coalesce(n.left_key, o.left_key) as left_key,
            coalesce(n.right_key, o.right_key) as right_key
        from {table} as n
        full join {warehouse}.identity_state.{table} as o
            on o.left_key = n.left_key and o.right_key = n.right_key
        where n.left_key is null or o.left_key is null
        """
        for table in ("forced", "forbidden")
    )
    work.execute(
        f"""
        create or replace table decided as
        with pairs as ({both})
        select left_key as node_key from pairs union select right_key from pairs
        """
    )
    return warnings


def columns(work: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    """Return the names of a table's columns, in their order."""
    return [str(row[0]) for row in work.execute(f"describe {table}").fetchall()]
