"""Trouble on the way: nothing lost, repeated at most the batch in flight, and the ledger knows."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from reverse_etl import ledger

if TYPE_CHECKING:
    from conftest import Receiver, Runner, Warehouse


@pytest.fixture
def ten(warehouse: Warehouse) -> Warehouse:
    for number in range(10):
        warehouse.add(f"c{number}")
    return warehouse


def keys_of_repeats(receiver: Receiver) -> list[str]:
    return [request.key for request in receiver.requests if request.is_repeat]


def assert_complete(run: Runner, receiver: Receiver, people: int) -> None:
    """Receiver and ledger agree, and one more run has nothing to do."""
    assert len(receiver.members) == people
    assert run.rows("SELECT count(*) FROM sync_state WHERE status = 'synced' AND is_held") == [
        (people,)
    ]
    bodies: dict[str, bytes] = {}
    for request in receiver.requests:
        assert bodies.setdefault(request.key, request.raw) == request.raw
    before = len(receiver.requests)
    assert run().rows_unchanged == people
    assert len(receiver.requests) == before


@pytest.mark.parametrize("trouble", ["429", "429:0.05", "500", "500 after", "503", "reset", "408"])
def test_passing_trouble_is_retried_with_the_same_key(
    run: Runner, ten: Warehouse, receiver: Receiver, trouble: str
) -> None:
    receiver.script = ["ok", trouble, "ok", trouble]
    result = run()
    assert (result.status, result.rows_added, result.requests) == ("succeeded", 10, 7)
    assert len(keys_of_repeats(receiver)) == 2
    assert run.rows("SELECT DISTINCT attempts FROM sync_log ORDER BY 1") == [(1,), (2,)]
    assert_complete(run, receiver, 10)


def test_asked_to_wait_it_waits(run: Runner, ten: Warehouse, receiver: Receiver) -> None:
    receiver.script = ["429:0.5"]
    begun = time.monotonic()
    assert run().status == "succeeded"
    assert time.monotonic() - begun >= 0.5


def test_asked_to_wait_too_long_it_ends_incomplete(
    run: Runner, ten: Warehouse, receiver: Receiver
) -> None:
    receiver.script = ["ok", "429:3600"]
    result = run()
    assert (result.status, result.rows_added, result.rows_pending) == ("incomplete", 2, 8)
    assert run().rows_added == 8
    assert_complete(run, receiver, 10)


@pytest.mark.parametrize("trouble", ["500 after", "500", "hang"])
def test_unanswered_batch_is_sent_again_by_the_next_run_first(
    run: Runner, ten: Warehouse, receiver: Receiver, trouble: str
) -> None:
    run.env["SECONDS"], receiver.seconds = "0.2", 0.5
    receiver.script = ["ok", trouble, trouble, trouble]
    first = run()
    # one batch that is not answered keeps no other from going
    assert (first.status, first.rows_added, first.rows_pending) == ("incomplete", 8, 2)
    assert "2 rows are pending" in str(first.error)
    assert run.rows("SELECT count(*) FROM sync_state WHERE status = 'unknown'") == [(2,)]
    in_flight = receiver.requests[1]
    # who changed meanwhile is brought up to date after the repeat, not in it
    ten.people["c2"]["first_name"] = "Changed"
    second = run()
    assert receiver.requests[7].key == in_flight.key
    assert receiver.requests[7].raw == in_flight.raw
    assert (second.status, second.is_resumed, second.rows_pending) == ("succeeded", True, 0)
    assert second.sync_run_id == first.sync_run_id
    assert (second.rows_added, second.rows_updated) == (10, 1)
    assert receiver.members["c2"]["name"] == "Changed"
    assert_complete(run, receiver, 10)


def test_unanswered_batch_of_somebody_who_withdrew_is_not_repeated(
    run: Runner, ten: Warehouse, receiver: Receiver
) -> None:
    receiver.script = ["ok", "500 after", "500", "500"]
    run()
    assert {"c2", "c3"} <= set(receiver.members)
    ten.people["c2"]["consent"] = "withdrawn"
    sent = len(receiver.requests)
    result = run()
    assert result.status == "succeeded"
    later = [r for request in receiver.requests[sent:] for r in request.body["rows"]]
    operations = [(row["operation"], row["key"]) for row in later]
    assert operations[0] == ("remove", "c2")
    assert ("upsert", "c2") not in operations
    del ten.people["c2"]
    assert_complete(run, receiver, 9)


def test_unreachable_is_incomplete_and_names_the_key_but_not_the_address(
    run: Runner, ten: Warehouse, receiver: Receiver
) -> None:
    address = run.env["URL"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        run.env["URL"] = f"http://127.0.0.1:{free.getsockname()[1]}/?token=hidden"
    result = run()
    assert (result.status, result.rows_pending, result.rows_planned) == ("incomplete", 10, 10)
    message = str(result.error)
    assert "connection.url" in message
    assert "models/audiences/_exposures.yml" in message
    assert "hidden" not in message
    assert run.rows("FROM sync_state") == []  # nothing was delivered, so nothing is unknown
    run.env["URL"] = address
    again = run()
    assert (again.is_resumed, again.rows_added) == (False, 10)
    assert_complete(run, receiver, 10)


@pytest.mark.parametrize(
    "script",
    [
        ["429", "429:0.05", "500", "500 after", "ok", "reset", "503"],
        ["reset"] * 3 + ["ok", "500 after", "429", "500 after", "ok", "ok", "reset"],
        ["rows", "429:0.1", "rows", "500", "reset", "rows", "rows", "rows", "rows", "rows"],
    ],
)
def test_many_troubles_at_once_lose_nothing_and_repeat_only_what_was_not_answered(
    run: Runner, warehouse: Warehouse, receiver: Receiver, script: list[str]
) -> None:
    for number in range(60):
        warehouse.add(f"c{number:02}")
    receiver.script = list(script)
    sync = run.sync(parallel=4, batch_rows=5)
    for _ in range(4):
        result = run(sync)
        if result.status == "succeeded":
            break
    assert (result.status, result.rows_added) == ("succeeded", 60)
    unanswered = sum(order not in {"ok", "rows"} for order in script)
    assert len(keys_of_repeats(receiver)) == unanswered
    assert run.rows("SELECT count(*) FROM sync_log WHERE status = 'ok'") == [(60,)]
    assert_complete(run, receiver, 60)


def test_an_interrupted_run_is_finished_without_planning_anything_new(
    run: Runner, ten: Warehouse, receiver: Receiver
) -> None:
    receiver.script = ["ok", "500 after", "500", "500", "401"]
    assert run().status == "incomplete"
    in_ledger = str(run.rows("SELECT payload FROM planned_rows"))
    assert "c2@example.com" in in_ledger  # in flight
    assert "c9@example.com" not in in_ledger  # only their keys are kept
    ten.add("c99")
    ten.people["c9"]["first_name"] = "Changed"
    ten.people["c8"]["consent"] = "withdrawn"
    resumed = run(resume=True)
    assert (resumed.status, resumed.is_resumed, resumed.rows_pending) == ("succeeded", True, 0)
    assert resumed.rows_added == 9
    assert "c99" not in receiver.members
    assert "c8" not in receiver.members
    # what is sent late is what is right by then
    assert receiver.members["c9"]["name"] == "Changed"
    nothing = run(resume=True)
    assert (nothing.status, nothing.requests, nothing.sync_run_id) == ("succeeded", 0, "")
    assert run().rows_added == 1


@pytest.mark.parametrize(("status", "key"), [("401", "secret"), ("404", "url"), ("301", "url")])
def test_what_a_person_must_change_stops_at_once(
    run: Runner, ten: Warehouse, receiver: Receiver, status: str, key: str
) -> None:
    receiver.script = ["ok", status]
    result = run()
    assert (result.status, result.rows_added, result.requests) == ("incomplete", 2, 2)
    assert f"connection.{key}" in str(result.error)
    assert run().rows_added == 8
    assert_complete(run, receiver, 10)


def test_refused_batch_is_halved_down_to_the_bad_row(
    run: Runner, ten: Warehouse, receiver: Receiver
) -> None:
    receiver.always, receiver.bad_keys = "picky", {"c3"}
    sync = run.sync(batch_rows=8)
    result = run(sync)
    assert (result.status, result.rows_added, result.rows_rejected) == ("succeeded", 9, 1)
    assert result.requests == len(receiver.requests) == 8  # 8, 4, 2, 1, 1, 2, 4 rows, and 2
    log = "SELECT row_key FROM sync_log WHERE http_status = 422"
    assert run.rows(log) == [("c3",)]
    assert len({request.key for request in receiver.requests}) == 8
    assert run.rows("SELECT row_key, reason FROM dead_letters") == [
        ("c3", "the destination answered 422")
    ]
    receiver.bad_keys = set()
    assert run(sync).rows_added == 1
    assert_complete(run, receiver, 10)


def test_one_bad_row_in_every_batch_of_a_multi_status(
    run: Runner, ten: Warehouse, receiver: Receiver
) -> None:
    receiver.always, receiver.bad_keys = "rows 207", {"c1", "c3", "c5", "c7", "c9"}
    result = run(run.sync(parallel=4))
    assert (result.status, result.rows_added, result.rows_rejected) == ("succeeded", 5, 5)
    log = "SELECT status, http_status, count(*) FROM sync_log GROUP BY ALL ORDER BY ALL"
    assert run.rows(log) == [("ok", 207, 5), ("rejected", 207, 5)]
    assert set(receiver.members) == {"c0", "c2", "c4", "c6", "c8"}


def test_values_of_every_type_reach_the_dead_letters(
    run: Runner, warehouse: Warehouse, receiver: Receiver
) -> None:
    warehouse.add("c1")
    path = warehouse.publish()
    with duckdb.connect(str(path)) as con:
        con.execute("""
            CREATE OR REPLACE TABLE audiences.aud_cart AS SELECT 'c1' AS customer_id,
                TIMESTAMP '2026-03-29 01:30:00.5' AS at, 1.50::DECIMAL(38,2) AS amount,
                [TIMESTAMP '2026-03-29 01:30:00', NULL] AS list, {'a': [1.50], 'b': NULL} AS struct,
                NULL::INTEGER AS nothing, repeat('🛒', 250000) AS long""")
    names = ("at", "amount", "list", "struct", "nothing", "long")
    receiver.always, receiver.bad_keys = "rows", {"c1"}
    receiver.complaint = lambda row: f"refused {row['fields']['at']}: {row['fields']['long']}"
    sync = run.sync(fields=tuple((name, name) for name in names))
    for attempts in (1, 2):
        assert run(sync).rows_rejected == 1
        ((reason, counted),) = run.rows("SELECT reason, attempts FROM dead_letters")
        assert counted == attempts
        assert reason.startswith("refused [value]: ")
        assert len(reason) <= 200
    receiver.bad_keys = set()
    assert run(sync).rows_added == 1
    assert receiver.members["c1"]["struct"] == {"a": [1.5], "b": None}


CHILD = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
sys.path.insert(0, {tests!r})
from conftest import Runner
from reverse_etl import engine
engine.run(
    Runner.sync(), published=Path({published!r}), ledger=Path({ledger!r}), run_id="killed",
    env=os.environ, now=datetime.now(UTC),
)
"""


