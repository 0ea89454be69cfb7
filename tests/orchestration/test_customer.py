"""One customer on a page, out of a small published file made by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from identity.explain import NotFoundError
from orchestration import customer

ROOT = Path(__file__).resolve().parents[2]

# ann has a record in the shop and one in the CRM, and a browser that bob has used, too.
PUBLISHED = """
    create schema canonical; create schema identity; create schema marts; create schema audiences;
    create schema reverse_etl;
    create table identity.crosswalk as from (values
        ('shop:1', 'cus_ann'), ('crm:1', 'cus_ann'), ('anon:tablet', 'cus_ann'),
        ('shop:2', 'cus_bob'), ('anon:stranger', 'cus_anon')
    ) as t(node_key, customer_id);
    create table identity.resolve_forward as from (values
        ('cus_ann', 'cus_ann'), ('cus_old', 'cus_ann'), ('cus_bob', 'cus_bob'), ('cus_gone', null),
        ('cus_anon', 'cus_anon')
    ) as t(customer_id, current_customer_id);
    create table identity.identifiers as from (values
        ('shop:1', 'email', 'ann@example.com', 'Ann@example.com', true, false, null),
        ('crm:1', 'email', 'old@example.com', 'old@example.com', false, false, null),
        ('crm:1', 'phone', '+15550100', '555-0100', false, true, 'placeholder'),
        ('shop:1', 'phone', '+4940669693', '040 669693', false, false, null),
        ('shop:1', 'user_id', '1', '1', true, false, null),
        ('shop:2', 'user_id', '2', '2', true, false, null)
    ) as t(node_key, identifier_type, identifier_value, given_value, is_verified, is_blocked, blocked_reason);
    create table canonical.contacts as from (values
        ('shop:1', 'shop', 'Ann', 'Ann@example.com', '040 669693', timestamp '2026-03-01', false),
        ('crm:1', 'crm', 'Anna', 'old@example.com', '555-0100', timestamp '2026-02-01', false)
    ) as t(contact_key, source_system, first_name, email, phone, updated_at, is_deleted);
    create table marts.golden_customers as from (values
        ('cus_ann', 'Ann', 'shop', timestamp '2026-03-01', 'Ann@example.com', 'shop',
            timestamp '2026-03-01', '040 669693', 'shop', timestamp '2026-03-01'),
        ('cus_bob', 'Bob', 'shop', null, null, null, null, null, null, null)
    ) as t(customer_id, first_name, first_name_source, first_name_updated_at, email, email_source,
        email_updated_at, phone, phone_source, phone_updated_at);
    create table marts.customer_identifiers as
        select distinct customer_id, identifier_type, identifier_value, is_verified
        from identity.identifiers join identity.crosswalk using (node_key) where not is_blocked;
    create table marts.customer_360 as select 'cus_ann' as customer_id, 1 as order_count;
    create table marts.customer_consents as
        select 'cus_ann' as customer_id, 'marketing' as purpose, 'email' as channel,
            'granted' as status, timestamp '2026-01-01' as consented_at;
    create table canonical.email_events as from (values
        ('m1', 'old@example.com', 'bounce', timestamp '2026-02-02', false, null),
        ('m2', 'ANN@example.com', 'open', timestamp '2026-03-05', true, null)
    ) as t(email_event_id, email, event_type, event_at, is_machine_open, campaign_id);
    create table canonical.campaigns as select null::varchar as campaign_id, null::varchar as campaign_name
        where false;
    create table canonical.events as from (values
        ('e1', 'page', 'Home', 'tablet', null, timestamp '2026-03-02'),
        ('e2', 'track', 'Product Viewed', 'tablet', '2', timestamp '2026-03-03'),
        ('e3', 'track', 'Product Added', 'phone', '1', timestamp '2026-03-04')
    ) as t(event_id, event_type, event_name, anonymous_id, user_id, event_at);
    alter table canonical.events add column product_id varchar;
    alter table canonical.events add column page_url varchar;
    create table canonical.orders as from (values
        ('o1', 'shop:1', null, timestamp '2026-03-06', 'paid', 'online', 10.00, 0.00, 10.00, 'EUR'),
        ('o2', 'shop:2', 'desk', timestamp '2026-03-06', 'paid', 'online', 99.00, 0.00, 99.00, 'EUR')
    ) as t(order_id, contact_key, anonymous_id, ordered_at, status, channel, gross_amount, refund_amount,
        net_revenue, currency);
    create table canonical.calls as from (values
        ('c1', '040/669 693', timestamp '2026-03-07', 'answered', 30),
        ('c2', '669693', timestamp '2026-03-07', 'answered', 30)
    ) as t(call_id, phone, started_at, outcome, duration_seconds);
    create table audiences.aud_buyers as select 'cus_ann' as customer_id;
    create table audiences.aud_others as select 'cus_bob' as customer_id;
    create table reverse_etl.sync_runs as
        select 'mail' as sync_name, 'webhook' as destination, timestamp '2026-03-01' as started_at;
    create table reverse_etl.sync_state as
        select 'mail' as sync_name, 'cus_ann' as row_key, 'cus_ann' as customer_id, 'synced' as status,
            true as is_held, null::varchar as remote_id, timestamp '2026-03-01' as synced_at,
            null::varchar as last_error_code;
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("home") / "published" / "mainstem.duckdb"
    path.parent.mkdir()
    with duckdb.connect(str(path)) as con:
        con.execute(PUBLISHED)
    return path


