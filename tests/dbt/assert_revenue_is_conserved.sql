-- What customers bought is what was sold to somebody known: no join multiplies or loses an order.
with sold as (
    select
        count(*) as orders,
        coalesce(sum(net_revenue), 0) as revenue
    from {{ ref('int_order_customers') }} as orders
    where status <> 'cancelled' and customer_id in (select customer_id from {{ ref('golden_customers') }})
),

bought as (
    select
        coalesce(sum(order_count), 0) as orders,
        coalesce(sum(revenue), 0) as revenue
    from {{ ref('customer_orders') }}
)

select *
from sold
cross join bought
where sold.orders <> bought.orders or sold.revenue <> bought.revenue
