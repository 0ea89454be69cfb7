"""Connectors: each module of this folder is one, and its name is what `connector:` says.

A connector offers `CONNECTION_KEYS`, the keys that its `connection:` block may have, and
`fetch(table, *, project_root, downloads, env) -> tuple[Arrival, ...]`, which raises FetchError.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

from ingestion.sources import Arrival, SourceTable


class Connector(Protocol):
    """What a connector's module offers."""

    CONNECTION_KEYS: tuple[str, ...]

    def fetch(
        self,
        table: SourceTable,
        *,
        project_root: Path,
        downloads: Path,
        env: Mapping[str, str],
    ) -> tuple[Arrival, ...]:
        """Find or bring the table's files."""


def names() -> tuple[str, ...]:
    """Every connector's name, in order."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def get(name: str) -> Connector:
    """The connector of that name (imported on use: asyncssh alone takes a third of a second)."""
    return cast(Connector, importlib.import_module(f"{__name__}.{name}"))


def connection_keys(name: str) -> tuple[str, ...]:
    """The keys that a connector's `connection:` block may have."""
    return get(name).CONNECTION_KEYS
