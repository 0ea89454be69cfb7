"""What a run is asked to do, and how much it looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from identity.overrides import Override
from identity.rules import Rules


@dataclass(frozen=True)
class Job:
    """What a run resolves with; `version` is the program's, `row` what is known of its row of
    identity.runs beforehand, and `buckets` the Arrow table of what came in (`state.hash_input`).

    `purpose` is what identity.runs says of it: run, apply, plan, or `rollback to <run>`, for which
    `like` is the number of the run whose ids are to come back. `keeps_model`: no new model is trained,
    however far the data is from what the kept one was trained on.
    """

    rules: Rules
    overrides: tuple[Override, ...]
    run_id: str
    run_number: int
    version: str
    now: datetime
    purpose: str
    like: int | None
    row: Mapping[str, object]
    buckets: Any
    keeps_model: bool = False


@dataclass(frozen=True)
class Scope:
    """How much an incremental run looked at: nodes that came, changed and went, and customers that
    it made again.
    """

    new: int
    changed: int
    deleted: int
    customers: int

    def in_words(self) -> str:
        """Say it in a line."""
        return (
            f"incremental: {self.new:,} new, {self.changed:,} changed, {self.deleted:,} deleted;"
            f" {self.customers:,} customers touched"
        )
