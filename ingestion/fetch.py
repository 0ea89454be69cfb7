"""Bring a table's files here. Nothing in this module, or below it, has a database open."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ingestion import connectors
from ingestion.sources import Arrival, FetchError, SourceTable
from ingestion.windows import Window

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def fetch(
    table: SourceTable,
    *,
    project_root: Path,
    downloads: Path,
    env: Mapping[str, str],
    since: str | Window | None = None,
) -> tuple[Arrival, ...]:
    """Find or download the table's files, in the order of their origins.

    `downloads` is a folder that connectors keep copies in; `env` is what `${NAME}` and
    `${NAME:-default}` are taken from; `since` is what `ledger.high_water` says, or the window that
    is to be read again. Raises FetchError, whose text names the key and a next step.
    """
    if table.ingest is None:
        raise FetchError(f"{table.source}.{table.name} is not declared rightly: see its problem")
    arrivals = connectors.get(table.ingest.connector).fetch(
        table, project_root=project_root, downloads=downloads, env=env, since=since
    )
    return tuple(sorted(arrivals, key=lambda arrival: arrival.origin))


def settle(
    table: SourceTable,
    arrivals: Iterable[Arrival],
    *,
    project_root: Path,
    downloads: Path,
    env: Mapping[str, str],
) -> None:
    """Once a load was committed: do at the other end what is declared for files that were loaded.

    `arrivals` are those that are loaded. Doing it again does nothing. Raises FetchError, and then
    what was not done is done after the next run's load.
    """
    if table.ingest is None:
        return
    connector = connectors.get(table.ingest.connector)
    if hasattr(connector, "settle"):
        connector.settle(
            table, tuple(arrivals), project_root=project_root, downloads=downloads, env=env
        )


def connection(table: SourceTable, env: Mapping[str, str]) -> dict[str, str]:
    """The table's `connection:` block with its variables put in."""
    block = table.ingest.connection if table.ingest else {}
    return {key: resolve(value, env, f"connection.{key}") for key, value in block.items()}


def resolve(text: str, env: Mapping[str, str], key: str) -> str:
    """`text` with its `${NAME}`s put in; raises FetchError naming the variable and the YAML key."""

    def value(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        found = env.get(name) or default
        if found is None:
            raise FetchError(f"`{key}` uses ${{{name}}}, which is not set: export {name} and rerun")
        return found

    return _VARIABLE.sub(value, text)
