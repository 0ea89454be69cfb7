"""Numbers read in SQL are what the `phonenumbers` package reads."""

from __future__ import annotations

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.phones import e164, read_phones

COUNTRIES = ("US", "CA", "GB", "DE", "FR", "IT", "ES", "AU", "BR", "IN", "JP", "XX", None)
PREFIXES = (
    "",
    "",
    "0",
    "00",
    "011",
    "1",
    "+1",
    "+44",
    "+49",
    "+4",
    "+39",
    "44",
    "49",
    "+33 0",
    "+",
)
CODES = st.sampled_from(PREFIXES)
DIGITS = st.text("0123456789", min_size=3, max_size=13)
NUMBERS = st.tuples(CODES, DIGITS, st.sampled_from(("", " ", "-", ".", "/", " (", ") ")))


@given(st.lists(st.tuples(NUMBERS, st.sampled_from(COUNTRIES)), min_size=50, max_size=400))
@settings(deadline=None, max_examples=60)
def test_plain_numbers_are_read_as_the_package_reads_them(
    drawn: list[tuple[tuple[str, str, str], str | None]],
) -> None:
    rows = {(code + d[:3] + mark + d[3:], country) for (code, d, mark), country in drawn}
    with duckdb.connect() as con:
        con.execute("create table distinct_phones (given varchar, country_code varchar)")
        con.executemany("insert into distinct_phones values (?, ?)", [list(r) for r in rows])
        read_phones(con, "US")
        found = con.execute("select given, country_code, e164 from given_phones").fetchall()
        assert len(found) == len(rows)
        wrong = [
            (number, country, e164_found, wanted)
            for number, country, e164_found in found
            if e164_found != (wanted := next(iter(e164([(number, country)], "US"))))
        ]
        assert wrong == []


def test_most_numbers_need_no_package() -> None:
    with duckdb.connect() as con:
        con.execute(
            "create table distinct_phones as select unnest(['(617) 555-0134', '+16175550134',"
            " '617.555.0134', '1-617-555-0134']) as given, 'US' as country_code"
            " union all select '+44 20 7946 0018', null union all select '020 7946 0018', 'GB'"
        )
        read_phones(con, "US")
        assert con.execute("select count(*) from read_numbers").fetchall() == [(6,)]
        assert con.execute("select distinct e164 from given_phones order by 1").fetchall() == [
            ("+16175550134",),
            ("+442079460018",),
        ]
