"""What the first run leaves behind, counted by hand from the raw files."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import pytest
import yaml

from benchmarks.projects import ROOT

COMPANY = ROOT / "seeds" / "company"
AS_OF = datetime(2026, 7, 1)

pytestmark = pytest.mark.e2e


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).replace(tzinfo=None)


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    """The event log as a person would read it: good lines, each message once."""
    found = {}
    for line in (COMPANY / "web" / "events.ndjson").read_text(encoding="utf-8").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        found[event["messageId"]] = event
    return list(found.values())


@pytest.fixture(scope="module")
def truth() -> dict[str, tuple[str, set[str]]]:
    """The labels of the sources that are switched on."""
    project = yaml.safe_load((ROOT / "dbt_project" / "dbt_project.yml").read_text("utf-8"))
    switched_on = project["vars"]["sources"]
    with (COMPANY / "truth" / "contacts.csv").open(encoding="utf-8") as file:
        return {
            f"{row['source_system']}:{row['source_record_id']}": (
                row["person_id"],
                set(row["traps"].split()),
            )
            for row in csv.DictReader(file)
            if row["source_system"] in switched_on
        }


def test_the_first_run_is_complete(road: Any) -> None:
    assert road.first["status"] == "complete"
    assert road.first["left_out"] == []


def test_precision_and_recall_against_the_truth(road: Any, truth: dict[str, Any]) -> None:
    """Counted here from the crosswalk, and reported by the run itself."""
    ids = road.ids()
    assert truth.keys() <= ids.keys(), (
        "every labelled record was loaded under the id it is labelled with"
    )
    by_person, by_customer, by_both = (defaultdict[Any, int](int) for _ in range(3))
    for key, (person, _) in truth.items():
        by_person[person] += 1
        by_customer[ids[key]] += 1
        by_both[person, ids[key]] += 1
    true, said, right = (
        sum(n * (n - 1) // 2 for n in c.values()) for c in (by_person, by_customer, by_both)
    )
    precision, recall = right / said, right / true
    assert precision >= 0.98
    assert recall >= 0.93
    score = road.first["score"]
    assert score["precision"] == pytest.approx(precision)
    assert score["recall"] == pytest.approx(recall)


def mixed_by(trap: str, ids: dict[str, str], truth: dict[str, Any]) -> set[frozenset[str]]:
    """Sets of people whom one customer unites and who are all in this trap."""
    people_of: dict[str, set[str]] = defaultdict(set)
    for key, (person, traps) in truth.items():
        if trap in traps:
            people_of[ids[key]].add(person)
    return {frozenset(people) for people in people_of.values() if len(people) > 1}


def test_twins_and_people_who_share_a_contact_point_stay_apart(
    road: Any, truth: dict[str, Any]
) -> None:
    ids = road.ids()
    namesakes = mixed_by("jr_sr", ids, truth)
    for trap in (
        "twin",
        "shared_email",
        "shared_phone",
        "role_email",
        "placeholder",
        "kiosk_phone",
    ):
        assert mixed_by(trap, ids, truth) - namesakes == set(), trap
    # Father and son of one name at one address, where a record has neither suffix nor birth date.
    pairs = len({person for person, traps in truth.values() if "jr_sr" in traps}) / 2
    assert len(namesakes) <= 0.35 * pairs


def test_golden_customers_are_one_row_each(road: Any) -> None:
    count, distinct = road.query(
        "select count(*), count(distinct customer_id) from marts.golden_customers"
    )[0]
    assert count == distinct
    contacts = road.query(
        """
        select count(distinct customer_id) from identity.crosswalk
        where node_key in (select contact_key from canonical.contacts)
        """
    )
    assert contacts == [(count,)]


def test_every_node_is_in_the_crosswalk_once(
    road: Any, truth: dict[str, Any], events: list[dict[str, Any]]
) -> None:
    nodes = road.query("select node_key, count(*) from identity.crosswalk group by 1")
    assert all(times == 1 for _, times in nodes)
    visitors = {f"anon:{event['anonymousId']}" for event in events if event.get("anonymousId")}
    assert {key for key, _ in nodes} == truth.keys() | visitors


def test_loads_add_up_to_the_lines_of_the_files(road: Any) -> None:
    loads = {
        origin.rsplit("/", 1)[-1]: (read, loaded, duplicate, quarantined)
        for origin, read, loaded, duplicate, quarantined in road.query(
            "select origin, rows_read, rows_loaded, rows_duplicate, rows_quarantined from ops.loads"
        )
    }
    for read, loaded, duplicate, quarantined in loads.values():
        assert read == loaded + duplicate + quarantined
    lines = len((COMPANY / "web" / "events.ndjson").read_bytes().splitlines())
    assert loads["events.ndjson"][0] == lines
    orders = len(json.loads((COMPANY / "shop" / "orders.json").read_text(encoding="utf-8")))
    assert loads["orders.json"] == (orders, orders, 0, 0)
    for name in ("receipts_2026-04.csv.gz", "receipts_2026-05.csv.gz", "receipts_2026-06.csv.gz"):
        with gzip.open(COMPANY / "stores" / name, "rt", encoding="utf-8") as file:
            assert loads[name][0] == sum(1 for _ in file) - 1
            assert loads[name][3] == 1, "a malformed line in each month"


def test_every_canonical_table_that_the_sample_can_fill_has_rows(road: Any) -> None:
    tables = [
        table
        for (table,) in road.query(
            "select table_name from information_schema.tables where table_schema = 'canonical'"
        )
    ]
    assert {"products", "campaigns", "ad_spend_daily", "email_events", "calls"} <= set(tables)
    counts = {t: road.query(f'select count(*) from canonical."{t}"')[0][0] for t in tables}
    assert [t for t in tables if counts[t] == 0] == []
    with (COMPANY / "ads" / "search_ads.csv").open(encoding="utf-8") as file:
        cents = sum(
            round(100 * float(row["Cost"]))
            for row in csv.DictReader(file)
            if not row["Day"].startswith("Total")
        )
    assert road.query(
        "select (100 * sum(spend))::bigint from canonical.ad_spend_daily where platform = 'google_ads'"
    ) == [(cents,)]
    assert road.query(
        """
        select count(*) from canonical.support_tickets as t
        left join identity.crosswalk as x on x.node_key = t.contact_key where x.customer_id is null
        """
    ) == [(0,)]


def test_abandoned_carts_equal_a_count_by_hand(road: Any, events: list[dict[str, Any]]) -> None:
    activity = {"Product Added", "Product Removed", "Cart Viewed", "Checkout Started"}
    last: dict[str, datetime] = {}
    for event in events:
        cart = (event.get("properties") or {}).get("cart_id")
        if cart and event.get("event") in activity and moment(event["timestamp"]) <= AS_OF:
            last[cart] = max(last.get(cart, datetime.min), moment(event["timestamp"]))
    ordered: dict[str, list[datetime]] = defaultdict(list)
    for order in json.loads((COMPANY / "shop" / "orders.json").read_text(encoding="utf-8")):
        if order["cart_token"]:
            ordered[order["cart_token"]].append(moment(order["created_at"]))
    day = timedelta(hours=24)
    by_hand = {
        cart
        for cart, t in last.items()
        if t + day <= AS_OF and not any(t <= at < t + day for at in ordered[cart])
    }
    found = {
        cart
        for (cart,) in road.query("select cart_id from canonical.carts where status = 'abandoned'")
    }
    assert found == by_hand
    assert len(found) > 300

    # The audience: the known customers behind those carts, each once.
    golden = {
        customer for (customer,) in road.query("select customer_id from marts.golden_customers")
    }
    whose = road.owners(event for event in events if event.get("anonymousId"))
    owners = set()
    for event in events:
        if (event.get("properties") or {}).get("cart_id") in by_hand:
            owners.add(whose[event["messageId"]])
    members = {
        customer
        for (customer,) in road.query("select customer_id from audiences.aud_abandoned_cart")
    }
    assert members == owners & golden


def test_revenue_by_month_equals_a_sum_by_hand(road: Any) -> None:
    by_hand: dict[str, int] = defaultdict(int)
    for order in json.loads((COMPANY / "shop" / "orders.json").read_text(encoding="utf-8")):
        if order["status"] != "cancelled":
            cents = [
                int(order[name].replace(".", ""))
                for name in ("gross_amount", "discount_amount", "refund_amount")
            ]
            by_hand[order["created_at"][:7]] += cents[0] - cents[1] - cents[2]
    found = road.query(
        """
        select strftime(ordered_at, '%Y-%m'), (100 * sum(net_revenue))::bigint
        from canonical.orders where source_system = 'shop' group by 1
        """
    )
    assert dict(found) == dict(by_hand)


def test_nothing_was_sent_without_consent(road: Any) -> None:
    """The decision in force, by hand from the log: the newest over all addresses of a customer."""
    owners: dict[str, set[str]] = defaultdict(set)
    for customer, given in road.query(
        """
        select x.customer_id, i.identifier_value
        from canonical.identifiers as i join identity.crosswalk as x using (node_key)
        where i.identifier_type = 'email'
        """
    ):
        owners[given.strip().lower()].add(customer)
    newest: dict[str, tuple[str, str]] = {}
    with (COMPANY / "consents" / "consents.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if (row["identifier_type"], row["purpose"], row["channel"]) != (
                "email",
                "marketing",
                "email",
            ):
                continue
            for customer in owners[row["identifier"].strip().lower()]:
                newest[customer] = max(
                    newest.get(customer, ("", "")), (row["recorded_at"], row["status"])
                )
    sent = [
        key
        for (key,) in road.query(
            "select row_key from reverse_etl.sync_state where status = 'synced'"
        )
    ]
    assert len(sent) > 100
    assert [key for key in sent if newest.get(key, ("", "nothing"))[1] != "granted"] == []


def test_syncs_add_up_and_the_email_tool_holds_what_the_ledger_says(road: Any) -> None:
    runs = road.query(
        """
        select rows_planned = rows_added + rows_updated + rows_removed + rows_rejected + rows_invalid
            + rows_suppressed + rows_unchanged + rows_pending, status
        from reverse_etl.sync_runs
        """
    )
    assert runs == [(True, "succeeded")] * 3
    page = (road.home / "sample" / "email_tool" / "index.html").read_text(encoding="utf-8")
    held = road.query(
        "select count(*) from reverse_etl.sync_state where sync_name like '%email_tool' and is_held"
    )
    assert "abandoned_cart_to_email_tool" in page
    delivered = list((road.home / "sample" / "sftp" / "outbox").rglob("*.csv"))
    assert len(delivered) == 1
    with delivered[0].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    dropped = road.query(
        "select count(*) from reverse_etl.sync_state where sync_name = 'lapsed_high_value_to_agency' and is_held"
    )
    assert len(rows) == dropped[0][0]
    assert held[0][0] > 100


def test_a_second_run_does_nothing_and_changes_no_id(next_day: Any) -> None:
    before, ids = next_day.published(), next_day.ids()
    published = (next_day.home / "published" / "mainstem.duckdb").stat().st_mtime_ns
    second = next_day.run()
    assert (second["status"], second["changed"]) == ("complete", 0)
    assert next_day.ids() == ids
    assert next_day.published() == before
    assert (next_day.home / "published" / "mainstem.duckdb").stat().st_mtime_ns == published
    assert "Nothing new" in next_day.command("run").stdout


def test_the_command_line_reads_what_is_published(road: Any) -> None:
    status = json.loads(road.command("status", "--json").stdout)
    assert {load["table"] for load in status["loads"]} >= {
        "crm.contacts",
        "stores.receipts",
        "web.events",
    }
    assert status["audiences"]["aud_abandoned_cart"] > 0
    assert "aud_abandoned_cart" in road.command("status").stdout

    answer = road.command("sql", "--json", "select count(*) as n from marts.golden_customers")
    assert json.loads(answer.stdout) == [
        {"n": road.query("select count(*) from marts.golden_customers")[0][0]}
    ]
    wrong = road.command("sql", "select * from marts.golden_customer", check=False)
    assert wrong.returncode == 1
    assert "golden_customers" in wrong.stderr, "DuckDB's hint of the right name"

    customer = road.query(
        "select customer_id from marts.golden_customers where contact_count > 2 order by 1 limit 1"
    )[0][0]
    chain = json.loads(road.command("explain", "--json", customer).stdout)
    assert chain["customer_id"] == customer
    assert customer in road.command("explain", customer).stdout


def test_runs_are_in_dagsters_history(road: Any) -> None:
    import dagster as dg

    with road.dagster() as instance:
        runs = instance.get_runs()
        assert runs
        assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
        assert {run.job_name for run in runs} == {"mainstem"}
        latest = instance.get_latest_materialization_event(
            dg.AssetKey(["marts", "golden_customers"])
        )
        assert latest is not None
        assert latest.asset_materialization is not None
        rows = latest.asset_materialization.metadata["dagster/row_count"].value
    assert rows == road.query("select count(*) from marts.golden_customers")[0][0]
