"""`mainstem docs`: dbt's documentation as one static page."""

from __future__ import annotations

import click

from orchestration import lock
from orchestration.home import find_home


@click.command()
@click.option("--open/--no-open", "show", default=True, help="Open it in the browser.")
def command(show: bool) -> None:
    """Write dbt's documentation (models, columns, tests, lineage) into one HTML file, and open it."""
    from orchestration.project import Project

    home = find_home()
    with lock.hold(home.lock, "mainstem docs"):
        page = Project(home).document()
    print(home.shown(page))
    if show:
        click.launch(str(page))
