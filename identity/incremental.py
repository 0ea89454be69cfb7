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

from identity import changes, deltas, neighbours, trained
from identity.agreement import compare
from identity.blocking import has_only_keys
from identity.changes import UnforeseenError, add_records
from identity.graph import begin_vetoes, cluster_contacts, unite
from identity.job import Job, Scope
from identity.profiles import build_profiles
from identity.reach import spread_from
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
    model = trained.load(con, rules, job.version)
    if model is None:
        raise UnforeseenError("no model is kept")
    step("what changed")
    changes.find_changes(work, warehouse)
    changes.normalise_changes(work, warehouse, rules)
    warnings = changes.decide(work, warehouse, job.overrides)
    step("firewall")
    changes.judge_values(work, warehouse, rules, model.usual)
    trained.name_people(work, warehouse, model)
    changes.renew(work, warehouse, rules)
    if not job.keeps_model:
        _watch(work, warehouse, rules, model)
    step("exact evidence")
    changes.find_touched(work, warehouse, rules)
    changes.link_touched(work, warehouse, rules)
    step("entities")
    _unite_again(work, warehouse, rules)
    step("probabilistic evidence")
    neighbours.score_touched(work, warehouse, rules, model)
    step("cluster")
    _cluster_again(work, warehouse, rules, model)
    deltas.attach_visitors_again(work, warehouse, rules)
    step("stable ids")
    deltas.assign_again(work, warehouse, job.run_id, job.now, job.run_number)
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


def _unite_again(work: duckdb.DuckDBPyConnection, warehouse: str, rules: Rules) -> None:
    """Create `entities` of all records whose entity may be another one, and touched_entities and
    gone_entities (entity_key).
    """
    strict = rules.thresholds.strict_customer_id
    deltas.keep_old_edges(work, warehouse, rules)
    spread_from(
        work,
        "select node_key from touched union select node_key from changed where was_contact",
        links=(
            f"select left_key, right_key from old_edges where match_probability >= {strict!r}"
            " and match_type <> 'probabilistic'",
            f"select left_key, right_key from exact_edges where probability >= {strict!r}",
            "select left_key, right_key from forced",
        ),
        groups=(
            f"select node_key, entity_key as group_key from {warehouse}.identity_state.entities",
        ),
        into="entity_reach",
    )
    add_records(work, warehouse, "entity_reach")
    work.execute(
        """
        create or replace table people as from records semi join entity_reach using (node_key);
        create or replace table found_edges as from exact_edges;
        insert into exact_edges
        select left_key, right_key, rule, match_probability, evidence ->> '$.shared'
        from old_edges
        semi join entity_reach as l on l.node_key = old_edges.left_key
        semi join entity_reach as r on r.node_key = old_edges.right_key
        where match_type = 'deterministic'
            and left_key not in (select node_key from retouched)
            and right_key not in (select node_key from retouched)
        """
    )
    compare(work, "exact_edges", "agreements")
    unite(work, rules)
    work.execute(
        f"""
        create or replace table new_entities as select node_key, entity_key from entities;
        create or replace table touched_entities as
        with old as (
            select entity_key, list_sort(list(node_key)) as members
            from {warehouse}.identity_state.entities
            where entity_key in (
                select entity_key from {warehouse}.identity_state.entities
                semi join entity_reach using (node_key))
            group by entity_key
        ),
        new as (
            select entity_key, list_sort(list(node_key)) as members,
                bool_or(node_key in (select node_key from renewed)) as is_renewed
            from new_entities
            group by entity_key
        )
        select
            n.entity_key as new_key, o.entity_key as old_key
        from new as n
        full join old as o on o.entity_key = n.entity_key and o.members = n.members
            and not n.is_renewed
        where n.entity_key is null or o.entity_key is null;
        create or replace table gone_entities as
        select old_key as entity_key from touched_entities where old_key is not null;
        create or replace table touched_entities as
        select new_key as entity_key from touched_entities where new_key is not null;
        """
    )


