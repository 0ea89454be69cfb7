"""What the columns of a file of people are: by their names first, then by what is in them.

Nothing here reads a truth column; the caller leaves it out of `given`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import duckdb

from identity.column_names import (
    ANSWERS,
    BIRTH_PARTS,
    DESCRIPTIONS,
    IDENTIFIERS,
    MANY,
    NOT_PERSONAL,
    OTHER_PARTIES,
    SYNONYMS,
    words,
)
from identity.given import FileError, Given
from identity.sections import nearest

# How many filled values of a column are looked at
SAMPLE_ROWS = 20_000

EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s.]+$"
PHONE = r"^[+(]?[0-9][0-9()\s./x+-]{6,}$"
PHONE_MARKS = r"[()+.\s-]|^0|^[0-9]{10,}$"
DATE = (
    r"^((1[89]|20)[0-9]{2}[-/.]?[0-9]{2}[-/.]?[0-9]{2}|[0-9]{1,2}[-/. ][0-9]{1,2}[-/. ]([0-9]{2}|[0-9]{4})"
    r"|[0-9]{4}(1[89]|20)[0-9]{2})([ T]00:00(:00)?)?$"
)
NAME = r"^[\p{L}'\x{2019}.-]+(,? +[\p{L}'\x{2019}.-]+){1,3}$"
YEAR = r"^(1[89]|20)[0-9]{2}(\.0+)?$"
SEX = ("m", "f", "male", "female", "man", "woman", "w", "u", "x", "unknown", "other", "1", "2")


@dataclass(frozen=True)
class Column:
    """One column of the file: its header, its column of `given`, what it is taken for, and why.

    `field` is a field of SYNONYMS, 'identifier', 'attribute' (compared as it is) or 'ignored'.
    """

    header: str
    sql_name: str
    field: str
    why: str
    filled: float


@dataclass(frozen=True)
class Profile:
    """What is in a column: shares of the filled values, `filled` of all rows."""

    filled: float
    distinct: int
    count: int
    email: float
    phone: float
    date: float
    name: float
    digits: float
    sex: float
    year: float
    month: float
    day: float
    length: float


def recognise(
    con: duckdb.DuckDBPyConnection,
    given: Given,
    asked: Mapping[str, str],
    *,
    id_column: str | None,
    ignore: tuple[str, ...] = (),
) -> tuple[Column, ...]:
    """Say of each column of `given` what it is; `asked` maps a header to the field that it must be.

    Raises FileError, naming the nearest right word, for a field or a column that does not exist.
    """
    chosen = _chosen(given, asked)
    for header in (*ignore, *([id_column] if id_column else [])):
        need_column(given, header)
    taken: dict[str, str] = {}
    found: list[Column] = []
    for number, header in enumerate(given.columns, 1):
        name = f"c{number}"
        seen = _profile(con, name, given.rows)
        if header in chosen:
            field, why = chosen[header], "you said so"
        elif header == id_column:
            field, why = "id", "you said so"
        elif header in ignore:
            field, why = "ignored", "you said so"
        elif seen.count == 0:
            field, why = "ignored", "it is empty"
        else:
            field, why = _field(header, seen)
        if field in taken and field not in MANY and header not in chosen:
            if _fills_in(con, taken[field], name):
                why = f"where {given.columns[int(taken[field][1:]) - 1]} is empty"
            else:
                other = given.columns[int(taken[field][1:]) - 1]
                field, why = "attribute", f"{other} is the {field.replace('_', ' ')} already"
        if field not in MANY:
            taken.setdefault(field, name)
        found.append(Column(header, name, field, why, seen.filled))
    return tuple(_by_content(con, _with_birth_parts(found), given.rows))


def need_people(given: Given, columns: tuple[Column, ...]) -> None:
    """Raise FileError where no column says anything about a person."""
    if all(column.field in ("ignored", "attribute", "id", "source") for column in columns):
        raise FileError(
            f"no column looks like one about people: {', '.join(given.columns[:12])}."
            f" Say what they are, for instance --map last_name={given.columns[0]}"
        )


def need_column(given: Given, header: str) -> str:
    """Return `header` if the file has it; raise FileError naming the nearest column if not."""
    if header in given.columns:
        return header
    raise FileError(f"there is no column `{header}`; {nearest(header, given.columns)}")


def _chosen(given: Given, asked: Mapping[str, str]) -> dict[str, str]:
    fields = (*SYNONYMS, "identifier", "attribute", "ignored")
    for field in asked.values():
        if field not in fields:
            raise FileError(f"--map knows no field `{field}`; {nearest(field, fields)}")
    return {need_column(given, header): field for header, field in asked.items()}


def _field(header: str, seen: Profile) -> tuple[str, str]:
    """Name what a header means, if the content does not speak against it."""
    tokens = words(header)
    if tokens & ANSWERS:
        return "ignored", "it looks like an answer or a group, not like a person's own"
    named = _named(header, tokens)
    if named is None:
        if tokens & NOT_PERSONAL and not tokens & IDENTIFIERS:
            return "ignored", "it is about the record, not about the person"
        if tokens & IDENTIFIERS:
            return "ignored", "it describes another column"
        return "attribute", ""
    fits = {
        "email": seen.email >= 0.5,
        "phone": seen.phone >= 0.5 or seen.digits >= 0.8,
        "birth_date": seen.date >= 0.5,
        "birth_year": seen.year >= 0.9,
        "birth_month": seen.month >= 0.9,
        "birth_day": seen.day >= 0.9,
        "sex": seen.sex >= 0.5 or seen.distinct <= 8,
        "first_name": seen.digits < 0.5,
        "last_name": seen.digits < 0.5,
    }
    if not fits.get(named, True):
        return "attribute", f"named like a {named.replace('_', ' ')}, but it holds something else"
    return named, "by its name"


def _named(header: str, tokens: frozenset[str]) -> str | None:
    joined = "_".join(re.findall(r"[^\W_]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", header).lower()))
    for text in (joined, joined.replace("_", "")):
        for field, names in SYNONYMS.items():
            if text in names:
                return field
    if tokens & OTHER_PARTIES:
        return None
    if tokens & IDENTIFIERS and not tokens & DESCRIPTIONS:
        return "identifier"
    if tokens & (NOT_PERSONAL - {"date"}) or tokens & IDENTIFIERS:
        return None
    # the words that are left when those that say whose it is are gone: CustomerEmailAddress
    for field, names in SYNONYMS.items():
        for name in sorted(names, key=len, reverse=True):
            parts = frozenset(name.split("_"))
            if len(name) > 2 and parts <= tokens and len(tokens - parts) <= 3:
                return field
    return None


def _with_birth_parts(columns: list[Column]) -> list[Column]:
    """Leave the parts of a birth date in the place of a column that has all of it, and only if they
    say as much: a month or a day without a year is nobody's."""
    fields = {column.field: column.header for column in columns}
    if whole := fields.get("birth_date"):
        field, why = "ignored", f"the whole birth date is in {whole}"
    elif "birth_year" not in fields:
        field, why = "attribute", "there is no year of birth"
    else:
        return columns
    return [
        replace(column, field=field, why=why) if column.field in BIRTH_PARTS else column
        for column in columns
    ]


