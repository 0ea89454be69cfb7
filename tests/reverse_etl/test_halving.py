"""A receiver that meets one row with nothing but 500: the row is found, and everybody else arrives.

Requests are counted, since a receiver that answers 500 to everybody must not be asked without end.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reverse_etl.destinations.webhook import Webhook

if TYPE_CHECKING:
    from conftest import Receiver, Runner, Warehouse

IN_FLIGHT = "SELECT row_count FROM sync_batches WHERE status = 'sent' ORDER BY batch_number"
REFUSED = "SELECT row_key, reason, attempts, status FROM dead_letters ORDER BY row_key"
SAID = "the destination answered 500"


@pytest.fixture
def many(warehouse: Warehouse) -> Warehouse:
    for number in range(32):
        warehouse.add(f"c{number:02}")
    return warehouse


def assert_all_but(run: Runner, receiver: Receiver, refused: set[str], people: int = 32) -> None:
    """Ledger, log and receiver agree: all are there but those who were refused."""
    held = run.rows("SELECT row_key FROM sync_state WHERE status = 'synced' AND is_held")
    everybody = {f"c{number:02}" for number in range(people)}
    assert {key for (key,) in held} == everybody - refused
    assert everybody - refused <= set(receiver.members)
    assert {row[0] for row in run.rows(REFUSED)} == refused
    done = "SELECT row_key, count(*) FROM sync_log WHERE status = 'ok' GROUP BY ALL"
    assert dict(run.rows(done)) == dict.fromkeys(everybody - refused, 1)
    assert run.rows(IN_FLIGHT) == []
    assert run.rows("FROM planned_rows") == []
    bodies: dict[str, bytes] = {}
    for request in receiver.requests:
        assert bodies.setdefault(request.key, request.raw) == request.raw


@pytest.mark.parametrize("parallel", [1, 4])
@pytest.mark.parametrize("bad", ["c08", "c12", "c15"])
def test_a_row_in_one_of_several_batches(
    run: Runner, many: Warehouse, receiver: Receiver, bad: str, parallel: int
) -> None:
    receiver.always, receiver.poison = "poison", {bad}
    sync = run.sync(batch_rows=8, parallel=parallel)
    first = run(sync)
    assert (first.status, first.rows_added, first.rows_pending) == ("incomplete", 24, 8)
    sent = len(receiver.requests)
    second = run(sync)
    assert (second.status, second.rows_added, second.rows_rejected) == ("succeeded", 31, 1)
    assert (second.is_resumed, second.rows_pending) == (True, 0)
    # the batch three times under its own key, then two halves of 8, of 4 and of 2
    assert len(receiver.requests) - sent == 3 + 6
    assert second.requests == len(receiver.requests)
    assert run.rows(REFUSED) == [(bad, SAID, 1, "rejected")]
    log = f"SELECT status, reason, http_status, attempts FROM sync_log WHERE row_key = '{bad}'"
    assert run.rows(log) == [("rejected", "http_500", 500, 1)]
    assert_all_but(run, receiver, {bad})


def test_a_row_in_the_only_batch(run: Runner, many: Warehouse, receiver: Receiver) -> None:
    receiver.always, receiver.poison = "poison", {"c31"}
    sync = run.sync(batch_rows=32)
    assert run(sync).rows_pending == 32
    result = run(sync)
    assert (result.status, result.rows_added, result.rows_rejected) == ("succeeded", 31, 1)
    assert len(receiver.requests) == 3 + 3 + 10
    assert_all_but(run, receiver, {"c31"})


@pytest.mark.parametrize(
    "bad", [{"c03", "c20"}, {"c00", "c01"}, {"c00", "c09", "c18", "c31"}, {"c30", "c31"}]
)
def test_rows_in_different_halves(
    run: Runner, many: Warehouse, receiver: Receiver, bad: set[str]
) -> None:
    receiver.always, receiver.poison = "poison", bad
    sync = run.sync(batch_rows=32)
    assert run(sync).rows_pending == 32
    result = run(sync)
    assert (result.status, result.rows_rejected) == ("succeeded", len(bad))
    assert_all_but(run, receiver, bad)


def test_more_batches_than_end_a_run_have_a_bad_row_each(
    run: Runner, many: Warehouse, receiver: Receiver
) -> None:
    """Three batches in a row out of tries would end every run that begins with them."""
    bad = {"c01", "c05", "c09", "c13", "c17"}
    receiver.always, receiver.poison = "poison", bad
    sync = run.sync(batch_rows=4, parallel=4)
    for _ in range(4):
        result = run(sync)
        if result.status == "succeeded":
            break
    assert (result.status, result.rows_rejected) == ("succeeded", 5)
    assert_all_but(run, receiver, bad)


def test_bad_rows_alone_in_more_batches_than_end_a_run_keep_nobody_away(
    run: Runner, many: Warehouse, receiver: Receiver
) -> None:
    bad = {"c00", "c01", "c02", "c03"}
    receiver.always, receiver.poison = "poison", bad
    sync = run.sync(batch_rows=1)
    for _ in range(5):
        result = run(sync)
        if result.status == "succeeded":
            break
    assert (result.status, result.rows_rejected) == ("succeeded", 4)
    assert_all_but(run, receiver, bad)


def test_a_refused_row_is_tried_again_after_all_others_and_then_parked(
    run: Runner, many: Warehouse, receiver: Receiver
) -> None:
    receiver.always, receiver.poison = "poison", {"c05"}
    sync = run.sync(batch_rows=8, max_attempts=3)
    run(sync)
    assert run(sync).rows_rejected == 1
    # who comes beside it does not wait for another run, and the run is whole
    for number in range(32, 36):
        many.add(f"c{number}")
    third = run(sync)
    assert (third.status, third.rows_added, third.rows_rejected) == ("succeeded", 4, 1)
    assert run.rows(REFUSED) == [("c05", SAID, 2, "rejected")]
    for number in range(36, 38):
        many.add(f"c{number}")
    assert run(sync).status == "succeeded"
    assert run.rows(REFUSED) == [("c05", SAID, 3, "parked")]
    sent = len(receiver.requests)
    assert (run(sync).rows_rejected, len(receiver.requests)) == (1, sent)
    assert_all_but(run, receiver, {"c05"}, 38)
    many.people["c05"]["first_name"], receiver.poison = "Changed", set()
    assert run(sync).rows_updated == 1  # it may have been there
    assert receiver.members["c05"]["name"] == "Changed"
    assert run.rows(REFUSED) == []


def test_a_batch_of_one_row_ends_when_somebody_else_is_answered(
    run: Runner, many: Warehouse, receiver: Receiver
) -> None:
    receiver.always, receiver.poison = "poison", {"c31"}
    sync = run.sync(batch_rows=31)
    assert run(sync).rows_pending == 1
    # alone it may as well be the receiver's fault
    assert (run(sync).status, run.rows(REFUSED)) == ("incomplete", [])
    many.add("c32")
    result = run(sync)
    assert (result.status, result.rows_added, result.rows_rejected) == ("succeeded", 32, 1)
    assert_all_but(run, receiver, {"c31"}, 33)


def test_many_refused_rows_go_together_and_are_parked_one_by_one(
    run: Runner, many: Warehouse, receiver: Receiver
) -> None:
    """Rows that are tried again are neighbours, so more 500s follow one another than elsewhere."""
    bad = {f"c{number:02}" for number in range(0, 32, 2)}
    receiver.always, receiver.poison = "poison", bad
    sync = run.sync(batch_rows=4, max_attempts=3)
    for _ in range(6):
        run(sync)
        if {row[0] for row in run.rows(REFUSED)} == bad:
            break
    assert_all_but(run, receiver, bad)
    receiver.poison = bad - {"c10"}
    result = run(sync)
    assert (result.status, result.rows_rejected) == ("succeeded", 15)
    assert run(sync).status == "succeeded"
    assert {row[3] for row in run.rows(REFUSED)} == {"parked"}
    assert_all_but(run, receiver, bad - {"c10"})


@pytest.mark.parametrize("rows", [1, 2, 8, 32])
@pytest.mark.parametrize("trouble", ["500", "500 after"])
def test_500_to_everybody_ends_each_run_soon_and_leaves_the_batches_whole(
    run: Runner, many: Warehouse, receiver: Receiver, trouble: str, rows: int
) -> None:
    receiver.always = trouble
    sync = run.sync(batch_rows=rows)
    run(sync)
    before = run.rows(IN_FLIGHT)
    assert before == [(rows,)] * min(3, 32 // rows)
    for _ in range(4):
        sent = len(receiver.requests)
        result = run(sync)
        assert (result.status, result.rows_rejected, result.rows_pending) == ("incomplete", 0, 32)
        assert len(receiver.requests) - sent <= 9 + 10 + 3
        # one more tells each time that the receiver still answers nobody
        before += [(rows,)] * (sum(count for (count,) in before) < 32)
        assert run.rows(IN_FLIGHT) == before
        assert run.rows("FROM sync_log") == []
    receiver.always = "ok"
    result = run(sync)
    assert (result.status, result.rows_added) == ("succeeded", 32)
    assert_all_but(run, receiver, set())


def test_a_receiver_that_dies_during_the_search_refuses_nobody_more(
    run: Runner, many: Warehouse, receiver: Receiver
) -> None:
    receiver.always, receiver.poison = "poison", {"c20"}
    sync = run.sync(batch_rows=32)
    run(sync)
    # its first half is accepted, and nothing after
    receiver.script = ["500"] * 3 + ["ok"] + ["500"] * 30
    result = run(sync)
    assert (result.status, result.rows_added, result.rows_rejected) == ("incomplete", 16, 0)
    assert len(receiver.requests) <= 3 + 3 + 2 + 10
    # what was not answered is one batch again
    assert run.rows(IN_FLIGHT) == [(16,)]
    receiver.script = []
    result = run(sync)
    assert (result.status, result.rows_rejected) == ("succeeded", 1)
    assert_all_but(run, receiver, {"c20"})


@pytest.mark.parametrize("trouble", ["503", "429", "hang", "500:0.01"])
def test_other_trouble_speaks_of_the_receiver_and_halves_nothing(
    run: Runner, many: Warehouse, receiver: Receiver, trouble: str
) -> None:
    run.env["SECONDS"], receiver.seconds = "0.1", 0.2
    sync = run.sync(batch_rows=32)
    for script in (["500"] * 3, ["500", trouble, "500"], ["500", "500", trouble]):
        receiver.script = script
        assert run(sync).rows_pending == 32
        assert {len(request.body["rows"]) for request in receiver.requests} == {32}
    assert len({request.key for request in receiver.requests}) == 1
    assert run(sync).rows_added == 32


def test_who_is_refused_over_500_and_was_applied_is_removed_when_consent_goes(
    run: Runner, many: Warehouse, receiver: Receiver
) -> None:
    receiver.always, receiver.poison = "poison after", {"c05"}
    sync = run.sync(batch_rows=8)
    run(sync)
    assert run(sync).rows_rejected == 1
    assert "c05" in receiver.members
    assert run.rows("SELECT is_held FROM sync_state WHERE row_key = 'c05'") == [(True,)]
    many.people["c05"]["consent"], receiver.poison = "withdrawn", set()
    assert run(sync).rows_removed == 1
    assert "c05" not in receiver.members


@pytest.mark.parametrize("seed", range(8))
def test_whatever_else_goes_wrong_bad_rows_are_parked_and_all_others_arrive(
    run: Runner, many: Warehouse, receiver: Receiver, seed: int
) -> None:
    chance = random.Random(seed)
    bad = set(chance.sample(sorted(many.people), chance.choice([1, 2, 3, 5, 8])))
    receiver.always, receiver.poison = chance.choice(["poison", "poison after"]), bad
    sync = run.sync(
        batch_rows=chance.choice([1, 2, 5, 16, 64]), parallel=chance.choice([1, 4]), max_attempts=2
    )
    trouble = ["poison"] * 6 + ["503", "429", "500", "500 after", "reset", "422"]
    for number in range(32, 44):
        many.add(f"c{number}")
        if number < 36:
            receiver.script = [chance.choice(trouble) for _ in range(30)]
        else:
            receiver.script = []
        result = run(sync)
    assert (result.status, result.rows_rejected) == ("succeeded", len(bad))
    assert {row[3] for row in run.rows(REFUSED)} == {"parked"}
    assert_all_but(run, receiver, bad, 44)


CHILD = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
sys.path.insert(0, {tests!r})
from conftest import QUICK, Runner
from reverse_etl import engine
engine.run(
    Runner.sync(batch_rows=16), published=Path({published!r}), ledger=Path({ledger!r}),
    run_id="killed", env=os.environ, now=datetime.now(UTC), policy=QUICK,
)
"""


