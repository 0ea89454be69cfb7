"""Pairs of which one entity is touched, scored against all: neighbours are found by their blocking
keys, and the model scores them as in a full run.

The last run's profiles and their keys are kept. Each key's column is read once, for the profiles that
have a value which touched profiles have, or had (`hits`): from these follow how many share it, what
became crowded or open, and who is a neighbour.
"""

from __future__ import annotations

import duckdb

from identity.blocking import (
    build_keys,
    create_crowded,
    key_columns,
    keyed_columns,
    keys_of,
    rule_of,
)
from identity.changes import UnforeseenError, columns
from identity.probabilistic import link_pairs
from identity.profiles import build_profiles, kept_columns
from identity.rules import Rules
from identity.trained import Trained


def score_touched(
    work: duckdb.DuckDBPyConnection, warehouse: str, rules: Rules, model: Trained
) -> None:
    """Create `splink_edges` of which one entity is touched, and `new_profiles`, theirs.

    Adds to touched_entities and gone_entities those that have a key which became, or no longer is,
    shared by too many.
    """
    kept = f"{warehouse}.identity_state.profiles"
    _profile_touched(work, rules)
    if columns(work, "new_profiles") != columns(work, kept):
        raise UnforeseenError("profiles have other columns than before")
    _name_keys(work, rules, model)
    _find_hits(work, warehouse, kept, rules)
    if _touch_more(work, kept, rules):
        _find_hits(work, warehouse, kept, rules)
    create_crowded(work)
    work.execute(
        f"""
        insert into crowded_keys
        from {warehouse}.identity_state.crowded_keys
        where (name, hash) not in (select (rule, key) from key_totals);
        insert into crowded_keys
        select t.rule, t.key, k.text, t.now
        from key_totals as t
        join key_names as k on k.name = t.rule
        where t.now > t.most
        """
    )
    _look_at(work, kept, rules)
    link_pairs(work, rules, model, "profile_pairs")


