"""`mainstem source`: adding a source."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from ingestion import inspection, scaffold
from ingestion.sources import IngestionError
from orchestration.cli import EXIT_FAILED
from orchestration.home import find_home


@click.group()
def command() -> None:
    """Add a source to the project."""


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", required=True, help="The source's name: the system that exports it.")
@click.option("--table", help="The table's name  [default: the file's]")
@click.option("--location", help="Where its files will be: a path or glob  [default: FILE itself]")
def add(file: Path, name: str, table: str | None, location: str | None) -> None:
    """Inspect FILE and write a source for files like it.

    Types, key, dates and identifiers are guessed from FILE; what is written (the source's YAML, a
    staging model, its tests) builds at once and is meant to be read and mended. People in it are in
    the identity graph on the next `mainstem run`.

    \b
    mainstem source add drop/guests.csv --name guests
    mainstem source add export.json --name crm --location 'exports/crm/*.json'
    """
    home = find_home()
    stem = file.name.split(".", 1)[0]
    try:
        guess = inspection.inspect(file)
        place = location or os.path.relpath(file.resolve(), home.root)
        if place.startswith(".."):
            place = str(file.resolve())
        written = scaffold.write(
            home.dbt_project,
            name,
            table or inspection.ColumnGuess(stem, "varchar").snake_name,
            guess,
            {"connector": "files", "location": place},
        )
    except IngestionError as error:
        print(f"mainstem: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    print(f"{file.name}: {guess.rows_seen:,} rows looked at, {len(guess.columns)} columns")
    print(f"  key          {', '.join(guess.key) or 'none found: rows are known by their content'}")
    marked = [f"{c.name} ({c.identifier})" for c in guess.columns if c.identifier]
    print(f"  identifiers  {', '.join(marked) or 'none found'}")
    for note in guess.notes:
        print(f"  note         {note}")
    print("Written, to be read and mended:")
    for path in written:
        print(f"  {home.shown(path)}")
    print("Next: mainstem run")
