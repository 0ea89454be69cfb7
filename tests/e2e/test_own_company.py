"""A company of one's own, from an empty folder to golden records, by the commands alone."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import duckdb
import pytest

pytestmark = pytest.mark.e2e

GUESTS = """guest_no,name,email,phone,invited_at
G1,Wilhelmina Quartermaine,wilhelmina@quartermaine.example.org,,2026-06-01 10:00:00
G2,Otto Lindqvist,otto@lindqvist.example.org,+46 8 123 456,2026-06-02 10:00:00
"""
TURNSTILE = """ticket;surname;given name;e-mail;came
7;Quartermaine;Wilhelmina;wilhelmina@quartermaine.example.org;03.06.2026
8;Nguyen;Linh;linh@nguyen.example.org;13.06.2026
"""


@pytest.fixture
def own(elsewhere: Any, tmp_path: Path) -> Any:
    """A project made by `mainstem init` in an empty folder."""
    folder = tmp_path / "own"
    elsewhere.command("init", str(folder))
    elsewhere.project, elsewhere.home = folder, folder / "data"
    return elsewhere


def test_from_an_empty_folder_to_golden_records(own: Any) -> None:
    drop = own.project / "drop"
    (drop / "guests.csv").write_text(GUESTS, encoding="utf-8")
    (drop / "turnstile.csv").write_text(TURNSTILE, encoding="utf-8")
    added = own.command("source", "add", "drop/guests.csv", "--name", "guests").stdout
    assert "email (email)" in added
    own.command(
        "source", "add", "drop/turnstile.csv", "--name", "turnstile", "--location", "drop/turn*.csv"
    )
    with sqlite3.connect(drop / "app.sqlite") as database:
        database.execute("create table accounts (account_id text, email text, created_at text)")
        database.execute(
            "insert into accounts values ('A1', 'otto@lindqvist.example.org', '2026-06-05 10:00:00')"
        )
    database.close()
    app = ("--connector", "database", "--set", "connection.url=sqlite:///drop/app.sqlite")
    own.command("source", "add", "--name", "app", *app, "--set", "table=accounts")
    wrong = own.command(
        "source", "add", "--name", "app2", *app, "--set", "tabel=accounts", check=False
    )
    assert wrong.returncode == 1
    assert "did you mean `table`" in wrong.stderr
    again = own.command("source", "add", "drop/guests.csv", "--name", "guests", check=False)
    assert again.returncode == 1
    assert "already" in again.stderr

    assert own.run()["status"] == "complete"
    golden = own.query(
        "select source_count, count(*) from marts.golden_customers group by 1 order by 1"
    )
    assert golden == [(1, 1), (2, 2)], "two of three people are known to two systems"

    inventory = {
        entry["source"]: entry for entry in json.loads(own.command("sources", "--json").stdout)
    }
    assert (inventory["guests"]["contacts"], inventory["guests"]["linked"]) == (2, 2)
    assert inventory["turnstile"]["known_nowhere_else"] == 1
    assert "have identifiers that no other source has" in own.command("sources").stdout

    # One more file, by hand: first what would happen, then for real; one row of it is wrong.
    more = own.project / "more.csv"
    more.write_text(
        "guest_no,name,email,phone,invited_at\nG3,Linh Nguyen,linh@nguyen.example.org,,2026-06-20 10:00:00\n"
        "G4,Nobody,,,tomorrow\n",
        encoding="utf-8",
    )
    arguments = ("load", "more.csv", "--source", "guests", "--table", "guests")
    dry = json.loads(own.command(*arguments, "--dry-run", "--json").stdout)
    assert (dry["rows_read"], dry["rows_loaded"], dry["rows_quarantined"]) == (2, 1, 1)
    assert dry["refused"][0]["column"] == "invited_at"
    assert "invited_at" in own.command(*arguments).stdout
    assert own.run()["status"] == "complete"
    assert own.query("select count(*) from marts.golden_customers where source_count = 2") == [(3,)]
    unknown = own.command("load", "more.csv", "--source", "guest", "--table", "guests", check=False)
    assert unknown.returncode == 2
    assert "guests.guests" in unknown.stderr


def test_init_does_not_touch_a_project_that_is_there(elsewhere: Any) -> None:
    before = sorted(elsewhere.project.rglob("*"))
    done = elsewhere.command("init", str(elsewhere.project), check=False)
    assert done.returncode == 1
    assert sorted(elsewhere.project.rglob("*")) == before


def test_a_backfill_reconciles_and_may_be_repeated(elsewhere: Any) -> None:
    arguments = ("backfill", "stores", "--from", "2026-04-10", "--to", "2026-05-31", "--json")
    first = json.loads(elsewhere.command(*arguments).stdout)
    assert [row["partition"] for row in first] == ["2026-04-01", "2026-05-01"]
    for row in first:
        assert (
            row["rows_read"] == row["rows_loaded"] + row["rows_duplicate"] + row["rows_quarantined"]
        )
        assert row["rows_loaded"] > 1_000
    assert json.loads(elsewhere.command(*arguments).stdout) == first
    nothing = elsewhere.command(
        "backfill", "crm", "--from", "2026-04-10", "--to", "2026-05-31", check=False
    )
    assert nothing.returncode == 2
    assert "partition" in nothing.stderr


def test_drift_is_seen_and_the_quarantine_is_explained_and_replayed(own: Any) -> None:
    """A new column and a wrong date: noted, refused, and loaded once the declaration is mended."""
    drop = own.project / "drop"
    (drop / "guests.csv").write_text(GUESTS, encoding="utf-8")
    own.command("source", "add", "drop/guests.csv", "--name", "guests")
    (drop / "guests.csv").write_text(
        "guest_no,name,email,phone,invited_at,diet\n"
        "G1,Wilhelmina Quartermaine,wilhelmina@quartermaine.example.org,,2026-06-01 10:00:00,none\n"
        "G2,Otto Lindqvist,otto@lindqvist.example.org,,06/02/2026,vegan\n",
        encoding="utf-8",
    )
    assert own.run()["status"] == "complete"

    import dagster as dg

    with own.dagster() as instance:
        key = dg.AssetCheckKey(dg.AssetKey(["guests", "guests"]), "no_drift")
        record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
        evaluation = record.event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]
    assert not evaluation.passed
    assert "diet" in str(evaluation.metadata["undeclared_columns"])

    (count,) = json.loads(own.command("quarantine", "list", "--json").stdout)
    assert (count["column_name"], count["rows"]) == ("invited_at", 1)
    assert "G2,Otto" in own.command("quarantine", "explain", "guests.guests").stdout
    declared = own.project / "dbt_project" / "models" / "staging" / "guests" / "_guests.yml"
    text = declared.read_text(encoding="utf-8")
    formats = '{format: ["%Y-%m-%d %H:%M:%S", "%m/%d/%Y"]}'
    mended = text.replace(
        "{name: invited_at, data_type: timestamp}",
        f"{{name: invited_at, data_type: timestamp, config: {{meta: {formats}}}}}",
    )
    assert mended != text
    declared.write_text(mended, encoding="utf-8")
    assert (
        "2 loaded, 0 still refused" in own.command("quarantine", "replay", "guests.guests").stdout
    )
    assert "Nothing is in the quarantine" in own.command("quarantine", "list").stdout


def test_beside_a_dbt_project_both_are_built_and_its_models_feed_ours(
    elsewhere: Any, tmp_path: Path
) -> None:
    """Models of the same name in both, a source in their own DuckDB file, and their people."""
    theirs = tmp_path / "theirs"
    files = {
        "dbt_project.yml": "name: jaffle\nprofile: jaffle\n",
        "profiles.yml": "jaffle: {target: x, outputs: {x: {type: duckdb, path: jaffle.duckdb}}}",
        "models/orders.sql": "select * from {{ ref('contacts') }} join {{ source('till', 'sums') }} using (id)",
        "models/contacts.sql": "{{ config(schema='shop') }} select * from {{ ref('buyers') }}",
        "models/till.yml": "sources: [{name: till, tables: [{name: sums}]}]",
        "seeds/buyers.csv": "id,mail\n1,ann@lee.example.org\n2,bo@ray.example.org\n",
    }
    for name, text in files.items():
        (theirs / name).parent.mkdir(parents=True, exist_ok=True)
        (theirs / name).write_text(text, encoding="utf-8")
    with duckdb.connect(str(theirs / "jaffle.duckdb")) as con:
        con.execute("create schema till; create table till.sums as select 2 as id, 5 as total")
    elsewhere.command("init", str(theirs))
    assert {name: (theirs / name).read_text(encoding="utf-8") for name in files} == files
    elsewhere.project, elsewhere.home = theirs / "mainstem", theirs / "mainstem" / "data"
    dbt_project = elsewhere.project / "dbt_project"
    staging = dbt_project / "models" / "staging" / "jaffle"
    staging.mkdir()
    (staging / "stg_jaffle__contacts.sql").write_text(
        "{{ config(enabled='jaffle' in var('sources')) }}\n"
        "select id::varchar as source_record_id, mail as email, false as is_deleted,\n"
        "    timestamp '2026-06-01' as created_at, timestamp '2026-06-01' as updated_at,\n"
        "    timestamp '2026-06-01' as loaded_at\nfrom {{ ref('jaffle', 'contacts') }}\n",
        encoding="utf-8",
    )
    (staging / "stg_jaffle__contacts.yml").write_text(
        "models: [{name: stg_jaffle__contacts, columns: [{name: source_record_id},"
        " {name: is_deleted}, {name: created_at}, {name: updated_at}, {name: loaded_at},"
        " {name: email, config: {meta: {identifier: email, pii: true}}}]}]",
        encoding="utf-8",
    )
    settings = dbt_project / "dbt_project.yml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("sources: {}", "sources: {jaffle: [contacts]}"))
    assert elsewhere.run()["status"] == "complete"
    assert elsewhere.query("select count(*) from marts.golden_customers") == [(2,)]
    with duckdb.connect(str(theirs / "jaffle.duckdb")) as con:
        assert con.execute("select mail, total from main.orders").fetchall() == [
            ("bo@ray.example.org", 5)
        ]
        assert con.execute("select count(*) from main_shop.contacts").fetchall() == [(2,)]
