"""The screenful at the end of a run, and the one of `mainstem status`."""

from __future__ import annotations

from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.home import Home
from orchestration.warehouse import quote, read_published

SHOWN_ATTRIBUTES = (
    "first_name", "last_name", "email", "phone", "birth_date", "address_line1", "city", "postal_code",
    "country_code", "loyalty_tier",
)  # fmt: skip
MASK = "…"


def show(home: Home, outcome: dict[str, Any]) -> None:
    """Print what a run came to."""
    console = _console()
    console.print()
    if outcome["errors"]:
        console.print(Text("The run failed.", style="bold red"))
        for error in outcome["errors"]:
            console.print(Text(f"  {error}"))
        console.print("  What was published before is as it was. Put it right, and run again.\n")
        return
    with read_published(home.published) as con:
        example = _example(con)
        _sources(console, con)
        _customers(console, con, outcome)
        if example:
            _golden(console, con, example, reveal=outcome["sample"])
        _audiences(console, audience_sizes(con))
    _syncs(console, outcome["syncs"])
    _ending(console, home, outcome, example)


def audience_sizes(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Customers in each audience, by the audience's name."""
    names = con.execute(
        """
        select table_name from information_schema.tables
        where table_schema = 'audiences' and table_name like 'aud\\_%' escape '\\'
        order by 1
        """
    ).fetchall()
    return {
        name: con.execute(f"select count(*) from audiences.{quote(name)}").fetchall()[0][0]
        for (name,) in names
    }


def _sources(console: Console, con: Any) -> None:
    table = _table("Sources", "rows", "quarantined", "duplicate")
    rows = con.execute(
        """
        select source || '.' || table_name, sum(rows_loaded), sum(rows_quarantined), sum(rows_duplicate),
            bool_or(status = 'failed')
        from ops.loads where status in ('loaded', 'failed') group by all order by 1
        """
    ).fetchall()
    for name, loaded, quarantined, duplicate, failed in rows:
        note = Text(" failed, see below", style="red") if failed else Text("")
        table.add_row(Text(name) + note, f"{loaded:,}", _count(quarantined), _count(duplicate))
    console.print(table)


def _customers(console: Console, con: Any, outcome: dict[str, Any]) -> None:
    contacts, customers, visitors = con.execute(
        """
        select count(*) filter (not is_anonymous), count(distinct customer_id) filter (not is_anonymous),
            count(*) filter (is_anonymous)
        from (select customer_id, node_key like 'anon:%' as is_anonymous from identity.crosswalk)
        """
    ).fetchall()[0]
    known = con.execute(
        """
        select count(*) from identity.crosswalk
        where node_key like 'anon:%'
          and customer_id in (select customer_id from marts.golden_customers)
        """
    ).fetchall()[0][0]
    console.print(
        f"\n[bold]Customers[/]  {contacts:,} contact records → [bold]{customers:,}[/] customers;"
        f" {known:,} of {visitors:,} browsers and apps belong to one of them"
    )
    score = outcome.get("score")
    if score is not None:
        console.print(
            f"           against the truth labels: precision [bold]{score['precision']:.3f}[/],"
            f" recall [bold]{score['recall']:.3f}[/] (pairs), largest customer {score['largest_cluster']} records"
        )
    for note in outcome.get("notes", ()):
        console.print(Text(f"           {note}"))


def _example(con: Any) -> str | None:
    """A customer worth a look: known to many sources, and by a browser or two."""
    rows = con.execute(
        """
        select customer_id from marts.golden_customers
        where first_name is not null and email is not null
        order by
            source_count desc, (node_count > contact_count) desc, (node_count between 4 and 8) desc,
            customer_id
        limit 1
        """
    ).fetchall()
    return str(rows[0][0]) if rows else None


def _golden(console: Console, con: Any, customer_id: str, *, reveal: bool) -> None:
    """The customer's attributes, each with where it came from and when."""
    relation = con.execute(
        "select * from marts.golden_customers where customer_id = ?", [customer_id]
    )
    names = [column[0] for column in relation.description]
    row = dict(zip(names, relation.fetchall()[0], strict=True))
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for attribute in SHOWN_ATTRIBUTES:
        if row.get(attribute) is None:
            continue
        value = str(row[attribute]) if reveal else str(row[attribute])[:1] + MASK
        since = row[f"{attribute}_updated_at"]
        table.add_row(
            f"  {attribute}",
            Text(value),
            Text(
                ", ".join(
                    filter(None, (row[f"{attribute}_source"], since and f"{since:%Y-%m-%d}"))
                ),
                style="dim",
            ),
        )
    console.print(
        f"\n[bold]A golden record[/]  {row['customer_id']}: {row['contact_count']} contact records of"
        f" {row['source_count']} sources, {row['node_count'] - row['contact_count']} browsers and apps"
    )
    console.print(table)


def _audiences(console: Console, sizes: dict[str, int]) -> None:
    table = _table("\nAudiences", "customers")
    for name, size in sizes.items():
        table.add_row(Text(name), f"{size:,}")
    console.print(table)


def _syncs(console: Console, syncs: dict[str, Any]) -> None:
    table = _table("\nSyncs", "added", "changed", "removed", "refused", "held back")
    for name, result in syncs.items():
        numbers = (
            result["rows_added"],
            result["rows_updated"],
            result["rows_removed"],
            result["rows_rejected"] + result["rows_invalid"],
            result["rows_suppressed"],
        )
        table.add_row(Text(name), *map(_count, numbers))
    console.print(table)


def _ending(console: Console, home: Home, outcome: dict[str, Any], example: str | None) -> None:
    if outcome["left_out"]:
        console.print(Text("\nIncomplete", style="bold red"), "- left out:")
        for item in outcome["left_out"]:
            console.print(Text(f"  {item}"))
    elif not outcome["changed"]:
        console.print("\n[bold green]Nothing new[/]: no file, model, rule or audience had changed.")
    console.print(
        f"\n[bold]Published[/]  {home.shown(home.published)}"
        f"   ({outcome['status']} in {outcome['seconds']:.0f} s, as of {outcome['as_of']} UTC)"
    )
    if outcome["sample"]:
        page = home.shown(home.sample / "email_tool" / "index.html")
        console.print(f"[bold]Delivered[/]  what the email tool got: {page}")
    console.print("[bold]Next[/]")
    if not example:
        console.print("  .venv/bin/mainstem source add <file> --name <system>", style="cyan")
    console.print(f"  .venv/bin/mainstem explain {example or '<customer>'}", style="cyan")
    console.print(
        '  .venv/bin/mainstem sql "select rfm_segment, count(*), sum(revenue) from marts.customer_360 group by 1"',
        style="cyan", soft_wrap=True,
    )  # fmt: skip
    console.print("  make ui      # the lineage, the runs and the checks, in Dagster", style="cyan")


def show_status(home: Home, state: dict[str, Any]) -> None:
    """Print what `mainstem status` found."""
    console = _console()
    if state["busy"]:
        console.print(
            f"[bold]Writing now[/]: {state['busy'].get('purpose')} (process {state['busy'].get('pid')})"
        )
    table = _table("Loads", "rows", "quarantined", "files", "loaded at")
    for load in state["loads"]:
        table.add_row(
            Text(load["table"]), _count(load["rows"]), _count(load["quarantined"]), _count(load["files"]),
            f"{load['loaded_at']:%Y-%m-%d %H:%M}",
        )  # fmt: skip
    console.print(table)
    for failure in state["failures"]:
        console.print(Text(f"  failed: {failure['table']}: {failure['error']}", style="red"))
    if state["identity"]:
        found = state["identity"]
        console.print(
            f"\n[bold]Customers[/]  {found['nodes']:,} nodes → {found['customers']:,} customers,"
            f" {found['edges']:,} edges; {found['merges']:,} merges and {found['splits']:,} splits in the"
            f" last run that changed something ({found['finished_at']:%Y-%m-%d %H:%M})"
        )
    _audiences(console, state["audiences"])
    syncs = _table("\nSyncs", "status", "added", "changed", "removed", "held back", "at")
    for sync in state["syncs"]:
        finished = sync["finished_at"]
        syncs.add_row(
            Text(sync["sync_name"]), sync["status"], _count(sync["rows_added"]), _count(sync["rows_updated"]),
            _count(sync["rows_removed"]), _count(sync["rows_suppressed"]),
            f"{finished:%Y-%m-%d %H:%M}" if finished else "",
        )  # fmt: skip
    console.print(syncs)
    console.print(f"\n[bold]Published[/]  {home.shown(home.published)}")


def _console() -> Console:
    """The terminal; a file or a pipe gets lines that are not cut."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=110)


def _table(title: str, *numbers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(Text(title, style="bold not dim"), min_width=30, no_wrap=True)
    for number in numbers:
        table.add_column(number, justify="right", no_wrap=True)
    return table


def _count(number: int | None) -> Text:
    return Text(f"{number:,}") if number else Text("·", style="dim")
