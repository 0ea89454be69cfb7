# ruff: noqa: SIM905 - long lists of syllables read better as one string
"""Customers for the identity benchmark: records from four sources with the sample's kinds of
trouble, and who is who.

Everything follows from the number of records and the hashes of row numbers: the same file on every
machine, in seconds.
"""

from __future__ import annotations

import duckdb

from seeds import names

# Records a person has on average; the distribution is in `records` below.
RECORDS_PER_PERSON = 1.9
# The same at every size, so that quality can be compared.
PEOPLE_PER_POSTCODE = 25

SCHEMA = """
create schema canonical;
create table canonical.contacts (
    contact_key varchar, source_system varchar, source_record_id varchar, first_name varchar,
    last_name varchar, full_name varchar, email varchar, phone varchar, birth_date date,
    address_line1 varchar, city varchar, region varchar, postal_code varchar, country_code varchar,
    created_at timestamp, updated_at timestamp, is_deleted boolean, loaded_at timestamp);
create table canonical.identifiers (
    node_key varchar, identifier_type varchar, identifier_value varchar, is_verified boolean,
    first_seen_at timestamp, last_seen_at timestamp);
create table canonical.consents (
    identifier_type varchar, identifier_value varchar, jurisdiction varchar);
"""

MACROS = """
-- a number in [0, 1) that follows from a row and a salt
create temp macro draw(i, salt) as (hash(i, salt) % 1000003) / 1000003.0;
-- common entries come first: most draws are near the start of the list
create temp macro pick(list, u, bend) as list[1 + floor(len(list) * power(u, bend))::bigint];
create temp macro misspell(x, i, salt) as (
    case when length(x) < 4 then x
    else case hash(i, salt) % 3
        when 0 then left(x, 1 + (hash(i, salt + 1) % (length(x) - 2))::int)
            || right(x, length(x) - 2 - (hash(i, salt + 1) % (length(x) - 2))::int)
        when 1 then left(x, 1 + (hash(i, salt + 1) % (length(x) - 2))::int)
            || chr(97 + (hash(i, salt + 2) % 26)::int)
            || right(x, length(x) - 2 - (hash(i, salt + 1) % (length(x) - 2))::int)
        else left(x, 1 + (hash(i, salt + 1) % (length(x) - 3))::int)
            || x[3 + (hash(i, salt + 1) % (length(x) - 3))::int]
            || x[2 + (hash(i, salt + 1) % (length(x) - 3))::int]
            || right(x, length(x) - 3 - (hash(i, salt + 1) % (length(x) - 3))::int)
    end end);
"""

PERSONS = """
create temp table persons as
with places as (
    select range as person,
        -- four people in a row: strangers, two couples, or a family
        case
            when draw(range // 4, 1) < 0.45 then range
            when draw(range // 4, 1) < 0.75 then range - range % 2
            else range - range % 4
        end as household,
        draw(range // 4, 1) >= 0.75 and range % 4 >= 2 as is_child
    from range($people)
),
named as (
    select
        *,
        pick($first, draw(person, 2), 1.3) as own_first,
        case when draw(person, 3) < 0.9 then pick($last, draw(household, 4), 2.2)
            else pick($last, draw(person, 4), 2.2) end as last_name,
        is_child and person % 4 = 2 and draw(household, 5) < 0.03 as is_junior,
        date '1945-01-01' + (draw(person, 6) * 21000)::int as own_birth,
        date '1998-01-01' + (draw(household, 6) * 3600)::int as child_birth,
        -- twins share the date; other siblings are years apart
        is_child and draw(household, 7) < 0.06 as is_twin
    from places
),
dated as (
    select
        person, household,
        case when is_junior then pick($first, draw(household, 2), 1.3) else own_first end
            as first_name,
        last_name,
        case when is_junior then 'Jr' end as suffix,
        case when is_child then child_birth + case when person % 4 = 3 and not is_twin then 900
            else 0 end
            else own_birth end as birth_date,
        1 + (draw(household, 8) * 300)::int || ' ' || pick($last, draw(household, 9), 1.0)
            || [' Street', ' Road', ' Avenue', ' Lane'][1 + (hash(household, 10) % 4)::int] as street,
        (hash(household, 11) % $postcodes)::int as place,
        1 + (draw(person, 8) * 300)::int || ' ' || pick($last, draw(person, 9), 1.0)
            || ' Street' as new_street,
        (hash(person, 11) % $postcodes)::int as new_place,
        draw(person, 12) < 0.08 as has_moved,
        lower(case when hash(person, 13) % 3 = 0 then first_name[1] || last_name
            else first_name || '.' || last_name end) as plain_local,
        ['gmail.com', 'yahoo.com', 'hotmail.com', 'outlook.com', 'web.de', 'orange.fr'][
            1 + floor(6 * power(draw(person, 14), 1.8))::int] as domain
    from named
)
select
    * exclude (plain_local, domain),
    -- whoever came first has the plain name, the next ones a number
    replace(plain_local, ' ', '')
        || case when row_number() over (partition by plain_local, domain order by person) > 1
            then person::varchar else '' end || '@' || domain as email,
    first_name[1] || '_' || to_base((hash(person, 15) % 4294967296)::bigint, 36) || '@'
        || domain as second_email,
    'family.' || lower(replace(last_name, ' ', '')) || household || '@' || domain as family_email,
    2000000 + hash(person, 16) % 7999999 as mobile,
    200 + hash(person, 17) % 700 as mobile_area,
    2000000 + hash(household, 18) % 7999999 as landline,
    200 + hash(household, 19) % 700 as landline_area,
    ['US', 'US', 'US', 'US', 'US', 'GB', 'GB', 'DE', 'DE', 'FR'][1 + place % 10] as country
from dated
"""

