"""Only what is stale is built: code, macros, data, "now", and what is gone."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any

import duckdb
import pytest

from orchestration import staleness


def node(
    name: str, parents: list[str], kind: str = "model", macros: tuple[str, ...] = ()
) -> dict[str, Any]:
    return {
        "unique_id": f"{kind}.p.{name}", "resource_type": kind, "name": name, "schema": "s", "alias": name,
        "raw_code": f"select '{name}'", "config": {"materialized": "table"}, "fqn": ["p", name],
        "depends_on": {"nodes": parents, "macros": list(macros)},
    }  # fmt: skip


@pytest.fixture
def manifest() -> dict[str, Any]:
    """source -> staged -> mart (asks for "now") ; a data test and a unit test on the mart."""
    nodes = [
        node("staged", ["source.p.shop.orders"]),
        node("mart", ["model.p.staged"], macros=("macro.mainstem.as_of",)),
        node("apart", [], macros=("macro.p.helper",)),
        node("unique_mart", ["model.p.mart"], "test"),
    ]
    unit = node("mart_rule", ["model.p.mart"], "unit_test")
    return {
        "sources": {"source.p.shop.orders": {"source_name": "shop", "name": "orders"}},
        "nodes": {n["unique_id"]: n for n in nodes},
        "unit_tests": {unit["unique_id"]: unit},
        "macros": {
            "macro.mainstem.as_of": {"macro_sql": "now", "depends_on": {"macros": []}},
            "macro.p.helper": {"macro_sql": "help", "depends_on": {"macros": ["macro.p.inner"]}},
            "macro.p.inner": {"macro_sql": "inner", "depends_on": {"macros": []}},
        },
    }


MODELS = {"model.p.staged", "model.p.mart", "model.p.apart"}
RELATIONS = {("s", "staged"), ("s", "mart"), ("s", "apart")}


def stale(
    built: dict[str, Any],
    manifest: dict[str, Any],
    data: str = "load 1",
    as_of: str = "2026-01-01",
    relations: set[tuple[str, str]] = RELATIONS,
) -> set[str]:
    """What has to be built, after everything was built from `built`."""
    old = staleness.fingerprints(
        built, {"source.p.shop.orders": "load 1"}, as_of="2026-01-01", variables={}
    )
    now = staleness.fingerprints(
        manifest, {"source.p.shop.orders": data}, as_of=as_of, variables={}
    )
    before = {unique_id: staleness.Built(value, "pass") for unique_id, value in old.items()}
    chosen = staleness.choose(manifest, MODELS, now, before, relations)
    return {found["name"] for found in chosen}


def test_nothing_changed_builds_nothing(manifest: dict[str, Any]) -> None:
    assert stale(manifest, copy.deepcopy(manifest)) == set()


def test_new_data_rebuilds_what_comes_after_it_but_no_unit_test(manifest: dict[str, Any]) -> None:
    assert stale(manifest, manifest, data="load 2") == {"staged", "mart", "unique_mart"}


def test_changed_code_rebuilds_it_and_runs_its_unit_test(manifest: dict[str, Any]) -> None:
    changed = copy.deepcopy(manifest)
    changed["nodes"]["model.p.mart"]["raw_code"] = "select 2"
    assert stale(manifest, changed) == {"mart", "unique_mart", "mart_rule"}


def test_a_macro_inside_a_macro_counts(manifest: dict[str, Any]) -> None:
    changed = copy.deepcopy(manifest)
    changed["macros"]["macro.p.inner"]["macro_sql"] = "other"
    assert stale(manifest, changed) == {"apart"}


def test_another_now_rebuilds_only_what_asks_for_it(manifest: dict[str, Any]) -> None:
    assert stale(manifest, manifest, as_of="2026-01-02") == {"mart", "unique_mart"}


def test_a_table_that_is_gone_is_built_again(manifest: dict[str, Any]) -> None:
    assert stale(manifest, manifest, relations=RELATIONS - {("s", "staged")}) == {"staged"}


def test_a_changed_description_rebuilds_nothing(manifest: dict[str, Any]) -> None:
    manifest["nodes"]["model.p.mart"]["columns"] = {"n": {"name": "n", "data_type": "bigint"}}
    changed = copy.deepcopy(manifest)
    changed["nodes"]["model.p.mart"]["description"] = "better words"
    changed["nodes"]["model.p.mart"]["columns"]["n"]["description"] = "How many"
    assert stale(manifest, changed) == set()
    changed["nodes"]["model.p.mart"]["columns"]["n"]["data_type"] = "integer"
    assert "mart" in stale(manifest, changed)


def test_an_audience_publishes_its_description(manifest: dict[str, Any]) -> None:
    manifest["nodes"]["model.p.apart"]["schema"] = "audiences"
    changed = copy.deepcopy(manifest)
    changed["nodes"]["model.p.apart"]["description"] = "better words"
    assert stale(manifest, changed, relations={*RELATIONS, ("audiences", "apart")}) == {"apart"}


def test_what_asks_for_experiments_is_stale_when_an_audience_changes_its_own(
    manifest: dict[str, Any],
) -> None:
    asks = node("asks", [], macros=("macro.mainstem.audiences_by_experiment",))
    manifest["macros"]["macro.mainstem.audiences_by_experiment"] = {
        "macro_sql": "…",
        "depends_on": {"macros": []},
    }
    manifest["nodes"][asks["unique_id"]] = asks
    manifest["nodes"]["model.p.apart"]["schema"] = "audiences"
    changed = copy.deepcopy(manifest)
    changed["nodes"]["model.p.apart"]["config"] = {"meta": {"experiment": "mails"}}
    keys = {"source.p.shop.orders": "load 1"}
    before, after = (
        staleness.fingerprints(one, keys, as_of="2026-01-01", variables={})
        for one in (manifest, changed)
    )
    assert {key for key in before if before[key] != after[key]} == {"model.p.asks", "model.p.apart"}


def test_a_unit_test_that_changed_alone_is_run_with_its_model(manifest: dict[str, Any]) -> None:
    changed = copy.deepcopy(manifest)
    changed["unit_tests"]["unit_test.p.mart_rule"]["given"] = ["other rows"]
    assert stale(manifest, changed) == {"mart_rule", "mart"}


def test_a_test_waits_for_all_of_its_parents(manifest: dict[str, Any]) -> None:
    both = node("relationship", ["model.p.staged", "model.p.mart"], "test")
    manifest["nodes"][both["unique_id"]] = both
    now = staleness.fingerprints(manifest, {"source.p.shop.orders": "1"}, as_of="", variables={})
    first = staleness.choose(manifest, {"model.p.staged"}, now, {}, set())
    assert {found["name"] for found in first} == {"staged"}
    before = {"model.p.staged": staleness.Built(now["model.p.staged"], "success")}
    second = staleness.choose(manifest, {"model.p.mart"}, now, before, {("s", "staged")})
    assert {found["name"] for found in second} == {
        "mart",
        "unique_mart",
        "relationship",
        "mart_rule",
    }


def test_forgotten_before_and_remembered_after(tmp_path: Any) -> None:
    with duckdb.connect(str(tmp_path / "w.duckdb")) as con:
        staleness.ensure(con)
        built = {"model.p.mart": staleness.Built("f1", "success")}
        staleness.remember(con, built, run_id="r", now=datetime(2026, 1, 1))
        assert staleness.remembered(con) == built
        staleness.forget(con, ["model.p.mart"])
        assert staleness.remembered(con) == {}
