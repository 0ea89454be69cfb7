"""From the columns of a file to the tables that resolution reads: `canonical.contacts`,
`canonical.identifiers` and `canonical.consents` (empty), in a database with nothing else in it.

contact_key is the row number, padded so that it sorts as it counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from identity.column_names import BIRTH_PARTS
from identity.columns import Column
from identity.findings import Findings
from identity.normalise import EXTRA

KEY = "lpad(row_number::varchar, 10, '0')"
MANY_SOURCES = 50  # a source column with more values than this names something else

COUNTRIES = {
    "us": ("usa", "u s a", "united states", "united states of america", "america"),
    "gb": ("uk", "u k", "united kingdom", "great britain", "england", "scotland", "wales"),
    "de": ("germany", "deutschland", "ger"),
    "fr": ("france", "fra"),
    "es": ("spain", "espana", "esp"),
    "it": ("italy", "italia", "ita"),
    "nl": ("netherlands", "nederland", "holland"),
    "au": ("australia", "aus"),
    "ca": ("canada", "can"),
    "at": ("austria", "osterreich"),
    "ch": ("switzerland", "schweiz", "suisse"),
    "ie": ("ireland",),
    "in": ("india",),
    "mx": ("mexico",),
    "br": ("brazil", "brasil"),
}

YEAR_OF_AGES = 2000
MONTHS = ("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%Y", "%d-%b-%y", "%d%b%Y")


def build_contacts(con: duckdb.DuckDBPyConnection, columns: Sequence[Column]) -> None:
    """Create canonical.contacts from `given`: what each person column holds, dates parsed.

    Attributes and identifiers are not in it yet: whether they are any good is seen from here.
    """
    con.execute("create schema if not exists canonical")
    con.execute(
        "create or replace table canonical.consents"
        " (identifier_type varchar, identifier_value varchar, jurisdiction varchar)"
    )
    con.execute(
        f"create or replace macro fold_country(x) as case {_country_cases()}"
        " when regexp_full_match(trim(x), '[A-Za-z]{2}') then upper(trim(x)) end"
    )
    source = _first(columns, "source")
    if _count_distinct(con, source) > MANY_SOURCES:
        source = "null::varchar"
    _parse_dates(con, _birth_date(columns), source)
    # a street with commas is a whole address
    street = _first(columns, "street")
    address = f"coalesce({_first(columns, 'address')}, case when contains({street}, ',') then {street} end)"
    box = _first(columns, "po_box")
    con.execute(
        f"""
        create or replace table canonical.contacts as
        select
            {KEY} as contact_key,
            coalesce({source}, 'file ' || file) as source_system,
            {KEY} as source_record_id,
            {_first(columns, "first_name")} as first_name,
            {_first(columns, "middle_name")} as middle_name,
            {_first(columns, "last_name")} as last_name,
            {_first(columns, "suffix")} as name_suffix,
            {_first(columns, "full_name")} as full_name,
            {_first(columns, "email")} as email,
            {_first(columns, "phone")} as phone,
            try_strptime(d.birth_text, '%Y%m%d')::date as birth_date,
            d.birth_text,
            {_age(columns)} as age,
            {_first(columns, "sex")} as sex,
            coalesce(
                nullif(concat_ws(' ', {_first(columns, "street_number")},
                    split_part({street}, ',', 1)), ''),
                'po box ' || {box}, split_part({address}, ',', 1)) as address_line1,
            coalesce({_first(columns, "city")},
                nullif(trim(split_part({address}, ',', 2)), '')) as city,
            {_first(columns, "region")} as region,
            coalesce({_first(columns, "postcode")},
                nullif(regexp_extract({address}, '.*\\b([0-9]{{4,5}})\\b[^0-9]*$', 1), '')
            ) as postal_code,
            fold_country({_first(columns, "country")}) as country_code,
            null::timestamp as created_at, null::timestamp as updated_at,
            false as is_deleted, null::timestamp as loaded_at
        from given
        left join birth_texts as d using (row_number)
        """
    )


def add_findings(
    con: duckdb.DuckDBPyConnection, columns: Sequence[Column], findings: Findings
) -> None:
    """Create canonical.identifiers, and add to contacts what is compared as it is."""
    selects = [
        f"select {KEY} as node_key, '{kind}' as identifier_type, {column.sql_name} as v from given"
        for kind in ("email", "phone")
        for column in columns
        if column.field == kind
    ]
    selects += [
        f"select {KEY}, '{found.name}', {found.column.sql_name} from given"
        for found in findings.identifiers
    ]
    con.execute(
        f"""
        create or replace table canonical.identifiers as
        select distinct
            node_key, identifier_type, v as identifier_value, false as is_verified,
            null::timestamp as first_seen_at, null::timestamp as last_seen_at
        from ({" union all ".join(selects) or "select null::varchar, null::varchar, null::varchar where false"})
            as t(node_key, identifier_type, v)
        where v is not null
        """
    )
    extras = [*findings.identifiers, *findings.attributes]
    if extras:
        values = ", ".join(f"{e.column.sql_name} as {EXTRA}{e.name}" for e in extras)
        con.execute(
            f"""
            create or replace table canonical.contacts as
            select c.*, g.* exclude (contact_key)
            from canonical.contacts as c
            join (select {KEY} as contact_key, {values} from given) as g using (contact_key)
            """
        )


def _first(columns: Sequence[Column], field: str) -> str:
    """Return SQL for the first filled of the columns of a field."""
    names = [column.sql_name for column in columns if column.field == field]
    return f"coalesce({', '.join(names)})" if names else "null::varchar"


def _birth_date(columns: Sequence[Column]) -> str:
    """Return SQL for the birth date as text, put together where it is in three columns."""
    parts = [
        f"lpad(try_cast(try_cast({_first(columns, field)} as double) as integer)::varchar, {width}, '0')"
        for field, width in zip(BIRTH_PARTS, (4, 2, 2), strict=True)
    ]
    joined = " || '-' || ".join(parts)
    return f"coalesce({_first(columns, 'birth_date')}, {joined})"


def _age(columns: Sequence[Column]) -> str:
    """Return SQL for the age in years; a year of birth alone is an age at any moment, since ages are
    compared with each other."""
    age = f"try_cast(regexp_extract({_first(columns, 'age')}, '[0-9]+') as integer)"
    year = f"try_cast(try_cast({_first(columns, 'birth_year')} as double) as integer)"
    has_age = any(column.field == "age" for column in columns)
    return age if has_age else f"{YEAR_OF_AGES} - {year}"


def _count_distinct(con: duckdb.DuckDBPyConnection, value: str) -> int:
    return int(con.execute(f"select count(distinct {value}) from given").fetchall()[0][0])


def _country_cases() -> str:
    return " ".join(
        f"when fold_name(x) in ({', '.join(repr(n) for n in names)}) then '{code.upper()}'"
        for code, names in COUNTRIES.items()
    )


def _parse_dates(con: duckdb.DuckDBPyConnection, value: str, source: str) -> None:
    """Create birth_texts(row_number, birth_text YYYYMMDD).

    Whether 05/06/1980 is in May or in June is a habit of each source: dates whose first or second
    number is above 12 tell. Where none does, numbers with dots are day first, others month first.
    What is no date (31 June, 1908-13-05) keeps its digits: it may still be one typo from another.
    """
    con.execute(
        f"""
        create or replace table birth_texts as
        with texts as (
            select
                row_number, coalesce({source}, 'file ' || file) as source,
                regexp_replace(trim({value}), '[ T]00:00(:00(\\.0+)?)?$', '') as v
            from given
            where {value} is not null
        ),
        parts as (
            select
                *,
                regexp_extract(v, '^([0-9]{{1,2}})([-/. ])([0-9]{{1,2}})[-/. ]([0-9]{{4}}|[0-9]{{2}})$',
                    ['a', 'sign', 'b', 'year']) as p,
                regexp_replace(v, '[^0-9]', '', 'g') as digits
            from texts
        ),
        split as (
            select
                *,
                case
                    when p.a <> '' then 'split'
                    when regexp_matches(v, '^(1[6-9]|20)[0-9]{{2}}[-/. ]?[0-9]{{1,2}}[-/. ]?[0-9]{{1,2}}$')
                        and (length(digits) < 8 or digits[5:6]::int <= 12
                            or not regexp_matches(digits, '(1[89]|20)[0-9]{{2}}$')) then 'ymd'
                    when regexp_matches(digits, '^[0-9]{{4}}(1[89]|20)[0-9]{{2}}$') then 'joined'
                end as shape,
                case when shape = 'joined' then digits[1:2] else p.a end as a,
                case when shape = 'joined' then digits[3:4] else p.b end as b,
                case when shape = 'joined' then digits[5:8] else p.year end as year
            from parts
        ),
        habits as (
            select
                source, shape,
                count(*) filter (try_cast(a as integer) > 12) as day_first,
                count(*) filter (try_cast(b as integer) > 12) as month_first,
                avg((p.sign = '.')::int) > 0.5 as dots
            from split
            where shape in ('split', 'joined')
            group by all
        ),
        ordered as (
            select
                s.row_number, s.v, s.shape, s.digits,
                case when h.day_first > h.month_first
                    or (h.day_first = h.month_first and h.dots) then s.b else s.a end as month,
                case when h.day_first > h.month_first
                    or (h.day_first = h.month_first and h.dots) then s.a else s.b end as day,
                case
                    when length(s.year) = 4 and s.year > '0099' then s.year
                    when right(s.year, 2) > strftime(current_date, '%y') then '19' || right(s.year, 2)
                    else '20' || right(s.year, 2)
                end as year
            from split as s
            left join habits as h using (source, shape)
        )
        select
            row_number,
            case
                when shape = 'ymd' and length(digits) = 8 then digits
                when shape = 'ymd' then strftime(try_cast(translate(v, '/. ', '---') as date), '%Y%m%d')
                when shape in ('split', 'joined') then
                    case
                        -- against the source's habit, but the only way it is a date
                        when month::int > 12 and day::int <= 12
                            then year || lpad(day, 2, '0') || lpad(month, 2, '0')
                        else year || lpad(month, 2, '0') || lpad(day, 2, '0')
                    end
                when try_cast(v as timestamp) is not null
                    then strftime(try_cast(v as timestamp), '%Y%m%d')
                when try_strptime(v, {list(MONTHS)}) is not null
                    then strftime(try_strptime(v, {list(MONTHS)}), '%Y%m%d')
                when length(digits) = 8 then digits
            end as birth_text
        from ordered
        """
    )
