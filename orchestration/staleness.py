"""Which dbt nodes have to be built: those whose code or input is not what they were built from.

Every model, seed and test has a fingerprint: a hash of its own definition, of the macros it
calls, of "now" and of the audiences' experiments if it asks for them, and of the fingerprints of its
parents; a source's fingerprint comes from the ledger of loads or from identity's runs. `ops.builds`
keeps the fingerprint that a node was last built (or a test passed) with. A unit test looks at code
alone, so data never makes it stale.

A node is forgotten before it is built and remembered after it succeeded: a kill in between makes
it stale, never falsely fresh.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from orchestration.warehouse import quote

BUILDABLE = ("model", "seed", "snapshot")
_AS_OF_MACRO = "macro.mainstem.as_of"
_EXPERIMENTS_MACRO = "macro.mainstem.audiences_by_experiment"
_DEFINITION_KEYS = (
    "raw_code", "language", "checksum", "config", "columns", "constraints", "contract",
    "test_metadata", "column_name", "given", "expect", "overrides", "relation_name",
)  # fmt: skip


def ensure(con: duckdb.DuckDBPyConnection) -> None:
    """Create `ops.builds` where it is missing."""
    con.execute("create schema if not exists ops")
    con.execute(
        """
        create table if not exists ops.builds (
            unique_id varchar primary key, fingerprint varchar not null, status varchar not null,
            schema_name varchar, relation_name varchar,
            run_id varchar not null, built_at timestamp not null
        )
        """
    )


def source_fingerprints(
    con: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any]
) -> dict[str, str]:
    """unique_id of each dbt source -> what it holds now."""
    tables = {
        (schema, table)
        for schema, table in con.execute(
            "select table_schema, table_name from information_schema.tables"
        ).fetchall()
    }
    loaded: dict[tuple[str, str], str] = {}
    if ("ops", "loads") in tables:
        for source, table, digest in con.execute(
            """
            select source, table_name, md5(string_agg(load_id, ',' order by load_id))
            from ops.loads where status = 'loaded' group by all
            """
        ).fetchall():
            loaded[source, table] = digest
    resolved = "never"
    if ("identity", "runs") in tables:
        resolved = str(
            con.execute(
                "select max_by(run_id, (finished_at, run_id)) from identity.runs"
            ).fetchall()[0][0]
        )
    found = {}
    for unique_id, source in manifest["sources"].items():
        by_us = loaded.get((source["source_name"], source["name"]))
        if source["source_name"] == "identity":
            found[unique_id] = resolved
        elif by_us is None and (source["schema"], source["identifier"]) in tables:
            found[unique_id] = _landed_fingerprint(con, source)
        else:
            found[unique_id] = by_us or "empty"
    return found


def _landed_fingerprint(con: duckdb.DuckDBPyConnection, source: Mapping[str, Any]) -> str:
    """What a table holds that somebody else's connector fills: its columns, its rows, and when the
    newest came (`loaded_at_field`); without such a column, a hash of everything in it."""
    schema, name = source["schema"], source["identifier"]
    columns = con.execute(
        """
        select column_name, data_type from information_schema.columns
        where table_schema = ? and table_name = ? order by ordinal_position
        """,
        [schema, name],
    ).fetchall()
    loaded_at = str(source.get("loaded_at_field") or "").lower()
    has_time = any(column.lower() == loaded_at for column, _ in columns)
    newest = f"max({quote(loaded_at)})::varchar" if has_time else "bit_xor(hash(landed))::varchar"
    holds = con.execute(
        f"select count(*), {newest} from {quote(schema)}.{quote(name)} as landed"
    ).fetchall()
    return _digest(columns, holds)


def fingerprints(
    manifest: Mapping[str, Any],
    sources: Mapping[str, str],
    *,
    as_of: str,
    variables: Mapping[str, Any],
) -> dict[str, str]:
    """unique_id of every model, seed, test and unit test -> its fingerprint now."""
    macros = _MacroDigests(manifest["macros"])
    settings = {name: value for name, value in variables.items() if name != "as_of"}
    nodes = {**manifest["nodes"], **manifest.get("unit_tests", {})}
    found: dict[str, str] = dict(sources)
    experiments = {
        unique_id: node["config"]["meta"]["experiment"]
        for unique_id, node in nodes.items()
        if node.get("schema") == "audiences" and "experiment" in node["config"].get("meta", {})
    }

    def of(unique_id: str) -> str:
        if unique_id not in found:
            node = nodes[unique_id]
            parents = [
                parent
                for parent in node["depends_on"].get("nodes", ())
                if parent in nodes or parent in sources
            ]
            is_unit_test = node["resource_type"] == "unit_test"
            called = set(node["depends_on"].get("macros", ()))
            uses_now = not is_unit_test and macros.reaches(called, _AS_OF_MACRO)
            uses_audiences = not is_unit_test and macros.reaches(called, _EXPERIMENTS_MACRO)
            found[unique_id] = _digest(
                _definition(node),
                [code(parent) if is_unit_test else of(parent) for parent in sorted(parents)],
                macros.digest(called),
                settings,
                as_of if uses_now else None,
                experiments if uses_audiences else None,
                # an audience publishes what its YAML says of it
                node.get("description") if node.get("schema") == "audiences" else None,
            )
        return found[unique_id]

    def code(unique_id: str) -> str:
        """What a unit test depends on: the model's own definition and the macros it calls."""
        node = nodes[unique_id]
        called = set(node["depends_on"].get("macros", ()))
        return _digest(_definition(node), macros.digest(called))

    return {unique_id: of(unique_id) for unique_id in nodes}


