"""Copies of this project, to run somewhere else with other data."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def copy_project(target: Path) -> Path:
    """Copy what makes a company (dbt project, identity rules, sample files) below `target`."""
    skip = shutil.ignore_patterns("target", "logs", "dbt_packages", "__pycache__", "*.pyc")
    shutil.copytree(ROOT / "dbt_project", target / "dbt_project", ignore=skip)
    shutil.copytree(ROOT / "seeds" / "company", target / "seeds" / "company")
    (target / "tests").mkdir()
    shutil.copytree(ROOT / "tests" / "dbt", target / "tests" / "dbt")
    (target / "identity").mkdir()
    for rules in (ROOT / "identity").glob("*.yml"):
        shutil.copy(rules, target / "identity")
    return target


def environment(project: Path, home: Path) -> dict[str, str]:
    """The variables with which `mainstem` works in that copy, and keeps its data in `home`."""
    # Compiling thousands of modules each time would be half of what a small run takes.
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "MAINSTEM_PROJECT": str(project), "MAINSTEM_HOME": str(home)}
