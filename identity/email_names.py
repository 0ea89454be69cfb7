"""The name that an email address spells: gerard.bisson@, kellywoodruff18@ and wmccoy@ name somebody.

A record that lacks a name gets it from its address, if the words of the address are names that
people in this data have. So it is found under that name, and an address that names one member of a
family does not stand for another.
"""

from __future__ import annotations

import duckdb

# How often a name must occur to be one, and its least length: jo@ is too little to go by.
LEAST_FIRST_NAMES, LEAST_LAST_NAMES, LEAST_LENGTH = 2, 1, 3


def fill_names(work: duckdb.DuckDBPyConnection) -> None:
    """Fill what is missing of the names in `people` from `people.email` with `frequent_names`; create
    email_names(email, first_name, last_name), and unnamed: the filled rows as they were.
    """
    _read_names(work)
    work.execute(
        """
        create or replace table named_people as
        select
            p.* replace (
                coalesce(p.first_name, f.first_name) as first_name,
                coalesce(p.last_name, f.last_name) as last_name,
                coalesce(p.first_initial, f.first_name[1]) as first_initial,
                coalesce(p.last_initial, f.last_name[1]) as last_initial,
                coalesce(p.first_code, name_code(f.first_name)) as first_code,
                coalesce(p.last_code, name_code(f.last_name)) as last_code,
                case when p.first_name is null and f.first_name is not null
                    then coalesce(known.is_name, false) else p.first_is_name end as first_is_name,
                case when p.first_name is null and f.first_name is not null
                    then list_sort(list_distinct(
                        list_append(coalesce(nick.full_forms, []), f.first_name)))
                    else p.first_names end as first_names,
                case when p.last_name is null and f.last_name is not null
                    then [f.last_name] else p.last_names end as last_names
            )
        from (select * from people where first_name is null or last_name is null) as p
        join email_names as f
            on f.email = p.email
            -- what is known of the name must agree with the address
            and (p.last_name is null or p.last_name = f.last_name)
            and (p.first_name is null or p.first_name = f.first_name
                or length(f.first_name) = 1 and p.first_name[1] = f.first_name
                or length(p.first_name) = 1 and f.first_name[1] = p.first_name)
        left join name_nicknames as nick on nick.short_form = f.first_name
        left join known_names as known on known.name = f.first_name
        """
    )
    work.execute(
        "create or replace table unnamed as from people semi join named_people using (node_key)"
    )
    work.execute(
        """
        create or replace table people as
        from people anti join named_people using (node_key)
        union all
        from named_people
        """
    )


def count_names(work: duckdb.DuckDBPyConnection) -> None:
    """Create frequent_names(kind, name, written, n): the names that are common enough in `people`."""
    work.execute(
        f"""
        create or replace table frequent_names as
        select 'first' as kind, first_name as name, first_name as written, count(*) as n
        from people
        where length(first_name) >= {LEAST_LENGTH}
        group by all
        having count(*) >= {LEAST_FIRST_NAMES}
        union all
        select 'last', replace(last_name, ' ', ''), min(last_name), count(*)
        from people
        where length(last_name) >= {LEAST_LENGTH}
        group by replace(last_name, ' ', '')
        having count(*) >= {LEAST_LAST_NAMES}
        """
    )


def _read_names(work: duckdb.DuckDBPyConnection) -> None:
    work.execute(
        """
        create or replace table email_names as
        with firsts as (select name, n from frequent_names where kind = 'first'),
        lasts as (
            select name, written as last_name, n from frequent_names where kind = 'last'
        ),
        addresses as (
            select distinct email, fold_name(regexp_replace(email_local, '[0-9]+', ' ', 'g')) as words
            from people
            where email is not null
        ),
        -- one word is cut in two everywhere, two words where they are two
        cuts as (
            select email, left(words, cut) as a, substr(words, cut + 1) as b
            from (select *, unnest(range(1, length(words))) as cut from addresses
                where not contains(words, ' '))
            union all
            select email, split_part(words, ' ', 1), split_part(words, ' ', 2)
            from addresses
            where regexp_full_match(words, '\\S+ \\S+')
        ),
        readings as (
            select email, a as first_name, l.last_name, f.n::double * l.n as weight
            from cuts
            join firsts as f on f.name = a
            join lasts as l on l.name = b
            union all
            select email, b, l.last_name, f.n::double * l.n / 2
            from cuts
            join firsts as f on f.name = b
            join lasts as l on l.name = a
            union all
            -- an initial says less than a name
            select email, a, l.last_name, l.n / 1000
            from cuts
            join lasts as l on l.name = b
            where length(a) = 1
            union all
            select email, b, l.last_name, l.n / 2000
            from cuts
            join lasts as l on l.name = a
            where length(b) = 1
            union all
            select email, words, null, 0
            from addresses
            join firsts as f on f.name = words
        )
        select email, first_name, last_name
        from readings
        qualify row_number() over (
            partition by email order by weight desc, first_name, last_name) = 1
        """
    )
