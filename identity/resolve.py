"""One run of identity resolution: canonical tables in, the identity tables out, all of them or
none.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import duckdb

from identity import tables
from identity.exact import link_exactly
from identity.firewall import attach_identifiers, block_values
from identity.graph import cluster_contacts, unite
from identity.identifiers import build_ids
from identity.normalise import build_people, load_macros
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

    Counts are of today's answer; merges and splits of what changed since the last one.
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
    unknown_types: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain data."""
        return asdict(self)


def resolve(
    con: duckdb.DuckDBPyConnection,
    rules: Rules,
    *,
    run_id: str,
    now: datetime,
    progress: Progress | None = None,
) -> RunSummary:
    """Resolve every contact and visitor of `canonical` into customers; write the tables of
    `identity`.

    `con` is the warehouse, outside a transaction, in its own database. `now` (UTC) dates history.
    All tables are written in one transaction at the end: a killed run leaves yesterday's. Where
    neither the input nor the rules changed since the last run, nothing is written and the summary
    says `unchanged`. `progress` is told each step's name. Raises RulesError when a `when` of the
    rules is not valid SQL, duckdb.Error when canonical tables are missing.
    """
    started = datetime.now(UTC).replace(tzinfo=None)
    now = now.astimezone(UTC).replace(tzinfo=None) if now.tzinfo else now
    tables.create(con)
    model_version = _model_version(rules)
    input_hash = fingerprint(con)
    if _last_run(con) == (model_version, rules.config_hash, input_hash):
        return _summary(con, rules, run_id, {}, unchanged=True)
    clock = _Clock(progress)
    with _workspace(con) as (work, warehouse):
        clock.start("normalise")
        load_macros(work)
        build_people(work, warehouse, rules)
        build_ids(work, warehouse, rules)
        clock.start("firewall")
        block_values(work, rules)
        attach_identifiers(work, rules)
        clock.start("exact evidence")
        link_exactly(work, rules)
        clock.start("entities")
        unite(work, rules)
        build_profiles(work)
        clock.start("probabilistic evidence")
        link_probably(work, rules)
        clock.start("cluster")
        cluster_contacts(work, rules)
        attach_visitors(work, rules)
        clock.start("stable ids")
        assign_ids(work, warehouse, run_id, now)
        clock.start("write")
        tables.prepare(work, warehouse, run_id, model_version, now)
        figures = _figures(work)
        finished = datetime.now(UTC).replace(tzinfo=None)
        run = (run_id, model_version, rules.config_hash, started, finished, *figures, input_hash)
        tables.publish(work, warehouse, run)
    return _summary(con, rules, run_id, clock.stop(), unchanged=False)


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


def _model_version(rules: Rules) -> str:
    content = f"{CODE_VERSION} {rules.splink.settings_json}"
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def _last_run(con: duckdb.DuckDBPyConnection) -> tuple[str, str, str] | None:
    rows = con.execute(
        """
        select model_version, config_hash, input_hash
        from identity.runs
        order by finished_at desc, run_id desc
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


def _figures(work: duckdb.DuckDBPyConnection) -> tuple[Any, ...]:
    """Return nodes, edges, customers, merges, splits, singletons, largest_cluster (in nodes),
    match_rate.
    """
    row = work.execute(
        """
        with sizes as (select customer_id, count(*) as nodes from new_ids group by all)
        select
            coalesce(sum(nodes), 0), (select count(*) from new_edges), count(*),
            (select count(*) from new_history where event = 'merge'),
            (select count(*) from new_history where event = 'split'),
            count(*) filter (nodes = 1), coalesce(max(nodes), 0),
            coalesce(1 - count(*) filter (nodes = 1) / sum(nodes), 0)
        from sizes
        """
    ).fetchall()[0]
    return tuple(row)


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
            (select count(*) from identity.held_clusters),
            (select count(*) from identity.crosswalk as x
                join canonical.contacts as c on c.contact_key = x.node_key),
            (select count(distinct x.customer_id) from identity.crosswalk as x
                join canonical.contacts as c on c.contact_key = x.node_key)
        from identity.runs
        order by finished_at desc, run_id desc
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
        held,
        contacts,
        people,
    ) = row
    return RunSummary(
        run_id=run_id,
        unchanged=unchanged,
        model_version=_model_version(rules),
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
