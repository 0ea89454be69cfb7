"""Going back: one job for each table whose past can be loaded again, by partition or window."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from ingestion import partitions, windows
from ingestion.sources import SourceTable
from ingestion.windows import Window
from orchestration.defs.loads import POOL, count, load_one
from orchestration.runtime import Mainstem

PARTITIONS: dict[str, Any] = {
    "hourly": dg.HourlyPartitionsDefinition,
    "daily": dg.DailyPartitionsDefinition,
    "weekly": dg.WeeklyPartitionsDefinition,
    "monthly": dg.MonthlyPartitionsDefinition,
}
#: The key of what a backfill hands to the command line, in `Mainstem.facts`.
FACT = "backfill"


def build(tables: Sequence[SourceTable]) -> list[dg.JobDefinition]:
    """One job for each table with `partition` (its Partitions tab backfills) or a cursor of times."""
    return [_backfill(table) for table in tables if is_offered(table)]


def is_offered(table: SourceTable) -> bool:
    """Whether the table's past can be loaded again."""
    by_files = bool(table.ingest and table.ingest.partition and not table.ingest.cursor)
    return by_files or windows.can_backfill(table)


def job_name(table: SourceTable) -> str:
    """The name of the table's job."""
    return f"backfill__{table.source}__{table.name}"


def op_name(table: SourceTable) -> str:
    """The name of its one step, which takes `from` and `to` where there is a cursor."""
    return f"load_partition__{table.source}__{table.name}"


def _backfill(table: SourceTable) -> dg.JobDefinition:
    assert table.ingest is not None  # noqa: S101  (only such tables are offered)
    partition, by_cursor = table.ingest.partition, table.ingest.cursor is not None
    moment = dg.Field(
        str,
        is_required=partition is None,
        description="A moment such as 2026-04-01 or 2026-04-01 12:00:00 (UTC).",
    )

    @dg.op(
        name=op_name(table),
        pool=POOL,
        config_schema={"from": moment, "to": moment} if by_cursor else None,
    )
    def load_partition(
        context: dg.OpExecutionContext, mainstem: dg.ResourceParam[Mainstem]
    ) -> None:
        if by_cursor:
            results, _ = load_one(mainstem, table, None, context.run_id, _window(context))
        else:
            start = context.partition_time_window.start.replace(tzinfo=None)
            results, _ = load_one(mainstem, partitions.of(table, start), None, context.run_id)
        counts = count(results)
        context.add_output_metadata(counts)
        failed = [str(result.error) for result in results if result.status == "failed"]
        mainstem.facts[FACT] = {**counts, "error": "; ".join(failed) or None}
        if failed:
            raise dg.Failure("; ".join(failed))

    @dg.job(
        name=job_name(table),
        partitions_def=(
            PARTITIONS[partition.every](start_date=partition.start, end_offset=1)
            if partition
            else None
        ),
        description=f"Loads {table.source}.{table.name} again, "
        + (f"partition by partition ({partition.every})." if partition else "a window of time."),
    )
    def backfill() -> None:
        load_partition()

    return backfill


def _window(context: dg.OpExecutionContext) -> Window:
    """The window that the run's configuration gives, or else its partition's."""
    given = context.op_config
    if "from" in given and "to" in given:
        return Window(_moment(given["from"]), _moment(given["to"]))
    if not context.has_partition_key:
        raise dg.Failure("choose a partition, or give both `from` and `to`")
    found = context.partition_time_window
    return Window(found.start.replace(tzinfo=None), found.end.replace(tzinfo=None))


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        raise dg.Failure(f"{text!r} is no moment: write it as 2026-04-01 12:00:00") from None
