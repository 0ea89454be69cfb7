"""Warehouses to resolve: hand-made ones, and the sample company's `canonical` straight from its
files.

dbt makes these tables in the product; this short cut lets identity be tested without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from identity.configs import Config
from identity.overrides import Override, parse
from identity.resolve import resolve
from identity.rollback import rollback
from identity.rules import Rules, default_path, read
from identity.steering import Steered, apply, run
from identity.summary import RunSummary

COMPANY = Path(__file__).parents[2] / "seeds" / "company"

EMPTY = """
create schema if not exists canonical;
create table canonical.contacts (
    contact_key varchar, source_system varchar, source_record_id varchar, first_name varchar,
    last_name varchar, full_name varchar, email varchar, phone varchar, birth_date date,
    address_line1 varchar, city varchar, region varchar, postal_code varchar, country_code varchar,
    created_at timestamp, updated_at timestamp, is_deleted boolean, loaded_at timestamp);
create table canonical.consents (
    identifier_type varchar, identifier_value varchar, jurisdiction varchar);
create table canonical.identifiers (
    node_key varchar, identifier_type varchar, identifier_value varchar, is_verified boolean,
    first_seen_at timestamp, last_seen_at timestamp);
"""

RAW = """
create temp table newsletter as
    select * from read_csv('{0}/newsletter/signups.csv', delim = ',', header = true,
        all_varchar = true,
        null_padding = true, ignore_errors = true);
create temp table crm as
    select * from read_csv('{0}/crm/contacts.csv', delim = ';', header = true, all_varchar = true,
        null_padding = false, ignore_errors = true, parallel = false);
create temp table loyalty as
    select * from read_csv('{0}/stores/loyalty_cards.csv.gz', delim = ',', header = true,
        all_varchar = true);
