"""One sync by itself on the sample company, and why somebody is in it or is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

NAME = "abandoned_cart_to_email_tool"


def test_a_sync_by_itself_is_published_and_checked(next_day: Any) -> None:
    before = next_day.query("select count(*) from reverse_etl.sync_runs")[0][0]
    preview = json.loads(next_day.command("sync", NAME, "--dry-run", "--full", "--json").stdout)
    done = json.loads(next_day.command("sync", NAME, "--full", "--json").stdout)
    assert (done["status"], list(done["syncs"])) == ("complete", [NAME])
    result = done["syncs"][NAME]
    assert result["rows_updated"] == preview["counts"]["update"] > 0
    assert result["rows_suppressed"] == preview["counts"]["suppressed"]
    assert next_day.query("select count(*) from reverse_etl.sync_runs") == [(before + 1,)]
    with next_day.dagster() as instance:
        evaluated = {
            entry.dagster_event.asset_check_evaluation_data.check_name: (
                entry.dagster_event.asset_check_evaluation_data.passed
            )
            for entry in instance.all_logs(done["run_id"])
            if entry.dagster_event
            and entry.dagster_event.event_type_value == "ASSET_CHECK_EVALUATION"
        }
    assert evaluated == dict.fromkeys(
        ("delivered", "rejected_share", "fresh", "parity", "no_consent_leaks"), True
    )
    again = json.loads(next_day.command("sync", NAME, "--json").stdout)
    assert again["syncs"][NAME]["requests"] == 0


def test_everybody_in_an_audience_is_there_or_the_trace_says_why(road: Any) -> None:
    """For some of each kind, the first missing step is the one that the tables say."""
    some = road.query(
        """
        with told as (
            select a.customer_id,
                case
                    when a.customer_id not in (
                        select customer_id from marts.customer_consents
                        where purpose = 'marketing' and channel = 'email' and status = 'granted')
                        then 'consent'
                    when a.customer_id in (
                        select unit_id from canonical.experiment_assignments
                        where variant = 'control') then 'experiment'
                end as missing_at
            from audiences.aud_abandoned_cart as a
        )
        select * from told qualify row_number() over (partition by missing_at order by customer_id) = 1
        """
    )
    assert {missing for _, missing in some} == {None, "consent", "experiment"}
    for customer, missing in some:
        found = json.loads(road.command("trace", customer, NAME, "--json").stdout)
        assert (found["first_missing"], found["is_there"]) == (missing, missing is None)
