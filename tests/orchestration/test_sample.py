"""The sample's stand-ins, for whatever needs the addresses that a run has."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.projects import copy_project
from ingestion import fetch
from orchestration import sample
from orchestration.cli import quarantine
from orchestration.home import Home
from orchestration.project import Project


def test_stand_ins_run_where_the_sample_is_on_and_a_users_own_address_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(root=copy_project(tmp_path / "project"), data=tmp_path / "data")
    monkeypatch.setenv("MAINSTEM_EMAIL_TOOL_URL", "http://127.0.0.1:9/")
    assert Project(home).is_sample
    with sample.environment(home, is_sample=True) as env:
        assert env["MAINSTEM_EMAIL_TOOL_URL"] == "http://127.0.0.1:9/"
        assert env["MAINSTEM_STORES_SFTP_PORT"].isdigit()
    with sample.environment(home, is_sample=False) as env:
        assert "MAINSTEM_STORES_SFTP_PORT" not in env


def test_a_replay_has_the_environment_that_a_run_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stores' files come from the sample's SFTP server, which the environment does not name."""
    monkeypatch.setenv("MAINSTEM_PROJECT", str(copy_project(tmp_path / "project")))
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path / "data"))
    brought = []
    real = fetch.fetch

    def watched(*given: object, **how: object) -> object:
        brought.extend(real(*given, **how))  # type: ignore[arg-type]
        return tuple(brought)

    monkeypatch.setattr(fetch, "fetch", watched)
    done = CliRunner().invoke(quarantine.command, ["replay", "stores.receipts"])
    assert done.exit_code == 0, done.output
    assert "No file of stores.receipts has refused rows" in done.output
    assert len(brought) == 3
    assert all(arrival.error is None for arrival in brought)
