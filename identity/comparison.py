"""Two records side by side: what each has, how each field agrees, and what that weighs.

The records are brought into the shape that matching sees, by the same code, and the levels of the
last run's model are asked in SQL: the score needs no Splink. Term frequencies, which only the whole
data knows, are taken from the stored evidence of the pair where there is any.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from identity.agreement import compare, find_conflicts
from identity.firewall import attach_identifiers
from identity.normalise import build_people, load_macros
from identity.quoting import quoted
from identity.rules import Rules, may_overrule
from identity.scoring import Level, Model, levels_of, read_model

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
    pairs: Sequence[tuple[str, str]],
    customers: tuple[list[str], list[str]] = ([], []),
) -> tuple[list[Comparison | None], list[tuple[str, str, str]]]:
    """Return how the two records of each pair compare (None if one is no contact), and which
    records of two `customers` (contact keys) are in conflict: (left_key, right_key, rule).
    """
    name = str(con.execute("select current_database()").fetchall()[0][0])
    work = con.cursor()
    work.execute("attach ':memory:' as comparing")
    try:
        work.execute("use comparing")
        keys = sorted({*(key for pair in pairs for key in pair), *customers[0], *customers[1]})
        _gather(work, quoted(name), rules, keys)
        known = {str(k) for (k,) in work.execute("select node_key from people").fetchall()}
        contacts = [pair for pair in pairs if known.issuperset(pair)]
        model = read_model(work, quoted(name))
        scored = {}
        if model is not None and contacts:
            for pair, levels in zip(contacts, levels_of(work, model, contacts), strict=True):
                scored[pair] = _score(work, quoted(name), model, pair, levels)
        compared = [scored.get(pair) for pair in pairs]
        return compared, _conflicts(work, quoted(name), rules, customers)
    finally:
        work.execute(f"use {quoted(name)}")
        work.execute("detach comparing")
        work.close()


def _gather(work: duckdb.DuckDBPyConnection, source: str, rules: Rules, keys: list[str]) -> None:
    """Make `people` of these records as a run does, with the identifiers that it let through."""
    work.execute("create schema canonical")
    work.execute(
        f"""
        create table canonical.contacts as
        select c.* replace (case when h.held_id is null then birth_date end as birth_date)
        from {source}.canonical.contacts as c
        left join {source}.identity.held_clusters as h
            on h.kind = 'default_birth_date' and h.identifier_value = c.birth_date::varchar
        where contact_key in ({", ".join("?" for _ in keys)})
        """,
        keys,
    )
    load_macros(work)
    build_people(work, "comparing", rules)
    work.execute(
        f"""
        create table ids as
        select node_key, identifier_type, identifier_value as value, given_value as given,
            is_verified, true as is_contact, is_blocked
        from {source}.identity.identifiers
        where node_key in ({", ".join("?" for _ in keys)})
        """,
        keys,
    )
    work.execute(
        "create table blocked as select distinct identifier_type, value from ids where is_blocked"
    )
    attach_identifiers(work, rules)


def _score(
    work: duckdb.DuckDBPyConnection,
    source: str,
    model: Model,
    pair: tuple[str, str],
    found: list[Level],
) -> Comparison:
    stored, stored_total = _stored(work, source, pair)
    given = _given(work, pair)
    steps = []
    for name, level in zip(model.comparisons, found, strict=True):
        left, right = given.get(name, (None, None))
        weight = stored.get(name, level.weight)
        label = level.label
        if weight and not level.weight:  # records that are surely one person's are scored as one
            label = "by other records of theirs"
        if weight or left or right:
            steps.append(Step(name, left, right, label, round(weight, 2)))
    weight = model.start + sum(step.weight for step in steps)
    total = model.total(weight, sum(level.household for level in found))
    if stored_total is not None:
        total = stored_total
    if abs(total - weight) >= 0.05:
        why = "two of one household would be, too"
        if total > weight:
            why = "by other records of theirs"
        steps.append(Step("household", None, None, why, round(total - weight, 2)))
    return Comparison(
        left_key=pair[0],
        right_key=pair[1],
        start=round(model.start, 2),
        steps=tuple(steps),
        match_weight=round(total, 2),
        probability=1 / (1 + math.pow(2, -total)),
        is_stored=stored_total is not None,
    )


def _stored(
    work: duckdb.DuckDBPyConnection, source: str, pair: tuple[str, str]
) -> tuple[dict[str, float], float | None]:
    """What the run itself made of the pair, term frequencies and all."""
    rows = work.execute(
        f"""
        select evidence ->> '$.weights', match_weight
        from {source}.identity.edges
        where left_key = least($1, $2) and right_key = greatest($1, $2)
            and match_type = 'probabilistic'
        limit 1
        """,
        list(pair),
    ).fetchall()
    if not rows or not rows[0][0]:
        return {}, None
    weights = json.loads(rows[0][0])
    return {n: float(w) for n, w in weights.items() if w is not None}, float(rows[0][1])


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
    work: duckdb.DuckDBPyConnection,
    source: str,
    rules: Rules,
    customers: tuple[list[str], list[str]],
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
    return _not_overruled(work, source, rules, [(str(a), str(b), str(c)) for a, b, c in rows])


def _not_overruled(
    work: duckdb.DuckDBPyConnection, source: str, rules: Rules, found: list[tuple[str, str, str]]
) -> list[tuple[str, str, str]]:
    """Without those that the model overrules, as `judgement` does (there by entity, with the best
    of its profiles; here by record).
    """
    model = read_model(work, source)
    limits = {
        rule.name: rule.unless_probability
        for rule in rules.conflicts
        if model is not None and may_overrule(rule, model.families)
    }
    if model is None or not limits or not found:
        return found
    kept = []
    judged = levels_of(work, model, [(left, right) for left, right, _ in found])
    for veto, levels in zip(found, judged, strict=True):
        total = model.total(
            sum(level.weight for level in levels), sum(level.household for level in levels)
        )
        if 1 / (1 + math.pow(2, -total)) < (limits.get(veto[2]) or 2.0):
            kept.append(veto)
    return kept
