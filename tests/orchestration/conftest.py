"""A company in small: a published file, a receiver, and a sync between the two."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration import trace
from orchestration.home import Home
from reverse_etl import engine, projection
from reverse_etl.declarations import Sync
from reverse_etl.engine import RetryPolicy

NAME = "buyers_to_mail"
SQL = 'select customer_id from "mainstem"."marts"."customer_360" where revenue >= 100'
TABLES = f"""
    create schema ops; create schema canonical; create schema identity; create schema marts;
    create schema audiences; create schema reverse_etl;
    create table ops.loads (source varchar, table_name varchar, status varchar, error varchar);
    create table canonical.contacts (contact_key varchar, source_system varchar,
        source_record_id varchar, email varchar, is_deleted boolean, loaded_at timestamp);
    create table canonical.consents (consent_id varchar, identifier_type varchar,
        identifier_value varchar, purpose varchar, channel varchar, status varchar,
        consented_at timestamp, valid_from timestamp, valid_to timestamp);
    create table canonical.experiments as select 'mails' as experiment_id,
        'audience_holdout' as kind, true as is_running;
    create table canonical.experiment_assignments (experiment_id varchar, unit_id varchar,
        variant varchar, assigned_at timestamp);
    create table identity.crosswalk (node_key varchar, customer_id varchar);
    create table identity.resolve_forward (customer_id varchar, current_customer_id varchar);
    create table identity.history (event varchar, from_customer_id varchar,
        to_customer_id varchar, reason varchar, changed_at timestamp);
    create table identity.identifiers (node_key varchar, identifier_type varchar,
        identifier_value varchar, is_blocked boolean, blocked_reason varchar);
    create table identity.normalised_values (identifier_type varchar, given_value varchar,
        identifier_value varchar, is_only_reading boolean);
    create table marts.golden_customers (customer_id varchar, email varchar, first_name varchar);
    create table marts.customer_360 (customer_id varchar, revenue double);
    create table marts.customer_identifiers (customer_id varchar, identifier_type varchar,
        identifier_value varchar);
    create table marts.customer_consents (customer_id varchar, purpose varchar, channel varchar,
        status varchar, consented_at timestamp, consent_id varchar);
    create table audiences.aud_buyers (customer_id varchar);
    create table audiences.membership (audience_id varchar, customer_id varchar,
        entered_at timestamp);
    create table audiences.membership_history (audience_id varchar, customer_id varchar,
        changed_at timestamp, change varchar, is_member boolean, related_customer_id varchar,
        reason varchar);
    create table audiences.definitions as select 'aud_buyers' as audience_id,
        'Buyers' as description, 'crm' as owner, 'marketing' as consent_purpose,
        'mails' as experiment_id, null::bigint as max_size, 'aud_buyers.sql' as declared_in,
        '{SQL}' as sql, timestamp '2026-03-01' as booked_at,
        []::struct(name varchar, sql varchar)[] as views;
