"""One asset for each declared source table: fetched, loaded, and written into the ledger."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from ingestion import drift, fetch, ledger, load, partitions
from ingestion.sources import FetchError, LoadResult, SourceTable
from ingestion.windows import Window
from orchestration.runtime import Mainstem

POOL = "warehouse"
CHECK = "loaded"
DRIFT = "no_drift"
Undeclared = tuple[tuple[str, str], ...]


def build(tables: Sequence[SourceTable], problems: dict[tuple[str, str], str]) -> list[Any]:
    """Load assets for these tables; `problems` says which declarations cannot be used, and why."""
    return [_asset(table, problems.get((table.source, table.name))) for table in tables]


def _asset(table: SourceTable, problem: str | None) -> Any:
    key = dg.AssetKey([table.source, table.name])
    connector = table.ingest.connector if table.ingest else None

    @dg.multi_asset(
        name=f"load__{table.source}__{table.name}",
        specs=[
            dg.AssetSpec(
                key,
                group_name="sources",
                kinds={"duckdb", *([connector] if connector else [])},
                metadata={"mainstem/declared_in": str(table.path)},
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(
                CHECK, asset=key, description="Every file was read; no row went to quarantine."
            ),
            dg.AssetCheckSpec(
                DRIFT, asset=key, description="No file has a column that is not declared."
            ),
        ],
        pool=POOL,
    )
    def load_table(
        context: dg.AssetExecutionContext, mainstem: dg.ResourceParam[Mainstem]
    ) -> Iterator[Any]:
        with mainstem.progress.step("load"):
            results, undeclared = load_one(
                mainstem, partitions.whole(table), problem, context.run_id
            )
        failed = [result for result in results if result.status == "failed"]
        for result in failed:
            mainstem.leave_out(f"{table.source}.{table.name}: {result.error}")
        changed = [result for result in results if result.status == "loaded"]
        counts = count(results)
        loaded, refused = counts.pop("rows_loaded"), counts["rows_quarantined"]
        if not failed:
            news = "unchanged" if not changed else f"{loaded:,} rows"
            aside = f", {refused:,} in quarantine" if refused and changed else ""
            mainstem.progress.say(f"load {table.source}.{table.name}: {news}{aside}")
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={
                "dagster/row_count": loaded,
                **counts,
                "files_new_or_changed": len(changed),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name=CHECK,
                    passed=not failed and refused == 0,
                    severity=dg.AssetCheckSeverity.ERROR if failed else dg.AssetCheckSeverity.WARN,
                    metadata={
                        "rows_quarantined": refused,
                        **({"errors": "\n".join(str(r.error) for r in failed)} if failed else {}),
                    },
                ),
                _drift(undeclared),
            ],
        )

    return load_table


def count(results: Sequence[LoadResult]) -> dict[str, int]:
    """Files and rows of some loads, added up by kind."""
    return {
        "files": len(results),
        "rows_read": sum(result.rows_read for result in results),
        "rows_loaded": sum(result.rows_loaded for result in results),
        "rows_duplicate": sum(result.rows_duplicate for result in results),
        "rows_quarantined": sum(result.rows_quarantined for result in results),
    }


def _drift(found: Undeclared) -> dg.AssetCheckResult:
    """Warn of undeclared columns: their values are kept in `_extra` until somebody declares them."""
    return dg.AssetCheckResult(
        check_name=DRIFT,
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"undeclared_columns": ", ".join(f"{name} ({kind})" for name, kind in found)},
    )


def load_one(
    mainstem: Mainstem,
    table: SourceTable,
    problem: str | None,
    run_id: str,
    window: Window | None = None,
) -> tuple[Sequence[LoadResult], Undeclared]:
    """Fetch with no database open, then load. What cannot be had becomes a failed load.

    A table with a cursor goes on where it ended, or reads the window again.
    Gives the loads, and the undeclared columns that the table is known to have.
    """
    try:
        if problem is not None:
            raise FetchError(problem)
        places: Any = {
            "project_root": mainstem.home.root,
            "downloads": mainstem.home.downloads,
            "env": mainstem.environment(),
        }
        since: str | Window | None = window
        if window is None and table.ingest and table.ingest.cursor:
            with mainstem.warehouse() as con:
                ledger.ensure(con, [table])
                since = ledger.high_water(con, table)
        arrivals = fetch.fetch(table, since=since, **places)
    except FetchError as error:
        with mainstem.warehouse() as con:
            ledger.ensure(con, [table])
            origin = table.ingest.location if table.ingest else str(table.path)
            failure = load.record_failure(con, table, origin, str(error), run_id, mainstem.now)
            return [failure], drift.standing(con, table)
    with mainstem.warehouse() as con:
        ledger.ensure(con, [table])
        ledger.arrived(con, table)
        results = load.load(con, table, arrivals, run_id=run_id, now=mainstem.now)
        undeclared = drift.standing(con, table)
    stands = {result.origin for result in results if result.status != "failed"}
    try:
        fetch.settle(table, [a for a in arrivals if a.origin in stands], **places)
    except FetchError as error:
        mainstem.leave_out(f"{table.source}.{table.name}: {error}")
    return results, undeclared
