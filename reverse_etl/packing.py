"""Cutting what is to be sent into batches: by rows, by bytes, and where one thing must be over
before the next begins."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt

from reverse_etl.declarations import Sync
from reverse_etl.destination import Capabilities

# a request is more than its rows
SHARE_FOR_ROWS = 0.98


@dataclass(frozen=True)
class Cut:
    """A batch: the rows from the `first`, counted from 0 in the order of sending; batches of one
    `stage` may be under way at once, the next stage waits for all of them."""

    first: int
    rows: int
    stage: int


def cuts(con: duckdb.DuckDBPyConnection, sync: Sync, capabilities: Capabilities) -> list[Cut]:
    """How the rows of the temporary table `plan` that are to be sent are cut into batches.

    Who must go, other removals and the rest are stages. A batch may have rows of several only where
    the destination takes operations in one request, in their order; it is then a stage of its own.
    A row that is longer than the limit travels alone, so that only it can be refused for that.
    """
    phases = con.execute(
        "SELECT phase, count(*) FROM plan WHERE position IS NOT NULL GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    bounds = np.cumsum([rows for _, rows in phases]).tolist()
    total = bounds[-1] if bounds else 0
    if sync.mode == "replace":
        bounds = [total]
    ends = _ends(total, sync.batch_rows, _sizes(con, capabilities), _limit(capabilities))
    if capabilities.one_operation:
        ends = _ends_within(bounds, sync.batch_rows, con, capabilities)
    return _staged(ends, bounds)


def _limit(capabilities: Capabilities) -> float:
    return (capabilities.max_bytes or 0) * SHARE_FOR_ROWS


def _sizes(
    con: duckdb.DuckDBPyConnection, capabilities: Capabilities
) -> npt.NDArray[np.int64] | None:
    """Bytes up to and with each row; None where only rows count."""
    if capabilities.max_bytes is None:
        return None
    found = con.execute(
        "SELECT strlen(payload) + $overhead AS bytes FROM plan WHERE position IS NOT NULL "
        "ORDER BY position",
        {"overhead": capabilities.row_overhead + 1},
    ).fetchnumpy()
    return np.cumsum(found["bytes"], dtype=np.int64)


def _ends(
    total: int,
    rows: int,
    sizes: npt.NDArray[np.int64] | None,
    limit: float,
    start: int = 0,
) -> list[int]:
    """Where batches end, from `start` to `total`, each as long as it may be."""
    ends: list[int] = []
    while start < total:
        end = min(start + rows, total)
        if sizes is not None:
            before = int(sizes[start - 1]) if start else 0
            fits = int(np.searchsorted(sizes, before + limit, side="right"))
            end = max(start + 1, min(end, fits))
        ends.append(end)
        start = end
    return ends


def _ends_within(
    bounds: Sequence[int], rows: int, con: duckdb.DuckDBPyConnection, capabilities: Capabilities
) -> list[int]:
    """Where batches end when none may go past a bound."""
    sizes, ends, start = _sizes(con, capabilities), [], 0
    for bound in bounds:
        ends += _ends(bound, rows, sizes, _limit(capabilities), start)
        start = bound
    return ends


def _staged(ends: Sequence[int], bounds: Sequence[int]) -> list[Cut]:
    found: list[Cut] = []
    start, stage, last_phase = 0, 0, -1
    for end in ends:
        first_phase, this_phase = (
            int(np.searchsorted(bounds, place, side="right")) for place in (start, end - 1)
        )
        if first_phase != last_phase or first_phase != this_phase:
            stage += 1
        found.append(Cut(start, end - start, stage))
        # after a batch of several phases another stage begins
        last_phase = this_phase if first_phase == this_phase else -1
        start = end
    return found
