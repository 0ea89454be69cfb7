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


def test_every_command_of_the_readme_works(road: Any) -> None:
    commands = [line.removeprefix("$ ") for line in README.splitlines() if line.startswith("$ ")]
    assert "make run" in commands
    assert "make test" in commands
    for command in commands:
        program, *arguments = shlex.split(command)
        if program == "make":
            assert f"\n{arguments[0]}:" in MAKEFILE
        else:
            assert program == ".venv/bin/mainstem"
            assert road.command(*arguments).stdout.strip()


def test_every_command_is_in_the_readme_and_has_help(road: Any) -> None:
    from orchestration.cli import COMMANDS

    for name in COMMANDS:
        assert f"mainstem {name}" in README or f"make {name}" in README, name
        assert "Usage: mainstem" in road.command(name, "--help").stdout


def test_links_of_the_readme_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_a_source_added_by_the_readme_is_in_golden_records(elsewhere: Any) -> None:
    source, properties = blocks("yaml", "Add a source")
    (model,) = blocks("sql", "Add a source")
    folder = elsewhere.project / "dbt_project" / "models" / "staging" / "guests"
    folder.mkdir()
    (folder / "_guests.yml").write_text(source, encoding="utf-8")
    (folder / "stg_guests__contacts.sql").write_text(model, encoding="utf-8")
    (folder / "stg_guests__contacts.yml").write_text(properties, encoding="utf-8")
    settings = elsewhere.project / "dbt_project" / "dbt_project.yml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(
        text.replace("  sources:\n", "  sources:\n    guests: [contacts]\n", 1), encoding="utf-8"
    )
    drop: Path = elsewhere.project / "drop" / "events_team"
    drop.mkdir(parents=True)
    (drop / "guests.csv").write_text(
        "guest_no,name,email,invited_at\n"
        "G1,Wilhelmina Quartermaine,wilhelmina@quartermaine.example.org,2026-06-01 10:00:00\n"
        "G2,Nobody,not an address,yesterday\n",
        encoding="utf-8",
    )
    outcome = elsewhere.run()
    assert outcome["status"] == "complete"
    found = elsewhere.query(
        """
        select g.email, g.email_source from marts.golden_customers as g
        join identity.crosswalk using (customer_id) where node_key = 'guests:G1'
        """
    )
    assert found == [("wilhelmina@quartermaine.example.org", "guests")]
    loads = elsewhere.query(
        "select rows_read, rows_loaded, rows_quarantined from ops.loads where source = 'guests'"
    )
    assert loads == [(2, 1, 1)]
