"""Files as people have them: encodings, headers and columns that nobody tidied."""

from __future__ import annotations

import codecs
from pathlib import Path

import duckdb
import pytest

from identity.columns import Column, need_people, recognise
from identity.files import empty_markers, read_files
from identity.findings import Findings, find_out
from identity.given import FileError
from identity.intake import build_contacts
from identity.normalise import load_macros
from identity.rules import Rules


def recognised(path: Path, content: str | bytes, **asked: str) -> dict[str, str]:
    """Return field by header of a file with this content."""
    columns, _ = look(path, content, **asked)
    return {c.header: c.field for c in columns}


def look(
    path: Path, content: str | bytes, **asked: str
) -> tuple[tuple[Column, ...], duckdb.DuckDBPyConnection]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    con = duckdb.connect()
    load_macros(con)
    given = read_files(con, [path])
    columns = recognise(con, given, asked, id_column=None)
    need_people(given, columns)
    return columns, con


@pytest.mark.parametrize(
    ("name", "content", "first_row"),
    [
        ("bom.csv", codecs.BOM_UTF8 + b"name;mail\nJ\xc3\xbcrgen;a@b.de\n", ("Jürgen", "a@b.de")),
        ("latin.csv", "name,mail\nRenée,r@x.fr\n".encode("latin-1"), ("Renée", "r@x.fr")),
        (
            "mixed.csv",
            b"\xef\xbb\xbfname,mail\nRen\xe9e \x8cil,r@x.fr\n" + "Zoë,z@x.fr\n".encode(),
            ("Renée Œil", "r@x.fr"),
        ),
        ("wide.csv", "name,mail\nЮлия,j@x.bg\n".encode("utf-16"), ("Юлия", "j@x.bg")),
        ("tabs.tsv", b"name\tmail\n\xe7\x8e\x8b\xe5\xb0\x8f\xe6\x98\x8e\t\n", ("王小明", None)),
        ("ragged.csv", b'name,mail\n"Ann\nLee",a@b.co,more\nBob\n', ("Ann\nLee", "a@b.co")),
        ("crlf.csv", b"name,mail\r\n 'Ann' , a@b.co \r\n", ("'Ann'", "a@b.co")),
    ],
)
def test_any_encoding_and_delimiter_is_read(
    tmp_path: Path, name: str, content: bytes, first_row: tuple[str, str | None]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    con = duckdb.connect()
    given = read_files(con, [path])
    assert given.columns == ("name", "mail")
    assert con.execute("select c1, c2 from given order by row_number").fetchall()[0] == first_row


def test_headers_that_come_twice_or_not_at_all_are_numbered(tmp_path: Path) -> None:
    path = tmp_path / "twice.csv"
    path.write_text("name,name,,email\nAnn,x,y,a@b.co\n", encoding="utf-8")
    given = read_files(duckdb.connect(), [path])
    assert given.columns == ("name", "name_2", "column_3", "email")
    assert "more than once" in given.files[0].notes[0]


def test_files_are_united_by_header(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,email\nAnn,a@b.co\n", encoding="utf-8")
    duckdb.sql(f"copy (select 'Ann' as name, '1' as phone) to '{tmp_path}/b.parquet'")
    con = duckdb.connect()
    given = read_files(con, [tmp_path / "a.csv", tmp_path / "b.parquet"])
    assert given.columns == ("name", "email", "phone")
    assert con.execute("select * from given order by 1").fetchall() == [
        (1, 0, "Ann", "a@b.co", None),
        (2, 1, "Ann", None, "1"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"nothing\.csv does not exist; did you mean `other\.csv`"),
        (b"", r"is empty"),
        (b"first_name,last_name\n", r"a header and no rows"),
        (b"\x89PNG\x00\x01\n", r"not a text file with columns"),
        (
            b"alpha,beta\n1,2\n3,4\n",
            r"no column looks like one about people.*--map last_name=alpha",
        ),
    ],
)
def test_what_cannot_be_read_says_why_and_what_to_do(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    (tmp_path / "other.csv").write_text("x\n1\n", encoding="utf-8")
    path = tmp_path / "nothing.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileError, match=message):
        con = duckdb.connect()
        load_macros(con)
        given = read_files(con, [path])
        columns = recognise(con, given, {}, id_column=None)
        build_contacts(con, columns)
        need_people(given, find_out(con, columns, _no_rules())[0])


def _no_rules() -> Rules:
    from identity.rules import default_path, read

    return read(default_path())


def test_names_of_columns_in_several_languages(tmp_path: Path) -> None:
    header = "KundenNr;Vorname;Nachname;E-Mail;Geburtsdatum;PLZ;Ort;Straße;Telefon"
    row = "17;Eva;Groß;e@x.de;01.02.1980;04109;Leipzig;Am Markt 1;0341 123456"
    assert recognised(tmp_path / "de.csv", f"{header}\n{row}\n") == {
        "KundenNr": "attribute",
        "Vorname": "first_name",
        "Nachname": "last_name",
        "E-Mail": "email",
        "Geburtsdatum": "birth_date",
        "PLZ": "postcode",
        "Ort": "city",
        "Straße": "street",
        "Telefon": "phone",
    }


def test_somebody_elses_address_and_an_answer_are_not_used(tmp_path: Path) -> None:
    found = recognised(
        tmp_path / "x.csv",
        "CustomerEmailAddress,given_name,employer_zipcode,cluster_id,soc_sec_id,updated_at\n"
        "a@b.co,Ann,12345,7,1234567,2020-01-01\n",
    )
    assert found == {
        "CustomerEmailAddress": "email",
        "given_name": "first_name",
        "employer_zipcode": "attribute",
        "cluster_id": "ignored",
        "soc_sec_id": "identifier",
        "updated_at": "ignored",
    }


def test_columns_without_a_telling_name_are_known_by_what_they_hold(tmp_path: Path) -> None:
    rows = "".join(
        f"Ann{'a' * (i % 7)} Lee{'e' * (i % 5)},a{i}@b.co,19{40 + i % 60}-0{1 + i % 9}-11\n"
        for i in range(60)
    )
    found = recognised(tmp_path / "x.csv", "f1,f2,f3\n" + rows)
    assert found == {"f1": "full_name", "f2": "email", "f3": "birth_date"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"surname": "lastname"}, r"no field `lastname`; did you mean `last_name`"),
        ({"surnme": "last_name"}, r"no column `surnme`; did you mean `surname`"),
    ],
)
def test_a_wrong_map_names_the_nearest_right_word(
    tmp_path: Path, asked: dict[str, str], message: str
) -> None:
    with pytest.raises(FileError, match=message):
        recognised(tmp_path / "x.csv", "surname\nLee\n", **asked)


