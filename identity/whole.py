"""A run that looks at everything: every stage in its order, on all records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from identity import configs, past, rows, state, tables
from identity import overrides as decisions
from identity import trained as models
from identity.email_names import fill_names
from identity.exact import link_exactly
from identity.firewall import attach_identifiers, block_values
from identity.graph import cluster_contacts, unite
from identity.identifiers import build_ids
from identity.job import Job
from identity.model import record as record_model
from identity.normalise import build_people, load_macros
from identity.numbers import name_nodes, number_nodes
from identity.probabilistic import link_probably
from identity.profiles import build_profiles
from identity.stable_ids import assign_ids
from identity.summary import figures
from identity.trained import Trained
from identity.visitors import attach_visitors

VISITORS = """
    select n.node_key from nodes join node_numbers as n on n.number = nodes.node_key
    where not is_contact"""


@dataclass(frozen=True)
class Found:
    """What stands in the working database, to be written: figures by column of identity.runs,
    warnings about decisions, the model that scored, and why it was trained in this run, if it was.
    """

    figures: dict[str, Any]
    warnings: list[str]
    model: Trained | None
    why_trained: str | None


def resolve_whole(
    con: duckdb.DuckDBPyConnection,
    work: duckdb.DuckDBPyConnection,
    warehouse: str,
    job: Job,
    step: Callable[[str], None],
    *,
    is_retrain: bool,
) -> Found:
    """Create new_<table> for every table of `identity` in the working database."""
    rules, now = job.rules, job.now
    step("normalise")
    load_macros(work)
    build_people(work, warehouse, rules)
    build_ids(work, warehouse, rules)
    warnings = decisions.spread(work, job.overrides)
    number_nodes(work)
    step("firewall")
    known, why = models.in_force(
        con, work, rules, job.version, is_retrain=is_retrain, keeps_model=job.keeps_model
    )
    block_values(work, rules, known.usual if known is not None else None)
    attach_identifiers(work, rules)
    models.name_people(work, warehouse, known)
    fill_names(work)
    step("exact evidence")
    link_exactly(work, rules)
    step("entities")
    unite(work, rules)
    build_profiles(work)
    step("probabilistic evidence")
    trained = link_probably(work, rules, known)
    model = trained.model if trained is not None else None
    record_model(work, rules, model)
    step("cluster")
    cluster_contacts(work, rules, model)
    attach_visitors(work, rules)
    name_nodes(work, "members", "node_key", "cluster_key", "strict_key")
    step("stable ids")
    assign_ids(
        work,
        warehouse,
        job.run_id,
        now,
        like=past.members_after(warehouse, job.like) if job.like is not None else None,
        reason=job.purpose if job.like is not None else None,
    )
    past.record(work, warehouse, job.run_number)
    step("write")
    rows.prepare(work, warehouse, job.run_id, job.version, now)
    configs.record(work, warehouse, rules, job.overrides, (job.version, now))
    return Found(
        figures(work, "new_ids", "new_edges", VISITORS),
        warnings,
        trained,
        why if known is None and trained else None,
    )


def write(
    work: duckdb.DuckDBPyConnection, warehouse: str, job: Job, found: Found, *, keeps_state: bool
) -> None:
    """Write the tables, and what the next run begins with if that is to be kept."""
    if keeps_state:
        state.gather(work, warehouse, job.buckets)

    def write_state() -> None:
        if not keeps_state:
            return
        if found.model is not None and found.why_trained is not None:
            run = (job.version, job.now, found.why_trained)
            models.keep(work, warehouse, found.model, job.rules, run)
        model_id = found.model.model_id if found.model is not None else None
        state.write_all(work, warehouse, job.rules, (job.run_number, model_id, job.version))

    run = {**job.row, "finished_at": datetime.now(UTC).replace(tzinfo=None), **found.figures}
    tables.publish(work, warehouse, run, write_state)
