"""The sample company's contacts and identifiers as `canonical`, straight from its files.

dbt makes these tables in the product; this short cut lets identity be tried and tested without it.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

COMPANY = Path(__file__).parents[2] / "seeds" / "company"

EMPTY = """
create schema if not exists canonical;
create table canonical.contacts (
    contact_key varchar, source_system varchar, source_record_id varchar, first_name varchar, last_name varchar,
    full_name varchar, email varchar, phone varchar, birth_date date, address_line1 varchar, city varchar,
    region varchar, postal_code varchar, country_code varchar, created_at timestamp, updated_at timestamp,
    is_deleted boolean, loaded_at timestamp);
create table canonical.identifiers (
    node_key varchar, identifier_type varchar, identifier_value varchar, is_verified boolean,
    first_seen_at timestamp, last_seen_at timestamp);
"""

RAW = """
create temp table newsletter as
    select * from read_csv('{0}/newsletter/signups.csv', delim = ',', header = true, all_varchar = true,
        null_padding = true, ignore_errors = true);
create temp table crm as
    select * from read_csv('{0}/crm/contacts.csv', delim = ';', header = true, all_varchar = true,
        null_padding = false, ignore_errors = true, parallel = false);
create temp table loyalty as
    select * from read_csv('{0}/stores/loyalty_cards.csv.gz', delim = ',', header = true, all_varchar = true);
create temp table shop as
    select * from read_json('{0}/shop/customers.json', columns = {{
        id: 'varchar', email: 'varchar', email_verified: 'boolean', first_name: 'varchar', last_name: 'varchar',
        phone: 'varchar', date_of_birth: 'varchar', created_at: 'timestamp', updated_at: 'timestamp',
        default_address: 'struct(address1 varchar, city varchar, province varchar, zip varchar,
            country_code varchar)'}});
create temp table events as
    select * from read_json('{0}/web/events.ndjson', format = 'newline_delimited', ignore_errors = true, columns = {{
        type: 'varchar', anonymousId: 'varchar', userId: 'varchar', timestamp: 'timestamp',
        traits: 'struct(email varchar)'}});
"""

COUNTRY = """case lower({0})
    when 'uk' then 'GB' when 'united kingdom' then 'GB' when 'great britain' then 'GB' when 'england' then 'GB'
    when 'germany' then 'DE' when 'deutschland' then 'DE' when 'france' then 'FR'
    when 'usa' then 'US' when 'united states' then 'US' when 'united states of america' then 'US'
    when '' then null else upper({0}) end"""

CANONICAL = f"""
insert into canonical.contacts by name
select
    'newsletter:' || record_id as contact_key, 'newsletter' as source_system, record_id as source_record_id,
    first_name, last_name, email, try_strptime(birthday, '%m/%d/%Y')::date as birth_date,
    postcode as postal_code, {COUNTRY.format("country")} as country_code,
    try_cast(signed_up_at as timestamp) as created_at, false as is_deleted
from (
    select *, left(sha256(content), 32) || '-' || row_number() over (partition by content) as record_id
    from (
        select *, array_to_string([coalesce(signed_up_at, ''), coalesce(email, ''), coalesce(first_name, ''),
            coalesce(last_name, ''), coalesce(birthday, ''), coalesce(postcode, ''), coalesce(country, ''),
            coalesce(list, '')], chr(31)) as content
        from newsletter
    )
)
where try_cast(signed_up_at as timestamp) is not null;

insert into canonical.contacts by name
select
    'crm:' || "ContactID" as contact_key, 'crm' as source_system, "ContactID" as source_record_id,
    "GivenName" as first_name, "Surname" as last_name, "Email" as email, coalesce("Phone", "Mobile") as phone,
    try_strptime("DateOfBirth", '%d.%m.%Y')::date as birth_date, "Street" as address_line1, "City" as city,
    "Postcode" as postal_code, {COUNTRY.format('"Country"')} as country_code,
    try_strptime("CreatedOn", '%d.%m.%Y %H:%M') as created_at, false as is_deleted
from crm;

insert into canonical.contacts by name
select
    'shop:' || id as contact_key, 'shop' as source_system, id as source_record_id, first_name, last_name, email,
    phone, try_cast(date_of_birth as date) as birth_date, default_address.address1 as address_line1,
    default_address.city as city, default_address.zip as postal_code,
    default_address.country_code as country_code, created_at, false as is_deleted
from shop;

insert into canonical.contacts by name
select
    'stores:' || card_no as contact_key, 'stores' as source_system, card_no as source_record_id, first_name,
    last_name, email, phone, try_cast(birth_date as date) as birth_date, street as address_line1, city,
    postcode as postal_code, {COUNTRY.format("country")} as country_code,
    try_cast(joined_on as timestamp) as created_at, false as is_deleted
from loyalty;

insert into canonical.identifiers by name
select distinct * from (
    select contact_key as node_key, 'email' as identifier_type, email as identifier_value,
        source_system = 'shop' and source_record_id in (select id from shop where email_verified) as is_verified
    from canonical.contacts
    union all
    select contact_key, 'phone', phone, false from canonical.contacts
    union all
    select 'crm:' || "ContactID", 'phone', "Mobile", false from crm
    union all
    select 'shop:' || id, 'user_id', id, true from shop
    union all
    select 'crm:' || "ContactID", 'user_id', "ShopCustomerNo", true from crm
    union all
    select 'stores:' || card_no, 'loyalty_card', card_no, true from loyalty
    union all
    select 'anon:' || "anonymousId", 'anonymous_id', "anonymousId", true from events
    union all
    select 'anon:' || "anonymousId", 'user_id', "userId", true from events
    union all
    select 'anon:' || "anonymousId", 'email', traits.email, false from events
)
where identifier_value is not null and node_key is not null;
"""


def load(con: duckdb.DuckDBPyConnection, company: Path = COMPANY) -> None:
    """Create canonical.contacts and canonical.identifiers from the sample company's files."""
    con.execute(EMPTY)
    con.execute(RAW.format(company))
    con.execute(CANONICAL)


def truth(company: Path = COMPANY) -> str:
    """Return the query, in parentheses, of truth(contact_key, person_id)."""
    return f"""(
        select source_system || ':' || source_record_id as contact_key, person_id
        from read_csv('{company}/truth/contacts.csv', delim = ',', header = true, all_varchar = true))"""
