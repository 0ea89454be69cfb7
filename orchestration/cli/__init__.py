"""The `mainstem` command: one module a noun, imported only when it is asked for.

Commands that only read the published file import neither Dagster nor dbt, and answer at once.
"""

from __future__ import annotations

import gc
import importlib
import sys

import click

COMMANDS = {
    "resolve": "Who is who in a CSV or Parquet file, with nothing set up.",
    "run": "Load, model, resolve, publish and sync.",
    "status": "What was loaded, resolved and sent last.",
    "customer": "One customer on a page.",
    "metric": "Revenue, orders, customers, ROAS, CAC: one definition for all.",
    "explain": "Why are these records one customer, or not?",
    "identity": "Who is one customer: plan, apply, roll back, review, evaluate.",
    "sql": "Query the published file.",
    "ui": "Dagster: lineage, runs, checks, backfills.",
    "audience": "Who is in an audience, since when, and why.",
    "sync": "What is sent where: list, run, try.",
    "trace": "Why somebody is at a destination, or is not.",
    "sources": "Every source, its freshness, and how much of it is linked.",
    "source": "Add a source.",
    "backfill": "Load the partitions of a window again.",
    "load": "Load one file, with an answer for every row.",
    "quarantine": "Rows that loading refused: list, explain, replay.",
    "docs": "dbt's documentation as one static page.",
    "init": "A project for a company of your own.",
}

EXIT_COMPLETE, EXIT_FAILED, EXIT_USAGE, EXIT_INCOMPLETE = 0, 1, 2, 3


class _Commands(click.Group):
    """Commands found by name, and imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"orchestration.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mainstem")
def cli() -> None:
    """Mainstem: the customer data platform that is your warehouse.

    Everything is a table in the published DuckDB file: query it with `mainstem sql`, or open it
    with any DuckDB client.
    """


def main() -> None:
    """Entry point; a user's mistake ends in one line, never in a traceback."""
    from orchestration.home import ProjectNotFoundError
    from orchestration.lock import BusyError
    from orchestration.project import ProjectError

    # A command is short, and most of what it makes stays until its end: looking for cycles as often as
    # Python does by itself took a twentieth of the main job.
    gc.set_threshold(100_000, 50, 50)
    try:
        cli(prog_name="mainstem")
    except (ProjectNotFoundError, ProjectError, BusyError, FileNotFoundError) as error:
        print(f"mainstem: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
