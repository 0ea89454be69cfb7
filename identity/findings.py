"""Which unnamed columns say something about a person: found out from what their values do.

An identifier recurs among records of one person and nowhere else; an attribute agrees far more
often between two records of a person than by chance. Everything else is left out, with a reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import duckdb

from identity.column_names import words
from identity.columns import Column
from identity.rules import Rules

LEAST_PAIRS = 5  # fewer pairs than this say nothing
IDENTIFIER_AGREES = 0.75  # of the pairs that share a value, so many are people of one name or birth
HINTED_AGREES = 0.3  # ... if the column is named like one: guards look at each pair all the same
IN_SEQUENCE = (
    0.02  # of the values, so many have the next number beside them where they are a sequence
)
ATTRIBUTE_AGREES = 0.5  # of the pairs of one person, so many have the same value
ATTRIBUTE_LIFT = 3.0  # ... and so many times as many as chance would bring together


@dataclass(frozen=True)
class Finding:
    """A column that is used under `name` (letters, digits and underscores).

    `is_sequence`: its numbers were given one after another.
    """

    name: str
    column: Column
    is_sequence: bool = False


@dataclass(frozen=True)
class Findings:
    """What the file has beyond the fields that everybody knows."""

    identifiers: tuple[Finding, ...]
    attributes: tuple[Finding, ...]


def find_out(
    con: duckdb.DuckDBPyConnection, columns: Sequence[Column], rules: Rules
) -> tuple[tuple[Column, ...], Findings]:
    """Return the columns with their last word said, and the identifiers and attributes to use.

    Needs `given` and canonical.contacts.
    """
    _prepare(con)
    settled: list[Column] = []
    identifiers: list[Finding] = []
    attributes: list[Finding] = []
    for column in columns:
        if column.field not in ("identifier", "attribute"):
            settled.append(column)
            continue
        final = _settle(con, column)
        settled.append(final)
        taken = {f.name for f in (*identifiers, *attributes)}
        if final.field == "identifier":
            name = _name(final, taken, rules)
            identifiers.append(Finding(name, final, _is_sequence(con, final)))
        elif final.field == "attribute":
            attributes.append(Finding(_name(final, taken, rules), final))
    return tuple(settled), Findings(tuple(identifiers), tuple(attributes))


def _prepare(con: duckdb.DuckDBPyConnection) -> None:
    """Create who(row_number, names VARCHAR[], birth_text) and person_pairs(l, r): rows that are
    surely of one person, since their names and something else are equal.
    """
    con.execute(
        """
        create or replace table who as
        select
            contact_key::bigint as row_number,
            list_sort(list_distinct(string_split(fold_name(
                concat_ws(' ', coalesce(full_name, first_name), last_name)), ' '))) as names,
            birth_text, lower(email) as email, phone,
            fold_postcode(postal_code, country_code) as postcode
        from canonical.contacts
        """
    )
    keys = ("birth_text", "email", "phone", "postcode")
    con.execute(
        " union ".join(
            f"""
            select lag(row_number) over (
                partition by names, {key} order by row_number) as l, row_number as r
            from who
            where {key} is not null and len(names) >= 2
            """
            for key in keys
        ).join(("create or replace table person_pairs as from (", ") where l is not null"))
    )


def _settle(con: duckdb.DuckDBPyConnection, column: Column) -> Column:
    asked = column.why == "you said so"
    if asked and column.field in ("identifier", "attribute"):
        return column
    value = column.sql_name
    count, distinct, idlike = con.execute(
        f"""
        select
            sum(n), count(*),
            sum(n * (regexp_matches(v, '[0-9]') and not contains(trim(v), ' ')
                and length(v) >= 4)::int) / sum(n)
        from (select {value} as v, count(*) as n from given where {value} is not null group by all)
        """
    ).fetchall()[0]
    if distinct == count:
        reason = "every value is another one: the record's own"
        return replace(column, field="ignored", why=reason)
    pairs, agree = con.execute(
        f"""
        with sharing as (
            select lag(row_number) over (partition by {value} order by row_number) as l,
                row_number as r
            from given
            where {value} is not null
        )
        select count(*), coalesce(avg((
            coalesce(a.birth_text = b.birth_text, false) or coalesce(a.email = b.email, false)
            or coalesce(len(list_intersect(a.names, b.names))
                >= least(len(a.names), len(b.names), 2), false)
        )::int), 0)
        from sharing
        join who as a on a.row_number = l
        join who as b on b.row_number = r
        where (len(a.names) > 0 and len(b.names) > 0)
            or (a.email is not null and b.email is not null)
        """
    ).fetchall()[0]
    hinted = column.field == "identifier"
    unique = distinct / count
    if (hinted or (idlike >= 0.8 and unique >= 0.3)) and (
        agree >= (HINTED_AGREES if hinted else IDENTIFIER_AGREES)
        if pairs >= LEAST_PAIRS
        else hinted
    ):
        return replace(column, field="identifier", why="records of one person share its values")
    if pairs >= LEAST_PAIRS and unique >= 0.2 and agree < 0.5:
        return replace(column, field="ignored", why="people of different names share its values")
    return _settle_attribute(con, column)


def _settle_attribute(con: duckdb.DuckDBPyConnection, column: Column) -> Column:
    value = column.sql_name
    pairs, agree = con.execute(
        f"""
        select count(*), coalesce(avg((fold_text(a.{value}) = fold_text(b.{value}))::int), 0)
        from person_pairs
        join given as a on a.row_number = l
        join given as b on b.row_number = r
        where a.{value} is not null and b.{value} is not null
        """
    ).fetchall()[0]
    chance = con.execute(
        f"""
        select sum(n * n) / (sum(n) * sum(n))
        from (select fold_text({value}), count(*)::double as n
            from given where {value} is not null group by all)
        """
    ).fetchall()[0][0]
    if pairs < LEAST_PAIRS * 4:
        why = "too few records of one person have it twice to see what it says"
    elif agree < ATTRIBUTE_AGREES:
        why = f"records of one person agree in it only {agree:.0%} of the time"
    elif agree < ATTRIBUTE_LIFT * float(chance):
        why = "too many people have the same value for it to tell them apart"
    else:
        return replace(
            column, field="attribute", why=f"records of one person agree in it ({agree:.0%})"
        )
    return replace(column, field="ignored", why=why)


def _is_sequence(con: duckdb.DuckDBPyConnection, column: Column) -> bool:
    """Whether numbers were given one after another: the next one is often there, too."""
    share = con.execute(
        f"""
        with numbers as (
            select distinct
                try_cast(regexp_replace({column.sql_name}, '[^0-9]', '', 'g') as hugeint) as number
            from given
        )
        select coalesce(avg((n.number is not null)::int), 0)
        from numbers
        left join numbers as n on n.number = numbers.number + 1
        where numbers.number is not null
        """
    ).fetchall()[0][0]
    return float(share) > IN_SEQUENCE


def _name(column: Column, taken: set[str], rules: Rules) -> str:
    known = {i.identifier_type for i in rules.identifiers if i.strength == "strong"}
    slug = (
        re.sub(r"\W+", "_", "_".join(re.findall(r"[a-z0-9]+", column.header.lower()))) or "column"
    )
    tokens = words(column.header)
    for kind in sorted(known):
        if set(kind.split("_")) <= tokens and kind not in taken:
            return kind
    others = {i.identifier_type for i in rules.identifiers} | known
    name, times = slug, 2
    while name in taken or name in others:
        name, times = f"{slug}_{times}", times + 1
    return name
