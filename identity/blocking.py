"""Which pairs are looked at: blocking rules as keys, none of which too many records share.

A rule that asks for equal columns (`l.a = r.a and l.b = r.b`) becomes a 64-bit key of its own; a
key shared by so many profiles that its pairs would outgrow the data is skipped and kept in
crowded_keys(name, hash, rule, profiles), so that pairs grow with the records, never with their
square.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

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


def keyed_columns(rules: Rules) -> dict[int, list[tuple[str, str]]]:
    """Return the columns (left, right) of each rule that asks for equal columns, by its number."""
    return {i: c for i, r in enumerate(_given(rules)) if (c := _equal_columns(r)) is not None}


def has_only_keys(rules: Rules) -> bool:
    """Return whether every rule asks for equal columns, so that keys find all of its pairs."""
    return len(keyed_columns(rules)) == len(_given(rules))


def keys_of(index: int, columns: list[tuple[str, str]]) -> tuple[str, str]:
    """Return the names of a rule's keys in `profiles`: what is joined on the left and the right."""
    return _key(index, "l", columns), _key(index, "r", columns)


def key_columns(rules: Rules) -> list[str]:
    """Return the names of the keys, in their order."""
    found = (keys_of(index, columns) for index, columns in keyed_columns(rules).items())
    return list(dict.fromkeys(name for names in found for name in names))


def build_keys(work: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Add the keys to `profiles`."""
    keys: dict[str, str] = {}
    for index, columns in keyed_columns(rules).items():
        left, right = keys_of(index, columns)
        keys[left] = _hash([name for name, _ in columns])
        keys[right] = _hash([name for _, name in columns])
    added = "".join(f", {how} as {name}" for name, how in keys.items())
    work.execute(f"create or replace table profiles as select *{added} from profiles")


def keep_keys(work: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Create profile_keys(node_key, ...): the keys of each profile, crowded ones and all."""
    names = ", ".join(["node_key", *key_columns(rules)])
    work.execute(f"create or replace table profile_keys as select {names} from profiles")


def find_limits(work: duckdb.DuckDBPyConnection, rules: Rules) -> dict[str, int]:
    """Return how many profiles may share a key of each rule, by the name of its left key.

    Keys are let in from the smallest up, as long as their pairs stay within what the rule may cost.
    """
    limits = {}
    for index, columns in keyed_columns(rules).items():
        left, _ = keys_of(index, columns)
        budget, total, smallest_out = work.execute(
            f"""
            with sizes as (
                select {left} as key, count(*) as profiles
                from profiles where {left} is not null group by all
            ),
            -- the smallest first: what they add up to is what the rule costs
            running as (
                select profiles, sum(profiles * profiles / 2) over (order by profiles range
                    unbounded preceding) as pairs
                from sizes
                where profiles > 1
            ),
            budgets as (
                select greatest({FEWEST_PAIRS},
                    {PAIRS_PER_PROFILE} * (select count(*) from profiles)) as budget
            )
            select
                any_value(budget),
                coalesce(max(pairs) filter (pairs <= budget), 0),
                min(profiles) filter (pairs > budget)
            from budgets
            left join running on true
            """
        ).fetchall()[0]
        # a key that comes later has what is left of the budget for itself
        limits[left] = (
            int(smallest_out) - 1
            if smallest_out is not None
            else max(1, math.isqrt(int(2 * (budget - total))))
        )
    return limits


def skip_crowded(work: duckdb.DuckDBPyConnection, rules: Rules, limits: Mapping[str, int]) -> None:
    """Take keys that more profiles share than `limits` allow out of `profiles`; create
    `crowded_keys`.
    """
    create_crowded(work)
    for index, columns in keyed_columns(rules).items():
        left, right = keys_of(index, columns)
        work.execute(
            f"""
            create or replace table crowds as
            select {left} as key, count(*) as profiles
            from profiles
            where {left} is not null
            group by all
            having count(*) > $1
            """,
            [limits[left]],
        )
        if not work.execute("select count(*) from crowds").fetchall()[0][0]:
            continue
        work.execute(
            "insert into crowded_keys select $1, key, $2, profiles from crowds",
            [left, _given(rules)[index]],
        )
        for key in dict.fromkeys((left, right)):
            work.execute(
                f"update profiles set {key} = null where {key} in (select key from crowds)"
            )


def pair_up(work: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Create profile_pairs(node_key_l, node_key_r), each once: profiles of two entities that share a
    key. All rules have to ask for equal columns.
    """
    pairs = " union ".join(
        f"""
        select l.node_key as node_key_l, r.node_key as node_key_r
        from profiles as l
        join profiles as r on l.{left} = r.{right}
        where l.node_key < r.node_key and {STRANGERS}"""
        for left, right in (keys_of(i, columns) for i, columns in keyed_columns(rules).items())
    )
    work.execute(f"create or replace table profile_pairs as {pairs}")


def create_crowded(work: duckdb.DuckDBPyConnection) -> None:
    """Create `crowded_keys`, empty: which key of which rule is skipped, and how many share it."""
    work.execute(
        "create or replace table crowded_keys"
        " (name varchar, hash ubigint, rule varchar, profiles bigint)"
    )


def rule_of(rules: Rules, index: int) -> str:
    """Return the text of a blocking rule."""
    return _given(rules)[index]


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
