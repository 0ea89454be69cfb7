"""NDJSON read for its declared keys alone: never otherwise than when every line is asked."""

from __future__ import annotations

import json
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion import casts, ledger, load
from ingestion.readers import documents, shortcut
from ingestion.sources import Arrival, Column, Format, Ingest, SourceTable

COLUMNS = {"id": "integer", "name": "varchar", "doc": "json", "at": "timestamp"}
PLAIN = '{"id":1,"name":"Ada","at":"2026-01-02 03:04:05"}\n' * 3_000
FOUND = "select id, name, doc::varchar, _extra::varchar from raw_crm.people where id = 2"


@pytest.fixture
def people(project):
    return project.declare({"format": {"type": "ndjson"}}, COLUMNS)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `verify` decided, and the queries that it asked every line with."""
    seen: list[str] = []
    verify = shortcut.verify

    def noted(con: Any, reading: Any, *rest: Any) -> None:
        class Asking:
            def execute(self, query: str) -> Any:
                seen.extend(["every line"] if query == reading.stray else [])
                return con.execute(query)

        try:
            verify(Asking(), reading, *rest)
        except shortcut.OverlookedError:
            seen.append("overlooked")
            raise
        seen.append("whole")

    monkeypatch.setattr(shortcut, "verify", noted)
    return seen


def test_a_plain_file_is_read_once_and_its_colons_prove_it(project, people, asked):
    project.drop("people.ndjson", PLAIN)
    (result,) = project.load(people)
    assert (result.rows_loaded, asked) == (3_000, ["whole"])


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ('{"id":2,"name":null}', (2, None, None, None)),
        ('{"id" : 2}', (2, None, None, None)),
        ('{"id":2,"name":"a : b"}', (2, "a : b", None, None)),
        ('{"id":2,"doc":{"x":[1e20]}}', (2, None, '{"x":[100000000000000000000.0]}', None)),
        ('{"id":2,"name":1e20}', (2, "1e+20", None, None)),
        ('{"id":2,"name":""}', (2, "", None, None)),
    ],
)
def test_a_later_line_that_colons_say_nothing_about_is_asked(project, people, asked, line, row):
    project.drop("people.ndjson", PLAIN + line + "\n")
    (result,) = project.load(people)
    assert (result.rows_read, result.rows_loaded) == (3_001, 3_001)
    assert project.rows(FOUND) == [row]
    assert asked[-1] == "whole"


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ('{"id":2,"new":"x"}', (2, None, None, '{"new":"x"}')),
        ('{"id":2,"name":null,"new":{}}', (2, None, None, '{"new":{}}')),
        ('{"id":2,"new" \t:[]}', (2, None, None, '{"new":[]}')),
        (r'{"id":2,"x\"name":1}', (2, None, None, r'{"x\"name":1}')),
        ('{"id":2,"ID":3}', (2, None, None, '{"ID":3}')),
    ],
)
def test_an_undeclared_key_in_a_late_line_is_kept_and_reported(project, people, asked, line, row):
    project.drop("people.ndjson", PLAIN + line + "\n")
    (result,) = project.load(people)
    assert (result.rows_loaded, len(result.new_columns)) == (3_001, 1)
    assert project.rows(FOUND) == [row]
    assert asked[-1] == "overlooked"
    assert project.rows("select count(*) from ingestion.deliveries") == [(1,)]


@pytest.mark.parametrize(
    "line", ['{"id":2,"name":null}', '{"id":2,"name": null,"at" : null}', '{"id":2,"new":null}']
)
def test_a_null_needs_no_second_look_and_says_nothing(project, people, asked, line):
    project.drop("people.ndjson", PLAIN + line + "\n")
    (result,) = project.load(people)
    assert (asked, result.new_columns) == (["whole"], ())
    assert project.rows(FOUND) == [(2, None, None, None)]


@pytest.mark.parametrize("line", ["junk", "[1]", '"x"', '{"id":2', '{"new":1}', "{}"])
def test_a_late_line_without_a_declared_key_is_told_apart_from_a_broken_one(project, people, line):
    project.drop("people.ndjson", PLAIN + line + "\n")
    (result,) = project.load(people)
    fine = line in ("{}", '{"new":1}')
    assert (result.rows_read, result.rows_quarantined) == (3_001, 0 if fine else 1)
    found = project.rows("select row_number, raw from ops.quarantine")
    assert found == ([] if fine else [(3_001, line)])


def test_names_that_differ_in_case_only_are_told_apart(project):
    columns = {"id": "integer", "name": ("varchar", {"aliases": ["Name", "NAME"]})}
    table = project.declare({"format": {"type": "ndjson"}}, columns)
    project.drop("people.ndjson", '{"id":1,"Name":"Ada"}\n{"id":2,"NAME":"Bo","naMe":"C"}\n')
    project.load(table)
    assert project.rows("select id, name, _extra::varchar from raw_crm.people order by id") == [
        (1, "Ada", None),
        (2, "Bo", '{"naMe":"C"}'),
    ]


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(["", " : ", "1", "1.5", "1e3", '":', "null", "2026-01-02", "ä\n"]),
        st.text(max_size=5),
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)
NAMES = st.sampled_from(["id", "id", "name", "name", "doc", "at", "ID", "new", "", "/", "~", "$x"])
RECORDS = st.one_of(
    st.dictionaries(NAMES, VALUES, max_size=4),
    st.fixed_dictionaries({"id": st.integers(0, 9), "name": st.text(max_size=3)}),
    st.fixed_dictionaries({"id": st.integers(0, 9), "name": st.text(max_size=3)}),
)
SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (" , ", " :"), (",\t", "\t:\t")])
BROKEN = st.sampled_from(["junk", "[1]", "3", '{"id":2', "{}", "", '{"id":1}{"id":2}', "null"])
LINES = st.lists(
    st.one_of(
        st.tuples(RECORDS, SEPARATORS).map(lambda given: json.dumps(given[0], separators=given[1])),
        st.tuples(RECORDS, SEPARATORS).map(lambda given: json.dumps(given[0], separators=given[1])),
        BROKEN,
    ),
    max_size=6,
)


def everything(content: str, kinds: dict[str, str] = COLUMNS) -> list[Any]:
    """All that a load leaves behind, in a warehouse of its own."""
    columns = tuple(Column(name, kind) for name, kind in kinds.items())
    ingest = Ingest("files", "x", Format("ndjson"))
    table = SourceTable("s", "t", "raw_s", Path("x.yml"), 1, columns, ingest)
    with duckdb.connect() as con, tempfile.TemporaryDirectory() as folder:
        ledger.ensure(con, [table])
        path = Path(folder) / "x.ndjson"
        path.write_text(content, encoding="utf-8")
        arrivals = [Arrival(path, "x")]
        results = load.load(con, table, arrivals, run_id="r", now=datetime(2026, 7, 1))
        queries = (
            "from raw_s.t order by all",
            "select * exclude (sample_type) from ops.drift order by all",
            "from ops.quarantine order by all",
        )
        return [results, *(con.execute(query).fetchall() for query in queries)]


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(LINES)
def test_the_quick_way_and_the_full_one_leave_the_same_behind(lines):
    # The first line is plain, and the only one that is looked at beforehand.
    content = "\n".join(['{"id":1,"name":"Ada"}', *lines]) + "\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shortcut, "_FIRST_LINES", 1)
        quick = everything(content)
        patch.setattr(documents.shortcut, "quick", lambda *_: None)
        assert everything(content) == quick


NUMBERS = {
    "id": "bigint",
    "small": "tinyint",
    "paid": "decimal(9,2)",
    "ratio": "double",
    "name": "varchar",
    "member": "boolean",
    "at": "timestamp",
    "day": "date",
}
PROVEN = '{"id":1,"small":2,"paid":3.25,"ratio":0.1,"name":"Ada","member":true}'
LIKE_NUMBERS = st.one_of(
    st.sampled_from(
        ["1", "-1", "1.0", "1.5", "1e2", "0.001", "9007199254740993", "1e15", "99999999.99", "-0.0"]
    ),
    st.sampled_from(
        ["128", "20260101", "1.005", "123456789012345678901", "true", "false", "null", "[]", "{}"]
    ),
    st.sampled_from(
        ['"1"', '"1_0"', '" 1"', '"true"', '"x"', '""', '"2026-01-02"', '"2026-01-02 03:04:05"']
    ),
    st.sampled_from(['"5-5"', '":1"', r'"\":1"']),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.dictionaries(st.sampled_from([*NUMBERS]), LIKE_NUMBERS, max_size=4), max_size=3),
    SEPARATORS,
)
def test_what_is_read_as_a_number_is_what_its_text_says(lines, separators):
    comma, colon = separators
    written = [
        "{" + comma.join(f'"{name}"{colon}{value}' for name, value in line.items()) + "}"
        for line in lines
    ]
    content = "\n".join([PROVEN.replace(":", colon), *written]) + "\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shortcut, "_FIRST_LINES", 1)
        quick = everything(content, NUMBERS)
        patch.setattr(documents.shortcut, "quick", lambda *_: None)
        assert everything(content, NUMBERS) == quick


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], ["whole"]),
        (['{"id":2,"paid":-3.5,"name":"Bo","at":"2026-01-02 03:04:05"}'], ["whole"]),
        (['{"id":2,"name":null,"paid":null}'], ["whole"]),
        (['{"id":3,"paid":true}'], ["overlooked", "every line", "whole"]),
        (['{"id":2,"paid":"3.50"}'], ["overlooked", "whole"]),
        (['{"id":2,"paid":3.505}'], ["overlooked", "every line", "whole"]),
        (['{"id":9007199254740993}'], ["overlooked", "whole"]),
        # as many numbers as there should be, but one of them is a text's
        (['{"id":"2","name":7}'], ["overlooked", "whole"]),
        (['{"id":2,"new":1}'], ["overlooked", "every line", "overlooked"]),
    ],
)
@pytest.mark.parametrize("colon", [":", ": "])
def test_numbers_are_read_as_such_where_nothing_else_can_have_become_one(
    project, asked, lines, says, colon
):
    table = project.declare({"format": {"type": "ndjson"}}, NUMBERS)
    text = "\n".join([PROVEN] * 3_000 + lines) + "\n"
    project.drop("people.ndjson", text.replace('":', f'"{colon}'))
    (result,) = project.load(table)
    assert (result.rows_read, asked) == (3_000 + len(lines), says)
    wrong = [line for line in lines if "3.505" in line or "true" in line]
    assert result.rows_quarantined == len(wrong)


def test_a_number_is_no_moment():
    """Why numbers are told from texts without a look at columns of moments."""
    with duckdb.connect() as con:
        for kind in ("date", "timestamp", "timestamptz"):
            for text in ("1", "-1", "20260101", "2026.01", "1e5", "1.5e-3", "20260101120000"):
                value = casts.cast("x", Column("x", kind), kind.upper())
                found = con.execute(f"select {value} from (select ? as x)", [text]).fetchall()
                assert found == [(None,)], (kind, text)


@pytest.mark.parametrize("quick", [True, False])
def test_a_fraction_is_what_json_says_and_no_other_value_becomes_one(project, monkeypatch, quick):
    """Numbers with fractions come as JSON, and are told by it from texts and from true."""
    if not quick:
        monkeypatch.setattr(documents.shortcut, "quick", lambda *_: None)
    table = project.declare(
        {"format": {"type": "ndjson"}}, {"id": "integer", "paid": "decimal(9,2)", "ratio": "double"}
    )
    values = [
        "1.5",
        '"2.50"',
        "3",
        "-0.25",
        "1e2",
        "null",
        '""',
        "1.234",
        "true",
        "[1]",
        '"x"',
        '"~"',
    ]
    lines = [f'{{"id":{i},"paid":{v},"ratio":{v}}}' for i, v in enumerate(values)]
    project.drop("people.ndjson", "\n".join(lines) + "\n")
    (result,) = project.load(table)
    assert project.rows("select id, paid::varchar, ratio from raw_crm.people order by id") == [
        *[(0, "1.50", 1.5), (1, "2.50", 2.5), (2, "3.00", 3.0), (3, "-0.25", -0.25)],
        *[(4, "100.00", 100.0), (5, None, None), (6, None, None)],
    ]
    assert project.rows("select row_number, column_name from ops.quarantine order by 1") == [
        (n, "paid") for n in range(8, 13)
    ]
    assert result.rows_read == len(values)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"id":2,"doc":{"a":1,"b":{"c":[{"d":2},{"e":"f"}]}}}', "whole"),
        ('{"id":2,"doc":{"a" : 1, "b": null},"name":null}', "whole"),
        (r'{"id":2,"doc":{"a\"":"\": x"}}', "whole"),
        (r'{"id":2,"doc":{"a":"\u0022:"},"new":1}', "overlooked"),
        (r'{"id":2,"doc":{"a":"\":null"},"new":1}', "overlooked"),
        ('{"id":2,"doc":{"a":1},"new":1}', "overlooked"),
        ('{"id":2,"doc":{"a":null},"new":1}', "overlooked"),
        ('{"id":2,"doc":["x"],"new":{"a":1}}', "overlooked"),
    ],
)
def test_keys_inside_declared_json_explain_colons_and_no_others(project, people, asked, line, says):
    project.drop("people.ndjson", PLAIN + line + "\n")
    (result,) = project.load(people)
    assert (result.rows_loaded, asked[-1]) == (3_001, says)
    assert len(result.new_columns) == (says == "overlooked")


def test_json_inside_needs_no_second_look(project, people, asked):
    project.drop(
        "people.ndjson", PLAIN + '{"id":2,"doc":{"a":{"b":1}}}\n{"id":3,"doc":{"c":null}}\n'
    )
    project.load(people)
    assert asked == ["whole"]
