"""What the audiences folder adds, in dbt itself: a project of three models and the real macros."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from identity import tables
from orchestration.home import Home
from orchestration.project import NodeResult, Project

ROOT = Path(__file__).parents[2]
EXPERIMENT = {
    "experiment_id": "mails",
    "salt": "a salt",
    "control_share": 0.5,
    "started_on": "2026-01-01",
    "ended_on": "2026-08-01",
}


class Company:
    """A dbt project: golden_customers and contacts as the test fills them, and one audience."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(root=folder, data=folder / "data")
        dbt = self.home.dbt_project
        (dbt / "models" / "audiences").mkdir(parents=True)
        (dbt / "models" / "canonical").mkdir()
        (dbt / "models" / "marts").mkdir()
        (dbt / "macros").mkdir()
        real = ROOT / "dbt_project"
        shutil.copy(real / "profiles.yml", dbt)
        shutil.copy(real / "models" / "_groups.yml", dbt / "models")
        for name in (
            "audiences",
            "changes",
            "experiments",
            "as_of",
            "engine",
            "generate_schema_name",
        ):
            shutil.copy(real / "macros" / f"{name}.sql", dbt / "macros")
        shutil.copy(real / "models" / "canonical" / "experiments.sql", dbt / "models" / "canonical")
        project = yaml.safe_load((real / "dbt_project.yml").read_text("utf-8"))
        project |= {"model-paths": ["models"], "test-paths": ["none"]}
        project["vars"] = {"as_of": "2026-07-01 00:00:00"}
        for unknown in ("staging", "intermediate"):
            project["models"]["mainstem"].pop(unknown, None)
        for layer in ("canonical", "marts"):
            project["models"]["mainstem"][layer] = {"+schema": layer, "+materialized": "table"}
        (dbt / "dbt_project.yml").write_text(yaml.safe_dump(project), "utf-8")
        for layer, name in (("marts", "golden_customers"), ("canonical", "contacts")):
            (dbt / "models" / layer / f"{name}.sql").write_text(
                "select * from given.people", "utf-8"
            )
        with self.warehouse() as con:
            tables.create(con)
            con.execute("create schema given")
            con.execute("create table given.selected (customer_id varchar)")
            con.execute("create table given.people (customer_id varchar)")
        self.declare()

    def declare(
        self,
        *,
        meta: dict[str, Any] | None = None,
        experiments: tuple[dict[str, Any], ...] = (EXPERIMENT,),
        sql: str = "select customer_id from given.selected",
        description: str = "People.",
    ) -> None:
        models = self.home.dbt_project / "models"
        (models / "audiences" / "aud_people.sql").write_text(sql, "utf-8")
        audience = {
            "name": "aud_people",
            "description": description,
            "config": {"meta": meta or {}},
        }
        declared = {"name": "experiments", "config": {"meta": {"experiments": list(experiments)}}}
        for path, model in (
            (models / "audiences" / "aud_people.yml", audience),
            (models / "canonical" / "experiments.yml", declared),
        ):
            path.write_text(yaml.safe_dump({"version": 2, "models": [model]}), "utf-8")

    @contextmanager
    def warehouse(self) -> Iterator[duckdb.DuckDBPyConnection]:
        self.home.warehouse.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect(str(self.home.warehouse)) as con:
            con.execute("set TimeZone = 'UTC'")
            yield con

    def build(self, people: list[str | None], golden: int = 20) -> dict[str, NodeResult]:
        """`dbt build` with these people selected, out of c0, c1, …"""
        with self.warehouse() as con:
            con.execute("delete from given.selected")
            con.execute("delete from given.people")
            con.execute("insert into given.selected select unnest(?::varchar[])", [people])
            con.execute("insert into given.people select 'c' || i from range(?) t(i)", [golden])
            con.execute("delete from identity.crosswalk")
            con.execute(
                "insert into identity.crosswalk (node_key, customer_id)"
                " select 'n' || customer_id, customer_id from given.people"
            )
        project = Project(self.home)
        nodes = project.manifest["nodes"].values()
        results = project.build(nodes, run_id="a run")
        return {result.unique_id.rpartition(".")[2]: result for result in results}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.warehouse() as con:
            return con.execute(sql).fetchall()


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path)


def test_an_audience_is_its_select(company: Company) -> None:
    (company.home.dbt_project / "models" / "audiences" / "aud_people.yml").unlink()
    assert all(result.is_good for result in company.build(["c1", "c2"]).values())
    assert company.rows("select customer_id from audiences.membership order by 1") == [
        ("c1",),
        ("c2",),
    ]
    booked = company.rows("from audiences.membership_history order by all")
    assert {row[-1] for row in booked} == {"a run"}
    ((sql, owner),) = company.rows("select sql, owner from audiences.definitions")
    assert (sql, owner) == ("select customer_id from given.selected", None)
    company.build(["c1", "c2"])
    assert company.rows("from audiences.membership_history order by all") == booked


