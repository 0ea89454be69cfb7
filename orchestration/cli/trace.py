"""`mainstem trace`: why somebody is at a destination, or is not."""

from __future__ import annotations

import json
import sys

import click
from rich.console import Console
from rich.text import Text

from orchestration import trace
from orchestration.cli import EXIT_FAILED
from orchestration.home import find_home
from orchestration.trace_steps import MISSING, PASSED

MARKS = {PASSED: ("✓", "green"), MISSING: ("✗", "bold red")}


@click.command()
@click.argument("who")
@click.argument("sync")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(who: str, sync: str, as_json: bool) -> None:
    """Show the road of one customer into one sync, and the first step at which they are missing.

    WHO is a customer id (a retired one leads to its heir), a record's key such as crm:K-20001, or any
    identifier: an email, a phone number, a loyalty card, a login. The plan of the sync is made anew
    for them, from what is published.

    \b
    mainstem trace jo@example.com abandoned_cart_to_email_tool
    """
    home = find_home()
    try:
        found = trace.read(home, who, trace.find_sync(home, sync))
    except trace.TraceError as error:
        print(f"mainstem: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    if as_json:
        print(json.dumps(found.to_dict(), indent=2, default=str, ensure_ascii=False))
    else:
        console = Console(highlight=False)
        _show(console if console.is_terminal else Console(highlight=False, width=130), found)


def _show(console: Console, found: trace.Trace) -> None:
    who = found.customer_id or found.asked_for
    console.print(
        Text(f"\n{who} ", style="bold") + Text(found.answer, style="not bold"), soft_wrap=True
    )
    console.print(
        Text(
            f"  {found.sync}: {found.audience} → {found.destination},"
            f" as published {found.published_at:%Y-%m-%d %H:%M} UTC",
            style="dim",
        )
    )
    if found.other_customers:
        others = ", ".join(found.other_customers)
        console.print(Text(f"  the same value also leads to {others}", style="yellow"))
    console.print()
    for step in found.steps:
        mark, style = MARKS.get(step.state, ("·", "dim"))
        line = Text(f"  {mark} ", style=style) + Text(f"{step.name:<12}", style="bold")
        console.print(
            line + Text(step.what, style="" if step.state != "not asked" else "dim"), soft_wrap=True
        )
        for detail in step.details:
            console.print(Text(f"{'':16}{detail}", style="dim"), soft_wrap=True)
    for note in found.notes:
        console.print(Text(f"\n  {note}", style="yellow"), soft_wrap=True)
    if found.next:
        console.print(Text("\nNext  ", style="bold") + Text(found.next), soft_wrap=True)