def kill_at(run: Runner, receiver: Receiver, answered: int) -> None:
    """Begin a run, and kill it while the request after so many is being answered."""
    receiver.script, receiver.seconds = ["poison"] * answered + ["slow"], 3.0
    sent = len(receiver.requests)
    code = CHILD.format(
        tests=str(Path(__file__).parent),
        published=str(run.warehouse.publish()),
        ledger=str(run.ledger),
    )
    environment = os.environ | run.env | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as child:
        deadline = time.monotonic() + 30
        while len(receiver.requests) <= sent + answered and time.monotonic() < deadline:
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.wait(timeout=10)
    assert len(receiver.requests) == sent + answered + 1


# after the batch (3 tries): both halves of 16, of 8, of 4 and of 2
@pytest.mark.parametrize("answered", [3, 4, 5, 6, 8, 9, 10])
def test_killed_in_the_middle_and_run_again(
    run: Runner, many: Warehouse, receiver: Receiver, answered: int
) -> None:
    receiver.always, receiver.poison = "poison", {"c21"}
    sync = run.sync(batch_rows=16)
    assert run(sync).rows_pending == 16
    kill_at(run, receiver, answered)
    # where the row is all that is left, it takes somebody else to tell that the receiver is there
    many.add("c32")
    for _ in range(3):
        result = run(sync)
        if result.status == "succeeded":
            break
    assert (result.status, result.rows_added, result.rows_rejected) == ("succeeded", 32, 1)
    assert result.rows_planned == 33
    assert_all_but(run, receiver, {"c21"}, 33)


