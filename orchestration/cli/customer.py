"""`mainstem customer`: one customer on a page."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from identity.explain import NotFoundError
from orchestration import customer
from orchestration.cli import EXIT_FAILED
from orchestration.home import find_home
from orchestration.warehouse import read_published

FACTS = (
    "order_count", "revenue", "last_order_at", "rfm_segment", "last_seen_at", "preferred_channel",
    "open_cart_value", "open_ticket_count",
)  # fmt: skip


@click.command()
@click.argument("what")
@click.option("--limit", default=15, show_default=True, help="Entries of timeline and orders.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(what: str, limit: int, as_json: bool) -> None:
    """Show one customer: attributes and where they are from, timeline, orders, audiences, consents,
    and what each destination holds.

    WHAT is a customer id (a retired one leads to its heir), a contact key such as crm:K-20001, or any
    identifier: an email, a phone number, a loyalty card, a login.

    \b
    mainstem customer cus_0004e38f39bd4612
    mainstem customer "+49 40 66969311"
    """
    home = find_home()
    with read_published(home.published) as con:
        try:
            found = customer.read(con, what, limit=limit)
        except NotFoundError as error:
            print(f"mainstem: {error}", file=sys.stderr)
            sys.exit(EXIT_FAILED)
    if as_json:
        print(json.dumps(found.to_dict(), indent=2, default=str, ensure_ascii=False))
    else:
        _show(Console(highlight=False), found)


def _show(console: Console, found: customer.Customer) -> None:
    console.print(f"\n[bold]{found.customer_id}[/]  found as {found.found_as}")
    if found.retired_id:
        console.print(f"  {found.retired_id} was merged into it")
    if found.other_customers:
        others = ", ".join(found.other_customers)
        console.print(Text(f"  the same value also leads to {others}", style="yellow"))
    _attributes(console, found)
    facts = [(name, found.facts[name]) for name in FACTS if found.facts.get(name) is not None]
    _print_rows(
        console, "In numbers", ("", ""), [(n.replace("_", " "), _plain(v)) for n, v in facts]
    )
    visible = [
        (row["identifier_type"], row["identifier_value"], "verified" if row["is_verified"] else "")
        for row in found.identifiers
        if row["identifier_value"] != found.customer_id
    ]
    _print_rows(console, "Identifiers", ("", "", ""), visible)
    _print_rows(
        console,
        f"Timeline, newest first ({len(found.timeline)} of {found.timeline_entries:,})",
        ("", "", "", ""),
        [(_moment(e.at), e.kind, e.what, e.detail or "") for e in found.timeline],
    )
    _print_rows(
        console,
        "Orders",
        ("", "", "", "net", ""),
        [
            (_moment(o["ordered_at"]), o["order_id"], f"{o['status']}, {o['channel']}",
             f"{o['net_revenue']:,}", o["currency"])
            for o in found.orders
        ],
    )  # fmt: skip
    _print_rows(
        console,
        "Audiences",
        ("", ""),
        [(a["audience_id"], _since(a.get("entered_at"))) for a in found.audiences],
    )
    _print_rows(
        console,
        "Consents",
        ("", "", "", ""),
        [
            (c["purpose"], c["channel"], c["status"], _since(c["consented_at"]))
            for c in found.consents
        ],
    )
    _print_rows(
        console,
        "Destinations",
        ("", "", "", ""),
        [
            (d["sync_name"], d["destination"] or "", _held(d), _since(d["synced_at"]))
            for d in found.destinations
        ],
    )
    console.print(
        f"\n  why these {len(found.records)} records are one: mainstem explain"
        "\n  why they are at a destination, or not: mainstem trace",
        style="dim",
    )


def _attributes(console: Console, found: customer.Customer) -> None:
    rows: list[tuple[str, ...]] = []
    for attribute in found.attributes:
        if attribute.value is None and not attribute.others:
            continue
        came = f"{attribute.source}, {_moment(attribute.updated_at)}" if attribute.source else ""
        shown = "-" if attribute.value is None else str(attribute.value)
        rows.append((attribute.name.replace("_", " "), shown, came))
        rows += [
            ("", f"  not {other.value}", f"{other.contact_key}: {other.reason}")
            for other in attribute.others
        ]
    _print_rows(console, "Attributes", ("", "", ""), rows)
    if len(found.versions) > 1:
        console.print(
            f"  {len(found.versions)} versions in marts.golden_customers_history", style="dim"
        )


def _print_rows(
    console: Console, title: str, heads: tuple[str, ...], rows: list[tuple[Any, ...]]
) -> None:
    if not rows:
        return
    console.print(f"\n[bold]{title}[/]")
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(justify="right" if head else "left", overflow="fold")
    for row in rows:
        losing = len(row) == 3 and str(row[1]).startswith("  not ")
        table.add_row(*(Text(str(cell)) for cell in ("", *row)[1:]), style="dim" if losing else "")
    console.print(table)


def _held(state: dict[str, Any]) -> str:
    error = f" ({state['last_error_code']})" if state["last_error_code"] else ""
    return f"{'holds the row' if state['is_held'] else 'holds nothing'}, {state['status']}{error}"


def _since(moment: Any) -> str:
    return f"since {_moment(moment)}" if moment else ""


def _moment(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""


def _plain(value: Any) -> str:
    return _moment(value) if hasattr(value, "hour") else str(value)