def found_out(path: Path, content: str, rules: Rules) -> tuple[dict[str, str], Findings]:
    columns, con = look(path, content)
    build_contacts(con, columns)
    columns, findings = find_out(con, columns, rules)
    return {c.header: c.field for c in columns}, findings


def test_an_identifier_is_what_one_person_shares_and_a_household_is_not(
    tmp_path: Path, rules: Rules
) -> None:
    rows = "".join(
        f"Name{chr(97 + i % 26)}{chr(97 + i // 26)},Surname{i // 2},19{40 + i}0101,P{1000 + i},H{100 + i // 2}\n"
        for i in range(40)
        for _ in range(2)
    )
    fields, findings = found_out(
        tmp_path / "x.csv", "first_name,last_name,dob,pass_no,group_no\n" + rows, rules
    )
    assert [f.name for f in findings.identifiers] == ["pass_no"]
    assert fields["group_no"] == "ignored"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["13/02/1980", "03/04/1981"], ["19800213", "19810403"]),
        (["02/13/1980", "03/04/1981"], ["19800213", "19810304"]),
        (["01051990", "02172018"], ["19900105", "20180217"]),
        (["19560409", "19081356"], ["19560409", "19081356"]),
        (["1.2.80", "3.4.81"], ["19800201", "19810403"]),
        (["1980-02-13 00:00:00", "13 Feb 1980"], ["19800213", "19800213"]),
    ],
)
def test_dates_follow_the_habit_of_their_source(
    tmp_path: Path, given: list[str], expected: list[str]
) -> None:
    content = "last_name,dob\n" + "".join(f"Lee,{v}\n" for v in given)
    columns, con = look(tmp_path / "x.csv", content, dob="birth_date")
    build_contacts(con, columns)
    rows = con.execute("select birth_text from canonical.contacts order by contact_key").fetchall()
    assert [r[0] for r in rows] == expected


PARTS = "by,bm,bd\n"


@pytest.mark.parametrize(
    ("header", "rows", "fields", "births", "ages"),
    [
        # R writes whole numbers of a column with gaps as 7.0; one part that is missing leaves the year
        (PARTS, ["1949,7,22", "1952.0,11.0,3.0", "1960,,5"],
         ["birth_year", "birth_month", "birth_day"], ["19490722", "19521103", None], [51, 48, 40]),
        ("yob,created_month,day\n", ["1949,7,22", "1950,8,23", "1951,9,24"],
         ["birth_year", "ignored", "attribute"], [None] * 3, [51, 50, 49]),
        ("dob,birth_year,birth_month\n", ["1949-07-22,1949,7", "1950-01-02,1950,1", "1951-02-03,1951,2"],
         ["birth_date", "ignored", "ignored"], ["19490722", "19500102", "19510203"], [None] * 3),
        # who wrote it, and a month of nobody's birth
        ("by,bm,surname\n", ["ann,7,Lee", "bob,8,Ray", "eve,9,Kay"],
         ["attribute", "attribute", "last_name"], [None] * 3, [None] * 3),
    ],
)  # fmt: skip
def test_a_birth_date_may_be_in_three_columns(
    tmp_path: Path,
    header: str,
    rows: list[str],
    fields: list[str],
    births: list[str | None],
    ages: list[int | None],
) -> None:
    columns, con = look(tmp_path / "x.csv", header + "\n".join(rows) + "\n")
    assert [column.field for column in columns] == fields
    build_contacts(con, columns)
    found = con.execute("select birth_text, age from canonical.contacts order by contact_key")
    assert found.fetchall() == list(zip(births, ages, strict=True))


