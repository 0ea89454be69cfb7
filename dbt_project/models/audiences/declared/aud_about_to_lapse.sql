-- Written from audiences/about_to_lapse.yml: change that file, then `mainstem audience compile`.
with counted_1 as (
    select
        customer_id,
        count(*) as times
    from {{ ref('int_event_customers') }}
    where
        event_type in ('page', 'screen')
        and event_at > {{ days_before(as_of(), 30) }}
        and event_at <= {{ as_of() }}
    group by customer_id
)

select
    customer.customer_id,
    customer.order_count,
    customer.last_order_at
from {{ ref('customer_360') }} as customer
left join counted_1 on customer.customer_id = counted_1.customer_id
where
    customer.order_count >= 2
    and (customer.last_order_at > {{ days_before(as_of(), 120) }} and customer.last_order_at <= {{ as_of() }})
    and customer.last_order_at < {{ days_before(as_of(), 90) }}
    and not coalesce(coalesce(counted_1.times, 0) >= 1, false)
