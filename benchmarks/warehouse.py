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
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from benchmarks import builds, company
from benchmarks.projects import copy_project

SHARE = 0.003
LIMIT_SECONDS = 7_200
STEPS = ("generate", "full", "add_day", "day")


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
    for audience in (project / "dbt_project" / "models" / "audiences").rglob("*.yml"):
        # The sample's guard is for a company of its size.
        text = re.sub(r"max_size: \d+", "max_size: 100000000", audience.read_text("utf-8"))
        audience.write_text(text, "utf-8")


def step(name: str, folder: Path, scale: float) -> dict[str, Any]:
    """One step in this process: what it took."""
    from orchestration import warehouse
    from orchestration.home import Home
    from orchestration.project import Project

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
        builds.build(Project(anew), size, merged=size.customers // 1000, anew=True)
        unequal = builds.differences(home.warehouse, anew.warehouse)
        if unequal:
            sys.exit("\n".join(unequal))
    else:
        figures = asdict(
            builds.build(Project(home), size, merged=size.customers // 1000 if day else 0)
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"process_seconds": time.monotonic() - began, "peak_memory_mb": peak, **figures}


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
    ratios = {"day_vs_full": round(day["seconds"] / full["seconds"], 3)}
    print(json.dumps({"benchmark": "warehouse", "ratios": ratios, "figures": figures}))


if __name__ == "__main__":
    main()
