"""JSON values keep their digits; types are those that their values allow."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reverse_etl.destination import Batch, Row
from reverse_etl.json_values import bound, column_types, dump, family, parse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=9), VALUES, max_size=3))
def test_what_is_parsed_is_dumped_as_it_was(value: dict[str, Any]) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert dump(parse(text)) == text


@given(
    st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
)
def test_no_digit_of_a_number_is_lost(number: str) -> None:
    assert bound(parse(f'{{"n":{number}}}')["n"], is_binary=False) == number
    assert dump(parse(f'{{"n":[{number}]}}')) == f'{{"n":[{number}]}}'


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "null", "-2"], "BIGINT"),
        (["9223372036854775807"], "BIGINT"),
        (["9223372036854775808"], "DECIMAL"),
        (["9" * 5000], "DECIMAL"),
        (["1", "2.50"], "DECIMAL"),
        (["1", "2.50", "1e300"], "DOUBLE"),
        (["true", "false"], "BOOLEAN"),
        (["true", "1"], "VARCHAR"),
        (['"2026-03-01T12:00:00.000000Z"'], "TIMESTAMP WITH TIME ZONE"),
        (['"2026-03-01T12:00:00.000000Z"', '"soon"'], "VARCHAR"),
        (['"2026-03-01"'], "VARCHAR"),
        (["[1]", "{}"], "JSON"),
        (["null"], "VARCHAR"),
    ],
)
def test_types_that_values_allow(values: list[str], expected: str) -> None:
    rows = [Row(str(at), "upsert", f'{{"f":{value}}}') for at, value in enumerate(values)]
    batch = Batch("s", "r", 1, "k", ("f",), [*rows, Row("gone", "remove", "{}")])
    assert column_types(batch) == {"f": expected}


def test_types_that_the_batch_says_are_taken() -> None:
    rows = [Row("c1", "upsert", '{"f":1}')]
    batch = Batch("s", "r", 1, "k", ("f",), rows, field_types=("DECIMAL(18,2)",))
    assert column_types(batch) == {"f": "DECIMAL(18,2)"}


@pytest.mark.parametrize(
    ("duckdb_type", "expected"),
    [
        ("DECIMAL(18,2)", "decimal"),
        ("HUGEINT", "decimal"),
        ("INTEGER", "integer"),
        ("TIMESTAMP WITH TIME ZONE", "timestamp"),
        ("TIMESTAMP_NS", "timestamp"),
        ("VARCHAR[]", "json"),
        ("STRUCT(a INTEGER)", "json"),
        ("ENUM('a')", "text"),
        ("DATE", "date"),
        ("UUID", "text"),
    ],
)
def test_families(duckdb_type: str, expected: str) -> None:
    assert family(duckdb_type) == expected