@dataclass(frozen=True)
class Built:
    """What a node was built from, how that went (success, pass or warn), and what it made."""

    fingerprint: str
    status: str
    relation: tuple[str, str] | None = None


def built(node: Mapping[str, Any], fingerprint: str, status: str) -> Built:
    """What is remembered of a manifest node that was built."""
    return Built(fingerprint, status, _relation(node))


def remembered(con: duckdb.DuckDBPyConnection) -> dict[str, Built]:
    """unique_id -> what was built."""
    ensure(con)
    rows = con.execute(
        "select unique_id, fingerprint, status, schema_name, relation_name from ops.builds"
    ).fetchall()
    return {
        unique_id: Built(fingerprint, status, (schema, name) if name else None)
        for unique_id, fingerprint, status, schema, name in rows
    }


def existing_relations(con: duckdb.DuckDBPyConnection) -> set[tuple[str, str]]:
    """(schema, name) of every table and view in the warehouse."""
    return set(
        con.execute("select table_schema, table_name from information_schema.tables").fetchall()
    )


def drop_orphans(con: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any]) -> list[str]:
    """Drop what a model of ours made that is deleted or renamed by now; `schema.name` of each.

    It would otherwise be published for ever. Only what `ops.builds` says we built is dropped: a
    user's own tables may stand in the same schemas.
    """
    ensure(con)
    known = {*manifest["nodes"], *manifest.get("unit_tests", {}), "published"}
    made = {_relation(node) for node in manifest["nodes"].values()}
    dropped = []
    for unique_id, schema, name in con.execute(
        "select unique_id, schema_name, relation_name from ops.builds order by all"
    ).fetchall():
        if unique_id in known:
            continue
        if schema is not None and (schema, name) not in made:
            kinds = con.execute(
                "select table_type from information_schema.tables"
                " where table_catalog = current_catalog() and table_schema = ? and table_name = ?",
                [schema, name],
            ).fetchall()
            for (kind,) in kinds:
                what = "view" if kind == "VIEW" else "table"
                con.execute(f"drop {what} {quote(schema)}.{quote(name)}")
                dropped.append(f"{schema}.{name}")
        con.execute("delete from ops.builds where unique_id = ?", [unique_id])
    return dropped


def has_removed_audiences(con: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any]) -> bool:
    """Whether an audience has members on the books and no model any more."""
    if ("audiences", "definitions") not in existing_relations(con):
        return False
    names = [
        node["name"] for node in manifest["nodes"].values() if node["resource_type"] == "model"
    ]
    gone = con.execute(
        "select count(*) from audiences.definitions where audience_id not in (select unnest(?))",
        [names],
    ).fetchall()
    return bool(gone[0][0])