RECORDS = """
create temp table records as
with copies as (
    select p.*, row_number() over () as r, unnest(range(
        case when draw(person, 20) < 0.5 then 1 when draw(person, 20) < 0.75 then 2
            when draw(person, 20) < 0.9 then 3 when draw(person, 20) < 0.97 then 4
            else 6 end)) as copy
    from persons as p
),
numbered as (
    select * exclude (r), person * 8 + copy as r,
        ['shop', 'crm', 'newsletter', 'stores'][1 + (hash(person * 8 + copy, 21) % 4)::int] as source
    from copies
    order by person, copy
    limit $records
),
-- what each system asks for, and how often people answer
asked as (
    select
        *,
        source <> 'newsletter' or draw(r, 22) < 0.6 as has_name,
        draw(r, 23) < case source when 'shop' then 0.95 when 'newsletter' then 1 when 'crm' then 0.7
            else 0.4 end as has_email,
        draw(r, 24) < case source when 'shop' then 0.4 when 'newsletter' then 0 when 'crm' then 0.75
            else 0.5 end as has_phone,
        draw(r, 25) < case source when 'shop' then 0.3 when 'newsletter' then 0.15
            when 'crm' then 0.45 else 0.7 end as has_birth,
        draw(r, 26) < case source when 'shop' then 0.8 when 'newsletter' then 0 when 'crm' then 0.75
            else 0.6 end as has_street,
        has_moved and draw(r, 27) < 0.5 as at_new
    from numbered
)
select
    r, person, source, source || ':' || hash(r, 28) as contact_key,
    case when not has_name then null
        when draw(r, 29) < 0.03 then misspell(first_name, r, 30)
        when draw(r, 29) < 0.10 then coalesce(map_extract(map($full, $short), first_name)[1], first_name)
        when draw(r, 29) < 0.12 then first_name[1] || '.'
        when draw(r, 29) < 0.13 then last_name
        when draw(r, 29) < 0.14 then 'Test'
        when draw(r, 29) < 0.17 then null
        else first_name end as given,
    case when not has_name then null
        when draw(r, 29) >= 0.12 and draw(r, 29) < 0.13 then first_name
        when draw(r, 31) < 0.03 then misspell(last_name, r, 32)
        when draw(r, 31) < 0.05 then null
        else last_name || coalesce(' ' || suffix, '') end as family,
    case when draw(r, 33) < 0.1 then 'upper' when draw(r, 33) < 0.2 then 'lower' end as letters,
    case when not has_email then null
        when draw(r, 34) < 0.01 then ['noemail@example.com', 'test@test.com', 'none@none.com',
            'info@shop.example.com'][1 + (hash(r, 35) % 4)::int]
        when draw(person, 36) < 0.10 and draw(r, 36) < 0.7 then family_email
        when draw(r, 37) < 0.15 then second_email
        when draw(r, 38) < 0.02 then misspell(email, r, 39)
        when draw(r, 38) < 0.05 then replace(email, '@', '+' || source || '@')
        when draw(r, 38) < 0.08 then upper(email)
        else email end as email,
    source = 'shop' and draw(r, 40) < 0.3 as is_verified,
    case when not has_phone then null
        when draw(r, 41) < 0.01 then ['000-000-0000', '9999999999'][1 + (hash(r, 42) % 2)::int]
        else {phone} end as phone,
    case when not has_birth then null
        when draw(r, 43) < 0.02 then date '1970-01-01'
        when draw(r, 43) < 0.03 then birth_date + 1 + (hash(r, 44) % 9)::int
        when draw(r, 43) < 0.04 and day(birth_date) <= 12
            then make_date(year(birth_date), day(birth_date), month(birth_date))
        else birth_date end as birth_date,
    case when not has_street then null
        when draw(r, 45) < 0.3 then replace(replace(case when at_new then new_street else street end,
            'Street', 'St.'), 'Avenue', 'Ave')
        when at_new then new_street else street end as street,
    case when has_street or draw(r, 46) < 0.3
        then lpad((10000 + case when at_new then new_place else place end)::varchar, 5, '0')
        end as postcode,
    country,
    case when source = 'shop' or source = 'crm' and draw(r, 47) < 0.2
        then 'u' || person * 2 + hash(r, 52) % 2 end as user_id,
    case when source = 'stores' then 'C-' || lpad((person * 2 + hash(r, 53) % 2)::varchar, 9, '0') end as card,
    timestamp '2024-01-01' + to_seconds((hash(r, 48) % 63000000)::bigint) as created_at
from asked
"""

