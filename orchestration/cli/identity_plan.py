"""`mainstem identity plan`: what today's rules and decisions would do, before they do it."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from identity.plan import Plan
from orchestration.cli import EXIT_FAILED
from orchestration.home import find_home
from orchestration.warehouse import attach_published


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--quiet", is_flag=True, help="No progress; only the result.")
@click.option("--rules", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A rules file to try, instead of identity/rules.yml.")  # fmt: skip
@click.option("--overrides", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Decisions to try, instead of identity/overrides.yml.")  # fmt: skip
def plan(as_json: bool, quiet: bool, rules: Path | None, overrides: Path | None) -> None:
    """Show what today's rules.yml and overrides.yml would change, without changing it.

    Resolves the published records in memory and compares with their customers: who would merge,
    split, be new; the largest effects with their evidence; the audiences that are touched. Nothing
    is written, and a run may go on meanwhile.
    """
    from identity import configs
    from identity import plan as planning
    from identity.sections import RulesError
    from orchestration.progress import Progress, to_terminal

    home = find_home()
    progress = Progress() if quiet or as_json else to_terminal()
    try:
        config = configs.read(rules or home.rules, overrides or home.overrides)
        with attach_published(home.published) as con, progress.step("plan"):
            found = planning.plan(
                con,
                config,
                now=datetime.now(UTC).replace(tzinfo=None),
                progress=lambda step: progress.say(f"plan: {step}"),
            )
    except RulesError as error:
        print(f"mainstem: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    if as_json:
        print(json.dumps(found.to_dict(), indent=2, default=str, ensure_ascii=False))
    else:
        _show(found)


def _show(found: Plan) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for warning in found.warnings:
        console.print(Text(f"! {warning}", style="yellow"))
    if found.is_current:
        console.print("Nothing would change: these rules and decisions are in force.")
        return
    console.print(
        f"\n[bold]Customers[/]  {found.customers_before:,} → {found.customers_after:,}:"
        f" {found.merged:,} would merge into others, {found.split:,} would split off,"
        f" {found.new:,} would be new, {found.unchanged:,} stay as they are"
    )
    console.print(
        f"[bold]Records[/]    {found.contacts_moved:,} contacts and {found.visitors_moved:,} visitors"
        f" would have another customer ({found.share_moved:.2%}); largest customer"
        f" {found.largest_before:,} → {found.largest_after:,} records"
    )
    if found.effects:
        console.print(f"\n[bold]The {len(found.effects)} largest effects[/]")
    for effect in found.effects:
        others = ", ".join(effect.other_ids[:3])
        if len(effect.other_ids) > 3:
            others += f" and {len(effect.other_ids) - 3} more"
        verb = {"merge": "takes in", "split": "comes apart into", "move": "gets records of"}
        console.print(
            Text(f"  {effect.customer_id} {verb[effect.kind]} {others}  ({effect.records} records)")
        )
        for line in effect.evidence:
            console.print(Text(f"      {line}", style="green"))
    if found.audiences:
        table = Table(box=None, header_style="bold")
        table.add_column("\nAudience")
        for title in ("members", "with other\nrecords", "one with an-\nother member"):
            table.add_column(title, justify="right")
        for audience in found.audiences:
            table.add_row(
                audience.audience,
                f"{audience.members:,}",
                f"{audience.touched:,}",
                f"{audience.merged_away:,}",
            )
        console.print(table)
        console.print(
            "  (members that are touched; their SELECTs run again after apply)", style="dim"
        )
    console.print(
        "\nPairs were scored with a model trained for this preview; apply scores with the one in"
        " force, so a few doubtful pairs may come out otherwise."
    )
    if found.rolled_back_to:
        console.print(
            f"\nThe rules and decisions of run {found.rolled_back_to[:8]} are in force since a rollback:"
            " these count after `mainstem identity apply`."
        )
    elif found.share_moved > found.max_changed_share:
        console.print(
            f"\nMore than guards.max_changed_share ({found.max_changed_share:.1%}): `mainstem run` will"
            " keep the former rules until `mainstem identity apply`."
        )
    else:
        console.print("\nNext: mainstem identity apply   # or the next mainstem run does it")
