"""What a run found, in numbers, and how long its steps took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import duckdb

from identity.job import Scope
from identity.rules import Rules

Progress = Callable[[str], None]


@dataclass(frozen=True)
class RunSummary:
    """What a run found.

    Counts are of today's answer; merges and splits of what changed since the last one, and
    `changed` the nodes that had another customer before. `is_written` is false where `accept`
    refused it. `warnings` are decisions that wait for records which are not there.
    `scope` says what an incremental run looked at, None for a full one; `notes` what a person should
    know of how the run went.
    `why_trained` says of a refused run why its model was a new one.
    `unknown_types` are identifier types in the input that the rules do not name: they link nobody.
    """

    run_id: str
    unchanged: bool
    model_version: str
    nodes: int = 0
    contacts: int = 0
    edges: int = 0
    customers: int = 0
    customers_with_contacts: int = 0
    merges: int = 0
    splits: int = 0
    singletons: int = 0
    largest_cluster: int = 0
    match_rate: float = 0.0
    held: int = 0
    changed: int = 0
    is_written: bool = True
    warnings: tuple[str, ...] = ()
    unknown_types: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    scope: Scope | None = None
    why_trained: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain data."""
        return asdict(self)


class Clock:
    """Tells `progress` each step and remembers how long it took."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._seconds: dict[str, float] = {}
        self._step: str | None = None
        self._since = time.perf_counter()

    def start(self, step: str) -> None:
        """Begin a step; the one before ends."""
        self.stop()
        self._step = step
        if self._progress is not None:
            self._progress(step)

    def stop(self) -> dict[str, float]:
        """End the step; return all steps' seconds."""
        moment = time.perf_counter()
        if self._step is not None:
            self._seconds[self._step] = round(moment - self._since, 3)
        self._step, self._since = None, moment
        return self._seconds


def summarise(
    con: duckdb.DuckDBPyConnection, rules: Rules, job: tuple[str, str], clock: Clock | None
) -> RunSummary:
    """Return what the last run left; `job` is this run's id and the program's version. Without a
    `clock` nothing was done.
    """
    run_id, version = job
    unchanged = clock is None
    row = con.execute(
        """
        select nodes, edges, customers, merges, splits, singletons, largest_cluster, match_rate,
            coalesce(changed, 0), contacts, customers_with_contacts,
            (select count(*) from identity.held_clusters)
        from identity.runs
        order by run_number desc
        limit 1
        """
    ).fetchall()[0]
    (
        nodes,
        edges,
        customers,
        merges,
        splits,
        singletons,
        largest,
        match_rate,
        changed,
        contacts,
        people,
        held,
    ) = row
    return RunSummary(
        run_id=run_id,
        unchanged=unchanged,
        model_version=version,
        nodes=int(nodes),
        contacts=int(contacts),
        edges=int(edges),
        customers=int(customers),
        customers_with_contacts=int(people),
        merges=0 if unchanged else int(merges),
        splits=0 if unchanged else int(splits),
        singletons=int(singletons),
        largest_cluster=int(largest),
        match_rate=float(match_rate),
        held=int(held),
        changed=0 if unchanged else int(changed),
        unknown_types=_unknown_types(con, rules),
        seconds=clock.stop() if clock is not None else {},
    )


def _unknown_types(con: duckdb.DuckDBPyConnection, rules: Rules) -> tuple[str, ...]:
    rows = con.execute(
        """
        select distinct identifier_type
        from canonical.identifiers
        where not list_contains($1::varchar[], identifier_type)
        order by all
        """,
        [[rule.identifier_type for rule in rules.identifiers]],
    ).fetchall()
    return tuple(str(row[0]) for row in rows)


def figures(work: duckdb.DuckDBPyConnection, ids: str, edges: str, visitors: str) -> dict[str, Any]:
    """Return the counts of identity.runs by column (largest_cluster in nodes).

    `ids` (with node_key and customer_id) and `edges` are tables of everybody, `visitors` a query for
    (node_key); new_history, new_ids and old_members say what changed.
    """
    found = work.execute(
        f"""
        with sizes as (
            select customer_id, count(*) as nodes, count(*) - count(v.node_key) as contacts
            from {ids}
            left join ({visitors}) as v using (node_key)
            group by customer_id
        )
        select
            coalesce(sum(nodes), 0)::bigint as nodes,
            (select count(*) from {edges}) as edges,
            count(*) as customers,
            coalesce(sum(contacts), 0)::bigint as contacts,
            count(*) filter (contacts > 0) as customers_with_contacts,
            (select count(*) from new_history where event = 'merge') as merges,
            (select count(*) from new_history where event = 'split') as splits,
            count(*) filter (nodes = 1) as singletons,
            coalesce(max(nodes), 0) as largest_cluster,
            coalesce(1 - count(*) filter (nodes = 1) / sum(nodes), 0) as match_rate,
            (select count(*)
                from new_ids as n
                join old_members as o using (node_key)
                where o.customer_id <> n.customer_id) as changed
        from sizes
        """
    )
    names = [str(column[0]) for column in found.description]
    return dict(zip(names, found.fetchall()[0], strict=True))