def _relation(node: Mapping[str, Any]) -> tuple[str, str] | None:
    """(schema, name) of what a model or seed makes; None for a test."""
    if node["resource_type"] not in BUILDABLE:
        return None
    return node["schema"], node.get("alias") or node["name"]


def choose(
    manifest: Mapping[str, Any],
    selected: Iterable[str],
    now: Mapping[str, str],
    before: Mapping[str, Built],
    relations: set[tuple[str, str]],
) -> list[dict[str, Any]]:
    """The manifest nodes that dbt has to run: stale ones among `selected` models and seeds, and the
    tests that are stale and whose parents are all built by then."""
    nodes = manifest["nodes"]
    selected = set(selected)

    def is_current(unique_id: str) -> bool:
        return unique_id in before and before[unique_id].fingerprint == now[unique_id]

    def is_fresh(unique_id: str) -> bool:
        node = nodes[unique_id]
        exists = _relation(node) in relations
        return exists and is_current(unique_id)

    stale = {unique_id for unique_id in selected if not is_fresh(unique_id)}
    chosen = [nodes[unique_id] for unique_id in stale]
    tests = [node for node in nodes.values() if node["resource_type"] == "test"]
    for test in (*tests, *manifest.get("unit_tests", {}).values()):
        if is_current(test["unique_id"]):
            continue
        parents = [
            parent
            for parent in test["depends_on"]["nodes"]
            if parent in nodes and nodes[parent]["resource_type"] in BUILDABLE
        ]
        if test["resource_type"] == "unit_test":
            # dbt reads the columns of a unit test's inputs off their relations.
            parents += [p for p in nodes[parents[0]]["depends_on"].get("nodes", ()) if p in nodes]
        is_here = any(parent in selected for parent in parents)
        if is_here and all(parent in selected or is_fresh(parent) for parent in parents):
            chosen.append(test)
            if test["resource_type"] == "unit_test" and parents[0] not in stale:
                # `dbt build` runs a unit test with its model, and never alone
                stale.add(parents[0])
                chosen.append(nodes[parents[0]])
    return chosen


def forget(con: duckdb.DuckDBPyConnection, unique_ids: Iterable[str]) -> None:
    """Before building: what is being built is not what was built."""
    con.execute("delete from ops.builds where unique_id in (select unnest(?))", [list(unique_ids)])


def remember(
    con: duckdb.DuckDBPyConnection, built: Mapping[str, Built], *, run_id: str, now: datetime
) -> None:
    """After building: these nodes are what their fingerprint says."""
    con.execute(
        """
        insert or replace into ops.builds
        select unnest(?), unnest(?), unnest(?), unnest(?::varchar[]), unnest(?::varchar[]), ?, ?
        """,
        [
            list(built),
            [node.fingerprint for node in built.values()],
            [node.status for node in built.values()],
            [node.relation[0] if node.relation else None for node in built.values()],
            [node.relation[1] if node.relation else None for node in built.values()],
            run_id,
            now,
        ],
    )


class _MacroDigests:
    """Digest of a set of macros with everything that they call."""

    def __init__(self, macros: Mapping[str, Any]) -> None:
        self._macros = macros
        self._closures: dict[str, frozenset[str]] = {}

    def _closure(self, name: str) -> frozenset[str]:
        if name not in self._closures:
            seen: set[str] = set()
            waiting = [name]
            while waiting:
                macro = waiting.pop()
                if macro in seen or macro not in self._macros:
                    continue
                seen.add(macro)
                waiting.extend(self._macros[macro]["depends_on"]["macros"])
            self._closures[name] = frozenset(seen)
        return self._closures[name]

    def reaches(self, called: set[str], target: str) -> bool:
        return any(target in self._closure(name) for name in called)

    def digest(self, called: set[str]) -> str:
        names = sorted(set().union(*(self._closure(name) for name in called)) if called else ())
        return _digest([self._macros[name]["macro_sql"] for name in names])


def _definition(node: Mapping[str, Any]) -> dict[str, Any]:
    """What decides what a node makes: what is said of a column for people is no part of it."""
    definition = {key: node.get(key) for key in _DEFINITION_KEYS}
    definition["columns"] = {
        name: {key: value for key, value in column.items() if key != "description"}
        for name, column in (node.get("columns") or {}).items()
    }
    return definition


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