create temp table shop as
    select * from read_json('{0}/shop/customers.json', columns = {{
        id: 'varchar', email: 'varchar', email_verified: 'boolean', first_name: 'varchar',
        last_name: 'varchar', phone: 'varchar', date_of_birth: 'varchar', created_at: 'timestamp',
        updated_at: 'timestamp', default_address: 'struct(address1 varchar, city varchar, province
        varchar, zip varchar,
            country_code varchar)'}});
create temp table events as
    select * from read_json('{0}/web/events.ndjson', format = 'newline_delimited',
        ignore_errors = true, columns = {{
        type: 'varchar', anonymousId: 'varchar', userId: 'varchar', timestamp: 'timestamp',
        traits: 'struct(email varchar)'}});
"""

COUNTRY = """case lower({0})
    when 'uk' then 'GB' when 'united kingdom' then 'GB' when 'great britain'
        then 'GB' when 'england' then 'GB'
    when 'germany' then 'DE' when 'deutschland' then 'DE' when 'france' then 'FR'
    when 'usa' then 'US' when 'united states' then 'US' when 'united states of america' then 'US'
    when '' then null else upper({0}) end"""

CANONICAL = f"""
insert into canonical.contacts by name
select
    'newsletter:' || record_id as contact_key, 'newsletter' as source_system, record_id as
    source_record_id, first_name, last_name, email, try_strptime(birthday, '%m/%d/%Y')::date as
    birth_date, postcode as postal_code, {COUNTRY.format("country")} as country_code,
    try_cast(signed_up_at as timestamp) as created_at, false as is_deleted
from (
    select *, left(sha256(content),
        32) || '-' || row_number() over (partition by content) as record_id
    from (
        select *, array_to_string([coalesce(signed_up_at, ''), coalesce(email, ''),
            coalesce(first_name, ''),
            coalesce(last_name, ''), coalesce(birthday, ''), coalesce(postcode, ''),
                coalesce(country, ''),
            coalesce(list, '')], chr(31)) as content
        from newsletter
    )
)
where try_cast(signed_up_at as timestamp) is not null;

insert into canonical.contacts by name
select
    'crm:' || "ContactID" as contact_key, 'crm' as source_system, "ContactID" as source_record_id,
    "GivenName" as first_name, "Surname" as last_name, "Email" as email, coalesce("Phone",
        "Mobile") as phone,
    try_strptime("DateOfBirth", '%d.%m.%Y')::date as birth_date, "Street" as address_line1, "City"
    as city, "Postcode" as postal_code, {COUNTRY.format('"Country"')} as country_code,
    try_strptime("CreatedOn", '%d.%m.%Y %H:%M') as created_at, false as is_deleted
from crm;

insert into canonical.contacts by name
select
    'shop:' || id as contact_key, 'shop' as source_system, id as source_record_id, first_name,
    last_name, email, phone, try_cast(date_of_birth as date) as birth_date,
    default_address.address1 as address_line1, default_address.city as city, default_address.zip as
    postal_code, default_address.country_code as country_code, created_at, false as is_deleted
from shop;

insert into canonical.contacts by name
select
    'stores:' || card_no as contact_key, 'stores' as source_system, card_no as source_record_id,
    first_name, last_name, email, phone, try_cast(birth_date as date) as birth_date, street as
    address_line1, city, postcode as postal_code, {COUNTRY.format("country")} as country_code,
    try_cast(joined_on as timestamp) as created_at, false as is_deleted
from loyalty;

insert into canonical.identifiers by name
select distinct * from (
    select contact_key as node_key, 'email' as identifier_type, email as identifier_value,
        source_system = 'shop'
            and source_record_id in (select id from shop where email_verified) as is_verified
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


IDENTIFIERS = ("email", "phone", "user_id", "loyalty_card")


class Warehouse:
    """A DuckDB warehouse with `canonical` in it, to fill by hand and resolve."""

    def __init__(self, rules: Rules, path: str = ":memory:") -> None:
        self.con = duckdb.connect(path)
        self.con.execute("set threads = 2")
        self.con.execute(EMPTY)
        self.rules = rules
        self.overrides: tuple[Override, ...] = ()
        self.runs = 0

    def contact(self, key: str, verified: bool = False, **values: object) -> None:
        """Add a contact; identifiers among the values become rows of canonical.identifiers."""
        columns = {k: v for k, v in values.items() if k not in ("user_id", "loyalty_card")}
        columns |= {
            "contact_key": key,
            "source_system": key.split(":", maxsplit=1)[0],
            "is_deleted": False,
        }
        names = ", ".join(columns)
        marks = ", ".join("?" for _ in columns)
        self.con.execute(
            f"insert into canonical.contacts ({names}) values ({marks})", list(columns.values())
        )
        for kind in IDENTIFIERS:
            if values.get(kind):
                self.identifier(key, kind, str(values[kind]), verified)

    def identifier(self, node: str, kind: str, value: str, verified: bool = False) -> None:
        """Add a row of canonical.identifiers."""
        self.con.execute(
            "insert into canonical.identifiers"
            " (node_key, identifier_type, identifier_value, is_verified)"
            " values (?, ?, ?, ?)",
            [node, kind, value, verified],
        )

    def visitor(self, name: str, **values: str) -> None:
        """Add an anonymous visitor with what it gave."""
        self.identifier(f"anon:{name}", "anonymous_id", name)
        for kind, value in values.items():
            self.identifier(f"anon:{name}", kind, value)

    def delete(self, key: str) -> None:
        self.con.execute(
            "update canonical.contacts set is_deleted = true where contact_key = ?", [key]
        )

    def resolve(self, hours: int | None = None) -> RunSummary:
        """Run resolution, each time an hour later unless `hours` says how many."""
        self.runs += 1
        now = datetime(2026, 7, 1) + timedelta(hours=self.runs if hours is None else hours)
        return resolve(
            self.con, self.rules, run_id=f"run-{self.runs}", now=now, overrides=self.overrides
        )

    def rollback(self, to: int) -> RunSummary:
        """Go back to what run number `to` left."""
        self.runs += 1
        return rollback(
            self.con,
            f"run-{to}",
            Config(self.rules, self.overrides),
            run_id=f"run-{self.runs}",
            now=datetime(2026, 7, 1) + timedelta(hours=self.runs),
        ).summary

    def steer(self, *, is_apply: bool = False) -> Steered:
        """Run resolution as the product does: with what is in force, guarded."""
        self.runs += 1
        return (apply if is_apply else run)(
            self.con,
            Config(self.rules, self.overrides),
            run_id=f"run-{self.runs}",
            now=datetime(2026, 7, 1) + timedelta(hours=self.runs),
        )

    def decide(self, action: str, left: str, right: str) -> None:
        """Add a decision of a person."""
        entry = f"{{action: {action}, left: {left}, right: {right}, author: jo, reason: asked,"
        entry += " created_at: 2026-07-01 10:00:00}"
        self.overrides += parse(f"overrides: [{entry}]", Path("overrides.yml"), self.rules)

    def ids(self) -> dict[str, str]:
        """Return customer_id by node_key."""
        rows = self.con.execute("select node_key, customer_id from identity.crosswalk").fetchall()
        assert len(rows) == len(dict(rows)), "a node is in the crosswalk twice"
        return dict(rows)

    def events(self, run: int | None = None) -> list[tuple[str, str | None, str | None]]:
        """Return (event, from, to) of the history of a run, the last one by default."""
        return self.con.execute(
            "select event, from_customer_id, to_customer_id from identity.history"
            " where run_id = ? order by all",
            [f"run-{run or self.runs}"],
        ).fetchall()


@pytest.fixture(scope="session")
def rules() -> Rules:
    return read(default_path())


@pytest.fixture(scope="session")
def new_warehouse(rules: Rules) -> Callable[[], Warehouse]:
    """A maker of empty warehouses, for tests that need one an example."""
    return lambda: Warehouse(rules)


@pytest.fixture
def warehouse(rules: Rules) -> Iterator[Warehouse]:
    made = Warehouse(rules)
    yield made
    made.con.close()


@pytest.fixture
def smith() -> dict[str, object]:
    return {
        "first_name": "Alice",
        "last_name": "Smith",
        "birth_date": date(1980, 5, 17),
        "address_line1": "12 Main Street",
        "postal_code": "02134",
        "country_code": "US",
    }


@pytest.fixture(scope="session")
def sample(rules: Rules) -> Warehouse:
    """The sample company, resolved once for the whole session."""
    made = sample_warehouse(rules)
    made.resolve()
    return made


def sample_warehouse(rules: Rules) -> Warehouse:
    if not COMPANY.is_dir():
        pytest.skip("the sample company is not there; run `make seeds`")
    made = Warehouse(rules)
    made.con.execute(RAW.format(COMPANY))
    made.con.execute(CANONICAL)
    made.con.execute(
        f"""
        create table truth as
        select source_system || ':' || source_record_id as contact_key, person_id, traps
        from read_csv('{COMPANY}/truth/contacts.csv', delim = ',', header = true,
            all_varchar = true)
        """
    )
    return made


@pytest.fixture
def part_of_sample(rules: Rules) -> Iterator[Warehouse]:
    """A tenth of the sample company's people, unresolved."""
    made = sample_warehouse(rules)
    made.con.execute(
        """
        delete from canonical.contacts where contact_key not in (
            select contact_key from truth where person_id like '%7');
        delete from canonical.identifiers
        where not starts_with(node_key, 'anon:')
            and node_key not in (select contact_key from canonical.contacts);
        """
    )
    yield made
    made.con.close()
