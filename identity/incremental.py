"""A run that looks at what changed since the last one, and gives what a full run would give.

What changed is normalised; exact evidence it may have touched is found again; entities, pairs and
clusters of which any part is touched are made again, by the same code as in a full run, from whole
groups, entities and components. Everything else stays as it is in the warehouse.

Invariant: whatever is decided together (the carriers of a value, the records of an entity, the
entities of a component, the nodes of a customer) is either looked at whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable

import duckdb

from identity import carriers, changes, deltas, moving, neighbours, regrouping, touched, trained
from identity.blocking import has_only_keys
from identity.changes import UnforeseenError
from identity.job import Job, Scope
from identity.pair_scores import can_score
from identity.rules import Rules
from identity.trained import Trained


def advance(
    con: duckdb.DuckDBPyConnection,
    work: duckdb.DuckDBPyConnection,
    warehouse: str,
    job: Job,
    step: Callable[[str], None],
) -> tuple[Scope, list[str]]:
    """Bring the tables of `identity` and the state up to date in one transaction.

    Returns what was looked at and the warnings about decisions. `step` is told each step's name.
    Raises UnforeseenError, with nothing written, where only a full run will do.
    """
    rules = job.rules
    if not has_only_keys(rules):
        raise UnforeseenError("a blocking rule asks for more than equal columns")
    if not can_score(rules):
        raise UnforeseenError("term frequencies adjust a level that asks for more than equal terms")
    model = trained.load(con, rules, job.version)
    if model is None:
        raise UnforeseenError("no model is kept")
    step("what changed")
    changes.find_changes(work, warehouse)
    changes.normalise_changes(work, warehouse, rules)
    warnings = changes.decide(work, warehouse, job.overrides)
    step("firewall")
    carriers.judge_values(work, warehouse, rules, model.usual)
    trained.name_people(work, warehouse, model)
    carriers.renew(work, warehouse, rules)
    if not job.keeps_model:
        _watch(work, warehouse, rules, model)
    step("exact evidence")
    touched.find_touched(work, warehouse, rules)
    touched.gather_near(work, warehouse, rules)
    touched.link_touched(work, warehouse, rules)
    step("entities")
    moving.list_identifiers(work, warehouse)
    regrouping.unite_again(work, warehouse, rules)
    step("probabilistic evidence")
    neighbours.score_touched(work, warehouse, rules, model)
    step("cluster")
    regrouping.cluster_again(work, warehouse, rules, model)
    moving.attach_visitors_again(work, warehouse, rules)
    step("stable ids")
    moving.assign_again(work, warehouse, job.run_id, job.now, job.run_number)
    step("write")
    deltas.prepare(work, warehouse, job.run_id, job.version, job.now)
    deltas.publish(work, warehouse, job.row, (job.run_number, model.model_id, job.version))
    return _scope(work), warnings


def _watch(work: duckdb.DuckDBPyConnection, warehouse: str, rules: Rules, model: Trained) -> None:
    work.execute(
        f"""
        create or replace temp view watched as
        select * from renewed_people
        union all by name
        select * from {warehouse}.identity_state.people
        anti join (select node_key from changed union select node_key from renewed)
            using (node_key)
        """
    )
    work.execute(
        f"""
        create or replace temp view watched_ids as
        select identifier_type from {warehouse}.identity.identifiers anti join changed using (node_key)
        union all
        select identifier_type from changed_ids
        """
    )
    why = trained.drift(rules, model, *trained.watch(work, "watched", "watched_ids"))
    work.execute("drop view watched; drop view watched_ids")
    if why is not None:
        raise UnforeseenError(why)


def _scope(work: duckdb.DuckDBPyConnection) -> Scope:
    row = work.execute(
        """
        select
            count(*) filter (not was_there), count(*) filter (was_there and is_there),
            count(*) filter (not is_there),
            (select count(distinct customer_id) from new_ids)
        from changed
        """
    ).fetchall()[0]
    return Scope(*(int(n) for n in row))
