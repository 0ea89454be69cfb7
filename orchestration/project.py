"""The dbt project as orchestration sees it: its variables, its manifest, and running it.

dbt runs in this process: importing it takes seconds, so it is done once, and the manifest that
parsing made is handed to every later invocation.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from orchestration.home import Home

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest


EXACTLY = ("--indirect-selection", "empty", "--select")


class ProjectError(Exception):
    """The dbt project cannot be read; the message is dbt's, which names the file."""


@dataclass(frozen=True)
class NodeResult:
    """What dbt says of one node after running it."""

    unique_id: str
    status: str  # success | pass | warn | fail | error | skipped
    seconds: float
    failures: int | None
    message: str | None

    @property
    def is_good(self) -> bool:
        return self.status in ("success", "pass", "warn")


class Project:
    """One dbt project with its manifest, parsed at most once in a process."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._parsed: Manifest | None = None
        self._now: str | None = None

    @cached_property
    def variables(self) -> dict[str, Any]:
        """`vars` of dbt_project.yml."""
        path = self.home.dbt_project / "dbt_project.yml"
        try:
            return dict(yaml.safe_load(path.read_text(encoding="utf-8")).get("vars") or {})
        except (yaml.YAMLError, AttributeError) as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{path}:{mark.line + 1}" if mark else str(path)
            what = getattr(error, "problem", None) or "it holds no settings"
            raise ProjectError(f"{where}: this is not readable YAML: {what}") from None

    @property
    def sources(self) -> Mapping[str, list[str]]:
        """Sources that are switched on, and the entities each feeds."""
        return self.variables.get("sources") or {}

    @property
    def is_sample(self) -> bool:
        """Whether the sample company's stand-ins and truth labels are switched on."""
        return bool(self.variables.get("sample_company"))

    def as_of(self) -> str:
        """The moment that recency, windows and audiences are computed at (UTC, to the second).

        Asked of the clock once for each run (`begin`), so that a run has one "now".
        """
        if self._now is None:
            self.begin()
        return str(self._now)

    def begin(self) -> None:
        """A run begins: what it calls now. Raises ProjectError for a moment that is none."""
        given = os.environ.get("MAINSTEM_AS_OF") or self.variables.get("as_of")
        try:
            moment = datetime.fromisoformat(str(given)) if given else datetime.now(UTC)
        except ValueError:
            raise ProjectError(
                f"as_of {given!r} is no moment: write it as 2026-07-01 00:00:00"
                " (MAINSTEM_AS_OF, or the var in dbt_project.yml)"
            ) from None
        moment = moment.astimezone(UTC) if moment.tzinfo else moment
        self._now = moment.strftime("%Y-%m-%d %H:%M:%S")

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """dbt's manifest as a dictionary; parses if a file of the project has changed."""
        self._install()
        if not self.is_parsed():
            digest = self._digest()
            self._parse()
            self._stamp.write_text(digest)
        found = dict(json.loads(self.home.manifest.read_text(encoding="utf-8")))
        _leave_out_disabled(found)
        return found

    def is_parsed(self) -> bool:
        """Whether the manifest on disk is that of the files as they are."""
        stamp = self._stamp
        return (
            self.home.manifest.exists() and stamp.exists() and stamp.read_text() == self._digest()
        )

    @property
    def _stamp(self) -> Path:
        return self.home.dbt_target / "mainstem_parsed_at"

    def _digest(self) -> str:
        return _digest_of_files(
            self.home.dbt_project, self.home.root / "tests" / "dbt", *self._packages()
        )

    def build(
        self,
        nodes: Iterable[Mapping[str, Any]],
        on_event: Callable[[Any], None] | None = None,
        *,
        run_id: str = "",
        unit_tests: bool = True,
        rebuild: Iterable[str] = (),
    ) -> list[NodeResult]:
        """`dbt build` of exactly these manifest nodes (models, seeds, tests), in their order.

        dbt runs a model's unit tests with it, unless `unit_tests` is false. Incremental models named
        in `rebuild` are built anew; the others take in what changed. `run_id` is what the
        audiences' books call the run; without one it is dbt's own id.
        """
        os.environ["MAINSTEM_RUN_ID"] = run_id
        os.environ["MAINSTEM_REBUILD"] = ",".join(rebuild)
        without = [] if unit_tests else ["--exclude-resource-type", "unit_test"]
        selection = sorted(".".join(node["fqn"]) for node in nodes)
        if not selection:
            return []
        result = self._invoke(
            # The manifest that parsing wrote is what fingerprints are taken from: leave it as it is.
            ["build", "--no-write-json", *without, *EXACTLY, *selection],
            on_event,
        )
        if result.exception is not None and result.result is None:
            raise ProjectError(str(result.exception))
        return [
            NodeResult(
                unique_id=outcome.node.unique_id,
                status=str(outcome.status),
                seconds=outcome.execution_time,
                failures=outcome.failures,
                message=outcome.message,
            )
            for outcome in result.result.results
            # the project's hooks are results too, and are told of only when they fail
            if str(outcome.node.resource_type) != "operation" or str(outcome.status) != "success"
        ]

    def _packages(self) -> list[Path]:
        """The folders that local packages read models, seeds and macros from."""
        found = []
        for package in sorted((self.home.dbt_project / "dbt_packages").glob("*/")):
            settings = yaml.safe_load((package / "dbt_project.yml").read_text(encoding="utf-8"))
            found.append(package / "dbt_project.yml")
            for kind in ("model", "macro", "seed", "snapshot", "test"):
                usual = ["macros" if kind == "macro" else f"{kind}s"]
                found += [package / path for path in settings.get(f"{kind}-paths", usual)]
        return found

    def _install(self) -> None:
        """`dbt deps`, where packages are declared and are not there yet."""
        folder = self.home.dbt_project
        if (folder / "packages.yml").is_file() and not (folder / "dbt_packages").is_dir():
            result = self._invoke(["deps"])
            if not result.success:
                raise ProjectError(
                    f"dbt cannot install {folder / 'packages.yml'}: {result.exception}"
                )

    def document(self) -> Path:
        """dbt's documentation of the project and of the tables that there are, as one HTML file."""
        folder = self.home.data / "dbt" / "docs"  # compiling rewrites the manifest: not ours
        folder.mkdir(parents=True, exist_ok=True)
        result = self._invoke(["docs", "generate", "--static"], target=folder)
        page = folder / "static_index.html"
        if not result.success or not page.exists():
            raise ProjectError(f"dbt cannot document {self.home.dbt_project}: {result.exception}")
        return page

    def operate(self, macro: str, *, run_id: str = "") -> None:
        """`dbt run-operation` of a macro that takes nothing. Raises ProjectError."""
        os.environ["MAINSTEM_RUN_ID"] = run_id
        result = self._invoke(["run-operation", macro])
        if not result.success:
            raise ProjectError(f"dbt macro {macro}: {result.exception or 'failed'}")

    def _parse(self) -> None:
        result = self._invoke(["parse"])
        if not result.success:
            raise ProjectError(f"dbt cannot parse {self.home.dbt_project}: {result.exception}")
        self._parsed = result.result

    def _invoke(
        self,
        command: list[str],
        on_event: Callable[[Any], None] | None = None,
        target: Path | None = None,
    ) -> Any:
        from dbt.cli.main import dbtRunner

        self.home.dbt_target.mkdir(parents=True, exist_ok=True)
        self.home.warehouse.parent.mkdir(parents=True, exist_ok=True)
        os.environ["MAINSTEM_WAREHOUSE"] = str(self.home.warehouse)
        os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
        before = os.environ.get("MAINSTEM_AS_OF")
        os.environ["MAINSTEM_AS_OF"] = self.as_of()
        runner = dbtRunner(manifest=self._parsed, callbacks=[on_event] if on_event else None)
        where = str(self.home.dbt_project)
        places = ["--project-dir", where, "--profiles-dir", where]
        if command[0] != "deps":  # which makes nothing there
            places += ["--target-path", str(target or self.home.dbt_target)]
        places += ["--log-path", str(self.home.dbt_target.parent / "logs")]
        quiet = ["--quiet", "--log-level", "none", "--no-use-colors", "--no-version-check"]
        try:
            return runner.invoke([*quiet, *command, *places])
        finally:
            _close_warehouse()
            if before is None:
                del os.environ["MAINSTEM_AS_OF"]
            else:
                os.environ["MAINSTEM_AS_OF"] = before


