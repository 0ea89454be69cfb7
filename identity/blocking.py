"""Which pairs are looked at: blocking rules as keys, none of which too many records share.

A rule that asks for equal columns (`l.a = r.a and l.b = r.b`) becomes a 64-bit key of its own; a
key shared by so many profiles that its pairs would outgrow the data is skipped and counted in
crowded_keys(rule, keys, profiles), so that pairs grow with the records, never with their square.
"""

from __future__ import annotations

import re

import duckdb

from identity.quoting import quoted
from identity.rules import Rules

# Pairs that a rule may propose: so many for each profile, and at least so many.
PAIRS_PER_PROFILE = 10
FEWEST_PAIRS = 200_000

EQUAL = re.compile(r"\s*l\.\"?(\w+)\"?\s*=\s*r\.\"?(\w+)\"?\s*", re.IGNORECASE)
STRANGERS = "l.entity_key <> r.entity_key"


def blocking_rules(rules: Rules) -> list[dict[str, str]]:
    """Return the rules for Splink: over the keys where `build_keys` made them, and between
    entities only.
    """
    found = []
    for index, rule in enumerate(_given(rules)):
        columns = _equal_columns(rule)
        condition = f"({rule})"
        if columns is not None:
            condition = f"l.{_key(index, 'l', columns)} = r.{_key(index, 'r', columns)}"
        found.append({"blocking_rule": f"{condition} and {STRANGERS}"})
    return found


def build_keys(work: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Add the keys to `profiles`; create `crowded_keys`."""
    given = _given(rules)
    keyed = {i: c for i, r in enumerate(given) if (c := _equal_columns(r)) is not None}
    keys = []
    for index, columns in keyed.items():
        keys.append(f"{_hash([left for left, _ in columns])} as {_key(index, 'l', columns)}")
        if _key(index, "l", columns) != _key(index, "r", columns):
            keys.append(f"{_hash([right for _, right in columns])} as {_key(index, 'r', columns)}")
    work.execute(
        f"create or replace table profiles as select *{''.join(', ' + k for k in keys)} from profiles"
    )
    work.execute(
        "create or replace table crowded_keys (rule varchar, keys bigint, profiles bigint)"
    )
    for index, columns in keyed.items():
        _skip_crowded(work, given[index], index, columns)


def _skip_crowded(
    work: duckdb.DuckDBPyConnection, rule: str, index: int, columns: list[tuple[str, str]]
) -> None:
    left, right = _key(index, "l", columns), _key(index, "r", columns)
    work.execute(
        f"""
        create or replace table crowds as
        with sizes as (
            select {left} as key, count(*) as profiles
            from profiles where {left} is not null group by all
        ),
        -- the smallest first: what they add up to is what the rule costs
        running as (
            select key, profiles, sum(profiles * profiles / 2) over (order by profiles range
                unbounded preceding) as pairs
            from sizes
            where profiles > 1
        )
        select key, profiles
        from running
        where pairs > greatest({FEWEST_PAIRS}, {PAIRS_PER_PROFILE} * (select count(*) from profiles))
        """
    )
    if not work.execute("select count(*) from crowds").fetchall()[0][0]:
        return
    work.execute(
        """
        insert into crowded_keys
        select $1, count(*), sum(profiles) from crowds having count(*) > 0
        """,
        [rule],
    )
    for key in dict.fromkeys((left, right)):
        work.execute(f"update profiles set {key} = null where {key} in (select key from crowds)")


def _given(rules: Rules) -> list[str]:
    given = rules.splink.settings()["blocking_rules_to_generate_predictions"]
    return [rule if isinstance(rule, str) else str(rule["blocking_rule"]) for rule in given]


def _equal_columns(rule: str) -> list[tuple[str, str]] | None:
    """The columns (left, right) that a rule wants equal, if that is all that it wants."""
    parts = [EQUAL.fullmatch(part) for part in re.split(r"\s+and\s+", rule.strip(), flags=re.I)]
    found = [(part[1], part[2]) for part in parts if part is not None]
    return found if len(found) == len(parts) else None


def _key(index: int, side: str, columns: list[tuple[str, str]]) -> str:
    is_symmetrical = all(left == right for left, right in columns)
    return f"key_{index}" if is_symmetrical else f"key_{index}_{side}"


def _hash(columns: list[str]) -> str:
    known = " and ".join(f"{quoted(c)} is not null" for c in columns)
    return f"case when {known} then hash({', '.join(quoted(c) for c in columns)}) end"
