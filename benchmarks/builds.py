"""Building every model over a generated company, and comparing what two ways of building left."""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import company
from orchestration import warehouse
from orchestration.project import Project

# Histories and logs say when something was found out: no rebuild knows.
HISTORIES = (
    "golden_customers_history",
    "membership",
    "membership_history",
    "definitions",
    "experiment_assignments",
    "read_marks",
)


@dataclass
class Built:
    """What building took from dbt's first model to its last (its start-up apart): seconds, CPU seconds,
    and seconds by model."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    by_model: dict[str, float] = field(default_factory=dict)


class BuildError(Exception):
    """Models did not build; the message lists them."""


def build(
    project: Project,
    size: company.Size,
    *,
    merged: int | None,
    anew: bool = False,
    only: Sequence[str] = (),
) -> Built:
    """Build models (all, or `only` those names) in the two parts that a run has: up to what identity
    reads, and the rest; in one where `merged` is None, since who is who stays as it is. `anew`: none
    takes in what changed, all are built in full.

    Raises BuildError.
    """
    project.begin()
    manifest = project.manifest
    after = _after_identity(manifest)
    models = {
        key: node
        for key, node in manifest["nodes"].items()
        if node["resource_type"] == "model" and (not only or node["name"] in only)
    }
    took = Built()
    for part in (None,) if merged is None else (False, True):
        if part and merged is not None:
            with warehouse.connect(project.home.warehouse) as con:
                company.resolve(con, size, merged=merged)
        marks: list[tuple[float, float]] = []

        def on_event(event: Any, marks: list[tuple[float, float]] = marks) -> None:
            if event.info.name in ("NodeStart", "NodeFinished"):
                marks.append((time.monotonic(), _cpu()))

        nodes = [node for key, node in models.items() if part is None or (key in after) == part]
        rebuild = [node["name"] for node in nodes] if anew else []
        results = project.build(nodes, on_event, unit_tests=False, rebuild=rebuild)
        took.seconds += marks[-1][0] - marks[0][0]
        took.cpu_seconds += marks[-1][1] - marks[0][1]
        bad = [f"{r.unique_id}: {r.message}" for r in results if not r.is_good]
        if bad:
            raise BuildError("\n".join(bad))
        took.by_model |= {r.unique_id.split(".")[-1]: round(r.seconds, 2) for r in results}
    return took


def differences(left: Path, right: Path) -> list[str]:
    """A line for each table of two warehouses that is not the same in both."""
    unequal = []
    with duckdb.connect() as con:
        con.execute(f"attach '{left}' as a (read_only); attach '{right}' as b (read_only)")
        tables = con.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'b' "
            "and schema_name in ('canonical', 'marts', 'audiences', 'intermediate') "
            "and not (table_name like '%_changes' or table_name in (select unnest(?)))",
            [list(HISTORIES)],
        ).fetchall()
        for schema, table in tables:
            name = f'"{schema}"."{table}"'
            sides = [
                con.execute(
                    f"select count(*) from (from {one}.{name} except all from {other}.{name})"
                ).fetchall()[0][0]
                for one, other in (("a", "b"), ("b", "a"))
            ]
            if any(sides):
                unequal.append(f"{schema}.{table}: {sides[0]} rows here alone, {sides[1]} there")
    return unequal


def _after_identity(manifest: Mapping[str, Any]) -> set[str]:
    """Models that read, at whatever remove, what identity wrote."""
    found: set[str] = set()
    waiting = [k for k, s in manifest["sources"].items() if s["source_name"] == "identity"]
    while waiting:
        for child in manifest["child_map"][waiting.pop()]:
            if child.startswith("model.") and child not in found:
                found.add(child)
                waiting.append(child)
    return found


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
