"""`mainstem sync` without a run: the list, the dry run, the check, and what is wrong usage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from orchestration import lock
from orchestration.cli import sync
from orchestration.project import Project

if TYPE_CHECKING:
    from conftest import World

NAME = "buyers_to_mail"


@pytest.fixture
def declared(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The world with a manifest that dbt is not asked for."""
    world.write_manifest()
    monkeypatch.setattr(Project, "is_parsed", lambda _: True)
    monkeypatch.setenv("MAINSTEM_PROJECT", str(world.home.root))
    monkeypatch.setenv("MAINSTEM_HOME", str(world.home.data))
    monkeypatch.setenv("URL", world.url)
    monkeypatch.setenv("SECRET", "s" * 32)
    return world


def mainstem(*arguments: str) -> Result:
    return CliRunner().invoke(sync.command, [*arguments])


def test_the_list(declared: World, person: Any) -> None:
    declared.people |= {"ann": person(), "bob": person(email=None)}
    declared.publish()
    assert "never ran" in mainstem().output
    declared.run()
    listed = json.loads(mainstem("--json").output)
    (told,) = listed["syncs"]
    assert (told["sync"], told["status"], told["held"], told["parked"]) == (NAME, "succeeded", 1, 1)
    assert listed["problems"] == []
    assert "succeeded" in mainstem().output


def test_a_run_that_stopped_says_why_in_the_list(declared: World, person: Any) -> None:
    declared.people["ann"] = person()
    declared.run(url="http://127.0.0.1:9/")
    page = mainstem().output
    assert "incomplete" in page
    assert "1 rows are pending" in page


def test_a_dry_run_counts_masks_and_writes_nothing(declared: World, person: Any) -> None:
    declared.people |= {"ann": person(), "eve": person(consent=None)}
    declared.publish()
    done = mainstem(NAME, "--dry-run", "--quiet")
    assert done.exit_code == 0, done.output
    assert "add" in done.output
    assert "ann@example.com" not in done.output
    assert "suppressed cus_eve  no_consent" in done.output
    assert not declared.home.sync_ledger.exists()
    told = json.loads(mainstem(NAME, "--dry-run", "--json").output)
    assert told["counts"] == {"add": 1, "suppressed": 1}
    folders = {path.name for path in declared.home.data.iterdir() if path.is_dir()}
    assert folders == {"dbt", "published"}


def test_bodies_are_what_would_be_sent(declared: World, person: Any) -> None:
    declared.people["ann"] = person()
    declared.publish()
    page = mainstem(NAME, "--dry-run", "--bodies", "--quiet").output
    assert f"POST {declared.url}" in page
    assert '"fields":{"email":"ann@example.com","name":"ann"}' in page


def test_a_dry_run_is_the_runs_difference_and_waits_for_nobody(
    declared: World, person: Any
) -> None:
    declared.people |= {"ann": person(), "bob": person()}
    declared.run()
    declared.people["ann"].revenue = 1
    declared.publish()
    counts = json.loads(mainstem(NAME, "--dry-run", "--json").output)["counts"]
    assert counts == {"remove": 1, "unchanged": 1}
    with lock.hold(declared.home.lock, "a run"):
        done = mainstem(NAME, "--dry-run")
    assert isinstance(done.exception, lock.BusyError)


def test_a_dry_run_of_what_a_guard_would_block(declared: World, person: Any) -> None:
    declared.people |= {f"p{n}": person() for n in range(40)}
    declared.run()
    declared.people |= {f"p{n}": person(revenue=1) for n in range(30)}
    declared.publish()
    done = mainstem(NAME, "--dry-run", "--quiet")
    assert done.exit_code == 3
    assert "--accept" in done.output


def test_the_check(declared: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"{NAME} → webhook" in mainstem(NAME, "--check").output
    monkeypatch.delenv("SECRET")
    done = mainstem(NAME, "--check")
    assert done.exit_code == 1
    assert "SECRET" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dry-run"], "--dry-run of which sync?"),
        (["buyers_to_mial"], f"did you mean {NAME}?"),
        ([NAME, "--bodies", "2"], "goes with --dry-run"),
        ([NAME, "--resume", "--full"], "--resume and --full do not go together"),
        ([NAME, "--check", "--dry-run"], "do not go together"),
    ],
)
def test_wrong_usage(declared: World, arguments: list[str], words: str) -> None:
    declared.publish()
    done = mainstem(*arguments)
    assert done.exit_code == 2
    assert words in done.output


def test_a_wrong_declaration_is_told_and_takes_nothing_else_down(declared: World) -> None:
    declared.publish()
    declared.write_manifest(mode="miror")
    assert "did you mean mirror?" in mainstem().output
    done = mainstem(NAME)
    assert done.exit_code == 1
    assert "models/_exposures.yml: exposure buyers_to_mail, config.meta.sync.mode" in done.stderr
