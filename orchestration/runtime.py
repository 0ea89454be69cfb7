"""What every asset of a run shares: the paths, the lock, the environment, and how it went."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import duckdb

from orchestration import lock, sample, warehouse
from orchestration.home import Home
from orchestration.progress import Progress
from orchestration.project import Project

RESOURCE = "mainstem"


class Mainstem:
    """A run's hold on MAINSTEM_HOME, from its first asset to its last.

    As a Dagster resource (`resource()`) it takes the lock on MAINSTEM_HOME while a run is set up,
    so a run that is started beside another one fails at once with the name of who is busy; a
    command line that has the lock already says so. The sample's stand-ins start when something
    asks for the environment, and end with the run.
    """

    def __init__(
        self,
        home: Home,
        project: Project,
        progress: Progress | None = None,
        *,
        holds_lock: bool = False,
    ) -> None:
        self._home = home
        self._project = project
        self._progress = progress or Progress()
        self._holds_lock = holds_lock
        self._left_out: list[str] = []
        self._facts: dict[str, Any] = {}
        self._stack = ExitStack()
        self._environment: dict[str, str] | None = None

    @property
    def home(self) -> Home:
        return self._home

    @property
    def project(self) -> Project:
        return self._project

    @property
    def progress(self) -> Progress:
        return self._progress

    @property
    def left_out(self) -> list[str]:
        """What this run had to leave out, in words; empty when it is complete."""
        return self._left_out

    @property
    def facts(self) -> dict[str, Any]:
        """What the closing report wants to know and no table says."""
        return self._facts

    @property
    def is_sample(self) -> bool:
        """Whether the sample company's stand-ins and truth labels are switched on."""
        return self._project.is_sample

    @property
    def now(self) -> datetime:
        """The clock, as UTC without a zone: what goes into `_at` columns."""
        return datetime.now(UTC).replace(tzinfo=None)

    def resource(self) -> dg.ResourceDefinition:
        """This, as the resource that assets ask for."""

        def set_up(context: dg.InitResourceContext) -> Iterator[Mainstem]:
            run = context.run.run_id[:8] if context.run else "?"
            with ExitStack() as self._stack:
                if not self._holds_lock:
                    purpose = f"Dagster run {run}"
                    self._stack.enter_context(lock.hold(self._home.lock, purpose, wait_seconds=2))
                self._project.begin()
                yield self
            self._environment = None

        return dg.ResourceDefinition(resource_fn=contextmanager(set_up))

    @contextmanager
    def warehouse(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The warehouse, open while the block runs; never while dbt runs or a network is waited for."""
        with warehouse.connect(self._home.warehouse) as con:
            yield con

    def environment(self) -> dict[str, str]:
        """Variables that connections refer to; the sample's own where the user sets none."""
        if self._environment is None:
            self._environment = self._stack.enter_context(
                sample.environment(self._home, is_sample=self._project.is_sample)
            )
        return self._environment

    def leave_out(self, what: str) -> None:
        """Note that the run is incomplete, and why; the run goes on."""
        self._left_out.append(what)
        self._progress.say(f"! {what}")
