"""Entities and customers of which any part is touched, made again from whole entities and components
of the graph by the same code as in a full run.
"""

from __future__ import annotations

import duckdb

from identity.agreement import compare
from identity.graph import begin_vetoes, cluster_contacts, unite
from identity.profiles import build_profiles
from identity.reach import gather_links, spread_from
from identity.rules import Rules
from identity.touched import add_records
from identity.trained import Trained


def unite_again(work: duckdb.DuckDBPyConnection, warehouse: str, rules: Rules) -> None:
    """Create `new_entities` of all records whose entity may be another one, touched_entities and
    gone_entities (entity_key).

    Creates retouched(node_key): contacts whose exact edges were found again, and found_edges, these.
    """
    work.execute(
        f"""
        create or replace table retouched as
        select node_key from touched union select node_key from changed where was_contact;
        create or replace table people as from records;
        create or replace table found_edges as from exact_edges;
        insert into exact_edges
        select left_key, right_key, rule, match_probability, evidence ->> '$.shared'
        from old_edges
        semi join entity_reach as l on l.node_key = old_edges.left_key
        semi join entity_reach as r on r.node_key = old_edges.right_key
        where match_type = 'deterministic'
            and left_key not in (from retouched)
            and right_key not in (from retouched);
        create or replace table old_entities as
        select node_key, entity_key from {warehouse}.identity_state.entities
        semi join entity_reach using (node_key)
        """
    )
    compare(work, "exact_edges", "agreements")
    unite(work, rules)
    work.execute(
        """
        create or replace table new_entities as select node_key, entity_key from entities;
        create or replace table touched_entities as
        with old as (
            select entity_key, list_sort(list(node_key)) as members
            from old_entities
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


def cluster_again(
    work: duckdb.DuckDBPyConnection, warehouse: str, rules: Rules, model: Trained
) -> None:
    """Create `pool` and `members` of every component that may be another one (`reached`), and
    beside (records whose edges were found again, and that are in no such component).

    Creates wanted(node_key), both of them, and wanted_ids, the open identifiers that they carry.
    """
    _find_reached(work, warehouse, rules)
    _find_beside(work)
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
                and left_key not in (from retouched) and right_key not in (from retouched))
            or (match_type = 'probabilistic'
                and left_key not in (from unscored) and right_key not in (from unscored));
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
        where left_key in (from reached) and right_key in (from reached);
        create or replace table forbidden as
        from all_forbidden
        where left_key in (from reached) or right_key in (from reached);
        create or replace table wanted_ids as
        select node_key, identifier_type, value, true as is_contact
        from now_ids
        semi join wanted using (node_key)
        where is_open;
        create or replace table open_ids as from wanted_ids
        """
    )
    build_profiles(work)
    compare(work, "exact_edges", "agreements")
    begin_vetoes(work, rules)
    cluster_contacts(work, rules, model.model)
    work.execute(
        """
        delete from members where node_key not in (from reached);
        delete from hoarders where cluster_key not in (from reached)
        """
    )


def _find_reached(work: duckdb.DuckDBPyConnection, warehouse: str, rules: Rules) -> None:
    """Create `reached`(node_key), contacts of components that may be others now; unscored(node_key),
    contacts of entities that are no more; and current_entities, entities as they are now.
    """
    threshold = rules.thresholds.customer_id
    kept = f"{warehouse}.identity_state.entities"
    work.execute(
        f"""
        create or replace table unscored as
        select node_key from {kept} semi join gone_entities using (entity_key);
        create or replace table current_entities as
        select node_key, entity_key from new_entities
        union all
        select node_key, entity_key from {kept}
        anti join (select node_key from new_entities union all select node_key from changed)
            using (node_key);
        create or replace table seeds as
        select node_key from touched
        union
        select node_key from current_entities semi join touched_entities using (entity_key)
        union
        from unscored
        union
        select node_key from changed where was_contact
        union
        select node_key from decided;
        create or replace table seed_places as select hash(node_key) as place from seeds;
        create or replace temp view old_links as
        select near, far from all_links
        where not is_hard or near in (from seed_places) or far in (from seed_places)
        """
    )
    gather_links(
        work,
        "more_links",
        f"select left_key, right_key from found_edges where probability >= {threshold!r}",
        f"select left_key, right_key from splink_edges where probability >= {threshold!r}",
        "from all_forced",
        "select node_key, entity_key from new_entities where node_key <> entity_key",
    )
    spread_from(
        work,
        "from seeds",
        ("old_links", "entity_links", "more_links"),
        among="select node_key from current_entities",
        into="reached",
    )


def _find_beside(work: duckdb.DuckDBPyConnection) -> None:
    work.execute(
        """
        create or replace table beside as
        with edges as (
            select left_key, right_key from found_edges
            union all
            select left_key, right_key from splink_edges
            union all
            select left_key, right_key from all_forbidden
            where left_key in (from reached) or right_key in (from reached)
        ),
        ends as (select left_key as node_key from edges union select right_key from edges)
        select node_key
        from current_entities
        where entity_key in (
            select entity_key from current_entities
            where node_key in (from ends anti join reached using (node_key)));
        create or replace table wanted as
        from reached union from beside
        """
    )