def _profile(con: duckdb.DuckDBPyConnection, name: str, rows: int) -> Profile:
    row = con.execute(
        f"""
        with filled as (
            select {name} as v from given where {name} is not null limit {SAMPLE_ROWS}
        )
        select
            (select count({name}) from given), (select count(distinct {name}) from given),
            avg(regexp_matches(v, $1)::int), avg((regexp_matches(v, $2) and
                length(regexp_replace(v, '[^0-9]', '', 'g')) between 7 and 15)::int),
            avg(regexp_matches(v, $3)::int), avg(regexp_matches(v, $4)::int),
            avg((regexp_matches(v, '[0-9]') and not regexp_matches(v, ' '))::int),
            avg(list_contains($5::varchar[], lower(v))::int),
            avg(regexp_matches(v, $6)::int),
            avg((try_cast(v as double) between 1 and 12)::int),
            avg((try_cast(v as double) between 1 and 31)::int), avg(length(v))
        from filled
        """,
        [EMAIL, PHONE, DATE, NAME, list(SEX), YEAR],
    ).fetchall()[0]
    count, distinct, *shares = row
    return Profile(
        int(count) / max(rows, 1), int(distinct), int(count), *(float(s or 0) for s in shares)
    )


def _by_content(con: duckdb.DuckDBPyConnection, columns: list[Column], rows: int) -> list[Column]:
    """Look into the columns that no name explains: what would make a file useful is found."""
    fields = {column.field for column in columns}
    found = []
    for column in columns:
        if column.field != "attribute" or column.why:
            found.append(column)
            continue
        field, why = "attribute", ""
        tokens = words(column.header)
        if not tokens & OTHER_PARTIES and not tokens & NOT_PERSONAL:
            seen = _profile(con, column.sql_name, rows)
            if seen.email >= 0.7:
                field, why = "email", "its values are email addresses"
            elif "birth_date" not in fields and seen.date >= 0.9 and seen.distinct > 20:
                field, why = "birth_date", "its values are dates, and no other column has them"
            elif "phone" not in fields and seen.phone >= 0.8 and _has_marks(con, column.sql_name):
                field, why = "phone", "its values look like phone numbers"
            elif not fields & {"full_name", "last_name", "first_name"} and seen.name >= 0.7:
                field, why = "full_name", "its values look like names"
            elif "sex" not in fields and seen.sex >= 0.95 and 2 <= seen.distinct <= 4:
                field, why = ("sex", "its values are sexes") if seen.digits < 0.5 else (field, why)
        fields.add(field)
        found.append(Column(column.header, column.sql_name, field, why, column.filled))
    return found


def _fills_in(con: duckdb.DuckDBPyConnection, first: str, second: str) -> bool:
    """Whether `second` is mostly filled where `first` is empty: one field in two columns."""
    both, either = con.execute(
        f"select count(*) filter ({first} is not null), count(*) from given where {second} is not null"
    ).fetchall()[0]
    return bool(both <= 0.3 * either)


def _has_marks(con: duckdb.DuckDBPyConnection, name: str) -> bool:
    share = con.execute(
        f"""
        select avg(regexp_matches({name}, '{PHONE_MARKS}')::int)
        from (select {name} from given where {name} is not null limit {SAMPLE_ROWS})
        """
    ).fetchall()[0][0]
    return float(share or 0) >= 0.8
