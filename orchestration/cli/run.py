"""`mainstem run`: the whole road, once, in this process, and in Dagster's history too."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from orchestration import lock
from orchestration.cli import EXIT_COMPLETE, EXIT_FAILED, EXIT_INCOMPLETE
from orchestration.home import Home, find_home
from orchestration.progress import Progress, to_terminal

if TYPE_CHECKING:
    import dagster as dg


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Report as JSON on standard output.")
@click.option("--select", help="Some assets alone, in Dagster's selection syntax.")
@click.option("--quiet", is_flag=True, help="No progress; only the report at the end.")
def command(as_json: bool, select: str | None, quiet: bool) -> None:
    """Load every source, build and test the models, resolve identity, publish, and sync.

    It can be killed and run again at any moment: nothing is lost, nothing is there twice, and no
    customer id changes because of it. What has not changed is not done again.

    \b
    mainstem run --select 'key:"audiences/aud_*"+'      # audiences, and what depends on them
    mainstem run --select 'group:staging or +key:"marts/customer_360"'

    \b
    Exit code: 0 complete, 1 failed, 2 wrong usage, 3 incomplete (it says what was left out).
    """
    home = find_home()
    progress = Progress() if quiet else to_terminal()
    with lock.hold(home.lock, "mainstem run"):
        outcome = execute(home, progress, select=select)
    if as_json:
        print(json.dumps(outcome, indent=2, default=str))
    else:
        from orchestration.cli import report

        report.show(home, outcome)
    sys.exit(outcome["exit_code"])


def execute(
    home: Home,
    progress: Progress,
    *,
    identity: str | None = None,
    select: str | None = None,
    sync: str | None = None,
    how: Mapping[str, bool] | None = None,
) -> dict[str, Any]:
    """Run everything; what came of it as plain data. The caller holds the lock.

    `select` runs some assets alone. Raises click.UsageError if it is none of Dagster's selections,
    or selects nothing.

    `identity` runs identity and what follows alone: `apply`, or `rollback to <run>`. `sync` runs
    one sync, which must be declared, and publishes what it did; `how` is its SyncConfig.
    """
    began = time.monotonic()
    progress.say(f"starting; data in {home.shown(home.data)}")
    with progress.step("start"):
        from orchestration import history
        from orchestration.assembly import JOB, assemble
        from orchestration.defs import syncs
        from orchestration.defs.graph import IDENTITY_TAG, downstream
        from orchestration.project import ProjectError

        try:
            assembly = assemble(home, progress, holds_lock=True)
        except ProjectError as error:
            return _outcome(EXIT_FAILED, errors=[str(error)], seconds=time.monotonic() - began)
        for problem in assembly.problems if sync is None else ():
            assembly.mainstem.leave_out(problem)
        instance = history.open_instance(home)
        history.end_dead_runs(instance)
    with instance, progress.step("run"):
        tags = {history.COMMAND_TAG: "run"}
        selection, ops = None, {}
        if identity is not None:
            tags |= {history.COMMAND_TAG: "identity", IDENTITY_TAG: identity}
            selection = list(downstream(assembly.definitions))
        elif sync is not None:
            tags |= {history.COMMAND_TAG: "sync"}
            selection = syncs.alone(sync)
            ops = {syncs.op_name(sync): {"config": dict(how or {})}}
        elif select is not None:
            selection = _select(assembly.definitions, select)
        result = assembly.definitions.resolve_job_def(JOB).execute_in_process(
            instance=instance,
            asset_selection=selection,
            raise_on_error=False,
            run_config={
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                "ops": ops,
            },
            tags=tags,
        )
    errors = _errors(result)
    left_out = assembly.mainstem.left_out
    code = EXIT_FAILED if not result.success else EXIT_INCOMPLETE if left_out else EXIT_COMPLETE
    facts = assembly.mainstem.facts
    return _outcome(
        code,
        run_id=result.run_id,
        as_of=assembly.mainstem.project.as_of(),
        sample=assembly.mainstem.is_sample,
        left_out=left_out,
        errors=errors,
        changed=facts.get("changed", 0),
        notes=facts.get("notes", []),
        score=asdict(facts["score"]) if facts.get("score") else None,
        syncs={name: asdict(sync) for name, sync in facts.get("syncs", {}).items()},
        seconds=time.monotonic() - began,
        seconds_by_step=progress.seconds,
    )


def _select(definitions: dg.Definitions, text: str) -> list[dg.AssetKey]:
    """The assets that a text of Dagster's selection syntax means."""
    import dagster as dg

    try:
        selection = dg.AssetSelection.from_coercible(text)
        found = selection.resolve(definitions.resolve_asset_graph())
    except Exception as error:
        raise click.UsageError(f"--select {text}: {str(error).strip().splitlines()[0]}") from error
    if not found:
        raise click.UsageError(
            f"--select {text} selects nothing: keys are written as in `make ui`,"
            ' such as key:"marts/customer_360"'
        )
    return sorted(found)


def _outcome(code: int, **facts: Any) -> dict[str, Any]:
    status = {EXIT_COMPLETE: "complete", EXIT_FAILED: "failed", EXIT_INCOMPLETE: "incomplete"}
    return {"status": status[code], "exit_code": code, **facts}


def _errors(result: dg.ExecuteInProcessResult) -> list[str]:
    """The messages of what failed, without tracebacks and Dagster's wrapping."""
    found = []
    for event in result.all_events:
        if event.is_step_failure:
            found.append(f"{event.step_key}: {_root_message(event.step_failure_data.error)}")
        elif event.is_job_failure and not found:
            found.append(_root_message(event.job_failure_data.error))
    return found


def _root_message(error: Any) -> str:
    while error is not None and error.cause is not None:
        error = error.cause
    return str(error.message).strip() if error is not None else "failed without a message"
