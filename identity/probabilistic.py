"""Fuzzy evidence: Splink scores the pairs that its blocking rules propose.

Creates splink_edges(left_key, right_key, match_weight, probability, details: the JSON text of what
each comparison added).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import duckdb

from identity.blocking import blocking_rules, build_keys
from identity.quoting import quoted
from identity.rules import Rules
from identity.training import Model, household_weight, train

# Weights are rounded before anything is decided by them: threads add floating-point numbers in any
# order.
WEIGHT_DIGITS = 6


def link_probably(work: duckdb.DuckDBPyConnection, rules: Rules) -> Model | None:
    """Create `splink_edges` from `profiles`: the best pair of profiles of each pair of entities.

    Returns the model that scored them; fewer than two records are not scored.
    """
    work.execute(
        """
        create or replace table splink_edges (
            left_key bigint, right_key bigint, match_weight double, probability double,
            details varchar
        )
        """
    )
    build_keys(work, rules)
    if _count(work, "profiles") < 2:
        return None
    from splink import DuckDBAPI, Linker

    with _quiet():
        conditions = blocking_rules(rules)
        model = train(work, rules, conditions)
        settings = model.settings | {"blocking_rules_to_generate_predictions": conditions}
        linker = Linker(DuckDBAPI(work).register("profiles"), settings, log_level=None)
        predictions = linker.inference.predict(threshold_match_probability=rules.splink.floor)
        table = quoted(predictions.physical_name)
        columns = {str(c[0]) for c in work.execute(f"describe {table}").fetchall()}
        # what each comparison added is the evidence; the values themselves stay out
        work.execute(
            f"""
            insert into splink_edges
            with scored as (
                select
                    l.entity_key as left_entity, r.entity_key as right_entity,
                    least(l.record_key, r.record_key) as left_key,
                    greatest(l.record_key, r.record_key) as right_key,
                    -- a pair is of one person, of strangers or of one household
                    round(-log2(pow(2, -match_weight) + pow(2,
                        {household_weight(model, columns)})), {WEIGHT_DIGITS}) as match_weight,
                    round(1 / (1 + pow(2, -match_weight) + pow(2,
                        {household_weight(model, columns)})), 9) as probability,
                    {_weights(settings, columns)} as details
                from {table}
                join profiles as l on l.node_key = node_key_l
                join profiles as r on r.node_key = node_key_r
            )
            select left_key, right_key, match_weight, probability, details
            from scored
            where probability >= {rules.splink.floor}
            qualify row_number() over (
                partition by left_entity, right_entity
                order by match_weight desc, left_key, right_key, details) = 1
            """
        )
    return model


def _weights(settings: dict[str, Any], columns: set[str]) -> str:
    """Return SQL for the JSON of what each comparison adds to the match weight (log2 odds)."""
    parts = []
    for comparison in settings["comparisons"]:
        name = comparison["output_column_name"]
        adjusted = f" + {quoted('mw_tf_adj_' + name)}" if f"mw_tf_adj_{name}" in columns else ""
        parts.append(f"'{name}', round({quoted('mw_' + name)}{adjusted}, 3)")
    return f"json_object({', '.join(parts)})::varchar"


def _count(work: duckdb.DuckDBPyConnection, table: str) -> int:
    row = work.execute(f"select count(*) from {table}").fetchall()[0]
    return int(row[0])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Splink's notes on untrained levels are for its notebooks; ours are in the rules file."""
    logger = logging.getLogger("splink")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
