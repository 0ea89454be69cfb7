"""`mainstem resolve` from end to end on files of our own making."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from identity.file_resolution import FileReport, resolve_files, write_clusters
from identity.rules import Rules

FIRST = [
    "oliver",
    "amelia",
    "harry",
    "isla",
    "george",
    "ava",
    "noah",
    "mia",
    "jack",
    "grace",
    "leo",
    "freya",
    "arthur",
    "lily",
    "oscar",
    "ella",
    "theodore",
    "rosie",
    "jasper",
    "phoebe",
    "rupert",
    "beatrice",
    "cedric",
    "imogen",
]
LAST = [
    "harrington",
    "whitcombe",
    "okafor",
    "lindqvist",
    "castellano",
    "brennan",
    "takahashi",
    "delacroix",
    "novak",
    "fairbanks",
    "oyelaran",
    "petrovic",
    "hammond",
    "sinclair",
    "vandermeer",
    "costigan",
    "abernathy",
    "zielinski",
]
HEADER = [
    "rec",
    "given_name",
    "surname",
    "dob",
    "street_number",
    "address_1",
    "suburb",
    "postcode",
    "ssn",
    "person",
]


def slip(rng: random.Random, word: str) -> str:
    """One typing slip: a letter lost, doubled or swapped with the next."""
    if len(word) < 3:
        return word
    at = rng.randrange(1, len(word) - 1)
    return rng.choice(
        [
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :],
        ]
    )


@pytest.fixture(scope="module")
def people() -> list[list[str]]:
    """Some 400 records of 250 people, households among them, in the manner of registers."""
    rng = random.Random(3)
    rows = []
    person = 0
    for _ in range(130):
        last = rng.choice(LAST) + rng.choice(["", "", "son", "ton"])
        home = [
            str(rng.randrange(1, 300)),
            f"{rng.choice(LAST)} street",
            rng.choice(FIRST) + "ville",
            str(rng.randrange(2000, 2900)),
        ]
        for _ in range(rng.choice([1, 2, 2, 3])):
            person += 1
            first, born = (
                rng.choice(FIRST),
                f"{rng.randrange(1930, 2010)}{rng.randrange(1, 13):02}{rng.randrange(1, 29):02}",
            )
            ssn = str(rng.randrange(10**6, 10**7))
            for _ in range(rng.choice([1, 1, 2, 3])):
                values = [first, last, born, *home, ssn]
                for index in rng.sample(range(8), rng.choice([0, 1, 2])):
                    values[index] = rng.choice(
                        [slip(rng, values[index]), slip(rng, values[index]), ""]
                    )
                rows.append([f"r{len(rows)}", *values, str(person)])
    rng.shuffle(rows)
    return rows


def write(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def run(path: Path, rules: Rules, **options: Any) -> tuple[FileReport, dict[str, str]]:
    con = duckdb.connect()
    report = resolve_files(con, [path], rules, **options)
    out = path.with_suffix(".out.csv")
    write_clusters(con, out, report.id_column)
    with out.open(encoding="utf-8") as lines:
        rows = list(csv.reader(lines))[1:]
    con.close()
    return report, {row[0]: row[1] for row in rows}


def test_quality_and_that_nothing_reads_the_truth(
    tmp_path: Path, rules: Rules, people: list[list[str]]
) -> None:
    report, ids = run(write(tmp_path / "a.csv", HEADER, people), rules, truth="person")
    assert report.score is not None
    assert report.score.precision >= 0.98
    assert report.score.f1 >= 0.97
    assert report.score.bcubed_f1 >= 0.97
    assert report.records == len(people) == len(ids)
    assert report.largest_cluster <= 4
    assert [c.header for c in report.columns if c.field == "identifier"] == ["ssn"]
    # other labels, half of them missing, in other places: the same answer
    rng = random.Random(5)
    labels = [rng.choice(["", str(n)]) for n in range(len(people))]
    relabelled = [[*row[:-1], label] for row, label in zip(people, labels, strict=True)]
    other, same_ids = run(write(tmp_path / "b.csv", HEADER, relabelled), rules, truth="person")
    assert same_ids == ids
    assert other.score is not None
    assert other.score.labelled == sum(label != "" for label in labels)


def test_many_ways_to_write_a_person(tmp_path: Path, rules: Rules) -> None:
    header = ["n", "full_name", "email", "phone", "birth_date"]
    rows = [
        ["1", "LEFÈVRE, Renée", "renee.lefevre@x.fr", "", "1980-02-13"],
        ["2", "Renee Lefevre", "", "", "13/02/1980"],
        ["3", "محمد علي", "m.ali@x.org", "+971 50 123 4567", ""],
        ["4", "Mohammed Ali", "m.ali@x.org", "+971501234567", ""],
        ["5", "王小明", "wang.xm@x.org", "", "1979-11-30"],
        ["6", "Xiaoming Wang", "wang.xm@x.org", "", "1979-11-30"],
        ["7", "😀", "smile@y.org", "", ""],
        ["8", "", "", "", ""],
        ["9", "Bob Smith", "thesmiths@z.com", "", "1975-05-05"],
        ["10", "Robert Smith", "thesmiths@z.com", "", "1975-05-05"],
        ["11", "Carol Smith", "thesmiths@z.com", "", "1977-07-07"],
        ["12", "Robert Smith Jr", "thesmiths@z.com", "", "2003-03-03"],
    ]
    _, ids = run(write(tmp_path / "x.csv", header, rows), rules, id_column="n")
    groups = {frozenset(k for k in ids if ids[k] == v) for v in ids.values()}
    assert groups == {
        frozenset(g)
        for g in (["1", "2"], ["3", "4"], ["5", "6"], ["7"], ["8"], ["9", "10"], ["11"], ["12"])
    }


def test_one_address_of_everybody_and_a_default_birth_date(tmp_path: Path, rules: Rules) -> None:
    rng = random.Random(9)
    rows = [
        [f"{FIRST[n % 24]}{chr(97 + n % 23)}", f"{LAST[n % 18]}{chr(97 + n % 25)}{chr(97 + n // 25 % 26)}",
         "all@shop.com", "1900-01-01" if n % 3 else f"19{rng.randrange(30, 99)}-0{rng.randrange(1, 9)}-1{n % 10}"]
        for n in range(1500)
    ]  # fmt: skip
    header = ["first_name", "last_name", "email", "birth_date"]
    report, ids = run(write(tmp_path / "x.csv", header, rows), rules)
    assert report.id_column is None
    assert list(ids) == [str(n + 1) for n in range(1500)]
    assert report.blocked == 1
    assert report.largest_cluster <= 2
    assert report.customers >= 1490


def cli(*arguments: str) -> Any:
    from orchestration.cli.resolve import command

    return CliRunner().invoke(command, list(arguments))


def test_the_command_writes_all_that_was_asked_for(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.csv",
        ["id", "name", "mail", "who"],
        [["a", "Ann Lee", "ann.lee@b.co", "1"], ["b", "Lee, Ann", "ann.lee@b.co", "1"], ["c", "Bob Ray", "", ""]],
    )  # fmt: skip
    out, pairs, report = tmp_path / "c.csv", tmp_path / "p.parquet", tmp_path / "r.json"
    result = cli(
        str(path), "--id", "id", "--truth", "who", "--map", "full_name=name", "--out", str(out),
        "--pairs", str(pairs), "--json", str(report),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "3 rows are 2 people" in result.output
    with out.open(encoding="utf-8") as lines:
        rows = dict(list(csv.reader(lines))[1:])
    assert rows["a"] == rows["b"] != rows["c"]
    columns = duckdb.sql(f"describe from '{pairs}'").fetchall()
    assert [c[0] for c in columns][:4] == ["left_id", "right_id", "probability", "rule"]
    assert duckdb.sql(f"select left_id, right_id from '{pairs}'").fetchall() == [("a", "b")]
    told = json.loads(report.read_text(encoding="utf-8"))
    for key in (
        "records",
        "customers",
        "largest_cluster",
        "seconds",
        "peak_memory_mb",
        "precision",
        "recall",
        "f1",
        "bcubed_f1",
    ):
        assert isinstance(told[key], int | float), key


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.csv", "--truth", "persn"], "no column `persn`; did you mean `person`"),
        (["x.csv", "--id", "nmae"], "no column `nmae`; did you mean `name`"),
        (["x.csv", "--map", "name"], "must be FIELD=COLUMN"),
        (["y.csv"], "y.csv does not exist"),
    ],
)
def test_mistakes_are_answered_in_one_line(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    write(tmp_path / "x.csv", ["name", "person"], [["Ann Lee", "1"]])
    result = cli(str(tmp_path / arguments[0]), *arguments[1:], "--out", str(tmp_path / "o.csv"))
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "o.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["clusters.csv"], "clusters.csv is read, or written twice"),
        (["x.csv", "--out", "x.csv"], "x.csv is read, or written twice"),
        (["x.csv", "--out", "link.csv"], "link.csv is read, or written twice"),
        (["x.csv", "--out", "hard.csv"], "hard.csv is read, or written twice"),
        (["x.csv", "--json", "./x.csv"], "x.csv is read, or written twice"),
        (["x.csv", "--pairs", "clusters.csv"], "clusters.csv is read, or written twice"),
        (["x.csv", "--pairs", "p.csv", "--json", "p.csv"], "p.csv is read, or written twice"),
        (["x.csv", "--rules", "r.yml", "--json", "r.yml"], "r.yml is read, or written twice"),
        (["x.csv", "--out", "."], ". is a folder; name a file in it"),
        (["x.csv", "--out", ""], ". is a folder; name a file in it"),
        (["x.csv", "--pairs", "sub"], "sub is a folder; name a file in it"),
        (["x.csv", "--map", "first_name=email", "--map", "last_name=email"],
         "column `email` is first_name and last_name"),
    ],
)  # fmt: skip
def test_nothing_that_is_read_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for name in ("x.csv", "clusters.csv"):
        write(tmp_path / name, ["name", "email"], [["Ann Lee", "a@b.co"]])
    (tmp_path / "r.yml").write_text("x", encoding="utf-8")
    (tmp_path / "link.csv").symlink_to("x.csv")
    (tmp_path / "hard.csv").hardlink_to("x.csv")
    before = {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    result = cli(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


def test_tsv_is_written_with_tabs(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", ["id", "name"], [["a", "Ann Lee"], ["b", "Bob Ray"]])
    result = cli(str(path), "--map", "full_name=name", "--out", str(tmp_path / "o.tsv"))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "o.tsv").read_text(encoding="utf-8").startswith("id\tcustomer_id\na\t")


def test_a_device_is_written_into_and_stays_one(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", ["id", "name"], [["a", "Ann Lee"], ["b", "Bob Ray"]])
    nowhere = tmp_path / "nowhere.csv"
    nowhere.symlink_to("/dev/null")
    assert cli(str(path), "--out", str(nowhere)).exit_code == 0
    assert nowhere.is_symlink() and not nowhere.is_file()
    kept, link = tmp_path / "kept.csv", tmp_path / "link.csv"
    kept.write_text("old")
    link.symlink_to(kept)
    assert cli(str(path), "--out", str(link)).exit_code == 0
    assert link.is_symlink() and kept.read_text().startswith("id,customer_id")


def test_numbers_given_in_sequence_are_no_evidence(tmp_path: Path, rules: Rules) -> None:
    # everybody twice, with the numbers that the offices gave in turn ...
    rows = [
        [
            f"r{n}-{copy}",
            FIRST[n % len(FIRST)],
            LAST[n // 3 % len(LAST)] + "abcdefghij"[n % 10],
            *given,
        ]
        for n in range(60)
        for given in [[f"{letter}{4100 + n}" for letter in "LPT"]]
        for copy in range(2)
    ]
    # ... and namesakes of whom nothing is known but numbers that follow on one another
    rows += [
        [f"n{n}", "maria", "stonebridge", *(f"{letter}{4501 + n}" for letter in "LPT")]
        for n in range(8)
    ]
    header = ["id", "first_name", "last_name", "licence_no", "passport_no", "tax_no"]
    report, ids = run(write(tmp_path / "a.csv", header, rows), rules)
    assert sorted(c.header for c in report.columns if c.field == "identifier") == header[3:]
    assert all(ids[f"r{n}-0"] == ids[f"r{n}-1"] for n in range(60))
    assert len({ids[f"n{n}"] for n in range(8)}) == 8


def test_the_command_needs_neither_dagster_nor_dbt() -> None:
    code = (
        "import sys, orchestration.cli.resolve;"
        "sys.exit(any(m.split('.')[0] in ('dagster', 'dbt', 'splink', 'pandas') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
