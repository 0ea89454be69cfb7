"""One asset for each sync that is declared as a dbt exposure."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from orchestration import warehouse
from orchestration.defs.publishing import PUBLISHED
from orchestration.runtime import Mainstem
from reverse_etl import engine
from reverse_etl.declarations import Sync

CHECK = "delivered"


def key_of(sync: Sync) -> dg.AssetKey:
    """The asset key of a sync."""
    return dg.AssetKey(["syncs", sync.name])


def build(syncs: Sequence[Sync]) -> list[Any]:
    """An asset for each sync; it reads the published file, and holds no database while it sends."""
    return [_asset(sync) for sync in syncs]


def _held_back(mainstem: Mainstem) -> str | None:
    """Why nothing may be sent: who withdrew today is not known while consents cannot be loaded."""
    names = [name for name, feeds in mainstem.project.sources.items() if "consents" in feeds]
    with warehouse.read_published(mainstem.home.published) as con:
        failed = con.execute(
            """
            select string_agg(distinct source || '.' || table_name, ', ') from ops.loads
            where status = 'failed' and list_contains(?::varchar[], source)
            """,
            [names],
        ).fetchall()[0][0]
    return f"{failed} could not be loaded, so a withdrawal may be missing" if failed else None


def _asset(sync: Sync) -> Any:
    @dg.asset(
        key=key_of(sync),
        deps=[PUBLISHED, dg.AssetKey([sync.audience_schema, sync.audience_table])],
        group_name="syncs",
        kinds={sync.destination},
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=key_of(sync),
                description="Every planned row reached the destination or was left out on purpose.",
            )
        ],
    )
    def sync_asset(
        context: dg.AssetExecutionContext, mainstem: dg.ResourceParam[Mainstem]
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        if reason := _held_back(mainstem):
            mainstem.leave_out(f"sync {sync.name}: held back: {reason}")
            return dg.MaterializeResult(
                metadata={"status": "held back"},
                check_results=[dg.AssetCheckResult(check_name=CHECK, passed=False)],
            )
        with mainstem.progress.step("sync"):
            result = engine.run(
                sync,
                published=mainstem.home.published,
                ledger=mainstem.home.sync_ledger,
                run_id=context.run_id,
                env=mainstem.environment(),
                now=mainstem.now,
            )
        mainstem.facts.setdefault("syncs", {})[sync.name] = result
        is_complete = result.status == "succeeded"
        if not is_complete:
            mainstem.leave_out(f"sync {sync.name}: {result.status}: {result.error}")
        moved = result.rows_added + result.rows_updated + result.rows_removed
        mainstem.progress.say(
            f"sync {sync.name}: "
            + (
                f"{result.rows_added} added, {result.rows_updated} changed,"
                f" {result.rows_removed} removed"
                if moved
                else "nothing to send"
            )
        )
        return dg.MaterializeResult(
            metadata={
                "destination": sync.destination,
                "status": result.status,
                "rows_planned": result.rows_planned,
                "rows_added": result.rows_added,
                "rows_updated": result.rows_updated,
                "rows_removed": result.rows_removed,
                "rows_rejected": result.rows_rejected,
                "rows_invalid": result.rows_invalid,
                "rows_suppressed": result.rows_suppressed,
                "rows_unchanged": result.rows_unchanged,
                "rows_pending": result.rows_pending,
                "requests": result.requests,
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name=CHECK,
                    passed=is_complete and result.rows_rejected == 0,
                    severity=dg.AssetCheckSeverity.ERROR
                    if not is_complete
                    else dg.AssetCheckSeverity.WARN,
                    metadata={"rows_rejected": result.rows_rejected},
                )
            ],
        )

    return sync_asset
