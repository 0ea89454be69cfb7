"""One asset for each sync that is declared as a dbt exposure."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from orchestration import held_back, warehouse
from orchestration.defs.publishing import LEDGER_KEYS, PUBLISHED
from orchestration.progress import Progress
from orchestration.runtime import Mainstem
from reverse_etl import engine
from reverse_etl.declarations import Sync
from reverse_etl.engine import SyncResult

CHECK = "delivered"
GROUP = "syncs"
TELL_EVERY = 2.0


class SyncConfig(dg.Config):
    """How one run of a sync differs from every other; what `mainstem sync` has as options."""

    resume: bool = Field(
        False, description="Finish what an interrupted run left; plan nothing new."
    )
    full: bool = Field(False, description="Send everything again.")
    accept: bool = Field(False, description="Let what a guard blocked through, once.")


def key_of(sync: Sync) -> dg.AssetKey:
    """The asset key of a sync."""
    return dg.AssetKey([GROUP, sync.name])


def op_name(name: str) -> str:
    """The step that runs the sync of this name."""
    return f"{GROUP}__{name}"


def alone(name: str) -> list[dg.AssetKey]:
    """What runs one sync by itself: its asset, and the tables that say what it did."""
    return [dg.AssetKey([GROUP, name]), *LEDGER_KEYS]


def build(syncs: Sequence[Sync]) -> list[Any]:
    """An asset for each sync; it reads the published file, and holds no database while it sends."""
    return [_asset(sync) for sync in syncs]


def _asset(sync: Sync) -> Any:
    @dg.asset(
        key=key_of(sync),
        deps=[PUBLISHED, dg.AssetKey([sync.audience_schema, sync.audience_table])],
        group_name=GROUP,
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
        context: dg.AssetExecutionContext, config: SyncConfig, mainstem: dg.ResourceParam[Mainstem]
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        with warehouse.read_published(mainstem.home.published) as con:
            reason = held_back.reason(con, mainstem.project.sources)
        if reason:
            mainstem.leave_out(f"sync {sync.name}: held back: {reason}")
            return dg.MaterializeResult(
                metadata={"status": "held back"},
                check_results=[dg.AssetCheckResult(check_name=CHECK, passed=False)],
            )
        began = time.monotonic()
        with mainstem.progress.step("sync"):
            result = engine.run(
                sync,
                published=mainstem.home.published,
                ledger=mainstem.home.sync_ledger,
                run_id=context.run_id,
                env=mainstem.environment(),
                now=mainstem.now,
                progress=_telling(mainstem.progress, sync.name),
                resume=config.resume,
                full=config.full,
                accept=config.accept,
            )
        mainstem.facts.setdefault("syncs", {})[sync.name] = result
        is_complete = result.status == "succeeded"
        if not is_complete:
            mainstem.leave_out(f"sync {sync.name}: {result.status}: {result.error}")
        mainstem.progress.say(f"sync {sync.name}: {_news(result)}")
        return dg.MaterializeResult(
            metadata={
                "destination": sync.destination,
                "status": result.status,
                **_numbers(result, time.monotonic() - began),
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


def _moved(result: SyncResult) -> int:
    return result.rows_added + result.rows_updated + result.rows_removed


def _news(result: SyncResult) -> str:
    if not _moved(result):
        return "nothing to send" if result.status == "succeeded" else result.status
    return (
        f"{result.rows_added} added, {result.rows_updated} changed, {result.rows_removed} removed"
    )


def _numbers(result: SyncResult, seconds: float) -> dict[str, int | float]:
    """What Dagster draws over the runs of a sync: rows by kind, requests, and how fast it went."""
    counts = {
        name: getattr(result, name)
        for name in (
            "rows_planned", "rows_added", "rows_updated", "rows_removed", "rows_rejected",
            "rows_invalid", "rows_suppressed", "rows_unchanged", "rows_pending", "requests",
            "bytes_sent",
        )
    }  # fmt: skip
    answered = _moved(result) + result.rows_rejected
    return {
        **counts,
        "seconds": round(seconds, 3),
        "rows_per_second": round(answered / seconds, 1) if seconds else 0.0,
    }


def _telling(progress: Progress, name: str) -> Callable[[int, int], None]:
    """Says how many rows are through, every two seconds of a sync that takes longer."""
    told = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal told
        if done < total and time.monotonic() - told >= TELL_EVERY:
            told = time.monotonic()
            progress.say(f"sync {name}: {done:,} of {total:,} rows")

    return tell
