"""An incremental model is built anew when code changed, and only then."""

from __future__ import annotations

import copy
from typing import Any

import duckdb

from orchestration import rebuilds, staleness


def model(name: str, parents: list[str], kind: str) -> dict[str, Any]:
    return {
        "unique_id": f"model.p.{name}", "resource_type": "model", "name": name, "schema": "s",
        "raw_code": f"select '{name}'", "config": {"materialized": kind},
        "depends_on": {"nodes": parents, "macros": []},
    }  # fmt: skip


MANIFEST: dict[str, Any] = {
    "sources": {"source.p.web.events": {}},
    "nodes": {
        "model.p.staged": model("staged", ["source.p.web.events"], "view"),
        "model.p.events": model("events", ["model.p.staged"], "incremental"),
        "model.p.sessions": model("sessions", ["model.p.events"], "incremental"),
        "model.p.apart": model("apart", [], "incremental"),
    },
    "macros": {},
}
ALL = list(MANIFEST["nodes"])
EVENTS, SESSIONS, APART = "model.p.events", "model.p.sessions", "model.p.apart"


def test_what_other_code_built_is_built_anew() -> None:
    with duckdb.connect() as con:
        staleness.ensure(con)
        codes = rebuilds.codes(MANIFEST, {"session_minutes": 30})
        assert set(codes) == {EVENTS, SESSIONS, APART}
        assert rebuilds.begin(con, codes, ALL) == [EVENTS, SESSIONS, APART]
        # A kill before `finish`: anew again.
        assert rebuilds.begin(con, codes, ALL) == [EVENTS, SESSIONS, APART]
        rebuilds.finish(con, codes, ALL)
        assert rebuilds.begin(con, codes, ALL) == []

        # A parent's code: what it feeds is built anew, at any remove, when it is built at all.
        changed = copy.deepcopy(MANIFEST)
        changed["nodes"]["model.p.staged"]["raw_code"] = "select 2"
        new = rebuilds.codes(changed, {"session_minutes": 30})
        assert rebuilds.begin(con, new, [EVENTS]) == [EVENTS]
        # Killed after the table was built, and the change taken back: the table is the new code's.
        assert rebuilds.begin(con, codes, ALL) == [EVENTS]
        rebuilds.finish(con, codes, [EVENTS])
        assert rebuilds.begin(con, codes, ALL) == []

        # A variable is code, too.
        assert rebuilds.begin(con, rebuilds.codes(MANIFEST, {"session_minutes": 20}), ALL) == [
            EVENTS,
            SESSIONS,
            APART,
        ]
