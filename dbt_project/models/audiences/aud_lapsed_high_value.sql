with orders as (
    select * from {{ ref('customer_orders') }}
)

select
    customer_id,
    revenue,
    last_order_at
from orders
where
    order_count > 0
    and revenue >= 250
    and last_order_at < {{ days_before(as_of(), 120) }}
