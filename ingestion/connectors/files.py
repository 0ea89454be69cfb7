"""Files on this machine: a path or a glob below the project, or below a folder given absolutely."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ingestion.checks import Where
from ingestion.fetch import resolve
from ingestion.sources import Arrival, FetchError, SourceTable
from ingestion.windows import Window

CONNECTION_KEYS: tuple[str, ...] = ()
SECRET_KEYS: tuple[str, ...] = ()
WRITES = None
OPTION_KEYS: tuple[str, ...] = ()


def check(block: Mapping[str, Any], at: Where) -> None:
    """Any location will do."""


def fetch(
    table: SourceTable,
    *,
    project_root: Path,
    downloads: Path,  # noqa: ARG001 - files are read where they are
    env: Mapping[str, str],
    since: str | Window | None = None,  # noqa: ARG001 - files are new or changed by their bytes
) -> tuple[Arrival, ...]:
    """The files that `location` matches; a link that leads out of the folder is refused."""
    if table.ingest is None:
        return ()
    pattern = resolve(table.ingest.location, env, "location")
    root = _fixed_part(pattern) if Path(pattern).is_absolute() else project_root
    root = root.resolve()
    # root_dir keeps characters of the project's own path from being read as a pattern.
    found = sorted(glob.glob(pattern, root_dir=project_root, recursive=True))  # noqa: PTH207
    arrivals = []
    for name in found:
        path = (project_root / name).resolve()
        if not path.is_relative_to(root):
            raise FetchError(f"`location: {pattern}` leads out of its folder at {name}")
        if path.is_file():
            origin = Path(name).as_posix()
            arrivals.append(Arrival(path, origin))
    if not arrivals:
        raise FetchError(
            f"no file matches `location: {pattern}` of {table.source}.{table.name}: put one there, "
            "or correct `location` (it is relative to the project's root)"
        )
    return tuple(arrivals)


def _fixed_part(pattern: str) -> Path:
    """The folder that a pattern names before its first wildcard."""
    fixed = []
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)