@pytest.mark.parametrize("word", ["NA", r"\N", "NULL", "nan", "#N/A"])
def test_words_for_nothing_are_nothing(tmp_path: Path, word: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text("last_name,email,phone\n" + f"Lee,{word},{word}\n" * 3 + "Ray,r@x.co,\n")
    con = duckdb.connect()
    given = read_files(con, [path])
    assert empty_markers(con, given) == (word,)
    assert con.execute("select count(c1), count(c2), count(c3) from given").fetchall() == [
        (4, 1, 0)
    ]


def test_a_word_for_nothing_may_be_a_name(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    # written by R: NA in two columns; a Ms Null among many, in one
    rows = "".join(
        f"Ann{n},{'NA' if n % 9 == 0 else 'M'},{'Null' if n == 30 else 'Lee'},NA\n"
        for n in range(40)
    )
    path.write_text("first_name,middle_name,last_name,phone\n" + rows.replace("Null", "NULL"))
    con = duckdb.connect()
    given = read_files(con, [path])
    assert empty_markers(con, given) == ("NA",)
    assert con.execute(
        "select count(c1), count(c2), count(*) filter (c3 = 'NULL'), count(c4) from given"
    ).fetchall() == [(40, 35, 1, 0)]
    assert con.execute("select row_number from given limit 2").fetchall() == [(1,), (2,)]


def read_rows(path: Path) -> tuple[tuple[str, ...], list[tuple[str | None, ...]]]:
    """Return the columns of a file and its rows."""
    con = duckdb.connect()
    given = read_files(con, [path])
    rows = con.execute("select * exclude (row_number, file) from given order by row_number")
    return given.columns, rows.fetchall()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("name", ["a[1]", "a*", "a?"])
def test_a_name_with_wildcards_is_that_file(tmp_path: Path, name: str, kind: str) -> None:
    for stem, person in (("a1", "Bob"), (name, "Ann")):
        relation = duckdb.sql(f"select '{person}' as name, '{stem}' as note")
        plain = tmp_path / f"plain.{kind}"
        relation.write_csv(str(plain)) if kind == "csv" else relation.write_parquet(str(plain))
        plain.rename(tmp_path / f"{stem}.{kind}")
    assert read_rows(tmp_path / f"{name}.{kind}") == (("name", "note"), [("Ann", name)])


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("\nname,mail\nAnn,a@b.co\n", ("name", "mail")),
        ("\r\n  \r\nname,mail\r\nAnn,a@b.co\r\n", ("name", "mail")),
        ("\r\rname,mail\rAnn,a@b.co\r", ("name", "mail")),
        (",,\nname,mail\nAnn,a@b.co\n", ("name", "mail")),
        ("\ufeff\nname,mail\nAnn,a@b.co\n", ("name", "mail")),
        ('"full\nname",mail\nAnn,a@b.co\n', ("full name", "mail")),
        ('"full\nname";mail\r\nAnn;a@b.co\r\n', ("full name", "mail")),
        ("full\x0bname,mail\nAnn,a@b.co\n", ("full\x0bname", "mail")),
        ("full\x85name,mail\nAnn,a@b.co\n", ("full\x85name", "mail")),
        ("full\u2028name,mail\nAnn,a@b.co\n", ("full\u2028name", "mail")),
        ("sep=;\r\nname,full;mail\r\nAnn;a@b.co\r\n", ("name,full", "mail")),
        ('"sep=\t"\nname\tmail\nAnn\ta@b.co\n', ("name", "mail")),
    ],
)
@pytest.mark.parametrize("ragged", [False, True])
def test_the_header_is_the_first_row_with_anything_in_it(
    tmp_path: Path, content: str, columns: tuple[str, str], ragged: bool
) -> None:
    path = tmp_path / "x.csv"
    end = next(e for e in ("\r\n", "\n", "\r") if content.endswith(e))
    separator = next(s for s in ";\t," if f"Ann{s}" in content)
    path.write_bytes((content + (f"Bob{separator * 3}more{end}" if ragged else "")).encode())
    expected: list[tuple[str | None, ...]] = [("Ann", "a@b.co")]
    assert read_rows(path) == (columns, expected + ([("Bob", None)] if ragged else []))


@pytest.mark.parametrize("content", ["\n\nname,mail\n", "sep=;\n", ",,\n,,\n", " \n"])
def test_a_header_with_nothing_below_or_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.csv").write_text(content, encoding="utf-8")
    with pytest.raises(FileError, match=r"x\.csv (has|is)"):
        read_rows(tmp_path / "x.csv")


def test_a_quote_that_does_not_end_is_no_header(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('name,"mail\n' + "Ann,a@b.co\n" * 200, encoding="utf-8")
    with pytest.raises(FileError, match=r"a quote in the header does not end"):
        read_rows(path)


def test_labels_with_wildcards_in_their_name_are_refused(tmp_path: Path) -> None:
    from identity.labels import LabelsError
    from orchestration.cli.identity_quality import _people

    with pytest.raises(LabelsError, match="rename the file"):
        _people(duckdb.connect(), tmp_path / "a[1].csv")
