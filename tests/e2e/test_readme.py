"""The README's own commands, and the source that it adds."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from benchmarks.projects import ROOT

pytestmark = pytest.mark.e2e

README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def blocks(language: str, section: str) -> list[str]:
    """The fenced blocks of a language in a section of the README."""
    text = README.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """The commands of a text, as words."""
    return [shlex.split(line[2:]) for line in text.splitlines() if line.startswith("$ ")]


def test_every_command_of_the_readme_works(road: Any) -> None:
    """Those that change the project or make a new one are walked below, elsewhere."""
    found = commands(README)
    assert ["make", "run"] in found
    assert ["make", "test"] in found
    for program, *arguments in found:
        if program == "make":
            assert f"\n{arguments[0]}:" in MAKEFILE
        elif arguments[0] not in ("source", "run", "init"):
            assert program == ".venv/bin/mainstem"
            assert road.command(*arguments).stdout.strip()


def test_every_command_is_documented_and_has_help(road: Any) -> None:
    from orchestration.cli import COMMANDS

    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))
    for name in COMMANDS:
        assert f"mainstem {name}" in README + pages, name
        assert "Usage: mainstem" in road.command(name, "--help").stdout


def test_links_of_the_readme_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_a_source_added_by_the_readme_is_in_golden_records(next_day: Any) -> None:
    (rows,) = blocks("csv", "Add a source")
    (steps,) = blocks("console", "Add a source")
    drop: Path = next_day.project / "drop"
    drop.mkdir()
    (drop / "guests.csv").write_text(rows, encoding="utf-8")
    for _, *arguments in commands(steps):
        next_day.command(*arguments)
    found = next_day.query(
        """
        select g.email, g.email_source from marts.golden_customers as g
        join identity.crosswalk using (customer_id) where node_key = 'guests:G1'
        """
    )
    assert found == [("wilhelmina@quartermaine.example.org", "guests")]
    written = next_day.project / "dbt_project" / "models" / "staging" / "guests" / "_guests.yml"
    for line in blocks("yaml", "Add a source")[0].splitlines():
        assert line.split("#")[0].strip() in written.read_text(encoding="utf-8")


def test_the_readmes_own_company_is_a_project(elsewhere: Any, tmp_path: Path) -> None:
    (steps,) = blocks("console", "Your own company")
    ((_, command, _),) = commands(steps)
    elsewhere.command(command, str(tmp_path / "our-company"))
    assert (tmp_path / "our-company" / "dbt_project" / "dbt_project.yml").is_file()
