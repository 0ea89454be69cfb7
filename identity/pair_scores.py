"""Given pairs, scored by the model as Splink scores them, for the few pairs of an incremental run: no
linker is set up, and no blocking is done twice.

The arithmetic is Splink's: the log2 odds of a match at random, plus those of each comparison's level,
plus, where a level is adjusted by term frequencies, weight * (log2(u) - log2(frequency)) with the
greater frequency of the two (Splink, term frequency adjustments). A property test holds the two equal.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb

from identity.patterns import columns_of, known_levels, level_case
from identity.quoting import quoted
from identity.rules import Rules
from identity.trained import Trained, frequency_tables

# Sums in another order differ by less.
_ROUNDING = 1e-9


def can_score(rules: Rules) -> bool:
    """Return whether every level that is adjusted by term frequencies asks for equal terms."""
    return all(
        _is_exact(level, str(level["tf_adjustment_column"]))
        for comparison in rules.splink.settings()["comparisons"]
        for level in comparison["comparison_levels"]
        if level.get("tf_adjustment_column")
    )


def score_pairs(work: duckdb.DuckDBPyConnection, rules: Rules, trained: Trained, pairs: str) -> str:
    """Create a table as Splink's predictions are, of the pairs (node_key_l, node_key_r) of `profiles`
    in table `pairs` that reach the floor; return its name.
    """
    settings = trained.model.settings
    start = _log_odds(float(settings["probability_two_random_records_match"]))
    floor = _log_odds(rules.splink.floor)
    shares = frequency_tables(work, trained)
    compared = [_Compared(i, c, trained) for i, c in enumerate(settings["comparisons"])]
    # Most pairs agree on a key and on little else: the comparison that takes the longest, the one with
    # the most edit distances, is made only where it can still bring a pair to the floor.
    *simple, costly = sorted(compared, key=lambda one: one.level.count("levenshtein("))
    ends = ["node_key_l", "node_key_r"]
    known = [name for one in simple for name in one.weights]
    weights = [name for one in compared for name in one.weights]
    least = floor - costly.most - _ROUNDING
    work.execute(
        f"""
        create or replace table pair_scores as
        with simple as materialized ({_weighed(pairs, ends, simple, shares)}),
        promising as (from simple where {" + ".join([repr(start), *known])} >= {least!r}),
        weighed as ({_weighed("promising", [*ends, *known], [costly], shares)})
        select {", ".join([*ends, *weights])}, {" + ".join([repr(start), *weights])} as match_weight
        from weighed
        where match_weight >= {floor!r}
        """
    )
    return "pair_scores"


class _Compared:
    """A comparison in SQL: `level` says which of its levels holds, a number in the column `place`;
    `weights`, by quoted column name, what that adds, and `most` that it can; `columns` of profiles are
    read for it, and of these `terms` have a frequency.
    """

    def __init__(self, index: int, comparison: dict[str, Any], trained: Trained) -> None:
        levels, name = known_levels(comparison), comparison["output_column_name"]
        self.place = f"g{index}"
        self.level = level_case(comparison)
        self.columns = sorted(columns_of(comparison))
        self.terms = [c for x in levels if (c := x.get("tf_adjustment_column")) is not None]
        plain = [math.log2(x["m_probability"] / x["u_probability"]) for x in levels]
        added = [_adjustment(x, trained) for x in levels]
        self.weights = {quoted(f"mw_{name}"): self._by_level(repr(w) for w in plain)}
        if self.terms:
            self.weights[quoted(f"mw_tf_adj_{name}")] = self._by_level(how for how, _ in added)
        self.most = max(0.0, *(w + most for w, (_, most) in zip(plain, added, strict=True)))

    def _by_level(self, values: Iterable[str]) -> str:
        cases = " ".join(f"when {i} then {value}::double" for i, value in enumerate(values))
        return f"case {self.place} {cases} else 0::double end"


def _weighed(
    pairs: str, kept: Sequence[str], compared: Sequence[_Compared], shares: Mapping[str, str]
) -> str:
    """A query for what `pairs` keep and what these comparisons add; `shares` are tables by column."""
    columns = dict.fromkeys(column for one in compared for column in one.columns)
    sides = [f"{s}.{quoted(c)} as {quoted(f'{c}_{s}')}" for c in columns for s in "lr"]
    terms, joins = [], []
    for column in dict.fromkeys(column for one in compared for column in one.terms):
        table, share = shares[column], quoted(f"tf_{column}")
        joins += [
            f"left join {table} as {table}_{s} on {table}_{s}.{quoted(column)} = {s}.{quoted(column)}"
            for s in "lr"
        ]
        sides.append(f"greatest({table}_l.{share}, {table}_r.{share}) as {share}")
        terms.append(share)
    levels = [f"{one.level} as {one.place}" for one in compared]
    weights = [f"{how} as {name}" for one in compared for name, how in one.weights.items()]
    return f"""
        select {", ".join([*kept, *weights])}
        from (
            select {", ".join([*kept, *terms, *levels])}
            from (
                select {", ".join([*(f"pair.{name}" for name in kept), *sides])}
                from {pairs} as pair
                join profiles as l on l.node_key = pair.node_key_l
                join profiles as r on r.node_key = pair.node_key_r
                {" ".join(joins)}
            )
        )"""


def _adjustment(level: Mapping[str, Any], trained: Trained) -> tuple[str, float]:
    """SQL for what the frequency of its term adds to a level, and the most that it can."""
    column = level.get("tf_adjustment_column")
    if column is None:
        return "0", 0.0
    weight, u = float(level.get("tf_adjustment_weight", 1.0)), math.log2(level["u_probability"])
    least = float(level.get("tf_minimum_u_value", 0.0))
    share = f"greatest({quoted(f'tf_{column}')}, {least!r}::double)"
    rarest = max(min(trained.rarest[str(column)], 1.0), least)
    # of a term that has a share between that and one
    most = max(weight * (u - math.log2(rarest)), weight * u)
    return f"{weight!r}::double * ({u!r}::double - log2({share}))", most


def _is_exact(level: Mapping[str, Any], column: str) -> bool:
    return str(level["sql_condition"]).replace(" ", "") == f"{column}_l={column}_r"


def _log_odds(probability: float) -> float:
    return math.log2(probability / (1 - probability))
