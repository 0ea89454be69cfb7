"""What a change of rules, decisions or model would do, found out without writing anything."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import duckdb

from identity import configs
from identity.audience_effects import AudienceEffect, count_members
from identity.configs import Config
from identity.explain import summarise
from identity.resolve import AUTO, RETRAIN, model_version, resolve
from identity.summary import Progress, RunSummary

LARGEST = 20
EVIDENCE = 3


@dataclass(frozen=True)
class Effect:
    """Customers that would become one, or one that would come apart.

    `records` is how many contacts and visitors get another customer; `evidence` what joins them,
    or what held them together until now and what is said against it, strongest first.
    """

    kind: str
    customer_id: str
    other_ids: tuple[str, ...]
    records: int
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Counts of customers (before -> after) and of the contacts and visitors that would move.

    `why_trained`: why pairs were scored with a model trained for this, where the kept one would not do.
    """

    is_current: bool
    config_hash: str
    model_version: str
    rolled_back_to: str | None = None
    customers_before: int = 0
    customers_after: int = 0
    merged: int = 0
    split: int = 0
    new: int = 0
    ended: int = 0
    unchanged: int = 0
    contacts_moved: int = 0
    visitors_moved: int = 0
    share_moved: float = 0.0
    max_changed_share: float = 1.0
    largest_before: int = 0
    largest_after: int = 0
    effects: tuple[Effect, ...] = ()
    audiences: tuple[AudienceEffect, ...] = ()
    warnings: tuple[str, ...] = ()
    why_trained: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain data."""
        return asdict(self)


def plan(
    con: duckdb.DuckDBPyConnection,
    config: Config,
    *,
    now: datetime,
    progress: Progress | None = None,
    is_retrain: bool = False,
) -> Plan:
    """Resolve with `config` on the records that are there, and compare with today's customers; with
    the model that is kept. If `is_retrain`, as `retrain` does it: with a model trained on today's
    records, by the rules and decisions of the last run.

    `con`'s current database has canonical and identity (and audiences), and may be attached
    read-only. Raises RulesError as `resolve` does.
    """
    last = configs.last(con)
    if is_retrain and last is not None:
        config = configs.load(con, last[0], config.rules) or config
    version = model_version(config.rules)
    back = configs.rolled_back_to(con)
    if last == (config.config_hash, version) and not is_retrain:
        return Plan(is_current=True, config_hash=config.config_hash, model_version=version)
    found: list[Plan] = []

    def look(work: duckdb.DuckDBPyConnection, summary: RunSummary) -> bool:
        found.append(_compare(work, con, config, summary, back[0] if back else None))
        return False

    resolve(
        con,
        config.rules,
        run_id="plan",
        now=now,
        overrides=config.overrides,
        purpose="plan",
        accept=look,
        progress=progress,
        mode=RETRAIN if is_retrain else AUTO,
    )
    return found[0]


def _compare(
    work: duckdb.DuckDBPyConnection,
    con: duckdb.DuckDBPyConnection,
    config: Config,
    summary: RunSummary,
    back: str | None,
) -> Plan:
    work.execute(
        """
        create or replace table moves as
        select o.node_key, o.customer_id as from_id, n.customer_id as to_id,
            c.node_key is not null as is_contact
        from old_members as o
        join new_ids as n using (node_key)
        left join (
            select k.node_key from people as p join node_numbers as k on k.number = p.node_key
        ) as c on c.node_key = n.node_key
        where o.customer_id <> n.customer_id
        """
    )
    row = work.execute(
        """
        with before as (select customer_id, count(*) as nodes from old_members group by all),
        after as (select customer_id, count(*) as nodes from new_ids group by all),
        touched as (
            select from_id as customer_id from moves union select to_id from moves
        )
        select
            (select count(*) from before), (select count(*) from after),
            (select count(*) from new_history where event = 'merge'),
            (select count(*) from new_history where event = 'split'),
            (select count(*) from new_history where event = 'created'),
            (select count(*) from new_history where event = 'erase'),
            (select count(*) from before
                semi join after using (customer_id) anti join touched using (customer_id)),
            (select count(*) from moves where is_contact),
            (select count(*) from moves where not is_contact),
            (select coalesce(max(nodes), 0) from before),
            (select coalesce(max(nodes), 0) from after),
            (select count(*) from old_members)
        """
    ).fetchall()[0]
    before, after, merged, split, new, ended, same, contacts, visitors, high, higher, known = row
    return Plan(
        is_current=False,
        config_hash=config.config_hash,
        model_version=summary.model_version,
        rolled_back_to=back,
        customers_before=before,
        customers_after=after,
        merged=merged,
        split=split,
        new=new,
        ended=ended,
        unchanged=same,
        contacts_moved=contacts,
        visitors_moved=visitors,
        share_moved=(contacts + visitors) / known if known else 0.0,
        max_changed_share=config.rules.guards.max_changed_share,
        largest_before=high,
        largest_after=higher,
        effects=_effects(work, con),
        audiences=count_members(work, con),
        warnings=summary.warnings,
        why_trained=summary.why_trained,
    )


def _effects(work: duckdb.DuckDBPyConnection, con: duckdb.DuckDBPyConnection) -> tuple[Effect, ...]:
    """The largest effects: moves grouped by the customer that people come to, or leave."""
    rows = work.execute(
        """
        with retired as (select distinct from_id from moves anti join new_ids
            on new_ids.customer_id = moves.from_id),
        kinds as (
            select m.*, case when r.from_id is not null then 'merge'
                when b.customer_id is null then 'split' else 'move' end as kind
            from moves as m
            left join retired as r using (from_id)
            left join (select distinct customer_id from old_members) as b on b.customer_id = m.to_id
        )
        select kind, case when kind = 'split' then from_id else to_id end as customer_id,
            list_sort(list(distinct case when kind = 'split' then to_id else from_id end)) as others,
            count(*) as records
        from kinds
        group by all
        order by count(*) filter (is_contact) desc, records desc, kind, customer_id
        limit $1
        """,
        [LARGEST],
    ).fetchall()
    return tuple(
        Effect(
            kind,
            customer_id,
            tuple(others),
            records,
            _evidence(work, con, kind, customer_id, others),
        )
        for kind, customer_id, others, records in rows
    )


def _evidence(
    work: duckdb.DuckDBPyConnection,
    con: duckdb.DuckDBPyConnection,
    kind: str,
    customer_id: str,
    others: list[str],
) -> tuple[str, ...]:
    """What joins the parts (merge, move), or what held them and why it holds no more (split)."""
    name = str(con.execute("select current_database()").fetchall()[0][0])
    warehouse = '"' + name.replace('"', '""') + '"'
    members = "new_ids" if kind == "split" else "old_members"
    edges = f"{warehouse}.identity.edges" if kind == "split" else "new_edges"
    rows = work.execute(
        f"""
        with ours as (select node_key from {members} where customer_id = $1),
        theirs as (select node_key from {members} where list_contains($2::varchar[], customer_id))
        select e.left_key, e.right_key, e.rule, e.evidence, e.match_probability,
            n.match_probability, n.inactive_reason
        from {edges} as e
        left join new_edges as n using (edge_id)
        where e.is_active and (
            e.left_key in (select node_key from ours) and e.right_key in (select node_key from theirs)
            or e.right_key in (select node_key from ours)
                and e.left_key in (select node_key from theirs))
        order by e.match_probability desc, e.left_key, e.right_key, e.rule
        limit $3
        """,
        [customer_id, others, EVIDENCE],
    ).fetchall()
    said = []
    for left, right, rule, evidence, probability, then, why in rows:
        words = (
            f"{left} - {right}: {summarise(rule, json.loads(evidence or '{}'))} ({probability:.4f})"
        )
        if kind == "split":
            lost = "the evidence is gone" if then is None else (why or "too little by itself")
            words += f"; now {lost.replace('_', ' ')}"
        said.append(words)
    return tuple(said)
