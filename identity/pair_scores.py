"""Given pairs, scored by the model as Splink scores them, for the few pairs of an incremental run: no
linker is set up, and no blocking is done twice.

The arithmetic is Splink's: the log2 odds of a match at random, plus those of each comparison's level,
plus, where a level is adjusted by term frequencies, weight * (log2(u) - log2(frequency)) with the
greater frequency of the two (Splink, term frequency adjustments). A property test holds the two equal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import duckdb

from identity.patterns import columns_of, known_levels, level_case
from identity.quoting import quoted
from identity.rules import Rules
from identity.trained import Trained, frequency_tables


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
    comparisons = settings["comparisons"]
    columns = sorted(set[str]().union(*(columns_of(c) for c in comparisons)))
    sides = [f"{s}.{quoted(c)} as {quoted(f'{c}_{s}')}" for c in columns for s in "lr"]
    joins = []
    for number, (column, table) in enumerate(frequency_tables(work, trained).items()):
        share = quoted(f"tf_{column}")
        joins += [
            f"left join {table} as t{number}{side}"
            f" on t{number}{side}.{quoted(column)} = {side}.{quoted(column)}"
            for side in "lr"
        ]
        sides.append(f"greatest(t{number}l.{share}, t{number}r.{share}) as {share}")
    shares = ", ".join(quoted(f"tf_{column}") for column in trained.frequencies)
    levels = ", ".join(f"{level_case(c)} as g{index}" for index, c in enumerate(comparisons))
    weights: list[str] = []
    total = [repr(_log_odds(float(settings["probability_two_random_records_match"])))]
    for index, comparison in enumerate(comparisons):
        name = comparison["output_column_name"]
        parts = {f"mw_{name}": _weight(index, comparison)}
        adjusted = _adjustment(index, comparison)
        if adjusted is not None:
            parts[f"mw_tf_adj_{name}"] = adjusted
        weights += [f"{how} as {quoted(column)}" for column, how in parts.items()]
        total += [quoted(column) for column in parts]
    work.execute(
        f"""
        create or replace table pair_scores as
        with compared as (
            select node_key_l, node_key_r, {", ".join(sides)}
            from {pairs}
            join profiles as l on l.node_key = node_key_l
            join profiles as r on r.node_key = node_key_r
            {" ".join(joins)}
        ),
        vectors as (
            select node_key_l, node_key_r, {levels}{", " + shares if shares else ""} from compared
        ),
        weighed as (select node_key_l, node_key_r, {", ".join(weights)} from vectors)
        select *, {" + ".join(total)} as match_weight
        from weighed
        where match_weight >= {_log_odds(rules.splink.floor)!r}
        """
    )
    return "pair_scores"


def _weight(index: int, comparison: Mapping[str, Any]) -> str:
    cases = [
        f"when {number} then {math.log2(level['m_probability'] / level['u_probability'])!r}::double"
        for number, level in enumerate(known_levels(dict(comparison)))
    ]
    return f"case g{index} {' '.join(cases)} else 0::double end"


def _adjustment(index: int, comparison: Mapping[str, Any]) -> str | None:
    cases = []
    for number, level in enumerate(known_levels(dict(comparison))):
        column = level.get("tf_adjustment_column")
        if column is None:
            continue
        least = float(level.get("tf_minimum_u_value", 0.0))
        cases.append(
            f"when {number} then {float(level.get('tf_adjustment_weight', 1.0))!r}::double"
            f" * ({math.log2(level['u_probability'])!r}::double"
            f" - log2(greatest({quoted(f'tf_{column}')}, {least!r}::double)))"
        )
    return f"case g{index} {' '.join(cases)} else 0::double end" if cases else None


def _is_exact(level: Mapping[str, Any], column: str) -> bool:
    return str(level["sql_condition"]).replace(" ", "") == f"{column}_l={column}_r"


def _log_odds(probability: float) -> float:
    return math.log2(probability / (1 - probability))
