"""Where things are: the project a command runs in, and MAINSTEM_HOME below it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

#: The folder of a project that stands beside somebody's dbt project.
BESIDE = "mainstem"
OWN_WAREHOUSE = "../data/warehouse/mainstem.duckdb"
WAREHOUSE = re.compile(r"env_var\('MAINSTEM_WAREHOUSE', '([^']+)'\)")


class ProjectNotFoundError(Exception):
    """No Mainstem project in the working directory, nor above it."""


@dataclass(frozen=True)
class Home:
    """The paths of one project and of the data that it keeps.

    `root` holds `dbt_project/`, `identity/rules.yml` and what source locations are relative to;
    `data` is MAINSTEM_HOME. Nothing is created by asking for a path.
    """

    root: Path
    data: Path

    @property
    def dbt_project(self) -> Path:
        return self.root / "dbt_project"

    @property
    def staging(self) -> Path:
        return self.dbt_project / "models" / "staging"

    @property
    def rules(self) -> Path:
        return self.root / "identity" / "rules.yml"

    @property
    def overrides(self) -> Path:
        return self.root / "identity" / "overrides.yml"

    @property
    def labels(self) -> Path:
        return self.root / "identity" / "labels.csv"

    @property
    def charts(self) -> Path:
        return self.data / "charts"

    @property
    def warehouse(self) -> Path:
        """The DuckDB file that is written: ours, or the one that profiles.yml shares with a dbt
        project beside which this one was set up."""
        profile = self.dbt_project / "profiles.yml"
        named = WAREHOUSE.search(profile.read_text(encoding="utf-8")) if profile.exists() else None
        if named is None or named[1] == OWN_WAREHOUSE:
            return self.data / "warehouse" / "mainstem.duckdb"
        return (self.dbt_project / named[1]).resolve()

    @property
    def published(self) -> Path:
        return self.data / "published" / "mainstem.duckdb"

    @property
    def sync_ledger(self) -> Path:
        return self.data / "sync_ledger.duckdb"

    @property
    def dagster(self) -> Path:
        return self.data / "dagster"

    @property
    def downloads(self) -> Path:
        return self.data / "downloads"

    @property
    def dbt_target(self) -> Path:
        return self.data / "dbt" / "target"

    @property
    def manifest(self) -> Path:
        return self.dbt_target / "manifest.json"

    @property
    def lock(self) -> Path:
        return self.data / "mainstem.lock"

    @property
    def sample(self) -> Path:
        return self.data / "sample"

    def shown(self, path: Path) -> str:
        """A path as people read it: relative to where they stand, if it is below that."""
        here = Path.cwd()
        return str(path.relative_to(here) if path.is_relative_to(here) else path)


def find_root(start: Path | None = None) -> Path:
    """The nearest folder at or above `start` (the working directory) that holds a project, itself
    or in a folder `mainstem`.

    MAINSTEM_PROJECT names it outright. Raises ProjectNotFoundError.
    """
    named = os.environ.get("MAINSTEM_PROJECT")
    if named:
        if found := _project_at(Path(named).resolve()):
            return found
        raise ProjectNotFoundError(
            f"MAINSTEM_PROJECT is {named}, but there is no dbt_project/dbt_project.yml in it."
        )
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if found := _project_at(folder):
            return found
    raise ProjectNotFoundError(
        f"No Mainstem project at {here} or above it (looked for dbt_project/dbt_project.yml)."
        " Go into the project's folder, or set MAINSTEM_PROJECT."
    )


def _project_at(folder: Path) -> Path | None:
    places = (folder / BESIDE, folder)
    return next((p for p in places if (p / "dbt_project" / "dbt_project.yml").is_file()), None)


def find_home() -> Home:
    """The project and its data folder, from MAINSTEM_PROJECT, MAINSTEM_HOME and where we stand."""
    root = find_root()
    return Home(root=root, data=(root / (os.environ.get("MAINSTEM_HOME") or "data")).resolve())
