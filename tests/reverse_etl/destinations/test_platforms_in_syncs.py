"""Whole syncs to the platforms that are sent hashed people: the engine, the ledger, a stand-in."""

import pytest
import test_google_customer_match
from conformance import Response, serve
from test_members import PLATFORMS, held

from reverse_etl.members import sha256


@pytest.fixture(params=sorted(PLATFORMS))
def synced(request, new_sync, monkeypatch):
    """A sync of the tests' audience to a platform, and the platform."""
    case = PLATFORMS[request.param]
    google = test_google_customer_match.google_customer_match
    monkeypatch.setattr(google, "ASK_AGAIN_SECONDS", 0.01)
    vendor = case.vendor()
    with serve(vendor) as address:
        monkeypatch.setattr(google.GoogleCustomerMatch, "token_address", f"{address}/token")
        connection = {**case.connection, "base_url": address}
        yield (
            new_sync(destination=case.id, fields=(("email", "email"),), connection=connection),
            vendor,
        )


def test_a_sync_leaves_nobody_behind_and_forgets_who_left(synced, run, warehouse):
    sync, vendor = synced
    for customer in ("stays", "changes", "leaves", "withdraws"):
        warehouse.add(customer)
    assert run(sync).rows_added == 4
    assert held(vendor) == {sha256(f"{who}@example.com") for who in warehouse.people}
    warehouse.people["changes"]["email"] = "changed@example.com"
    warehouse.people["leaves"]["in_audience"] = False
    warehouse.people["withdraws"]["consent"] = "withdrawn"
    result = run(sync)
    assert (result.rows_updated, result.rows_removed, result.rows_rejected) == (1, 2, 0)
    assert held(vendor) == {sha256("stays@example.com"), sha256("changed@example.com")}
    known = dict(run.rows("SELECT row_key, remote_id FROM sync_state"))
    assert not known["leaves"]
    assert not known["withdraws"]
    assert "@" not in str(known)
    asked = len(vendor.requests)
    assert run(sync).rows_unchanged == 2
    assert len(vendor.requests) == asked


def test_who_withdraws_while_their_batch_is_in_flight_is_taken_back(synced, run, warehouse):
    """Their email had changed, and nobody knows whether the platform has the old or the new one."""
    sync, vendor = synced
    warehouse.add("a")
    run(sync)
    warehouse.people["a"]["email"] = "new@example.com"
    vendor.after = [Response(500)] * 9
    assert run(sync).status == "incomplete"
    vendor.after = []
    warehouse.people["a"]["consent"] = "withdrawn"
    assert run(sync).rows_removed == 1
    assert vendor.people == []
