"""What the identity benchmark measures, side by side: each is run in a process of its own and returns
its figures.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from identity import normalise
from identity.evaluate import Score, evaluate
from identity.rules import default_path, read

THREADS = 2
LIMIT_SECONDS = 3_600
NOW = datetime(2026, 7, 1)


def connected(path: Path, memory: str) -> duckdb.DuckDBPyConnection:
    """A DuckDB file with the settings of every side."""
    con = duckdb.connect(str(path))
    con.execute(f"set threads = {THREADS}; set memory_limit = '{memory}'")
    con.execute(f"set temp_directory = '{path}.tmp'")
    return con


def ours(folder: Path, memory: str) -> dict[str, Any]:
    """Resolve the warehouse."""
    from identity.resolve import resolve

    con = connected(folder / "warehouse.duckdb", memory)
    rules = read(default_path())

    def resolve_and_write() -> Any:
        summary = resolve(con, rules, run_id="run-1", now=NOW)
        con.execute("checkpoint")
        return summary

    measured = measure(resolve_and_write)
    summary = measured.pop("result")
    return {
        **measured,
        "steps": summary.seconds,
        "edges": summary.edges,
        **quality(evaluate(con, "truth")),
    }


def added(folder: Path, memory: str) -> dict[str, Any]:
    """What it takes to resolve the contacts that were held back, against all others."""
    from identity.resolve import resolve

    con = connected(folder / "warehouse.duckdb", memory)
    rules = read(default_path())
    con.execute(
        """
        insert into canonical.contacts by name from held_contacts;
        insert into canonical.identifiers by name from held_identifiers;
        checkpoint
        """
    )

    def resolve_and_write() -> Any:
        summary = resolve(con, rules, run_id="run-2", now=NOW)
        con.execute("checkpoint")
        return summary

    measured = measure(resolve_and_write)
    summary = measured.pop("result")
    if summary.scope is None:
        sys.exit(f"the run was not incremental: {summary.notes}")
    return {
        **measured,
        "steps": summary.seconds,
        "scope": summary.scope.in_words(),
        **quality(evaluate(con, "truth")),
    }


def hold_back(con: duckdb.DuckDBPyConnection, new: int) -> None:
    """Put contacts aside that come later."""
    con.execute(
        f"""
        create table held_contacts as
        from canonical.contacts order by hash(contact_key), contact_key limit {int(new)};
        create table held_identifiers as
        from canonical.identifiers
        where node_key in (select contact_key from held_contacts);
        delete from canonical.contacts
        where contact_key in (select contact_key from held_contacts);
        delete from canonical.identifiers
        where node_key in (select contact_key from held_contacts)
        """
    )


def normalised(folder: Path, memory: str) -> dict[str, Any]:
    """Write the normalised columns that the bare side reads, as matching sees them."""
    from identity.email_names import count_names, fill_names
    from identity.firewall import attach_identifiers, block_values
    from identity.identifiers import build_ids

    con = connected(folder / "warehouse.duckdb", memory)
    rules = read(default_path())
    con.execute(f"attach '{folder / 'bare.duckdb'}' as bare; use bare")
    normalise.load_macros(con)
    normalise.build_people(con, "warehouse", rules)
    build_ids(con, "warehouse", rules)
    block_values(con, rules)
    attach_identifiers(con, rules)
    count_names(con)
    fill_names(con)
    tables = con.execute("select table_name from duckdb_tables() where database_name = 'bare'")
    for (table,) in tables.fetchall():
        if table != "people":
            con.execute(f'drop table "{table}"')
    return {"records": con.execute("select count(*) from people").fetchall()[0][0]}


def bare(folder: Path, memory: str) -> dict[str, Any]:
    """Predict and cluster with Splink alone."""
    from splink import DuckDBAPI, Linker

    rules = read(default_path())
    con = connected(folder / "bare.duckdb", memory)
    normalise.load_macros(con)
    settings = rules.splink.settings()
    for comparison in settings["comparisons"]:
        for level in comparison["comparison_levels"]:
            # what only our own training reads
            level.pop("household", None)
            level.pop("fixed", None)

    def predict_and_cluster() -> None:
        linker = Linker(DuckDBAPI(con).register("people"), settings, log_level=None)
        predictions = linker.inference.predict(threshold_match_probability=rules.splink.floor)
        clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(
            predictions, threshold_match_probability=rules.thresholds.customer_id
        )
        con.execute(f'create table clusters as from "{clusters.physical_name}"')
        con.execute("checkpoint")

    measured = measure(predict_and_cluster)
    measured.pop("result")
    con.execute(f"attach '{folder / 'warehouse.duckdb'}' as warehouse (read_only)")
    con.execute(
        """
        create schema identity;
        create view identity.crosswalk as
            select node_key, cluster_id as customer_id from clusters
        """
    )
    return {**measured, **quality(evaluate(con, "(from warehouse.truth)"))}


def published(folder: Path, memory: str) -> dict[str, Any]:
    """Write the file that `explain` reads; return what to ask it."""
    con = connected(folder / "warehouse.duckdb", memory)
    target = folder / "home" / "published" / "mainstem.duckdb"
    target.parent.mkdir(parents=True)
    con.execute(f"attach '{target}' as published (storage_version 'v1.4.0')")
    for schema in ("canonical", "identity"):
        con.execute(f"create schema published.{schema}")
        tables = con.execute(
            "select table_name from information_schema.tables"
            " where table_catalog = current_catalog() and table_schema = ?",
            [schema],
        ).fetchall()
        for (table,) in tables:
            con.execute(f"create table published.{schema}.{table} as from {schema}.{table}")
    keys = con.execute(
        """
        select node_key from identity.crosswalk
        where customer_id = (select customer_id from identity.crosswalk
            group by all order by count(*) desc, 1 limit 1)
        order by 1
        """
    ).fetchall()
    return {"ask": [str(keys[0][0]), str(keys[-1][0])]}


def explained(folder: Path, ask: list[str]) -> dict[str, float]:
    """What `mainstem explain` takes, in seconds from its start to its end."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        [sys.executable, "-c", "from orchestration.cli import main; main()", "explain", *ask],
        stdout=subprocess.DEVNULL,
        timeout=LIMIT_SECONDS,
        check=True,
        env={**os.environ, "MAINSTEM_HOME": str(folder / "home")},
    )
    seconds = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2)}


def quality(score: Score) -> dict[str, Any]:
    """What both sides are compared by."""
    return {
        "precision": round(score.precision, 4),
        "recall": round(score.recall, 4),
        "f1": round(score.f1, 4),
        "largest_cluster": score.largest_cluster,
    }


def measure(work: Callable[[], Any]) -> dict[str, Any]:
    """Wall and CPU seconds of `work`, its result, and the process's peak memory afterwards."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    result = work()
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return {
        "seconds": round(time.monotonic() - began, 2),
        "cpu_seconds": round(cpu, 2),
        "peak_memory_mb": used.ru_maxrss // 1024,
        "result": result,
    }


SIDES = {
    "ours": ours,
    "added": added,
    "normalised": normalised,
    "bare": bare,
    "published": published,
}
