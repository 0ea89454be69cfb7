"""What a day costs in the warehouse, beside building all of it.

    python -m benchmarks.warehouse [--scale F] [--memory 5GB] [--keep FOLDER] [--check]

A company of 1 million customers, 20 million events and 2 million orders (times F) is written into
the raw tables; dbt builds every model, without tests; a day comes (0.3 % more, some of it late, some
changed, some customers merged) and dbt builds again. Seconds are dbt's, from its first model to its
last, in processes of their own; ends with one JSON line. `--check` builds everything anew once more
and compares each table with what the day left.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks import company
from benchmarks.projects import copy_project

SHARE = 0.003
LIMIT_SECONDS = 7_200
STEPS = ("generate", "full", "add_day", "day")
# Histories say when something was found out: no rebuild knows.
HISTORIES = (
    "golden_customers_history",
    "membership",
    "membership_history",
    "definitions",
    "experiment_assignments",
)


def size_of(scale: float) -> company.Size:
    """Customers, events and orders at a scale."""
    return company.Size(int(1_000_000 * scale), int(20_000_000 * scale), int(2_000_000 * scale))


def prepare(folder: Path) -> None:
    """A copy of the project with the company's sources."""
    project = copy_project(folder / "project")
    path = project / "dbt_project" / "dbt_project.yml"
    settings = yaml.safe_load(path.read_text("utf-8"))
    settings["vars"] |= {"sources": company.SOURCES, "sample_company": False}
    path.write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")


