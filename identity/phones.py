"""Phone numbers in E.164, each distinct one read once.

Plain numbers (digits and the usual punctuation, of a country whose trunk prefix is one digit or
none) are read in SQL by the lengths and prefixes of the `phonenumbers` package; whatever else there is
(extensions, carrier codes, countries with rules of their own) by the package itself.
"""

from __future__ import annotations

from collections.abc import Iterable

import duckdb


def read_phones(work: duckdb.DuckDBPyConnection, default_country: str) -> None:
    """Create given_phones(given, country_code, e164) from distinct_phones(given, country_code).

    e164 is null where no number can be read. A number without a country code is read in
    `country_code`, or in `default_country` where that is null.
    """
    _load_plans(work, default_country)
    work.execute(
        r"""
        create or replace table read_numbers as
        with bare as (
            select
                given, country_code,
                regexp_replace(given, '[ ()./-]+', '', 'g') as digits,
                regexp_full_match(digits, '\+?[0-9]{6,17}') as is_plain,
                digits[1] = '+' as is_international,
                -- calling codes are free of prefixes: one of the three is the number's
                case when is_international then coalesce(
                    (select calling_code from calling_codes where calling_code = digits[2:2]),
                    (select calling_code from calling_codes where calling_code = digits[2:3]),
                    (select calling_code from calling_codes where calling_code = digits[2:4])
                ) end as calling_code
            from distinct_phones
        ),
        abroad as (
            select b.given, b.country_code, b.calling_code,
                digits[2 + length(b.calling_code):] as national, c.prefixes, c.lengths
            from bare as b
            join calling_codes as c using (calling_code)
            where is_plain
        ),
        home as (
            select b.given, b.country_code, p.calling_code,
                case when digits[1] = p.trunk then digits[2:] else digits end as national,
                p.prefixes, p.lengths
            from bare as b
            join phone_plans as p on p.region = coalesce(upper(b.country_code), $1)
            where is_plain and not is_international
                and (digits[1] = p.trunk or not starts_with(digits, p.calling_code))
        )
        select given, country_code, '+' || calling_code || national as e164
        from (from abroad union all from home)
        where list_contains(lengths, length(national))
            and national[1] <> '0'
            and not list_contains(
                list_transform(prefixes, lambda x: starts_with(national, x)), true)
        """,
        [default_country.upper()],
    )
    _read_the_rest(work, default_country)


def _load_plans(work: duckdb.DuckDBPyConnection, default_country: str) -> None:
    """Create phone_plans(region, calling_code, trunk, prefixes, lengths) of the countries that
    there are, and calling_codes, the same by calling code for numbers that say theirs.
    """
    import phonenumbers as p

    countries = work.execute("select distinct upper(country_code) from distinct_phones").fetchall()
    regions = {str(c) for (c,) in countries if c} | {default_country.upper()}
    plans = [plan for region in sorted(regions) if (plan := _plan(region)) is not None]
    mains = {
        code: plan
        for code, (main, *_) in sorted(p.COUNTRY_CODE_TO_REGION_CODE.items())
        if (plan := _plan(main)) is not None
    }
    kinds = "calling_code varchar, trunk varchar, prefixes varchar[], lengths integer[]"
    work.execute(f"create or replace table phone_plans (region varchar, {kinds})")
    work.execute(f"create or replace table calling_codes ({kinds})")
    if plans:
        work.executemany("insert into phone_plans values (?, ?, ?, ?, ?)", plans)
    work.executemany(
        "insert into calling_codes values (?, ?, ?, ?)", [m[1:] for m in mains.values()]
    )


def _plan(region: str) -> tuple[str, str, str, list[str], list[int]] | None:
    """Return region, calling code, trunk prefix ('' for none), whatever no national number starts
    with, and national lengths, if that is all there is to reading a number.
    """
    import phonenumbers as p

    metadata = p.PhoneMetadata.metadata_for_region(region, None)
    if metadata is None or metadata.national_prefix_transform_rule is not None:
        return None
    trunk = metadata.national_prefix or ""
    prefixes = (metadata.national_prefix_for_parsing or "").split("|") if trunk else [""]
    if len(trunk) > 1 or trunk not in prefixes or not "".join(["0", *prefixes]).isdigit():
        return None
    code = metadata.country_code
    if code is None:
        return None
    main = p.PhoneMetadata.metadata_for_region(p.COUNTRY_CODE_TO_REGION_CODE[code][0], None)
    own, common = (
        m and m.general_desc and m.general_desc.possible_length for m in (metadata, main)
    )
    if not own or not common:
        return None
    lengths = set(own) & set(common)
    return region, str(code), trunk, [x for x in prefixes if x], sorted(lengths)


def _read_the_rest(work: duckdb.DuckDBPyConnection, default_country: str) -> None:
    import pyarrow as pa

    rest = work.sql(
        """
        select d.given, d.country_code
        from distinct_phones as d
        anti join read_numbers as r
            on r.given = d.given and r.country_code is not distinct from d.country_code
        """
    ).to_arrow_table()
    given, countries = (rest.column(c).to_pylist() for c in ("given", "country_code"))
    numbers = list(e164(zip(given, countries, strict=True), default_country))
    work.register(
        "parsed_phones",
        pa.table(
            {
                "given": pa.array(given, pa.string()),
                "country_code": pa.array(countries, pa.string()),
                "e164": pa.array(numbers, pa.string()),
            }
        ),
    )
    work.execute(
        """
        create or replace table given_phones as
        from read_numbers union all from parsed_phones
        """
    )
    work.unregister("parsed_phones")


def e164(numbers: Iterable[tuple[str | None, str | None]], default: str) -> Iterable[str | None]:
    """Yield each (number, country) in E.164, None where it is no possible number."""
    import phonenumbers as p

    for given, country in numbers:
        try:
            parsed = p.parse(given or "", (country or default).upper())
        except p.NumberParseException:
            yield None
            continue
        parsed.extension = None
        yield (
            p.format_number(parsed, p.PhoneNumberFormat.E164)
            if p.is_possible_number(parsed)
            else None
        )
