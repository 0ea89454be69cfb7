"""A large company for the warehouse benchmark, in SQL: raw tables, their deliveries, and who is who.

Rows go straight into the tables that loading fills (quicker by far, and loading has a benchmark of
its own); staging finds the shape it always finds. Identity is written as it would have resolved, so
that the benchmark is of models alone. Everything follows from hashes of row numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb

from identity import tables as identity_tables
from ingestion import ledger, stored
from ingestion.sources import SourceTable
from ingestion.sql import stored_table

# What the company's systems are; `vars: sources` of the project it is built in.
SOURCES = {
    "shop": ["contacts", "orders", "order_items", "products"],
    "crm": ["contacts"],
    "web": ["events"],
    "consents": ["consents"],
    "finance": ["exchange_rates"],
    "mailer": ["campaigns", "email_events"],
}
FIRST_DAY = datetime(2024, 7, 1)
DAYS = 730
EVENTS_PER_VISIT = 8
MONTHS = 24
Values = Mapping[str, object]


@dataclass(frozen=True)
class Size:
    """How many there are before the day that is added."""

    customers: int
    events: int
    orders: int


# hash(x, 1) and the like are DuckDB's own: 64 bits, evenly spread.
MACROS = """
create or replace temp macro draw(a, b) as (hash(a, b) >> 11)::double / 9007199254740992.0;
create or replace temp macro pick(a, b, n) as (hash(a, b) % n)::bigint;
create or replace temp macro word(a, b) as
    ['ann', 'bob', 'carla', 'dan', 'eve', 'frank', 'gina', 'hal', 'ida', 'jon', 'kim', 'leo'][1 + pick(a, b, 12)];
create or replace temp macro browser(b) as left(md5('browser' || b), 12);
"""

CUSTOMERS = """
insert into {target} by name
select
    'C' || c as id, word(c, 1) || c || '@example.com' as email, draw(c, 2) < 0.5 as email_verified,
    word(c, 3) as first_name, word(c, 4) || c % 5000 as last_name,
    case when draw(c, 5) < 0.4 then '+1555' || lpad(c::varchar, 7, '0') end as phone,
    case when draw(c, 6) < 0.3
        then '19' || (50 + pick(c, 7, 49)) || '-0' || (1 + pick(c, 8, 9)) || '-1' || pick(c, 9, 9) end as date_of_birth,
    $first_at::timestamp + to_seconds(pick(c, 10, $seconds)) as created_at,
    $changed_at::timestamp as updated_at,
    ('{{"address1":"' || pick(c, $version, 999) || ' Main Street","city":"' || upper(word(c, 11))
        || '","zip":"' || lpad(pick(c, 12, 99999)::varchar, 5, '0')
        || '","country_code":"' || ['GB', 'DE', 'FR'][1 + c % 3] || '"}}')::json as default_address,
    1 as _occurrence, $delivery as _delivery
from ({which}) as people(c)
"""

CRM = """
insert into {target} by name
select
    'K' || c as ContactID, word(c, 4) || c % 5000 as Surname, word(c, 3) as GivenName,
    word(c, 1) || c || '@example.com' as Email, '+1555' || lpad(c::varchar, 7, '0') as Mobile,
    pick(c, $version, 999) || ' High Street' as Street, word(c, 11) as City,
    lpad(pick(c, 12, 99999)::varchar, 5, '0') as Postcode, ['GB', 'DE', 'FR'][1 + c % 3] as Country,
    case when draw(c, 13) < 0.5 then 'C' || c end as ShopCustomerNo,
    $first_at::timestamp + to_seconds(pick(c, 14, $seconds)) as CreatedOn, $changed_at::timestamp as ModifiedOn,
    1 as _occurrence, $delivery as _delivery
from ({which}) as people(c)
"""

CONSENTS = """
insert into {target} by name
select
    'k' || c || '-' || $version as consent_id, 'email' as identifier_type,
    word(c, 1) || c || '@example.com' as identifier,
    ['marketing', 'ads'][1 + c % 2] as purpose, ['email', 'ads'][1 + c % 2] as channel,
    case when draw(c, 15 + $version) < 0.7 then 'granted' else 'withdrawn' end as status, 'consent' as legal_basis,
    $changed_at::timestamp as recorded_at, 1 as _occurrence, $delivery as _delivery
