"""Pairs of which one entity is touched, scored against all: neighbours are found by their blocking
keys, and the model scores them as in a full run.
"""

from __future__ import annotations

import duckdb

from identity.blocking import (
    build_keys,
    create_crowded,
    keep_keys,
    keyed_columns,
    keys_of,
    rule_of,
)
from identity.changes import UnforeseenError
from identity.probabilistic import link_probably
from identity.profiles import build_profiles
from identity.rules import Rules
from identity.trained import Trained


def score_touched(
    work: duckdb.DuckDBPyConnection, warehouse: str, rules: Rules, model: Trained
) -> None:
    """Create `splink_edges` of which one entity is touched, and `new_keys`, the keys of their
    profiles.

    Adds to touched_entities and gone_entities those that have a key which became, or no longer is,
    shared by too many.
    """
    keys = [keys_of(index, columns) for index, columns in keyed_columns(rules).items()]
    _profile(work, warehouse, rules, "touched_entities")
    if _columns(work, "profile_keys") != _columns(work, f"{warehouse}.identity_state.keys"):
        raise UnforeseenError("the blocking rules have other keys than before")
    work.execute("create or replace table new_keys as from profile_keys")
    if _count_keys(work, warehouse, model, keys):
        _profile(work, warehouse, rules, "touched_entities")
        work.execute("create or replace table new_keys as from profile_keys")
        _count_keys(work, warehouse, model, keys)
    _list_crowded(work, warehouse, rules, model)
    _find_neighbours(work, warehouse, keys)
    _profile(work, warehouse, rules, "looked_at")
    _mask(work, keys)
    link_probably(work, rules, model, is_partial=True)


def _profile(work: duckdb.DuckDBPyConnection, warehouse: str, rules: Rules, entities: str) -> None:
    """Create `profiles` and `profile_keys` of the entities in a table."""
    work.execute(
        f"""
        create or replace table entities as
        with chosen as (
            select node_key, entity_key from new_entities semi join {entities} using (entity_key)
            union all
            select node_key, entity_key
            from {warehouse}.identity_state.entities
            semi join {entities} using (entity_key)
            anti join (select node_key from new_entities union all select node_key from changed)
                using (node_key)
        )
        select
            node_key, entity_key,
            (dense_rank() over (order by entity_key) - 1)::bigint as code,
            count(*) over (partition by entity_key) as records
        from chosen
        """
    )
    work.execute(
        f"""
        create or replace table people as
        select * from records semi join entities using (node_key)
        union all by name
        select * from {warehouse}.identity_state.people
        where node_key in (
            select node_key from entities
            anti join (select node_key from changed union all select node_key from records)
                using (node_key))
        """
    )
    build_profiles(work)
    keep_keys(work, build_keys(work, rules))


