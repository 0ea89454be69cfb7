"""What the steps of one run of a sync share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

from reverse_etl.declarations import Sync
from reverse_etl.delivery import Progress
from reverse_etl.destination import Destination
from reverse_etl.halving import Halving
from reverse_etl.patience import RetryPolicy


@dataclass(frozen=True)
class Shift:
    """What the steps of one run share."""

    con: duckdb.DuckDBPyConnection
    sync: Sync
    published: Path
    destination: Destination = field(repr=False)
    run_id: str
    policy: RetryPolicy
    clock: Callable[[], datetime]
    progress: Progress | None
    resume: bool
    full: bool
    accept: bool
    halving: Halving
    remarks: dict[str, None] = field(default_factory=dict)


def message(sync: Sync, trouble: str) -> str:
    return f"{sync.path}: exposure {sync.name}, config.meta.sync: {trouble}"
