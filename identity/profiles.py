"""Profiles: what is scored of an entity, each of its values in one of them.

profiles(node_key BIGINT, entity_key, record_key, ...the columns of `people`): an entity has a row
for each of its combinations of name, date and address, and as many more as it has emails or phones.
What a record lacks is filled in from the entity's others, so that fuller records and far fewer
pairs are scored. `record_key` is the record that the row was made from.
"""

from __future__ import annotations

import duckdb

from identity.patterns import columns_of
from identity.quoting import quoted
from identity.rules import Rules

# An entity with more combinations than this becomes no clearer by further ones.
MAX_PROFILES = 8

# Columns that are filled in together, the leading one first: a street with its postcode.
TOGETHER = (
    ("first_name", "first_names", "first_initial", "first_code", "first_is_name"),
    ("last_name", "last_names", "last_initial", "last_code"),
    ("birth_text", "birth_date", "birth_year"),
    ("postcode", "street", "house_number", "street_name", "street_key", "city", "region"),
)
LISTS = ("emails", "phones", "strong_ids")
EMAIL = ("email", "email_local", "email_nick", "email_digits")
OWN = ("node_key", "source_system", *LISTS, *EMAIL, "phone", "phone_tail")


def build_profiles(work: duckdb.DuckDBPyConnection) -> None:
    """Create `profiles` from `people` and `entities`."""
    columns = [str(row[0]) for row in work.execute("describe people").fetchall()]
    groups = [[c for c in group if c in columns] for group in TOGETHER]
    placed = {c for group in groups for c in group} | set(OWN)
    groups += [[c] for c in columns if c not in placed]
    _gather(work, groups)
    combination = ", ".join(quoted(group[0]) for group in groups[: len(TOGETHER)])
    fullness = " + ".join(f"({quoted(g[0])} is not null)::int" for g in groups)
    work.execute(
        f"""
        create or replace table combinations as
        with chosen as (
            select *
            from filled
            qualify row_number() over (
                partition by entity_key, {combination}, street, suffix order by record_key) = 1
        )
        select *, row_number() over (
            partition by entity_key order by {fullness} desc, record_key) as position
        from chosen
        qualify position <= {MAX_PROFILES}
        """
    )
    scalars = ", ".join(f"p.{quoted(c)}" for c in columns if c not in OWN)
    emails = ", ".join(f"e.{c}" for c in EMAIL)
    work.execute(
        f"""
        create or replace table profiles as
        with needed as (
            select
                entity_key, count(*) as combinations,
                unnest(range(1, 1 + least({MAX_PROFILES}, greatest(count(*),
                    coalesce(any_value(emails), 0), coalesce(any_value(phones), 0))))) as number,
                any_value(emails) as emails, any_value(phones) as phones
            from combinations
            left join (select entity_key, max(position) as emails
                from entity_emails group by all) using (entity_key)
            left join (select entity_key, max(position) as phones
                from entity_phones group by all) using (entity_key)
            group by entity_key
        ),
        several as (
            select
                n.entity_key, p.record_key, p.source_system, {scalars},
                {", ".join(f"f.{name}" for name in LISTS)}, {emails}, t.phone,
                right(t.phone, 9) as phone_tail
            from needed as n
            join combinations as p
                on p.entity_key = n.entity_key and p.position = 1 + (n.number - 1) % n.combinations
            join entity_lists as f on f.entity_key = n.entity_key
            left join entity_emails as e
                on e.entity_key = n.entity_key and e.position = 1 + (n.number - 1) % n.emails
            left join entity_phones as t
                on t.entity_key = n.entity_key and t.position = 1 + (n.number - 1) % n.phones
        ),
        alone as (
            select e.entity_key, p.node_key as record_key, p.* exclude (node_key)
            from people as p
            join entities as e using (node_key)
            where e.records = 1
        )
        select row_number() over (order by entity_key, record_key, email, phone) as node_key, *
        from (from several union all by name from alone)
        order by node_key
        """
    )


def kept_columns(work: duckdb.DuckDBPyConnection, rules: Rules) -> list[str]:
    """Return the columns of `profiles` that scoring reads, the keys of its blocking apart: what is
    kept for the next run. Profiles are numbered in the order of the first four.
    """
    known = {str(row[0]) for row in work.execute("describe profiles").fetchall()}
    read = set[str]().union(*(columns_of(c) for c in rules.splink.settings()["comparisons"]))
    order = ["entity_key", "record_key", "email", "phone"]
    return order + sorted((read & known) - set(order))


def _gather(work: duckdb.DuckDBPyConnection, groups: list[list[str]]) -> None:
    """Create filled (the records of entities with several), entity_lists, entity_emails and
    entity_phones.
    """
    work.execute(
        """
        create or replace table gathered as
        select e.entity_key, p.node_key as record_key, p.* exclude (node_key)
        from people as p
        join entities as e using (node_key)
        where e.records > 1
        """
    )
    fills, filled = [], []
    for group in groups:
        lead = quoted(group[0])
        # the longest value, then the largest: not an initial where a name is known
        rank = f"printf('%04d', length({lead}::varchar)) || {lead}::varchar"
        if group[0] == "postcode":
            rank = f"({lead} || coalesce('|' || street, ''))"
        for name in group:
            fill = quoted("fill_" + name)
            fills.append(f"arg_max({quoted(name)}, {rank}) filter ({lead} is not null) as {fill}")
            lacks = f"{lead} is null"
            if group[0] == "first_name":
                lacks = (
                    f"({lead} is null or length({lead}) = 1"
                    f" and starts_with(fill_first_name, {lead}))"
                )
            if group[0] == "postcode":
                lacks = f"({lead} is null or street is null and {lead} = fill_postcode)"
            filled.append(
                f"case when {lacks} then {fill} else {quoted(name)} end as {quoted(name)}"
            )
    lists = ", ".join(
        f"list_sort(list_distinct(flatten(list({name}) filter ({name} is not null)))) as {name}"
        for name in LISTS
    )
    work.execute(
        f"""
        create or replace table entity_lists as
        select entity_key, {lists}, {", ".join(fills)}
        from gathered
        group by entity_key
        """
    )
    work.execute(
        f"""
        create or replace table filled as
        select g.entity_key, g.record_key, g.source_system, {", ".join(filled)}
        from gathered as g
        join entity_lists as f using (entity_key)
        """
    )
    work.execute(
        """
        create or replace table entity_emails as
        select
            entity_key, email, min(email_local) as email_local,
            -- a local part that one record knows to be a name is one
            case when count(email_nick) = count(*) then min(email_nick) end as email_nick,
            min(email_digits) as email_digits,
            row_number() over (partition by entity_key order by email) as position
        from gathered
        where email is not null
        group by entity_key, email
        """
    )
    work.execute(
        """
        create or replace table entity_phones as
        select entity_key, phone, row_number() over (partition by entity_key order by phone)
            as position
        from (select distinct entity_key, unnest(phones) as phone from gathered)
        """
    )