def _count_keys(
    work: duckdb.DuckDBPyConnection,
    warehouse: str,
    model: Trained,
    keys: list[tuple[str, str]],
) -> int:
    """Create open_keys(name, key): the keys of touched profiles that are not crowded.

    Returns how many entities became touched because a key of theirs became crowded, or open.
    """
    old = f"{warehouse}.identity_state.keys"
    work.execute("create or replace table open_keys (name varchar, key ubigint)")
    work.execute("create or replace table key_totals (name varchar, key ubigint, n bigint)")
    work.execute("create or replace table flipped (name varchar, key ubigint)")
    for left, right in keys:
        sides = dict.fromkeys((left, right))
        work.execute(
            f"""
            create or replace table key_counts as
            with asked as (
                {
                " union ".join(
                    f"select {side} as key from new_keys where {side} is not null"
                    f" union select {side} from {old} semi join gone_entities using (entity_key)"
                    f" where {side} is not null"
                    for side in sides
                )
            }
            ),
            before as (
                select {left} as key, count(*) as n,
                    count(*) filter (entity_key in (select entity_key from gone_entities)) as gone
                from {old} where {left} in (select key from asked) group by all
            ),
            came as (select {left} as key, count(*) as n from new_keys group by all)
            select key, coalesce(b.n, 0) as before,
                coalesce(b.n, 0) - coalesce(b.gone, 0) + coalesce(c.n, 0) as now
            from asked
            left join before as b using (key)
            left join came as c using (key)
            """
        )
        limit = int(model.limits[left])
        work.execute(
            f"insert into flipped select $1, key from key_counts where (before > {limit}) <> (now > {limit})",
            [left],
        )
        work.execute("insert into key_totals select $1, key, now from key_counts", [left])
        for side in sides:
            work.execute(
                f"""
                insert into open_keys
                select distinct $1, {side}
                from new_keys
                semi join (select key from key_counts where now <= {limit}) as k
                    on k.key = new_keys.{side}
                """,
                [side],
            )
    conditions = [
        f"{side} in (select key from flipped where name = '{left}')"
        for left, right in keys
        for side in dict.fromkeys((left, right))
    ]
    if not work.execute("select count(*) from flipped").fetchall()[0][0]:
        return 0
    work.execute(
        f"""
        create or replace table more_entities as
        select distinct entity_key
        from {old}
        anti join gone_entities using (entity_key)
        where {" or ".join(conditions)}
        """
    )
    work.execute("insert into touched_entities from more_entities")
    work.execute("insert into gone_entities from more_entities")
    return int(work.execute("select count(*) from more_entities").fetchall()[0][0])


def _list_crowded(
    work: duckdb.DuckDBPyConnection, warehouse: str, rules: Rules, model: Trained
) -> None:
    """Create `crowded_keys` as they are now: those of before, and what became of touched ones."""
    create_crowded(work)
    work.execute(
        f"""
        insert into crowded_keys
        from {warehouse}.identity_state.crowded_keys
        where (name, hash) not in (select (name, key) from key_totals)
        """
    )
    for index, columns in keyed_columns(rules).items():
        left, _ = keys_of(index, columns)
        work.execute(
            "insert into crowded_keys select name, key, $2, n from key_totals"
            " where name = $1 and n > $3",
            [left, rule_of(rules, index), int(model.limits[left])],
        )


def _find_neighbours(
    work: duckdb.DuckDBPyConnection, warehouse: str, keys: list[tuple[str, str]]
) -> None:
    """Create looked_at(entity_key): the touched entities, and those that share a key with them."""
    found = " union ".join(
        f"""
        select entity_key from {warehouse}.identity_state.keys
        where {mine} in (select key from open_keys where name = '{theirs}')
        """
        for left, right in keys
        for mine, theirs in dict.fromkeys(((left, right), (right, left)))
    )
    work.execute(
        f"""
        create or replace table looked_at as
        select entity_key from touched_entities
        union
        select entity_key from ({found}) anti join gone_entities using (entity_key)
        """
    )


def _mask(work: duckdb.DuckDBPyConnection, keys: list[tuple[str, str]]) -> None:
    """Leave the keys in `profiles` that lead from a touched one to another, and no others."""
    partner = {}
    for left, right in keys:
        partner[left], partner[right] = right, left
    masked = ", ".join(
        f"""
        case
            when is_touched then if({mine} in (select key from open_keys where name = '{mine}'), {mine}, null)
            when {mine} in (select key from open_keys where name = '{theirs}') then {mine}
        end as {mine}
        """
        for mine, theirs in partner.items()
    )
    named = " or ".join(f"{name} is not null" for name in partner)
    work.execute(
        f"""
        create or replace table profiles as
        select * replace ({masked})
        from (
            select *, entity_key in (select entity_key from touched_entities) as is_touched
            from profiles
        )
        """
    )
    work.execute(f"delete from profiles where not ({named})")


def _columns(work: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    return [str(row[0]) for row in work.execute(f"describe {table}").fetchall()]
