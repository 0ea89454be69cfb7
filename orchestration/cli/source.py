"""`mainstem source`: adding a source."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import yaml

from ingestion import declarations, fetch, inspection, scaffold
from ingestion.sources import IngestionError
from orchestration import sample
from orchestration.cli import EXIT_FAILED
from orchestration.home import Home, find_home
from orchestration.project import Project


@click.group()
def command() -> None:
    """Add a source to the project."""


@command.command()
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--name", required=True, help="The source's name: the system that exports it.")
@click.option(
    "--table", help="The table's name  [default: the file's, or what the location ends in]"
)
@click.option("--location", help="Where its files will be: a path or glob  [default: FILE itself]")
@click.option(
    "--connector", default="files", show_default=True, help="Who brings it, without FILE."
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE",
    help="A key of the ingest block, such as connection.host=${SFTP_HOST} or table=customers.",
)  # fmt: skip
def add(
    file: Path | None,
    name: str,
    table: str | None,
    location: str | None,
    connector: str,
    settings: tuple[str, ...],
) -> None:
    """Inspect a file, a database's table or an SFTP folder, and write a source for it.

    Types, key, dates and identifiers are guessed; what is written (the source's YAML, a staging model,
    its tests) builds at once and is meant to be read and mended. People in it are in the identity
    graph on the next `mainstem run`. Write secrets as ${NAME}: they are read from the environment.

    \b
    mainstem source add drop/guests.csv --name guests
    mainstem source add --name till --connector sftp --location 'out/*.csv' \\
        --set 'connection.host=${TILL_HOST}' --set 'connection.private_key=${TILL_KEY}'
    mainstem source add --name app --connector database --set table=accounts \\
        --set 'connection.url=sqlite:///exports/app.sqlite'
    """
    home = find_home()
    block: dict[str, Any] = {"connector": connector}
    if location:
        block["location"] = location
    for setting in settings:
        _put(block, setting)
    try:
        if file is None:
            looked_at, stem = _fetched(home, block), str(block.get("table") or location or name)
        else:
            looked_at, stem = file, file.name
            block.setdefault("location", _relative(file, home))
        guess = inspection.inspect(looked_at)
        if connector not in ("files", "sftp"):
            guess = replace(guess, format={})
        written = scaffold.write(home.dbt_project, name, table or _table_name(stem), guess, block)
    except IngestionError as error:
        print(f"mainstem: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    print(f"{looked_at.name}: {guess.rows_seen:,} rows looked at, {len(guess.columns)} columns")
    print(f"  key          {', '.join(guess.key) or 'none found: rows are known by their content'}")
    marked = [f"{c.name} ({c.identifier})" for c in guess.columns if c.identifier]
    print(f"  identifiers  {', '.join(marked) or 'none found'}")
    for note in guess.notes:
        print(f"  note         {note}")
    print("Written, to be read and mended:")
    for path in written:
        print(f"  {home.shown(path)}")
    print("Next: mainstem run")


def _put(block: dict[str, Any], setting: str) -> None:
    key, is_set, value = setting.partition("=")
    if not is_set:
        raise click.UsageError(f"--set {setting}: write KEY=VALUE")
    *outer, last = key.split(".")
    for part in outer:
        block = block.setdefault(part, {})
    block[last] = yaml.safe_load(value) if not value.startswith("$") else value


def _fetched(home: Home, block: dict[str, Any]) -> Path:
    """One file of the source as it would be loaded, brought by its connector."""
    probe = {
        "name": "probe",
        "tables": [
            {
                "name": "probe",
                "config": {"meta": {"ingest": block}},
                "columns": [{"name": "any", "data_type": "varchar"}],
            }
        ],
    }
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "_probe.yml").write_text(
            yaml.safe_dump({"sources": [probe]}), encoding="utf-8"
        )
        declared = declarations.read(Path(folder))
    if declared.problems:
        raise IngestionError(declared.problems[0].message)
    with sample.environment(home, is_sample=Project(home).is_sample) as env:
        arrivals = fetch.fetch(
            declared.tables[0], project_root=home.root, downloads=home.downloads, env=env
        )
    brought = [arrival for arrival in arrivals if arrival.error is None]
    if not brought:
        reason = arrivals[0].error if arrivals else "there is nothing there"
        raise IngestionError(f"nothing could be looked at: {reason}")
    return brought[-1].path


def _relative(file: Path, home: Home) -> str:
    place = os.path.relpath(file.resolve(), home.root)
    return str(file.resolve()) if place.startswith("..") else place


def _table_name(stem: str) -> str:
    """`exports/out/guests*.csv.gz` -> guests."""
    plain = stem.rsplit("/", 1)[-1].split(".", 1)[0]
    return inspection.ColumnGuess(plain, "varchar").snake_name
