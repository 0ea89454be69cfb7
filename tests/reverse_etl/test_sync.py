"""What a sync promises, seen from a receiver that keeps what it was sent."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from reverse_etl import engine, projection

if TYPE_CHECKING:
    from conftest import Receiver, Runner, Warehouse


@pytest.fixture
def three(warehouse: Warehouse) -> Warehouse:
    for name in ("c1", "c2", "c3"):
        warehouse.add(name)
    return warehouse


def test_first_run_adds_everyone_signed_in_batches(
    run: Runner, three: Warehouse, receiver: Receiver
) -> None:
    seen: list[tuple[int, int]] = []
    result = run(progress=lambda done, total: seen.append((done, total)))
    assert (result.status, result.rows_added, result.requests) == ("succeeded", 3, 2)
    assert receiver.members["c3"] == {"cart": 2.0, "email": "c3@example.com", "name": "Name2"}
    assert all(request.is_signed for request in receiver.requests)
    assert len({request.key for request in receiver.requests}) == 2
    assert seen == [(2, 3), (3, 3)]
    assert result.bytes_sent == sum(len(request.raw) for request in receiver.requests)


def test_second_run_sends_nothing(run: Runner, three: Warehouse, receiver: Receiver) -> None:
    run()
    before = len(receiver.requests)
    result = run()
    assert (result.rows_unchanged, result.requests, result.bytes_sent) == (3, 0, 0)
    assert len(receiver.requests) == before


def test_a_run_with_nothing_to_do_leaves_the_ledger_as_it_is(run: Runner, three: Warehouse) -> None:
    run()
    tables = ("sync_runs", "sync_state", "sync_log")
    before = [run.rows(f"FROM {table} ORDER BY ALL") for table in tables]
    assert run().sync_run_id == ""
    assert [run.rows(f"FROM {table} ORDER BY ALL") for table in tables] == before


def test_only_what_changed_is_sent_and_removals_go_first(
    run: Runner, three: Warehouse, receiver: Receiver
) -> None:
    run()
    receiver.requests.clear()
    three.people["c1"]["first_name"] = "Changed"
    three.people["c2"]["consent"] = "withdrawn"
    three.people["c3"]["in_audience"] = False
    three.add("c0")
    result = run()
    assert receiver.operations() == [
        ("remove", "c2"),
        ("remove", "c3"),
        ("upsert", "c1"),
        ("upsert", "c0"),
    ]
    assert (result.rows_added, result.rows_updated, result.rows_removed) == (1, 1, 2)
    assert set(receiver.members) == {"c0", "c1"}
    reasons = dict(run.rows("SELECT row_key, reason FROM sync_log WHERE operation = 'remove'"))
    assert reasons == {"c2": "no_consent", "c3": "left_audience"}


@pytest.mark.parametrize("consent", [None, "denied", "withdrawn"])
def test_without_consent_nobody_is_sent(
    run: Runner, warehouse: Warehouse, receiver: Receiver, consent: str | None
) -> None:
    warehouse.add("c1", consent=consent)
    result = run()
    assert (result.rows_suppressed, result.requests) == (1, 0)


def test_consent_of_another_channel_or_purpose_is_none(
    run: Runner, warehouse: Warehouse, receiver: Receiver
) -> None:
    warehouse.add("c1", consent="denied")  # conftest grants it ads, and analytics by email
    assert run(run.sync(channel="sms")).rows_suppressed == 1
    assert run().rows_suppressed == 1


def test_withdrawn_then_granted_again_comes_back(
    run: Runner, three: Warehouse, receiver: Receiver
) -> None:
    run()
    three.people["c1"]["consent"] = "withdrawn"
    run()
    assert "c1" not in receiver.members
    result = run()
    assert (result.rows_suppressed, result.requests) == (1, 0)
    three.people["c1"]["consent"] = "granted"
    assert run().rows_added == 1
    assert "c1" in receiver.members


def test_upsert_keeps_who_left_but_removes_who_withdrew(
    run: Runner, three: Warehouse, receiver: Receiver
) -> None:
    sync = run.sync(mode="upsert")
    run(sync)
    three.people["c1"]["in_audience"] = False
    three.people["c2"] |= {"in_audience": False, "consent": "withdrawn"}
    result = run(sync)
    assert (result.rows_removed, result.rows_unchanged) == (1, 1)
    assert set(receiver.members) == {"c1", "c3"}


def test_merged_customer_moves_to_the_id_that_stays(
    run: Runner, three: Warehouse, receiver: Receiver
) -> None:
    run()
    del three.people["c3"]
    three.merged.append(("c3", "c1"))
    result = run()
    assert (result.rows_removed, result.rows_unchanged) == (1, 2)
    assert ("c3", "merged") in run.rows("SELECT row_key, reason FROM sync_log")


def test_split_customer_is_two_and_who_came_and_went_is_nobody(
    run: Runner, three: Warehouse, receiver: Receiver
) -> None:
    run()
    three.add("c9", email="c1@example.com")  # what c1 has been split into
    three.people["c1"]["email"] = "other@example.com"
    three.add("c5")
    del three.people["c5"]  # entered and left between two runs
    result = run()
    assert (result.rows_added, result.rows_updated, result.rows_removed) == (1, 1, 0)
    assert {key: member["email"] for key, member in receiver.members.items()} == {
        "c1": "other@example.com",
        "c2": "c2@example.com",
        "c3": "c3@example.com",
        "c9": "c1@example.com",
    }


def test_merged_customers_go_when_who_they_became_withdrew(
    run: Runner, three: Warehouse, receiver: Receiver
) -> None:
    run()
    del three.people["c3"], three.people["c2"]
    three.merged += [("c3", "c2"), ("c2", "c1")]
    three.people["c1"]["consent"] = "withdrawn"
    assert run().rows_removed == 3
    assert receiver.members == {}
    reasons = run.rows("SELECT DISTINCT reason FROM sync_log WHERE operation = 'remove'")
    assert reasons == [("no_consent",)]


def test_shared_key_is_sent_once_and_a_merge_under_it_is_no_change(
    run: Runner, warehouse: Warehouse, receiver: Receiver
) -> None:
    sync = run.sync(row_key="email", fields=(("name", "first_name"),), mode="upsert")
    warehouse.add("c1", email="home@example.com", first_name="Ann")
    warehouse.add("c2", email="home@example.com", first_name="Ann")
    warehouse.add("c3", email=None)
    result = run(sync)
    assert (result.rows_added, result.rows_invalid) == (1, 2)
    assert set(receiver.members) == {"home@example.com"}
    del warehouse.people["c1"]
    warehouse.merged.append(("c1", "c2"))
    result = run(sync)
    assert (result.rows_unchanged, result.requests) == (1, 0)
    # the ledger followed the merge, so consent is asked of the customer there is
    warehouse.people["c2"]["in_audience"] = False
    assert run(sync).requests == 0


def test_required_field_makes_a_dead_letter_until_it_is_there(
    run: Runner, warehouse: Warehouse, receiver: Receiver
) -> None:
    sync = run.sync(required=("email",))
    warehouse.add("c1", email=" ")
    warehouse.add("c2")
    for _ in range(2):
        assert run(sync).rows_invalid == 1
    assert run.rows("SELECT row_key, reason FROM dead_letters") == [("c1", "missing_email")]
    assert len(run.rows("FROM sync_log WHERE status = 'invalid'")) == 1
    warehouse.people["c1"]["email"] = "c1@example.com"
    assert run(sync).rows_added == 1
    assert run.rows("FROM dead_letters") == []


def test_bad_row_rejects_only_itself_and_is_tried_again(
    run: Runner, three: Warehouse, receiver: Receiver
) -> None:
    receiver.script, receiver.bad_keys = ["rows", "rows", "rows"], {"c2"}
    result = run()
    assert (result.status, result.rows_added, result.rows_rejected) == ("succeeded", 2, 1)
    assert "dead_letters" in str(result.error)
    assert run().rows_rejected == 1
    assert run.rows("SELECT row_key, reason, attempts FROM dead_letters") == [("c2", "no good", 2)]
    receiver.bad_keys = set()
    assert run().rows_added == 1
    assert run.rows("SELECT attempts, status FROM sync_state WHERE row_key = 'c2'") == [
        (0, "synced")
    ]
    assert run.rows("FROM dead_letters") == []


def test_rejected_row_that_left_the_audience_is_no_dead_letter(
    run: Runner, three: Warehouse, receiver: Receiver
) -> None:
    receiver.script, receiver.bad_keys = ["rows"], {"c2"}
    run()
    three.people["c2"]["in_audience"] = False
    assert run().requests == 0
    assert run.rows("FROM dead_letters") == []


def test_personal_data_in_a_complaint_is_not_kept(
    run: Runner, three: Warehouse, receiver: Receiver
) -> None:
    three.people["c2"]["first_name"] = "Wilhelmina"
    receiver.script, receiver.bad_keys = ["rows"], {"c2"}
    receiver.complaint = lambda row: (
        f"{row['fields']['name'].upper()} <{row['fields']['email']}> at +49 30 123456 knows "
        f"x@y.org, see {row['key']}"
    )
    run()
    ((said,),) = run.rows("SELECT error FROM sync_log WHERE error IS NOT NULL")
    assert said == "[value] <[value]> at [number] knows [email], see c2"


def test_ledger_holds_no_payload_after_a_run(
    run: Runner, three: Warehouse, receiver: Receiver
) -> None:
    receiver.script, receiver.bad_keys = ["400"], {"c2"}
    run()
    tables = [name for (name,) in run.rows("SELECT table_name FROM duckdb_tables()")]
    everything = str([run.rows(f'FROM "{table}"') for table in tables])
    assert "c1" in everything
    for private in ("example.com", "Name0", "token=", receiver.url):
        assert private not in everything


def test_dry_run_counts_and_leaves_no_trace(
    run: Runner, three: Warehouse, receiver: Receiver
) -> None:
    result = run(dry_run=True)
    assert (result.rows_added, result.is_dry_run) == (3, True)
    assert not run.ledger.exists()
    run()
    three.people["c1"]["consent"] = "denied"
    before = run.rows("FROM sync_runs")
    assert run(dry_run=True).rows_removed == 1
    assert run.rows("FROM sync_runs") == before
    assert len(receiver.requests) == 2


def test_values_of_every_type_survive(
    run: Runner, receiver: Receiver, warehouse: Warehouse
) -> None:
    warehouse.add("c1")
    published = warehouse.publish()
    with duckdb.connect(str(published)) as con:
        con.execute("""
            CREATE OR REPLACE TABLE audiences.aud_cart AS SELECT 'c1' AS customer_id,
                TIMESTAMP '2026-03-29 01:30:00.5' AS at,
                TIMESTAMPTZ '2026-03-29 01:30:00+02' AS at_zone, DATE '2026-02-28' AS on_day,
                12345678901234567.80::DECIMAL(38,2) AS amount, [1, NULL] AS list,
                {'a': 'x"y', 'b': [1.50]} AS struct, NULL::INTEGER AS nothing, '🛒 "\\' AS text,
                'nan'::DOUBLE AS nan, '\\xAA'::BLOB AS bytes, true AS flag,
                repeat('€', 1000000) AS long""")
        names = [
            name
            for (name,) in con.execute(
                "SELECT column_name FROM duckdb_columns() WHERE table_name = 'aud_cart'"
            ).fetchall()
        ]
    sync = run.sync(fields=tuple((name, name) for name in names if name != "customer_id"))
    given: dict[str, Any] = {
        "published": published,
        "ledger": run.ledger,
        "env": run.env,
        "now": run.now,
    }
    assert engine.run(sync, run_id="a", **given).rows_added == 1
    assert b'"amount":12345678901234567.80' in receiver.requests[0].raw
    assert receiver.members["c1"] | {"long": len(receiver.members["c1"]["long"])} == {
        "at": "2026-03-29T01:30:00.500000Z",
        "at_zone": "2026-03-28T23:30:00.000000Z",
        "on_day": "2026-02-28",
        "amount": 12345678901234567.80,
        "list": [1, None],
        "struct": {"a": 'x"y', "b": [1.5]},
        "nothing": None,
        "text": '🛒 "\\',
        "nan": None,
        "bytes": "qg==",
        "flag": True,
        "long": 1_000_000,
    }
    reordered = run.sync(fields=sync.fields[::-1])
    assert engine.run(reordered, run_id="b", **given).rows_unchanged == 1


def test_unknown_column_and_missing_relation_fail_with_a_hint(
    run: Runner, three: Warehouse
) -> None:
    result = run(run.sync(fields=(("email", "emial"),)))
    assert result.status == "failed"
    assert "_exposures.yml" in str(result.error)
    assert "did you mean email?" in str(result.error)
    result = run(run.sync(audience_table="aud_gone"))
    assert "audiences.aud_gone" in str(result.error)


def test_missing_variable_blocks_and_says_which(run: Runner, three: Warehouse) -> None:
    run.env.pop("SECRET")
    result = run()
    assert result.status == "blocked"
    assert "connection.secret" in str(result.error)
    assert "SECRET" in str(result.error)


def test_another_destination_under_the_same_name_is_blocked(
    run: Runner, three: Warehouse, receiver: Receiver
) -> None:
    run()
    connection = {"host": "h", "username": "u", "known_hosts": "none", "path": "/p"}
    result = run(run.sync(destination="sftp_csv", connection=connection))
    assert result.status == "blocked"
    assert "webhook" in str(result.error)
    assert run().status == "succeeded"


def test_projection_shows_the_ledger_and_always_has_its_tables(
    run: Runner, three: Warehouse, receiver: Receiver
) -> None:
    columns = """SELECT table_name, column_name, data_type FROM duckdb_columns()
        WHERE schema_name = 'reverse_etl' ORDER BY ALL"""
    with duckdb.connect() as con:
        projection.write(con, run.ledger)
        before = con.execute(columns).fetchall()
        assert {name for name, _, _ in before} == {
            "sync_runs",
            "sync_state",
            "sync_log",
            "dead_letters",
        }
        receiver.script, receiver.bad_keys = ["rows"], {"c1"}
        run()
        projection.write(con, run.ledger)
        assert con.execute(columns).fetchall() == before
        counts = "SELECT rows_added, rows_rejected FROM reverse_etl.sync_runs"
        assert con.execute(counts).fetchall() == [(2, 1)]
        assert con.execute("SELECT row_key FROM reverse_etl.dead_letters").fetchall() == [("c1",)]
        assert con.execute("SELECT count(*) FROM reverse_etl.sync_log").fetchall() == [(3,)]
    assert run().rows_added == 1  # nothing is left attached or locked


def test_times_are_utc_and_go_on_from_now(run: Runner, three: Warehouse) -> None:
    run()
    ((started, finished),) = run.rows("SELECT started_at, finished_at FROM sync_runs")
    begun = run.now.replace(tzinfo=None)
    assert begun <= started <= finished <= begun + timedelta(minutes=1)
