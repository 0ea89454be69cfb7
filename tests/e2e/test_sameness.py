"""Ids and tables that stay: in another order of rows, after kills, and when people turn out to be one."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e


def shuffle_lines(text: str, chance: random.Random, header: bool = True) -> str:
    """The rows of a CSV (which may hold line breaks) or of a line-by-line file in another order."""
    if header:
        dialect = ";" if text.split("\n", 1)[0].count(";") > 3 else ","
        rows, start = [], 0
        reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=dialect)
        # str.splitlines would also split at bytes of Greek letters, read as Latin-1.
        lines = list(io.StringIO(text, newline="\n"))
        for _ in reader:
            rows.append("".join(lines[start : reader.line_num]))
            start = reader.line_num
    else:
        rows = list(io.StringIO(text, newline="\n"))
    first, rest = (rows[:1], rows[1:]) if header else ([], rows)
    chance.shuffle(rest)
    return "".join([*first, *(row if row.endswith("\n") else row + "\n" for row in rest)])


def shuffle_company(company: Path) -> None:
    chance = random.Random(4)
    for path in sorted(company.rglob("*")):
        if path.is_dir() or "truth" in path.parts:
            continue
        if path.name.endswith(".csv.gz"):
            text = gzip.decompress(path.read_bytes()).decode()
            path.write_bytes(gzip.compress(shuffle_lines(text, chance).encode(), mtime=0))
        elif path.suffix == ".csv":
            # Latin-1 takes every byte as it is, the lines that are no UTF-8 as well.
            text = path.read_bytes().decode("latin-1")
            path.write_bytes(shuffle_lines(text, chance).encode("latin-1"))
        elif path.suffix == ".ndjson":
            path.write_text(
                shuffle_lines(path.read_text(encoding="utf-8"), chance, header=False),
                encoding="utf-8",
            )
        elif path.parent.name == "support":
            document = json.loads(path.read_text(encoding="utf-8"))
            chance.shuffle(document["tickets"])
            path.write_text(json.dumps(document), encoding="utf-8")
        elif path.parent.name == "shop":
            rows = json.loads(path.read_text(encoding="utf-8"))
            chance.shuffle(rows)
            path.write_text(json.dumps(rows), encoding="utf-8")


def test_shuffled_rows_give_the_same_ids(road: Any, elsewhere: Any) -> None:
    shuffle_company(elsewhere.project / "seeds" / "company")
    elsewhere.run()
    assert elsewhere.ids() == road.ids()


def test_killed_five_times_and_run_again_equals_a_run_that_went_through(
    road: Any, elsewhere: Any
) -> None:
    for at, after_seconds in (
        ("load crm.contacts", 0.05),
        ("dbt: building", 1.5),
        ("identity: probabilistic evidence", 1.0),
        ("published", 0.1),
        ("sync abandoned_cart_to_email_tool", 0.05),
    ):
        elsewhere.run_and_kill(at, after_seconds)
    final = elsewhere.run()
    assert final["status"] == "complete"
    mine, theirs = elsewhere.published(), road.published()
    assert mine.keys() == theirs.keys()
    for table in theirs:
        assert mine[table] == theirs[table], table


def test_a_record_that_connects_two_customers_keeps_the_older_id(next_day: Any) -> None:
    """Two people of one name and no other evidence in common turn out to be one by a third record."""
    contacts = next_day.project / "seeds" / "company" / "crm" / "contacts.csv"
    original = contacts.read_bytes()
    header = original.split(b"\n", 1)[0]

    def add(file: str, rows: list[str]) -> None:
        path = contacts.with_name(file)
        path.write_bytes(header + b"\n" + "".join(f"{row}\n" for row in rows).encode())

    add("contacts_a.csv", [
        "CX1;;Quillfeather;Ottoline;ottoline.q@aol.com;;;;;;US;17.03.1961;;;01.02.2026 10:00;01.02.2026 10:00",
    ])  # fmt: skip
    next_day.run()
    first = next_day.ids()["crm:CX1"]
    address = "9 Tern Lane;Duxbury;02332;US"
    phone, email = "+1 978 555 0143", "ottoline.q@aol.com"
    add(
        "contacts_b.csv",
        [f"CX2;;Brandt;Ottoline;;{phone};;{address};;;;02.02.2026 10:00;02.02.2026 10:00"],
    )
    next_day.run()
    second = next_day.ids()["crm:CX2"]
    assert first != second
    before = next_day.ids()
    both = f"CX3;;Brandt;Ottoline;{email};{phone};;{address}"
    add("contacts_c.csv", [f"{both};17.03.1961;;;03.02.2026 10:00;03.02.2026 10:00"])
    third = next_day.run()
    after = next_day.ids()
    assert {after[f"crm:CX{n}"] for n in (1, 2, 3)} == {first}
    assert [key for key in before if before[key] != after[key]] == ["crm:CX2"]
    merges = next_day.query(
        f"""
        select from_customer_id, to_customer_id from identity.history
        where event = 'merge' and run_id = '{third["run_id"]}'
        """
    )
    assert set(merges) == {(second, first)}
    retired = json.loads(next_day.command("explain", "--json", second).stdout)
    assert retired["customer_id"] == first
