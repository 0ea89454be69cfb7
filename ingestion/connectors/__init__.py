"""Connectors: each module of this folder is one, and its name is what `connector:` says.

A connector brings files: whatever it reads it writes to files below `downloads`, which appear by
rename. It may also have `location(block)`, what stands for a missing `location:`, and
`settle(...)`, what is done at the other end once the load was committed.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, cast

from ingestion.checks import Where
from ingestion.sources import Arrival, FormatType, SourceTable
from ingestion.windows import Window


class Connector(Protocol):
    """What a connector's module offers.

    The keys that its `connection:` block may have and which of them are secrets; the keys that it
    adds to `ingest:`; and the format of the files that it writes itself, if it does.
    """

    CONNECTION_KEYS: tuple[str, ...]
    SECRET_KEYS: tuple[str, ...]
    OPTION_KEYS: tuple[str, ...]
    WRITES: FormatType | None

    def check(self, block: Mapping[str, Any], at: Where) -> None:
        """Raise WrongError for an `ingest` block (its keys are known ones) that cannot work."""

    def fetch(
        self,
        table: SourceTable,
        *,
        project_root: Path,
        downloads: Path,
        env: Mapping[str, str],
        since: str | Window | None = None,
    ) -> tuple[Arrival, ...]:
        """Find or bring the table's files.

        `since` is the greatest cursor value loaded before, or the window to read again.
        """


def names() -> tuple[str, ...]:
    """Every connector's name, in order."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def get(name: str) -> Connector:
    """The connector of that name (imported on use: asyncssh alone takes a third of a second)."""
    return cast(Connector, importlib.import_module(f"{__name__}.{name}"))
