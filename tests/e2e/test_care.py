"""What an unlucky day must not do: hang, leak, publish the past, or stop the good rows."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.e2e


def test_an_unlucky_day(next_day: Any) -> None:
    """One project, day after day: each day something is wrong, and each day it is dealt with."""
    project, company = next_day.project, next_day.project / "seeds" / "company"
    models = project / "dbt_project" / "models"

    # Day 1: rubbish inside JSON, and words nobody knows; the good rows go on, the value stays out of sight.
    log = company / "web" / "events.ndjson"
    lines = log.read_text(encoding="utf-8").splitlines()
    at = next(n for n, line in enumerate(lines) if '"Product Added"' in line)
    event = json.loads(lines[at])
    event["properties"]["quantity"] = "jane.doe@secret.example"
    lines[at] = json.dumps(event)
    log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    consents = company / "consents" / "consents.csv"
    text = consents.read_text(encoding="utf-8")
    consents.write_text(
        text.replace(",granted,", ",Granted,", 1).replace(",withdrawn,", ",gone fishing,", 1),
        encoding="utf-8",
    )
    first = next_day.run()
    assert first["status"] == "complete"
    assert (
        next_day.query("select count(*) from canonical.consents where status = 'granted'")[0][0]
        > 1_000
    )
    assert next_day.query(
        "select count(*) from canonical.consents where status not in ('granted', 'denied', 'withdrawn')"
    ) == [(0,)]
    for path in (next_day.home / "dagster").rglob("*"):
        if path.is_file():
            assert b"jane.doe@secret.example" not in path.read_bytes(), path.name

    # Day 2: the consents cannot be read, an audience and its sync are gone. Nothing is sent on old consent.
    consents.write_bytes(b"\x00\x01" * 5_000)
    for path in models.glob("audiences/aud_new_customers_7d.*"):
        path.unlink()
    syncs = models / "syncs" / "_syncs.yml"
    declared = syncs.read_text(encoding="utf-8")
    start = declared.index("  - name: new_customers_to_email_tool")
    end = declared.index("  - name: lapsed_high_value_to_agency")
    syncs.write_text(declared[:start] + declared[end:], encoding="utf-8")
    before = next_day.query("select count(*) from reverse_etl.sync_log")
    second = next_day.run(expect=3)
    left_out = "\n".join(second["left_out"])
    assert "abandoned_cart_to_email_tool: held back: consents.consents" in left_out
    assert "new_customers_to_email_tool is declared no more" in left_out
    assert next_day.query("select count(*) from reverse_etl.sync_log") == before
    tables = {
        name
        for (name,) in next_day.query(
            "select table_name from information_schema.tables where table_schema = 'audiences'"
        )
    }
    assert {"aud_abandoned_cart", "aud_lapsed_high_value"} <= tables
    assert "aud_new_customers_7d" not in tables
    gone = "audience_id = 'aud_new_customers_7d'"
    assert next_day.query(f"select count(*) from audiences.membership where {gone}") == [(0,)]
    assert next_day.query(
        f"select count(*) > 100, bool_and(not is_member) from (from audiences.membership_history"
        f" where {gone} qualify row_number() over (partition by customer_id order by changed_at desc) = 1)"
    ) == [(True, True)]

    # Day 3: a run of the UI was killed while it held a slot; settings with a slip are named by line.
    import dagster as dg

    with next_day.dagster() as instance:
        instance.event_log_storage.set_concurrency_slots("warehouse", 1)
        dead = instance.create_run_for_job(
            dg.GraphDefinition(name="ui").to_job(), status=dg.DagsterRunStatus.STARTED
        )
        slots = instance.event_log_storage
        assert slots.claim_concurrency_slot("warehouse", dead.run_id, "load").is_claimed
        assert not slots.claim_concurrency_slot("warehouse", dead.run_id, "next").is_claimed
        slots.free_concurrency_slot_for_step(dead.run_id, "load")
        (promised,) = slots.get_concurrency_info("warehouse").pending_steps
        assert promised.assigned_timestamp, "killed between being promised the slot and taking it"
    consents.write_text(text, encoding="utf-8")
    syncs.write_text(declared[:start] + declared[end:], encoding="utf-8")
    third = next_day.run(expect=3)
    assert [line.split(" is ")[0] for line in third["left_out"]] == [
        "sync new_customers_to_email_tool"
    ]
    settings = project / "dbt_project" / "dbt_project.yml"
    settings.write_text(
        settings.read_text(encoding="utf-8").replace("[contacts]", "[contacts", 1), encoding="utf-8"
    )
    done = next_day.command("run", check=False)
    assert done.returncode == 1
    assert "dbt_project.yml:" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_a_project_without_sources_says_what_comes_next(elsewhere: Any, tmp_path: Any) -> None:
    elsewhere.command("init", str(tmp_path / "own"))
    elsewhere.project, elsewhere.home = tmp_path / "own", tmp_path / "own" / "data"
    assert elsewhere.run()["status"] == "complete"
    assert elsewhere.query("select count(*) from marts.golden_customers") == [(0,)]
