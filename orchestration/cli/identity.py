"""`mainstem identity`: look ahead, carry out, go back; and answer what only people can."""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

import click

from orchestration import lock
from orchestration.cli import EXIT_FAILED
from orchestration.home import find_home
from orchestration.progress import Progress, to_terminal
from orchestration.warehouse import read_published

LATER = {
    "plan": ("identity_plan", "plan"),
    "review": ("identity_review", "review"),
    "evaluate": ("identity_quality", "evaluate"),
    "charts": ("identity_quality", "charts"),
}
"""Commands that live in modules of their own, imported when they are called."""

RUNS = """
    select run_number, run_id, purpose, finished_at, nodes, customers, changed, merges, splits,
        config_hash, model_version
    from identity.runs
    order by run_number desc
    limit ?
"""


class _Identity(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["plan", "apply", "retrain", "rollback", "runs", "review", "evaluate", "charts"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in LATER:
            return super().get_command(ctx, cmd_name)
        module, name = LATER[cmd_name]
        command: click.Command = getattr(
            importlib.import_module(f"orchestration.cli.{module}"), name
        )
        return command


@click.group(cls=_Identity)
def command() -> None:
    """Who is one customer: rules and decisions, what they would change, and the way back.

    Rules are in identity/rules.yml, decisions of people in identity/overrides.yml. Both count from
    the next `mainstem run`, unless they change more than guards.max_changed_share.
    """


@command.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--quiet", is_flag=True, help="No progress; only the result.")
def apply(as_json: bool, quiet: bool) -> None:
    """Resolve with today's rules.yml and overrides.yml, however much changes.

    Runs identity and everything that is made of it, on the records that are loaded. Ends a rollback.
    """
    _execute("apply", as_json=as_json, quiet=quiet)


@command.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--quiet", is_flag=True, help="No progress; only the result.")
def retrain(as_json: bool, quiet: bool) -> None:
    """Train the model on today's records and resolve everybody with it.

    Otherwise a model is kept until the rules of it change, or until the data is no longer like what
    it was trained on (splink.max_growth and splink.max_drift in rules.yml).
    """
    _execute("retrain", as_json=as_json, quiet=quiet)


@command.command()
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--quiet", is_flag=True, help="No progress; only the result.")
def rollback(run: str, as_json: bool, quiet: bool) -> None:
    """Give every record the customer that it had after RUN.

    RUN is a run's number, its id or the beginning of it, as `mainstem identity runs` lists them. Its
    rules and decisions stay in force until `mainstem identity apply`. It is recorded in history, and
    a rollback can be rolled back.
    """
    from identity import configs, past

    home = find_home()
    with read_published(home.published) as con:
        number = past.number_of(con, run)
        if number is None:
            print(
                f"mainstem: no run goes by {run!r}; `mainstem identity runs` lists them",
                file=sys.stderr,
            )
            sys.exit(EXIT_FAILED)
        (target,) = con.execute(
            "select run_id from identity.runs where run_number = ?", [number]
        ).fetchall()[0]
    _execute(configs.ROLLBACK + target, as_json=as_json, quiet=quiet)


def _execute(identity: str, *, as_json: bool, quiet: bool) -> None:
    from orchestration.cli import run as running

    home = find_home()
    progress = Progress() if quiet or as_json else to_terminal()
    with lock.hold(home.lock, f"mainstem identity {identity.split(maxsplit=1)[0]}"):
        outcome = running.execute(home, progress, identity=identity)
    with read_published(home.published) as con:
        latest: dict[str, Any] = _runs(con, 1)[0]
    if as_json:
        print(json.dumps({**outcome, "identity": latest}, indent=2, default=str))
    else:
        for problem in (*outcome["errors"], *outcome.get("left_out", ())):
            print(f"mainstem: {problem}", file=sys.stderr)
        if not outcome["errors"]:
            print(
                f"Run {latest['run_number']} ({latest['purpose']}): {latest['customers']:,} customers;"
                f" {latest['changed'] or 0:,} records have another customer than before"
                f" ({latest['merges']:,} merges, {latest['splits']:,} splits)"
            )
            print("Next: mainstem identity runs")
    sys.exit(outcome["exit_code"])


@command.command()
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="How many, newest first."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def runs(limit: int, as_json: bool) -> None:
    """List resolutions that changed something, newest first, and which of them can be gone back to."""
    from rich.console import Console
    from rich.table import Table

    with read_published(find_home().published) as con:
        found = _runs(con, limit)
    if as_json:
        print(json.dumps(found, indent=2, default=str))
        return
    table = Table(box=None, header_style="bold")
    for title in ("run", "id", "finished (UTC)", "customers", "changed", "merges", "splits"):
        table.add_column(title, justify="left" if title in ("id", "finished (UTC)") else "right")
    table.add_column("config")
    table.add_column("what for")
    for run in found:
        table.add_row(
            str(run["run_number"]),
            run["run_id"][:8],
            f"{run['finished_at']:%Y-%m-%d %H:%M:%S}",
            f"{run['customers']:,}",
            f"{run['changed'] or 0:,}",
            f"{run['merges']:,}",
            f"{run['splits']:,}",
            run["config_hash"][:8],
            run["purpose"],
        )
    Console(highlight=False, soft_wrap=True).print(table)


def _runs(con: Any, limit: int) -> list[dict[str, Any]]:
    relation = con.execute(RUNS, [limit])
    names = [column[0] for column in relation.description]
    return [dict(zip(names, row, strict=True)) for row in relation.fetchall()]