@pytest.mark.parametrize("answered", [0, 1, 3])
def test_killed_in_the_middle_and_run_again(
    run: Runner, ten: Warehouse, receiver: Receiver, answered: int
) -> None:
    receiver.script, receiver.seconds = ["ok"] * answered + ["slow"], 5.0
    code = CHILD.format(
        tests=str(Path(__file__).parent), published=str(ten.publish()), ledger=str(run.ledger)
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | run.env | {"PYTHONPATH": str(Path(__file__).parents[2]), "SECONDS": "20"},
    ) as child:
        deadline = time.monotonic() + 30
        while len(receiver.requests) <= answered and time.monotonic() < deadline:
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.wait(timeout=10)
    assert len(receiver.requests) == answered + 1
    result = run()
    assert (result.status, result.is_resumed) == ("succeeded", True)
    # the run that was killed ends with the counts of an uninterrupted one
    assert (result.rows_planned, result.rows_added, result.rows_unchanged) == (10, 10, 0)
    assert keys_of_repeats(receiver) == [receiver.requests[answered].key]
    assert len(receiver.requests) == 6
    assert run.rows("SELECT count(*), count(DISTINCT row_key) FROM sync_log") == [(10, 10)]
    assert run.rows("SELECT count(*) FROM sync_runs") == [(1,)]
    assert run.rows("FROM planned_rows") == []
    assert_complete(run, receiver, 10)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_at_random_moments_with_several_batches_under_way(
    run: Runner, warehouse: Warehouse, receiver: Receiver, seed: int
) -> None:
    """The seed is in the test's name; a failure shows the moments as well."""
    for number in range(120):
        warehouse.add(f"c{number:03}", consent="granted" if number % 10 else "denied")
    receiver.always, receiver.seconds = "slow", 0.05
    code = CHILD.replace("Runner.sync()", "Runner.sync(parallel=4)").format(
        tests=str(Path(__file__).parent), published=str(warehouse.publish()), ledger=str(run.ledger)
    )
    moments = [random.Random(seed * 10 + kill).uniform(0.0, 0.9) for kill in range(2)]
    for moment in moments:
        sent = len(receiver.requests)
        with subprocess.Popen(
            [sys.executable, "-c", code],
            env=os.environ | run.env | {"PYTHONPATH": str(Path(__file__).parents[2])},
        ) as child:
            deadline = time.monotonic() + 30
            while len(receiver.requests) <= sent and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(moment)
            child.send_signal(signal.SIGKILL)
            child.wait(timeout=10)
        time.sleep(0.1)
    receiver.always = "ok"
    sync = run.sync(parallel=4)
    result = run(sync)
    assert result.status == "succeeded", moments
    # at most the four batches under way, of each kill, came twice, and they are the same
    repeats = keys_of_repeats(receiver)
    assert len(repeats) <= 4 * len(moments), moments
    bodies: dict[str, bytes] = {}
    for request in receiver.requests:
        assert bodies.setdefault(request.key, request.raw) == request.raw
    assert len(receiver.members) == 108
    assert result.is_resumed == (result.rows_added == 108) or result.sync_run_id == ""
    log = "SELECT count(*), count(DISTINCT row_key) FROM sync_log WHERE status = 'ok'"
    assert run.rows(log) == [(108, 108)], moments
    states = "SELECT count(*) FROM sync_state WHERE status = 'synced' AND is_held"
    assert run.rows(states) == [(108,)]
    totals = "SELECT sum(rows_added), sum(rows_suppressed), sum(rows_planned) FROM sync_runs"
    assert run.rows(totals) == [(108, 12, 120)], moments
    assert run.rows("FROM planned_rows") == []
    assert run(sync).requests == 0


