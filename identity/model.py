"""The model that scored: what each level of each comparison weighs, as a table, so that whoever
explains a score needs no Splink.
"""

from __future__ import annotations

import math
from typing import Any

import duckdb

PRIOR = "(start)"


def record(work: duckdb.DuckDBPyConnection, settings: dict[str, Any]) -> None:
    """Create new_model(comparison, level, label, sql_condition, is_null_level, m_probability,
    u_probability, match_weight) from Splink's settings.

    match_weight is log2(m / u) before term frequencies; the row `(start)` has the log2 odds that
    two records taken at random are one person. Levels are in the order in which they are tried.
    """
    chance = float(settings["probability_two_random_records_match"])
    rows: list[tuple[Any, ...]] = [
        (PRIOR, 0, "two records at random", None, False, None, None, math.log2(chance / (1 - chance)))
    ]
    for comparison in settings["comparisons"]:
        for number, level in enumerate(comparison["comparison_levels"]):
            m, u = level.get("m_probability"), level.get("u_probability")
            rows.append(
                (
                    comparison["output_column_name"],
                    number,
                    level.get("label_for_charts", level["sql_condition"]),
                    level["sql_condition"],
                    bool(level.get("is_null_level", False)),
                    m,
                    u,
                    math.log2(m / u) if m and u else 0.0,
                )
            )
    work.execute(
        """
        create or replace table new_model (comparison varchar, level bigint, label varchar,
            sql_condition varchar, is_null_level boolean, m_probability double,
            u_probability double, match_weight double)
        """
    )
    work.executemany("insert into new_model values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
