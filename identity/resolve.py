"""One run of identity resolution: canonical tables in, the identity tables out, all of them or
none.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import duckdb

from identity import configs, past, tables
from identity import overrides as decisions
from identity.email_names import fill_names
from identity.exact import link_exactly
from identity.firewall import attach_identifiers, block_values
from identity.graph import cluster_contacts, unite
from identity.identifiers import build_ids
from identity.model import record as record_model
from identity.normalise import build_people, load_macros
from identity.numbers import name_nodes, number_nodes
from identity.overrides import Override
from identity.probabilistic import link_probably
from identity.profiles import build_profiles
from identity.rules import Rules
from identity.stable_ids import assign_ids
from identity.visitors import attach_visitors

# Part of the model's version: raise it when the code decides differently on the same rules.
CODE_VERSION = "4"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class RunSummary:
    """What a run found.

    Counts are of today's answer; merges and splits of what changed since the last one, and
    `changed` the nodes that had another customer before. `is_written` is false where `accept`
    refused it. `warnings` are decisions that wait for records which are not there.
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
    seconds: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain data."""
        return asdict(self)


Accept = Callable[[duckdb.DuckDBPyConnection, RunSummary], bool]


def resolve(
    con: duckdb.DuckDBPyConnection,
    rules: Rules,
    *,
    run_id: str,
    now: datetime,
    overrides: Sequence[Override] = (),
    purpose: str = "run",
    like: int | None = None,
    accept: Accept | None = None,
    progress: Progress | None = None,
) -> RunSummary:
    """Resolve every contact and visitor of `canonical` into customers; write the tables of
    `identity`.

    `con` is the warehouse, outside a transaction, in its own database. `now` (UTC) dates history.
    All tables are written in one transaction at the end: a killed run leaves yesterday's. Where
    neither the input nor the rules nor `overrides` changed since the last run, nothing is written
    and the summary says `unchanged`.

    `purpose` is what identity.runs says of it: run, apply, plan (which writes nothing, not even
    missing tables), or `rollback to <run>`, for which `like` is the number of the run whose ids
    are to come back. `accept` sees the working database and the summary before anything is
    written, and may refuse. `progress` is told each step's name. Raises RulesError when a `when` of
    the rules is not valid SQL or decisions contradict each other, duckdb.Error when canonical
    tables are missing.
    """
    started = datetime.now(UTC).replace(tzinfo=None)
    now = now.astimezone(UTC).replace(tzinfo=None) if now.tzinfo else now
    if purpose != "plan":
        tables.create(con)
    version = model_version(rules)
    input_hash = fingerprint(con)
    config_hash = decisions.config_hash(rules, overrides)
    if purpose == "run" and _last_run(con) == (version, config_hash, input_hash):
        return _summary(con, rules, run_id, {}, unchanged=True)
    run_number = 1 + _runs(con)
    clock = _Clock(progress)
    with _workspace(con) as (work, warehouse):
        clock.start("normalise")
        load_macros(work)
        build_people(work, warehouse, rules)
        build_ids(work, warehouse, rules)
        warnings = decisions.spread(work, overrides)
        number_nodes(work)
        clock.start("firewall")
        block_values(work, rules)
        attach_identifiers(work, rules)
        fill_names(work)
        clock.start("exact evidence")
        link_exactly(work, rules)
        clock.start("entities")
        unite(work, rules)
        build_profiles(work)
        clock.start("probabilistic evidence")
        model = link_probably(work, rules)
        record_model(work, rules, model)
        clock.start("cluster")
        cluster_contacts(work, rules, model)
        attach_visitors(work, rules)
        name_nodes(work, "members", "node_key", "cluster_key", "strict_key")
        clock.start("stable ids")
        assign_ids(
            work,
            warehouse,
            run_id,
            now,
            like=past.members_after(warehouse, like) if like is not None else None,
            reason=purpose if like is not None else None,
        )
        past.record(work, warehouse, run_number)
        clock.start("write")
        tables.prepare(work, warehouse, run_id, version, now)
        configs.record(work, warehouse, rules, overrides, (version, now))
        figures = _figures(work)
        run = {
            "run_id": run_id,
            "model_version": version,
            "config_hash": config_hash,
            "started_at": started,
            "finished_at": datetime.now(UTC).replace(tzinfo=None),
            **figures,
            "input_hash": input_hash,
            "run_number": run_number,
            "purpose": purpose,
        }
        if accept is not None:
            found = RunSummary(
                run_id=run_id,
                unchanged=False,
                model_version=version,
                is_written=False,
                warnings=tuple(warnings),
                **figures,
            )
            if not accept(work, found):
                return found
        tables.publish(work, warehouse, run)
    summary = _summary(con, rules, run_id, clock.stop(), unchanged=False)
    return replace(summary, warnings=tuple(warnings))


def _runs(con: duckdb.DuckDBPyConnection) -> int:
    row = con.execute("select coalesce(max(run_number), 0) from identity.runs").fetchall()[0]
    return int(row[0])


def fingerprint(con: duckdb.DuckDBPyConnection) -> str:
    """Return a hash of what resolution reads, the same in any row order and whenever it was
    loaded.
    """
    contacts = """
        contact_key, source_system, first_name, last_name, full_name, birth_date, address_line1,
        city, postal_code, country_code, coalesce(is_deleted, false)"""
    identifiers = (
        "node_key, identifier_type, identifier_value, is_verified, first_seen_at, last_seen_at"
    )
    consents = "identifier_type, identifier_value"
    parts = [
        con.execute(
            f"""
            select count(*), coalesce(bit_xor(h), 0), coalesce(sum(h % 1099511627776), 0)
            from (select hash({columns}) as h from canonical.{table})
            """
        ).fetchall()
        for table, columns in (
            ("contacts", contacts),
            ("identifiers", identifiers),
            ("consents", consents),
        )
    ]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def model_version(rules: Rules) -> str:
    """Return the version of what decides besides the data: the program and Splink's settings."""
    content = f"{CODE_VERSION} {rules.splink.settings_json}"
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def _last_run(con: duckdb.DuckDBPyConnection) -> tuple[str, str, str] | None:
    rows = con.execute(
        """
        select model_version, config_hash, input_hash
        from identity.runs
        order by run_number desc
        limit 1
        """
    ).fetchall()
    return (str(rows[0][0]), str(rows[0][1]), str(rows[0][2])) if rows else None


