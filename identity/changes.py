"""What changed since the last run, and which exact evidence that touches.

Creates, from the warehouse and the last run's state: changed (every node that came, went or
changed), statuses (each value that they carry or carried, blocked or not, before and now), touched
(contacts whose exact evidence may be another one now), renewed (those whose row in `people` is),
and exact_edges of which at least one record is touched. Every other exact edge is as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from identity import overrides as decisions
from identity import state
from identity.email_names import fill_names
from identity.exact import link_exactly
from identity.firewall import attach_identifiers, block_values, count_people
from identity.identifiers import build_ids
from identity.normalise import build_people, load_macros
from identity.overrides import Override
from identity.quoting import quoted
from identity.rules import Rules

# A run in which more of the nodes changed than this is cheaper from the beginning.
MAX_CHANGED = 0.2
WORK = "identity_work"


class UnforeseenError(Exception):
    """The last run's state is not enough; the message says why the run begins again."""


def find_changes(work: duckdb.DuckDBPyConnection, warehouse: str) -> None:
    """Create `changed`(node_key, was_there, is_there, was_contact, is_contact)."""
    state.hash_nodes(work, warehouse)
    work.execute(
        f"""
        create or replace table changed as
        select
            coalesce(n.node_key, o.node_key) as node_key,
            o.node_key is not null as was_there, n.node_key is not null as is_there,
            coalesce(o.is_contact, false) as was_contact,
            coalesce(n.is_contact, false) as is_contact
        from node_hashes as n
        full join {warehouse}.identity_state.nodes as o on o.node_key = n.node_key
        where n.content is distinct from o.content or n.is_contact is distinct from o.is_contact
        """
    )
    changed, nodes = work.execute(
        "select (select count(*) from changed), (select count(*) from node_hashes)"
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
    columns = _columns(work, "changed_people")
    kept = _columns(work, f"{warehouse}.identity_state.people")
    if not set(columns) <= set(kept):
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


def judge_values(
    work: duckdb.DuckDBPyConnection, warehouse: str, rules: Rules, usual: Mapping[str, int]
) -> None:
    """Create `statuses` and `value_ids` (all carriers of the values in it); `usual` is the model's."""
    work.execute(
        f"""
        create or replace table ids as
        with carried as (
            select distinct identifier_type, value from changed_ids
            union
            select distinct identifier_type, identifier_value
            from {warehouse}.identity.identifiers semi join changed using (node_key)
        )
        select
            i.node_key, i.identifier_type, i.identifier_value as value, i.given_value as given,
            i.is_verified, i.first_seen_at, i.last_seen_at, n.is_contact
        from {warehouse}.identity.identifiers as i
        semi join carried as c
            on c.identifier_type = i.identifier_type and c.value = i.identifier_value
        anti join changed using (node_key)
        join {warehouse}.identity_state.nodes as n using (node_key)
        union all by name
        from changed_ids
        """
    )
    work.execute(
        f"""
        create or replace table people as
        with carriers as (select distinct node_key from ids anti join changed using (node_key))
        select node_key, first_name, last_name from changed_people
        union all
        select node_key, first_name, last_name from {warehouse}.identity_state.unnamed
        semi join carriers using (node_key)
        union all
        select node_key, first_name, last_name from {warehouse}.identity_state.people
        semi join carriers using (node_key)
        anti join {warehouse}.identity_state.unnamed using (node_key)
        """
    )
    work.execute(
        f"""
        create or replace table carried_ids as
        select identifier_type, identifier_value as value, node_key
        from {warehouse}.identity.identifiers
        semi join (select node_key from ids) as i using (node_key)
        anti join changed using (node_key)
        where identifier_type = 'email'
        union all
        select identifier_type, value, node_key from changed_ids where identifier_type = 'email'
        """
    )
    block_values(work, rules, usual, "carried_ids")
    work.execute(
        f"""
        create or replace table statuses as
        with before as (
            select i.identifier_type, i.identifier_value as value, any_value(blocked_reason) as reason
            from {warehouse}.identity.identifiers as i
            semi join (
                select identifier_type, value from ids
                union
                select identifier_type, identifier_value
                from {warehouse}.identity.identifiers semi join changed using (node_key)
            ) as c on c.identifier_type = i.identifier_type and c.value = i.identifier_value
            group by all
        ),
        now as (select distinct identifier_type, value from ids)
        select
            coalesce(n.identifier_type, o.identifier_type) as identifier_type,
            coalesce(n.value, o.value) as value,
            o.value is not null as was_there, n.value is not null as is_there,
            o.reason as old_reason, b.reason, b.node_count
        from now as n
        full join before as o on o.identifier_type = n.identifier_type and o.value = n.value
        left join blocked as b
            on b.identifier_type = n.identifier_type and b.value = n.value
        """
    )
    work.execute("drop table if exists value_ids; alter table ids rename to value_ids")


def renew(work: duckdb.DuckDBPyConnection, warehouse: str, rules: Rules) -> None:
    """Create `renewed`(node_key), contacts whose row of `people` may be another one: they changed,
    or a value of theirs is blocked or no longer is. Creates renewed_people and their `open_ids`.
    """
    work.execute(
        """
        create or replace table renewed as
        select node_key from changed where is_contact
        union
        select v.node_key
        from value_ids as v
        join statuses as s using (identifier_type, value)
        where v.is_contact and (s.reason is null) <> (s.old_reason is null)
        """
    )
    base = ", ".join(quoted(c) for c in _columns(work, "changed_people"))
    work.execute(
        f"""
        create or replace table people as
        select {base} from changed_people
        union all
        select {base} from {warehouse}.identity_state.unnamed
        semi join renewed using (node_key)
        anti join changed using (node_key)
        union all
        select {base} from {warehouse}.identity_state.people
        semi join renewed using (node_key)
        anti join changed using (node_key)
        anti join {warehouse}.identity_state.unnamed using (node_key)
        """
    )
    work.execute(
        f"""
        create or replace table ids as
        select * from changed_ids where is_contact
        union all by name
        select node_key, identifier_type, identifier_value as value, given_value as given,
            is_verified, first_seen_at, last_seen_at, true as is_contact
        from {warehouse}.identity.identifiers
        semi join renewed using (node_key)
        anti join changed using (node_key)
        """
    )
    work.execute(
        f"""
        create or replace table blocked as
        select identifier_type, value from statuses where reason is not null
        union all
        select distinct i.identifier_type, i.identifier_value
        from {warehouse}.identity.identifiers as i
        semi join renewed using (node_key)
        anti join statuses as s
            on s.identifier_type = i.identifier_type and s.value = i.identifier_value
        where i.is_blocked
        """
    )
    attach_identifiers(work, rules)
    fill_names(work)
    work.execute(
        "drop table if exists renewed_unnamed; alter table unnamed rename to renewed_unnamed"
    )
    if set(_columns(work, "people")) != set(_columns(work, f"{warehouse}.identity_state.people")):
        raise UnforeseenError("contacts have other columns than before")
    work.execute("drop table if exists renewed_people; alter table people rename to renewed_people")


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
            select node_key from changed_people
            union all
            select node_key from {warehouse}.identity_state.people anti join changed using (node_key)
        ) using (node_key)
        """
    )
    for columns in _same(rules):
        names = ", ".join(quoted(c) for c in columns)
        work.execute(
            f"""
            insert into touched
            select node_key
            from {warehouse}.identity_state.people
            semi join (
                select {names} from renewed_people
                union all
                select {names} from {warehouse}.identity_state.people
                semi join (select node_key from changed union select node_key from renewed)
                    using (node_key)
            ) using ({names})
            anti join changed using (node_key)
            anti join touched using (node_key)
            """
        )


def link_touched(work: duckdb.DuckDBPyConnection, warehouse: str, rules: Rules) -> None:
    """Create `exact_edges` of which a record is touched, and `records`: rows of `people`, of the
    touched ones and of all that share a value with them.
    """
    work.execute(
        f"""
        create or replace table people as
        select * from renewed_people
        union all by name
        select * from {warehouse}.identity_state.people
        semi join touched using (node_key)
        anti join renewed using (node_key)
        """
    )
    work.execute(
        f"""
        insert into open_ids by name
        select node_key, identifier_type, identifier_value as value, given_value as given,
            is_verified, first_seen_at, last_seen_at, true as is_contact
        from {warehouse}.identity.identifiers
        semi join touched using (node_key)
        anti join renewed using (node_key)
        where not is_blocked
        """
    )
    # whole groups: who else carries these values, or has the same columns
    work.execute(
        f"""
        insert into open_ids by name
        select i.node_key, i.identifier_type, i.identifier_value as value, i.given_value as given,
            i.is_verified, i.first_seen_at, i.last_seen_at, true as is_contact
        from {warehouse}.identity.identifiers as i
        semi join (select distinct identifier_type, value from open_ids) as o
            on o.identifier_type = i.identifier_type and o.value = i.identifier_value
        semi join {warehouse}.identity_state.people using (node_key)
        anti join touched using (node_key)
        anti join changed using (node_key)
        """
    )
    work.execute("create or replace table others as select distinct node_key from open_ids")
    for columns in _same(rules):
        names = ", ".join(quoted(c) for c in columns)
        work.execute(
            f"""
            insert into others
            select node_key from {warehouse}.identity_state.people
            semi join (select {names} from people semi join touched using (node_key))
                using ({names})
            """
        )
    work.execute(
        f"""
        insert into people by name
        select * from {warehouse}.identity_state.people
        semi join others using (node_key)
        anti join (select node_key from changed union all select node_key from people) as p
            using (node_key)
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
    work.execute("create or replace table records as from people")


def add_records(work: duckdb.DuckDBPyConnection, warehouse: str, nodes: str) -> None:
    """Add to `records` the rows of `nodes` (a table with node_key) that it lacks."""
    work.execute(
        f"""
        insert into records by name
        select * from {warehouse}.identity_state.people
        semi join {nodes} using (node_key)
        anti join (select node_key from changed union all select node_key from records) as r
            using (node_key)
        """
    )


def _same(rules: Rules) -> list[tuple[str, ...]]:
    return list(dict.fromkeys(tuple(rule.same) for rule in rules.exact_rules if rule.same))


def _columns(work: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    return [str(row[0]) for row in work.execute(f"describe {table}").fetchall()]
