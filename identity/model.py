"""The model that scored: what each level of each comparison weighs, as a table, so that whoever
explains a score needs no Splink.
"""

from __future__ import annotations

import math
from typing import Any

import duckdb

from identity.rules import Rules
from identity.training import SMALLEST, Model

PRIOR = "(start)"


def record(work: duckdb.DuckDBPyConnection, rules: Rules, model: Model | None) -> None:
    """Create new_model(comparison, level, label, sql_condition, is_null_level, m_probability,
    u_probability, match_weight, household_weight) from what was trained (None: from the rules).

    match_weight is log2(m / u) before term frequencies, household_weight log2(h / m) for the h of
    two people of one household; the row `(start)` has the log2 odds of both for two records taken
    at random, and as u_probability how many pairs of one household there are for each entity.
    Levels are in the order in which they are tried.
    """
    settings = model.settings if model is not None else rules.splink.settings()
    chance = float(settings["probability_two_random_records_match"])
    families = math.log2(max(model.households_per_match, SMALLEST)) if model is not None else None
    share = model.families if model is not None else None
    start = math.log2(chance / (1 - chance))
    rows: list[tuple[Any, ...]] = [
        (PRIOR, 0, "two records at random", None, False, chance, share, start, families)
    ]
    for comparison in settings["comparisons"]:
        name = comparison["output_column_name"]
        shared = iter(model.household[name]) if model is not None else iter(())
        for number, level in enumerate(comparison["comparison_levels"]):
            is_null = bool(level.get("is_null_level", False))
            m, u = level.get("m_probability"), level.get("u_probability")
            h = None if is_null else next(shared, None)
            h = u if h is None else max(h, SMALLEST)
            rows.append(
                (
                    name,
                    number,
                    level.get("label_for_charts", level["sql_condition"]),
                    level["sql_condition"],
                    is_null,
                    m,
                    u,
                    math.log2(m / u) if m and u else 0.0,
                    math.log2(h / m) if m and h else 0.0,
                )
            )
    work.execute(
        """
        create or replace table new_model (comparison varchar, level bigint, label varchar,
            sql_condition varchar, is_null_level boolean, m_probability double,
            u_probability double, match_weight double, household_weight double)
        """
    )
    work.executemany("insert into new_model values (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
