"""`mainstem identity plan`: what today's rules and decisions would do, before they do it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from identity.audience_effects import AudienceEffect
from identity.plan import Plan
from orchestration.cli import EXIT_FAILED
from orchestration.home import find_home
from orchestration.warehouse import attach_published

if TYPE_CHECKING:
    from rich.console import Console


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--quiet", is_flag=True, help="No progress; only the result.")
@click.option("--rules", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A rules file to try, instead of identity/rules.yml.")  # fmt: skip
@click.option("--overrides", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Decisions to try, instead of identity/overrides.yml.")  # fmt: skip
@click.option("--retrain", is_flag=True, help="With a model trained on the records of today.")
def plan(
    as_json: bool, quiet: bool, rules: Path | None, overrides: Path | None, retrain: bool
) -> None:
    """Show what today's rules.yml and overrides.yml would change, without changing it.

    Resolves the published records in memory and compares with their customers: who would merge,
    split, be new; the largest effects with their evidence; the audiences that are touched. Nothing
    is written, and a run may go on meanwhile.
    """
    from identity import configs
    from identity import plan as planning
    from identity.sections import RulesError
    from orchestration.progress import Progress, to_terminal

    if retrain and (rules or overrides):
        raise click.UsageError(
            "--retrain tries the rules and decisions in force; leave the files out"
        )
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
                is_retrain=retrain,
            )
    except RulesError as error:
        print(f"mainstem: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    if as_json:
        print(json.dumps(found.to_dict(), indent=2, default=str, ensure_ascii=False))
    else:
        _show(found, is_retrain=retrain)


def _show(found: Plan, *, is_retrain: bool) -> None:
    from rich.console import Console
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
        _show_audiences(console, found.audiences)
    if found.why_trained is not None and not is_retrain:
        console.print(
            "\nPairs were scored with a model trained for this preview"
            f" ({found.why_trained}); apply trains one, too."
        )
    carried_out, kept = (
        ("retrain", "the kept model") if is_retrain else ("apply", "the former rules")
    )
    if found.rolled_back_to and not is_retrain:
        console.print(
            f"\nThe rules and decisions of run {found.rolled_back_to[:8]} are in force since a rollback:"
            " these count after `mainstem identity apply`."
        )
    elif found.share_moved > found.max_changed_share:
        console.print(
            f"\nMore than guards.max_changed_share ({found.max_changed_share:.1%}): `mainstem run` will"
            f" keep {kept} until `mainstem identity {carried_out}`."
        )
    elif is_retrain:
        console.print("\nNext: mainstem identity retrain")
    else:
        console.print("\nNext: mainstem identity apply   # or the next mainstem run does it")


def _show_audiences(console: Console, audiences: Sequence[AudienceEffect]) -> None:
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    table.add_column("\nAudience")
    for title in ("members", "with other\nrecords", "members\nthen"):
        table.add_column(title, justify="right")
    touched = [audience for audience in audiences if audience.touched]
    for audience in touched:
        most = audience.members_most
        table.add_row(
            audience.audience,
            f"{audience.members:,}",
            f"{audience.touched:,}",
            f"{audience.members_least:,}"
            + (f" to {most:,}" if most > audience.members_least else ""),
        )
    if touched:
        console.print(table)
        console.print(
            "  (their members under the customers they would be; SELECTs run again after apply)",
            style="dim",
        )
    untouched = len(audiences) - len(touched)
    if untouched:
        console.print(f"  Audiences with nobody touched: {untouched:,}", style="dim")
