"""Batches under way at once, jobs, what a row is known by, and when a run had better end.

The destination here is a class, so that a test can say when it answers; that it is met over a real
network is in test_faults.py.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reverse_etl import destinations, packing
from reverse_etl.destination import (
    Batch,
    BatchAnswer,
    Body,
    Capabilities,
    Destination,
    Job,
    RejectError,
    RetryError,
    Row,
    RowAnswer,
    StopError,
)
from reverse_etl.engine import RetryPolicy

if TYPE_CHECKING:
    from conftest import Runner, Warehouse

QUICK = RetryPolicy(tries=2, first_wait=0.01, longest_wait=1.0, job_seconds=5.0)


@dataclass
class Tool:
    """What the destination does, told by a test: `answer` is asked for every batch."""

    answer: Callable[[Batch], BatchAnswer | Job] = lambda _: BatchAnswer()
    collected: Callable[[str], BatchAnswer | None] = lambda _: BatchAnswer()
    addresses: Callable[[Batch], Mapping[str, str]] = lambda _: {}
    sent: list[Batch] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def keys(self) -> list[str]:
        return [row.key for batch in self.sent for row in batch.rows]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Tool:
    """Makes `webhook` a destination that does as the test says, four batches at once."""
    state = Tool()

    class Fake(Destination):
        capabilities = Capabilities(
            max_rows=1000,
            default_rows=2,
            modes=frozenset({"mirror"}),
            removal=True,
            connection_keys=frozenset(),
            parallel=4,
        )

        def __init__(self, connection: Mapping[str, str]) -> None:
            return None

        def send(self, batch: Batch) -> BatchAnswer | Job:
            with state.lock:
                state.sent.append(batch)
                state.at_once += 1
                state.most_at_once = max(state.most_at_once, state.at_once)
            try:
                return state.answer(batch)
            finally:
                with state.lock:
                    state.at_once -= 1

        def collect(self, batch: Batch, job_id: str) -> BatchAnswer | None:
            state.asked.append(job_id)
            return state.collected(job_id)

        def addresses(self, batch: Batch) -> Mapping[str, str]:
            return state.addresses(batch)

        def bodies(self, batch: Batch) -> Sequence[Body]:
            return []

    monkeypatch.setattr(destinations, "find", lambda _: Fake)
    return state


@pytest.fixture
def forty(warehouse: Warehouse) -> Warehouse:
    for number in range(40):
        warehouse.add(f"c{number:02}")
    return warehouse


def go(run: Runner, **changes: Any) -> Any:
    arguments = {key: changes.pop(key) for key in ("resume", "full") if key in changes}
    return run(run.sync(**({"parallel": 0} | changes)), policy=QUICK, **arguments)


def test_as_many_at_once_as_the_destination_takes(
    run: Runner, forty: Warehouse, tool: Tool
) -> None:
    def slowly(_: Batch) -> BatchAnswer:
        time.sleep(0.05)
        return BatchAnswer()

    tool.answer = slowly
    assert go(run).rows_added == 40
    assert tool.most_at_once == 4
    assert len(tool.keys()) == len(set(tool.keys())) == 40
    assert [batch.of for batch in tool.sent] == [20] * 20
    assert sorted(batch.position for batch in tool.sent) == list(range(1, 21))
    assert {batch.total_rows for batch in tool.sent} == {40}
    assert tool.sent[0].field_types == ("VARCHAR", "VARCHAR", "DECIMAL(18,2)")
    tool.most_at_once = 0
    go(run, full=True, parallel=2)
    assert tool.most_at_once == 2


def test_who_must_go_is_gone_before_anybody_else_is_touched(
    run: Runner, forty: Warehouse, tool: Tool
) -> None:
    go(run)
    for number in range(6):
        forty.people[f"c{number:02}"]["consent"] = "withdrawn"
        forty.people[f"c{number + 10:02}"]["in_audience"] = False
        forty.people[f"c{number + 20:02}"]["first_name"] = "Changed"
    answered: list[str] = []
    begun: list[tuple[str, int]] = []

    def noted(batch: Batch) -> BatchAnswer:
        begun.append((batch.rows[0].key, len(answered)))
        time.sleep(0.02)
        answered.extend(row.key for row in batch.rows)
        return BatchAnswer()

    tool.answer = noted
    result = go(run)
    assert (result.rows_removed, result.rows_updated) == (12, 6)
    before = dict(begun)
    assert all(before[key] < 6 for key in ("c00", "c02", "c04"))
    assert all(6 <= before[key] < 12 for key in ("c10", "c12", "c14"))
    assert all(before[key] >= 12 for key in ("c20", "c22", "c24"))


def test_asked_to_wait_all_wait(run: Runner, forty: Warehouse, tool: Tool) -> None:
    begun: list[float] = []

    def limited(batch: Batch) -> BatchAnswer:
        begun.append(time.monotonic())
        if len(begun) == 5:
            raise RetryError("slow down", code="429", maybe_applied=False, after_seconds=0.4)
        time.sleep(0.02)
        return BatchAnswer()

    tool.answer = limited
    assert go(run).rows_added == 40
    # those that were under way already do not count
    later = [moment - begun[4] for moment in begun[8:]]
    assert min(later) >= 0.39


def test_three_batches_in_a_row_out_of_tries_end_the_run(
    run: Runner, forty: Warehouse, tool: Tool
) -> None:
    def down(batch: Batch) -> BatchAnswer:
        raise RetryError("the destination answered 503", code="http_503", maybe_applied=False)

    tool.answer = down
    result = go(run, parallel=1)
    assert (result.status, result.rows_pending, result.requests) == ("incomplete", 40, 6)
    assert "503" in str(result.error)
    assert run.rows("FROM sync_state") == []
    tool.answer = lambda _: BatchAnswer()
    tool.sent.clear()
    assert go(run, resume=True).rows_added == 40
    assert len(tool.keys()) == 40


def test_all_refused_with_one_code_ends_the_run_and_the_next_begins_with_others(
    run: Runner, forty: Warehouse, tool: Tool
) -> None:
    def refused(batch: Batch) -> BatchAnswer:
        return BatchAnswer(rows={row.key: RowAnswer("no_scope", "no") for row in batch.rows})

    tool.answer = refused
    result = go(run, parallel=1)
    assert (result.status, result.rows_rejected, result.rows_pending) == ("incomplete", 26, 14)
    assert "no_scope" in str(result.error)
    tool.sent.clear()
    tool.answer = lambda _: BatchAnswer()
    assert go(run, parallel=1).rows_added == 40
    assert tool.keys()[:14] == [f"c{number}" for number in range(26, 40)]


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(bad=st.sets(st.integers(0, 39), max_size=5), rows=st.integers(1, 40))
def test_only_bad_rows_are_rejected_whatever_the_batches(
    run: Runner, forty: Warehouse, tool: Tool, bad: set[int], rows: int
) -> None:
    keys = {f"c{number:02}" for number in bad}

    def picky(batch: Batch) -> BatchAnswer:
        if any(row.key in keys for row in batch.rows):
            raise RejectError("refused", code="bad")
        return BatchAnswer()

    tool.answer = picky
    tool.sent.clear()
    # a sync of its own, so that nothing was sent before
    result = go(run, name=f"sync{run.runs}", batch_rows=rows)
    assert (result.rows_added, result.rows_rejected) == (40 - len(keys), len(keys))
    assert len({batch.idempotency_key for batch in tool.sent}) == len(tool.sent)


def test_refused_rows_are_tried_with_new_values_then_parked_then_tried_when_they_change(
    run: Runner, warehouse: Warehouse, tool: Tool
) -> None:
    warehouse.add("c1")
    warehouse.add("c2")

    def refused(batch: Batch) -> BatchAnswer:
        return BatchAnswer(rows={"c1": RowAnswer("bad_name", "the name is bad")})

    tool.answer = refused
    for attempt in range(1, 4):
        assert go(run, max_attempts=3).rows_rejected == 1
        assert run.rows("SELECT attempts FROM dead_letters") == [(attempt,)]
    assert run.rows("SELECT row_key, reason, status FROM dead_letters") == [
        ("c1", "the name is bad", "parked")
    ]
    sent = len(tool.sent)
    result = go(run, max_attempts=3)
    assert (result.rows_rejected, len(tool.sent)) == (1, sent)
    warehouse.people["c1"]["first_name"] = "Changed"
    assert go(run, max_attempts=3).rows_rejected == 1
    assert run.rows("SELECT status, attempts FROM dead_letters") == [("rejected", 1)]
    tool.answer = lambda _: BatchAnswer()
    assert go(run, max_attempts=3, full=True).rows_added == 1
    assert run.rows("FROM dead_letters") == []


def test_a_job_is_asked_about_until_it_is_done(run: Runner, forty: Warehouse, tool: Tool) -> None:
    times: Counter[str] = Counter()

    def done_at_the_third(job_id: str) -> BatchAnswer | None:
        times[job_id] += 1
        rows = {"c00": RowAnswer("bad", "no")} if job_id == "job1" else {}
        return BatchAnswer(200, rows=rows) if times[job_id] == 3 else None

    tool.answer = lambda batch: Job(f"job{batch.number}", after_seconds=0.01, bytes_sent=7)
    tool.collected = done_at_the_third
    result = go(run, batch_rows=20)
    assert (result.status, result.rows_added, result.rows_rejected) == ("succeeded", 39, 1)
    assert (result.requests, result.bytes_sent) == (8, 14)
    assert times == {"job1": 3, "job2": 3}


def test_a_job_that_is_not_done_in_time_is_asked_about_by_the_next_run(
    run: Runner, forty: Warehouse, tool: Tool
) -> None:
    tool.answer = lambda batch: Job(f"job{batch.number}", after_seconds=0.01)
    tool.collected = lambda _: None
    slow = replace(QUICK, job_seconds=0.1)
    result = run(run.sync(batch_rows=40), policy=slow)
    assert (result.status, result.rows_pending) == ("incomplete", 40)
    assert "next run asks" in str(result.error)
    forty.add("c99")
    tool.collected = lambda _: BatchAnswer()
    # only what was left, and nothing is sent twice
    resumed = go(run, batch_rows=40, resume=True)
    assert (resumed.status, resumed.rows_added, len(tool.sent)) == ("succeeded", 40, 1)
    tool.answer = lambda batch: BatchAnswer()
    assert go(run, batch_rows=40).rows_added == 1


@pytest.mark.parametrize("ends", ["done", "gone"])
def test_who_withdrew_while_a_job_works_is_removed_after_it(
    run: Runner, forty: Warehouse, tool: Tool, ends: str
) -> None:
    """A removal that overtakes the job would be undone by it."""
    tool.answer = lambda batch: Job(f"job{batch.number}", after_seconds=0.01)
    tool.collected = lambda _: None
    assert run(run.sync(batch_rows=40), policy=replace(QUICK, job_seconds=0.1)).rows_pending == 40
    forty.people["c03"]["consent"] = "withdrawn"
    order: list[str] = []

    def collected(_: str) -> BatchAnswer | None:
        order.append("asked")
        if len(order) < 3:
            return None
        if ends == "gone":
            raise RejectError("the job is gone", code="job_gone")
        return BatchAnswer()

    def answer(batch: Batch) -> BatchAnswer:
        order.extend(f"{row.operation} {row.key}" for row in batch.rows)
        return BatchAnswer()

    tool.collected, tool.answer = collected, answer
    assert go(run, batch_rows=40).status == "succeeded"
    assert order[:4] == ["asked", "asked", "asked", "remove c03"]
    assert "upsert c03" not in order
    held = run.rows("SELECT count(*), count(*) FILTER (status = 'synced') FROM sync_state")
    assert held == [(40, 39)]


def test_a_job_that_fails_is_halved_like_any_refused_batch(
    run: Runner, forty: Warehouse, tool: Tool
) -> None:
    def answer(batch: Batch) -> BatchAnswer | Job:
        return Job("job", after_seconds=0.0) if len(batch.rows) == 40 else BatchAnswer()

    def failed(_: str) -> BatchAnswer:
        raise RejectError("the job failed", code="job_failed")

    tool.answer, tool.collected = answer, failed
    assert go(run, batch_rows=40).rows_added == 40
    assert [len(batch.rows) for batch in tool.sent] == [40, 20, 20]


def test_what_a_row_is_known_by_is_kept_and_given_back(
    run: Runner, warehouse: Warehouse, tool: Tool
) -> None:
    warehouse.add("c1")
    warehouse.add("c2")
    tool.answer = lambda batch: BatchAnswer(
        rows={row.key: RowAnswer(remote_id=f"id-{row.key}") for row in batch.rows if row.is_new}
    )
    go(run)
    warehouse.people["c1"]["first_name"] = "Changed"
    warehouse.people["c2"]["in_audience"] = False
    tool.sent.clear()
    go(run)
    rows = [row for batch in tool.sent for row in batch.rows]
    assert [(row.key, row.operation, row.remote_id, row.is_new) for row in rows] == [
        ("c2", "remove", "id-c2", False),
        ("c1", "upsert", "id-c1", False),
    ]
    assert isinstance(rows[0], Row)


def test_what_may_have_arrived_can_be_removed(
    run: Runner, warehouse: Warehouse, tool: Tool
) -> None:
    warehouse.add("c1")
    warehouse.add("c2")

    def lost(batch: Batch) -> BatchAnswer:
        raise RetryError("no answer", code="timeout", maybe_applied=True)

    tool.answer = lost
    tool.addresses = lambda batch: {row.key: f"at-{row.key}" for row in batch.rows}
    assert go(run).status == "incomplete"
    warehouse.people["c1"]["consent"] = "withdrawn"
    tool.sent.clear()
    tool.answer = lambda _: BatchAnswer()
    assert go(run).rows_removed == 1
    rows = [(row.key, row.operation, row.remote_id) for batch in tool.sent for row in batch.rows]
    assert rows == [("c1", "remove", "at-c1"), ("c2", "upsert", "at-c2")]


def test_what_stops_everything_lets_the_others_land(
    run: Runner, forty: Warehouse, tool: Tool
) -> None:
    def forbidden(batch: Batch) -> BatchAnswer:
        if batch.number == 2:
            raise StopError("the login was refused", code="401")
        time.sleep(0.1)
        return BatchAnswer()

    tool.answer = forbidden
    result = go(run)
    assert (result.status, result.rows_added, result.rows_pending) == ("incomplete", 6, 34)
    assert len(tool.sent) == 4
    assert run.rows("SELECT count(*) FROM sync_state WHERE status = 'unknown'") == [(0,)]


def test_a_fault_in_a_destination_names_its_file_and_no_row(
    run: Runner, forty: Warehouse, tool: Tool
) -> None:
    def broken(batch: Batch) -> BatchAnswer:
        raise KeyError(batch.rows[0].fields)

    tool.answer = broken
    result = go(run, parallel=1)
    assert (result.status, len(tool.sent)) == ("incomplete", 3)
    assert "KeyError in reverse_etl/destinations/webhook.py" in str(result.error)
    assert "example.com" not in str(result.error)
    assert run.rows("SELECT count(*) FROM sync_state WHERE status = 'unknown'") == [(6,)]


def test_remarks_are_shown(run: Runner, forty: Warehouse, tool: Tool) -> None:
    tool.answer = lambda _: BatchAnswer(remark="3 members were not matched")
    result = go(run)
    assert result.status == "succeeded"
    assert str(result.error).count("3 members were not matched") == 1


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(2, 60)), min_size=1, max_size=40),
    most=st.integers(1, 9),
    limit=st.one_of(st.none(), st.integers(20, 200)),
    one_operation=st.booleans(),
)
def test_batches_are_whole_in_order_and_within_limits(
    rows: list[tuple[int, int]], most: int, limit: int | None, one_operation: bool, new_sync: Any
) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    capabilities = Capabilities(
        max_rows=9,
        default_rows=9,
        modes=frozenset({"mirror"}),
        removal=True,
        connection_keys=frozenset(),
        max_bytes=limit,
        row_overhead=3,
        one_operation=one_operation,
    )
    with duckdb.connect() as con:
        con.execute("CREATE TABLE plan (position BIGINT, phase INTEGER, payload VARCHAR)")
        con.executemany(
            "INSERT INTO plan VALUES (?, ?, ?)",
            [(n, phase, "x" * size) for n, (phase, size) in enumerate(rows, 1)],
        )
        cuts = packing.cuts(con, new_sync(batch_rows=most), capabilities)
    assert [cut.first for cut in cuts] == [sum(c.rows for c in cuts[:n]) for n in range(len(cuts))]
    assert sum(cut.rows for cut in cuts) == len(rows)
    phases_of_stages: dict[int, set[int]] = {}
    for cut in cuts:
        mine = rows[cut.first : cut.first + cut.rows]
        assert 1 <= len(mine) <= most
        assert limit is None or len(mine) == 1 or sum(size + 4 for _, size in mine) <= limit
        phases = {phase for phase, _ in mine}
        assert len(phases) == 1 or not one_operation
        phases_of_stages.setdefault(cut.stage, set()).update(phases)
        if len(phases) > 1:
            assert sum(other.stage == cut.stage for other in cuts) == 1
    stages = [cut.stage for cut in cuts]
    assert stages == sorted(stages)
    # of two batches that may be under way at once both are of one phase
    for stage, phases in phases_of_stages.items():
        assert len(phases) == 1 or stages.count(stage) == 1
