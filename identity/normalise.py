"""Contacts as matching sees them: `people` in the working database.

people(node_key, source_system, first_name, first_names VARCHAR[] (itself, its full forms, and how
it reads in Latin letters), middle_name, last_name, last_names VARCHAR[], suffix, birth_date DATE,
birth_text (YYYYMMDD, even of a date that is none), birth_year, sex (m or f), age, street,
house_number, street_name, street_key (street and postcode or city), postcode, city, region,
country_code, the names' initials and codes (first_initial, first_code, ...), whether everybody knows the first name
(first_is_name), and every column of contacts whose name starts with x_, folded): a row per contact
that is not deleted. The firewall adds the contact points it lets through.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import duckdb

from identity.rules import Rules


def load_macros(work: duckdb.DuckDBPyConnection) -> None:
    """Create the macros of `macros.sql` in the working database."""
    work.execute(Path(__file__).with_name("macros.sql").read_text(encoding="utf-8"))


# Columns that contacts may have and need not, and their types.
OPTIONAL = {
    "middle_name": "varchar",
    "name_suffix": "varchar",
    "birth_text": "varchar",
    "sex": "varchar",
    "age": "integer",
}

EXTRA = "x_"  # what the columns start with that are compared as they are


def build_people(
    work: duckdb.DuckDBPyConnection, source: str, rules: Rules, whole: str | None = None
) -> None:
    """Create `people` from `<source>.canonical.contacts`; `source` is a quoted database name.

    `whole` is the database with all contacts, if `source` has only some: which birth dates are some
    form's default is decided by all.
    """
    _load_names(work, rules)
    _load_latin(work, source)
    known = [
        str(row[0]) for row in work.execute(f"describe {source}.canonical.contacts").fetchall()
    ]
    optional = ", ".join(
        f"{name if name in known else 'null'}::{kind} as {name}" for name, kind in OPTIONAL.items()
    )
    extras = "".join(
        f', fold_text("{name}") as "{name}"' for name in known if name.startswith(EXTRA)
    )
    work.execute(
        f"""
        create or replace table people as
        with given as (
            select
                contact_key as node_key, source_system, birth_date, country_code, city, region,
                fold_name(first_name) as first_given,
                fold_name(last_name) as last_given,
                -- 王小明: the family name first, in one letter, and no space
                case when regexp_full_match(full_name, '\\p{{Han}}{{2,4}}')
                    then full_name[1] || ', ' || full_name[2:] else full_name end as full_name,
                fold_street(address_line1) as street,
                fold_postcode(postal_code, country_code) as postcode,
                {optional}{extras}
            from {source}.canonical.contacts
            where not coalesce(is_deleted, false)
        ),
        -- "Last, First" or "First Last" where there is nothing but a full name
        parts as (
            select
                *,
                case
                    when first_given is not null or last_given is not null then first_given
                    when contains(full_name, ',') then fold_name(string_split(full_name, ',')[2])
                    else fold_name(full_name)
                end as first_text,
                case
                    when first_given is not null or last_given is not null then last_given
                    when contains(full_name, ',') then fold_name(string_split(full_name, ',')[1])
                end as last_text,
                first_given is null and last_given is null
                    and not contains(full_name, ',') as is_one_text
            from given
        ),
        words as (
            select
                * exclude (first_text, last_text),
                list_filter(string_split(coalesce(first_text, ''), ' '),
                    lambda w: w <> '') as first_all,
                list_filter(string_split(coalesce(last_text, ''), ' '),
                    lambda w: w <> '') as last_all
            from parts
        ),
        suffixed as (
            select
                words.*, of_last.means as last_suffix, of_first.means as first_suffix,
                of_given.means as given_suffix
            from words
            left join name_suffixes as of_last
                on of_last.word = case when len(last_all) > 1 then last_all[-1] end
            left join name_suffixes as of_first
                on of_first.word = case when len(first_all) > 1 then first_all[-1] end
            left join name_suffixes as of_given on of_given.word = fold_name(name_suffix)
        ),
        bare as (
            select
                * exclude (first_all, last_all),
                case when first_suffix is null then first_all else first_all[:-2] end as first_all,
                case when last_suffix is null then last_all else last_all[:-2] end as last_all
            from suffixed
        ),
        untitled as (
            select
                * exclude (first_all),
                -- a title is dropped only if a name is left
                case
                    when len(first_all) > 1
                        and list_contains($titles::varchar[], first_all[1]) then first_all[2:]
                    else first_all
                end as first_all
            from bare
        ),
        named as (
            select
                *,
                first_all[1] as first_word,
                case
                    when is_one_text then case when len(first_all) > 1 then first_all[-1] end
                    else nullif(array_to_string(last_all, ' '), '')
                end as last_word,
                coalesce(
                    fold_name(middle_name),
                    nullif(array_to_string(
                        case when is_one_text then first_all[2:-2] else first_all[2:] end, ' '), '')
                ) as middle_words
            from untitled
        ),
        dated as (
            select
                *,
                case
                    when list_contains($placeholder_dates::date[], birth_date)
                        or birth_date < $earliest::date then null
                    else birth_date
                end as real_date
            from named
        )
        select
            node_key, source_system,
            n.first_name,
            coalesce(first_latin.latin, n.first_name)[1] as first_initial,
            name_code(coalesce(first_latin.latin, n.first_name)) as first_code,
            coalesce(known.is_name, false) as first_is_name,
            list_sort(list_distinct(list_filter([n.first_name, first_latin.latin]
                || coalesce(nick.full_forms, []), lambda w: w is not null))) as first_names,
            middle_words as middle_name,
            n.last_name,
            coalesce(last_latin.latin, n.last_name)[1] as last_initial,
            name_code(coalesce(last_latin.latin, n.last_name)) as last_code,
            list_sort(list_distinct(list_filter([n.last_name, last_latin.latin]
                || string_split(n.last_name, ' '), lambda w: length(w) > 1))) as last_names,
            coalesce(given_suffix, last_suffix, first_suffix) as suffix,
            real_date as birth_date,
            case
                when real_date is not null then strftime(real_date, '%Y%m%d')
                when birth_date is null then birth_text
            end as birth_text,
            left(birth_text, 4) as birth_year,
            fold_sex(sex) as sex,
            age,
            street,
            nullif(regexp_extract(street, '[0-9]+'), '') as house_number,
            nullif(trim(regexp_replace(street, '[0-9]+', '', 'g')), '') as street_name,
            street || '|' || coalesce(postcode, fold_name(city)) as street_key,
            postcode,
            fold_name(city) as city,
            fold_name(region) as region,
            country_code
            {"".join(f', "{name}"' for name in known if name.startswith(EXTRA))}
        from (
            select
                *,
                case when not list_contains($no_names::varchar[], first_word)
                    then first_word end as first_name,
                case when not list_contains($no_names::varchar[], last_word)
                    then last_word end as last_name
            from dated
        ) as n
        left join name_nicknames as nick on nick.short_form = n.first_name
        left join name_latin as first_latin on first_latin.name = n.first_name
        left join name_latin as last_latin on last_latin.name = n.last_name
        left join known_names as known on known.name = n.first_name
        """,
        {
            "titles": list(rules.names.titles),
            "no_names": list(rules.names.placeholders),
            "placeholder_dates": list(rules.birth_dates.placeholders),
            "earliest": rules.birth_dates.earliest,
        },
    )
    find_default_dates(work, whole or source, rules)
    work.execute(
        """
        update people set birth_date = null, birth_text = null, birth_year = null
        where birth_date in (select birth_date from default_dates)
        """
    )


def find_default_dates(work: duckdb.DuckDBPyConnection, source: str, rules: Rules) -> None:
    """Create default_dates(birth_date, node_count): dates that far too many contacts share are what
    a form filled in, whether or not they are on the list.
    """
    work.execute(
        f"""
        create or replace table default_dates as
        with dated as (
            select birth_date
            from {source}.canonical.contacts
            where not coalesce(is_deleted, false) and birth_date >= $3::date
                and not list_contains($4::date[], birth_date)
        )
        select birth_date, count(*) as node_count
        from dated
        group by birth_date
        having count(*) >= $1 and count(*) > $2 * (select count(*) from dated)
        """,
        [
            rules.guards.min_birth_date_count,
            rules.guards.max_birth_date_share,
            rules.birth_dates.earliest,
            list(rules.birth_dates.placeholders),
        ],
    )


def _load_names(work: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    # bound, not registered: `explain` comes by here, too, and has no time to import pyarrow
    short_forms, full_forms = zip(*_nickname_pairs(), *rules.names.nicknames, strict=True)
    work.execute(
        """
        create or replace table name_nicknames as
        select fold_name(short) as short_form,
            list_sort(list(distinct fold_name("full"))) as full_forms
        from (select unnest($1::varchar[]) as short, unnest($2::varchar[]) as "full")
        group by all
        """,
        [list(short_forms), list(full_forms)],
    )
    # names that everybody knows: two of them that look alike are two names, not one with a slip
    work.execute(
        """
        create or replace table known_names as
        select distinct fold_name(name) as name, true as is_name
        from (select unnest($1::varchar[] || $2::varchar[]) as name)
        where fold_name(name) is not null
        """,
        [list(short_forms), list(full_forms)],
    )
    words, means = zip(*rules.names.suffixes, strict=True) if rules.names.suffixes else ((), ())
    work.execute(
        """
        create or replace table name_suffixes as
        select word, min(means) as means
        from (select unnest($1::varchar[]) as word, unnest($2::varchar[]) as means)
        group by word
        """,
        [list(words), list(means)],
    )


def _load_latin(work: duckdb.DuckDBPyConnection, source: str) -> None:
    """Create name_latin(name, latin): how the words of names in other scripts read."""
    rows = work.execute(
        f"""
        select distinct word
        from (
            select unnest(string_split(fold_name(name), ' ')) as word
            from (
                select distinct unnest([first_name, last_name, full_name,
                    case when regexp_full_match(full_name, '\\p{{Han}}{{2,4}}')
                        then full_name[1] || ' ' || full_name[2:] end]) as name
                from {source}.canonical.contacts
            )
            where regexp_matches(name, '[^\x00-\u024f]')
        )
        where regexp_matches(word, '[^a-z]')
        """
    ).fetchall()
    names = [str(row[0]) for row in rows]
    latin = _in_latin(names) if names else []
    work.execute(
        """
        create or replace table name_latin as
        select * from (select unnest($1::varchar[]) as name, unnest($2::varchar[]) as latin)
        where latin <> ''
        """,
        [names, latin],
    )


def _in_latin(names: list[str]) -> list[str]:
    from anyascii import anyascii

    return ["".join(c for c in anyascii(name).lower() if c.isalpha()) for name in names]


@lru_cache(maxsize=1)
def _nickname_pairs() -> tuple[tuple[str, str], ...]:
    from nicknames import name_triplets

    return tuple(sorted({(t.name2, t.name1) for t in name_triplets()}))
