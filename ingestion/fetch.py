"""Bring a table's files here. Nothing in this module, or below it, has a database open."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ingestion import connectors
from ingestion.sources import Arrival, FetchError, SourceTable

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def fetch(
    table: SourceTable, *, project_root: Path, downloads: Path, env: Mapping[str, str]
) -> tuple[Arrival, ...]:
    """Find or download the table's files, in the order of their origins.

    `downloads` is a folder that connectors keep copies in; `env` is what `${NAME}` and
    `${NAME:-default}` are taken from. Raises FetchError, whose text names the key and a next step.
    """
    if table.ingest is None:
        raise FetchError(f"{table.source}.{table.name} is not declared rightly: see its problem")
    arrivals = connectors.get(table.ingest.connector).fetch(
        table, project_root=project_root, downloads=downloads, env=env
    )
    return tuple(sorted(arrivals, key=lambda arrival: arrival.origin))


def resolve(text: str, env: Mapping[str, str], key: str) -> str:
    """`text` with its `${NAME}`s put in; raises FetchError naming the variable and the YAML key."""

    def value(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        found = env.get(name) or default
        if found is None:
            raise FetchError(f"`{key}` uses ${{{name}}}, which is not set: export {name} and rerun")
        return found

    return _VARIABLE.sub(value, text)
