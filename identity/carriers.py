"""What changed records carry, and who else carries it: values are judged again by all their carriers.

Creates statuses (each value that changed nodes carry or carried, blocked or not, before and now) and
renewed, the contacts whose row in `people` may be another one for it.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from identity.changes import UnforeseenError, columns
from identity.email_names import fill_names
from identity.firewall import attach_identifiers, block_values
from identity.quoting import quoted
from identity.rules import Rules


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
    base = ", ".join(quoted(c) for c in columns(work, "changed_people"))
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
    if set(columns(work, "people")) != set(columns(work, f"{warehouse}.identity_state.people")):
        raise UnforeseenError("contacts have other columns than before")
    work.execute("drop table if exists renewed_people; alter table people rename to renewed_people")
