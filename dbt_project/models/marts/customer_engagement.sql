with events as (
    select * from {{ ref('int_event_customers') }}
    where event_at <= {{ as_of() }}
),

customers as (
    select customer_id from {{ ref('golden_customers') }}
),

summed as (
    select
        customer_id,
        count(case
            when event_type in ('page', 'screen') and event_at > {{ days_before(as_of(), 30) }} then 1
        end) as page_views_30d,
        count(*) as event_count,
        max(event_at) as last_event_at,
        {{ first_by('channel', 'event_at desc, event_id') }} as last_channel,
        {{ first_by('device_type', 'case when device_type is null then 1 else 0 end, event_at desc, event_id') }} as device_type
    from events
    group by customer_id
),

by_channel as (
    select
        customer_id,
        channel,
        count(*) as event_count
    from events
    group by customer_id, channel
),

preferred as (
    select
        customer_id,
        {{ first_by('channel', 'event_count desc, channel') }} as preferred_channel
    from by_channel
    group by customer_id
),

cart_customers as (
    select distinct
        cart_id,
        customer_id
    from {{ ref('int_event_customers') }}
    where cart_id is not null
),

open_carts as (
    select
        cart_customers.customer_id,
        sum(carts.cart_value) as open_cart_value
    from {{ ref('carts') }} as carts
    inner join cart_customers on carts.cart_id = cart_customers.cart_id
    where carts.status = 'open'
    group by cart_customers.customer_id
)

select
    customers.customer_id,
    coalesce(summed.event_count, 0) as event_count,
    coalesce(summed.page_views_30d, 0) as page_views_30d,
    summed.last_event_at,
    summed.last_channel,
    preferred.preferred_channel,
    summed.device_type,
    cast(coalesce(open_carts.open_cart_value, 0) as decimal(18, 2)) as open_cart_value
from customers
left join summed on customers.customer_id = summed.customer_id
left join preferred on customers.customer_id = preferred.customer_id
left join open_carts on customers.customer_id = open_carts.customer_id
