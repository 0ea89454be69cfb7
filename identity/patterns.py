"""Comparison vectors, counted: how often pairs of profiles agree in which ways.

A pattern is one level a comparison: 0 is its first level in the rules file that is no null level,
and -1 says that there was nothing to compare.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from identity.quoting import quoted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Levels = NDArray[np.int64]
    Counts = NDArray[np.float64]

SIDED = re.compile(r"\b(\w+)_([lr])\b")


@dataclass(frozen=True)
class Patterns:
    """`levels` has a row per pattern and a column per comparison; `counts` says how many pairs each
    stands for, and `fresh` how many of them no earlier blocking rule had found.
    """

    levels: Levels
    counts: Counts
    fresh: Counts

    @property
    def pairs(self) -> float:
        """How many pairs there are."""
        return float(self.counts.sum())


def columns_of(comparison: dict[str, Any]) -> set[str]:
    """Return the columns that a comparison looks at."""
    return {
        column
        for level in comparison["comparison_levels"]
        for column, _ in SIDED.findall(level["sql_condition"])
    }


def count_patterns(
    work: duckdb.DuckDBPyConnection,
    comparisons: Sequence[dict[str, Any]],
    table: str,
    condition: str,
    *,
    earlier: Sequence[str] = (),
    weight: float = 1.0,
) -> Patterns:
    """Count the patterns of the pairs of `table` for which `condition` holds (SQL over l and r).

    `earlier` are the conditions of earlier blocking rules; each pair counts `weight` times.
    """
    import numpy as np

    columns = sorted(set[str]().union(*(columns_of(c) for c in comparisons)))
    sides = ", ".join(
        f"{side}.{quoted(column)} as {quoted(f'{column}_{side}')}"
        for column in columns
        for side in "lr"
    )
    levels = ", ".join(f"{level_case(c)} as g{index}" for index, c in enumerate(comparisons))
    found_before = " or ".join(f"coalesce(({rule}), false)" for rule in earlier) or "false"
    names = ", ".join(f"g{index}" for index in range(len(comparisons)))
    rows = work.sql(
        f"""
        with pairs as (
            select {sides}, not ({found_before}) as is_fresh
            from {table} as l
            join {table} as r on ({condition})
            where l.node_key < r.node_key
        ),
        vectors as (select {levels}, is_fresh from pairs)
        select {names}, count(*)::double as pairs, count(*) filter (is_fresh)::double as fresh
        from vectors
        group by {names}
        order by {names}
        """
    ).fetchnumpy()
    matrix = [np.asarray(rows[f"g{i}"], dtype=np.int64) for i in range(len(comparisons))]
    return Patterns(
        np.column_stack(matrix) if matrix else np.zeros((0, 0), dtype=np.int64),
        np.asarray(rows["pairs"], dtype=np.float64) * weight,
        np.asarray(rows["fresh"], dtype=np.float64) * weight,
    )


def known_levels(comparison: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the levels of a comparison that say something: all but the null level."""
    return [level for level in comparison["comparison_levels"] if not level.get("is_null_level")]


def level_case(comparison: dict[str, Any]) -> str:
    """Return SQL for the number of the level that a pair (columns c_l and c_r) falls into."""
    cases, number = [], 0
    for level in comparison["comparison_levels"]:
        if level.get("is_null_level"):
            cases.append(f"when {level['sql_condition']} then -1")
        elif level["sql_condition"].strip().upper() == "ELSE":
            cases.append(f"else {number}")
        else:
            cases.append(f"when {level['sql_condition']} then {number}")
            number += 1
    return f"case {' '.join(cases)} end"
