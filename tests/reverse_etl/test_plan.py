"""The plan as a function of what was sent and what should be there."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reverse_etl import booking, destinations, engine, ledger, outbox, plan, recording, settling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Runner, Warehouse

    from reverse_etl.declarations import Sync

CAPABILITIES = destinations.find("webhook").capabilities


def record(con: duckdb.DuckDBPyConnection, sync: Sync, opened: Any, at: datetime) -> None:
    recording.record_plan(con, sync, opened, "run", at, capabilities=CAPABILITIES)


KEYS = [f"c{number}" for number in range(6)]
PERSON = st.fixed_dictionaries(
    {
        "email": st.sampled_from(["a@example.com", "b@example.com", "", None]),
        "in_audience": st.booleans(),
        "consent": st.sampled_from(["granted", "withdrawn", None]),
    }
)
WANTED = st.dictionaries(st.sampled_from(KEYS), PERSON, min_size=3)
STATE = st.dictionaries(
    st.sampled_from(KEYS),
    st.sampled_from(
        [
            ("synced", True),
            ("rejected", True),
            ("rejected", False),
            ("parked", False),
            ("unknown", True),
            ("removed", False),
            ("suppressed", False),
        ]
    ),
    min_size=4,
)


def expected_kind(person: dict[str, Any] | None, state: tuple[str, bool] | None, mode: str) -> Any:
    """The rules said once more, row by row; stored hashes never match here."""
    is_held = bool(state and state[1])
    granted = person is not None and person["consent"] == "granted"
    if person is None or not person["in_audience"]:
        return "remove" if is_held and (mode == "mirror" or not granted) else None
    if not granted:
        return "remove" if is_held else "suppressed"
    if not person["email"]:
        return "invalid"
    return "update" if is_held else "add"


@contextmanager
def slices_of(rows: int) -> Iterator[None]:
    """The plan in slices of so many rows (a Hypothesis test has no fixture for each example)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "SLICE_ROWS", rows)
        yield


WHOLE_AND_SLICES = pytest.mark.parametrize("slice_rows", [plan.SLICE_ROWS, 2])


@WHOLE_AND_SLICES
@settings(max_examples=25, deadline=None)
@given(people=WANTED, state=STATE, mode=st.sampled_from(["mirror", "upsert"]))
def test_every_row_has_one_kind_and_it_is_the_right_one(
    slice_rows: int,
    new_warehouse: type[Warehouse],
    new_sync: Callable[..., Sync],
    people: dict[str, dict[str, Any]],
    state: dict[str, tuple[str, bool]],
    mode: str,
) -> None:
    sync = new_sync(mode=mode, required=("email",))
    with (
        tempfile.TemporaryDirectory() as folder,
        ledger.connect(":memory:") as con,
        slices_of(slice_rows),
    ):
        warehouse = new_warehouse(Path(folder) / "published.duckdb")
        for key, person in people.items():
            warehouse.add(key, **person)
        for key, (status, is_held) in state.items():
            con.execute(
                "INSERT INTO sync_state (sync_name, row_key, customer_id, payload_hash, status,"
                " is_held) VALUES (?, ?, ?, 'old', ?, ?)",
                [sync.name, key, key, status, is_held],
            )
        plan.make(con, sync, warehouse.publish())
        kinds = con.execute("SELECT row_key, kind FROM plan").fetchall()
        order = con.execute(
            "SELECT kind FROM plan WHERE position IS NOT NULL ORDER BY position"
        ).fetchall()
        at = datetime(2026, 3, 1, tzinfo=UTC).replace(tzinfo=None)
        opened = ledger.open_run(con, sync, "run", at)
        record(con, sync, opened, at)
        settling.close_run(con, opened.sync_run_id, status="incomplete", addresses={}, at=at)
        ((planned, *counts),) = con.execute(
            "SELECT rows_planned, rows_invalid, rows_suppressed, rows_unchanged, rows_pending,"
            " rows_rejected FROM sync_runs"
        ).fetchall()
    expected = {key: expected_kind(people.get(key), state.get(key), mode) for key in KEYS}
    assert sorted(kinds) == sorted((key, kind) for key, kind in expected.items() if kind)
    assert planned == sum(counts) == len(kinds)
    ranks = [kind != "remove" for (kind,) in order]
    assert ranks == sorted(ranks)


