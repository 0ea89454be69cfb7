"""Which incremental models have to be built anew: those whose table was built with other code.

An incremental model takes in what changed in its parents; that only adds up to what a full build
gives while the code is the same: its own, its parents' at any remove, the macros and the vars.
`ops.built_with` keeps a digest of it for each such table.

What is about to be built anew is forgotten first: a kill in between means building it anew again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import duckdb

from orchestration import staleness


def codes(manifest: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, str]:
    """unique_id of each incremental model -> a digest of all code that decides what is in it."""
    no_data = dict.fromkeys(manifest["sources"], "")
    found = staleness.fingerprints(manifest, no_data, as_of="", variables=variables)
    return {
        unique_id: found[unique_id]
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "model" and node["config"]["materialized"] == "incremental"
    }


def begin(
    con: duckdb.DuckDBPyConnection, codes: Mapping[str, str], chosen: Iterable[str]
) -> list[str]:
    """Of the `chosen` models (unique_ids), those to build anew; they are forgotten."""
    con.execute(
        "create table if not exists ops.built_with (unique_id varchar primary key, code varchar)"
    )
    known = dict(con.execute("select unique_id, code from ops.built_with").fetchall())
    anew = [key for key in chosen if key in codes and known.get(key) != codes[key]]
    con.execute("delete from ops.built_with where unique_id in (select unnest(?))", [anew])
    return anew


def finish(con: duckdb.DuckDBPyConnection, codes: Mapping[str, str], built: Iterable[str]) -> None:
    """These models (unique_ids) were built, anew or not."""
    done = [key for key in built if key in codes]
    con.execute(
        "insert or replace into ops.built_with select unnest(?::varchar[]), unnest(?::varchar[])",
        [done, [codes[key] for key in done]],
    )
