"""One run of identity resolution: canonical tables in, the identity tables out, all of them or
none.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import duckdb

from identity import overrides as decisions
from identity import state, tables, trained
from identity.changes import UnforeseenError
from identity.incremental import advance
from identity.job import Job
from identity.overrides import Override
from identity.rules import Rules
from identity.summary import Clock, Progress, RunSummary, summarise
from identity.whole import Found, resolve_whole, write

# Part of the model's version: raise it when the code decides differently on the same rules.
CODE_VERSION = "7"

# How much a run looks at: what changed, if it can; everything; everything with a new model; as the
# first, but with the model that is kept however much the data has drifted.
AUTO, FULL, RETRAIN, KEPT = "auto", "full", "retrain", "kept"

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
    accept_model: Accept | None = None,
    progress: Progress | None = None,
    mode: str = AUTO,
    keeps_state: bool = True,
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
    written, and may refuse; `accept_model` is asked in the same way where the data drifted and a new
    model was trained in place of the one that was kept. `progress` is told each step's name.

    `mode`: `auto` resolves what changed since the last run where that is possible, and everything
    otherwise; `full` everything, with the model that is kept; `retrain` everything, with a new
    model; `kept` as `auto`, with the kept model however much the data has drifted. Without
    `keeps_state` the next run cannot be an incremental one. Raises RulesError when a `when` of the
    rules is not valid SQL or decisions contradict each other, duckdb.Error when canonical
    tables are missing.
    """
    started = datetime.now(UTC).replace(tzinfo=None)
    now = now.astimezone(UTC).replace(tzinfo=None) if now.tzinfo else now
    if purpose != "plan":
        tables.create(con)
        state.create(con)
    version = model_version(rules)
    with _workspace(con) as (work, warehouse):
        input_hash = state.hash_input(work, warehouse)
        config_hash = decisions.config_hash(rules, overrides)
        last = _last_run(con)
        is_run = purpose == "run" and like is None and accept is None and keeps_state
        as_ever = mode in (AUTO, KEPT)
        if purpose == "run" and as_ever and last == (version, config_hash, input_hash):
            return summarise(con, rules, (run_id, version), None)
        run_number = 1 + _runs(con)
        clock = Clock(progress)
        job = Job(
            rules=rules,
            overrides=tuple(overrides),
            run_id=run_id,
            run_number=run_number,
            version=version,
            now=now,
            purpose=purpose,
            like=like,
            row={
                "run_id": run_id,
                "model_version": version,
                "config_hash": config_hash,
                "started_at": started,
                "input_hash": input_hash,
                "run_number": run_number,
                "purpose": purpose,
            },
            buckets=work.sql("from input_buckets").to_arrow_table(),
            keeps_model=mode == KEPT,
        )
        notes: list[str] = []
        if as_ever and is_run and last is not None and last[:2] == (version, config_hash):
            try:
                if not state.is_of(con, run_number - 1, version):
                    raise UnforeseenError("the last run left no state")
                scope, warnings = advance(con, work, warehouse, job, clock.start)
                summary = summarise(con, rules, (run_id, version), clock)
                return replace(summary, warnings=tuple(warnings), scope=scope)
            except UnforeseenError as error:
                notes.append(f"everything was resolved anew: {error}")
    with _workspace(con) as (work, warehouse):
        found = resolve_whole(con, work, warehouse, job, clock.start, is_retrain=mode == RETRAIN)
        if mode == AUTO and _has_another_model(con, job, found):
            accept = accept or accept_model
        if accept is not None:
            refused = RunSummary(
                run_id=run_id,
                unchanged=False,
                model_version=version,
                is_written=False,
                warnings=tuple(found.warnings),
                why_trained=found.why_trained,
                **found.figures,
            )
            if not accept(work, refused):
                return refused
        write(work, warehouse, job, found, keeps_state=keeps_state)
    if found.why_trained is not None and last is not None:
        notes.append(f"the model was trained anew: {found.why_trained}")
    summary = summarise(con, rules, (run_id, version), clock)
    return replace(summary, warnings=tuple(found.warnings), notes=tuple(notes))


def _has_another_model(con: duckdb.DuckDBPyConnection, job: Job, found: Found) -> bool:
    return found.why_trained is not None and trained.load(con, job.rules, job.version) is not None


def _runs(con: duckdb.DuckDBPyConnection) -> int:
    row = con.execute("select coalesce(max(run_number), 0) from identity.runs").fetchall()[0]
    return int(row[0])


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
