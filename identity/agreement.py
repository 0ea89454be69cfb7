"""How two people agree, as SQL: the columns that `when` in rules.yml speaks of, and what counts as
a conflict.
"""

from __future__ import annotations

import duckdb

from identity.quoting import text
from identity.rules import Rules, RulesError

# l and r are rows of `people`.
AGREEMENTS = """
    case when swapped then 'swapped'
        else agree_first_name(
            l.first_name, l.first_names, l.first_is_name, r.first_name, r.first_names, r.first_is_name) end as
        first_name,
    case when swapped then 'swapped'
        else agree_last_name(l.last_name, l.last_names, r.last_name, r.last_names) end as last_name,
    agree_birth_date(l.birth_text, r.birth_text) as birth_date,
    case
        when l.suffix is null or r.suffix is null then 'missing'
        when l.suffix = r.suffix then 'same'
        else 'different'
    end as suffix,
    case
        when l.postcode is null or r.postcode is null then 'missing'
        when l.street_key = r.street_key then 'exact'
        when l.postcode = r.postcode then 'postcode'
        else 'different'
    end as address"""

SWAPPED = """are_swapped(
    l.first_name, l.first_names, l.last_name, r.first_name, r.first_names, r.last_name)"""


def compare(work: duckdb.DuckDBPyConnection, pairs: str, into: str) -> None:
    """Create table `into`: the distinct pairs (left_key, right_key) of table `pairs` with how they
    agree.
    """
    work.execute(
        f"""
        create or replace table {into} as
        select * exclude (swapped)
        from (
            select left_key, right_key, {SWAPPED} as swapped, {AGREEMENTS}
            from (select distinct left_key, right_key from {pairs}) as p
            join people as l on l.node_key = p.left_key
            join people as r on r.node_key = p.right_key
        )
        """
    )


def find_conflicts(work: duckdb.DuckDBPyConnection, rules: Rules, compared: str, into: str) -> None:
    """Create table `into`(left_key, right_key, reason): the pairs of `compared` that cannot be one
    customer.
    """
    cases, possible = [], []
    for rule in rules.conflicts:
        unless = ""
        if rule.unless_shared:
            types = ", ".join(text(t) for t in rule.unless_shared)
            unless = (
                " and len(list_filter(list_intersect(left_ids, right_ids),"
                f" lambda v: split_part(v, ':', 1) in ({types}))) = 0"
            )
        possible.append(f"({rule.when})")
        cases.append(f"when ({rule.when}){unless} then {text(rule.name)}")
    for identifier in rules.identifiers:
        if identifier.exclusive:
            prefix = text(identifier.identifier_type + ":")
            left, right = (
                f"list_filter({side}, lambda v: starts_with(v, {prefix}))"
                for side in ("left_ids", "right_ids")
            )
            possible.append("true")
            cases.append(
                f"when len({left}) > 0 and len({right}) > 0 and not list_has_any({left}, {right})"
                f" then {text('other_' + identifier.identifier_type)}"
            )
    reason = f"case {' '.join(cases)} end" if cases else "null"
    try:
        work.execute(
            f"""
            create or replace table {into} as
            with possible as (
                select * from {compared} where {" or ".join(possible) or "false"}
            ),
            identified as (
                select c.*, l.strong_ids as left_ids, r.strong_ids as right_ids
                from possible as c
                join people as l on l.node_key = c.left_key
                join people as r on r.node_key = c.right_key
            )
            select left_key, right_key, {reason} as reason
            from identified
            where reason is not null
            """
        )
    except duckdb.Error as error:
        raise rule_error("conflicts", error) from error


def rule_error(key: str, error: duckdb.Error) -> RulesError:
    """Say which part of the rules DuckDB could not read; its first line names the column or the
    function.
    """
    return RulesError(f"rules: a `when` of `{key}` is not valid SQL: {str(error).splitlines()[0]}")
