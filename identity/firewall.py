"""What must not link, whatever it equals: placeholder values, role mailboxes, values of too many
people.

Creates blocked(identifier_type, value, reason, node_count) and value_people(identifier_type,
value, people), and adds to `people` the contact points and strong identifiers that are let
through.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from identity.quoting import text
from identity.rules import NO_CAP, Rules

# Nobody's name is spelled in more ways than this.
SPELLINGS = 8

# A value of so many people is never too crowded by its distribution alone; and how many times what
# all but one in a thousand values carry is.
FEWEST_PEOPLE, UNUSUAL = 5, 3


def block_values(
    work: duckdb.DuckDBPyConnection,
    rules: Rules,
    usual: Mapping[str, int] | None = None,
    all_ids: str = "ids",
) -> None:
    """Decide which values link nobody, from the rules' lists and from how many people carry each
    value of `ids`.

    Creates usual(identifier_type, usual_people), how many people a value of each type has at most,
    unless it is given: the model keeps it. `all_ids` is the table of all that their carriers have,
    if `ids` is not.
    """
    work.execute("create or replace table blocked_values (identifier_type varchar, value varchar)")
    work.execute("create or replace table caps (identifier_type varchar, max_people integer)")
    for rule in rules.identifiers:
        name = rule.identifier_type
        work.execute("insert into caps values (?, ?)", [name, rule.max_people])
        for value in rule.blocked_values:
            work.execute("insert into blocked_values values (?, ?)", [name, value])
    count_people(work, "ids", all_ids=all_ids)
    _find_usual(work, usual)
    work.execute(
        f"""
        create or replace table blocked as
        with listed as (
            select i.identifier_type, i.value, 'placeholder' as reason
            from (select distinct identifier_type, value from ids) as i
            left join blocked_values as v on v.identifier_type = i.identifier_type
                and v.value = i.value
            where v.value is not null or {_looks_blocked(rules)}
        ),
        crowded as (
            select identifier_type, value, 'too_many_people' as reason
            from value_people
            join caps using (identifier_type)
            left join usual using (identifier_type)
            where people > least(max_people, coalesce(usual_people, max_people))
        ),
        found as (
            from listed
            union all
            from crowded anti join listed using (identifier_type, value)
        )
        select f.identifier_type, f.value, f.reason, count(*) as node_count
        from found as f
        join ids using (identifier_type, value)
        group by all
        """
    )


def _find_usual(work: duckdb.DuckDBPyConnection, usual: Mapping[str, int] | None) -> None:
    # where the rules give no cap, the values themselves do: far beyond what next to all carry
    if usual is None:
        work.execute(
            f"""
            create or replace table usual as
            select identifier_type,
                greatest({FEWEST_PEOPLE}, {UNUSUAL} * quantile_disc(people, 0.999)) as usual_people
            from value_people
            group by all
            """
        )
        return
    work.execute(
        """
        create or replace table usual as
        select unnest($1::varchar[]) as identifier_type, unnest($2::bigint[]) as usual_people
        """,
        [list(usual), list(usual.values())],
    )


def count_people(
    work: duckdb.DuckDBPyConnection, ids: str, *, all_ids: str, people: str = "people"
) -> None:
    """Create `value_people`: how many people carry each value of table `ids`; and shared_values, those
    of several records.

    People are told apart by initials: typos and most nicknames then do not count as other people,
    while a mailbox that a whole office uses still shows.
    """
    # most values are one record's: only the others need counting
    work.execute(
        f"""
        create or replace table carriers as
        select i.identifier_type, i.value, p.first_name, p.last_name,
            case when i.identifier_type <> 'email' then e.value end as email
        from {ids} as i
        join {people} as p using (node_key)
        left join (
            select node_key, min(value) as value from {all_ids}
            where identifier_type = 'email' group by all
        ) as e using (node_key);
        create or replace table shared_values as
        select identifier_type, value from carriers group by all having count(*) > 1
        """
    )
    work.execute(
        f"""
        create or replace table value_people as
        select
            identifier_type, value,
            -- who has no name is told apart by the address; people have two
            greatest(count(distinct first_name[1] || coalesce(last_name[1], '')),
                (count(distinct email) + 1) // 2,
                -- people with the same initials are several all the same, if there are so many names
                count(distinct coalesce(first_name, '') || ' ' || coalesce(last_name, ''))
                    // {SPELLINGS}
            ) as people,
            count(distinct first_name[1]) as first_names,
            count(*) as node_count
        from carriers
        semi join shared_values using (identifier_type, value)
        group by identifier_type, value
        union all
        select
            identifier_type, value, (first_name is not null or email is not null)::bigint,
            (first_name is not null)::bigint, 1
        from carriers
        anti join shared_values using (identifier_type, value)
        """
    )


def _looks_blocked(rules: Rules) -> str:
    # Patterns stand in the query itself: DuckDB compiles a constant pattern once, one from a table
    # for every row.
    cases = [
        f"when {text(rule.identifier_type)} then"
        f" regexp_matches(i.value, {text('|'.join(f'(?:{p})' for p in rule.blocked_patterns))})"
        for rule in rules.identifiers
        if rule.blocked_patterns
    ]
    return f"case i.identifier_type {' '.join(cases)} else false end" if cases else "false"


def attach_identifiers(work: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Add to `people` emails, phones (one of each for blocking) and strong ids ('type:value')."""
    work.execute(
        """
        create or replace table open_ids as
        select * from ids anti join blocked using (identifier_type, value)
        """
    )
    work.execute(
        """
        create or replace table people as
        with points as (
            select
                node_key,
                list_sort(list(value) filter (identifier_type = 'email')) as emails,
                list_sort(list(value) filter (identifier_type = 'phone')) as phones,
                list_sort(list(identifier_type || ':' || value
                        || case when list_contains($2::varchar[], identifier_type)
                            then '@' || source_system else '' end)
                    filter (list_contains($1::varchar[], identifier_type))) as strong_ids
            from open_ids
            join people using (node_key)
            group by node_key
        ),
        addressed as (
            select
                p.*, points.emails, emails[1] as email,
                split_part(emails[1], '@', 1) as email_local, points.phones,
                points.phones[1] as phone, coalesce(points.strong_ids, []) as strong_ids
            from people as p
            left join points using (node_key)
        ),
        worded as (
            select
                *, fold_name(email_local) as email_words,
                replace(email_words, ' ', '') as email_letters,
                regexp_replace(email_local, '[^0-9]', '', 'g') as email_digits
            from addressed
        )
        select
            * exclude (email_words, email_letters),
            -- the local part, where it is more than the name written another way
            case
                when length(email_local) >= 6 and (email_digits <> ''
                    or not coalesce(contains(last_name || first_name || last_name, email_words)
                        or contains(email_letters, last_name)
                        or contains(email_letters, first_name), true))
                then email_local
            end as email_nick,
            -- the number without what a country code may have added
            right(phone, 9) as phone_tail
        from worded
        """,
        [
            list(rules.of_strength("strong")),
            [i.identifier_type for i in rules.identifiers if i.scoped_to_source],
        ],
    )


def part_hoarders(work: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Let customers with more different values of an identifier than its `max_values` come apart
    into their strict clusters; create hoarders(identifier_type, cluster_key, found).
    """
    limits = [(r.identifier_type, r.max_values) for r in rules.identifiers if r.max_values < NO_CAP]
    cases = " ".join(f"when {text(kind)} then {limit}" for kind, limit in limits)
    work.execute(
        f"""
        create or replace table hoarders as
        select i.identifier_type, m.cluster_key, count(distinct i.value) as found
        from open_ids as i
        join members as m using (node_key)
        group by all
        having found > (case i.identifier_type {cases or "when null then 0"} else {NO_CAP} end)
        """
    )
    work.execute(
        """
        update members set cluster_key = strict_key
        where cluster_key in (select cluster_key from hoarders)
        """
    )
