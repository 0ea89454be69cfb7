"""Publishing: a copy of what readers may see, after the models and again after the syncs."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import dagster as dg

from ingestion import ledger
from orchestration import landed, staleness, warehouse
from orchestration.runtime import Mainstem
from reverse_etl import projection

POOL = "warehouse"
PUBLISHED = dg.AssetKey("published")
LEDGER_TABLES = {
    "sync_runs": "One row a run of a sync that had something to do.",
    "sync_state": "What each destination holds, row by row.",
    "sync_log": "What was sent, row by row: keys and statuses, no payload.",
    "dead_letters": "Rows that a destination refused, and why.",
}
LEDGER_KEYS = tuple(dg.AssetKey(["reverse_etl", table]) for table in LEDGER_TABLES)


def build(models: Iterable[dg.AssetKey], syncs: Sequence[dg.AssetKey]) -> list[Any]:
    """`published` after all models; the ledger's tables and a second publication after all syncs."""

    @dg.asset(
        key=PUBLISHED,
        deps=list(models),
        group_name="publish",
        kinds={"duckdb"},
        pool=POOL,
        description="The file that SQL users, dashboards and syncs read: never locked, never half a run.",
    )
    def published(
        context: dg.AssetExecutionContext, mainstem: dg.ResourceParam[Mainstem]
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        return dg.MaterializeResult(metadata=_publish(mainstem, context.run_id, "published"))

    @dg.multi_asset(
        name="sync_ledger",
        specs=[
            dg.AssetSpec(
                ["reverse_etl", table],
                deps=list(syncs) or [PUBLISHED],
                group_name="ledger",
                kinds={"duckdb"},
                description=description,
            )
            for table, description in LEDGER_TABLES.items()
        ],
        pool=POOL,
    )
    def sync_ledger(
        context: dg.AssetExecutionContext, mainstem: dg.ResourceParam[Mainstem]
    ) -> Iterator[Any]:
        metadata = _publish(mainstem, context.run_id, "published again with what the syncs did")
        _tell_of_abandoned(mainstem, {key.path[-1] for key in syncs})
        for table in LEDGER_TABLES:
            yield dg.MaterializeResult(asset_key=["reverse_etl", table], metadata=metadata)

    return [published, sync_ledger]


def _tell_of_abandoned(mainstem: Mainstem, declared: set[str]) -> None:
    """A sync that is declared no more may have people at its destination, whom nobody removes."""
    with mainstem.warehouse() as con:
        held = con.execute(
            "select sync_name, count(*) from reverse_etl.sync_state where is_held group by 1 order by 1"
        ).fetchall()
    for name, rows in held:
        if name not in declared:
            mainstem.leave_out(
                f"sync {name} is declared no more, but its destination still holds {rows:,} rows, out of"
                " reach of a withdrawal: declare it again, with an audience that selects nobody, to"
                " remove them"
            )


def _publish(mainstem: Mainstem, run_id: str, done: str) -> dict[str, Any]:
    target = mainstem.home.published
    with mainstem.progress.step("publish"), mainstem.warehouse() as con:
        ledger.ensure(con, [])
        projection.write(con, mainstem.home.sync_ledger)
        ledger.ensure(con, [])  # a company may have nothing but tables that others fill
        landed.note(con, mainstem.project.manifest, mainstem.project.sources)
        state = _state(con)
        before = staleness.remembered(con).get("published")
        if target.exists() and before is not None and before.fingerprint == state:
            return {"path": str(target), "mainstem/state": "unchanged"}
        staleness.forget(con, ["published"])
        rows = warehouse.publish(con, target)
        built = {"published": staleness.Built(state, "success")}
        staleness.remember(con, built, run_id=run_id, now=mainstem.now)
    mainstem.progress.say(f"{done}: {len(rows)} tables, {target.stat().st_size / 1e6:.1f} MB")
    return {"path": str(target), "tables": len(rows), "rows": sum(rows.values())}


def _state(con: Any) -> str:
    """A digest of everything that decides what a publication holds."""
    return str(
        con.execute(
            """
            select md5(concat_ws('/',
                array_to_string(?, ','),
                (select string_agg(unique_id || fingerprint, ',' order by unique_id)
                 from ops.builds where unique_id <> 'published'),
                (select string_agg(load_id || status, ',' order by load_id) from ops.loads),
                (select string_agg(landed::varchar, ',' order by landed) from ops.landed),
                (select string_agg(run_id, ',' order by run_id) from identity.runs),
                (select string_agg(concat_ws('/', sync_run_id, status, finished_at), ',' order by sync_run_id)
                 from reverse_etl.sync_runs)
            ))
            """,
            [[*warehouse.PUBLISHED_SCHEMAS, *warehouse.PUBLISHED_TABLES]],
        ).fetchall()[0][0]
    )
