"""`mainstem audience`: what audiences there are, who is in one, and why."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, NoReturn

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from audiences import conditions, models, published
from audiences.published import AudienceError, Definition
from identity.lookup import find_customers
from orchestration.cli import EXIT_FAILED, EXIT_INCOMPLETE
from orchestration.home import Home, find_home
from orchestration.warehouse import read_published

if TYPE_CHECKING:
    import duckdb

    from audiences.reasons import Reasons

YES, NO, UNASKED = Text("✓", style="green"), Text("✗", style="bold red"), Text("·", style="dim")


@click.group()
def command() -> None:
    """Who is in an audience, since when, and why.

    Everything but `compile` reads the published file.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_audiences(as_json: bool) -> None:
    """List all audiences: customers, what the last build changed, owner, purpose, experiment."""
    with _read(find_home()) as con:
        sizes, changes = published.sizes(con), published.changes(con)
        found = [
            {
                "audience": one.audience_id,
                "customers": sizes[one.audience_id],
                **asdict(changes[one.audience_id]),
                "owner": one.owner,
                "consent_purpose": one.consent_purpose,
                "experiment": one.experiment_id,
                "built_at": one.booked_at,
            }
            for one in published.definitions(con)
        ]
    if as_json:
        print(json.dumps(found, indent=2, default=str, ensure_ascii=False))
        return
    table = _table("Audience", "customers", "entered", "exited")
    for name in ("owner", "purpose", "experiment"):
        table.add_column(name)
    for row in found:
        table.add_row(
            row["audience"], f"{row['customers']:,}", _count(row["entered"]), _count(row["exited"]),
            row["owner"] or "·", row["consent_purpose"] or "·", row["experiment"] or "·",
        )  # fmt: skip
    _console().print(table)


