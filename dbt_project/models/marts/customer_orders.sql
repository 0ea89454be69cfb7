with customers as (
    select customer_id from {{ ref('golden_customers') }}
),

summed as (
    select * from {{ ref('int_customer_purchases') }}
)

select
    customers.customer_id,
    coalesce(summed.order_count, 0) as order_count,
    cast(coalesce(summed.revenue, 0) as decimal(18, 2)) as revenue,
    summed.first_order_at,
    summed.last_order_at,
    summed.last_order_channel,
    {{ dbt.datediff('summed.last_order_at', as_of(), 'day') }} as recency_days,
    coalesce(summed.frequency, 0) as frequency,
    {{ dbt.datediff('summed.first_order_at', as_of(), 'day') }} as t_days,
    cast(case when summed.order_count > 0 then summed.revenue / summed.order_count end as decimal(18, 2)) as monetary_value
from customers
left join summed on customers.customer_id = summed.customer_id
