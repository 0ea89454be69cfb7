{# Whose order it was, and what it was worth in the reporting currency on its day. #}
with orders as (
    select
        *,
        cast(ordered_at as date) as ordered_on
    from {{ ref('orders') }}
    where ordered_at <= {{ as_of() }}
),

contacts as (
    select * from {{ ref('stg_identity__crosswalk') }}
    where node_key not like 'anon:%'
),

visitors as (
    {{ visitors() }}
),

shared_devices as (
    select * from {{ ref('int_shared_devices') }}
),

rates as (
    select * from {{ ref('exchange_rates') }}
),

reporting as (
    select * from rates
    where currency = '{{ var("reporting_currency") }}'
),

-- Which rate holds is asked for each currency and day, of which there are few, and not for each order.
trading_days as (
    select distinct
        currency,
        cast(ordered_at as date) as ordered_on
    from {{ ref('orders') }}
    where ordered_at <= {{ as_of() }}
),

rates_of_days as (
    select
        trading_days.currency,
        trading_days.ordered_on,
        rates.usd_rate
    from trading_days
    inner join rates on trading_days.currency = rates.currency and {{ holds_on('rates', 'trading_days.ordered_on') }}
),

reporting_of_days as (
    select
        trading_days.currency,
        trading_days.ordered_on,
        reporting.usd_rate
    from trading_days
    inner join reporting on {{ holds_on('reporting', 'trading_days.ordered_on') }}
)

select
    orders.order_id,
    coalesce(contacts.customer_id, shared_devices.customer_id, visitors.customer_id) as customer_id,
    orders.ordered_at,
    orders.status,
    orders.channel,
    orders.source_system,
    orders.cart_id,
    {{ in_reporting_currency('orders.net_revenue', 'orders.currency', 'rates_of_days', 'reporting_of_days') }} as net_revenue
from orders
left join contacts on orders.contact_key = contacts.node_key
left join shared_devices
    on orders.anonymous_id = shared_devices.anonymous_id and {{ is_while('orders.ordered_at', 'shared_devices') }}
left join visitors on orders.anonymous_id = visitors.anonymous_id
left join rates_of_days
    on orders.currency = rates_of_days.currency and orders.ordered_on = rates_of_days.ordered_on
left join reporting_of_days
    on orders.currency = reporting_of_days.currency and orders.ordered_on = reporting_of_days.ordered_on
