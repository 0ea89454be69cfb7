"""Everything that happened between a customer and the company, in one order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb


@dataclass(frozen=True)
class Entry:
    """One thing that happened: when, what kind, in words, and the row it is (`table:key`)."""

    at: datetime
    kind: str
    what: str
    detail: str | None
    row: str


# Each gives at, kind, what, detail, row. `nodes` are contact keys and visitors; `keys` below turns
# them into browsers, logins, addresses and numbers.
_PARTS = {
    "events": """
        select event_at, event_type, event_name, coalesce(product_id, page_url), 'events:' || event_id
        from canonical.events
        where lower(user_id) in (select value from keys where kind = 'user_id')
            -- A shared browser: what another login did there is not theirs.
            or (
                anonymous_id in (select value from keys where kind = 'browser')
                and (user_id is null or lower(user_id) not in (
                    select identifier_value from marts.customer_identifiers where identifier_type = 'user_id'
                ))
            )
    """,
    "orders": """
        select ordered_at, 'order', status || ' order, ' || channel, net_revenue || ' ' || currency,
            'orders:' || order_id
        from canonical.orders
        where contact_key in (select unnest($nodes))
            or anonymous_id in (select value from keys where kind = 'browser')
    """,
    "email_events": """
        select email.event_at, 'email',
            case when email.is_machine_open then 'open by a mail program' else email.event_type end,
            campaigns.campaign_name, 'email_events:' || email.email_event_id
        from canonical.email_events as email
        left join canonical.campaigns as campaigns using (campaign_id)
        where lower(trim(email.email)) in (select value from keys where kind = 'email')
    """,
    "calls": """
        select started_at, 'call', outcome || ' call', duration_seconds || ' s', 'calls:' || call_id
        from canonical.calls
        where exists (
            select 1 from keys
            where keys.kind = 'phone'
                and length(ltrim(regexp_replace(calls.phone, '[^0-9]', '', 'g'), '0')) >= 8
                and ends_with(keys.value, ltrim(regexp_replace(calls.phone, '[^0-9]', '', 'g'), '0'))
        )
    """,
    "support_tickets": """
        select created_at, 'ticket', coalesce(category, 'ticket') || ', ' || status, priority,
            'support_tickets:' || ticket_id
        from canonical.support_tickets where contact_key in (select unnest($nodes))
    """,
    "offline_conversions": """
        select converted_at, 'conversion', conversion_type, revenue || ' ' || currency,
            'offline_conversions:' || conversion_id
        from canonical.offline_conversions where contact_key in (select unnest($nodes))
    """,
    "device_events": """
        select event_at, 'device', event_name, device_id, 'device_events:' || device_event_id
        from canonical.device_events where contact_key in (select unnest($nodes))
    """,
    "consents": """
        select consented_at, 'consent', status || ' ' || purpose || ' by ' || channel, jurisdiction,
            'consents:' || consent_id
        from canonical.consents
        where identifier_type = 'email' and lower(trim(identifier_value)) in (
            select value from keys where kind = 'email'
        )
    """,
}

_KEYS = """
    select 'browser' as kind, substr(node, 6) as value
    from (select unnest($nodes) as node) where node like 'anon:%'
    union
    select identifier_type, lower(identifier_value) from marts.customer_identifiers
    where customer_id = $customer_id and identifier_type in ('user_id', 'email')
    union
    select 'email', lower(trim(given_value)) from identity.identifiers
    where identifier_type = 'email' and not is_blocked and node_key in (select unnest($nodes))
    union
    select 'phone', regexp_replace(identifier_value, '[^0-9]', '', 'g') from marts.customer_identifiers
    where customer_id = $customer_id and identifier_type = 'phone'
"""


def timeline(
    con: duckdb.DuckDBPyConnection, customer_id: str, nodes: list[str], limit: int
) -> tuple[list[Entry], int]:
    """The newest `limit` entries of a customer, newest first, and how many there are in all."""
    there = {
        name
        for (name,) in con.execute(
            "select table_name from information_schema.tables where table_schema = 'canonical'"
        ).fetchall()
    }
    parts = [query for table, query in _PARTS.items() if table in there]
    if not parts:
        return [], 0
    parameters: dict[str, Any] = {"nodes": nodes, "customer_id": customer_id, "limit": limit}
    rows = con.execute(
        f"""
        with keys as ({_KEYS}),
        entries(happened_at, kind, what, detail, row_key) as ({" union all ".join(parts)})
        select happened_at, kind, what, detail, row_key, count(*) over () from entries
        where happened_at is not null
        order by happened_at desc, row_key limit $limit
        """,
        parameters,
    ).fetchall()
    return [Entry(*row[:5]) for row in rows], int(rows[0][5]) if rows else 0
