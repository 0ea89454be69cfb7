"""`mainstem sync`: what syncs there are, and running one now."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration import held_back, lock, sample, warehouse
from orchestration.cli import EXIT_COMPLETE, EXIT_FAILED, EXIT_INCOMPLETE, sync_preview
from orchestration.home import Home, find_home
from orchestration.progress import Progress, to_terminal
from orchestration.project import Project
from reverse_etl import declarations, destinations, engine, published
from reverse_etl.connection import MissingVariableError, resolve
from reverse_etl.declarations import Sync, Syncs
from reverse_etl.destination import DestinationError
from reverse_etl.engine import Preview
from reverse_etl.published import Overview

KINDS = ("added", "updated", "removed", "rejected", "invalid", "suppressed", "unchanged", "pending")


@click.command()
@click.argument("name", required=False)
@click.option("--dry-run", is_flag=True, help="Say what a run would do; send and write nothing.")
@click.option(
    "--bodies",
    type=click.IntRange(1),
    is_flag=False,
    flag_value=1,
    metavar="[N]",
    help="With --dry-run: the exact requests of the first N batches, with personal data  [1]",
)
@click.option("--resume", is_flag=True, help="Finish what an interrupted run left; no new plan.")
@click.option("--full", is_flag=True, help="Send everything again.")
@click.option("--accept", is_flag=True, help="Let what a guard blocked through, once.")
@click.option("--check", is_flag=True, help="Only try the destination's connection.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--quiet", is_flag=True, help="No progress; only the result.")
def command(
    name: str | None,
    dry_run: bool,
    bodies: int | None,
    resume: bool,
    full: bool,
    accept: bool,
    check: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """List the syncs, or run the one of that NAME now, from what is published.

    A run sends the difference between the audience and what the destination holds. It can be killed
    and run again at any moment. `mainstem trace CUSTOMER NAME` says why somebody is there, or not.

    \b
    mainstem sync
    mainstem sync abandoned_cart_to_email_tool
    mainstem sync abandoned_cart_to_email_tool --dry-run --bodies 2

    \b
    Exit code: 0 complete, 1 failed, 2 wrong usage, 3 incomplete or blocked (it says why).
    """
    wanted = {"resume": resume, "full": full, "accept": accept}
    _check_usage(name, wanted, dry_run=dry_run, bodies=bodies, check=check)
    home = find_home()
    progress = Progress() if quiet or as_json else to_terminal()
    declared = _declared(home, progress)
    if name is None:
        _list(home, declared, as_json=as_json)
        return
    sync = _find(declared, name)
    if check:
        _check(home, sync)
    elif dry_run:
        progress.say(f"planning {name}")
        preview = _preview(home, sync, bodies=bodies or 0, full=full)
        with warehouse.read_published(home.published) as con:
            reason = held_back.reason(con, Project(home).sources)
        sync_preview.show(sync, preview, reason, as_json=as_json)
        sys.exit(sync_preview.EXIT_CODES[preview.status])
    else:
        _run(home, sync, progress, wanted, as_json=as_json)


def _check_usage(
    name: str | None, wanted: dict[str, bool], *, dry_run: bool, bodies: int | None, check: bool
) -> None:
    """Options that say nothing together. Raises click.UsageError."""
    asked = [f"--{option}" for option, is_asked in wanted.items() if is_asked]
    asked += ["--check"] * check + ["--dry-run"] * dry_run
    if name is None and asked:
        raise click.UsageError(f"{asked[0]} of which sync? `mainstem sync` lists them")
    if bodies and not dry_run:
        raise click.UsageError("--bodies goes with --dry-run")
    together = {frozenset(("--full", "--dry-run")), frozenset(("--full", "--accept"))}
    if len(asked) > 1 and frozenset(asked) not in together:
        raise click.UsageError(f"{' and '.join(asked)} do not go together")


def _declared(home: Home, progress: Progress) -> Syncs:
    """The syncs as the files declare them now; dbt parses them if a file has changed."""
    project = Project(home)
    if project.is_parsed():
        return declarations.read(project.manifest)
    progress.say("a file of the dbt project has changed: parsing it")
    with lock.hold(home.lock, "mainstem sync"):
        return declarations.read(project.manifest)


def _find(declared: Syncs, name: str) -> Sync:
    """The sync of that name; whose declaration is wrong says so."""
    for sync in declared.syncs:
        if sync.name == name:
            return sync
    wrong = [str(problem) for problem in declared.problems if problem.sync == name]
    if wrong:
        _fail(*wrong)
    names = {sync.name for sync in declared.syncs} | {one.sync for one in declared.problems}
    raise click.UsageError(f"there is no sync {name}; {declarations.nearest(name, names)}")


def _fail(*messages: str) -> None:
    for message in messages:
        print(f"mainstem: {message}", file=sys.stderr)
    sys.exit(EXIT_FAILED)


def _list(home: Home, declared: Syncs, *, as_json: bool) -> None:
    with warehouse.attach_published(home.published) as con:
        overviews = published.overviews(con)
    found = {sync.name: overviews.get(sync.name, Overview()) for sync in declared.syncs}
    if as_json:
        rows = [
            {
                "sync": sync.name,
                "destination": sync.destination,
                "audience": sync.audience_id,
                "schedule": sync.schedule,
                **asdict(found[sync.name]),
            }
            for sync in declared.syncs
        ]
        problems = [str(problem) for problem in declared.problems]
        print(json.dumps({"syncs": rows, "problems": problems}, indent=2, default=str))
        return
    console = _console()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(Text("Sync", style="bold not dim"), no_wrap=True)
    for title in ("destination", "audience", "schedule"):
        table.add_column(title, no_wrap=True)
    for title in ("held", "refused", "pending"):
        table.add_column(title, justify="right")
    table.add_column("last run (UTC)", no_wrap=True)
    table.add_column("state")
    for sync in declared.syncs:
        told = found[sync.name]
        table.add_row(
            sync.name, sync.destination, sync.audience_id, sync.schedule,
            _count(told.held), _count(told.rejected + told.parked), _count(told.pending),
            f"{told.started_at:%Y-%m-%d %H:%M}" if told.started_at else "·",
            _state(told),
        )  # fmt: skip
    console.print(table)
    for sync in declared.syncs:
        if found[sync.name].status not in (None, "succeeded"):
            trouble = Text(f"  {sync.name}: {found[sync.name].error}", style="red")
            console.print(trouble, soft_wrap=True)
    for problem in declared.problems:
        console.print(Text(f"  {problem}", style="red"), soft_wrap=True)
    for name in sorted(overviews.keys() - found.keys()):
        if overviews[name].held:
            held = f"{name} is declared no more, but {overviews[name].held:,} rows are still there"
            console.print(Text(f"  {held}", style="yellow"), soft_wrap=True)


def _state(told: Overview) -> Text:
    if told.status is None:
        return Text("never ran", style="dim")
    return Text(told.status, style="green" if told.status == "succeeded" else "bold red")


def _check(home: Home, sync: Sync) -> None:
    with sample.environment(home, is_sample=Project(home).is_sample) as env:
        try:
            destination = destinations.find(sync.destination)(resolve(sync.connection, env))
            with destination:
                found = destination.check()
        except (DestinationError, MissingVariableError) as error:
            _fail(f"{sync.path}: exposure {sync.name}, config.meta.sync: {error}")
    print(f"{sync.name} → {sync.destination}: {found}")


def _preview(home: Home, sync: Sync, *, bodies: int, full: bool) -> Preview:
    """What a run would do, by a copy of the ledger: planning a million rows takes seconds, in which
    nobody else has to wait."""
    home.data.mkdir(parents=True, exist_ok=True)
    # the sample's stand-ins are started for their addresses alone, which only requests have in them
    is_sample = bool(bodies) and Project(home).is_sample
    with (
        tempfile.TemporaryDirectory(dir=home.data, prefix="dry_run_") as folder,
        sample.environment(home, is_sample=is_sample) as env,
    ):
        copy = Path(folder) / home.sync_ledger.name
        with lock.hold(home.lock, "mainstem sync --dry-run"):
            for path in home.sync_ledger.parent.glob(f"{home.sync_ledger.name}*"):
                if path.is_file():
                    shutil.copyfile(path, copy.parent / path.name)
        return engine.preview(
            sync, published=home.published, ledger=copy, env=env, bodies=bodies, full=full
        )


def _run(
    home: Home, sync: Sync, progress: Progress, how: dict[str, bool], *, as_json: bool
) -> None:
    from orchestration.cli import run as running

    with lock.hold(home.lock, f"mainstem sync {sync.name}"):
        outcome = running.execute(home, progress, sync=sync.name, how=how)
    result = outcome.get("syncs", {}).get(sync.name)
    code = outcome["exit_code"]
    if result and code != EXIT_FAILED:
        code = {"succeeded": EXIT_COMPLETE, "failed": EXIT_FAILED}.get(
            result["status"], EXIT_INCOMPLETE
        )
    if as_json:
        print(json.dumps({**outcome, "exit_code": code}, indent=2, default=str))
    else:
        _show_result(sync, outcome, result)
    sys.exit(code)


def _show_result(sync: Sync, outcome: dict[str, Any], result: dict[str, Any] | None) -> None:
    console = _console()
    for error in (*outcome["errors"], *outcome.get("left_out", ())):
        print(f"mainstem: {error}", file=sys.stderr)
    if result is None:
        return
    if result["error"] and result["status"] == "succeeded":
        print(f"mainstem: {result['error']}", file=sys.stderr)
    counts = ", ".join(
        f"{result[f'rows_{kind}']:,} {kind}" for kind in KINDS if result[f"rows_{kind}"]
    )
    console.print(
        f"[bold]{sync.name}[/] → {sync.destination}: {result['status']} in"
        f" {outcome['seconds']:.1f} s, {result['requests']:,} requests"
    )
    console.print(Text(f"  {counts or 'no rows'} (of {result['rows_planned']:,})"))


def _count(number: int) -> str:
    return f"{number:,}" if number else "·"


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=150)