def test_what_breaks_the_contract_is_rolled_back(company: Company) -> None:
    company.declare(meta={"max_size": 2})
    company.build(["c1"])
    before = company.rows("from audiences.membership_history")

    def refused(people: list[str | None], message: str) -> None:
        result = company.build(people)["aud_people"]
        assert not result.is_good
        assert result.message is not None
        assert message in result.message
        assert "models/audiences/aud_people" in result.message
        assert company.rows("from audiences.aud_people") == [("c1",)]
        assert company.rows("from audiences.membership_history") == before

    refused(["c1", "c1", "c2"], "customers more than once (1 rows too many)")
    refused(["c1", None], "1 rows without a customer_id")
    refused(["c1", "c99"], "1 customers who are not in golden_customers")
    refused(["c1", "c2", "c3"], "selects 3 customers and may have 2")
    company.declare(meta={"experiment": "mials"})
    refused(["c1"], "no experiment mials in models/canonical/experiments.yml; there are mails")


def test_what_fails_after_booking_has_booked_nothing(company: Company) -> None:
    company.build(["c1"])
    before = company.rows("from audiences.membership_history")
    company.declare(
        sql="{{ config(post_hook=\"select error('no')\") }} select customer_id from given.selected"
    )
    assert not company.build(["c2"])["aud_people"].is_good
    assert company.rows("from audiences.membership_history") == before
    assert company.rows("from audiences.aud_people") == [("c1",)]


def test_an_arm_is_for_ever(company: Company) -> None:
    company.declare(meta={"experiment": "mails"})
    everybody: list[str | None] = [f"c{number}" for number in range(100)]
    company.build(everybody, golden=300)
    arms = "select unit_id, variant, assigned_at from canonical.experiment_assignments"
    first = company.rows(arms)
    assert len(first) == 100
    assert 30 < sum(variant == "control" for _, variant, _ in first) < 70
    # another share moves nobody, and whoever comes later is assigned by it
    company.declare(
        meta={"experiment": "mails"}, experiments=({**EXPERIMENT, "control_share": 0.01},)
    )
    company.build([*everybody[:50], "c200"], golden=300)
    assert set(first) < set(company.rows(arms))
    company.build(everybody, golden=300)
    assert len(company.rows(arms)) == 101
    # the arm follows from salt and id alone: assigned anew, it is the same
    with company.warehouse() as con:
        con.execute("delete from canonical.experiment_assignments")
    company.declare(meta={"experiment": "mails"})
    company.build(everybody, golden=300)
    assert {row[:2] for row in company.rows(arms)} == {row[:2] for row in first}
    assert company.rows("select audience_id, is_running from canonical.experiments") == [
        ("aud_people", True)
    ]


def test_two_audiences_under_one_experiment_assign_each_customer_once(company: Company) -> None:
    company.declare(meta={"experiment": "mails"})
    folder = company.home.dbt_project / "models" / "audiences"
    for suffix in (".sql", ".yml"):
        text = (folder / f"aud_people{suffix}").read_text("utf-8")
        (folder / f"aud_others{suffix}").write_text(
            text.replace("aud_people", "aud_others"), "utf-8"
        )
    company.build([f"c{number}" for number in range(20)])
    assert company.rows(
        "select count(*), count(distinct unit_id) from canonical.experiment_assignments"
    ) == [(20, 20)]
    assert company.rows("select audience_id from canonical.experiments") == [(None,)]


def test_who_comes_before_or_after_the_experiment_has_no_arm(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    company.declare(meta={"experiment": "mails"})
    arms = "select unit_id from canonical.experiment_assignments order by 1"
    for moment, selected, assigned in (
        ("2025-12-31 23:59:59", "c1", []),
        ("2026-01-01 00:00:00", "c2", [("c2",)]),
        ("2026-07-31 23:59:59", "c3", [("c2",), ("c3",)]),
        ("2026-08-01 00:00:00", "c4", [("c2",), ("c3",)]),
    ):
        monkeypatch.setenv("MAINSTEM_AS_OF", moment)
        company.build([selected])
        assert company.rows(arms) == assigned, moment


def test_an_audience_that_is_removed_has_no_members(company: Company) -> None:
    company.build(["c1"])
    for path in (company.home.dbt_project / "models" / "audiences").iterdir():
        path.unlink()
    Project(company.home).operate("settle_audience_books", run_id="another run")
    assert company.rows("from audiences.membership") == []
    assert company.rows("from audiences.definitions") == []
    assert company.rows(
        "select customer_id, change, is_member, run_id from audiences.membership_history order by changed_at"
    ) == [("c1", "entered", True, "a run"), ("c1", "exited", False, "another run")]


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        ({**EXPERIMENT, "control_share": 10}, "control_share is 10: write a share between 0 and 1"),
        ({"experiment_id": "mails"}, "salt is missing"),
    ],
)
def test_experiments_that_cannot_be_run(
    company: Company, experiment: dict[str, Any], message: str
) -> None:
    company.declare(experiments=(experiment,))
    result = company.build([])["experiments"]
    assert result.message is not None
    assert "models/canonical/experiments.yml: experiments[0]" in result.message
    assert message in result.message
