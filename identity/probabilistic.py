"""Fuzzy evidence: Splink scores the pairs that its blocking rules propose.

Creates splink_edges(left_key, right_key, match_weight, probability, weights JSON).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import duckdb

from identity.rules import Rules

# Weights are rounded before anything is decided by them: threads add floating-point numbers in any
# order.
WEIGHT_DIGITS = 6


def link_probably(work: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Create `splink_edges` from `people`, trained on one record per person that `exact_edges`
    unites.

    Fewer records than `min_training_records` are scored with the u probabilities of the rules
    file; fewer than two are not scored.
    """
    work.execute(
        """
        create or replace table splink_edges (
            left_key varchar, right_key varchar, match_weight double, probability double,
            weights json
        )
        """
    )
    if _count(work, "people") < 2:
        return
    from splink import DuckDBAPI, Linker

    with _quiet():
        settings = _trained(work, rules)
        api = DuckDBAPI(work)
        linker = Linker(api.register("people"), settings, log_level=None)
        predictions = linker.inference.predict(threshold_match_probability=rules.splink.floor)
        table = _quoted(predictions.physical_name)
        columns = {str(c[0]) for c in work.execute(f"describe {table}").fetchall()}
        # what each comparison added is the evidence; the values themselves stay out
        work.execute(
            f"""
            insert into splink_edges
            select
                least(node_key_l, node_key_r), greatest(node_key_l, node_key_r),
                round(match_weight, {WEIGHT_DIGITS}),
                round(match_probability, 9),
                {_weights(settings, columns)}
            from {table}
            """
        )


def _trained(work: duckdb.DuckDBPyConnection, rules: Rules) -> dict[str, Any]:
    settings = rules.splink.settings()
    work.execute(
        """
        create or replace table training_people as
        select * from people
        where node_key not in (select right_key from exact_edges)
        order by md5(node_key), node_key
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
        adjusted = f" + {_quoted('mw_tf_adj_' + name)}" if f"mw_tf_adj_{name}" in columns else ""
        parts.append(f"'{name}', round({_quoted('mw_' + name)}{adjusted}, 3)")
    return f"json_object({', '.join(parts)})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


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
