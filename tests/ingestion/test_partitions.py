"""Which partitions a window touches, and where their files are."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion import partitions
from ingestion.sources import Ingest, Partition, SourceTable

MOMENTS = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2027, 12, 31))
EVERY = st.sampled_from(["hourly", "daily", "weekly", "monthly"])


def table(location: str, every: str = "monthly") -> SourceTable:
    ingest = Ingest("files", location, partition=Partition(every, datetime(2026, 1, 1)))
    return SourceTable("stores", "receipts", "raw_stores", Path("_stores.yml"), 1, (), ingest)


def location(found: SourceTable) -> str:
    assert found.ingest is not None
    return found.ingest.location


def test_the_whole_is_every_partition() -> None:
    assert location(partitions.whole(table("drop/r_{partition:%Y-%m}.csv.gz"))) == "drop/r_*.csv.gz"
    assert location(partitions.whole(table("drop/plain.csv"))) == "drop/plain.csv"


def test_a_partition_has_its_own_files() -> None:
    march = partitions.of(table("drop/{partition:%Y}/r_{partition:%m}.csv"), datetime(2026, 3, 1))
    assert location(march) == "drop/2026/r_03.csv"
    assert (
        location(partitions.of(table("r_{partition}.csv", "hourly"), datetime(2026, 3, 1, 7)))
        == "r_2026-03-01-07.csv"
    )
    with pytest.raises(partitions.PartitionError, match=r"stores\.receipts"):
        plain = table("x.csv")
        assert plain.ingest is not None
        partitions.of(
            replace(plain, ingest=replace(plain.ingest, partition=None)), datetime(2026, 3, 1)
        )


def test_march_is_one_month_and_the_leap_day_one_day() -> None:
    monthly = Partition("monthly", datetime(2024, 1, 1))
    assert list(
        partitions.between(monthly, datetime(2026, 3, 1), datetime(2026, 3, 31, 23, 59))
    ) == [datetime(2026, 3, 1)]
    daily = Partition("daily", datetime(2024, 1, 1))
    found = list(partitions.between(daily, datetime(2024, 2, 28), datetime(2024, 3, 1)))
    assert found == [datetime(2024, 2, 28), datetime(2024, 2, 29), datetime(2024, 3, 1)]


@given(every=EVERY, first=MOMENTS, hours=st.integers(0, 24 * 40))
def test_partitions_cover_a_window_without_gap_or_overlap(
    every: str, first: datetime, hours: int
) -> None:
    last = first + timedelta(hours=hours)
    starts = list(partitions.between(Partition(every, datetime(2019, 1, 1)), first, last))
    assert starts[0] <= first < partitions.following(every, starts[0])
    assert starts[-1] <= last < partitions.following(every, starts[-1])
    assert all(partitions.following(every, a) == b for a, b in pairwise(starts))
    assert all(partitions.floor(every, start) == start for start in starts)