def test_who_withdrew_while_the_search_was_interrupted_is_removed_and_not_repeated(
    run: Runner, many: Warehouse, receiver: Receiver
) -> None:
    receiver.always, receiver.poison = "poison after", {"c21"}
    sync = run.sync(batch_rows=16)
    run(sync)
    kill_at(run, receiver, 5)
    halves = run.rows(IN_FLIGHT)
    assert len(halves) > 1
    sent = len(receiver.requests)
    many.people["c22"]["consent"] = "withdrawn"
    for _ in range(3):
        result = run(sync)
    assert (result.status, result.rows_rejected) == ("succeeded", 1)
    later = [row for request in receiver.requests[sent:] for row in request.body["rows"]]
    assert ("upsert", "c22") not in {(row["operation"], row["key"]) for row in later}
    assert "c22" not in receiver.members
    assert run.rows("SELECT status FROM sync_state WHERE row_key = 'c22'") == [("suppressed",)]


@pytest.mark.parametrize("changes", [{"mode": "events"}, {"repeats_in_parts": False}])
def test_what_must_not_arrive_in_another_batch_is_repeated_whole(
    run: Runner,
    many: Warehouse,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
) -> None:
    if not changes.pop("repeats_in_parts", True):
        kept = {**vars(Webhook.capabilities), "repeats_in_parts": False}
        monkeypatch.setattr(Webhook, "capabilities", type(Webhook.capabilities)(**kept))
    receiver.always, receiver.poison = "poison", {"c05"}
    sync = run.sync(batch_rows=8, **changes)
    for _ in range(4):
        result = run(sync)
        assert (result.status, result.rows_added, result.rows_pending) == ("incomplete", 24, 8)
    whole = [r for r in receiver.requests if any(row["key"] == "c05" for row in r.body["rows"])]
    assert (len(whole), len({request.key for request in whole})) == (12, 1)
