"""What no model makes any more is neither kept nor published; what others made is left alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import duckdb

from orchestration import staleness


def model(name: str) -> dict[str, Any]:
    return {
        "unique_id": f"model.p.{name}", "resource_type": "model", "schema": "marts", "name": name,
        "alias": name,
    }  # fmt: skip


def test_a_deleted_model_is_dropped_and_forgotten() -> None:
    with duckdb.connect() as con:
        con.execute("create schema marts; create table marts.kept as select 1 as i")
        con.execute(
            "create table marts.gone as select 1 as i; create view marts.seen as select 1 as i"
        )
        con.execute("create table marts.of_somebody_else as select 1 as i")
        staleness.ensure(con)
        built = {
            f"model.p.{name}": staleness.built(model(name), "f", "success")
            for name in ("kept", "gone", "seen")
        }
        built |= {
            "published": staleness.Built("f", "success"),
            "test.p.old": staleness.Built("f", "pass"),
        }
        staleness.remember(con, built, run_id="r", now=datetime(2026, 1, 1))
        assert staleness.remembered(con) == built
        gone = staleness.drop_orphans(con, {"nodes": {"model.p.kept": model("kept")}})
        assert gone == ["marts.gone", "marts.seen"]
        assert set(staleness.remembered(con)) == {"model.p.kept", "published"}
        left = con.execute(
            "select table_name from information_schema.tables where table_schema = 'marts' order by 1"
        ).fetchall()
    assert left == [("kept",), ("of_somebody_else",)]