# Each source writes numbers in its own way; a third of them are the household's landline.
PHONE = """
    case source
        when 'shop' then '+1' || {area} || {number}
        when 'crm' then '(' || {area} || ') ' || left({number}, 3) || '-' || right({number}, 4)
        else {area} || '.' || left({number}, 3) || '.' || right({number}, 4)
            || case when draw(r, 49) < 0.03 then ' ext. 12' else '' end
    end
""".format(
    area="(case when draw(r, 50) < 0.33 then landline_area else mobile_area end)::varchar",
    number="(case when draw(r, 50) < 0.33 then landline else mobile end)::varchar",
)

CANONICAL = """
insert into canonical.contacts by name
select
    contact_key, source as source_system, split_part(contact_key, ':', 2) as source_record_id,
    case when draw(r, 51) >= 0.1 then given_name end as first_name,
    case when draw(r, 51) >= 0.1 then family_name end as last_name,
    case when draw(r, 51) < 0.05 then concat_ws(', ', family_name, given_name)
        when draw(r, 51) < 0.1 then concat_ws(' ', given_name, family_name) end as full_name,
    email, phone, birth_date, street as address_line1, postcode as postal_code,
    'US' as country_code, created_at, created_at as updated_at, false as is_deleted,
    created_at as loaded_at
from (
    select *,
        case letters when 'upper' then upper(given) when 'lower' then lower(given) else given end
            as given_name,
        case letters when 'upper' then upper(family) when 'lower' then lower(family) else family end
            as family_name
    from records
);
insert into canonical.identifiers
select distinct on (node_key, kind, value) contact_key as node_key, kind, value,
    is_verified and kind = 'email' as is_verified, created_at, created_at
from records, lateral (
    values ('email', email), ('phone', phone), ('user_id', user_id), ('loyalty_card', card)
) as i(kind, value)
where value is not null;
create table truth as select contact_key, person as person_id from records;
"""


def generate(con: duckdb.DuckDBPyConnection, records: int) -> None:
    """Fill an empty database with `records` contacts in canonical.*, and truth(contact_key,
    person_id).
    """
    first = list(
        dict.fromkeys(
            names.FEMALE_EN
            + names.MALE_EN
            + names.FEMALE_DE
            + names.MALE_DE
            + names.FEMALE_FR
            + names.MALE_FR
        )
    )
    people = int(records * 1.05 / RECORDS_PER_PERSON) + 100
    con.execute(SCHEMA)
    con.execute(MACROS)
    con.execute(
        PERSONS,
        {
            "people": people,
            "first": first,
            "last": _last_names(),
            "postcodes": people // PEOPLE_PER_POSTCODE + 1,
        },
    )
    nicknames = {full: short[0] for full, short in names.NICKNAMES.items() if short}
    con.execute(
        RECORDS.format(phone=PHONE),
        {"records": records, "full": list(nicknames), "short": list(nicknames.values())},
    )
    con.execute(CANONICAL)
    con.execute("drop table records; drop table persons")


def _last_names() -> list[str]:
    """Some twelve thousand family names, real ones first."""
    real = list(dict.fromkeys(names.LAST_EN + names.LAST_DE + names.LAST_FR))
    starts = (
        "Bar Bel Ber Bran Car Clar Cor Dal Dun El Fen Fair Gar Gran Har Hol Kel Kir Lan Lor Mar Mel"
        " Nor Os Pal Pem Quin Ram Ros Sal Shel Stan Tal Thorn Und Val Wal West Wood Yar Zel"
    ).split()
    middles = "a e i o u an en in on er ar el il or am".split()
    ends = (
        "ton ley field man son ham wick ford dale more well by worth stead croft land ner ski ga ro"
    ).split()
    made = [a + b + c for b in middles for c in ends for a in starts]
    return real + made
