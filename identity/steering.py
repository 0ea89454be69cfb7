"""Which rules and decisions a run resolves with: the files', unless a rollback is in force or they
change too much at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import duckdb

from identity import configs, tables
from identity.configs import Config
from identity.resolve import KEPT, RETRAIN, Accept, model_version, resolve
from identity.summary import Progress, RunSummary

# Fewer changed records than this never stop a run: in a small company one decision is many percent.
MIN_CHANGED = 25


@dataclass(frozen=True)
class Steered:
    """What a run found, and what it has to say about the rules that it used.

    `left_out` is what a run that is not complete left out.
    """

    summary: RunSummary
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def run(
    con: duckdb.DuckDBPyConnection,
    config: Config,
    *,
    run_id: str,
    now: datetime,
    progress: Progress | None = None,
) -> Steered:
    """Resolve with `config`, the files of today.

    While a rollback is in force its rules and decisions count instead. Where `config` is new and
    would give more than `guards.max_changed_share` of the records another customer, the last run's
    rules and decisions stay and the files wait for `apply`; where the program itself has changed
    that much, yesterday's ids stay as they are. Where the data has drifted away from the model and a
    new one would change that much, the kept model stays and the new one waits for `retrain`.
    """
    tables.create(con)
    notes = []
    back = configs.rolled_back_to(con)
    if back is not None:
        kept = configs.load(con, back[1], config.rules)
        if kept is not None:
            if kept.config_hash != config.config_hash:
                notes.append(
                    f"rules and decisions of run {back[0][:8]} are in force since the rollback;"
                    " the files count again after `mainstem identity apply`"
                )
            config = kept
    last = configs.last(con)
    version = model_version(config.rules)
    if last is None or last == (config.config_hash, version):
        steered = _watched(con, config, run_id=run_id, now=now, progress=progress)
        return replace(steered, notes=(*notes, *steered.notes))
    return _guarded(con, config, last, run_id=run_id, now=now, progress=progress, notes=notes)


def _guarded(
    con: duckdb.DuckDBPyConnection,
    config: Config,
    last: tuple[str, str],
    *,
    run_id: str,
    now: datetime,
    progress: Progress | None,
    notes: Sequence[str],
) -> Steered:
    limit = config.rules.guards.max_changed_share
    known = _known(con)
    version = model_version(config.rules)
    share = configs.refused(con, config.config_hash, version)
    if share is None:
        summary = resolve(
            con,
            config.rules,
            run_id=run_id,
            now=now,
            overrides=config.overrides,
            accept=_is_small(limit, known),
            progress=progress,
        )
        if summary.is_written or summary.unchanged:
            return Steered(summary, (*notes, *news_of(summary, is_changed=True)))
        share = summary.changed / known
        configs.refuse(con, config.config_hash, version, summary.changed, share)
    refusal = (
        f"identity: the changed rules would give {share:.1%} of all records another customer, more"
        f" than guards.max_changed_share ({limit:.1%}); look with `mainstem identity plan`, then"
        " `mainstem identity apply`, or take the change back"
    )
    before = configs.load(con, last[0])
    if before is not None and (before.config_hash, model_version(before.rules)) == last:
        steered = _watched(con, before, run_id=run_id, now=now, progress=progress)
        kept = "; until then the rules and decisions of the last run stay in force"
        return Steered(
            steered.summary, (*notes, *steered.notes), (refusal + kept, *steered.left_out)
        )
    # the program decides differently now: there is no going back to what it did
    waiting = refusal + "; until then new records have no customer"
    return Steered(_as_it_was(con, config, run_id), tuple(notes), (waiting,))


def _watched(
    con: duckdb.DuckDBPyConnection,
    config: Config,
    *,
    run_id: str,
    now: datetime,
    progress: Progress | None,
) -> Steered:
    """Resolve with the configuration of the last run; a new model that the data has drifted to is
    held to the guard as new rules are.
    """
    limit = config.rules.guards.max_changed_share
    known = _known(con)
    again = partial(
        resolve,
        con,
        config.rules,
        run_id=run_id,
        now=now,
        overrides=config.overrides,
        progress=progress,
    )
    drifted = _drifted(config)
    share = configs.refused(con, *drifted)
    if share is None:
        summary = again(accept_model=_is_small(limit, known))
        if summary.is_written or summary.unchanged:
            return Steered(summary, news_of(summary, is_changed=False))
        share = summary.changed / known
        configs.refuse(con, *drifted, summary.changed, share)
    refusal = (
        "identity: the data is no longer like what the model was trained on, and with a new"
        f" model {share:.1%} of all records would have another customer, more than guards.max_changed_share"
        f" ({limit:.1%}); look with `mainstem identity plan --retrain`, then `mainstem identity"
        " retrain`; until then the kept model stays in force"
    )
    summary = again(mode=KEPT)
    return Steered(summary, news_of(summary, is_changed=False), (refusal,))


def _drifted(config: Config) -> tuple[str, str]:
    """What a refused model of these rules is remembered by: their hash, and a version of its own."""
    return config.config_hash, f"{model_version(config.rules)} retrained"


def _known(con: duckdb.DuckDBPyConnection) -> int:
    return int(con.execute("select count(*) from identity.crosswalk").fetchall()[0][0])


def _is_small(limit: float, known: int) -> Accept:
    """Whether a run changes few enough of the records that were known before."""

    def is_small(_: duckdb.DuckDBPyConnection, found: RunSummary) -> bool:
        return found.changed < MIN_CHANGED or found.changed <= limit * known

    return is_small


def _as_it_was(con: duckdb.DuckDBPyConnection, config: Config, run_id: str) -> RunSummary:
    """The summary of a run that writes nothing."""
    row = con.execute(
        """
        select nodes, edges, customers, singletons, largest_cluster, match_rate
        from identity.runs
        order by run_number desc
        limit 1
        """
    ).fetchall()[0]
    return RunSummary(
        run_id=run_id,
        unchanged=True,
        model_version=model_version(config.rules),
        nodes=int(row[0]),
        edges=int(row[1]),
        customers=int(row[2]),
        singletons=int(row[3]),
        largest_cluster=int(row[4]),
        match_rate=float(row[5]),
        is_written=False,
    )


def apply(
    con: duckdb.DuckDBPyConnection,
    config: Config,
    *,
    run_id: str,
    now: datetime,
    progress: Progress | None = None,
) -> Steered:
    """Resolve with `config` whatever it changes, and end a rollback."""
    tables.create(con)
    configs.accept(con, config.config_hash, model_version(config.rules))
    configs.accept(con, *_drifted(config))
    summary = resolve(
        con,
        config.rules,
        run_id=run_id,
        now=now,
        overrides=config.overrides,
        purpose="apply",
        progress=progress,
    )
    return Steered(summary, news_of(summary, is_changed=True))


def retrain(
    con: duckdb.DuckDBPyConnection,
    config: Config,
    *,
    run_id: str,
    now: datetime,
    progress: Progress | None = None,
) -> Steered:
    """Resolve everything with a model trained on today's data, by the rules and decisions of the last
    run: a change of the files waits for a run or `apply`, which look at how much it changes.
    `config` (the files') is for the first run. The new model stays in force.
    """
    tables.create(con)
    last = configs.last(con)
    if last is not None:
        config = configs.load(con, last[0], config.rules) or config
    configs.accept(con, *_drifted(config))
    summary = resolve(
        con,
        config.rules,
        run_id=run_id,
        now=now,
        overrides=config.overrides,
        progress=progress,
        mode=RETRAIN,
    )
    return Steered(summary, news_of(summary, is_changed=True))


def news_of(summary: RunSummary, *, is_changed: bool) -> tuple[str, ...]:
    """Return what a run has to tell: decisions that wait, and what a change of rules did."""
    news = summary.warnings + summary.notes
    if summary.scope is not None:
        news += (summary.scope.in_words(),)
    if is_changed and summary.is_written:
        news += (
            f"rules, decisions or model changed: {summary.changed:,} records have another"
            f" customer ({summary.merges:,} merges, {summary.splits:,} splits)",
        )
    return news