def step(name: str, folder: Path, scale: float) -> dict[str, Any]:
    """One step in this process: what it took."""
    from orchestration import warehouse
    from orchestration.home import Home

    size = size_of(scale)
    home = Home(root=folder / "project", data=folder / "home")
    day = name in ("add_day", "day", "check")
    os.environ["MAINSTEM_AS_OF"] = "2026-07-02 00:00:00" if day else "2026-07-01 00:00:00"
    began = time.monotonic()
    figures: dict[str, Any] = {}
    if name in ("generate", "add_day"):
        from ingestion import declarations

        tables = [t for t in declarations.read(home.staging).tables if t.source in company.SOURCES]
        with warehouse.connect(home.warehouse) as con:
            made = company.Company(con, tables, size)
            if day:
                made.add_day(SHARE)
            else:
                made.begin()
    elif name == "check":
        anew = Home(root=home.root, data=folder / "anew")
        shutil.rmtree(anew.data, ignore_errors=True)
        anew.warehouse.parent.mkdir(parents=True)
        shutil.copy(home.warehouse, anew.warehouse)
        build(anew, size, merged=size.customers // 1000, anew=True)
        figures = {"tables": compare(home.warehouse, anew.warehouse)}
    else:
        figures = build(home, size, merged=size.customers // 1000 if day else 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"process_seconds": time.monotonic() - began, "peak_memory_mb": peak, **figures}


def compare(left: Path, right: Path) -> int:
    """How many tables two warehouses have, all equal; exits with those that are not."""
    import duckdb

    with duckdb.connect() as con:
        con.execute(f"attach '{left}' as day (read_only); attach '{right}' as anew (read_only)")
        tables = con.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'anew' "
            "and schema_name in ('canonical', 'marts', 'audiences', 'intermediate') "
            "and table_name not in ('int_event_changes', 'read_marks') and not table_name in (select unnest(?))",
            [HISTORIES],
        ).fetchall()
        unequal = []
        for schema, table in tables:
            name = f'"{schema}"."{table}"'
            sides = [
                con.execute(
                    f"select count(*) from (from {a}.{name} except all from {b}.{name})"
                ).fetchall()[0][0]
                for a, b in (("day", "anew"), ("anew", "day"))
            ]
            if any(sides):
                unequal.append(
                    f"{schema}.{table}: {sides[0]} rows only after the day, {sides[1]} only when built anew"
                )
        if unequal:
            sys.exit("\n".join(unequal))
        return len(tables)


def build(home: Any, size: company.Size, *, merged: int, anew: bool = False) -> dict[str, Any]:
    """Every model, in the two parts that a run has: up to what identity reads, and the rest."""
    from orchestration import warehouse
    from orchestration.project import Project

    project = Project(home)
    manifest = project.manifest
    after = _after_identity(manifest)
    models = {k: n for k, n in manifest["nodes"].items() if n["resource_type"] == "model"}
    seconds, cpu = 0.0, 0.0
    by_model: dict[str, float] = {}
    for part in (False, True):
        if part:
            with warehouse.connect(home.warehouse) as con:
                company.resolve(con, size, merged=merged)
        marks: list[float] = []

        def on_event(event: Any, marks: list[float] = marks) -> None:
            if event.info.name in ("NodeStart", "NodeFinished"):
                marks.append(time.monotonic())

        before = _cpu()
        nodes = [n for k, n in models.items() if (k in after) == part]
        rebuild = [node["name"] for node in nodes] if anew else []
        results = project.build(nodes, on_event, unit_tests=False, rebuild=rebuild)
        cpu += _cpu() - before
        seconds += max(marks) - min(marks)
        bad = [f"{r.unique_id}: {r.message}" for r in results if not r.is_good]
        if bad:
            sys.exit("\n".join(bad))
        by_model |= {r.unique_id.split(".")[-1]: round(r.seconds, 2) for r in results}
    return {"seconds": seconds, "cpu_seconds": cpu, "by_model": by_model}


def _after_identity(manifest: dict[str, Any]) -> set[str]:
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


def run(
    folder: Path, scale: float, memory: str, steps: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """These steps, in processes of their own."""
    found = {}
    for name in steps:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "benchmarks.warehouse",
                "--scale",
                str(scale),
                "--step",
                name,
                "--keep",
                str(folder),
            ],
            env={
                **os.environ,
                "MAINSTEM_MEMORY_LIMIT": memory,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            stdout=subprocess.PIPE,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            sys.exit(f"step {name} ended with {done.returncode}: {done.stdout}")
        found[name] = json.loads(done.stdout.splitlines()[-1])
        print(name, {k: v for k, v in found[name].items() if k != "by_model"}, flush=True)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scale", type=float, default=1.0, help="times 1 million customers")
    parser.add_argument("--memory", default="5GB", help="what DuckDB may take; Python comes on top")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it there")
    parser.add_argument(
        "--check", action="store_true", help="build anew after the day, and compare"
    )
    parser.add_argument("--step", choices=(*STEPS, "check"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        print(json.dumps(step(given.step, given.keep, given.scale)))
        return
    with tempfile.TemporaryDirectory(prefix="mainstem-bench-") as temporary:
        folder = given.keep or Path(temporary)
        prepare(folder)
        steps = (*STEPS, "check") if given.check else STEPS
        found = run(folder, given.scale, given.memory, steps)
    full, day = found["full"], found["day"]
    print(f"{'seconds by model':<40} {'full':>8} {'day':>8}")
    for name, value in sorted(full["by_model"].items(), key=lambda item: -item[1]):
        if value >= 0.2 or day["by_model"].get(name, 0) >= 0.2:
            print(f"{name:<40} {value:>8.2f} {day['by_model'].get(name, 0):>8.2f}")
    size = size_of(given.scale)
    figures = {
        "customers": size.customers,
        "events": size.events,
        "orders": size.orders,
        "peak_memory_mb": round(max(full["peak_memory_mb"], day["peak_memory_mb"])),
        **{f"{name}_seconds": round(found[name]["seconds"], 1) for name in ("full", "day")},
        **{f"{name}_cpu_seconds": round(found[name]["cpu_seconds"], 1) for name in ("full", "day")},
    }
    if given.check:
        figures["equal_tables"] = found["check"]["tables"]
    ratios = {"day_vs_full": round(day["seconds"] / full["seconds"], 3)}
    print(json.dumps({"benchmark": "warehouse", "ratios": ratios, "figures": figures}))


if __name__ == "__main__":
    main()
