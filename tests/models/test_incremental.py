"""Incremental models give what a full build gives, whatever came, late or again, and whatever went."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from benchmarks import builds, company
from ingestion import declarations, stored
from ingestion.sql import stored_table
from orchestration import warehouse
from orchestration.home import Home
from orchestration.project import Project

SIZE = company.Size(customers=60, events=2_000, orders=150)
APART = ("aud_", "ad_", "calls", "offline", "device_events", "loyalty", "days", "experiments")


class Shop:
    """A small company over the sample's sources: built as things change, and built anew."""

    def __init__(self, models: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = Home(root=models.root, data=folder / "followed")
        self.anew = Home(root=models.root, data=folder / "anew")
        self.monkeypatch = monkeypatch
        for home in (self.home, self.anew):  # parsing once is enough
            shutil.copytree(models.home.dbt_target, home.dbt_target)
        self.project, self.project_anew = Project(self.home), Project(self.anew)
        self.all = {
            node["name"]: node["config"]["materialized"]
            for node in models.project.manifest["nodes"].values()
            if node["resource_type"] == "model" and not node["name"].startswith(APART)
        }
        # Staging is views over raw tables: built once.
        self.followed = [name for name in self.all if not name.startswith("stg_")]
        self.tables = declarations.read(self.home.staging).tables
        with self.open() as con:
            company.Company(con, list(self.tables), SIZE).begin()

    @contextmanager
    def open(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with warehouse.connect(self.home.warehouse) as con:
            yield con

    def execute(self, sql: str, *, delivery_of: str = "") -> None:
        """Change raw rows: `{web.events}` is the stored table, $new the number of a new delivery."""
        names = {f"{{{t.source}.{t.name}}}": t for t in self.tables}
        with self.open() as con:
            if delivery_of:
                table = names[f"{{{delivery_of}}}"]
                found = con.execute("select count(*) from ingestion.deliveries").fetchall()[0][0]
                moment = company.FIRST_DAY.replace(year=2026, month=7, minute=found % 60)
                label = f"delivery {found}"
                new = stored.book(con, table, stored.Delivery(label, label, moment)).number
                sql = sql.replace("$new", str(new))
            for name, table in names.items():
                sql = sql.replace(name, stored_table(table))
            con.execute(sql)

    def build(self, as_of: str, *, merged: int | None = 0) -> None:
        """Take in what changed."""
        self.monkeypatch.setenv("MAINSTEM_AS_OF", f"{as_of} 00:00:00")
        builds.build(self.project, SIZE, merged=merged, only=self.followed)

    def compare(self) -> None:
        """With everything built anew from the same raw rows."""
        shutil.rmtree(self.anew.warehouse.parent, ignore_errors=True)
        shutil.copytree(self.home.warehouse.parent, self.anew.warehouse.parent)
        builds.build(self.project_anew, SIZE, merged=None, anew=True, only=self.followed)
        assert builds.differences(self.home.warehouse, self.anew.warehouse) == []

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.open() as con:
            return con.execute(sql).fetchall()


def test_incremental_is_full(models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(models, tmp_path, monkeypatch)
    builds.build(shop.project, SIZE, merged=0, only=list(shop.all))
    assert shop.query("select count(*) from intermediate.int_event_changes") == [(0,)]

    # A day comes, with late visits, messages that come again, refunds, moved customers, merges.
    with shop.open() as con:
        company.Company(con, list(shop.tables), SIZE).add_day(0.05)
    # A late event in the middle of everything, between two of a visitor; one that joins two visits.
    shop.execute(
        """
        insert into {web.events} by name
        select 'late' || row_number() over () as messageId, 'page' as type, anonymousId,
            "timestamp" + interval 25 minute as "timestamp", '{}'::json as context,
            '{}'::json as properties, 1 as _occurrence, $new as _delivery
        from (select * from {web.events} order by messageId limit 300)
        """,
        delivery_of="web.events",
    )
    shop.build("2026-07-02", merged=1)
    shop.compare()
    assert shop.query(
        "select count(*) from canonical.events where source_record_id like 'late%'"
    ) == [(300,)]

    # A file is delivered anew without a third of its rows; another's rows stand again with the load
    # that they came with; rows are gone, and so is a customer; the merge is undone; time goes back.
    shop.execute(
        """
        delete from {web.events} where _delivery = 30 and hash(messageId) % 3 = 0;
        update {web.events} set _delivery = $new where _delivery = 30;
        """,
        delivery_of="web.events",
    )
    shop.execute(
        """
        update {web.events} set _delivery = 12
        where messageId in (select messageId from {web.events} order by hash(messageId) limit 20)
        """
    )
    shop.execute(
        "delete from {web.events} where anonymousId = (select max(anonymousId) from {web.events})"
    )
    shop.execute("delete from {shop.orders} where hash(id) % 10 = 0")
    # Orders come again with their first line alone.
    shop.execute(
        """
        update {shop.orders} set line_items = json_array(line_items -> 0), _delivery = $new
        where hash(id) % 10 = 1
        """,
        delivery_of="shop.orders",
    )
    shop.execute("delete from {shop.customers} where id = 'C7'")
    shop.execute("delete from {crm.contacts} where hash(ContactID) % 5 = 0")

    # Killed as the mark is written: rows, deletions and mark are those of before.
    counted = "select count(*), bit_xor(hash(events)) from canonical.events"
    before = shop.query(counted)
    moved = """
        alter table intermediate.read_marks rename to kept;
        create table intermediate.read_marks (model varchar, log varchar, batch bigint {check});
        insert into intermediate.read_marks from intermediate.kept;
        drop table intermediate.kept
        """
    shop.execute(moved.replace("{check}", "check (batch < 2 or model <> 'events')"))
    with pytest.raises(builds.BuildError, match="CHECK"):
        shop.build("2026-06-20")
    assert shop.query(counted) == before
    # What others took in meanwhile stays marked.
    shop.execute(moved.replace("{check}", ""))
    shop.build("2026-06-20")
    assert shop.query(counted) != before
    shop.compare()

    # A source misses rows: they are marked as they stand, in the load that they came with.
    shop.execute(
        """
        alter table {crm.contacts} add column _deleted_at timestamp;
        update {crm.contacts} set _deleted_at = timestamp '2026-06-20' where hash(ContactID) % 5 = 1
        """
    )
    view = shop.query(
        "select sql from duckdb_views() where sql like 'CREATE VIEW raw_crm.contacts %'"
    )
    shop.execute(
        view[0][0]
        .replace("CREATE VIEW", "create or replace view")
        .replace("CAST(NULL AS TIMESTAMP) AS _deleted_at", "_deleted_at")
    )
    deleted = "select count(*) from canonical.contacts where is_deleted"
    assert shop.query(deleted) == [(0,)]
    shop.build("2026-06-20")
    assert shop.query(deleted) != [(0,)]
    shop.compare()

    # An id comes to lead to somebody whose records are as they were.
    shop.execute(
        """
        insert into identity.history by name
        select 'h' as history_id, 'merge' as event, 'cus_before' as from_customer_id,
            min(customer_id) as to_customer_id, timestamp '2026-06-20' as changed_at
        from marts.golden_customers
        """
    )
    shop.build("2026-06-20", merged=None)
    led_to = "select count(*) from marts.customer_identifiers where identifier_value = 'cus_before'"
    assert shop.query(led_to) == [(1,)]
    shop.compare()

    # Nothing changed: nothing is logged.
    batches = """
        select (select max(batch) from intermediate.int_customer_changes),
            (select max(batch) from intermediate.int_cart_changes)
        """
    before = shop.query(batches)
    shop.build("2026-06-20", merged=None)
    for log in ("event", "order", "contact"):
        assert shop.query(f"select count(*) from intermediate.int_{log}_changes") == [(0,)]
    assert shop.query(batches) == before
