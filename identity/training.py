"""A model learned from the data at hand: how often people's records agree by chance (u), how often
those of one person do (m), and how many pairs there are of which kind.

Three kinds of pairs, not two: one person, two strangers, and two people of one household, who share
surname, address and telephone. Without the third, expectation-maximisation learns households and
calls them people. What a household shares stands in the rules (`household` of a level, else the
same as strangers); m starts from the rules and is drawn to them as by so many pairs seen (maximum a
posteriori, after Dempster, Laird and Rubin 1977), so that little data cannot teach nonsense.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import duckdb

from identity.patterns import Patterns, columns_of, count_patterns, known_levels
from identity.rules import Rules

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Probabilities = list[NDArray[np.float64]]
    Shares = NDArray[np.float64]

RECORDS_IN_BLOCKS = 50_000  # blocks of about so many records are looked at, per rule
PAIRS_IN_BLOCKS = 100_000  # ... and so many of their pairs
ROUNDS = 12
# Pairs taken for granted: families are assumed to be there until the data shows that they are not.
FEWEST_MATCHES, FEWEST_HOUSEHOLDS = 2.0, 5.0
STEPS = 20
SMALLEST = 1e-9
DIGITS = 6

# Columns that are another one's, in part: blocking on one fixes what the other's comparison says.
BASES = {
    "first_names": "first_name",
    "first_initial": "first_name",
    "first_code": "first_name",
    "last_names": "last_name",
    "last_initial": "last_name",
    "last_code": "last_name",
    "birth_date": "birth_text",
    "birth_year": "birth_text",
    "emails": "email",
    "email_nick": "email",
    "phones": "phone",
    "phone_tail": "phone",
    "street_key": "street",
}


@dataclass(frozen=True)
class Model:
    """Settings for Splink with m, u and the share of pairs that match; `household` says for each
    comparison how often two people of one household agree (by level, None: as strangers do), and
    `households_per_match` how many such pairs there are for each that matches, `families` for each
    entity.
    """

    settings: dict[str, Any]
    household: dict[str, tuple[float | None, ...]]
    households_per_match: float
    families: float


@dataclass
class _State:
    """What is being learned; a list entry per comparison, a number per level. `fixed` levels keep
    what the rules say.
    """

    m: Probabilities
    u: Probabilities
    h: Probabilities
    fixed: list[NDArray[np.bool_]]
    shares: Shares  # of matches, households and strangers among all pairs


def train(
    work: duckdb.DuckDBPyConnection, rules: Rules, conditions: Sequence[dict[str, str]]
) -> Model:
    """Learn from `profiles`, which has a row or more per entity; `conditions` are the blocking rules
    as Splink gets them.
    """
    import numpy as np

    settings = rules.splink.settings()
    settings["comparisons"] = _usable(work, settings["comparisons"])
    comparisons = settings["comparisons"]
    given = [known_levels(c) for c in comparisons]
    state = _State(
        m=[_column(levels, "m_probability") for levels in given],
        u=[_column(levels, "u_probability") for levels in given],
        h=[
            np.array([float(x.get("household") or x["u_probability"]) for x in levels])
            for levels in given
        ],
        fixed=[np.array([bool(x.get("fixed")) for x in levels]) for levels in given],
        shares=np.array([0.0, 0.0, 1.0]),
    )
    start = replace(state, m=list(state.m), u=list(state.u))
    strangers = _strangers(work, rules, comparisons)
    blocks = _blocks(work, comparisons, [c["blocking_rule"] for c in conditions])
    given_rules = settings["blocking_rules_to_generate_predictions"]
    free = [_left_free(r["blocking_rule"], comparisons) for r in given_rules]
    entities = _number(work, "select count(distinct entity_key) from profiles")
    all_pairs = max(entities * (entities - 1) / 2, 1.0)
    expected = 1 / max(entities, 10)
    state.shares = np.array([expected, expected, 1 - 2 * expected])
    _learn_u(state, start, strangers)
    for _ in range(ROUNDS):
        _learn_m(state, start, blocks, free, rules.splink.prior_pairs)
        _learn_shares(state, blocks, all_pairs)
        _learn_u(state, start, strangers)
    for levels, m, u in zip(given, state.m, state.u, strict=True):
        for level, m_value, u_value in zip(levels, m, u, strict=True):
            level["m_probability"] = float(max(m_value, SMALLEST))
            level["u_probability"] = float(max(u_value, SMALLEST))
    household = {
        c["output_column_name"]: tuple(level.pop("household", None) for level in levels)
        for c, levels in zip(comparisons, given, strict=True)
    }
    for levels in given:
        for level in levels:
            level.pop("fixed", None)
    settings["probability_two_random_records_match"] = float(state.shares[0])
    return Model(
        settings,
        household,
        households_per_match=float(state.shares[1] / state.shares[0]),
        families=float(state.shares[1] * all_pairs / max(entities, 1)),
    )


def household_weight(model: Model, columns: set[str]) -> str:
    """Return SQL (over Splink's predictions) for log2 of how much likelier a pair is two people of
    one household than one person.
    """
    parts = [repr(round(math.log2(max(model.households_per_match, SMALLEST)), DIGITS))]
    for comparison in model.settings["comparisons"]:
        name = comparison["output_column_name"]
        levels = known_levels(comparison)
        shared = model.household[name]
        cases = [
            # Splink tells what a level added, not which one it was
            f"when {round(math.log2(level['m_probability'] / level['u_probability']), DIGITS)!r}"
            f" then {round(math.log2(max(value, SMALLEST) / level['m_probability']), DIGITS)!r}"
            for level, value in zip(levels, shared, strict=True)
            if value is not None
        ]
        adjusted = f' - "mw_tf_adj_{name}"' if f"mw_tf_adj_{name}" in columns else ""
        other = f'-"mw_{name}"{adjusted}'
        parts.append(
            f'case round("mw_{name}", {DIGITS}) {" ".join(cases)} else {other} end'
            if cases
            else f"({other})"
        )
    return " + ".join(parts)


def _usable(
    work: duckdb.DuckDBPyConnection, comparisons: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Leave out the comparisons of which hardly a record has anything to compare."""
    usable = []
    for comparison in comparisons:
        null = [x for x in comparison["comparison_levels"] if x.get("is_null_level")]
        columns = sorted(columns_of({"comparison_levels": null}))
        counts = work.execute(
            f"select {', '.join(f'count({c})' for c in columns)} from profiles"
        ).fetchall()[0]
        if max(int(n) for n in counts) >= 2:
            usable.append(comparison)
    return usable


def _strangers(
    work: duckdb.DuckDBPyConnection, rules: Rules, comparisons: Sequence[dict[str, Any]]
) -> Patterns:
    """All pairs of some entities: next to all of them are strangers."""
    work.execute(
        """
        create or replace table training_people as
        with sampled as (
            select n.number as entity_key
            from node_numbers as n
            semi join profiles as p on p.entity_key = n.number
            order by md5(n.node_key), n.node_key
            limit $1
        )
        select p.* from profiles as p join sampled using (entity_key)
        qualify row_number() over (partition by entity_key order by p.node_key) = 1
        """,
        [rules.splink.max_training_records],
    )
    return count_patterns(work, comparisons, "training_people", "true")


def _blocks(
    work: duckdb.DuckDBPyConnection,
    comparisons: Sequence[dict[str, Any]],
    conditions: Sequence[str],
) -> list[Patterns]:
    """The patterns of each blocking rule's pairs, or of a sample of them where there are many."""
    records = _number(work, "select count(*) from profiles")
    blocks = []
    for index, condition in enumerate(conditions):
        share = max(1, records // RECORDS_IN_BLOCKS)
        sampled = condition if share == 1 else f"{condition} and hash(l.node_key) % {share} = 0"
        pairs = _number(
            work,
            f"select count(*) from profiles as l join profiles as r on ({sampled})"
            " where l.node_key < r.node_key",
        )
        thin = max(1, pairs // PAIRS_IN_BLOCKS)
        if thin > 1:
            sampled += f" and hash(l.node_key, r.node_key) % {thin} = 0"
        blocks.append(
            count_patterns(
                work,
                comparisons,
                "profiles",
                sampled,
                earlier=conditions[:index],
                weight=float(share * thin),
            )
        )
    return blocks


def _left_free(condition: str, comparisons: Sequence[dict[str, Any]]) -> Shares:
    """Which comparisons a blocking rule says nothing about."""
    import numpy as np

    named = {BASES.get(c, c) for c in re.findall(r"\b[lr]\.\"?(\w+)", condition)}
    return np.array([not (_own_columns(c) & named) for c in comparisons])


def _own_columns(comparison: dict[str, Any]) -> set[str]:
    null = [x for x in comparison["comparison_levels"] if x.get("is_null_level")]
    return {BASES.get(c, c) for c in columns_of({"comparison_levels": null})}


def _learn_m(
    state: _State,
    start: _State,
    blocks: Sequence[Patterns],
    free: Sequence[Shares],
    prior_pairs: float,
) -> None:
    """One round: in each block the pairs are told apart by what the block leaves free."""
    import numpy as np

    seen = [np.zeros(len(m)) for m in state.m]
    for block, is_free in zip(blocks, free, strict=True):
        if not len(block.counts):
            continue
        likelihoods = np.stack(
            [_likelihood(block, p, is_free) for p in (state.m, state.h, state.u)]
        )
        shares = np.array([0.4, 0.3, 0.3])
        for _ in range(STEPS):
            posterior = _posterior(shares, likelihoods)
            # a pair of pairs each: no kind dies out
            shares = posterior @ block.counts + 2.0
            shares /= shares.sum()
        matched = posterior[0] * block.counts
        for index, levels in enumerate(block.levels.T):
            if is_free[index]:
                known = levels >= 0
                seen[index] += np.bincount(
                    levels[known], weights=matched[known], minlength=len(seen[index])
                )
    for index, counts in enumerate(seen):
        weight = prior_pairs + counts.sum() / 4
        learned = _normal(counts + weight * start.m[index])
        state.m[index] = np.where(state.fixed[index], start.m[index], learned)


def _learn_shares(state: _State, blocks: Sequence[Patterns], all_pairs: float) -> None:
    """How many pairs are matches and how many households: over the pairs of all blocks, each once.

    What no rule finds is strangers.
    """
    import numpy as np

    everything = np.ones(len(state.m), dtype=bool)
    likelihoods = [
        np.stack([_likelihood(b, p, everything) for p in (state.m, state.h, state.u)])
        for b in blocks
    ]
    for _ in range(STEPS):
        found = np.array([FEWEST_MATCHES, FEWEST_HOUSEHOLDS])
        for block, likelihood in zip(blocks, likelihoods, strict=True):
            if len(block.fresh):
                found += (_posterior(state.shares, likelihood) @ block.fresh)[:2]
        found = np.minimum(found / all_pairs, 0.2)
        state.shares = np.array([found[0], found[1], 1 - found.sum()])


def _learn_u(state: _State, start: _State, strangers: Patterns) -> None:
    """How often strangers agree: the given value counts as if it had been seen twice."""
    import numpy as np

    if not len(strangers.counts):
        return
    everything = np.ones(len(state.m), dtype=bool)
    likelihoods = np.stack(
        [_likelihood(strangers, p, everything) for p in (state.m, state.h, state.u)]
    )
    apart = _posterior(state.shares, likelihoods)[2] * strangers.counts
    for index, levels in enumerate(strangers.levels.T):
        known = levels >= 0
        counts = np.bincount(levels[known], weights=apart[known], minlength=len(state.u[index]))
        total = counts.sum()
        prior = start.u[index]
        learned = _normal((counts + 2.0) / (total + 2.0 / np.maximum(prior, SMALLEST)))
        state.u[index] = np.where(state.fixed[index], prior, learned)


def _likelihood(patterns: Patterns, probabilities: Probabilities, free: Shares) -> Shares:
    import numpy as np

    result = np.ones(len(patterns.counts))
    for index, levels in enumerate(patterns.levels.T):
        if free[index]:
            chosen = probabilities[index][np.maximum(levels, 0)]
            result *= np.where(levels >= 0, np.maximum(chosen, SMALLEST), 1.0)
    return result


def _posterior(shares: Shares, likelihoods: Shares) -> Shares:
    import numpy as np

    joint = shares[:, None] * likelihoods
    result: Shares = joint / np.maximum(joint.sum(axis=0), 1e-300)
    return result


def _column(levels: Sequence[dict[str, Any]], key: str) -> Shares:
    import numpy as np

    return np.array([float(level[key]) for level in levels])


def _normal(values: Shares) -> Shares:
    result: Shares = values / values.sum()
    return result


def _number(work: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(work.execute(query).fetchall()[0][0])
