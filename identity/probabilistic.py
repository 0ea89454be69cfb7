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

# Weights are rounded before anything is decided by them: threads add floating-point numbers in any
# order.
WEIGHT_DIGITS = 6


def link_probably(work: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Create `splink_edges` from `profiles`: the best pair of profiles of each pair of entities.

    Fewer records than `min_training_records` are scored with the u probabilities of the rules
    file; fewer than two are not scored.
    """
    work.execute(
        """
        create or replace table splink_edges (
            left_key varchar, right_key varchar, match_weight double, probability double,
            details varchar
        )
        """
    )
    build_keys(work, rules)
    if _count(work, "profiles") < 2:
        return
    from splink import DuckDBAPI, Linker

    with _quiet():
        settings = _trained(work, rules)
        settings["blocking_rules_to_generate_predictions"] = blocking_rules(rules)
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
                    round(match_weight, {WEIGHT_DIGITS}) as match_weight,
                    round(match_probability, 9) as probability,
                    {_weights(settings, columns)} as details
                from {table}
                join profiles as l on l.node_key = node_key_l
                join profiles as r on r.node_key = node_key_r
            )
            select left_key, right_key, match_weight, probability, details
            from scored
            qualify row_number() over (
                partition by left_entity, right_entity
                order by match_weight desc, left_key, right_key, details) = 1
            """
        )


def _trained(work: duckdb.DuckDBPyConnection, rules: Rules) -> dict[str, Any]:
    settings = rules.splink.settings()
    work.execute(
        """
        create or replace table training_people as
        select * from profiles
        qualify row_number() over (partition by entity_key order by node_key) = 1
        order by md5(entity_key), entity_key
        limit $1
        """,
        [rules.splink.max_training_records],
    )
    records = _count(work, "training_people")
    if records < rules.splink.min_training_records:
        return settings
    from splink import DuckDBAPI, Linker

    linker = Linker(DuckDBAPI(work).register("training_people"), settings, log_level=None)
    linker.training.estimate_u_using_random_sampling(
        max_pairs=records * records, seed=1, min_count_per_level=None, num_chunks=1
    )
    trained: dict[str, Any] = linker.misc.save_model_to_json()
    return _with_plausible_u(trained, settings, records)


def _with_plausible_u(
    trained: dict[str, Any], given: dict[str, Any], records: int
) -> dict[str, Any]:
    """Keep the given u where the sample saw too few pairs of a level to say anything."""
    rare = 20 / (records * (records - 1) / 2)
    for new, old in zip(trained["comparisons"], given["comparisons"], strict=True):
        for level, before in zip(new["comparison_levels"], old["comparison_levels"], strict=True):
            if "u_probability" in before:
                seen = level.get("u_probability")
                if seen is None or seen < rare:
                    level["u_probability"] = before["u_probability"]
                level["m_probability"] = before["m_probability"]
    return trained


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