"""


@dataclass
class Person:
    """Somebody whom a source named; what is None is not there."""

    email: str | None = "?"
    revenue: float = 200
    consent: str | None = "granted"
    until: str | None = None
    is_held_out: bool = False
    was_member: bool = False


@dataclass
class World:
    """A home with a published file of `people`, and a sync that sends buyers to `receiver`."""

    home: Home
    url: str
    bad_keys: set[str] = field(default_factory=set)
    people: dict[str, Person] = field(default_factory=dict)
    more: list[str] = field(default_factory=list)
    sync: Sync = field(init=False)
    runs: int = 0

    def __post_init__(self) -> None:
        self.sync = Sync(
            name=NAME, path="models/_exposures.yml", destination="webhook", channel="email",
            audience_id="aud_buyers", audience_schema="audiences", audience_table="aud_buyers",
            consent_purpose="marketing", row_key="customer_id",
            fields=(("email", "email"), ("name", "first_name")), required=("email",),
            mode="mirror", batch_rows=10,
            connection={"url": "${URL}", "secret": "${SECRET}"},
        )  # fmt: skip

    def publish(self) -> None:
        new = self.home.published.with_suffix(".new")
        new.parent.mkdir(parents=True, exist_ok=True)
        new.unlink(missing_ok=True)
        with duckdb.connect(str(new)) as con:
            con.execute(TABLES)
            for who, person in self.people.items():
                self._add(con, who, person)
            for statement in self.more:
                con.execute(statement)
            projection.write(con, self.home.sync_ledger)
        new.rename(self.home.published)

    @staticmethod
    def _add(con: duckdb.DuckDBPyConnection, who: str, person: Person) -> None:
        email = f"{who}@example.com" if person.email == "?" else person.email
        address = f"{who}@example.com"
        rows: list[tuple[str, list[Any]]] = [
            ("canonical.contacts", [f"shop:{who}", "shop", who, email, False, "2026-02-01"]),
            ("identity.crosswalk", [f"shop:{who}", f"cus_{who}"]),
            ("identity.resolve_forward", [f"cus_{who}", f"cus_{who}"]),
            ("identity.identifiers", [f"shop:{who}", "email", address, False, None]),
            ("identity.normalised_values", ["email", address, address, True]),
            ("marts.golden_customers", [f"cus_{who}", email, who]),
            ("marts.customer_360", [f"cus_{who}", person.revenue]),
            ("marts.customer_identifiers", [f"cus_{who}", "email", address]),
        ]
        if person.revenue >= 100:
            rows.append(("audiences.aud_buyers", [f"cus_{who}"]))
            rows.append(("audiences.membership", ["aud_buyers", f"cus_{who}", "2026-02-02"]))
        if person.was_member:
            change = ["exited", False, None, "not selected any more"]
            rows.append(
                (
                    "audiences.membership_history",
                    ["aud_buyers", f"cus_{who}", "2026-02-20", *change],
                )
            )
        if person.consent:
            decision = ["marketing", "email", person.consent, "2026-01-05"]
            rows.append(
                (
                    "canonical.consents",
                    [f"forms:{who}", "email", address, *decision, "2026-01-05", person.until],
                )
            )
            if person.until is None:
                rows.append(("marts.customer_consents", [f"cus_{who}", *decision, f"forms:{who}"]))
        if person.is_held_out:
            arm = ["mails", f"cus_{who}", "control", "2026-02-03"]
            rows.append(("canonical.experiment_assignments", arm))
        for table, values in rows:
            con.execute(f"insert into {table} values ({', '.join('?' * len(values))})", values)

    def run(self, url: str | None = None) -> engine.SyncResult:
        """A run of the sync as `mainstem run` does it: publish, send, publish what was done."""
        self.publish()
        self.runs += 1
        result = engine.run(
            self.sync,
            published=self.home.published,
            ledger=self.home.sync_ledger,
            run_id=f"run_{self.runs}",
            env={"URL": url or self.url, "SECRET": "s" * 32},
            now=datetime(2026, 3, self.runs),
            policy=RetryPolicy(tries=1, first_wait=0.01),
        )
        self.publish()
        return result

    def trace(self, what: str) -> trace.Trace:
        return trace.read(self.home, what, self.sync)

    def write_manifest(self, **changes: Any) -> None:
        """What dbt would have written of the sync."""
        declared = {
            "destination": "webhook", "channel": "email", "row_key": "customer_id",
            "required": ["email"], "fields": {"email": "email", "name": "first_name"},
            "connection": dict(self.sync.connection), **changes,
        }  # fmt: skip
        found = {
            "parent_map": {},
            "child_map": {},
            "exposures": {
                "exposure.p.x": {
                    "name": NAME, "original_file_path": "models/_exposures.yml",
                    "config": {"meta": {"sync": declared}},
                    "depends_on": {"nodes": ["model.p.aud_buyers"]},
                }
            },
            "nodes": {
                "model.p.aud_buyers": {
                    "name": "aud_buyers", "resource_type": "model", "schema": "audiences",
                    "fqn": ["p", "audiences", "aud_buyers"],
                    "config": {"meta": {"consent_purpose": "marketing"}},
                }
            },
        }  # fmt: skip
        self.home.manifest.parent.mkdir(parents=True, exist_ok=True)
        self.home.manifest.write_text(json.dumps(found))


@pytest.fixture(scope="session")
def person() -> type[Person]:
    return Person


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    bad_keys: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["rows"]
            results = [
                {
                    "key": row["key"],
                    "status": "error",
                    "code": "bounced",
                    "error": "no such mailbox",
                }
                for row in rows
                if row["key"] in bad_keys
            ]
            body = json.dumps({"results": results}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    home = Home(root=tmp_path / "project", data=tmp_path / "home")
    home.dbt_project.mkdir(parents=True)
    (home.dbt_project / "dbt_project.yml").write_text("name: p\n")
    yield World(home, f"http://127.0.0.1:{server.server_port}/", bad_keys)
    server.shutdown()
    server.server_close()
    thread.join(timeout=10)
