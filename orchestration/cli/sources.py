"""`mainstem sources`: the inventory of what is loaded, and how much of it is linked to somebody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.home import Home, find_home
from orchestration.project import Project
from orchestration.warehouse import read_published

LOADS = """
    select source, max(finished_at) filter (status = 'loaded') as loaded_at,
        sum(rows_loaded)::bigint as rows, sum(rows_quarantined)::bigint as quarantined,
        count(*) filter (status = 'failed') as failed
    from ops.loads where status in ('loaded', 'failed') group by source
"""
# Tables that other tools' connectors fill have no loads: they are counted where they are.
LANDED = """
    select source, max(loaded_at) as loaded_at, sum(rows)::bigint as rows, 0 as quarantined, 0 as failed
    from ops.landed group by source
"""
# A contact is linked if its customer is known from another source too; why others are not.
LINKED = """
    with contacts as (
        select contact_key as node_key, source_system as source from canonical.contacts where not is_deleted
    ),
    placed as (select * from contacts join identity.crosswalk using (node_key)),
    known as (select customer_id, count(distinct source) as sources from placed group by all),
    identified as (
        select node_key, bool_or(not is_blocked) as has_usable
        from identity.identifiers group by node_key
    )
    select
        source, count(*) as contacts,
        count(*) filter (sources > 1) as linked,
        count(*) filter (sources = 1 and has_usable is null) as without_identifier,
        count(*) filter (sources = 1 and not has_usable) as with_blocked_identifier_only,
        count(*) filter (sources = 1 and has_usable) as known_nowhere_else
    from placed join known using (customer_id) left join identified using (node_key)
    group by source
"""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(as_json: bool) -> None:
    """List every source: its identifiers, freshness, rows, and what share is linked to known customers.

    A contact record is linked when its customer is known from another source as well. The rest is
    invisible to the others: it has no identifier, only blocked ones, or ones that nobody else has.
    """
    home = find_home()
    with read_published(home.published) as con:
        # Published before there was such a table: the next run writes it.
        has_landed = con.sql(
            "from duckdb_tables() where schema_name = 'ops' and table_name = 'landed'"
        )
        landed = _by_source(con, LANDED) if has_landed.fetchall() else {}
        loads = landed | _by_source(con, LOADS)
        linked = _by_source(con, LINKED)
    inventory = [
        {**declared, **loads.get(name, {}), **linked.get(name, {})}
        for name, declared in sorted(_declared(home).items())
    ]
    if as_json:
        print(json.dumps(inventory, indent=2, default=str))
    else:
        _show(inventory)


def _declared(home: Home) -> dict[str, dict[str, Any]]:
    """Per switched-on source: what it feeds, how often it is expected, which identifiers it has."""
    switched_on = Project(home).sources
    found: dict[str, dict[str, Any]] = {
        name: {
            "source": name,
            "feeds": entities,
            "identifiers": [],
            "expected_every": None,
            "schedule": None,
        }
        for name, entities in switched_on.items()
    }
    folders = ("models", "ready_made")
    for path in sorted(p for folder in folders for p in (home.dbt_project / folder).rglob("*.yml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            continue
        for source in content.get("sources") or ():
            if isinstance(source, dict) and source.get("name") in found:
                entry = found[source["name"]]
                # Of a ready-made source each table has its own; the first is what it is known by.
                parts = (source, *(source.get("tables") or ()))
                warn = next(filter(None, map(_warn_after, parts)), None)
                if warn:
                    entry["expected_every"] = f"{warn.get('count')} {warn.get('period')}"
        for model in content.get("models") or ():
            name = str(model.get("name", "")).removeprefix("stg_").split("__")[0]
            if name not in found:
                continue
            for column in model.get("columns") or ():
                kind = ((column.get("config") or {}).get("meta") or {}).get("identifier")
                if kind and kind not in found[name]["identifiers"]:
                    found[name]["identifiers"].append(kind)
    return found


def _warn_after(declared: Mapping[str, Any]) -> Mapping[str, Any]:
    return ((declared.get("config") or {}).get("freshness") or {}).get("warn_after") or {}


def _loaded(entry: Mapping[str, Any]) -> str:
    """When something last came; of a source that models of the user's feed, nothing is known."""
    if entry.get("loaded_at"):
        return f"{entry['loaded_at']:%Y-%m-%d %H:%M}"
    return "·" if entry.get("rows") or entry.get("contacts") else "never"


def _by_source(con: Any, query: str) -> dict[str, dict[str, Any]]:
    relation = con.sql(query)
    return {row[0]: dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()}


def _show(inventory: list[dict[str, Any]]) -> None:
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=120)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name, right in (
        ("Source", False), ("identifiers", False), ("expected", False), ("loaded at", False), ("rows", True),
        ("refused", True), ("contacts", True), ("linked", True),
    ):  # fmt: skip
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "identifiers")
    for entry in inventory:
        contacts = entry.get("contacts") or 0
        table.add_row(
            Text(entry["source"], style="bold"),
            ", ".join(entry["identifiers"]) or "·",
            entry["expected_every"] or "·",
            _loaded(entry),
            f"{entry.get('rows') or 0:,}",
            f"{entry.get('quarantined') or 0:,}",
            f"{contacts:,}" if contacts else "·",
            f"{entry['linked'] / contacts:.0%}" if contacts else "·",
        )
    console.print(table)
    console.print("\n[bold]Not linked[/] to a customer known from elsewhere")
    for entry in inventory:
        if entry.get("contacts") and entry["linked"] < entry["contacts"]:
            reasons = (
                (entry["without_identifier"], "have no identifier"),
                (entry["with_blocked_identifier_only"], "have only blocked identifiers"),
                (entry["known_nowhere_else"], "have identifiers that no other source has"),
            )
            why = "; ".join(f"{count:,} {reason}" for count, reason in reasons if count)
            console.print(f"  {entry['source']}: {why}")
