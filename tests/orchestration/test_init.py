"""What `mainstem init` writes, and that it never writes over anything."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from orchestration.cli import init
from orchestration.home import Home, find_root


def initialised(folder: Path, expect: int = 0) -> str:
    """Run it there; what it says."""
    done = CliRunner().invoke(init.command, [str(folder)])
    assert done.exit_code == expect, done.output
    return done.output


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A dbt project on DuckDB."""
    folder = tmp_path / "theirs"
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("name: jaffle\nprofile: shop\n")
    (folder / "models" / "orders.sql").write_text("select 1 as id")
    (folder / "profiles.yml").write_text(
        "shop: {target: dev, outputs: {dev: {type: duckdb, path: shop.duckdb}}}"
    )
    return folder


def test_an_empty_folder_gets_a_project_and_a_second_time_lists_what_is_there(
    tmp_path: Path,
) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    assert "mainstem source add drop/<file>" in initialised(tmp_path)
    settings = yaml.safe_load((tmp_path / "dbt_project" / "dbt_project.yml").read_text())
    assert settings["vars"]["sources"] == {}
    assert not (tmp_path / "dbt_project" / "models" / "staging" / "crm").exists()
    assert (tmp_path / ".gitignore").read_text() == "mine\n"
    before = contents(tmp_path)
    assert "nothing was changed" in initialised(tmp_path, expect=1)
    assert contents(tmp_path) == before


def test_beside_a_dbt_project_everything_is_in_one_folder_and_theirs_is_as_it_was(
    theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAINSTEM_PROJECT", raising=False)
    before = contents(theirs)
    said = initialised(theirs)
    assert "jaffle" in said
    assert "shop.duckdb" in said
    after = contents(theirs)
    assert {name: after[name] for name in before} == before
    assert all(name.startswith("mainstem/") for name in after.keys() - before.keys())
    packages = yaml.safe_load(after["mainstem/dbt_project/packages.yml"])
    assert packages == {"packages": [{"local": "../.."}]}
    assert find_root(theirs / "models") == theirs / "mainstem"
    home = Home(theirs / "mainstem", theirs / "mainstem" / "data")
    assert home.warehouse == theirs / "shop.duckdb"

    (theirs / "mainstem" / "identity" / "rules.yml").write_text("mine")
    before = contents(theirs)
    assert "identity/rules.yml" in initialised(theirs, expect=1)
    assert contents(theirs) == before


def test_a_profile_that_is_not_duckdb_is_told(
    theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (theirs / "profiles.yml").write_text("shop: {target: x, outputs: {x: {type: postgres}}}")
    assert "your profile's postgres" in initialised(theirs)
    home = Home(theirs / "mainstem", theirs / "data")
    assert home.warehouse == theirs / "data" / "warehouse" / "mainstem.duckdb"


def test_a_project_in_a_subfolder_is_found_and_two_are_one_too_many(theirs: Path) -> None:
    assert "jaffle" in initialised(theirs.parent)
    packages = (theirs.parent / "mainstem" / "dbt_project" / "packages.yml").read_text()
    assert yaml.safe_load(packages) == {"packages": [{"local": "../../theirs"}]}
    other = theirs.parent / "another"
    other.mkdir()
    (other / "dbt_project.yml").write_text("name: other\n")
    assert "another, theirs" in initialised(theirs.parent, expect=1)
    (other / "dbt_project.yml").write_text("name: [\n")
    assert "not readable" in initialised(other, expect=1)
