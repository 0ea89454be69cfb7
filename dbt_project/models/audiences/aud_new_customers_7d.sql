with orders as (
    select * from {{ ref('customer_orders') }}
)

select
    customer_id,
    first_order_at
from orders
where first_order_at > {{ days_before(as_of(), 7) }} and first_order_at <= {{ as_of() }}
