"""What `mainstem explain A B` prints: the path, or what keeps the two apart, and a waterfall."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from identity.between import Between
from identity.comparison import Comparison
from identity.explain import Link

BAR = 24
"""Characters of the longest bar."""


def show(console: Console, found: Between) -> None:
    """Print what is between two records."""
    console.print()
    if found.is_one:
        console.print(f"[bold green]One customer[/]  {found.left_customer}")
        _show_path(console, found)
    else:
        console.print(
            f"[bold red]Two customers[/]  {found.left_customer} and {found.right_customer}"
        )
        _show_reasons(console, found)
    if found.comparison is not None:
        console.print()
        waterfall(console, found.comparison)
    console.print()


def _show_path(console: Console, found: Between) -> None:
    if not found.path:
        console.print("  nothing joins them today: the next `mainstem run` looks at them again")
        return
    here = found.left.node_key
    console.print(f"\n[bold]The path[/]  {here}")
    for link in found.path:
        here = link.right_key if link.left_key == here else link.left_key
        line = Text(f"  → {here}", style="bold")
        line.append(f"  by {link.summary}", style="not bold green")
        line.append(f"  {link.match_probability:.4f}", style="not bold dim")
        console.print(line)
    if found.weakest is not None and len(found.path) > 1:
        console.print(f"\n[bold]Weakest link[/]  {_line(found.weakest)}")
    _show_decisions(console, found)


def _show_reasons(console: Console, found: Between) -> None:
    _show_decisions(console, found)
    if found.vetoes:
        console.print("\n[bold]They cannot be one[/]")
        for veto in found.vetoes[:5]:
            console.print(
                Text(f"  {veto.left_key} - {veto.right_key}: {veto.rule.replace('_', ' ')}")
            )
        if len(found.vetoes) > 5:
            console.print(f"  and {len(found.vetoes) - 5} more pairs of their records")
    if found.blocked:
        console.print("\n[bold]Both carry, but it links nobody[/]")
        for kind, value, reason in found.blocked:
            console.print(Text(f"  {kind} {value} ({reason.replace('_', ' ')})"))
    if found.links:
        console.print("\n[bold]Evidence that was not followed[/]")
        for link in found.links[:5]:
            console.print(Text(f"  {_line(link)}: {_why(link)}"))
    elif found.comparison is not None:
        console.print(
            f"\n[bold]No evidence between them[/]  {found.comparison.in_words()};"
            f" score {found.comparison.probability:.2f}"
        )
    else:
        console.print("\n[bold]No evidence between them[/]")


def _show_decisions(console: Console, found: Between) -> None:
    if found.decisions:
        console.print("\n[bold]Decided by people[/]")
    for decision in found.decisions:
        verb = "are one" if decision.action == "always_link" else "are two"
        console.print(
            Text(
                f"  {decision.left_key} and {decision.right_key} {verb}:"
                f" {decision.reason} ({decision.author})"
            )
        )


def _line(link: Link) -> str:
    return f"{link.left_key} - {link.right_key}: {link.summary} ({link.match_probability:.4f})"


def _why(link: Link) -> str:
    reason = link.inactive_reason or "followed"
    if reason == "below_threshold":
        return "too little to join two customers"
    return reason.replace("_", " ")


def waterfall(console: Console, compared: Comparison) -> None:
    """Print two records side by side, and what each field adds to the odds that they are one."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("", compared.left_key, compared.right_key, "agreement"):
        table.add_column(title, overflow="fold")
    table.add_column("weight", justify="right")
    table.add_column("")
    longest = max([1.0, *(abs(step.weight) for step in compared.steps), abs(compared.start)])
    for step in compared.steps:
        table.add_row(
            step.field.replace("_", " "),
            Text(step.left or "·"),
            Text(step.right or "·"),
            step.level,
            f"{step.weight:+.1f}",
            _bar(step.weight, longest),
        )
    table.add_row(
        "start", "", "", "two at random", f"{compared.start:+.1f}", _bar(compared.start, longest)
    )
    table.add_row(
        Text("score", style="bold"),
        "",
        "",
        f"probability {compared.probability:.4f}",
        Text(f"{compared.match_weight:+.1f}", style="bold"),
        _bar(compared.match_weight, max(longest, abs(compared.match_weight))),
    )
    console.print(table)


def _bar(weight: float, longest: float) -> Text:
    length = round(abs(weight) / longest * BAR)
    return Text("█" * length, style="green" if weight > 0 else "red")
