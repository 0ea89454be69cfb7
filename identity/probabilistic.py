"""Fuzzy evidence: the model scores the pairs that blocking rules propose, as Splink scores them.

Creates splink_edges(left_key, right_key, match_weight, probability, details: the JSON text of what
each comparison added).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import duckdb

from identity.blocking import (
    blocking_rules,
    build_keys,
    create_crowded,
    find_limits,
    has_only_keys,
    keep_keys,
    pair_up,
    skip_crowded,
)
from identity.pair_scores import can_score, score_pairs
from identity.quoting import quoted
from identity.rules import Rules
from identity.trained import Trained, frequency_tables, learn
from identity.training import household_weight, train

# Weights are rounded before anything is decided by them: threads add floating-point numbers in any
# order.
WEIGHT_DIGITS = 6


def link_probably(
    work: duckdb.DuckDBPyConnection, rules: Rules, trained: Trained | None = None
) -> Trained | None:
    """Create `splink_edges` from `profiles`: the best pair of profiles of each pair of entities.

    Returns the model that scored them: `trained`, or one learned from these profiles. Fewer than
    two records are not scored.
    """
    create_edges(work)
    build_keys(work, rules)
    keep_keys(work, rules)
    create_crowded(work)
    if _count(work, "profiles") < 2:
        return trained
    limits = trained.limits if trained is not None else find_limits(work, rules)
    skip_crowded(work, rules, limits)
    with _quiet():
        if trained is None:
            trained = learn(work, train(work, rules, blocking_rules(rules)), limits)
        if has_only_keys(rules) and can_score(rules):
            pair_up(work, rules)
            scores = score_pairs(work, rules, trained, "profile_pairs")
        else:
            scores = _predict(work, rules, trained)
        _keep_edges(work, rules, trained, scores)
    return trained


def _predict(work: duckdb.DuckDBPyConnection, rules: Rules, trained: Trained) -> str:
    """Let Splink find and score the pairs, for rules that ask for more than `score_pairs` knows."""
    from splink import DuckDBAPI, Linker

    settings = trained.model.settings | {
        "blocking_rules_to_generate_predictions": blocking_rules(rules)
    }
    api = DuckDBAPI(work)
    # the rules file is checked already; Splink takes half a second for it
    linker = Linker(api.register("profiles"), settings, log_level=None, validate_settings=False)
    for column, table in frequency_tables(work, trained).items():
        linker.table_management.register_term_frequency_lookup(api.register(table), column)
    predictions = linker.inference.predict(threshold_match_probability=rules.splink.floor)
    return quoted(predictions.physical_name)


def link_pairs(work: duckdb.DuckDBPyConnection, rules: Rules, trained: Trained, pairs: str) -> None:
    """Create `splink_edges` of the pairs of profiles (node_key_l, node_key_r) in table `pairs`, which
    no other profiles of the two entities may add to.
    """
    create_edges(work)
    _keep_edges(work, rules, trained, score_pairs(work, rules, trained, pairs))


def _keep_edges(
    work: duckdb.DuckDBPyConnection, rules: Rules, trained: Trained, table: str
) -> None:
    """Insert into `splink_edges` the best of each pair of entities of a table of predictions."""
    model = trained.model
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
                {_weights(model.settings, columns)} as details
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


def create_edges(work: duckdb.DuckDBPyConnection) -> None:
    """Create `splink_edges`, empty, for keys as those of `profiles`."""
    work.execute(
        """
        create or replace table splink_edges as
        select record_key as left_key, record_key as right_key, 0::double as match_weight,
            0::double as probability, ''::varchar as details
        from profiles
        limit 0
        """
    )


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
