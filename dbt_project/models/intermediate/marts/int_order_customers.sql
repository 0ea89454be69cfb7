{# Whose order it was, and what it was worth in the reporting currency on its day. #}
with orders as (
    select * from {{ ref('orders') }}
),

crosswalk as (
    select * from {{ ref('stg_identity__crosswalk') }}
),

rates as (
    select * from {{ ref('exchange_rates') }}
)

select
    orders.order_id,
    coalesce(contact.customer_id, visitor.customer_id) as customer_id,
    orders.ordered_at,
    orders.status,
    orders.channel,
    orders.cart_id,
    -- What is in the reporting currency already needs no rate: a company of one currency has none.
    case
        when orders.currency = '{{ var("reporting_currency") }}' then orders.net_revenue
        else cast(orders.net_revenue * rates.usd_rate / reporting.usd_rate as decimal(18, 2))
    end as net_revenue
from orders
left join crosswalk as contact on orders.contact_key = contact.node_key
left join crosswalk as visitor on 'anon:' || orders.anonymous_id = visitor.node_key
left join rates
    on
        orders.currency = rates.currency
        and cast(orders.ordered_at as date) >= rates.valid_from
        and (rates.valid_to is null or cast(orders.ordered_at as date) < rates.valid_to)
left join rates as reporting
    on
        reporting.currency = '{{ var("reporting_currency") }}'
        and cast(orders.ordered_at as date) >= reporting.valid_from
        and (reporting.valid_to is null or cast(orders.ordered_at as date) < reporting.valid_to)
where orders.ordered_at <= {{ as_of() }}
