"""Where the seconds of `make run` go, step by step, on the first and on the second run.

    python -m benchmarks.main_job [--scale F]

Runs the sample company (F times its people) in a copy of the project with an empty MAINSTEM_HOME,
as one process each. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.projects import copy_project, environment

PEOPLE = 5_000
LIMIT_SECONDS = 3_600


def run(project: Path, home: Path) -> dict[str, Any]:
    """One `mainstem run`: seconds of the whole process, and those that it counts itself."""
    began = time.monotonic()
    done = subprocess.run(
        [str(Path(sys.executable).parent / "mainstem"), "run", "--json", "--quiet"],
        env=environment(project, home),
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"mainstem run ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    steps = json.loads(done.stdout)["seconds_by_step"]
    seconds = {"process": time.monotonic() - began, **steps}
    return {name: round(value, 2) for name, value in seconds.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scale", type=float, default=1.0, help="times 5,000 people")
    scale = parser.parse_args().scale
    with tempfile.TemporaryDirectory(prefix="mainstem-bench-") as folder:
        project = copy_project(Path(folder) / "project")
        people = int(PEOPLE * scale)
        if people != PEOPLE:
            company = str(project / "seeds" / "company")
            subprocess.run(
                [sys.executable, "-m", "seeds.generate", f"--scale={scale}", f"--out={company}"],
                check=True,
                timeout=LIMIT_SECONDS,
            )
        home = Path(folder) / "home"
        first, second = run(project, home), run(project, home)
    width = max(map(len, first))
    print(f"{'seconds':<{width}}  {'first':>8}  {'second':>8}")
    for name, value in first.items():
        print(f"{name:<{width}}  {value:>8.2f}  {second.get(name, 0.0):>8.2f}")
    figures = {"people": people, "first_run": first, "second_run": second}
    print(json.dumps({"benchmark": "main_job", "ratios": {}, "figures": figures}))


if __name__ == "__main__":
    main()
