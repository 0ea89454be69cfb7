"""A text becomes what it says or nothing: no digit is cut off, whatever way leads there."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.casts import cast
from ingestion.sources import Column

CON = duckdb.connect()


def value(text: str, kind: str) -> str | None:
    """The text of the value, as DuckDB writes it."""
    query = f"select ({cast('t', Column('t', kind), kind)})::varchar from (select ?::varchar as t)"
    found: list[tuple[Any]] = CON.execute(query, [text]).fetchall()
    return found[0][0]


@pytest.mark.parametrize("kind", ["INTEGER", "BIGINT", "HUGEINT"])
@pytest.mark.parametrize(
    ("text", "whole"),
    [
        *[(text, text) for text in ("0", "7", "10", "100", "12345", "123456789", "-5", "-100")],
        *[("007", "7"), ("+12", "12"), (" 12", "12"), ("12.", "12"), ("12.00", "12")],
        *[
            (text, None)
            for text in ("1.5", "99.5", "0.5", "1e3", "12e2", "9e9", "1.23e2", "123e-1")
        ],
        *[(text, None) for text in ("1_000", "1,000", "0xfffff", "0b11", "5e-1.", "", "true", "x")],
    ],
)
def test_only_digits_make_a_whole_number(kind, text, whole):
    assert value(text, kind) == whole


@pytest.mark.parametrize(
    ("text", "kind", "number"),
    [
        ("12.5", "DECIMAL(18,2)", "12.50"),
        ("12", "DECIMAL(18,2)", "12.00"),
        ("-0.25", "DECIMAL(18,2)", "-0.25"),
        ("12.500", "DECIMAL(18,2)", "12.50"),
        ("1.5e1", "DECIMAL(18,2)", "15.00"),
        ("19.999", "DECIMAL(18,2)", None),
        ("123e-3", "DECIMAL(18,2)", None),
        ("-23e-8.", "DECIMAL(18,2)", None),  # DuckDB takes a point behind the exponent
        ("23e-8. ", "DECIMAL(18,2)", None),
        ("1.23456", "DECIMAL(18,4)", None),
        ("0.25", "DECIMAL(2,2)", ".25"),
        # Too great to be looked at with twelve digits more: right or refused, never an error.
        ("36920000000000000000000000000.00", "DECIMAL(38,2)", "36920000000000000000000000000.00"),
        ("-2.3084319560272423e19", "DECIMAL(38,10)", None),
    ],
)
def test_a_decimal_loses_no_digit(text, kind, number):
    assert value(text, kind) == number


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02 03:04:05", "2026-01-02 03:04:05"),
        ("2026-01-02T03:04:05", "2026-01-02 03:04:05"),
        ("2026-01-02T03:04:05Z", "2026-01-02 03:04:05"),
        ("2026-1-2 3:04+02:00", "2026-01-02 01:04:00"),  # 19 signs as well
        ("2026-01-02 03:04+01", "2026-01-02 02:04:00"),
        ("2026-01-02 03:04:05.5", "2026-01-02 03:04:05.5"),
        ("2026-13-02 03:04:05", None),
        ("2026-02-30T03:04:05Z", None),
    ],
)
def test_a_moment_is_in_utc_however_long_its_text_is(text, moment):
    assert value(text, "TIMESTAMP") == moment


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("true", "true"),
        ("false", "false"),
        ("TRUE", "true"),
        ("f", "false"),
        ("2", None),
        ("", None),
    ],
)
def test_a_truth_is_said_in_words(text, truth):
    assert value(text, "BOOLEAN") == truth


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text("0123456789.eE-+_ x", max_size=9), max_size=60))
def test_whatever_number_comes_of_a_text_is_the_one_it_says(texts):
    for kind in ("INTEGER", "BIGINT", "DECIMAL(9,0)", "DECIMAL(18,2)", "DECIMAL(18,3)"):
        made = cast("t", Column("t", kind), kind)
        wrong = CON.execute(
            f"select t, {made} from (select unnest(?::varchar[]) as t) "
            f"where {made} is not null and try_cast(t as decimal(38,26)) <> {made}::decimal(38,26)",
            [[text for text in texts if len(text.split("e")[-1]) < 4]],
        ).fetchall()
        assert wrong == []
