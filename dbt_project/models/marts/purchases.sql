with orders as (
    select * from {{ ref('int_order_customers') }}
    where status <> 'cancelled'
)

select
    order_id,
    customer_id,
    ordered_at,
    cast(ordered_at as date) as ordered_on,
    status,
    channel,
    source_system,
    cart_id,
    net_revenue,
    row_number() over (
        partition by coalesce(customer_id, order_id) order by ordered_at, order_id
    ) as order_number,
    -- Of nobody known no order is the first.
    customer_id is not null and row_number() over (
        partition by coalesce(customer_id, order_id) order by ordered_at, order_id
    ) = 1 as is_first_order
from orders
