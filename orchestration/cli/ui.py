"""`mainstem ui`: Dagster's own web server on this project, on loopback."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from orchestration.home import find_home


@click.command()
@click.option("--port", default=3000, show_default=True, help="Port on 127.0.0.1.")
def command(port: int) -> None:
    """Open Dagster: lineage, runs, checks, backfills. "Materialize all" does what `run` does."""
    from orchestration import history

    home = find_home()
    history.prepare(home)
    os.environ.setdefault("MAINSTEM_PROJECT", str(home.root))
    os.environ.setdefault("MAINSTEM_HOME", str(home.data))
    os.environ.setdefault("PYTHONWARNINGS", "ignore")  # Dagster's notes to its own developers
    dagster = str(Path(sys.executable).parent / "dagster")
    print(f"Dagster on http://127.0.0.1:{port} (ctrl-c ends it)", flush=True)
    os.execv(  # noqa: S606  (this process becomes Dagster)
        dagster,
        [dagster, "dev", "-m", "orchestration.definitions", "-h", "127.0.0.1", "-p", str(port)],
    )
