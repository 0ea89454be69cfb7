"""Two records side by side: what each has, how each field agrees, and what that weighs.

The records are brought into the shape that matching sees, by the same code, and the levels of the
last run's model are asked in SQL: the score needs no Splink. Term frequencies, which only the whole
data knows, are taken from the stored evidence of the pair where there is any.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import duckdb

from identity.agreement import compare, find_conflicts
from identity.firewall import attach_identifiers
from identity.model import PRIOR
from identity.normalise import build_people, load_macros
from identity.quoting import quoted
from identity.rules import Rules

# What is shown of a comparison, as columns of canonical.contacts.
SHOWN = {
    "first_name": ("first_name", "full_name"),
    "last_name": ("last_name", "full_name"),
    "birth_date": ("birth_date",),
    "email": ("email",),
    "phone": ("phone",),
    "address": ("address_line1", "postal_code", "city"),
}


@dataclass(frozen=True)
class Step:
    """One comparison: the values as given, the level that holds, and its weight (log2 odds)."""

    field: str
    left: str | None
    right: str | None
    level: str
    weight: float


@dataclass(frozen=True)
class Comparison:
    """The steps from the odds of two records taken at random (`start`) to those of the pair."""

    left_key: str
    right_key: str
    start: float
    steps: tuple[Step, ...]
    match_weight: float
    probability: float
    is_stored: bool

    def in_words(self) -> str:
        """Say what the two share: "same birth date and last name, different first name"."""
        same = [s.field.replace("_", " ") for s in self.steps if s.weight > 0]
        other = [s.field.replace("_", " ") for s in self.steps if s.weight < 0]
        shared = f"alike in {_listed(same)}" if same else "nothing alike"
        return shared + (f", unlike in {_listed(other)}" if other else "")


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def compare_records(
    con: duckdb.DuckDBPyConnection,
    rules: Rules,
    pair: tuple[str, str],
    customers: tuple[list[str], ...] = ([], []),
) -> tuple[Comparison | None, list[tuple[str, str, str]]]:
    """Return how the two records of `pair` compare (None if one is no contact), and which records of
    two `customers` (lists of contact keys) are in conflict: (left_key, right_key, rule).
    """
    name = str(con.execute("select current_database()").fetchall()[0][0])
    work = con.cursor()
    work.execute("attach ':memory:' as comparing")
    try:
        work.execute("use comparing")
        keys = sorted({*pair, *customers[0], *customers[1]})
        _gather(work, quoted(name), rules, keys)
        known = {str(k) for (k,) in work.execute("select node_key from people").fetchall()}
        compared = None
        if known.issuperset(pair):
            compared = _score(work, quoted(name), pair)
        return compared, _conflicts(work, rules, customers)
    finally:
        work.execute(f"use {quoted(name)}")
        work.execute("detach comparing")
        work.close()


def _gather(
    work: duckdb.DuckDBPyConnection, source: str, rules: Rules, keys: list[str]
) -> None:
    """Make `people` of these records as a run does, with the identifiers that it let through."""
    work.execute("create schema canonical")
    work.execute(
        f"""
        create table canonical.contacts as
        select c.* replace (case when h.held_id is null then birth_date end as birth_date)
        from {source}.canonical.contacts as c
        left join {source}.identity.held_clusters as h
            on h.kind = 'default_birth_date' and h.identifier_value = c.birth_date::varchar
        where list_contains($1::varchar[], contact_key)
        """,
        [keys],
    )
    load_macros(work)
    build_people(work, "comparing", rules)
    work.execute(
        f"""
        create table ids as
        select node_key, identifier_type, identifier_value as value, given_value as given,
            is_verified, true as is_contact, is_blocked
        from {source}.identity.identifiers
        where list_contains($1::varchar[], node_key)
        """,
        [keys],
    )
    work.execute(
        "create table blocked as select distinct identifier_type, value from ids where is_blocked"
    )
    attach_identifiers(work, rules)


def _score(
    work: duckdb.DuckDBPyConnection, source: str, pair: tuple[str, str]
) -> Comparison | None:
    levels = work.execute(
        f"""
        select comparison, level, label, sql_condition, is_null_level, match_weight
        from {source}.identity.model
        where comparison <> $1
        order by comparison, level
        """,
        [PRIOR],
    ).fetchall()
    prior = work.execute(
        f"select match_weight from {source}.identity.model where comparison = $1", [PRIOR]
    ).fetchall()
    if not levels or not prior:
        return None
    cases: dict[str, list[str]] = {}
    for name, level, _, condition, _, _ in levels:
        test = "true" if condition.strip().upper() == "ELSE" else condition
        cases.setdefault(name, []).append(f"when {test} then {int(level)}")
    columns = [str(row[0]) for row in work.execute("describe people").fetchall()]
    sides = ", ".join(f"l.{quoted(c)} as {quoted(c + '_l')}, r.{quoted(c)} as {quoted(c + '_r')}"
        for c in columns)  # fmt: skip
    asked = ", ".join(f"case {' '.join(tests)} end as {quoted(n)}" for n, tests in cases.items())
    found = work.execute(
        f"""
        select {asked}
        from (select {sides} from people as l, people as r
            where l.node_key = $1 and r.node_key = $2)
        """,
        list(pair),
    ).fetchall()[0]
    stored = _stored(work, source, pair)
    given = _given(work, pair)
    steps = []
    for name, level in zip(cases, found, strict=True):
        _, _, label, _, is_null, weight = next(
            row for row in levels if row[0] == name and row[1] == level
        )
        weight = 0.0 if is_null else stored.get(name, float(weight))
        left, right = given.get(name, (None, None))
        steps.append(Step(name, left, right, str(label), round(weight, 2)))
    start = float(prior[0][0])
    total = start + sum(step.weight for step in steps)
    return Comparison(
        left_key=pair[0],
        right_key=pair[1],
        start=round(start, 2),
        steps=tuple(steps),
        match_weight=round(total, 2),
        probability=1 / (1 + math.pow(2, -total)),
        is_stored=bool(stored),
    )


def _stored(
    work: duckdb.DuckDBPyConnection, source: str, pair: tuple[str, str]
) -> dict[str, float]:
    """What the run itself made of the pair, term frequencies and all."""
    rows = work.execute(
        f"""
        select evidence ->> '$.weights'
        from {source}.identity.edges
        where left_key = least($1, $2) and right_key = greatest($1, $2)
            and match_type = 'probabilistic'
        limit 1
        """,
        list(pair),
    ).fetchall()
    weights = json.loads(rows[0][0]) if rows and rows[0][0] else {}
    return {name: float(weight) for name, weight in weights.items() if weight is not None}


def _given(
    work: duckdb.DuckDBPyConnection, pair: tuple[str, str]
) -> dict[str, tuple[str | None, str | None]]:
    """The values as the sources gave them, by comparison."""
    columns = {str(row[0]) for row in work.execute("describe canonical.contacts").fetchall()}
    shown = {name: [c for c in names if c in columns] for name, names in SHOWN.items()}
    texts = ", ".join(
        f"nullif(concat_ws(', ', {', '.join(quoted(c) for c in names)}), '')"
        if name == "address"
        else f"coalesce({', '.join(f'{quoted(c)}::varchar' for c in names)})"
        for name, names in shown.items()
    )
    sides = [
        work.execute(
            f"select {texts} from canonical.contacts where contact_key = ?", [key]
        ).fetchall()[0]
        for key in pair
    ]
    return {name: (sides[0][i], sides[1][i]) for i, name in enumerate(shown)}


def _conflicts(
    work: duckdb.DuckDBPyConnection, rules: Rules, customers: tuple[list[str], ...]
) -> list[tuple[str, str, str]]:
    left, right = customers
    if not left or not right:
        return []
    work.execute(
        """
        create table across as
        select least(l, r) as left_key, greatest(l, r) as right_key
        from (select unnest($1::varchar[]) as l), (select unnest($2::varchar[]) as r)
        """,
        [left, right],
    )
    compare(work, "across", "across_agreements")
    find_conflicts(work, rules, "across_agreements", "across_conflicts")
    rows = work.execute(
        "select left_key, right_key, reason from across_conflicts order by all"
    ).fetchall()
    return [(str(a), str(b), str(c)) for a, b, c in rows]