def read(published: Path, what: str, limit: int = 20) -> customer.Customer:
    with duckdb.connect(str(published), read_only=True) as con:
        return customer.read(con, what, limit=limit)


def test_attributes_say_where_they_are_from_and_why_others_lost(published: Path) -> None:
    found = {attribute.name: attribute for attribute in read(published, "cus_ann").attributes}
    assert (found["first_name"].value, found["first_name"].source) == ("Ann", "shop")
    losers = {
        name: [(other.value, other.contact_key, other.reason) for other in attribute.others]
        for name, attribute in found.items()
    }
    assert losers == {
        "first_name": [("Anna", "crm:1", "shop was preferred")],
        "email": [("old@example.com", "crm:1", "mail to it bounced")],
        "phone": [("555-0100", "crm:1", "blocked: placeholder")],
    }


def test_the_timeline_is_theirs_and_newest_first(published: Path) -> None:
    """Not what bob did on the shared browser, nor his order; a call in another spelling; a number too
    short to be one is nobody's."""
    found = read(published, "cus_ann")
    assert [entry.row for entry in found.timeline] == [
        "calls:c1",
        "orders:o1",
        "email_events:m2",
        "events:e3",
        "events:e1",
        "email_events:m1",
    ]
    assert "mail program" in found.timeline[2].what
    newest = read(published, "cus_ann", limit=2)
    assert [entry.kind for entry in newest.timeline] == ["call", "order"]
    assert newest.timeline_entries == 6


@pytest.mark.parametrize(
    "what", ["cus_ann", "cus_old", "crm:1", "ann@example.com", "+49 40 669693", "ANN@EXAMPLE.COM"]
)
def test_anything_leads_to_the_customer(published: Path, what: str) -> None:
    found = read(published, what)
    assert found.customer_id == "cus_ann"
    assert found.retired_id == ("cus_old" if what == "cus_old" else None)


@pytest.mark.parametrize(
    ("what", "words"),
    [("cus_gone", "nothing is known"), ("anon:stranger", "a visitor whom no contact record names")],
)
def test_what_leads_to_no_customer_says_so(published: Path, what: str, words: str) -> None:
    with pytest.raises(NotFoundError, match=words):
        read(published, what)


def test_audiences_consents_and_destinations(published: Path) -> None:
    found = read(published, "cus_ann")
    assert [row["audience_id"] for row in found.audiences] == ["aud_buyers"]
    assert [(row["purpose"], row["status"]) for row in found.consents] == [("marketing", "granted")]
    assert [(row["destination"], row["is_held"]) for row in found.destinations] == [
        ("webhook", True)
    ]


def test_the_command_imports_neither_dagster_nor_dbt(published: Path) -> None:
    code = (
        "import sys; from orchestration.cli import main\n"
        "try: main()\n"
        "finally: print([m for m in ('dagster', 'dbt', 'pandas') if m in sys.modules], file=sys.stderr)"
    )
    variables = {"MAINSTEM_PROJECT": str(ROOT), "MAINSTEM_HOME": str(published.parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code, "customer", "cus_ann", "--json"],
        env={**os.environ, **variables, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "[]"
    assert json.loads(done.stdout)["customer_id"] == "cus_ann"