def test_killed_before_anything_was_sent(run: Runner, ten: Warehouse, receiver: Receiver) -> None:
    with ledger.connect(run.ledger) as con:
        ledger.open_run(con, run.sync(), "killed", run.now.replace(tzinfo=None))
    result = run()
    assert (result.is_resumed, result.rows_added) == (True, 10)
    assert_complete(run, receiver, 10)


def test_rejected_before_a_kill_is_counted_once(
    run: Runner, ten: Warehouse, receiver: Receiver
) -> None:
    receiver.script, receiver.bad_keys = ["rows", "500", "500", "500"], {"c0"}
    assert run().rows_rejected == 1
    receiver.script = ["rows"] * 10
    result = run()
    assert (result.rows_planned, result.rows_rejected, result.rows_added) == (10, 1, 9)
    assert receiver.operations().count(("upsert", "c0")) == 1
    assert run().rows_rejected == 1  # the next run tries it again


def test_warehouse_can_be_written_while_a_sync_waits(
    run: Runner, ten: Warehouse, receiver: Receiver
) -> None:
    written: list[int] = []

    def publish_anew(done: int, total: int) -> None:
        code = f"import duckdb; duckdb.connect({str(ten.path)!r}).execute('CREATE TABLE x (i INT)')"
        if not written:
            done_process = subprocess.run([sys.executable, "-c", code], timeout=30, check=False)
            written.append(done_process.returncode)

    assert run(progress=publish_anew).rows_added == 10
    assert written == [0]


def test_busy_ledger_says_so(run: Runner, ten: Warehouse) -> None:
    code = (
        "import sys, duckdb; con = duckdb.connect(sys.argv[1]); print('open', flush=True);"
        " sys.stdin.read()"
    )
    run.ledger.parent.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(run.ledger)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(ledger.LedgerBusyError, match="open in another process"):
            run()
        holder.communicate("", timeout=10)
    with duckdb.connect(str(run.ledger)):
        pass
