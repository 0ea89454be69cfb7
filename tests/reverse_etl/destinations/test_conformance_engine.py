"""Each destination under the engine: consent, changes, leaving, refusals and a vendor in trouble end
with the right people at the vendor, and with a ledger that says so."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from conformance import Case, Response, Vendor, serve
from test_conformance import CASES

from reverse_etl import destinations, engine
from reverse_etl.declarations import Sync
from reverse_etl.destination import Batch, BatchAnswer, Job
from reverse_etl.engine import SyncResult
from reverse_etl.http import HttpDestination
from reverse_etl.patience import RetryPolicy

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Found:
    """What the engine finds under a destination's name: the type as the case makes it."""

    def __init__(self, case: Case, address: str) -> None:
        self.case, self.address = case, address
        self.capabilities = case.destination(address).capabilities

    def __call__(self, connection: Mapping[str, str]) -> HttpDestination:
        made = self.case.destination(self.address)
        send = made.send

        def send_and_ask_soon(batch: Batch) -> BatchAnswer | Job:
            answer = send(batch)
            return replace(answer, after_seconds=0.01) if isinstance(answer, Job) else answer

        made.send = send_and_ask_soon
        return made


class Shop:
    """A published file with people, a ledger, and one sync of them all."""

    def __init__(self, case: Case, address: str, folder: Path) -> None:
        self.case, self.folder, self.runs = case, folder, 0
        self.people = {n: case.person(n) for n in range(8)}
        self.denied: set[int] = set()
        made = case.destination(address)
        fields = tuple((name, name) for name in case.person(0))
        self.sync = Sync(
            name="audience_to_vendor",
            path="models/syncs.yml",
            destination=type(made).__module__.rpartition(".")[2],
            channel="email",
            audience_id="aud_all",
            audience_schema="audiences",
            audience_table="aud_all",
            consent_purpose="marketing",
            row_key="the_key",
            fields=fields,
            required=(),
            mode="mirror",
            batch_rows=min(3, made.capabilities.max_rows),
            connection={},
        )

    def publish(self) -> Path:
        path = self.folder / f"published_{self.runs}.duckdb"
        rows = [
            {"customer_id": f"c{n}", "the_key": self.case.key(n)} | fields
            for n, fields in self.people.items()
        ]
        consents = [
            {
                "customer_id": f"c{n}",
                "purpose": "marketing",
                "channel": "email",
                "status": "withdrawn" if n in self.denied else "granted",
            }
            for n in range(20)
        ]
        golden = [{"customer_id": f"c{n}"} for n in self.people]
        with duckdb.connect(str(path)) as con:
            for schema in ("audiences", "marts", "identity", "canonical"):
                con.execute(f"CREATE SCHEMA {schema}")
            for name, table in (
                ("audiences.aud_all", rows),
                ("marts.golden_customers", golden),
                ("marts.customer_consents", consents),
            ):
                con.register("given", pa.Table.from_pylist(table))
                con.execute(f"CREATE TABLE {name} AS FROM given")
            con.execute(
                "CREATE TABLE identity.history"
                " (event VARCHAR, from_customer_id VARCHAR, to_customer_id VARCHAR);"
                "CREATE TABLE audiences.definitions (audience_id VARCHAR, experiment_id VARCHAR);"
                "CREATE TABLE canonical.experiments"
                " (experiment_id VARCHAR, kind VARCHAR, is_running BOOLEAN);"
                "CREATE TABLE canonical.experiment_assignments"
                " (experiment_id VARCHAR, unit_id VARCHAR, variant VARCHAR)"
            )
        return path

    def run(self) -> SyncResult:
        self.runs += 1
        return engine.run(
            self.sync,
            published=self.publish(),
            ledger=self.folder / "ledger.duckdb",
            run_id=f"run_{self.runs}",
            env={},
            now=NOW,
            accept=True,
            policy=RetryPolicy(tries=4, first_wait=0.01, longest_wait=1.0),
        )

    def expected(self, without: Set[int] = frozenset()) -> dict[str, dict[str, Any]]:
        gone = self.denied | without
        return self.case.expected({n: one for n, one in self.people.items() if n not in gone})


def module_of(case: Case) -> str:
    return type(case.destination()).__module__


# one case a destination type: what its `connection` may say makes no difference to the engine
ONE_EACH = {module_of(case): case for case in reversed(CASES) if case.holds}


@pytest.fixture(params=ONE_EACH.values(), ids=lambda case: str(case.id))
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture
def vendor(case: Case) -> Vendor:
    return case.vendor()


@pytest.fixture
def shop(
    case: Case, vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shop]:
    with serve(vendor) as address:
        monkeypatch.setattr(destinations, "find", lambda name: Found(case, address))
        yield Shop(case, address, tmp_path)


def test_people_come_change_withdraw_and_leave(shop: Shop, case: Case, vendor: Vendor) -> None:
    right = shop.people[4]
    if case.bad is not None:
        shop.people[4] = right | case.bad
    result = shop.run()
    refused = 0 if case.bad is None else 1
    assert (result.rows_added, result.rows_rejected) == (8 - refused, refused), result
    assert vendor.members() == shop.expected(without={4} if refused else set())
    shop.denied = {2, 5}
    shop.people[1] = shop.people[1] | case.change
    shop.people[4] = right
    shop.people[9] = case.person(9)
    del shop.people[3]
    result = shop.run()
    removed = 3 if case.destination().capabilities.removal else 0
    counts = (result.rows_added, result.rows_updated, result.rows_removed)
    assert counts == (1 + refused, 1, removed), result
    if not removed:
        return
    assert vendor.members() == shop.expected()
    shop.denied = {5}
    shop.people[3] = case.person(3)
    assert shop.run().rows_added == 2
    assert vendor.members() == shop.expected()


def test_trouble_on_the_way_loses_nobody(shop: Shop, case: Case, vendor: Vendor) -> None:
    vendor.script = [Response(503), Response(429), Response(500)]
    vendor.after = [Response(500), Response(502)]
    while shop.run().status != "succeeded":
        assert shop.runs < 5
    assert vendor.members() == shop.expected()
    if not case.destination().capabilities.removal:
        return
    vendor.after = [Response(500)] * 3
    shop.people = {0: case.person(0)}
    while shop.run().status != "succeeded":
        assert shop.runs < 9
    assert vendor.members() == shop.expected()