def _cluster_again(
    work: duckdb.DuckDBPyConnection, warehouse: str, rules: Rules, model: Trained
) -> None:
    """Create `pool` and `members` of every component that may be another one (`reached`), and
    beside (records whose edges were found again, and that are in no such component).
    """
    threshold = rules.thresholds.customer_id
    work.execute(
        f"""
        create or replace temp view old_entities as
        select node_key, entity_key from {warehouse}.identity_state.entities;
        -- entities as they are now, wherever they matter
        create or replace temp view current_entities as
        select node_key, entity_key from new_entities
        union all
        select node_key, entity_key from {warehouse}.identity_state.entities
        anti join (select node_key from new_entities union all select node_key from changed)
            using (node_key);
        create or replace table seeds as
        select node_key from touched
        union
        select node_key from new_entities semi join touched_entities using (entity_key)
        union
        select node_key from {warehouse}.identity_state.entities
        semi join gone_entities using (entity_key)
        union
        select node_key from {warehouse}.identity_state.entities
        semi join touched_entities using (entity_key)
        union
        select node_key from changed where was_contact
        union
        select node_key from decided;
        create or replace table old_links as
        select left_key, right_key
        from old_edges
        where match_probability >= {threshold!r}
            and (inactive_reason is null
                or inactive_reason not like 'conflict: %' and inactive_reason not like 'override: %'
                or inactive_reason = 'conflict: with_another_member'
                or left_key in (select node_key from seeds)
                or right_key in (select node_key from seeds));
        """
    )
    spread_from(
        work,
        "from seeds",
        links=(
            "from old_links",
            f"select left_key, right_key from found_edges where probability >= {threshold!r}",
            f"select left_key, right_key from splink_edges where probability >= {threshold!r}",
            "select left_key, right_key from forced",
        ),
        groups=(
            f"select node_key, entity_key as group_key from {warehouse}.identity_state.entities",
            "select node_key, entity_key as group_key from new_entities",
        ),
        into="cluster_reach",
    )
    work.execute(
        """
        create or replace table unscored as
        select node_key from old_entities semi join gone_entities using (entity_key);
        create or replace table reached as
        from cluster_reach
        anti join (select node_key from changed where not is_contact) using (node_key);
        create or replace table beside as
        with edges as (
            select left_key, right_key from found_edges
            union all
            select left_key, right_key from splink_edges
            union all
            select left_key, right_key from forbidden
            where left_key in (select node_key from reached)
                or right_key in (select node_key from reached)
        ),
        ends as (select left_key as node_key from edges union select right_key from edges)
        select distinct mate.node_key
        from ends
        anti join reached using (node_key)
        join current_entities as e using (node_key)
        join current_entities as mate on mate.entity_key = e.entity_key
        """
    )
    work.execute(
        """
        create or replace table wanted as
        select node_key from reached union select node_key from beside
        """
    )
    add_records(work, warehouse, "wanted")
    work.execute(
        """
        create or replace table people as from records semi join wanted using (node_key);
        create or replace table entities as
        select
            node_key, entity_key,
            (dense_rank() over (order by entity_key) - 1)::bigint as code,
            count(*) over (partition by entity_key) as records
        from current_entities
        semi join wanted using (node_key);
        create or replace table kept_edges as
        from old_edges
        semi join reached as l on l.node_key = old_edges.left_key
        semi join reached as r on r.node_key = old_edges.right_key
        where (match_type = 'deterministic'
                and left_key not in (select node_key from retouched)
                and right_key not in (select node_key from retouched))
            or (match_type = 'probabilistic'
                and left_key not in (select node_key from unscored)
                and right_key not in (select node_key from unscored));
        create or replace table exact_edges as
        from found_edges
        union all
        select left_key, right_key, rule, match_probability, evidence ->> '$.shared'
        from kept_edges
        where match_type = 'deterministic';
        insert into splink_edges
        select left_key, right_key, match_weight, match_probability, (evidence -> '$.weights')::varchar
        from kept_edges
        where match_type = 'probabilistic';
        create or replace table forced as
        from all_forced
        where left_key in (select node_key from reached)
            and right_key in (select node_key from reached);
        create or replace table forbidden as
        from all_forbidden
        where left_key in (select node_key from reached)
            or right_key in (select node_key from reached);
        """
    )
    work.execute(
        """
        create or replace table open_ids as
        select node_key, identifier_type, value, true as is_contact
        from now_ids
        semi join wanted using (node_key)
        where is_open
        """
    )
    build_profiles(work)
    compare(work, "exact_edges", "agreements")
    begin_vetoes(work, rules)
    cluster_contacts(work, rules, model.model)
    work.execute(
        """
        delete from members where node_key not in (select node_key from reached);
        delete from hoarders where cluster_key not in (select node_key from reached)
        """
    )


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
