"""Rows as lines: what comes out of a line is what went in, whatever it holds."""

import json

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reverse_etl import lines
from reverse_etl.destination import Row
from reverse_etl.lines import LINE_SQL, Lines

TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)


@given(st.lists(st.tuples(TEXTS, TEXTS, st.booleans()), max_size=5))
def test_a_row_comes_out_of_its_line_as_it_was(given_rows: list[tuple[str, str, bool]]) -> None:
    with duckdb.connect() as con:
        con.execute("CREATE TABLE t (kind VARCHAR, row_key VARCHAR, payload VARCHAR, n INTEGER)")
        expected = []
        for n, (key, value, leaves) in enumerate(given_rows):
            fields = "{}" if leaves else json.dumps({"a": value, "b": 1.50}, ensure_ascii=False)
            con.execute(
                "INSERT INTO t VALUES (?, ?, ?, ?)", ["remove" if leaves else "add", key, fields, n]
            )
            operation = "remove" if leaves else "upsert"
            expected.append(Row(key, operation, fields, f"id {n}" if leaves else None, not leaves))
        found = con.execute(f"SELECT {LINE_SQL} FROM t ORDER BY n").fetchall()
    rows = Lines(
        [line for (line,) in found],
        [row.remote_id for row in expected],
        [r.is_new for r in expected],
    )
    assert list(rows) == expected
    assert len(rows) == len(expected)
    # who has rows and no lines writes the same document
    assert [json.loads(line) for line in lines.of(expected)] == [
        json.loads(line) for line in rows.lines
    ]
    assert list(lines.of(rows)) == list(rows.lines)


def test_halves_of_lines_are_rows() -> None:
    rows = Lines(
        [f'{{"operation":"upsert","key":"{key}","fields":{{}}}}' for key in "abc"],
        [None] * 3,
        [True] * 3,
    )
    assert [row.key for row in rows[:2]] == ["a", "b"]
    assert rows[2].key == "c"
    with pytest.raises(IndexError):
        rows[3]