from ({which}) as people(c)
"""

ORDERS = """
insert into {target} by name
select
    'O' || o as id, 'C' || pick(o, 20, $customers) as customer_id,
    case when draw(o, 21) < 0.3 then 'cart' || pick(o, 22, $carts) end as cart_token,
    created_at, case when draw(o, $version) < 0.9 then 'paid' else 'refunded' end as status, 'web' as source_name,
    ['EUR', 'USD', 'GBP'][1 + pick(o, 23, 3)] as currency,
    (10 + pick(o, 24, 20000) / 100.0)::decimal(18, 2) as gross_amount, 0::decimal(18, 2) as discount_amount,
    2::decimal(18, 2) as tax_amount, 5::decimal(18, 2) as shipping_amount,
    case when draw(o, $version) < 0.9 then 0 else 10 end::decimal(18, 2) as refund_amount,
    ('[{{"line":1,"sku":"S' || pick(o, 25, 500)
        || '","title":"Thing","category":"Things","quantity":1,"unit_price":"10.00",'
        || '"unit_cost":"4.00","net_amount":"10.00"}},{{"line":2,"sku":"S' || pick(o, 26, 500)
        || '","title":"Other","category":"Things","quantity":2,"unit_price":"5.00","unit_cost":"2.00",'
        || '"net_amount":"10.00"}}]')::json as line_items,
    1 as _occurrence, $delivery as _delivery
