"""Cutting what is to be sent into batches: by rows, by bytes, and where one thing must be over
before the next begins."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import cast

import duckdb

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
    """How the rows of the temporary view `plan` that are to be sent are cut into batches.

    Who must go, other removals and the rest are stages. A batch may have rows of several only where
    the destination takes operations in one request, in their order; it is then a stage of its own.
    A row that is longer than the limit travels alone, so that only it can be refused for that.
    """
    phases = con.execute(
        "SELECT phase, count(*) FROM plan WHERE position IS NOT NULL GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    bounds = list(accumulate(rows for _, rows in phases))
    if sync.mode == "replace":
        bounds = bounds[-1:]
    sizes = _sizes(con, capabilities)
    ends: list[int] = []
    # batches end at a bound, or run on to the last
    for bound in bounds if capabilities.one_operation else bounds[-1:]:
        ends += _ends(ends[-1] if ends else 0, bound, sync.batch_rows, sizes, capabilities)
    return _staged(ends, bounds)


def _sizes(con: duckdb.DuckDBPyConnection, capabilities: Capabilities) -> Sequence[int] | None:
    """Bytes of all rows up to and with each; None where only rows count."""
    if capabilities.max_bytes is None:
        return None
    found = con.execute(
        """
        SELECT sum(strlen(payload) + $overhead) OVER (ORDER BY position)::BIGINT AS bytes
        FROM plan WHERE position IS NOT NULL ORDER BY position""",
        # a comma stands between two rows
        {"overhead": capabilities.row_overhead + 1},
    ).fetchnumpy()
    return cast(Sequence[int], found["bytes"])


def _ends(
    start: int,
    total: int,
    rows: int,
    sizes: Sequence[int] | None,
    capabilities: Capabilities,
) -> list[int]:
    """Where batches end, from `start` to `total`, each as long as it may be."""
    limit = (capabilities.max_bytes or 0) * SHARE_FOR_ROWS
    ends: list[int] = []
    while start < total:
        end = min(start + rows, total)
        if sizes is not None:
            before = int(sizes[start - 1]) if start else 0
            end = max(start + 1, bisect_right(sizes, before + limit, lo=start, hi=end))
        ends.append(end)
        start = end
    return ends


def _staged(ends: Sequence[int], bounds: Sequence[int]) -> list[Cut]:
    found: list[Cut] = []
    start, stage, last_phase = 0, 0, -1
    for end in ends:
        first_phase, this_phase = bisect_right(bounds, start), bisect_right(bounds, end - 1)
        if first_phase != last_phase or first_phase != this_phase:
            stage += 1
        found.append(Cut(start, end - start, stage))
        # after a batch of several phases another stage begins
        last_phase = this_phase if first_phase == this_phase else -1
        start = end
    return found
