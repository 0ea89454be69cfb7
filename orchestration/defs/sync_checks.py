"""What must hold of every sync, asked of the published file once all of them have run."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import duckdb

from orchestration import warehouse
from orchestration.defs import rhythms
from orchestration.defs.publishing import LEDGER_KEYS
from orchestration.defs.syncs import key_of
from orchestration.runtime import Mainstem
from reverse_etl import published
from reverse_etl.declarations import Sync

CHECKS = {
    "rejected_share": "The destination refuses few of the rows (checks.rejected_percent, 1).",
    "fresh": "The last success is no older than the schedule allows: one run may be missed.",
    "parity": "Members with consent, less held out, invalid, refused and pending, are there.",
    "no_consent_leaks": "Nobody is there without a granted decision in force.",
}
LOOKED_BACK = 50
"""Runs among which the last success is looked for."""


def build(syncs: Sequence[Sync]) -> list[Any]:
    """One step that answers the checks of all syncs, after the ledger's tables are published."""
    if not syncs:
        return []
    by_key = {key_of(sync): sync for sync in syncs}

    @dg.multi_asset_check(
        name="check_syncs",
        specs=[
            dg.AssetCheckSpec(name, asset=key, additional_deps=LEDGER_KEYS, description=description)
            for key in by_key
            for name, description in CHECKS.items()
        ],
        can_subset=True,
    )
    def check_syncs(
        context: dg.AssetCheckExecutionContext, mainstem: dg.ResourceParam[Mainstem]
    ) -> Iterator[dg.AssetCheckResult]:
        wanted = context.op_execution_context.selected_asset_check_keys
        with warehouse.attach_published(mainstem.home.published) as con:
            for key, sync in by_key.items():
                for check in sorted(one for one in wanted if one.asset_key == key):
                    yield _answer(context, con, sync, check, mainstem.now)

    return [check_syncs]


def _answer(
    context: dg.AssetCheckExecutionContext,
    con: duckdb.DuckDBPyConnection,
    sync: Sync,
    check: dg.AssetCheckKey,
    now: datetime,
) -> dg.AssetCheckResult:
    is_grave = False
    metadata: dict[str, Any]
    match check.name:
        case "rejected_share":
            share = published.rejected_share(con, sync)
            passed = share.share * 100 <= sync.rejected_percent
            metadata = {"rows_rejected": share.rejected, "share": share.share}
        case "fresh":
            succeeded, due = (
                _last_success(context, con, sync),
                rhythms.due_since(sync.schedule, now),
            )
            passed = succeeded is not None and succeeded >= due
            metadata = {
                "last_success": str(succeeded or "never"),
                "hours": (now - succeeded) / timedelta(hours=1) if succeeded else None,
            }
        case "parity":
            found = published.parity(con, sync)
            passed = found.is_equal
            metadata = {
                name: getattr(found, name)
                for name in ("expected", "held", "refused", "pending", "missing", "surplus")
            }
        case _:
            leaks = published.leaks(con, sync)
            # where nothing can be removed a person has to, and no run will
            passed, is_grave = leaks.held + leaks.kept == 0, leaks.held > 0
            metadata = {"rows_without_consent": leaks.held, "rows_that_stay": leaks.kept}
    return dg.AssetCheckResult(
        passed=passed,
        check_name=check.name,
        asset_key=check.asset_key,
        severity=dg.AssetCheckSeverity.ERROR if is_grave else dg.AssetCheckSeverity.WARN,
        metadata={name: value for name, value in metadata.items() if value is not None},
    )


def _last_success(
    context: dg.AssetCheckExecutionContext, con: duckdb.DuckDBPyConnection, sync: Sync
) -> datetime | None:
    """When the sync succeeded last, also with nothing to do: that is in Dagster's history alone."""
    moments = [published.last_success(con, sync)]
    records = context.instance.fetch_materializations(key_of(sync), limit=LOOKED_BACK).records
    for record in records:
        told = record.asset_materialization
        if told and told.metadata.get("status") == dg.MetadataValue.text("succeeded"):
            moments.append(datetime.fromtimestamp(record.timestamp, UTC).replace(tzinfo=None))
            break
    return max((moment for moment in moments if moment), default=None)
