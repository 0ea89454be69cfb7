"""What is SQLite's own: affinities, a file that is busy."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reverse_etl.destination import Batch, RejectError, RetryError, Row
from reverse_etl.destinations.sqlite import Sqlite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "crm.db"
    with sqlite3.connect(found) as con:
        con.execute(
            "CREATE TABLE people (id INTEGER PRIMARY KEY, n NUMERIC, exact TEXT, raw BLOB,"
            " whole INTEGER CHECK (typeof(whole) IN ('integer', 'null')))"
        )
    return found


def make(path: Path, **changes: str) -> Sqlite:
    return Sqlite({"path": str(path), "table": "people", "key_column": "id", **changes})


def batch(key: str, row_key: str, fields: str) -> Batch:
    names = ("n", "exact", "raw", "whole")
    return Batch("people", "r1", 1, key, names, [Row(row_key, "upsert", fields)])


def test_values_take_the_affinities_of_the_columns(path: Path) -> None:
    with make(path) as to:
        number = "12345678901234567.80"
        fields = f'{{"n":12.50,"exact":{number},"raw":"AAE=","whole":9007199254740993}}'
        to.send(batch("k1", "9007199254740993", fields))
        with pytest.raises(RejectError, match="SQLITE_CONSTRAINT_CHECK") as refused:
            to.send(batch("k2", "1", '{"whole":"zoe@x"}'))
        assert "zoe" not in str(refused.value)
        with pytest.raises(RejectError):
            to.send(batch("k2", "no number", "{}"))
    with sqlite3.connect(path) as con:
        found = con.execute("SELECT * FROM people").fetchall()
    assert found == [(9007199254740993, 12.5, number, b"\0\1", 9007199254740993)]


def test_a_busy_file_is_waited_for_and_no_longer(path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    with make(path, timeout_seconds="0.1") as to:
        to.send(batch("k1", "1", "{}"))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RetryError) as busy:
            to.send(batch("k2", "2", "{}"))
        assert not busy.value.maybe_applied
        other.rollback()
        to.send(batch("k2", "2", "{}"))
    assert other.execute("SELECT count(*) FROM people").fetchall() == [(2,)]
    other.close()


STEPS = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from("abcd"), st.integers() | st.none(), min_size=1),
        st.lists(st.integers(0, 50), max_size=2),
        st.sampled_from(["upsert", "add_only", "update_only"]),
    ),
    max_size=8,
)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_whatever_is_repeated_late_the_table_is_as_if_nothing_was(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[dict[str, int | None], list[int], str]],
) -> None:
    """Batches in any mode (None: a removal), after each of which earlier ones are sent again."""
    path = tmp_path_factory.mktemp("repeats") / "crm.db"
    expected: dict[str, str] = {}
    sent: list[Batch] = []
    with make(path, create_table="true", table="people") as to:
        for changes, repeats, mode in steps:
            rows = [
                Row(key, "remove", "{}")
                if value is None
                else Row(key, "upsert", f'{{"v":{value}}}')
                for key, value in changes.items()
            ]
            fields = Batch(
                "s", "r", 1, f"k{len(sent)}", ("v",), rows, mode, field_types=("HUGEINT",)
            )
            sent.append(fields)
            answer = to.send(fields)
            for key, value in changes.items():
                is_there = key in expected
                assert (key in answer.rows) == (
                    mode == "update_only" and value is not None and not is_there
                )
                if value is None:
                    expected.pop(key, None)
                elif {"upsert": True, "add_only": not is_there, "update_only": is_there}[mode]:
                    expected[key] = str(value)
            for at in repeats:
                to.send(sent[at % len(sent)])
    if sent:
        with sqlite3.connect(path) as con:
            assert dict(con.execute("SELECT id, v FROM people").fetchall()) == expected