from (select o, $first_at::timestamp + to_seconds(pick(o, 27, $seconds)) as created_at from ({which}) as t(o))
"""

# A visit v is of one browser (some come often) and is delivered in the month that it was in.
EVENTS = """
insert into {target} by name
with visits as (
    select
        v, 2 + pick(v, 30, 2 * $per_visit - 3) as n, floor($browsers * draw(v, 31) ** 2)::bigint as b,
        $first_at::timestamp + to_seconds((v - $first_visit) * $seconds // $visits + pick(v, 32, 80000)) as began_at
    from range($first_visit, $first_visit + $visits) as t(v)
),
messages as (
    select v, b, i, n, began_at, hash(v, i) as h, began_at + to_seconds(i * 37) as happened_at,
        b % 3 < 2 and i >= 3 and v % 3 = 0 as is_known
    from visits, unnest(range(n)) as t(i)
)
select
    md5(v || '-' || i) as messageId,
    case when i % 2 = 0 then 'page' when is_known and i = 3 then 'identify' else 'track' end as type,
    case when i % 2 = 1 and not (is_known and i = 3)
        then ['Product Viewed', 'Product Viewed', 'Product Added', 'Checkout Started'][1 + (h % 4)::int] end as event,
    browser(b) as anonymousId, case when is_known then 'C' || b % $customers end as userId,
    happened_at as timestamp, happened_at + interval 1 second as receivedAt,
    ('{{"page":{{"url":"https://shop.example/p/' || h % 500
        || case when i = 0 and v % 4 = 0 then '?gclid=' || h else '' end || '","referrer":"'
        || case when i = 0 then 'https://www.google.com/' else 'https://shop.example/' end || '"}}'
        || case when i = 0 and v % 2 = 0
            then ',"campaign":{{"source":"google","medium":"cpc","name":"spring' || v % 9 || '"}}' else '' end
        || ',"device":{{"type":"' || ['desktop', 'mobile'][1 + b % 2]
        || '"}},"locale":"en-GB","location":{{"country":"GB"}}}}')::json as context,
    case when i % 2 = 0 then '{{"name":"Page"}}'
        else '{{"product_id":"S' || h % 500 || '","price":11.5,"quantity":1,"currency":"GBP"'
            || case when h % 4 >= 2 then ',"cart_id":"cart' || v || '"' else '' end || '}}' end::json as properties,
    case when is_known and i = 3
        then ('{{"email":"' || word(b % $customers, 1) || b % $customers || '@example.com"}}')::json end as traits,
    1 as _occurrence,
    $delivery + case when $spread
        then (datediff('day', $first_at::timestamp, began_at) * $months // ($days + 2))::int else 0 end as _delivery
from messages
"""

MAILS = """
insert into {target} by name
select
    'm' || m as sg_event_id, 'msg' || m // 2 as sg_message_id,
    ['processed', 'delivered', 'open', 'click'][1 + pick(m, 40, 4)] as event,
    word(c, 1) || c || '@example.com' as email,
    epoch($first_at::timestamp)::bigint + pick(m, 41, $seconds) as timestamp,
    'n' || m % 50 as marketing_campaign_id, 'Newsletter' as marketing_campaign_name, false as sg_machine_open,
    1 as _occurrence, $delivery as _delivery
from (select m, pick(m, 42, $customers) as c from ({which}) as t(m))
"""

FIXED = {
    "shop.products": """
insert into {target} by name
select 'P' || p as id, 'S' || p as sku, 'Thing ' || p as title, 'Things' as vendor, 'Things' as product_type,
    10::decimal(18, 2) as price, 'USD' as currency, 'active' as status, 1 as _occurrence, $delivery as _delivery
from range(500) as t(p)
""",
    "finance.exchange_rates": """
insert into {target} by name
select currency, date '2024-01-01' + (m * 30)::int as valid_from, 1 + (hash(currency, m) % 100) / 1000.0 as usd_rate,
    1 as _occurrence, $delivery as _delivery
from (values ('USD'), ('EUR'), ('GBP')) as c(currency), range(36) as t(m)
""",
}


class Company:
    """The warehouse of a company of one size, and the tables that its sources declare."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, tables: list[SourceTable], size: Size
    ) -> None:
        self.con, self.size = con, size
        self.tables = {f"{t.source}.{t.name}": t for t in tables}
        con.execute(MACROS)

    def begin(self) -> None:
        """Two years of history, a month of events a delivery."""
        problems = ledger.ensure(self.con, self.tables.values())
        if problems:
            raise ValueError(f"the sample's sources are declared wrongly: {problems[0]}")
        size, end = self.size, FIRST_DAY + timedelta(days=DAYS)
        for name, sql in FIXED.items():
            self._insert(name, sql, {}, at=end)
        people = f"select range from range({size.customers})"
        when = {"first_at": FIRST_DAY, "seconds": DAYS * 86400, "changed_at": end, "version": 1}
        self._insert("shop.customers", CUSTOMERS.replace("{which}", people), when, at=end)
        third = f"select range * 3 from range({size.customers // 3})"
        self._insert("crm.contacts", CRM.replace("{which}", third), when, at=end)
        half = f"select range * 2 from range({size.customers // 2})"
        self._insert("consents.consents", CONSENTS.replace("{which}", half), when, at=end)
        orders = ORDERS.replace("{which}", f"select range from range({size.orders})")
        self._insert("shop.orders", orders, {**when, **self._people()}, at=end)
        mails = MAILS.replace("{which}", f"select range from range({size.customers})")
        self._insert("mailer.events", mails, {**when, **self._people()}, at=end)
        self._events(0, size.events // EVENTS_PER_VISIT, FIRST_DAY, DAYS, spread=True)

    def add_day(self, share: float) -> None:
        """`share` more of everything, some of it late, some delivered a second time, some changed."""
        size, at = self.size, FIRST_DAY + timedelta(days=DAYS, hours=23)
        day = FIRST_DAY + timedelta(days=DAYS)
        when = {"first_at": day, "seconds": 80000, "changed_at": at, "version": 2}
        new = int(size.customers * share)
        people = f"select range from range({size.customers}, {size.customers + new})"
        self._insert("shop.customers", CUSTOMERS.replace("{which}", people), when, at=at)
        moved = f"select range * 300 from range({size.customers // 300})"
        first = {**when, "first_at": FIRST_DAY, "seconds": DAYS * 86400}
        self._replace("shop.customers", "id", CUSTOMERS, moved, first, at=at)
        self._replace("crm.contacts", "ContactID", CRM, f"{moved}", first, at=at)
        changed = f"select range * 600 from range({size.customers // 600})"
        self._insert("consents.consents", CONSENTS.replace("{which}", changed), when, at=at)
        count = int(size.orders * share)
        orders = f"select range from range({size.orders}, {size.orders + count})"
        self._insert(
            "shop.orders", ORDERS.replace("{which}", orders), {**when, **self._people()}, at=at
        )
        refunded = f"select range * 1000 + 7 from range({size.orders // 1000})"
        self._replace("shop.orders", "id", ORDERS, refunded, {**first, **self._people()}, at=at)
        mails = MAILS.replace("{which}", f"select range + {size.customers} from range({new})")
        self._insert("mailer.events", mails, {**when, **self._people()}, at=at)
        visits = size.events // EVENTS_PER_VISIT
        more = int(visits * share)
        late = more // 20
        self._events(visits, more - late, day, 0, at=at)
        self._events(visits + more, late, day - timedelta(days=20), 0, at=at)
        # Messages of the last days that come once more: the later file has them now.
        events = stored_table(self.tables["web.events"])
        again = stored.book(
            self.con, self.tables["web.events"], stored.Delivery("again", "again", at)
        )
        self.con.execute(
            f"update {events} set _delivery = {again.number} where rowid in (select rowid from "
            f"(select rowid from {events} where timestamp between ? and ? order by hash(messageId)) "
            f"limit {max(1, size.events // 20000)})",
            [day - timedelta(days=10), day],
        )

    def _people(self) -> dict[str, int]:
        return {
            "customers": self.size.customers,
            "carts": self.size.events // EVENTS_PER_VISIT,
        }

    def _events(
        self,
        first: int,
        visits: int,
        begin: datetime,
        days: int,
        *,
        spread: bool = False,
        at: datetime | None = None,
    ) -> None:
        values = {
            "first_visit": first,
            "visits": max(1, visits),
            "first_at": begin,
            "seconds": max(1, days * 86400),
            "per_visit": EVENTS_PER_VISIT,
            "browsers": self.size.customers * 3 // 2,
            "customers": self.size.customers,
            "spread": spread,
            "months": MONTHS,
            "days": DAYS,
        }
        self._insert(
            "web.events",
            EVENTS,
            values,
            at=at or begin + timedelta(days=days),
            deliveries=MONTHS if spread else 1,
        )

    def _replace(
        self, name: str, key: str, sql: str, which: str, values: Values, *, at: datetime
    ) -> None:
        """Rows that are there already come with other contents: theirs is a new delivery."""
        prefix = {"id": "C", "ContactID": "K"}[key] if "orders" not in name else "O"
        self.con.execute(
            f'delete from {stored_table(self.tables[name])} where "{key}" in '
            f"(select '{prefix}' || k from ({which}) as t(k))"
        )
        self._insert(name, sql.replace("{which}", which), values, at=at)

    def _insert(
        self, name: str, sql: str, values: Values, *, at: datetime, deliveries: int = 1
    ) -> None:
        table = self.tables[name]
        numbers = []
        for _ in range(deliveries):
            known = self.con.execute("select count(*) from ingestion.deliveries").fetchall()[0][0]
            load_id = f"load_{known + 1:024d}"
            numbers.append(
                stored.book(self.con, table, stored.Delivery(load_id, load_id, at)).number
            )
            self.con.execute(
                "insert into ops.loads (load_id, source, table_name, origin, status) values (?, ?, ?, ?, 'loaded')",
                [load_id, table.source, table.name, load_id],
            )
        wanted = {k: v for k, v in {**values, "delivery": numbers[0]}.items() if f"${k}" in sql}
        self.con.execute(sql.format(target=stored_table(table)), wanted)


# Two of three browsers have somebody logged in; a thousandth of customers turn out to be another.
RESOLVE = """
delete from identity.crosswalk;
insert into identity.crosswalk by name
with merged as (
    select 'cus_' || c as customer_id, 'cus_' || c + 1 as heir from range($merged) as t(n), (select n * 1000 + 1 as c)
),
given as (
    select contact_key as node_key, 'cus_' || substr(source_record_id, 2) as customer_id from canonical.contacts
    union all
    select 'anon:' || browser(b), case when b % 3 < 2 then 'cus_' || b % $customers else 'cus_b' || b end
    from range($browsers) as t(b)
    where 'anon:' || browser(b) in (select node_key from canonical.identifiers where node_key like 'anon:%')
)
select node_key, coalesce(heir, customer_id) as customer_id, coalesce(heir, customer_id) as strict_customer_id,
    'evidence' as method, 1.0 as confidence, timestamp '2026-01-01' as valid_from
from given left join merged using (customer_id);
delete from identity.history;
insert into identity.history by name
select 'h' || n as history_id, 'merge' as event, 'cus_' || n * 1000 + 1 as from_customer_id,
    'cus_' || n * 1000 + 2 as to_customer_id, 'run' as run_id, now()::timestamp as changed_at
from range($merged) as t(n);
delete from identity.identifiers;
insert into identity.identifiers by name
select node_key, identifier_type, lower(trim(identifier_value)) as identifier_value, identifier_value as given_value,
    is_verified, false as is_blocked, first_seen_at, last_seen_at
from canonical.identifiers;
delete from identity.normalised_values;
insert into identity.normalised_values
select distinct identifier_type, trim(identifier_value), lower(trim(identifier_value)), true from canonical.consents;
"""


def resolve(con: duckdb.DuckDBPyConnection, size: Size, *, merged: int) -> None:
    """What identity resolution says of the company, once its canonical tables are there."""
    con.execute(MACROS)
    identity_tables.create(con)
    values = {"merged": merged, "customers": size.customers, "browsers": size.customers * 3 // 2}
    for statement in RESOLVE.split(";\n"):
        if statement.strip():
            con.execute(statement, {k: v for k, v in values.items() if f"${k}" in statement})
