"""What is guessed of a file, and that what is written from it is what a person would write."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import yaml

from ingestion import declarations, inspection, scaffold
from ingestion.inspection import inspect
from ingestion.sources import LoadError

CSV = """Member No;Full Name;E-Mail;Tel;Zip;Since;Spent;Note
0017;Ada Lovelace;ada@example.org;+44 20 7946 0000;01234;31.12.2025;12.50;
0018;Grace Hopper;grace@example.org;;10001;01.02.2026;7;"a; b"
0019;Mary Jackson;;020 7946 0001;23666;15.02.2026;0.5;x
"""


def guess(path: Path) -> dict[str, tuple[str, str | None, str | None, str | None]]:
    return {c.name: (c.data_type, c.format, c.role, c.identifier) for c in inspect(path).columns}


def test_types_dates_identifiers_and_key_of_a_csv(tmp_path: Path) -> None:
    path = tmp_path / "members.csv"
    path.write_text(CSV, encoding="utf-8")
    found = inspect(path)
    assert found.format == {"type": "csv", "delimiter": ";"}
    assert found.key == ("Member No",)
    assert found.rows_seen == 3
    assert guess(path) == {
        "Member No": ("varchar", None, None, None),
        "Full Name": ("varchar", None, "full_name", None),
        "E-Mail": ("varchar", None, "email", "email"),
        "Tel": ("varchar", None, "phone", "phone"),
        "Zip": ("varchar", None, "postal_code", None),
        "Since": ("date", "%d.%m.%Y", None, None),
        "Spent": ("decimal(18,4)", None, None, None),
        "Note": ("varchar", None, None, None),
    }


def test_an_ambiguous_date_stays_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,day\n1,01/02/2026\n2,03/04/2026\n", encoding="utf-8")
    assert guess(path)["day"] == ("varchar", "ambiguous", None, None)
    assert "day" in inspect(path).notes[0]


@pytest.mark.parametrize("name", ["a.csv.gz", "a.json", "a.ndjson"])
def test_formats_are_told_apart(tmp_path: Path, name: str) -> None:
    rows = [{"id": "a1", "email": "x@example.org", "n": 1}, {"id": "a2", "email": None, "n": 2}]
    path = tmp_path / name
    if name == "a.csv.gz":
        path.write_bytes(gzip.compress(b"id,email,n\na1,x@example.org,1\na2,,2\n"))
    elif name == "a.json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    else:
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert guess(path) == {
        "id": ("varchar", None, None, None),
        "email": ("varchar", None, "email", "email"),
        "n": ("bigint", None, None, None),
    }
    assert inspect(path).key == ("id",)


def test_latin_1_is_declared_and_a_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("id,name\n1,José\n2,Zoë\n".encode("latin-1"))
    assert inspect(path).format == {"type": "csv", "encoding_fallback": "latin-1"}
    (tmp_path / "a.parquet").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(LoadError, match=r"a\.parquet"):
        inspect(tmp_path / "a.parquet")


def test_what_is_written_is_a_declaration_that_reads(tmp_path: Path) -> None:
    path = tmp_path / "members.csv"
    path.write_text(CSV, encoding="utf-8")
    dbt_project = tmp_path / "dbt_project"
    dbt_project.mkdir()
    settings = dbt_project / "dbt_project.yml"
    settings.write_text("# ours\nvars:\n  sources: {}\n  as_of: null\n", encoding="utf-8")
    ingest = {"connector": "files", "location": "drop/*.csv"}
    written = scaffold.write(dbt_project, "club", "members", inspect(path), ingest)
    assert [p.name for p in written] == [
        "_club.yml", "stg_club__contacts.sql", "stg_club__contacts.yml", "dbt_project.yml",
    ]  # fmt: skip
    read = declarations.read(dbt_project / "models" / "staging")
    assert read.problems == ()
    (table,) = read.tables
    assert table.ingest is not None
    assert (table.source, table.name, table.ingest.key) == ("club", "members", ("Member No",))
    text = settings.read_text(encoding="utf-8")
    assert yaml.safe_load(text)["vars"] == {"sources": {"club": ["contacts"]}, "as_of": None}
    assert text.startswith("# ours\n")
    properties = yaml.safe_load((written[2]).read_text(encoding="utf-8"))
    columns = {
        c["name"]: c.get("config", {}).get("meta", {}) for c in properties["models"][0]["columns"]
    }
    assert columns["email"] == {"pii": True, "identifier": "email"}
    assert {
        "source_record_id",
        "full_name",
        "member_no",
        "created_at",
        "updated_at",
    } <= columns.keys()
    assert all(column["description"] for column in properties["models"][0]["columns"])
    with pytest.raises(scaffold.ScaffoldError, match="already"):
        scaffold.write(dbt_project, "club", "members", inspect(path), ingest)
    with pytest.raises(scaffold.ScaffoldError, match="no name"):
        scaffold.write(dbt_project, "../club", "members", inspect(path), ingest)


def test_switching_on_keeps_the_rest_of_the_settings() -> None:
    before = "vars:\n  # which sources\n  sources:\n    crm: [contacts] # ours\n  as_of: null\n"
    after = scaffold.switch_on(before, "club", ["contacts"])
    assert yaml.safe_load(after)["vars"]["sources"] == {"club": ["contacts"], "crm": ["contacts"]}
    assert after.replace("    club: [contacts]\n", "") == before


def test_switching_on_beside_sources_written_on_one_line() -> None:
    settings = "vars:\n  sources: {crm: [contacts], web: []}\n  as_of: null\n"
    assert scaffold.switch_on(settings, "guests", ["contacts"]) == (
        "vars:\n  sources:\n    guests: [contacts]\n    crm: [contacts]\n    web: []\n  as_of: null\n"
    )


def test_a_lone_name_is_no_person(tmp_path: Path) -> None:
    path = tmp_path / "products.csv"
    path.write_text("sku,name,price\nA-1,Mug,8.50\nA-2,Pot,30\n", encoding="utf-8")
    assert not inspect(path).is_people
    assert inspection.ColumnGuess("orderId", "varchar").snake_name == "order_id"


def test_an_export_in_german_is_understood(tmp_path: Path) -> None:
    """Umlauts in headers, key and dates by their German names, Windows' encoding, decimal commas."""
    path = tmp_path / "kunden.csv"
    path.write_bytes(
        "Kundennr;Vorname;Nachname;E-Mail-Adresse;Straße;PLZ;Angelegt am;Umsatz;Währung\n"
        "1;Änne;Öztürk;aenne@example.org;Übersee 3;01067;13.01.2026;1.234,50;€\n"
        "2;Zoë;Weiß;;Königsallee 1;20457;28.02.2026;99,90;€\n".encode("cp1252")
    )
    found = inspect(path)
    assert found.format == {"type": "csv", "delimiter": ";", "encoding_fallback": "cp1252"}
    assert found.key == ("Kundennr",)
    assert found.notes == ("Umsatz: numbers with a decimal comma; left as text",)
    assert {column.name: column.role or column.snake_name for column in found.columns} == {
        "Kundennr": "kundennr",
        "Vorname": "first_name",
        "Nachname": "last_name",
        "E-Mail-Adresse": "email",
        "Straße": "address_line1",
        "PLZ": "postal_code",
        "Angelegt am": "created_at",
        "Umsatz": "umsatz",
        "Währung": "waehrung",
    }
    assert guess(path)["Angelegt am"] == ("date", "%d.%m.%Y", "created_at", None)
