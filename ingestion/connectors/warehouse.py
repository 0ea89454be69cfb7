"""A table that is in the warehouse already: nothing is brought, `views` shows it where it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ingestion import checks
from ingestion.checks import Where
from ingestion.sources import Arrival, SourceTable
from ingestion.windows import Window

CONNECTION_KEYS: tuple[str, ...] = ()
SECRET_KEYS: tuple[str, ...] = ()
WRITES = "parquet"  # which means: columns that have types already
OPTION_KEYS: tuple[str, ...] = ()


def check(block: Mapping[str, Any], at: Where) -> None:
    """Raise WrongError for a location that is not `schema.table`."""
    parts = str(block.get("location", "")).split(".")
    if len(parts) != 2 or not all(parts):
        raise checks.WrongError((*at, "location"), "`location` is schema.table in the warehouse")
    if "cursor" in block:
        raise checks.WrongError((*at, "cursor"), "connector warehouse needs no `cursor`")


def fetch(
    table: SourceTable,  # noqa: ARG001 - a connector's signature
    *,
    project_root: Path,  # noqa: ARG001
    downloads: Path,  # noqa: ARG001
    env: Mapping[str, str],  # noqa: ARG001
    since: str | Window | None = None,  # noqa: ARG001
) -> tuple[Arrival, ...]:
    """Nothing."""
    return ()