def _leave_out_disabled(manifest: dict[str, Any]) -> None:
    """dbt keeps the tests of models that are switched off, without what they depend on."""
    nodes = manifest["nodes"]
    gone = {key for key, node in nodes.items() if not node["config"].get("enabled", True)}
    manifest["nodes"] = {key: node for key, node in nodes.items() if key not in gone}
    for name in ("parent_map", "child_map"):
        manifest[name] = {
            key: [other for other in others if other not in gone]
            for key, others in manifest[name].items()
            if key not in gone
        }


def _close_warehouse() -> None:
    """dbt-duckdb keeps the file open until the process ends; we want it back now."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    manager: Any = DuckDBConnectionManager
    if manager._ENV is not None:
        manager._ENV.close()
    manager.close_all_connections()


def _digest_of_files(*folders: Path) -> str:
    """Names, sizes and times of a dbt project's files: a change of any means parsing again."""
    digest = hashlib.sha256(f"{version('dbt-core')} {version('dbt-duckdb')}".encode())
    for folder in folders:
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*")):
            if path.is_file() and path.suffix in (".sql", ".yml", ".yaml", ".csv", ".md"):
                stat = path.stat()
                digest.update(
                    f"{path.relative_to(folder)}|{stat.st_size}|{stat.st_mtime_ns}\n".encode()
                )
    digest.update(os.environ.get("MAINSTEM_THREADS", "").encode())
    return digest.hexdigest()