@command.command()
@click.argument("name")
@click.option("--customer", help="Why this customer is in it, or is not: an id, an email, any key.")
@click.option("--rows", default=5, show_default=True, help="Sample rows.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def preview(name: str, customer: str | None, rows: int, as_json: bool) -> None:
    """Show who is in an audience; with --customer, why one is in it or is not.

    \b
    mainstem audience preview abandoned_cart
    mainstem audience preview abandoned_cart --customer jo@example.com
    """
    home = find_home()
    with _read(home) as con:
        definition = published.find(con, name)
        if customer is None:
            _overview(con, definition, rows, as_json)
            return
        _, customers, retired = find_customers(con, customer)
        if not customers:
            raise AudienceError("nobody is known by that id or value: `mainstem explain` tries too")
        standings = {one: published.standing(con, definition, one) for one in customers}
        has_record = {
            one: bool(con.execute(
                "select 1 from marts.golden_customers where customer_id = ?", [one]
            ).fetchall())
            for one in customers
        }  # fmt: skip
    from audiences import reasons  # sqlglot takes a moment, which a list need not wait for

    try:
        answers = {one: reasons.explain(home.published, definition, one) for one in customers}
    except AudienceError as error:
        _fail(str(error))
    if as_json:
        found = [
            {
                "customer_id": one,
                "retired_id": retired,
                "has_golden_record": has_record[one],
                **asdict(standings[one]),
                **asdict(answers[one]),
            }
            for one in customers
        ]
        print(json.dumps(found, indent=2, default=str, ensure_ascii=False))
        return
    for one, answer in answers.items():
        _show_reasons(definition, one, standings[one], answer, has_record[one])


@command.command()
@click.argument("name")
def sql(name: str) -> None:
    """Print an audience's SELECT: as it was run, or for one declared in YAML, as it is written."""
    home = find_home()
    declared = home.dbt_project / models.DECLARATIONS / f"{name.removeprefix('aud_')}.yml"
    if declared.exists():
        try:
            columns = conditions.columns_of(home.dbt_project)
            print(models.sql(conditions.read(declared, home.dbt_project, columns)), end="")
        except conditions.ConditionError as error:
            _fail(str(error))
        return
    with _read(home) as con:
        print(published.find(con, name).sql)


@command.command("compile")
def compile_declared() -> None:
    """Write the models of the audiences that dbt_project/audiences declares; `run` does it too."""
    home = find_home()
    written = models.write(home.dbt_project)
    for path in written.changed:
        print(f"written: {path}")
    for problem in written.problems:
        print(f"mainstem: {problem}", file=sys.stderr)
    if written.problems:
        sys.exit(EXIT_INCOMPLETE)
    if not written.changed:
        print("every declared audience is up to date")


@contextmanager
def _read(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published file; what cannot be answered ends in one line."""
    try:
        with read_published(home.published) as con:
            yield con
    except AudienceError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    print(f"mainstem: {message}", file=sys.stderr)
    sys.exit(EXIT_FAILED)


def _overview(
    con: duckdb.DuckDBPyConnection, definition: Definition, rows: int, as_json: bool
) -> None:
    audience = definition.audience_id
    size, change = published.sizes(con)[audience], published.changes(con)[audience]
    overlaps, arms = published.overlaps(con, audience), published.arms(con, definition)
    columns, sample = published.sample(con, audience, rows)
    if as_json:
        found = {
            **{k: v for k, v in asdict(definition).items() if k not in ("sql", "views")},
            "customers": size,
            **asdict(change),
            "overlaps": [asdict(one) for one in overlaps],
            "arms": [asdict(one) for one in arms],
            "sample": [dict(zip(columns, row, strict=True)) for row in sample],
        }
        print(json.dumps(found, indent=2, default=str, ensure_ascii=False))
        return
    console = _console()
    console.print(f"\n[bold]{audience}[/]  {size:,} customers")
    if definition.description:
        console.print(Text(f"  {definition.description}"))
    facts = [
        f"owner {definition.owner or 'nobody'}",
        f"consent for {definition.consent_purpose or 'nothing: no sync may send it'}",
        f"declared in {definition.declared_in}",
    ]
    if definition.max_size:
        facts.append(f"at most {definition.max_size:,}")
    console.print(Text(f"  {', '.join(facts)}", style="dim"))
    console.print(
        f"\n[bold]Last change[/] ({definition.booked_at:%Y-%m-%d %H:%M} UTC)"
        f"  {change.entered:,} entered, {change.exited:,} left,"
        f" {change.remapped:,} had their id changed by a merge"
    )
    if arms:
        running = "running" if arms[0].is_running else "not running"
        shares = ", ".join(f"{arm.variant} {arm.customers:,} ({arm.share:.1%})" for arm in arms)
        console.print(f"[bold]Experiment[/] {arms[0].experiment_id} ({running})  {shares}")
    if overlaps:
        table = _table("\nAlso in", "customers", "of this", "of the other")
        for one in overlaps:
            table.add_row(
                one.audience_id, f"{one.customers:,}", f"{one.share:.0%}", f"{one.share_of_other:.0%}"
            )  # fmt: skip
        console.print(table)
    if sample:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for column in columns:
            table.add_column(column, no_wrap=True)
        for row in sample:
            table.add_row(*("·" if value is None else str(value) for value in row))
        console.print("\n[bold]Some of them[/]")
        console.print(table)
    console.print(
        f"\n  mainstem audience preview {audience} --customer <id or email>", style="cyan"
    )


def _show_reasons(
    definition: Definition,
    customer: str,
    standing: published.Standing,
    reasons: Reasons,
    has_record: bool,
) -> None:
    console = _console()
    verdict = "is in" if reasons.is_selected else "is not in"
    console.print(f"\n[bold]{customer}[/] {verdict} [bold]{definition.audience_id}[/]")
    if standing.entered_at:
        console.print(f"  since {standing.entered_at:%Y-%m-%d %H:%M} UTC")
    if standing.changed_at:
        console.print(
            f"  booked last: {standing.last_change} ({standing.reason}),"
            f" {standing.changed_at:%Y-%m-%d %H:%M} UTC"
        )
    if standing.variant:
        held = ": no sync sends them while it runs" if standing.variant == "control" else ""
        console.print(f"  in the arm {standing.variant} of {definition.experiment_id}{held}")
    if not has_record:
        console.print("  is in no audience: a browser or app that belongs to no known customer")
    for one in reasons.conditions:
        mark = UNASKED if one.holds is None else YES if one.holds else NO
        line = Text("  ") + mark + Text(f" {one.sql}")
        if one.within:
            line.append(f"   in {one.within}", style="dim")
        console.print(line)
        for what, value in one.values:
            console.print(Text(f"      {what if len(what) < 60 else 'it'} is {value}", style="dim"))
    if reasons.sources:
        missing = [one.name for one in reasons.sources if one.has_customer is False]
        linked = [one.name for one in reasons.sources if one.has_customer is None]
        where = ", ".join(missing) or ", ".join(linked) or "what it reads"
        console.print(
            f"  No row of theirs to ask: there is nothing of this customer in [bold]{where}[/]"
        )
    elif not reasons.is_selected and all(one.holds for one in reasons.conditions):
        console.print("  Each condition holds for some row of theirs, but not all for one row")


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=130)


def _table(title: str, *numbers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(Text(title, style="bold not dim"), min_width=28, no_wrap=True)
    for number in numbers:
        table.add_column(number, justify="right", no_wrap=True)
    return table


def _count(number: int) -> str:
    return f"{number:,}" if number else "·"
