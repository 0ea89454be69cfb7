"""Going back to what a former run left, and holding it against what has happened since."""

from __future__ import annotations

from datetime import datetime

import duckdb

from identity import configs, past, tables
from identity.configs import Config
from identity.overrides import Override
from identity.resolve import resolve
from identity.sections import RulesError
from identity.steering import Steered, news_of
from identity.summary import Progress, RunSummary

# Decisions that hold one customer may move the records of another: then those are held, too.
ROUNDS = 4


class RollbackError(ValueError):
    """A former state that cannot come back; the message says why and what to do."""


def rollback(
    con: duckdb.DuckDBPyConnection,
    to: str,
    config: Config,
    *,
    run_id: str,
    now: datetime,
    progress: Progress | None = None,
) -> Steered:
    """Give every contact that is still there the customer that it had after run `to`.

    `to` is a run's id, the beginning of it, or its number. Its rules and decisions are in force
    from then on (today's rules, `config`, without decisions, if they were not kept); where today's
    data would not lead to the same customers with them, decisions are added that do. Records that
    came since are placed by the evidence. Raises RollbackError for an unknown run.
    """
    tables.create(con)
    number = past.number_of(con, to)
    if number is None:
        raise RollbackError(f"no run goes by {to!r}; `mainstem identity runs` lists them")
    target, config_hash = con.execute(
        "select run_id, config_hash from identity.runs where run_number = ?", [number]
    ).fetchall()[0]
    config = configs.load(con, config_hash, config.rules) or Config(config.rules)
    pins: dict[str, Override] = {}

    def is_exact(work: duckdb.DuckDBPyConnection, _: RunSummary) -> bool:
        found = _pins(work, now, place=f"rollback to run {target}")
        pins.update({pin.override_id: pin for pin in found})
        return not found

    for _ in range(ROUNDS):
        try:
            summary = resolve(
                con,
                config.rules,
                run_id=run_id,
                now=now,
                overrides=(*config.overrides, *pins.values()),
                purpose=configs.ROLLBACK + target,
                like=number,
                accept=is_exact,
                progress=progress,
            )
        except RulesError as error:
            # only its message: what a user reads is the innermost error
            raise RollbackError(f"run {to} cannot be restored: {error}") from None
        if summary.is_written:
            notes = news_of(summary, is_changed=True)
            if pins:
                notes += (f"{len(pins)} decisions were added to hold the former customers",)
            return Steered(summary, notes)
    raise RollbackError(
        f"run {to} cannot be restored: today's records contradict it; nothing was changed."
        " add overrides for the customers that matter"
    )


def _pins(work: duckdb.DuckDBPyConnection, now: datetime, *, place: str) -> list[Override]:
    """Decisions that lead from what was found to the former customers; none if it is them.

    Contacts of a former customer that fell apart, or met another one, are chained together; former
    customers that met are kept apart, by one contact of each.
    """
    work.execute(
        """
        create or replace table former as
        select f.node_key, f.customer_id, n.customer_id as found_id
        from then_members as f
        join new_ids as n using (node_key)
        where f.node_key in (
            select k.node_key from people as p join node_numbers as k on k.number = p.node_key)
        """
    )
    pairs = work.execute(
        """
        with met as (
            select found_id from former group by found_id having count(distinct customer_id) > 1
        ),
        troubled as (
            select customer_id from former group by customer_id having count(distinct found_id) > 1
            union
            select customer_id from former semi join met using (found_id)
        ),
        heads as (
            select found_id, customer_id, min(node_key) as node_key
            from former
            semi join met using (found_id)
            group by all
        )
        select 'always_link', lag(node_key) over (
            partition by customer_id order by node_key) as left_key, node_key
        from former
        semi join troubled using (customer_id)
        qualify left_key is not null
        union all
        select 'never_link', l.node_key, r.node_key
        from heads as l
        join heads as r using (found_id)
        where l.node_key < r.node_key
        order by all
        """
    ).fetchall()
    return [
        Override(
            action=action,
            left=left,
            right=right,
            author="mainstem",
            reason=place,
            created_at=now,
            place=place,
        )
        for action, left, right in pairs
    ]