def _profile_touched(work: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Create `new_profiles` of touched_entities, with keys; all their records are in `records`."""
    work.execute(
        """
        create or replace table entities as
        select
            node_key, entity_key,
            (dense_rank() over (order by entity_key) - 1)::bigint as code,
            count(*) over (partition by entity_key) as records
        from new_entities
        semi join touched_entities using (entity_key);
        create or replace table people as from records semi join entities using (node_key)
        """
    )
    build_profiles(work)
    build_keys(work, rules)
    names = ", ".join(kept_columns(work, rules) + key_columns(rules))
    work.execute(f"create or replace table new_profiles as select {names} from profiles")


def _name_keys(work: duckdb.DuckDBPyConnection, rules: Rules, model: Trained) -> None:
    """Create key_names(name, rule, partner, most, text): the columns of keys, the left one of their
    rule, the one that they are joined with, how many profiles may share a value, and the rule's text.
    """
    rows = []
    for index, pairs in keyed_columns(rules).items():
        left, right = keys_of(index, pairs)
        most, rule = int(model.limits[left]), rule_of(rules, index)
        rows += [
            (name, left, partner, most, rule)
            for name, partner in dict.fromkeys(((left, right), (right, left)))
        ]
    work.execute(
        """
        create or replace table key_names as
        select unnest($1::varchar[]) as name, unnest($2::varchar[]) as rule,
            unnest($3::varchar[]) as partner, unnest($4::bigint[]) as most,
            unnest($5::varchar[]) as text
        """,
        [list(column) for column in zip(*rows, strict=True)],
    )


def _find_hits(work: duckdb.DuckDBPyConnection, warehouse: str, kept: str, rules: Rules) -> None:
    """Create touched_keys(profile, name, key) of new_profiles; hits(profile, name, key), kept profiles
    with a key that a touched one has or had; and key_totals(rule, key, before, now, most): how many
    profiles have and had it on the left side of its rule, and how many may.
    """
    names = key_columns(rules)
    had = (
        f"(select {', '.join(names)}, rowid from {kept} semi join gone_entities using (entity_key))"
    )
    work.execute(
        f"""
        create or replace table touched_keys as {_as_rows("new_profiles", names)};
        create or replace table gone_profiles as from {had};
        create or replace table gone_keys as {_as_rows("gone_profiles", names)};
        create or replace table asked as
        select distinct k.rule, a.key
        from (select name, key from touched_keys union all select name, key from gone_keys) as a
        join key_names as k using (name);
        -- who shares what too many share is not looked up
        create or replace table crowded_before as
        select c.name as rule, c.hash as key, c.profiles as n
        from {warehouse}.identity_state.crowded_keys as c
        semi join asked on asked.rule = c.name and asked.key = c.hash;
        create or replace table few as from asked anti join crowded_before using (rule, key)
        """
    )
    found = " union all ".join(
        f"""
        select rowid as profile, '{name}' as name, {name} as key
        from {kept}
        where {name} in (select key from few where rule = '{left}')
        """
        for index, pairs in keyed_columns(rules).items()
        for left, right in (keys_of(index, pairs),)
        for name in dict.fromkeys((left, right))
    )
    work.execute(
        f"""
        create or replace table hits as {found};
        create or replace table key_totals as
        with counted as (
            select name as rule, key, count(*) as n, 0 as gone, 0 as came
            from hits group by all
            union all
            select rule, key, n, 0, 0 from crowded_before
            union all
            select name, key, 0, count(*), 0 from gone_keys group by all
            union all
            select name, key, 0, 0, count(*) from touched_keys group by all
        )
        select c.rule, c.key, sum(n)::bigint as before, sum(n - gone + came)::bigint as now,
            any_value(most) as most
        from counted as c
        join key_names as k on k.name = c.rule and k.name = k.rule
        group by c.rule, c.key
        """
    )


def _as_rows(table: str, names: list[str]) -> str:
    """A query for (profile, name, key): a row for each key that a row of `table` has."""
    return " union all ".join(
        f"select rowid as profile, '{name}' as name, {name} as key from {table}"
        f" where {name} is not null"
        for name in names
    )


def _touch_more(work: duckdb.DuckDBPyConnection, kept: str, rules: Rules) -> int:
    """Add the entities to the touched ones that have a key which became crowded, or open; return how
    many these are.
    """
    work.execute(
        """
        create or replace table flipped as
        select k.name, t.key
        from key_totals as t
        join key_names as k using (rule)
        where (t.before > t.most) <> (t.now > t.most)
        """
    )
    if not work.execute("select count(*) from flipped").fetchall()[0][0]:
        return 0
    conditions = " or ".join(
        f"{name} in (select key from flipped where name = '{name}')" for name in key_columns(rules)
    )
    work.execute(
        f"""
        create or replace table more_entities as
        select distinct entity_key
        from {kept}
        anti join gone_entities using (entity_key)
        where {conditions};
        insert into touched_entities from more_entities;
        insert into gone_entities from more_entities;
        insert into new_profiles from {kept} semi join more_entities using (entity_key)
        """
    )
    return int(work.execute("select count(*) from more_entities").fetchall()[0][0])


def _look_at(work: duckdb.DuckDBPyConnection, kept: str, rules: Rules) -> None:
    """Create `profiles`, the touched ones and their neighbours, and profile_pairs(node_key_l,
    node_key_r), those that share a key, of which one is touched.
    """
    names = ", ".join(kept_columns(work, rules))
    work.execute(
        f"""
        create or replace table open_keys as
        select t.profile, t.name, t.key, k.partner
        from touched_keys as t
        join key_names as k using (name)
        semi join (from key_totals where now <= most) as few
            on few.rule = k.rule and few.key = t.key;
        create or replace table led_to as
        select profile, name, key
        from hits
        semi join open_keys as o on o.partner = hits.name and o.key = hits.key;
        create or replace table profiles as
        with chosen as (
            select rowid as profile, true as is_touched, {names}
            from new_profiles
            where rowid in (select profile from open_keys)
            union all
            select rowid, false, {names}
            from {kept}
            where rowid in (select profile from led_to)
                and entity_key not in (from gone_entities)
        )
        select row_number() over (order by entity_key, record_key, email, phone) as node_key, *
        from chosen;
        create or replace table profile_pairs as
        with places as (select node_key, profile, is_touched, entity_key from profiles),
        mine as (
            select p.node_key, p.entity_key, o.name, o.partner, o.key
            from open_keys as o
            join places as p on p.profile = o.profile and p.is_touched
        ),
        others as (
            select node_key, entity_key, name, key from mine
            union all
            select p.node_key, p.entity_key, t.name, t.key
            from led_to as t
            join places as p on p.profile = t.profile and not p.is_touched
        )
        select distinct
            least(m.node_key, o.node_key) as node_key_l,
            greatest(m.node_key, o.node_key) as node_key_r
        from mine as m
        join others as o on o.name = m.partner and o.key = m.key
        join key_names as k on k.name = m.name and k.partner = m.partner
        where o.entity_key <> m.entity_key
            -- a rule's left side is the smaller one of a pair
            and (k.name = k.partner or (m.node_key < o.node_key) = (k.name = k.rule))
        """
    )