@contextlib.contextmanager
def _workspace(
    con: duckdb.DuckDBPyConnection,
) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
    """Yield a cursor whose current database is an empty one in memory, and the warehouse's quoted
    name.

    Nothing half-made ever stands in the warehouse's file, and Splink's tables go with the
    workspace.
    """
    name = str(con.execute("select current_database()").fetchall()[0][0])
    warehouse = '"' + name.replace('"', '""') + '"'
    work = con.cursor()
    work.execute("attach ':memory:' as identity_work")
    try:
        work.execute("use identity_work")
        yield work, warehouse
    finally:
        work.execute(f"use {warehouse}")
        work.execute("detach identity_work")
        work.close()


def _figures(work: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Return the counts of identity.runs by column (largest_cluster in nodes)."""
    found = work.execute(
        """
        with sizes as (select customer_id, count(*) as nodes from new_ids group by all)
        select
            coalesce(sum(nodes), 0)::bigint as nodes,
            (select count(*) from new_edges) as edges,
            count(*) as customers,
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


def _summary(
    con: duckdb.DuckDBPyConnection,
    rules: Rules,
    run_id: str,
    seconds: dict[str, float],
    *,
    unchanged: bool,
) -> RunSummary:
    row = con.execute(
        """
        select nodes, edges, customers, merges, splits, singletons, largest_cluster, match_rate,
            coalesce(changed, 0),
            (select count(*) from identity.held_clusters),
            (select count(*) from identity.crosswalk as x
                join canonical.contacts as c on c.contact_key = x.node_key),
            (select count(distinct x.customer_id) from identity.crosswalk as x
                join canonical.contacts as c on c.contact_key = x.node_key)
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
        held,
        contacts,
        people,
    ) = row
    return RunSummary(
        run_id=run_id,
        unchanged=unchanged,
        model_version=model_version(rules),
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
        seconds=seconds,
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


class _Clock:
    """Tells `progress` each step and remembers how long it took."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._seconds: dict[str, float] = {}
        self._step: str | None = None
        self._since = time.perf_counter()

    def start(self, step: str) -> None:
        self.stop()
        self._step = step
        if self._progress is not None:
            self._progress(step)

    def stop(self) -> dict[str, float]:
        moment = time.perf_counter()
        if self._step is not None:
            self._seconds[self._step] = round(moment - self._since, 3)
        self._step, self._since = None, moment
        return self._seconds
