"""`mainstem metric`: the numbers that must agree everywhere."""

from __future__ import annotations

import json
import sys
from datetime import datetime

import click

from orchestration.cli import EXIT_FAILED, EXIT_USAGE
from orchestration.home import find_home
from orchestration.metrics import GRAINS, MetricError, Metrics
from orchestration.warehouse import read_published

_DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.argument("names", nargs=-1)
@click.option("--by", multiple=True, help="A dimension; several times or with commas.")
@click.option("--grain", type=click.Choice(GRAINS), help="By time.")
@click.option("--where", help="A condition over dimensions: \"channel = 'online'\".")
@click.option("--since", type=_DAY, help="First day.")
@click.option("--until", type=_DAY, help="Last day.")
@click.option("--sql", "as_sql", is_flag=True, help="The SQL instead of its answer.")
@click.option("--json", "as_json", is_flag=True, help="Rows as a JSON array.")
def command(
    names: tuple[str, ...],
    by: tuple[str, ...],
    grain: str | None,
    where: str | None,
    since: datetime | None,
    until: datetime | None,
    as_sql: bool,
    as_json: bool,
) -> None:
    """Query metrics of the semantic layer (models/marts/_metrics.yml) by MetricFlow.

    Without NAMES it lists the metrics and what each can be broken down by.

    \b
    mainstem metric revenue --by channel
    mainstem metric revenue orders --by country_code --grain month --where "channel = 'online'"
    """
    home = find_home()
    metrics = Metrics(home.dbt_target / "semantic_manifest.json")
    if not names:
        _list(metrics, as_json)
        return
    try:
        query = metrics.sql(
            names,
            by=[name.strip() for given in by for name in given.split(",") if name.strip()],
            grain=grain,
            where=where,
            since=since.date() if since else None,
            until=until.date() if until else None,
        )
    except MetricError as error:
        print(f"mainstem: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    if as_sql:
        print(query)
        return
    import duckdb

    with read_published(home.published) as con:
        try:
            relation = con.sql(query)
        except duckdb.Error as error:
            print(f"mainstem: {error}", file=sys.stderr)
            sys.exit(EXIT_FAILED)
        if as_json:
            rows = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
            print(json.dumps(rows, indent=2, default=str, ensure_ascii=False))
        else:
            relation.show(max_rows=400, max_width=200)


def _list(metrics: Metrics, as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        print(json.dumps([asdict(metric) for metric in metrics.summaries], indent=2))
        return
    for metric in metrics.summaries:
        print(f"{metric.name}  ({metric.kind}) {metric.description}")
        print(f"    by {', '.join(metric.dimensions) or 'time alone'}")