@WHOLE_AND_SLICES
@settings(max_examples=5, deadline=None)
@given(days=st.lists(WANTED, min_size=2, max_size=3))
def test_incremental_equals_full(
    slice_rows: int,
    new_warehouse: type[Warehouse],
    new_sync: Callable[..., Sync],
    days: list[dict[str, dict[str, Any]]],
) -> None:
    """However the days went, the ledger ends as a first run on the last day would leave it."""

    def held(home: Path, wanted: list[dict[str, dict[str, Any]]]) -> list[tuple[Any, ...]]:
        sync = new_sync(required=("email",), batch_rows=3)
        for number, people in enumerate(wanted):
            warehouse = new_warehouse(home / f"published{number}.duckdb")
            for key, person in people.items():
                warehouse.add(key, first_name="Same", cart_value=1, **person)
            path = warehouse.publish()
            with ledger.connect(home / "ledger.duckdb") as con:
                at = datetime(2026, 3, 1, tzinfo=UTC).replace(tzinfo=None)
                opened = ledger.open_run(con, sync, f"run{number}", at)
                plan.make(con, sync, path, opened)
                record(con, sync, opened, at)
                refs = outbox.batches(con, opened, "planned")
                answers = [booking.Booking(ref.number, 200, {}) for ref in refs]
                booking.book(con, opened.sync_run_id, answers, at)
                settling.settle(con)
                settling.close_run(con, opened.sync_run_id, status="succeeded", addresses={}, at=at)
        with duckdb.connect(str(home / "ledger.duckdb")) as con:
            return con.execute(
                "SELECT row_key, payload_hash FROM sync_state WHERE is_held AND status = 'synced'"
                " ORDER BY ALL"
            ).fetchall()

    with (
        tempfile.TemporaryDirectory() as day_by_day,
        tempfile.TemporaryDirectory() as at_once,
        slices_of(slice_rows),
    ):
        incremental = held(Path(day_by_day), days)
        full = held(Path(at_once), days[-1:])
    assert incremental == full


def test_a_hundred_thousand_rows(run: Runner, warehouse: Warehouse) -> None:
    path = warehouse.publish()
    with duckdb.connect(str(path)) as con:
        con.execute("""
            INSERT INTO audiences.aud_cart SELECT 'c' || i, i FROM range(100000) t(i);
            INSERT INTO marts.golden_customers
                SELECT 'c' || i, i || '@example.com', 'N' FROM range(100000) t(i);
            INSERT INTO marts.customer_consents
                SELECT 'c' || i, 'marketing', 'email', if(i % 10 = 0, 'denied', 'granted')
                FROM range(100000) t(i)""")
    result = engine.run(
        run.sync(batch_rows=1000),
        published=path,
        ledger=run.ledger,
        run_id="big",
        env=run.env,
        now=run.now,
        dry_run=True,
    )
    assert (result.rows_added, result.rows_suppressed) == (90_000, 10_000)
    with ledger.connect(run.ledger) as con:
        at = run.now.replace(tzinfo=None)
        sync = run.sync(batch_rows=1000)
        opened = ledger.open_run(con, sync, "big", at)
        plan.make(con, sync, path, opened)
        record(con, sync, opened, at)
        refs = outbox.batches(con, opened, "planned")
        assert Counter(ref.row_count for ref in refs) == {1000: 90}
        keys = [
            row.key for ref in refs for row in outbox.read_batch(con, sync, opened, ref.number).rows
        ]
    assert len(set(keys)) == 90_000
