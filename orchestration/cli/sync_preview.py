"""What a dry run of a sync shows: counts by kind, samples, and requests as they would go out."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.cli import EXIT_COMPLETE, EXIT_FAILED, EXIT_INCOMPLETE

if TYPE_CHECKING:
    from reverse_etl.declarations import Sync
    from reverse_etl.engine import Preview

EXIT_CODES = {"ready": EXIT_COMPLETE, "blocked": EXIT_INCOMPLETE, "failed": EXIT_FAILED}
KINDS = {
    "add": "not there yet",
    "update": "something of it changed",
    "remove": "has to go",
    "suppressed": "no consent, or held out",
    "invalid": "cannot be sent as it is",
    "parked": "refused too often",
    "unchanged": "there as it should be",
}


def show(sync: Sync, preview: Preview, held_back: str | None, *, as_json: bool) -> None:
    """Print it; request bodies hold personal data, everything else has it masked.

    `held_back` says why no sync may send just now, if so.
    """
    if as_json:
        told = {**asdict(preview), "held_back": held_back}
        print(json.dumps(told, indent=2, default=str, ensure_ascii=False))
        return
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=130)
    console.print(
        f"\n[bold]{sync.name}[/]  {sync.audience_id} → {sync.destination}, mode {sync.mode}:"
        " what a run would do now"
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(min_width=12)
    table.add_column(justify="right")
    table.add_column(style="dim")
    for kind, meaning in KINDS.items():
        if preview.counts.get(kind):
            table.add_row(f"  {kind}", f"{preview.counts[kind]:,}", meaning)
    console.print(table)
    if preview.samples:
        console.print("\n[bold]Some of them[/]  (personal data is masked)")
    for sample in preview.samples:
        line = Text(f"  {sample.kind:<11}{sample.row_key}")
        line.append(f"  {sample.reason}" if sample.reason else "", style="yellow")
        line.append(f"  {sample.fields}" if sample.fields else "", style="dim")
        console.print(line, soft_wrap=True)
    for body in preview.bodies:
        console.print(Text(f"\n{body.title}", style="bold"))
        print(body.content)
    if held_back:
        console.print(Text(f"\nA run would send nothing: {held_back}", style="yellow"))
    if preview.error:
        console.print(
            Text(f"\n{preview.status}: {preview.error}", style="bold red"), soft_wrap=True
        )
    else:
        batches = f"{preview.batches:,} batch{'es' if preview.batches != 1 else ''}"
        console.print(f"\n{batches}; nothing was sent. [bold]Next[/]  mainstem sync {sync.name}")
