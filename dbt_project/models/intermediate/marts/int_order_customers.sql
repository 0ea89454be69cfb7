{# Whose order it was, and what it was worth in the reporting currency on its day. #}
with orders as (
    select * from {{ ref('orders') }}
),

crosswalk as (
    select * from {{ ref('stg_identity__crosswalk') }}
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
)

select
    orders.order_id,
    coalesce(contact.customer_id, shared_devices.customer_id, visitor.customer_id) as customer_id,
    orders.ordered_at,
    orders.status,
    orders.channel,
    orders.source_system,
    orders.cart_id,
    {{ in_reporting_currency('orders.net_revenue', 'orders.currency', 'rates', 'reporting') }} as net_revenue
from orders
left join crosswalk as contact on orders.contact_key = contact.node_key
left join shared_devices
    on orders.anonymous_id = shared_devices.anonymous_id and {{ is_while('orders.ordered_at', 'shared_devices') }}
left join crosswalk as visitor on 'anon:' || orders.anonymous_id = visitor.node_key
left join rates on orders.currency = rates.currency and {{ holds_on('rates', 'orders.ordered_at') }}
left join reporting on {{ holds_on('reporting', 'orders.ordered_at') }}
where orders.ordered_at <= {{ as_of() }}
